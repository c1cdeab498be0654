/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gate
 *
 * A mutex lets whoever comes first take it, and a worker that unlocks and
 * locks again a hundred nanoseconds later always comes before a thread that
 * first has to wake up: the loop would starve. So there are two mutexes, and
 * the way to the second leads through the first:
 *
 *	lock:    turnstile.lock   lock.lock   turnstile.unlock
 *	unlock:  lock.unlock
 *
 * Who waits for the lock stands in the turnstile, and nobody gets past him.
 * At most one acquisition by each other thread comes before his.
 *
 * It is held for microseconds, and waking a sleeper takes longer than that. So
 * a thread that waits first tries again for a while, if there is another
 * processor on which the holder can be running.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  At most one thread is inside.
 *  G2  A thread that waits at the lock gets it before anybody else does.
 */
#include "daemon/gate.h"

/* Lets the other hyperthread, and the memory, take a breath. */
static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#endif
}

void gate_init(struct gate *gate, unsigned int spins)
{
	pthread_mutex_init(&gate->turnstile, NULL);
	pthread_mutex_init(&gate->lock, NULL);
	gate->spins = spins;
}

void gate_deinit(struct gate *gate)
{
	pthread_mutex_destroy(&gate->turnstile);
	pthread_mutex_destroy(&gate->lock);
}

static void take(pthread_mutex_t *mutex, unsigned int spins)
{
	for (unsigned int i = 0; i < spins; i++) {
		if (pthread_mutex_trylock(mutex) == 0)
			return;
		relax();
	}
	pthread_mutex_lock(mutex);
}

void gate_lock(struct gate *gate)
{
	take(&gate->turnstile, gate->spins);
	take(&gate->lock, gate->spins);
	pthread_mutex_unlock(&gate->turnstile);
}

void gate_unlock(struct gate *gate)
{
	pthread_mutex_unlock(&gate->lock);
}
