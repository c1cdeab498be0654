/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model: requests and replies, and nobody sleeps for ever.
 *
 * The client submits three requests with arguments through a queue of two,
 * publishes each, and waits for its reply; the daemon takes, replies, parks.
 *
 *  M1  Requests, arguments, replies and data are whole, and in order.
 *  M2  Neither end sleeps while there is something for it: the checker
 *      reports threads that all wait.
 */
#include "models/ring.h"

enum { REQUESTS = 3 };

struct ring_bell : rl::test_suite<ring_bell, 2>, both_ends {
	void before()
	{
		init();
	}

	/* Two under way at a time, so that entries are used again. */
	void ask()
	{
		submit(1, false);
		publish();
		submit(2, false);
		publish();
		expect_reply(1);
		RL_ASSERT(submit(3, false));
		publish();
		expect_reply(2);
		expect_reply(3);
	}

	void serve()
	{
		struct ring_work work;
		uint64_t next = 1;

		while (next <= REQUESTS) {
			if (take(&work, next) == RING_TAKE_REQUEST) {
				answer(&work.request);
				next++;
				continue;
			}
			rest();
		}
		wake();
	}

	void thread(unsigned int number)
	{
		if (number == 0)
			ask();
		else
			serve();
	}

	void after()
	{
		bell.deinit();
	}
};

int main(int argc, char **argv)
{
	return model_run<ring_bell>("ring bell",
				    model_parse(argc, argv, 200000));
}
