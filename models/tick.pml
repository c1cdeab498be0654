/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model: the budget of a tick, for Spin. The rules are those of daemon/turn.c,
 * core/reclaim.c and core/defer.c, written down a second time, with small numbers.
 *
 *	destroy --used?--> parked --the work ends--> reached --1--> stream --1--> gone
 *	    |                                                         ^
 *	    +---------------------------------------------------------+
 *
 * Two sessions have two items each, and one has one. Each item that was used waits
 * for its session's context; the work of one ends when it likes, and that of
 * another perhaps never. A step costs one visit, and the backend is one whose calls are
 * made at once. Requests come whenever no turn is owed, before one as many as like
 * to: one item, or all that are left of a session.
 *
 *  M26  A turn makes no more visits than its budget, which is within its bounds.
 *  M27  When no turn is owed, no more visits are to be made than before the last
 *       requests, but for what has been reached since.
 *  M28  Who can go on waits for at most a quantum of each of the others.
 *  M29  An item is visited once for each step of its way, however long it waits
 *       between them.
 *  M30  When nothing can happen any more, all has gone but what waits for work
 *       that has not ended.
 *  M31  No run goes on for ever.
 *
 * A mutant is this text with one name defined:
 *
 * mutant: NO_BUDGET reclaim_tick() goes on while there is anything to do
 * mutant: NO_BOUND turn_begin() gives all that is wanted
 * mutant: NO_QUANTUM a session is served until its turn's budget is spent
 * mutant: FRONT session_served() puts a session before the others
 * mutant: LOST session_served() forgets that there is more
 * mutant: REST_LOST what a turn has left is not gone on with
 * mutant: UNOWED turn_begin() owes nothing for what was destroyed
 * mutant: UNPAID engine_pump() makes one turn, whatever is owed
 * mutant: FORGIVEN turn_end() owes nothing when there is more to do
 * mutant: UNWOKEN what has been reached does not wake its session
 * mutant: LOOKED_AT each tick looks at what waits for work that has not ended
 * endless: OWED_KEPT turn_end() owes on when there is nothing to do
 * endless: PARKED_READY a session whose items all wait is served again
 */
#define SESSIONS 3
#define ITEMS 2		/* of two sessions; the third has one */
#define EACH 2		/* TURN_VISITS_EACH */
#define CATCH_UP 2	/* TURN_CATCH_UP */
#define BACKLOG 4	/* TURN_BACKLOG */
#define VISITS_MIN 1
#define VISITS_MAX 3
#define QUANTUM 2

/* Of each session: its items, by where they are. */
byte left[SESSIONS];
byte parked[SESSIONS], reached[SESSIONS], stream[SESSIONS];
bool is_ready[SESSIONS];
chan ready = [SESSIONS] of { byte };

byte fresh, owed;
bool behind;	/* the next turn comes before the next request */
bool wakes;	/* the worker has something to do */

/* For the assertions. */
byte wasted, waited[SESSIONS];
byte most;	/* visits that could be made before the last requests */

#define can_go() \
	(reached[0] + reached[1] + reached[2] + \
	 stream[0] + stream[1] + stream[2])

#define to_visit() \
	(can_go() + reached[0] + reached[1] + reached[2])

#define n_items() \
	(can_go() + parked[0] + parked[1])

/* session_wake() */
inline wake(who)
{
	if
	:: !is_ready[who] ->
		is_ready[who] = true;
		waited[who] = 0;
		ready ! who
	:: else
	fi;
	wakes = true
}

/* Requests of one session. */
inline destroy(who, count)
{
	if
	:: fresh == 0 -> most = to_visit()
	:: else
	fi;
	left[who] = left[who] - count;
	fresh = fresh + count;
	if
	:: true -> stream[who] = stream[who] + count; wake(who)
	:: who < 2 -> parked[who] = parked[who] + count; wakes = true
	fi
}

proctype client(byte me)
{
	do
	:: atomic { left[me] > 0 && !behind -> destroy(me, 1) }
	:: atomic { left[me] > 1 && !behind -> destroy(me, left[me]) }
	:: left[me] == 0 -> break
	od
}

/* The work of a context ends: what waits for it may be moved. */
proctype context(byte me; bool halts)
{
	do
	:: atomic { parked[me] > 0 ->
			reached[me] = reached[me] + parked[me];
			most = most + 2 * parked[me];
			parked[me] = 0;
#ifndef UNWOKEN
			wake(me)
#endif
		}
	:: halts -> break
	:: left[me] == 0 && parked[me] == 0 -> break
	od
}

