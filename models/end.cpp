/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model: the end of a slot: it begins two generations before the last one, and comes
 * to its end; a thread looks for every handle that was ever told.
 */
#define TENURE_MODEL
#include "core/control.h"

#include "models/main.h"

enum { INDEX = 5 };

struct slot_end : rl::test_suite<slot_end, 2> {
	atomic_u64 control, told;

	void before()
	{
		control($) = control_make(SLOT_GENERATION_MAX - 2, SLOT_FREE);
		told($) = 0;
	}

	void own()
	{
		enum reclaimed r = RECLAIM_FREE;
		uint32_t lives = 0;

		while (r != RECLAIM_DEAD) {
			rl::linear_backoff backoff;
			uint32_t g = control_publish(&control, KIND_DEVICE);

			RL_ASSERT(++lives <= 2);
			RL_ASSERT(g > 0 && g < SLOT_GENERATION_MAX);
			told($).store(
				handle_make(g, KIND_DEVICE, INDEX).value,
				rl::mo_relaxed);
			control_retire(&control);
			while ((r = control_try_reclaim(&control)) ==
			       RECLAIM_PINNED)
				backoff.yield($);
		}
		RL_ASSERT(lives == 2);
	}

	void thread(unsigned int number)
	{
		if (number == 0) {
			own();
			return;
		}
		for (int i = 0; i < 3; i++) {
			struct handle handle = {
				told($).load(rl::mo_relaxed)
			};

			if (control_pin(&control, handle))
				control_unpin(&control);
		}
	}

	void after()
	{
		uint64_t word = control($).load(rl::mo_relaxed);

		RL_ASSERT(word == control_make(SLOT_GENERATION_MAX, SLOT_DEAD));
		for (uint32_t g = 1; g <= SLOT_GENERATION_MAX; g++)
			RL_ASSERT(!control_matches(
				word, handle_make(g, KIND_DEVICE, INDEX)));
	}
};

int main(int argc, char **argv)
{
	return model_run<slot_end>("slot end", model_parse(argc, argv, 1000000));
}
