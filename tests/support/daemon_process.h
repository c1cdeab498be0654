/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A real daemon for a test: `tenured-testing` on a private socket in a fresh
 * directory, with its log in a file, and the leak oracle.
 *
 * The oracle: when the clients of a test have gone, the daemon must be back
 * where it was when it had just started. Live handles, objects, tokens,
 * stores, bytes and pending releases (asked by STATUS), the descriptors in
 * /proc/PID/fd, and for tests that ask for it the memfds that the test's own
 * processes hold and, as far as it can be told from what others hold, the
 * machine's Shmem, which also sees memory that only a descriptor in flight
 * holds (tests/support/shmem.h).
 *
 * A helper that fails prints the daemon's log and fails the running cmocka
 * test. A daemon that no test has stopped is killed at the end of the program.
 */
#ifndef TESTS_SUPPORT_DAEMON_PROCESS_H
#define TESTS_SUPPORT_DAEMON_PROCESS_H

#include "core/wire/msg.h"

#include <sys/types.h>

struct daemon_process;

struct daemon_options {
	/* Text of a configuration file, or NULL for the built-in values. */
	const char *config;
	/* Another uid for the daemon than ours, or 0. */
	uid_t uid;
};

/* Starts one and waits until it listens. NULL options: all built-in. */
struct daemon_process *daemon_start(const struct daemon_options *options);

const char *daemon_socket(const struct daemon_process *daemon);
const char *daemon_directory(const struct daemon_process *daemon);
pid_t daemon_pid(const struct daemon_process *daemon);

/* What the daemon says that it holds. The asking connection is one of its
 * clients. */
void daemon_status(struct daemon_process *daemon, struct wire_status *ret);

/* Lets it walk over all that it holds: no invariant may be broken. */
void daemon_check(struct daemon_process *daemon);

/* Entries in /proc/PID/fd. */
unsigned int daemon_descriptors(const struct daemon_process *daemon);

/* How much of Shmem may be other people's who have no memfd for it: tests that
 * ask about it must have touched several times as much. */
enum { SHMEM_TOLERANCE_BYTES = 48 << 20 };

/*
 * Waits up to 10 s until the daemon is back at its base, and checks it; fails
 * with a sentence about what is left or broken. check_shmem: memory, too, for up
 * to 60 s, since others on the machine may be using some for a while.
 */
void daemon_require_base(struct daemon_process *daemon, bool check_shmem);

/*
 * Stops the process, as SIGSTOP does, and lets it run again: what is sent
 * between the two is all there when it looks.
 */
void daemon_freeze(const struct daemon_process *daemon);
void daemon_thaw(const struct daemon_process *daemon);

/* Whether some line of the log contains text. */
bool daemon_logged(const struct daemon_process *daemon, const char *text);

/* Lines in the log so far. */
unsigned int daemon_log_lines(const struct daemon_process *daemon);

/*
 * SIGTERM, and requires an exit with 0 within 10 s (which includes that no
 * sanitizer has found anything), no socket and no lock left behind. Frees.
 */
void daemon_stop(struct daemon_process *daemon);

/* The same after daemon_require_base: what nearly every test ends with. */
void daemon_stop_clean(struct daemon_process *daemon);

/* SIGKILL, also to one that is frozen; returns when it is dead. What belongs to
 * it goes with daemon_bury, which frees. */
void daemon_kill(struct daemon_process *daemon);
void daemon_bury(struct daemon_process *daemon);

/*
 * Runs a program of the build's bin directory with arguments (NULL at the
 * end; argv[0] is added), its stdout and stderr going to output. Returns its
 * exit code, or -1 when it was killed, after 10 s if it did not end before.
 */
int run_program(const char *name, const char *const *arguments, char *output,
		size_t size);

#endif
