/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model: the timer of the free queue on a machine with store buffers, for
 * Spin. The protocol is that of core/ring/ring_server.c, written down a second
 * time; the shipped text itself is checked by models/ring_frees.cpp.
 *
 * A store goes into its writer's buffer and is seen by others when it leaves
 * that, in order. The client's glance at `need` reads memory while its own
 * store of `tail` may still be in the buffer: nothing orders the two. A system
 * call empties the buffer.
 *
 * The one assumption: a store leaves its buffer within half a period. (Within
 * a whole one is not enough: the wish and the append may both be late.)
 *
 *  M10  When nothing can happen any more, every append has been taken.
 *  M11  What was appended before the middle of a period is taken at its end.
 *  M19  No run goes on for ever: the timer stops when nothing comes.
 *
 * A mutant is this text with one name defined:
 *
 * mutant: NO_LINGER the timer stops as soon as nothing came
 * mutant: WHOLE_PERIOD a store may stay in its buffer for a whole period
 * mutant: NO_ASSUMPTION a store may stay in its buffer for ever
 * mutant: SAME_WISH each wish to be rung is the same
 * mutant: NO_WISH it lingers without asking to be rung
 * mutant: WASTED_WISH the client rings for what had been taken before the wish
 * mutant: NO_TIMER what was taken does not start the timer
 * mutant: DEAF the client does not ring
 * endless: NO_REST the timer goes on when nothing has come
 */
#define APPENDS 4

mtype = { BELL, TIMER, LINGER };

byte tail, head, need = 1;	/* memory, as everybody sees it */
byte issued, drained;		/* stores of the client */
byte told, heard;		/* stores of the daemon */
chan client_buffer = [2] of { byte };
chan daemon_buffer = [2] of { byte };
bool rung;			/* the doorbell */
byte taken;

active proctype memory()
{
end:
	do
	:: atomic { client_buffer ? tail -> drained++ }
	:: atomic { daemon_buffer ? need -> heard++ }
	od
}

active proctype client()
{
	byte glance, last;

	do
	:: issued < APPENDS ->
		atomic { client_buffer ! issued + 1 -> issued++ }
		glance = need;
		if
#ifndef DEAF
#ifdef WASTED_WISH
		:: glance != 0 && glance != last ->
#else
		:: glance != 0 && glance != last && head != issued ->
#endif
			last = glance;
			empty(client_buffer);
			rung = true
#endif
		:: else
		fi
	:: else -> break
	od
}

#define store_need(value) \
	atomic { daemon_buffer ! value -> told++ }

/* Half a period begins. */
#define start_half() \
	mark = issued; told_mark = told

#define start_period() \
	atomic { running = true; late = false; start_half() }

#define take() \
	if \
	:: tail != taken -> \
		taken = tail; \
		came = true; \
		if \
		:: state != TIMER -> store_need(0); state = TIMER \
		:: else \
		fi; \
		atomic { empty(daemon_buffer) -> head = taken } \
	:: else \
	fi

active proctype daemon()
{
	mtype state = BELL;
	bool running, came, some;
	bool late;	/* in the second half of the period */
	byte wish = 1, mark, told_mark;

end:
	do
	:: atomic { rung -> rung = false }
		take();
#ifndef NO_TIMER
		if
		:: state != BELL && !running -> start_period()
		:: else
		fi
#endif
#ifdef NO_ASSUMPTION
	:: running ->
#else
	:: atomic { running && !late && drained >= mark &&
		    heard >= told_mark ->
			late = true;
#ifndef WHOLE_PERIOD
			start_half()
#endif
		}
	:: running && late && drained >= mark && heard >= told_mark ->
#endif
		some = came || tail != taken;
		came = false;
		running = false;
		if
		:: some ->
			if
			:: state != TIMER -> store_need(0); state = TIMER
			:: else
			fi
#ifdef NO_REST
		:: !some && state == LINGER -> state = TIMER
#else
		:: !some && state == LINGER -> state = BELL
#endif
		:: !some && state == TIMER ->
#ifdef NO_LINGER
			state = BELL;
#else
			state = LINGER;
#endif
#ifndef SAME_WISH
			wish++;
#endif
#ifndef NO_WISH
			store_need(wish)
#endif
		fi;
		take();
#ifndef NO_ASSUMPTION
		assert(taken >= mark);
#endif
		if
		:: state != BELL -> start_period()
		:: else
		fi
	od
}

/* M10 */
active proctype judge()
{
	timeout -> assert(taken == APPENDS)
}
