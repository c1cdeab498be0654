/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model: frees by other threads than the owner's.
 *
 * The owner has two RETIRED slots. Two other threads hold one retire record
 * each: they reclaim their slot (one of which a third thread still has pinned)
 * and free it remotely. The owner collects what it finds, sometimes before it
 * looks at the count, writes into each slot that it gets, and ends when the
 * count says that both were freed: then it takes the owner's record apart.
 *
 *  M1  The owner gets each slot once: remote G1.
 *  M2  Nobody still reads a slot that the owner writes: remote G2.
 *  M3  When the count says that all are freed, all are found, and no
 *      reclaimer comes to the owner's record any more: remote G3, table G6.
 */
#define TENURE_MODEL
#include "core/control.h"
#include "core/remote.h"

#include "models/main.h"

enum { SLOTS = 2 };

struct remote_frees : rl::test_suite<remote_frees, 4> {
	atomic_u64 control[SLOTS], bits[1];
	atomic_u32 freed, pinned;
	VAR_T(uint32_t) field[SLOTS], record;
	unsigned int got[SLOTS];

	void before()
	{
		for (int i = 0; i < SLOTS; i++) {
			control[i]($) = control_make(1, SLOT_RETIRED);
			field[i]($) = 1;
			got[i] = 0;
		}
		/* The third thread's pin. */
		control[0]($) = control_make(1, SLOT_RETIRED) + 1;
		bits[0]($) = 0;
		freed($) = 0;
		pinned($) = 0;
		record($) = 1;
	}

	void reclaim(uint32_t i)
	{
		rl::linear_backoff backoff;

		RL_ASSERT(record($) == 1);
		while (control_try_reclaim(&control[i]) == RECLAIM_PINNED)
			backoff.yield($);
		remote_free(bits, i, &freed);
	}

	void collect()
	{
		uint64_t found = remote_take(&bits[0]);

		for (uint32_t i = 0; i < SLOTS; i++)
			if (found >> i & 1) {
				got[i]++;
				field[i]($) = 2;
			}
	}

	void own()
	{
		rl::linear_backoff backoff;

		collect();
		while (remote_count(&freed) < SLOTS)
			backoff.yield($);
		collect();
		for (int i = 0; i < SLOTS; i++)
			RL_ASSERT(got[i] == 1);
		record($) = 2;
	}

	void thread(unsigned int number)
	{
		if (number == 0) {
			own();
		} else if (number == 3) {
			RL_ASSERT(field[0]($) == 1);
			control_unpin(&control[0]);
		} else {
			reclaim(number - 1);
		}
	}
};

int main(int argc, char **argv)
{
	return model_run<remote_frees>("remote frees",
				       model_parse(argc, argv, 1000000));
}
