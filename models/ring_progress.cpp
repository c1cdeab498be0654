/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model: progress words.
 *
 * The client makes progress twice, without any request; the daemon sleeps
 * until it has seen both.
 *
 *  M8  Progress wakes a daemon that waits for it, and what the client wrote
 *      before is visible behind it.
 */
#include "models/ring.h"

enum { STEPS = 2 };

struct ring_progress : rl::test_suite<ring_progress, 2>, both_ends {
	VAR_T(uint32_t) payload;

	void before()
	{
		init();
		payload($) = 0;
	}

	void work()
	{
		payload($) = 42;
		for (uint64_t step = 1; step <= STEPS; step++)
			if (ring_client_progress(&ring, 0, step))
				bell.ring();
	}

	void watch()
	{
		uint64_t seen = 0;

		while (seen < STEPS) {
			if (ring_server_park(&server, true)) {
				seen = ring_server_word(&server, 0);
				if (seen < STEPS)
					bell.wait();
			}
			ring_server_unpark(&server);
			seen = ring_server_word(&server, 0);
		}
		RL_ASSERT(payload($) == 42);
	}

	void thread(unsigned int number)
	{
		if (number == 0)
			work();
		else
			watch();
	}

	void after()
	{
		bell.deinit();
	}
};

int main(int argc, char **argv)
{
	return model_run<ring_progress>("ring progress",
					model_parse(argc, argv, 200000));
}
