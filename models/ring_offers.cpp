/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model: offers.
 *
 * The client offers two buffers, the one that ends later first. Then it takes
 * both back, if it is not too late, and offers that buffer again or, in the
 * same entry, another one; what was taken makes room for another one, too. The
 * last offer ends after all others. The daemon sleeps until the bell rings, or
 * until the time at which it has said it will look; time passes when nothing
 * else does.
 *
 * Handles are read and written relaxed, so they must not be touched by both at
 * a time (models/ring.h), with one exception: the daemon may read the handle of
 * an offer that is being withdrawn. It must not take that one.
 *
 *  M9   Every offer that stays is taken, once, and comes with its handle.
 *  M17  None is taken before its time.
 *  M10  A buffer is used by one side at a time, and what the client did with
 *       it comes before the daemon takes it.
 *  M21  A handle that the daemon takes was read before the client writes
 *       another one there.
 */
#include "models/ring.h"

enum { ROUNDS = 2, HANDLES = RING_OFFERS * (ROUNDS + 1), PAUSE = 10 };

struct ring_offers_taken : rl::test_suite<ring_offers_taken, 2>, both_ends {
	VAR_T(uint32_t) buffers[HANDLES + 1];
	/* What the model knows, and neither side. */
	uint64_t now, last_until, until[HANDLES + 1];
	bool offered[HANDLES + 1];
	uint64_t named[RING_OFFERS], last_named, last;

	void before()
	{
		init();
		for (unsigned int i = 0; i <= HANDLES; i++) {
			buffers[i]($) = 0;
			offered[i] = false;
		}
		now = last_until = last_named = last = 0;
	}

	void name(uint32_t entry)
	{
		named[entry] = ++last_named;
		offers_name(&ring.offers, entry, named[entry]);
	}

	void make(uint32_t entry, uint64_t until_ns)
	{
		uint64_t handle = named[entry];

		use(handle);
		until[handle] = until_ns;
		last_until = max_u64(last_until, until_ns);
		offered[handle] = true;
		if (offers_make(&ring.offers, entry, until_ns))
			bell.ring();
	}

	void use(uint64_t handle)
	{
		buffers[handle]($) = buffers[handle]($) + 1;
	}

	bool withdraw(uint32_t entry)
	{
		if (rl::rand(2) && offers_is_taken(&ring.offers, entry))
			return false;
		if (!offers_withdraw(&ring.offers, entry, until[named[entry]]))
			return false;
		offered[named[entry]] = false;
		return true;
	}

	void again(uint32_t entry, bool is_last)
	{
		bool withdrawn = withdraw(entry);
		atomic_u64 *handle = &ring.offers.entries[entry].handle;

		if (withdrawn)
			use(named[entry]);
		if (!withdrawn || rl::rand(2)) {
			handle->is_unwatched = withdrawn;
			name(entry);
			handle->is_unwatched = false;
		}
		if (is_last)
			last = named[entry];
		make(entry, max_u64(now, last_until) + PAUSE);
	}

	void offer()
	{
		for (uint32_t i = 0; i < RING_OFFERS; i++) {
			name(i);
			make(i, now + (RING_OFFERS - i) * PAUSE);
		}
		for (uint32_t i = 0; i < ROUNDS * RING_OFFERS; i++)
			again(i % RING_OFFERS, i == ROUNDS * RING_OFFERS - 1);
	}

	/* Returns when the last one was among them. */
	bool take_some(uint64_t *due)
	{
		uint64_t handles[RING_OFFERS];
		uint32_t n = offers_take(&ring.offers, now, handles, due);
		bool ended = false;

		RL_ASSERT(n == 0 || *due == 0 || *due > now);
		for (uint32_t i = 0; i < n; i++) {
			RL_ASSERT(handles[i] > 0 && handles[i] <= HANDLES);
			RL_ASSERT(offered[handles[i]]);
			RL_ASSERT(now >= until[handles[i]]);
			offered[handles[i]] = false;
			use(handles[i]);
			ended |= handles[i] == last;
		}
		return ended;
	}

	void take()
	{
		uint64_t due = 0;

		do {
			while (due == 0) {
				bell.wait();
				if (offers_called(&ring.offers))
					break;
			}
			now = max_u64(now, due);
		} while (!take_some(&due));
		for (unsigned int i = 1; i <= HANDLES; i++)
			RL_ASSERT(!offered[i]);
	}

	void thread(unsigned int number)
	{
		if (number == 0)
			offer();
		else
			take();
	}

	void after()
	{
		bell.deinit();
	}
};

int main(int argc, char **argv)
{
	return model_run<ring_offers_taken>("ring offers",
					    model_parse(argc, argv, 200000));
}
