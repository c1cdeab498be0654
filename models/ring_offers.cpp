/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model: offers.
 *
 * The client offers two buffers, the one that ends later first, takes that one
 * back if it is not too late, uses it and offers it again. The daemon sleeps
 * until the bell rings, or until the time at which it has said it will look;
 * time passes when nothing else does.
 *
 *  M9   Every offer that stays is taken, once, and comes with its handle.
 *  M17  None is taken before its time.
 *  M10  A buffer is used by one side at a time, and what the client did with
 *       it comes before the daemon takes it.
 */
#include "models/ring.h"

struct ring_offers_taken : rl::test_suite<ring_offers_taken, 2>, both_ends {
	VAR_T(uint32_t) buffers[RING_OFFERS];

	void before()
	{
		init();
		for (unsigned int i = 0; i < RING_OFFERS; i++)
			buffers[i]($) = 0;
	}

	void make(uint32_t entry, uint64_t until)
	{
		if (offers_make(&ring.offers, entry, until))
			bell.ring();
	}

	void use(uint32_t entry)
	{
		buffers[entry]($) = buffers[entry]($) + 1;
	}

	void offer()
	{
		for (uint32_t i = 0; i < RING_OFFERS; i++) {
			offers_name(&ring.offers, i, i + 1);
			use(i);
			make(i, 20 - 10 * i);
		}
		if (!offers_withdraw(&ring.offers, 0, 20))
			return;
		use(0);
		make(0, 30);
	}

	void take()
	{
		uint64_t handles[RING_OFFERS], due = 0, now = 0;
		uint32_t taken = 0, seen = 0, n;

		while (taken < RING_OFFERS) {
			if (due == 0)
				bell.wait();
			now = max_u64(now, due);
			n = offers_take(&ring.offers, now, handles, &due);
			RL_ASSERT(n == 0 || due == 0 || due > now);
			for (uint32_t i = 0; i < n; i++) {
				RL_ASSERT(handles[i] == 1 || handles[i] == 2);
				RL_ASSERT(!(seen & handles[i]));
				seen |= (uint32_t)handles[i];
				/* Entry 1 until 10, entry 0 until 20 or 30. */
				RL_ASSERT(now >= (handles[i] == 2 ? 10 : 20));
				use((uint32_t)handles[i] - 1);
			}
			taken += n;
		}
		RL_ASSERT(buffers[1]($) == 2);
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
