/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model: ring_bell.cpp, with a look that a processor makes early.
 *
 * Whoever prepares to sleep reads the sequence, says that he sleeps, and looks.
 * The load of the sequence orders nothing, so one that stood between the other
 * two would not keep the look behind it: the look could be made right behind
 * the exchange, and the sequence read after the wake-up that the look has
 * missed. The checker takes sequentially consistent operations in the order of
 * its steps and shows no such look. So here the first look behind the exchange
 * finds, now and then, what there was just after that.
 *
 *  M23 A sleeper has the sequence from before it said that it sleeps (else M2
 *      does not hold).
 */
#define MODEL_LOOK_EARLY
#include "models/ring_bell.cpp"

static uint32_t looked;

static void early_client_need_set(struct ring *ring, uint32_t need)
{
	ring_client_need_set(ring, need);
	rl::preemption_disabler whole(rl::ctx());
	looked = ring_cq_tail_look(ring);
	has_looked = rl::rand(2) == 0;
}

static uint32_t early_cq_tail_look(const struct ring *ring)
{
	uint32_t tail = has_looked ? looked : ring_cq_tail_look(ring);

	has_looked = false;
	return tail;
}