#define visit() \
	spent++; \
	quantum--

#define others_wait(who) \
	if \
	:: is_ready[(who + 1) % SESSIONS] -> waited[(who + 1) % SESSIONS]++ \
	:: else \
	fi; \
	if \
	:: is_ready[(who + 2) % SESSIONS] -> waited[(who + 2) % SESSIONS]++ \
	:: else \
	fi

/* serve(): one session until its quantum is spent, or it has to wait. */
inline serve(who)
{
	is_ready[who] = false;
	do
	:: quantum > 0 && reached[who] > 0 ->
		/* defer_move() */
		reached[who]--;
		stream[who]++;
		visit();
		others_wait(who)
	:: quantum > 0 && reached[who] == 0 && stream[who] > 0 ->
		/* reclaim_front() */
		stream[who]--;
		visit();
		others_wait(who)
	:: else -> break
	od;
#ifdef LOOKED_AT
	if
	:: quantum > 0 && parked[who] > 0 -> visit(); wasted++
	:: else
	fi;
#endif
	assert(wasted == 0);	/* M29 */
	/* session_served() */
	if
#ifdef LOST
	:: false ->
#elif defined(PARKED_READY)
	:: reached[who] + stream[who] + parked[who] > 0 ->
#else
	:: reached[who] + stream[who] > 0 ->
#endif
		is_ready[who] = true;
		waited[who] = 0;
#ifdef FRONT
		/* All others go behind it. */
		ready ! who;
		quantum = len(ready) - 1;
		do
		:: quantum > 0 -> ready ? other; ready ! other; quantum--
		:: else -> break
		od
#else
		ready ! who
#endif
	:: else
	fi
}

#define min(a, b) ((a) < (b) -> (a) : (b))
#define max(a, b) ((a) > (b) -> (a) : (b))

inline turn_begin()
{
#ifndef UNOWED
	owed = owed + fresh * EACH * CATCH_UP;
#endif
	fresh = 0;
	budget = max(n_items() * EACH / BACKLOG, owed);
	budget = max(budget, VISITS_MIN);
#ifndef NO_BOUND
	budget = min(budget, VISITS_MAX);
#endif
	assert(budget <= VISITS_MAX)	/* M26 */
}

inline reclaim_tick()
{
	do
#ifdef NO_BUDGET
	:: len(ready) > 0 ->
#else
	:: spent < budget && len(ready) > 0 ->
#endif
		ready ? session;
		assert(waited[session] <= QUANTUM * (SESSIONS - 1)); /* M28 */
#ifdef NO_BUDGET
		quantum = QUANTUM;
#elif defined(NO_QUANTUM)
		quantum = budget - spent;
#else
		quantum = min(QUANTUM, budget - spent);
#endif
		serve(session);
#ifdef PARKED_READY
		/* A look costs, too. */
		if
		:: quantum > 0 -> spent++
		:: else
		fi
#endif
	:: else -> break
	od;
	assert(spent <= budget)		/* M26 */
}

inline turn_end()
{
	owed = owed - min(owed, spent);
#ifdef OWED_KEPT
	skip;
#else
	if
#ifdef FORGIVEN
	:: true -> owed = 0
#else
	:: len(ready) == 0 -> owed = 0
#endif
	:: else
	fi;
#endif
#ifdef UNPAID
	behind = false;
#else
	behind = owed > 0;
#endif
	assert(behind || to_visit() <= most)	/* M27 */
}

/* engine_pump_locked(); the worker comes again while there is more to do, or it
 * is behind, and else sleeps. */
active proctype daemon()
{
	byte budget, spent, quantum, session, other;

end:
	do
	:: d_step { wakes ->
			turn_begin();
			reclaim_tick();
			turn_end();
			most = (behind -> most : to_visit());
#ifdef REST_LOST
			wakes = behind;
#else
			wakes = behind || len(ready) > 0;
#endif
			budget = 0;
			spent = 0;
			quantum = 0;
			session = 0;
			other = 0
		}
	od
}

init
{
	atomic {
		left[0] = ITEMS;
		left[1] = ITEMS;
		left[2] = 1;
		run client(0);
		run client(1);
		run client(2);
		run context(0, true);
		run context(1, false)
	}
}

/* M30 */
active proctype judge()
{
	timeout -> assert(can_go() == 0 && parked[1] == 0)
}
