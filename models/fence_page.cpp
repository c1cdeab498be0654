/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model: a fence that is read in its maker's page, ends, and makes room for
 * another one in the same entry.
 *
 * The maker and the daemon raise the value; the daemon ends the fence and says
 * so to the maker, who begins another one. A reader who knows one tag or the
 * other looks all the time.
 *
 *  M12 A value that is read by a tag is one of that fence.
 *  M13 It never goes back.
 *  M14 What was written before a signal is visible to whoever reads its value.
 *  M22 When both have signalled, the value is the greater of theirs.
 */
#define TENURE_MODEL
#include <relacy/relacy.hpp>

#include "core/ring/fence_page.h"
#include "models/main.h"

enum { ENTRY = 1, FIRST = 1, MAKER = 5, DAEMON = 7, NEXT = 100, LOOKS = 3 };

struct fence_page_model : rl::test_suite<fence_page_model, 3> {
	struct fence_page page;
	VAR_T(uint32_t) payload;
	rl::atomic<uint32_t> ended; /* the daemon's answer to the maker */

	void before()
	{
		for (unsigned int i = 0; i < FENCE_PAGE_ENTRIES; i++) {
			page.entries[i].tag.store(0, rl::mo_relaxed, $);
			page.entries[i].value.store(0, rl::mo_relaxed, $);
		}
		payload($) = 0;
		ended.store(0, rl::mo_relaxed, $);
		fence_page_begin(&page, ENTRY, FIRST);
		fence_page_publish(&page, ENTRY, 1);
	}

	void make()
	{
		rl::linear_backoff backoff;

		payload($) = 42;
		fence_page_raise(&page, ENTRY, MAKER);
		while (ended.load(rl::mo_acquire, $) == 0)
			backoff.yield($);
		RL_ASSERT(fence_page_look(&page, ENTRY) == DAEMON);
		fence_page_begin(&page, ENTRY, NEXT);
		fence_page_publish(&page, ENTRY, 2);
	}

	void serve()
	{
		fence_page_raise(&page, ENTRY, DAEMON);
		fence_page_end(&page, ENTRY);
		ended.store(1, rl::mo_release, $);
	}

	void read()
	{
		uint64_t last = 0, value;

		for (int i = 0; i < LOOKS; i++) {
			if (!fence_page_read(&page, ENTRY, 1, &value))
				continue;
			RL_ASSERT(value == FIRST || value == MAKER ||
				  value == DAEMON);
			RL_ASSERT(value >= last);
			last = value;
			if (value == MAKER)
				RL_ASSERT(payload($) == 42);
		}
		if (fence_page_read(&page, ENTRY, 2, &value))
			RL_ASSERT(value == NEXT);
	}

	void thread(unsigned int number)
	{
		if (number == 0)
			make();
		else if (number == 1)
			serve();
		else
			read();
	}
};

int main(int argc, char **argv)
{
	return model_run<fence_page_model>("fence page",
					   model_parse(argc, argv, 200000));
}
