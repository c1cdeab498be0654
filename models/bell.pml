/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model: the doorbell, the room and the sleep of a ring on a machine with store
 * buffers, for Spin. The rules are those of core/ring/ring_server.c,
 * core/ring/ring_client.c, client/ringside.c and daemon/worker.c, written down a
 * second time; the shipped text itself is checked by models/ring_bell.cpp and
 * models/ring_room.cpp.
 *
 *	thread 0:  a call, and sleeps until it is answered
 *	thread 1:  frees, and sleeps only while the queue is full
 *	daemon:    take, answer, publish, wake -- park, last look, sleep
 *
 * Both queues have two entries. A free is answered or not, as the daemon likes:
 * a refusal stays among the completions until somebody reads it. The call is
 * answered at once, or late: when all frees have been taken. Of two threads that
 * wait one leads and sleeps on the futex, and the other follows and sleeps on a
 * condition. A free goes into the queue of the requests here; for who finds that
 * full it is what the free queue is for make_room(). That has a timer, too, which
 * is in models/timer.pml.
 *
 * A plain store goes into its writer's buffer and is seen by others when it
 * leaves that, in order, at any time. An exchange, a system call and a lock's
 * end need the buffer to be empty. The entries themselves are stored at once:
 * a tail never overtakes them, and what is written over is written over sooner.
 * Nobody looks more than once before going to sleep, since a look that finds
 * nothing changes nothing; and no sleep has a time-out, which would hide that
 * nobody wakes.
 *
 *  M21  An entry is read as it was written: neither before, nor when it has been
 *       written over.
 *  M22  When nothing can happen any more, both threads have ended, and all has
 *       been taken for which there is room.
 *  M23  There is at most one ring for each move of an index of the client's, and
 *       at most one wake-up for each round of the daemon that did anything.
 *  M24  The daemon goes round at most twice without work before it sleeps.
 *  M25  No run goes on for ever.
 *
 * A mutant is this text with one name defined:
 *
 * mutant: TAIL_STORED ring_sq_tail_publish() is a plain store
 * mutant: NEED_STORED ring_daemon_need_set() is one
 * mutant: ROOM_STORED ring_cq_head_publish() is one
 * mutant: SLEEP_STORED ring_client_need_set() is one
 * mutant: REPLY_STORED ring_cq_tail_publish() is one
 * mutant: HEAD_STORED ring_sq_head_publish() is one
 * mutant: TAIL_FIRST ring_sq_tail_publish() comes before the entry is written
 * mutant: FULL ring_client_submit() does not look whether there is room
 * mutant: TAKEN_FIRST ring_sq_head_publish() comes before the entry is read
 * mutant: REPLY_FIRST ring_cq_tail_publish() comes before the entry is written
 * mutant: READ_FIRST ring_client_reap() gives the entry back and then reads it
 * mutant: NO_ROOM_TAKEN ring_server_take() does not look whether there is room
 * mutant: LATE_ROOM it keeps no room for the late reply
 * mutant: DEAF the client never rings
 * mutant: PARK_BLIND ring_server_park() has no last look
 * mutant: PARK_FIRST it looks, and then says that it sleeps
 * mutant: ROOM_BLIND its last look is not at the head of the completions
 * mutant: ROOM_UNASKED parked for room, it asks for submissions
 * mutant: SLEEP_UNSAID ring_client_sleep_prepare() does not say that it sleeps
 * mutant: SLEEP_BLIND doze() does not look behind it
 * mutant: HEADS_BLIND ring_client_has_news() does not look at heads
 * mutant: HEADS_UNSAID ring_client_await_heads() says nothing while one sleeps
 * mutant: HEADS_UNSEEN make_room() does not look behind it
 * mutant: HEADS_UNWOKEN ring_server_publish() wakes for completions only
 * mutant: UNWOKEN it does not wake at all
 * mutant: SEQUENCE_KEPT change_sequence() does not
 * mutant: SEQUENCE_LATE the sequence is read behind the look
 * mutant: NO_COMPARE the kernel does not compare it
 * mutant: LEAD_KEPT step_down() wakes nobody
 * mutant: RING_AGAIN ring_client_reaped() rings although nothing was read
 * mutant: WAKE_AGAIN ring_server_publish() wakes although nothing was done
 * mutant: NO_ROOM_WAIT ring_server_park() does not sleep for want of room
 * endless: LEVEL the bell is not watched for edges, and its count never read
 * endless: NO_ROOM_SPIN ring_server_park() does not sleep for want of room
 * endless: HEADS_STALE reap() does not look at heads that are waited for
 * smaller: FREES=2
 */
