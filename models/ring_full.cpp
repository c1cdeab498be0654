/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model: a full completion queue, and a client that reads it once.
 *
 * One completion fills the queue and a second request waits. The client reads
 * it, says so, and sleeps for the second; the daemon is about to park. (The
 * checker remembers three values of a word: with more completions the daemon
 * could not miss all of them.)
 *
 *  M4  Reading makes a daemon that waits for room go on.
 */
#define MODEL_CQ_ENTRIES 1
#include "models/ring.h"

struct ring_full : rl::test_suite<ring_full, 2>, both_ends {
	void before()
	{
		struct ring_work work;

		init();
		ring_server_unpark(&server);
		submit(1, false);
		ring_client_publish(&client);
		take(&work, 1);
		answer(&work.request);
		ring_server_publish(&server);
		submit(2, false);
		ring_client_publish(&client);
	}

	void read_all()
	{
		expect_reply(1);
		expect_reply(2);
	}

	void serve()
	{
		struct ring_work work;

		while (take(&work, 2) != RING_TAKE_REQUEST)
			rest();
		answer(&work.request);
		wake();
	}

	void thread(unsigned int number)
	{
		if (number == 0)
			read_all();
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
	return model_run<ring_full>("ring full",
				    model_parse(argc, argv, 200000));
}
