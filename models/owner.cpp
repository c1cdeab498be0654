/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model: a segment goes from one owner to another and back, by the depot, and
 * each lets its slot live once; one time its memory goes, too. A third thread
 * looks the slot up for either of them, with the handles that they tell and with
 * ones that it makes up, pins it or does not, while the segment may go anywhere.
 * The texts of core/owned.h, core/control.h and core/depot.h are what ships.
 *
 *  M1  Who has pinned a slot for an owner has one of his: owned G1. The handle
 *      of another finds nothing, even if it is guessed.
 *  M2  Until the unpin the segment stays his, and the fields are those of the
 *      handle's generation.
 *  M3  Who has seen that a retire is complete does not find the handle by a
 *      look without a pin, wherever the segment is: owned G3.
 *  M4  Each owner finds what he has published: owned G4. What lies in the depot
 *      is nobody's, so nobody touches it: owned G2.
 *  M5  At the end no pin is left and the segment is nobody's.
 */
#define TENURE_MODEL
#include "core/depot.h"
#include "core/owned.h"

#include "models/sticky.h"
#define MODEL_SCHEDULER sticky_scheduler
#include "models/main.h"

enum { SEGMENT = 1, INDEX = 5, LIVES = 3, OWNERS = 2, LOOKS = 3 };
enum { GENERATIONS = LIVES + 1 };

/*
 * Who reads under a pin, too, or only looks at the words. A PUBLISH that is too
 * weak must show in the words alone: the second look at the owner is then an old
 * one. UNPIN cannot: Relacy has no load that sees a store which is still to
 * come. What is read under the pin of what the owner writes as he leaves stands
 * for that look: both are made before the unpin, and one that is not ordered
 * before the leaving is a race.
 */
template <bool reads>
struct owner_moves : rl::test_suite<owner_moves<reads>, OWNERS + 1> {
	struct depot depot;
	atomic_u32 links[SEGMENT + 1];
	atomic_u32 owner;
	atomic_u64 control;
	/* What the owner of the segment alone writes. */
	VAR_T(uint32_t) whose, field;
	/* By owner: the handle that he told last, without any order, and the
	 * generation of the last one whose retire is complete. */
	atomic_u64 told[OWNERS + 1];
	atomic_u32 dead[OWNERS + 1];
	/* Whose each generation was. No thread knows that: it is the truth. */
	uint32_t truth[GENERATIONS + 1];
	bool cleared;

	void before()
	{
		depot.head($) = SEGMENT;
		links[SEGMENT]($) = 0;
		owner($) = 0;
		control($) = control_make(1, SLOT_FREE);
		whose($) = 0;
		field($) = 0;
		for (uint32_t i = 0; i <= OWNERS; i++) {
			told[i]($) = 0;
			dead[i]($) = 0;
		}
		for (uint32_t g = 0; g <= GENERATIONS; g++)
			truth[g] = 0;
		cleared = false;
	}

	uint32_t generation()
	{
		return control_generation(control($).load(rl::mo_relaxed));
	}

	/* As a segment that is nobody's loses its memory, and gets it back. */
	void clear()
	{
		uint32_t beyond = generation() + 1;

		control($).store(0, rl::mo_relaxed);
		control_init(&control, beyond);
		cleared = true;
	}

	void adopt(uint32_t id)
	{
		rl::linear_backoff backoff;

		while (depot_pop(&depot, links) != SEGMENT)
			backoff.yield($);
		RL_ASSERT(owned_by(&owner) == 0);
		if (!cleared && rl::rand(2) == 0)
			clear();
		owned_adopt(&owner, id);
		whose($) = id;
	}

	void leave(uint32_t id)
	{
		RL_ASSERT(owned_by(&owner) == id);
		whose($) = 0;
		owned_give(&owner, &depot, links, SEGMENT);
	}

	/* In one step if nobody is in the way, or in two. */
	void end(uint32_t id, uint32_t g)
	{
		rl::linear_backoff backoff;

		if (rl::rand(2) == 0 &&
		    control_try_end(&control) == RECLAIM_FREE) {
			dead[id]($).store(g, rl::mo_release);
			return;
		}
		control_retire(&control);
		dead[id]($).store(g, rl::mo_release);
		while (control_try_reclaim(&control) != RECLAIM_FREE)
			backoff.yield($);
	}

	void live(uint32_t id)
	{
		uint32_t g = generation();
		struct handle handle = handle_make(g, KIND_DEVICE, INDEX);

		field($) = g;
		truth[g] = id;
		RL_ASSERT(control_publish(&control, KIND_DEVICE) == g);
		told[id]($).store(handle.value, rl::mo_relaxed);
		RL_ASSERT(owned_peek(&owner, id, &control, handle));
		end(id, g);
		field($) = 0;
	}

	void own(uint32_t id, uint32_t times)
	{
		for (; times > 0; times--) {
			adopt(id);
			live(id);
			leave(id);
		}
	}

	/* With a pin, by a handle of anybody's. */
	void pin(uint32_t id, struct handle handle)
	{
		uint32_t g = handle_generation(handle);

		if (!owned_pin(&owner, id, &control, handle))
			return;
		RL_ASSERT(truth[g] == id);
		if (reads) {
			RL_ASSERT(whose($) == id);
			RL_ASSERT(field($) == g);
		}
		RL_ASSERT(owned_by(&owner) == id);
		control_unpin(&control);
	}

	/* Without one, by a handle of his. */
	void peek(uint32_t id)
	{
		uint32_t gone = dead[id]($).load(rl::mo_acquire);
		struct handle handle = { told[id]($).load(rl::mo_relaxed) };

		if (handle.value == 0 ||
		    !owned_peek(&owner, id, &control, handle))
			return;
		RL_ASSERT(truth[handle_generation(handle)] == id);
		RL_ASSERT(handle_generation(handle) > gone);
	}

	void look()
	{
		for (uint32_t i = 0; i < LOOKS; i++) {
			uint32_t id = 1 + rl::rand(OWNERS);
			uint32_t guess = 1 + rl::rand(GENERATIONS);

			if (rl::rand(2) == 0)
				peek(id);
			pin(id, handle_make(guess, KIND_DEVICE, INDEX));
		}
	}

	void thread(unsigned int number)
	{
		if (number == OWNERS)
			look();
		else
			own(1 + number, number == 0 ? 2 : 1);
	}

	void after()
	{
		RL_ASSERT(owner($).load(rl::mo_relaxed) == 0);
		RL_ASSERT(control($).load(rl::mo_relaxed) ==
			  control_make(LIVES + 1 + cleared, SLOT_FREE));
		RL_ASSERT(depot_top(&depot) == SEGMENT);
	}
};

int main(int argc, char **argv)
{
	model_options n = model_parse(argc, argv, 500000);
	int failed = model_run<owner_moves<false> >("owner, the words", n);

	return failed + model_run<owner_moves<true> >("owner", n);
}
