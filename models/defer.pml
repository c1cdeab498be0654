/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model: deferral, for Spin: two contexts, three objects, and a context that
 * may come to a halt for ever. The rules are those of core/defer.c and
 * core/timeline.c, written down a second time; the progress words and the
 * doorbell are those of core/ring, whose shipped text is checked by
 * models/ring_progress.cpp.
 *
 *	client:  destroys, one of each kind, in two orders
 *	owners:  store of the word, then a look at who wants to be rung
 *	daemon:  look -> line of a context -> reached: look again -> released
 *
 * One object is used by the first context, one by the second and one by both,
 * each up to any value. Each context was given work up to LAST. Its owner says how far it has come,
 * one value after the other; that of the second context may stop anywhere. In
 * the end the client may die, or not.
 *
 *  M12  Nothing is released while work that uses it has not ended.
 *  M13  Each object is released once.
 *  M14  An object moves no more often than there are contexts.
 *  M15  When nothing can happen any more, all is released but what was used by
 *       the context that came to a halt; and that, too, if the client died.
 *  M20  No run goes on for ever: the daemon sleeps when it has nothing to do.
 *
 * A mutant is this text with one name defined:
 *
 * mutant: FORGET_OTHERS what one context has let go waits for no other
 * mutant: NO_ROUNDING an item takes the value of the one before it in line
 * mutant: ONE_LINE all wait in one line, in the order of their destroys
 * mutant: NO_LOOK whoever goes to sleep does not look at the words once more
 * mutant: DEAF the owners do not ring
 * mutant: EARLY the next value is taken for reached
 * mutant: BOUNCE work that has ended is waited for once more
 * mutant: TWICE an item that is looked at again stays in its line
 * mutant: SURVIVOR the death of the client is not the end of its work
 * endless: SLEEPLESS whoever finds nothing to do looks again at once
 * smaller: LAST=1
 */
#define CONTEXTS 2
#define OBJECTS 3
#ifndef LAST
#define LAST 2
#endif
#define EVER 255
#define NOBODY 255
#define USE(o, c) use[(o) * CONTEXTS + (c)]

/* Memory that the client and the daemon share. */
byte word[CONTEXTS];
bool wants_bell, rung;

/* What the client has asked for. */
byte use[6];	/* the last value of each context that uses an object */
chan requests = [OBJECTS + 1] of { byte };	/* NOBODY: it is gone */
bool halted;	/* the second context */
bool gone;

/* The daemon's own. */
byte done[CONTEXTS];
chan line0 = [OBJECTS] of { byte, byte, bool };
chan line1 = [OBJECTS] of { byte, byte, bool };
byte last[CONTEXTS], moves[OBJECTS], released[OBJECTS];
byte object, value, context;
bool again, took, dead;

#ifdef DEAF
#define ring()	skip
#else
#define ring() \
	if \
	:: wants_bell -> rung = true \
	:: else \
	fi
#endif

proctype owner(byte c)
{
	do
	:: atomic { word[c] < LAST && !(c == 1 && halted) -> word[c]++ }
		atomic { ring() }
	:: atomic { c == 1 && word[c] < LAST && !halted -> halted = true }
	:: else -> break
	od
}

#define some_use(o, c) \
	if \
	:: USE(o, c) = 1 \
	:: USE(o, c) = LAST \
	fi

/* Uses and destroys, and perhaps an end. */
active proctype client()
{
	byte o, first;

	/* One for each context, and one for both: which is destroyed when? */
	atomic {
		if
		:: first = 0	/* that of both at last */
		:: first = 1	/* and at first */
		fi;
		some_use(first, 0);
		some_use((first + 1) % OBJECTS, 1);
		some_use((first + 2) % OBJECTS, 0);
		some_use((first + 2) % OBJECTS, 1);
		first = 0;
		run owner(0);
		run owner(1)
	}
	do
	:: atomic { o < OBJECTS -> requests ! o; rung = true; o++ }
	:: atomic { o == OBJECTS -> gone = true; requests ! NOBODY; rung = true;
			o = 0; break
		}
	:: atomic { o == OBJECTS -> o = 0; break }
	od
}

#ifdef BOUNCE
#define pending(c) (USE(object, c) > 0)
#else
#define pending(c) (USE(object, c) > done[c])
#endif

