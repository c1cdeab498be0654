/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processor's time of another process, in windows of 300 ms: 10 ms of one have
 * room for a request or two and for a noisy clock, but for no loop.
 */
#include "tests/support/idle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { WINDOW_US = 300000, WINDOWS = 100, IDLE_US = 10000 };

static uint64_t cpu_us(clockid_t clock)
{
	struct timespec now;

	assert_int_equal(clock_gettime(clock, &now), 0);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void expect_idle(pid_t pid)
{
	clockid_t clock;
	uint64_t used;
	int windows = 0;

	assert_int_equal(clock_getcpuclockid(pid, &clock), 0);
	do {
		uint64_t before = cpu_us(clock);

		assert_true(windows++ < WINDOWS);
		usleep(WINDOW_US);
		used = cpu_us(clock) - before;
	} while (used > IDLE_US);
}
