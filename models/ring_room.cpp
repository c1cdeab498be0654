/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model: more replies than the completion queue has room for.
 *
 * Four requests and room for two completions. The daemon parks for room when
 * the client is late; the client sleeps for room in the submission queue and
 * for replies.
 *
 *  M3  No completion is written over one that has not been read.
 *  M4  Reading makes a daemon that waits for room go on.
 *  M5  Whoever waits for room to submit is woken when there is some.
 */
#include "models/ring.h"

enum { REQUESTS = 4 };

struct ring_room : rl::test_suite<ring_room, 2>, both_ends {
	void before()
	{
		init();
	}

	void submit_sleeping(uint64_t number)
	{
		bool in = submit(number, false);

		while (!in) {
			sleep_unless_room(
				[&] { return in = submit(number, false); });
			if (!in)
				in = submit(number, false);
		}
		publish();
	}

	void ask()
	{
		submit_sleeping(1);
		submit_sleeping(2);
		submit_sleeping(3);
		expect_reply(1);
		submit_sleeping(4);
		for (uint64_t i = 2; i <= REQUESTS; i++)
			expect_reply(i);
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
	return model_run<ring_room>("ring room",
				    model_parse(argc, argv, 200000));
}
