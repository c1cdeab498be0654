/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tenured-testing: the same program, except that it obeys the requests by
 * which tests stop an adapter or put a device in error, and that memory can
 * fail to be given back, which no kernel can be asked for: the environment
 * variable TENURE_TEST_RELEASES_FAIL says how many of the first attempts do.
 * It is not installed.
 */
#include "daemon/daemon.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned long failing;

int __real_fallocate(int fd, int mode, off_t start, off_t bytes);
int __wrap_fallocate(int fd, int mode, off_t start, off_t bytes);

int __wrap_fallocate(int fd, int mode, off_t start, off_t bytes)
{
	bool fails;

	pthread_mutex_lock(&lock);
	fails = failing > 0;
	failing -= fails;
	pthread_mutex_unlock(&lock);
	if (fails) {
		errno = EIO;
		return -1;
	}
	return __real_fallocate(fd, mode, start, bytes);
}

int main(int argc, char **argv)
{
	const char *text = getenv("TENURE_TEST_RELEASES_FAIL");

	failing = text ? strtoul(text, NULL, 10) : 0;
	return daemon_main(argc, argv, true);
}
