/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model: a flush of the free queue.
 *
 * The daemon has a timer that never expires, as one that is slow: what is
 * appended while it runs is seen only because the client flushes, with nothing
 * in the submission queue.
 *
 *  M9  A flush is seen without the timer.
 */
#include "models/ring.h"

enum { FREES = 2 };

struct ring_flush : rl::test_suite<ring_flush, 2>, both_ends {
	unsigned int taken;

	void before()
	{
		init();
		taken = 0;
	}

	void client_thread()
	{
		for (unsigned int i = 1; i <= FREES; i++) {
			int status = ring_client_free(&client, i);

			RL_ASSERT(status == 0 || status == 1);
			publish();
		}
	}

	void daemon_thread()
	{
		struct ring_work work;

		while (taken < FREES) {
			enum ring_take what = take(&work, 0);

			if (what == RING_TAKE_FREES) {
				taken += work.frees;
				ring_server_frees_done(&server, work.frees);
				continue;
			}
			RL_ASSERT(what == RING_TAKE_NONE);
			rest();
		}
	}

	void thread(unsigned int number)
	{
		if (number == 0)
			client_thread();
		else
			daemon_thread();
	}

	void after()
	{
		bell.deinit();
	}
};

int main(int argc, char **argv)
{
	return model_run<ring_flush>("ring flush",
				     model_parse(argc, argv, 200000));
}
