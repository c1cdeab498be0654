/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model: signals in a page of fences, and a daemon that sleeps.
 *
 * The maker raises a fence twice, without any request; the daemon sleeps until
 * it has seen both.
 *
 *  M15 A signal wakes a daemon that waits for it, and what the maker wrote
 *      before is visible behind it.
 */
#include "models/ring.h"

static bool atomic_compare_exchange_weak_explicit(
	watched_u64 *w, uint64_t *expected, uint64_t desired,
	rl::memory_order order, rl::debug_info_param where,
	rl::memory_order failed, rl::debug_info_param)
{
	return w->word.compare_exchange_weak(*expected, desired, order, where,
					     failed, where);
}

#include "core/ring/fence_page.h"

enum { STEPS = 2, ENTRY = 1 };

struct ring_page : rl::test_suite<ring_page, 2>, both_ends {
	struct fence_page page;
	VAR_T(uint32_t) payload;

	void before()
	{
		init();
		for (unsigned int i = 0; i < FENCE_PAGE_ENTRIES; i++) {
			zero_word(&page.entries[i].tag);
			zero_word(&page.entries[i].value);
		}
		payload($) = 0;
	}

	void signal()
	{
		payload($) = 42;
		for (uint64_t step = 1; step <= STEPS; step++) {
			RL_ASSERT(fence_page_raise(&page, ENTRY, step));
			if (ring_client_is_asked(&ring))
				bell.ring();
		}
	}

	void watch()
	{
		uint64_t seen = 0;

		while (seen < STEPS) {
			if (ring_server_park(&server, true)) {
				seen = fence_page_look(&page, ENTRY);
				if (seen < STEPS)
					bell.wait();
			}
			ring_server_unpark(&server);
			seen = fence_page_look(&page, ENTRY);
		}
		RL_ASSERT(payload($) == 42);
	}

	void thread(unsigned int number)
	{
		if (number == 0)
			signal();
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
	return model_run<ring_page>("ring page",
				    model_parse(argc, argv, 200000));
}
