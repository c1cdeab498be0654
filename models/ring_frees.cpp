/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model: the free queue, with and without requests behind it, and its timer.
 *
 * The client appends five handles to a queue of two, sleeping for room, and a
 * quiet request after the second; then it asks no more and waits for nothing.
 * The daemon has a timer.
 *
 * An append may become visible late: the checker's memory lets a load be as old
 * as it likes. What the protocol needs is that a store is visible within a
 * period; so here a period ends only between two appends, and whatever was
 * appended before is visible then.
 *
 *  M6  Every handle is taken once, in order; the ones before a request, before
 *      it.
 *  M7  No handle is left when everybody sleeps and no timer runs.
 */
#include "models/ring.h"

enum { FREES = 5, BEFORE = 2, REQUEST = 7 };

struct ring_free : rl::test_suite<ring_free, 2>, both_ends {
	rl::mutex period; /* held by an append: no period ends within it */
	unsigned int taken;
	bool request_taken;

	void before()
	{
		init();
		taken = 0;
		request_taken = false;
	}

	bool append(uint64_t handle)
	{
		int status;

		period.lock($);
		status = ring_client_free(&client, handle);
		period.unlock($);
		RL_ASSERT(status == 0 || status == 1 || status == -EAGAIN);
		if (status == 1)
			bell.ring();
		return status != -EAGAIN;
	}

	void free_sleeping(uint64_t handle)
	{
		bool in = append(handle);

		while (!in) {
			publish();
			sleep_unless_room(
				[&] { return in = append(handle); });
			if (!in)
				in = append(handle);
		}
	}

	void client_thread()
	{
		for (unsigned int i = 1; i <= FREES; i++) {
			free_sleeping(i);
			if (i == BEFORE) {
				RL_ASSERT(submit(REQUEST, true));
				publish();
			}
		}
	}

	bool is_done()
	{
		return taken == FREES && request_taken;
	}

	void take_all()
	{
		struct ring_work work;
		enum ring_take what = take(&work, REQUEST);

		for (; what != RING_TAKE_NONE; what = take(&work, REQUEST)) {
			if (what == RING_TAKE_REQUEST) {
				RL_ASSERT(taken >= BEFORE && !request_taken);
				request_taken = true;
				answer(&work.request);
				continue;
			}
			RL_ASSERT(what == RING_TAKE_FREES);
			for (unsigned int i = 0; i < work.frees; i++)
				RL_ASSERT(work.handles[i] == ++taken);
			ring_server_frees_done(&server, work.frees);
		}
		wake();
	}

	/* A whole period goes by while nobody looks. */
	void expire()
	{
		period.lock($);
		period.unlock($);
		ring_server_fq_expired(&server);
	}

	/* While the timer runs it expires, sooner or later; the bell may ring
	 * before, which is no different from a look in between. */
	void daemon_thread()
	{
		take_all();
		while (!is_done()) {
			if (!ring_server_park(&server, false)) {
				take_all();
				continue;
			}
			if (ring_server_wants_timer(&server))
				expire();
			else
				bell.wait();
			ring_server_unpark(&server);
			take_all();
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
	return model_run<ring_free>("ring frees",
				     model_parse(argc, argv, 200000));
}
