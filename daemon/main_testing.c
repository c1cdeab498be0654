/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tenured-testing: the same program, except that it obeys the requests by
 * which tests stop an adapter or put a device in error, and that memory can
 * fail to be given back, which no kernel can be asked for: the environment
 * variable TENURE_TEST_RELEASES_FAIL says how many of the first attempts do.
 * TENURE_TEST_CALLS names a file of two 64-bit numbers, in which it counts the
 * calls by which memory is made and given back. It is not installed.
 */
#include "daemon/backend_system.h"
#include "daemon/daemon.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

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

/* ---- Calls of the backend ---- */

static struct {
	uint64_t creates, destroys; /* under the lock */
} here, *calls = &here;

extern const struct backend_ops __real_backend_system_ops;
extern struct backend_ops __wrap_backend_system_ops;
struct backend_ops __wrap_backend_system_ops;

static void count(uint64_t *number)
{
	pthread_mutex_lock(&lock);
	++*number;
	pthread_mutex_unlock(&lock);
}

static int create_allocation(void *state, struct backend_create *create)
{
	count(&calls->creates);
	return __real_backend_system_ops.create_allocation(state, create);
}

static int destroy_allocation(void *state, struct backend_destroy *destroy)
{
	count(&calls->destroys);
	return __real_backend_system_ops.destroy_allocation(state, destroy);
}

static bool count_calls_in(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	void *at;

	if (fd < 0)
		return false;
	at = mmap(NULL, sizeof(*calls), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		  0);
	close(fd);
	if (at == MAP_FAILED)
		return false;
	calls = at;
	return true;
}

int main(int argc, char **argv)
{
	const char *text = getenv("TENURE_TEST_RELEASES_FAIL");
	const char *counted = getenv("TENURE_TEST_CALLS");

	failing = text ? strtoul(text, NULL, 10) : 0;
	__wrap_backend_system_ops = __real_backend_system_ops;
	__wrap_backend_system_ops.create_allocation = create_allocation;
	__wrap_backend_system_ops.destroy_allocation = destroy_allocation;
	if (counted && !count_calls_in(counted))
		return EXIT_FAILURE;
	return daemon_main(argc, argv, true);
}
