/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model: the depot.
 *
 * Segments 1, 2 and 3 lie in the depot. Two threads take and give back: one
 * takes two and gives the first one back, the other takes one and gives it
 * back; a third waits for one. Whoever has a segment writes into it and reads
 * it again.
 *
 *  M1  Nobody else has a segment that a thread has: depot G1.
 *  M2  What the last holder wrote is what the next one reads: depot G2.
 *  M3  At the end each segment is in the depot once or was kept.
 */
#define TENURE_MODEL
#include "core/depot.h"

#include "models/main.h"

enum { SEGMENTS = 3 };

struct depot_passing : rl::test_suite<depot_passing, 3> {
	struct depot depot;
	atomic_u32 links[SEGMENTS + 1];
	VAR_T(uint32_t) written[SEGMENTS + 1];
	uint32_t kept;

	void before()
	{
		depot.head($) = 1;
		for (uint32_t i = 0; i <= SEGMENTS; i++) {
			links[i]($) = i < SEGMENTS ? i + 1 : 0;
			written[i]($) = 100;
		}
		kept = 0;
	}

	uint32_t take()
	{
		uint32_t id = depot_pop(&depot, links);

		RL_ASSERT(id <= SEGMENTS);
		if (id != 0) {
			RL_ASSERT(written[id]($) == 100);
			written[id]($) = id;
		}
		return id;
	}

	void give(uint32_t id)
	{
		if (id == 0)
			return;
		RL_ASSERT(written[id]($) == id);
		written[id]($) = 100;
		depot_push(&depot, links, id);
	}

	void thread(unsigned int number)
	{
		uint32_t first = take();

		if (number == 0) {
			kept = take();
			give(first);
			RL_ASSERT(kept == 0 || written[kept]($) == kept);
		} else {
			give(first);
		}
	}

	void after()
	{
		uint32_t n = kept != 0, id = depot_top(&depot), seen = 0;

		if (kept != 0)
			seen |= 1u << kept;
		for (; id != 0; id = depot_below(links, id), n++) {
			RL_ASSERT((seen >> id & 1) == 0);
			seen |= 1u << id;
		}
		RL_ASSERT(n == SEGMENTS);
	}
};

/* The least in which a number comes back between two steps of another. */
struct depot_reuse : rl::test_suite<depot_reuse, 2> {
	struct depot depot;
	atomic_u32 links[3];
	VAR_T(uint32_t) holder[3];

	void before()
	{
		depot.head($) = 1;
		links[0]($) = 0;
		links[1]($) = 2;
		links[2]($) = 0;
		holder[1]($) = holder[2]($) = 0;
	}

	uint32_t take(uint32_t number)
	{
		uint32_t id = depot_pop(&depot, links);

		if (id != 0)
			holder[id]($) = number + 1;
		return id;
	}

	void thread(unsigned int number)
	{
		uint32_t first = take(number), second;

		if (number == 0) {
			second = take(number);
			if (first != 0)
				depot_push(&depot, links, first);
			if (second != 0)
				RL_ASSERT(holder[second]($) == number + 1);
		} else {
			second = take(number);
			if (first != 0)
				RL_ASSERT(holder[first]($) == number + 1);
			if (second != 0)
				RL_ASSERT(holder[second]($) == number + 1);
		}
	}
};

int main(int argc, char **argv)
{
	model_options n = model_parse(argc, argv, 500000);
	int failed = model_run<depot_passing>("depot", n);

	return failed + model_run<depot_reuse>("depot, numbers again", n);
}