/* What the words say now; the greatest ever said counts. */
#define look_at(c) \
	if \
	:: word[c] > done[c] -> done[c] = word[c] \
	:: else \
	fi

#define look_at_words() \
	look_at(0); \
	look_at(1)

inline release()
{
	/* M12, by what the owners themselves have said. */
	assert(dead || (USE(object, 0) <= word[0] && USE(object, 1) <= word[1]));
	released[object]++;
	assert(released[object] == 1)	/* M13 */
}

inline park(c, line)
{
	moves[object]++;
	assert(moves[object] <= CONTEXTS);	/* M14 */
	value = USE(object, c);
	if
#ifdef NO_ROUNDING
	:: len(line) > 0 -> value = last[c]
#else
	:: len(line) > 0 && last[c] > value -> value = last[c]
#endif
	:: else
	fi;
	last[c] = value;
	line ! object, value, again
}

/* An object that waits for the contexts that it has not waited for yet. */
inline defer()
{
	look_at_words();
	again = pending(0) && pending(1);
	if
#ifdef ONE_LINE
	:: pending(0) || pending(1) ->
		moves[object]++;
		value = 0;
		line0 ! object, value, true
#else
	:: pending(0) -> park(0, line0)
	:: !pending(0) && pending(1) -> park(1, line1)
#endif
	:: else -> release()
	fi
}

/* The first of a line that has come to its value. */
inline move(c, line)
{
#ifdef TWICE
	line ? <object, value, again>;
	if
	:: !again -> line ? object, value, again
	:: else
	fi;
#else
	line ? object, value, again;
#endif
	if
#ifdef FORGET_OTHERS
	:: again -> release()
#else
	:: again -> defer()
#endif
	:: else -> release()
	fi
}

#ifdef EARLY
#define is_reached(v, c) (v <= done[c] + 1)
#else
#define is_reached(v, c) (v <= done[c])
#endif

/* The value of the first of a line; the daemon alone looks. */
inline front(line)
{
	if
	:: len(line) > 0 -> line ? <object, value, again>
	:: else -> value = NOBODY
	fi
}

#ifdef ONE_LINE
/* The first in the only line decides, whichever context it waits for. */
#define first_is_free(c) (!pending(0) && !pending(1))
#else
#define first_is_free(c) is_reached(value, c)
#endif

/* Takes a step; context is NOBODY when there is none to take. */
inline step()
{
	context = NOBODY;
	front(line0);
	if
	:: value != NOBODY && first_is_free(0) -> context = 0
	:: else ->
		front(line1);
		if
		:: value != NOBODY && first_is_free(1) -> context = 1
		:: else
		fi
	fi;
	if
	:: context == 0 -> move(0, line0)
	:: context == 1 -> move(1, line1)
	:: else
	fi;
	took = context != NOBODY
}

/* What does not matter any more makes no states. */
inline forget()
{
	object = 0;
	value = 0;
	context = 0;
	again = false;
	if
	:: len(line0) == 0 -> last[0] = 0
	:: else
	fi;
	if
	:: len(line1) == 0 -> last[1] = 0
	:: else
	fi
}

inline die()
{
	dead = true;
#ifndef SURVIVOR
	done[0] = EVER;
	done[1] = EVER
#else
	skip
#endif
}

active proctype daemon()
{
	do
	:: d_step { len(requests) > 0 ->
			requests ? object;
			if
			:: object == NOBODY -> die()
			:: else -> defer()
			fi;
			forget()
		}
	:: d_step { len(requests) == 0 -> step(); forget() };
		if
		:: took
		:: else ->
			/* Nothing to do: asks to be rung, looks once more. */
			wants_bell = true;
#ifndef NO_LOOK
			d_step { look_at_words(); step(); forget() };
#endif
			if
			:: !took ->
end:
#ifdef SLEEPLESS
				d_step {
#else
				d_step { rung ->
#endif
					rung = false;
					wants_bell = false;
					look_at_words()
				}
			:: else
			fi
		fi
	od
}

/* M15 */
active proctype judge()
{
	byte o;

	timeout ->
	for (o : 0 .. OBJECTS - 1) {
		assert(released[o] == 1 ||
		       (!gone && USE(o, 1) > 0 && word[1] < LAST))
	}
}
