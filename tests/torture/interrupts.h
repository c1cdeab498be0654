/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Others have a turn, wherever a thread is, also between two instructions of
 * the table. With one processor nothing else does that, and with two it lets
 * much happen in a gap of a nanosecond.
 */
#ifndef TESTS_TORTURE_INTERRUPTS_H
#define TESTS_TORTURE_INTERRUPTS_H

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "core/base.h"

enum {
	INTERRUPT_NS = 100000, /* from one to the next */
	INTERRUPT_YIELDS = 4, /* so that others get on with it */
};

static inline void interrupt(int signal)
{
	(void)signal;
	for (int i = 0; i < INTERRUPT_YIELDS; i++)
		sched_yield();
}

/* Whether the calling thread is interrupted, as are those that it makes. */
static inline void interrupts_allow(bool allowed)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	pthread_sigmask(allowed ? SIG_UNBLOCK : SIG_BLOCK, &set, NULL);
}

/* From here on a thread that runs and allows it; not the one that calls. */
static inline timer_t interrupts_begin(void)
{
	const struct timespec often = { .tv_nsec = INTERRUPT_NS };
	const struct itimerspec times = { often, often };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL,
				  .sigev_signo = SIGALRM };
	struct sigaction action = { .sa_handler = interrupt,
				    .sa_flags = SA_RESTART };
	timer_t timer;

	interrupts_allow(false);
	if (sigaction(SIGALRM, &action, NULL) != 0 ||
	    timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 ||
	    timer_settime(timer, 0, &times, NULL) != 0)
		abort();
	return timer;
}

static inline void interrupts_end(timer_t timer)
{
	timer_delete(timer);
}

#endif