#ifndef FREES
#define FREES 3		/* with 2 nobody follows who is left alone */
#endif
#define TOTAL (FREES + 1)
#define ENTRIES 2
#define DAEMON 2	/* beside threads 0 and 1 */
#define NOBODY 2

/* Memory, as everybody sees it. */
#define SQ_TAIL 0
#define SQ_HEAD 1
#define CQ_TAIL 2
#define CQ_HEAD 3
#define CLIENT_NEED 4
#define DAEMON_NEED 5
#define WAKE_SEQUENCE 6
byte mem[7];
byte sq[ENTRIES], cq[ENTRIES];
chan buffer[3] = [3] of { byte, byte };

/* Bits of DAEMON_NEED, and of CLIENT_NEED. */
#define SUBMISSION 1
#define ROOM 2
#define SLEEPER 1
#define HEADS 2

/* The eventfd, whose count nobody reads: whether epoll has an edge to tell. The
 * futex. */
bool edge;
bool asleep[2];

/* The connection of both threads, behind its lock. */
bool locked, led;
byte sq_tail, sq_head, cq_tail, cq_head, published_cq_head;
byte sleepers, head_waits;
mtype = { NOTHING, REPLY, SPACE };
mtype waits_for[2] = NOTHING;
bool follows[2], woken[2], done;

/* For the assertions: whose call is which entry, what the completions answer, how
 * far the daemon has come. */
byte call;
byte answered[TOTAL];
byte taken;
bool moved;	/* an index of the client's, and nobody has rung for it */
bool worked;	/* the daemon, in this round, and it has woken nobody */

/* ---- The machine ---- */

#define store(t, a, v) \
	buffer[t] ! a, v

/* A read-modify-write; in an atomic block, which it may interrupt. */
#define exchange(t, a, v) \
	empty(buffer[t]) -> mem[a] = v

#ifdef TAIL_STORED
#define sq_tail_publish	store
#else
#define sq_tail_publish	exchange
#endif
#ifdef ROOM_STORED
#define cq_head_publish	store
#else
#define cq_head_publish	exchange
#endif
#ifdef SLEEP_STORED
#define client_need_set	store
#else
#define client_need_set	exchange
#endif
#ifdef NEED_STORED
#define daemon_need_set	store
#else
#define daemon_need_set	exchange
#endif
#ifdef REPLY_STORED
#define cq_tail_publish	store
#else
#define cq_tail_publish	exchange
#endif
#ifdef HEAD_STORED
#define sq_head_publish	store
#else
#define sq_head_publish	exchange
#endif

#define drain(t) \
	d_step { buffer[t] ? address, value -> \
		mem[address] = value; address = 0; value = 0 }

active proctype memory()
{
	byte address, value;

end:
	do
	:: drain(0)
	:: drain(1)
	:: drain(2)
	od
}

/* ---- The client ---- */

#define lock() \
	!locked -> locked = true

#define unlock() \
	empty(buffer[me]) -> locked = false

/* ring_daemon_need_look(), and ringmap_bell() if it says so. */
inline ring_if(wish)
{
#ifndef DEAF
	if
	:: mem[DAEMON_NEED] & wish ->
		atomic { empty(buffer[me]) ->
			assert(moved);	/* M23 */
			moved = false;
			edge = true
		}
	:: atomic { !(mem[DAEMON_NEED] & wish) -> moved = false }
	fi
#else
	moved = false
#endif
}

#define has_space() (sq_tail - sq_head < ENTRIES)

#define is_over(t) \
	((waits_for[t] == REPLY && done) || \
	 (waits_for[t] == SPACE && has_space()))

/* Of two threads at most one follows. */
inline wake_followers()
{
	if
	:: follows[1 - me] && (is_over(1 - me) || !led) -> woken[1 - me] = true
	:: else
	fi
}

