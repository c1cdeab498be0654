/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock around the broker: held for microseconds, by threads of which some
 * want it all the time and some seldom.
 */
#ifndef DAEMON_GATE_H
#define DAEMON_GATE_H

#include "core/base.h"

#include <pthread.h>

struct gate {
	pthread_mutex_t turnstile, lock;
	unsigned int spins;
};

/* spins: attempts before a thread that waits goes to sleep; 0 where only one
 * thread can run at a time. */
void gate_init(struct gate *gate, unsigned int spins);
void gate_deinit(struct gate *gate);

/* Any thread; not twice by one. */
void gate_lock(struct gate *gate);
void gate_unlock(struct gate *gate);

#endif
