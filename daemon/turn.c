/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Turn: the budgets of one step of reclaim.
 *
 * Whoever makes a turn keeps everybody else waiting, so it has to be short;
 * but garbage that comes faster than turns take it away would grow without
 * end. So a turn has a budget that follows the work, between two bounds, and
 * when one turn is not enough several come in a row, with the gate open in
 * between.
 *
 *	visits
 *	2048 |             ________     at most: 50 us of cache misses
 *	     |            /
 *	     |           /              a 64th of the backlog, or what is owed
 *	 256 |__________/               at least: the rest of a turn costs, too
 *	     +---------------------->   backlog
 *
 * The currency is a visit, which is a line that may have to come from memory.
 * A slot that has been retired takes four until it is free. How many slots
 * there are to visit is known but for two cases: what clients that end still
 * have, for which the most is done that a turn may, and what waits for work of
 * contexts, which is counted as if it could go. Too large a budget does no harm:
 * a turn ends when there is nothing left to do. One that is spent may be passed
 * by one release, which is why jobs are limited in slots (JOB_SLOTS_MAX).
 *
 *	requests retire n slots --owe--> 2 x 4 n visits --pay--> turns
 *
 * What requests retire is owed twofold. Until that is paid, or there is nothing
 * that could be done now, the next turn comes before the next request; so the
 * backlog that could go never grows, whatever clients do. Those who wait
 * meanwhile wait for as much as others have done in one round, and no more:
 * within the turns every client with garbage has a quantum in its turn
 * (core/reclaim.c), and what turns retire by themselves, when a client has
 * died, is not owed: it comes a turn at a time, between the requests of all.
 *
 * Waits for fences that are decided and go in turns (core/fence_wait.c) are
 * owed, too, as much as they will take: or turns that let them go would pay with
 * it for garbage that is still there.
 *
 * Giving memory back is paid apart: a call takes microseconds whatever it
 * visits, and a page as long as some ten visits. What is not made within the
 * turn is the releaser's, whose jobs are limited in bytes (JOB_BYTES_MAX).
 *
 * Guarantees, cited by the tests:
 *
 *  G1  A budget is within its bounds, and follows the backlog.
 *  G2  After turns until nothing is owed no more can go than could before the
 *      last requests.
 *  G3  What turns retire is not owed, nor is what cannot be done now.
 */
#include "daemon/turn.h"

#include "core/fence_wait.h"

struct turn_load turn_load_of(const struct broker *broker)
{
	const struct state *state = region_state(&broker->env.region);

	return (struct turn_load){ .items = state->n_items,
				   .loose = state->n_loose_waits,
				   .destroyed = state->destroyed_total,
				   .loosened = state->loosened_total,
				   .ending = state->n_ending > 0 };
}

static uint64_t wanted(const struct pace *pace, const struct turn_load *load)
{
	if (load->ending)
		return TURN_VISITS_MAX;
	return max_u64(
		(load->items * TURN_VISITS_EACH + load->loose * WAIT_VISITS) /
			TURN_BACKLOG,
		pace->owed);
}

void turn_begin(struct turn *turn, struct pace *pace,
		const struct turn_load *load)
{
	uint64_t fresh = load->destroyed - pace->destroyed, visits;

	pace->owed += fresh * TURN_VISITS_EACH * TURN_CATCH_UP;
	pace->owed += (load->loosened - pace->loosened) * (WAIT_VISITS + 1);
	pace->loosened = load->loosened;
	visits = max_u64(wanted(pace, load), TURN_VISITS_MIN);
	*turn = (struct turn){
		.budget = (uint32_t)min_u64(visits, TURN_VISITS_MAX),
		.releases = TURN_RELEASES_MAX,
		.release_bytes = TURN_RELEASE_BYTES_MAX,
	};
	turn->visits = turn->budget;
}

void turn_visit(struct turn *turn, uint64_t visits)
{
	turn->visits -= (uint32_t)min_u64(turn->visits, visits);
}

void turn_release(struct turn *turn, uint32_t slots, uint64_t bytes)
{
	assert(turn_may_release(turn));
	turn_visit(turn, (uint64_t)slots * TURN_VISITS_DONE);
	turn->releases--;
	turn->release_bytes -= min_u64(turn->release_bytes, bytes);
}

bool turn_end(const struct turn *turn, struct pace *pace, bool more,
	      uint64_t destroyed)
{
	pace->destroyed = destroyed;
	pace->owed -= min_u64(pace->owed, turn->budget - turn->visits);
	if (!more)
		pace->owed = 0;
	return pace->owed > 0;
}