#define need_of() \
	((head_waits > 0 -> HEADS : 0) | sleepers)

/* ring_client_submit(): the entry, for which there is space. */
inline write_entry()
{
	sq[sq_tail % ENTRIES] = sq_tail + 1
}

/* Then ring_client_publish(). */
inline submit()
{
#ifndef TAIL_FIRST
	write_entry();
#endif
	sq_tail++;
	moved = true;
	if
	:: me == 0 -> call = sq_tail; waits_for[0] = REPLY
	:: else -> frees--
	fi
}

/* The queue seems to be full: the first look. */
inline look_for_space()
{
	sq_head = mem[SQ_HEAD];
	if
	:: has_space()
	:: else ->
		waits_for[me] = SPACE;
		head_waits++
	fi
}

/* ring_client_reap(); flight_land(), or note_refusal() */
inline read_entry()
{
	assert(answered[cq_head] != 0 &&
	       cq[cq_head % ENTRIES] == answered[cq_head]);	/* M21 */
	if
	:: answered[cq_head] == call -> done = true
	:: else
	fi;
	answered[cq_head] = 0;
	cq[cq_head % ENTRIES] = 0;
	cq_head++
}

#define is_read() (cq_head == cq_tail)

inline reap()
{
	/* No more than there is room for, or who is mad holds up all. */
	do
	:: atomic { n < ENTRIES && is_read() -> cq_tail = mem[CQ_TAIL];
			if
			:: is_read() -> n = 0; break
			:: else
			fi
		}
#ifdef READ_FIRST
	:: atomic { n < ENTRIES && !is_read() ->
			store(me, CQ_HEAD, cq_head + 1);
			n++
		};
		atomic { read_entry() }
#else
	:: atomic { n < ENTRIES && !is_read() ->
			read_entry();
			store(me, CQ_HEAD, cq_head);
			n++
		}
#endif
	:: atomic { n == ENTRIES -> n = 0; break }
	od;
#ifndef HEADS_STALE
	/* ring_client_is_drained() */
	if
	:: atomic { head_waits > 0 -> sq_head = mem[SQ_HEAD] }
	:: head_waits == 0
	fi;
#endif
	/* offer_room(), ring_client_reaped() */
	if
#ifdef RING_AGAIN
	:: atomic { true ->
#else
	:: atomic { published_cq_head != cq_head ->
#endif
			moved = published_cq_head != cq_head;
			published_cq_head = cq_head;
			cq_head_publish(me, CQ_HEAD, cq_head)
		};
		ring_if(ROOM)
#ifndef RING_AGAIN
	:: published_cq_head == cq_head
#endif
	fi
}

inline doze()
{
	/* ring_client_sleep_prepare() */
	atomic {
		lock();
#ifndef SEQUENCE_LATE
		sequence = mem[WAKE_SEQUENCE];
#endif
		sleepers++
	};
#ifndef SLEEP_UNSAID
	atomic { client_need_set(me, CLIENT_NEED, need_of()) };
#endif
	/* ring_client_has_news() */
#ifndef SLEEP_BLIND
	news = mem[CQ_TAIL] != cq_head;
#ifndef HEADS_BLIND
	if
	:: atomic { !news && head_waits > 0 -> news = mem[SQ_HEAD] != sq_head }
	:: news || head_waits == 0
	fi;
#endif
#endif
#ifdef SEQUENCE_LATE
	sequence = mem[WAKE_SEQUENCE];
#endif
	if
	:: !news ->
		/* ringmap_sleep(): the kernel compares and lets it sleep in
		 * one step. */
		atomic { unlock() };
		atomic { empty(buffer[me]) ->
#ifdef NO_COMPARE
			asleep[me] = true;
#else
			asleep[me] = mem[WAKE_SEQUENCE] == sequence;
#endif
			sequence = 0
		};
		atomic { !asleep[me] -> lock(); sleepers--;
			store(me, CLIENT_NEED, need_of())
		}
	:: atomic { news -> news = false; sequence = 0; sleepers--;
			store(me, CLIENT_NEED, need_of())
		}
	fi
	/* ring_client_sleep_finish() */
}

/* A thread that has the lock takes its next step. */
proctype thread(byte me; byte frees)
{
	byte n, sequence;
	bool news, leads, asks = true;

	atomic { lock() };
	do
	/* The next request. */
#ifdef FULL
	:: atomic { waits_for[me] == NOTHING && asks -> submit() };
#else
	:: atomic { waits_for[me] == NOTHING && asks && has_space() -> submit()
		};
#endif
		atomic {
			sq_tail_publish(me, SQ_TAIL, sq_tail);
#ifdef TAIL_FIRST
		};
		atomic {
			sq[(sq_tail - 1) % ENTRIES] = sq_tail;
#endif
			asks = frees > 0 && me == 1
		};
		ring_if(SUBMISSION);
		if
		:: atomic { me == 1 -> unlock(); lock() }
		:: me == 0
		fi
#ifndef FULL
	:: atomic { waits_for[me] == NOTHING && asks && !has_space() ->
			look_for_space()
		};
		/* make_room(), ring_client_await_heads() */
#ifndef HEADS_UNSAID
		if
		:: atomic { waits_for[me] == SPACE && head_waits == 1 &&
			    sleepers > 0 ->
				client_need_set(me, CLIENT_NEED, need_of())
			}
		:: else
		fi;
#endif
#ifndef HEADS_UNSEEN
		/* ring_client_is_drained() */
		if
		:: atomic { waits_for[me] == SPACE -> sq_head = mem[SQ_HEAD] }
		:: waits_for[me] == NOTHING
		fi
#endif
#endif
	/* wait_out() */
	:: atomic { waits_for[me] != NOTHING && !is_over(me) && !leads && led ->
			/* follow() */
			follows[me] = true;
			unlock();
			woken[me];
			lock();
			follows[me] = false;
			woken[me] = false
		}
	:: atomic { waits_for[me] != NOTHING && !is_over(me) &&
		    (leads || !led) ->
			/* lead(): others may come while it looks. */
			leads = true;
			led = true;
			unlock()
		};
		doze();
		reap();
		atomic { wake_followers() }
	:: atomic { is_over(me) ->
			if
			:: waits_for[me] == SPACE -> head_waits--
			:: else
			fi;
			if
			:: waits_for[me] == REPLY -> done = false
			:: else
			fi;
			waits_for[me] = NOTHING;
			if
			:: leads ->
				/* step_down() */
				leads = false;
				led = false;
#ifndef LEAD_KEPT
				wake_followers()
#endif
			:: else
			fi
		}
	:: atomic { waits_for[me] == NOTHING && !asks -> unlock(); break }
	od
}

/* ---- The daemon ---- */

#ifdef LATE_ROOM
#define room_known() (ENTRIES - (tail_c - head_c))
#else
#define room_known() (ENTRIES - (tail_c - head_c) - late)
#endif

inline answer(what)
{
	answered[tail_c] = what;
	cq[tail_c % ENTRIES] = what;
	tail_c++
}

/* take_request(), and its execution */
inline take()
{
	head_s++;
	assert(sq[(head_s - 1) % ENTRIES] == head_s);	/* M21 */
	sq[(head_s - 1) % ENTRIES] = 0;
	taken = head_s;
	worked = true;
	idle = 0;
	if
	:: true -> answer(head_s)
	:: head_s != call
	:: head_s == call && head_s < TOTAL -> late = 1
	fi
}

#ifdef ROOM_UNASKED
#define wish() SUBMISSION
#else
#define wish() (no_room -> ROOM : SUBMISSION)
#endif

#if defined(NO_ROOM_WAIT) || defined(NO_ROOM_SPIN)
#define is_possible() (tail_s != head_s)
#else
/* Work without room is new to it unless it has asked for room. */
#define is_possible() \
	(tail_s != head_s && (room_known() > 0 || !no_room))
#endif

/* M24 */
#ifdef NO_ROOM_SPIN
#define count_round() skip
#else
#define count_round() \
	idle++; \
	assert(idle <= 2)
#endif

proctype daemon()
{
	byte head_s, tail_s, published_s, head_c, tail_c, published_c;
	byte sequence, idle, late;
	bool no_room, tail;

look:	/* ring_server_take(); port_serve() may have enough anywhere. */
	if
	:: atomic { tail_s == head_s && !(late == 1 && head_s == TOTAL) ->
			tail_s = mem[SQ_TAIL];
			if
			:: tail_s == head_s -> no_room = false; goto none
			:: else
			fi
		}
	:: tail_s != head_s
	:: atomic { late == 1 && head_s == TOTAL ->
			/* port_serve_late() */
			late = 0;
			idle = 0;
			worked = true;
			answer(call);
			goto publish
		}
	fi;
	if
	:: atomic { room_known() == 0 -> head_c = mem[CQ_HEAD];
#ifndef NO_ROOM_TAKEN
			no_room = room_known() == 0;
#endif
			if
			:: no_room -> goto none
			:: else
			fi
		}
	:: atomic { room_known() > 0 -> no_room = false }
	fi;
#ifdef TAKEN_FIRST
	atomic { sq_head_publish(DAEMON, SQ_HEAD, head_s + 1) };
#endif
#ifdef REPLY_FIRST
	atomic { cq_tail_publish(DAEMON, CQ_TAIL, tail_c + 1) };
#endif
	atomic { take();
		if
		:: goto look
		:: goto publish
		fi
	};

none:
	if
	:: worked -> goto publish
	:: atomic { !worked -> count_round() }
	fi;
#ifdef WAKE_AGAIN
	goto publish;
park:
#endif
	/* ring_server_park() */
#ifdef PARK_FIRST
	tail_s = mem[SQ_TAIL];
	head_c = mem[CQ_HEAD];
	atomic { daemon_need_set(DAEMON, DAEMON_NEED, wish()) };
#else
	atomic { daemon_need_set(DAEMON, DAEMON_NEED, wish()) };
#ifndef PARK_BLIND
	tail_s = mem[SQ_TAIL];
#ifndef ROOM_BLIND
	head_c = mem[CQ_HEAD];
#endif
#endif
#endif
	if
	:: atomic { !is_possible() -> empty(buffer[DAEMON]) };
end:		/* rest_a_while(), activate() */
		atomic { edge -> idle = 0;
#ifndef LEVEL
			edge = false;
#endif
			store(DAEMON, DAEMON_NEED, 0);
			goto look
		}
	:: atomic { is_possible() ->
			store(DAEMON, DAEMON_NEED, 0);
			goto look
		}
	fi;

publish:	/* ring_server_publish() */
	if
	:: atomic { head_s != published_s ->
			sq_head_publish(DAEMON, SQ_HEAD, head_s);
			published_s = head_s
		}
	:: head_s == published_s
	fi;
	if
	:: atomic { tail_c != published_c ->
			cq_tail_publish(DAEMON, CQ_TAIL, tail_c);
			published_c = tail_c;
			tail = true
		}
	:: tail_c == published_c
	fi;
	if
#ifdef UNWOKEN
	:: atomic { false ->
#elif defined(HEADS_UNWOKEN)
	:: atomic { (mem[CLIENT_NEED] & SLEEPER) && tail ->
#elif defined(WAKE_AGAIN)
	:: atomic { mem[CLIENT_NEED] & SLEEPER ->
#else
	:: atomic { (mem[CLIENT_NEED] & SLEEPER) &&
		    (tail || (mem[CLIENT_NEED] & HEADS)) ->
#endif
#ifndef SEQUENCE_KEPT
			/* change_sequence() */
			sequence++;
			store(DAEMON, WAKE_SEQUENCE, sequence)
#endif
		};
		atomic { empty(buffer[DAEMON]) ->
			assert(worked);	/* M23 */
			worked = false;
			asleep[0] = false;
			asleep[1] = false
		}
	:: else
	fi;
	tail = false;
#ifdef WAKE_AGAIN
	if
	:: !worked -> goto park
	:: else
	fi;
#endif
	worked = false;
	goto look
}

init
{
	atomic {
		run daemon();
		run thread(1, FREES);
		run thread(0, 0)
	}
}

/* M22: a thread that has not ended has no valid end. */
active proctype judge()
{
	timeout -> assert(taken == TOTAL ||
			  mem[CQ_TAIL] - mem[CQ_HEAD] == ENTRIES)
}
