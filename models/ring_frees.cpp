/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model: the free queue, with and without requests behind it, and its timer.
 *
 * The client appends five handles to a queue of two, sleeping for room, and a
 * quiet request after the second; then it asks no more and waits for nothing.
 * The daemon has a timer.
 *
 * An append and a wish may become visible late: the checker's memory lets a load
 * be as old as it likes. What the protocol needs is that a store is visible
 * within a period, and no more: nothing else orders the two ends there, and the
 * client may come to a halt between an append and its glance for as many
 * periods as the daemon has. So the end of a period finds the tail that is the
 * newest then; and a glance finds the newest wish, once a period has ended
 * since that was made. Neither brings any order with it.
 *
 * The daemon may publish late, too, what it has taken.
 *
 *  M6  Every handle is taken once, in order; the ones before a request, before
 *      it.
 *  M7  No handle is left when everybody sleeps and no timer runs.
 */
#define MODEL_PERIOD
#include "models/ring.h"

static unsigned int periods, wish_period;

static void period_need_store(struct ring *ring, uint32_t need)
{
	wish_period = periods;
	ring_fq_need_store(ring, need);
}

/* From here on a load finds the newest value, or a newer one. */
static void catch_up(const atomic_u32 *word)
{
	const_cast<atomic_u32 *>(word)->fetch_add(0, rl::mo_relaxed, $);
}

static uint32_t period_need_glance(const struct ring *ring)
{
	rl::ctx().sched();
	rl::preemption_disabler whole(rl::ctx());
	if (wish_period != periods)
		catch_up(&ring->header.fq_need);
	return ring_fq_need_glance(ring);
}

enum { FREES = 5, BEFORE = 2, REQUEST = 7 };

struct ring_free : rl::test_suite<ring_free, 2>, both_ends {
	unsigned int taken;
	bool request_taken;

	void before()
	{
		periods = 0;
		init();
		taken = 0;
		request_taken = false;
	}

	bool append(uint64_t handle)
	{
		int status = ring_client_free(&client, handle);

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
		if (rl::rand(2) == 0)
			wake();
	}

	/* A whole period goes by while nobody looks. */
	void expire()
	{
		rl::ctx().sched();
		{
			rl::preemption_disabler whole(rl::ctx());
			catch_up(&ring.header.fq_tail);
			periods++;
		}
		ring_server_fq_expired(&server);
	}

	/* What has been taken is published, whatever it was. */
	void sleep()
	{
		wake();
		bell.wait();
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
				sleep();
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
