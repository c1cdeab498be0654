/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model: the life of a slot.
 *
 * One owner thread takes a slot through two generations: it writes the fields,
 * publishes, tells the handle, retires, tells that it did, and reclaims when no
 * pin is left. The second one it tries to end in one step first. Two other
 * threads look the handle up, pin it, read the fields twice and let go. The
 * text of core/control.h is what ships, with 2 bits of pins and 3 of
 * generation.
 *
 *  M1  The fields under a pin are those of the handle's generation (no race,
 *      no old value): table G3.
 *      Nothing is found by a handle of another kind.
 *  M2  Who has seen that a retire is complete does not find the handle: G1.
 *  M3  A slot is reclaimed once for each retire, and at the end no pin is
 *      left: G4.
 */
#define TENURE_MODEL
#include "core/control.h"

#include "models/main.h"

enum { GENERATIONS = 2, INDEX = 5 };

struct slot_life : rl::test_suite<slot_life, 3> {
	atomic_u64 control;
	VAR_T(uint32_t) field, field_too;
	atomic_u64 told; /* the handle, without any order */
	atomic_u32 dead; /* generations whose retire is complete */
	unsigned int reclaimed;

	void before()
	{
		control($) = control_make(1, SLOT_FREE);
		told($) = 0;
		dead($) = 0;
		reclaimed = 0;
	}

	static struct handle other_kind(uint32_t generation)
	{
		return handle_make(generation, KIND_RESOURCE, INDEX);
	}

	void own()
	{
		for (uint32_t g = 1; g <= GENERATIONS; g++) {
			field($) = g;
			field_too($) = g;
			uint32_t got = control_publish(&control, KIND_DEVICE);
			RL_ASSERT(got == g);
			struct handle handle =
				handle_make(g, KIND_DEVICE, INDEX);
			told($).store(handle.value, rl::mo_relaxed);
			RL_ASSERT(control_peek(&control, handle));
			RL_ASSERT(!control_peek(&control, other_kind(g)));
			if (g == GENERATIONS &&
			    control_try_end(&control) == RECLAIM_FREE) {
				RL_ASSERT(!control_peek(&control, handle));
				dead($).store(g, rl::mo_release);
				reclaimed++;
				/* What the next generation would begin with. */
				field($) = 0;
				field_too($) = 0;
				continue;
			}
			control_retire(&control);
			RL_ASSERT(!control_peek(&control, handle));
			dead($).store(g, rl::mo_release);
			rl::linear_backoff backoff;
			while (control_try_reclaim(&control) != RECLAIM_FREE)
				backoff.yield($);
			reclaimed++;
		}
	}

	void look()
	{
		for (int i = 0; i < 2; i++) {
			uint32_t gone = dead($).load(rl::mo_acquire);
			struct handle handle = {
				told($).load(rl::mo_relaxed)
			};
			uint32_t g = handle_generation(handle);

			if (handle.value == 0 || !control_pin(&control, handle))
				continue;
			RL_ASSERT(gone < g);
			RL_ASSERT(field($) == g);
			RL_ASSERT(field_too($) == g);
			control_unpin(&control);
		}
	}

	void thread(unsigned int number)
	{
		if (number == 0)
			own();
		else
			look();
	}

	void after()
	{
		RL_ASSERT(reclaimed == GENERATIONS);
		RL_ASSERT(control($).load(rl::mo_relaxed) ==
			  control_make(GENERATIONS + 1, SLOT_FREE));
	}
};

int main(int argc, char **argv)
{
	return model_run<slot_life>("slot life", model_parse(argc, argv, 1000000));
}
