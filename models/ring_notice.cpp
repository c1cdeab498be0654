/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model: a refusal that nobody waits for.
 *
 * The client appends two handles, both of which the daemon refuses, wishes to
 * be told, looks, and then does nothing but wait for a letter by the socket.
 * After each letter it wishes again and looks again.
 *
 *  M10 A refusal is told, or found by the look behind a wish: nobody waits for
 *      a letter while there is one to be read: ring_client G6.
 *  M11 There is at most one letter for each wish.
 */
#include "models/ring.h"

enum { FREES = 2 };

struct ring_notice : rl::test_suite<ring_notice, 2>, both_ends {
	struct doorbell letter; /* the client's socket */
	rl::atomic<unsigned int> wishes;
	unsigned int letters;

	void before()
	{
		init();
		letter.init();
		wishes.store(0, rl::mo_relaxed, $);
		letters = 0;
	}

	void append(uint64_t handle)
	{
		int status = ring_client_free(&client, handle);

		RL_ASSERT(status == 0 || status == 1);
		publish();
		if (status == 1)
			bell.ring();
	}

	/* Wishes and looks; how many refusals were there. */
	unsigned int look(uint64_t next)
	{
		struct wire_reply reply;
		unsigned int n = 0;

		wishes.fetch_add(1, rl::mo_seq_cst, $);
		ring_client_wish(&client);
		while (ring_client_reap(&client, &reply) == 1)
			RL_ASSERT(reply.value[0] == next + n++);
		return n;
	}

	void client_thread()
	{
		unsigned int seen = 0;

		append(1);
		append(2);
		seen = look(1);
		while (seen < FREES) {
			letter.wait();
			seen += look(seen + 1);
		}
	}

	void tell()
	{
		wake();
		if (!ring_server_tells(&server))
			return;
		letters++;
		RL_ASSERT(letters <= wishes.load(rl::mo_seq_cst, $));
		letter.ring();
	}

	void refuse(const struct ring_work *work)
	{
		struct wire_reply reply;

		for (unsigned int i = 0; i < work->frees; i++) {
			memset(&reply, 0, sizeof(reply));
			reply.value[0] = work->handles[i];
			ring_server_refuse_free(&server, &reply);
		}
		ring_server_frees_done(&server, work->frees);
	}

	void daemon_thread()
	{
		struct ring_work work;
		unsigned int taken = 0;

		while (taken < FREES) {
			if (take(&work, 0) == RING_TAKE_FREES) {
				taken += work.frees;
				refuse(&work);
				tell();
				continue;
			}
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
		letter.deinit();
		bell.deinit();
	}
};

int main(int argc, char **argv)
{
	return model_run<ring_notice>("ring notice",
				      model_parse(argc, argv, 200000));
}
