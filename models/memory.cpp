/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model: the memory of a slot goes and comes back. The owner uses it once; then it is
 * nobody's, its memory is cleared and it begins again with a generation beyond,
 * while two threads that looked the slot up before may be anywhere in a pin.
 *
 *  M4  No pin is lost or left, whoever was late.
 */
#define TENURE_MODEL
#include "core/control.h"

#include "models/main.h"

enum { INDEX = 5 };

struct slot_memory : rl::test_suite<slot_memory, 3> {
	atomic_u64 control, told;
	VAR_T(uint32_t) field;

	void before()
	{
		control($) = control_make(1, SLOT_FREE);
		told($) = 0;
		field($) = 0;
	}

	void live(uint32_t generation)
	{
		rl::linear_backoff backoff;
		uint32_t got;

		field($) = generation;
		got = control_publish(&control, KIND_DEVICE);
		RL_ASSERT(got == generation);
		told($).store(
			handle_make(generation, KIND_DEVICE, INDEX).value,
			rl::mo_relaxed);
		control_retire(&control);
		while (control_try_reclaim(&control) == RECLAIM_PINNED)
			backoff.yield($);
	}

	void own()
	{
		live(1);
		/* The kernel takes the page and gives one of zeroes, or leaves
		 * it as it is. */
		if (rl::rand(2) == 0)
			control($).store(0, rl::mo_relaxed);
		control_init(&control, 3);
		live(3);
	}

	void look()
	{
		struct handle handle = { told($).load(rl::mo_relaxed) };

		if (handle.value == 0 || !control_pin(&control, handle))
			return;
		RL_ASSERT(field($) == handle_generation(handle));
		control_unpin(&control);
	}

	void thread(unsigned int number)
	{
		if (number == 0) {
			own();
			return;
		}
		look();
		look();
	}

	void after()
	{
		RL_ASSERT(control($).load(rl::mo_relaxed) ==
			  control_make(4, SLOT_FREE));
	}
};

int main(int argc, char **argv)
{
	return model_run<slot_memory>("slot memory", model_parse(argc, argv, 1000000));
}
