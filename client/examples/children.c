/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Children
 *
 * Every process of the demo is a program of its own, started here with fork
 * and exec, tied to the demo by PR_SET_PDEATHSIG so that none outlives it,
 * and heard through a pipe. The demo ends them by process id and by nothing
 * else.
 */
#include "children.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static struct child children[CHILDREN_MAX];
static size_t n_children;
static volatile sig_atomic_t asked_to_end;

static void on_signal(int signal)
{
	asked_to_end = signal;
}

void children_watch_signals(void)
{
	const struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static _Noreturn void become(const char *const *argv, int out, int err,
			     const int *keep, size_t n_keep, pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(127);
	signal(SIGPIPE, SIG_DFL);
	if (dup2(out, STDOUT_FILENO) < 0 ||
	    (err >= 0 && dup2(err, STDERR_FILENO) < 0))
		_exit(127);
	for (size_t i = 0; i < n_keep; i++)
		fcntl(keep[i], F_SETFD, 0);
	/* exec does not change them; its prototype is older than const. */
	execv(argv[0], (char *const *)(uintptr_t)argv);
	fprintf(stderr, "tenure-demo: %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

struct child *child_start(const char *name, const char *const *argv,
			  const int *keep, size_t n_keep, int err)
{
	struct child *child = &children[n_children];
	pid_t parent = getpid();
	int ends[2];

	if (n_children == CHILDREN_MAX || pipe2(ends, O_CLOEXEC) < 0) {
		fprintf(stderr, "tenure-demo: cannot start %s\n", name);
		exit(1);
	}
	fflush(stdout);
	child->pid = fork();
	if (child->pid < 0) {
		fprintf(stderr, "tenure-demo: fork: %s\n", strerror(errno));
		exit(1);
	}
	if (child->pid == 0)
		become(argv, ends[1], err, keep, n_keep, parent);
	close(ends[1]);
	child->name = name;
	child->out = ends[0];
	n_children++;
	return child;
}

/* Moves whole lines from the buffer to child->line; the last one stays. */
static void take_lines(struct child *child)
{
	char *end;
	size_t length;

	while ((end = memchr(child->buffer, '\n', child->filled))) {
		length = (size_t)(end - child->buffer);
		memcpy(child->line, child->buffer, length);
		child->line[length] = '\0';
		child->filled -= length + 1;
		memmove(child->buffer, end + 1, child->filled);
	}
	if (child->filled == sizeof(child->buffer))
		child->filled = 0;
}

static void read_output(struct child *child)
{
	ssize_t n = read(child->out, child->buffer + child->filled,
			 sizeof(child->buffer) - child->filled);

	if (n < 0 && errno == EINTR)
		return;
	if (n <= 0) {
		close(child->out);
		child->out = -1;
		return;
	}
	child->filled += (size_t)n;
	take_lines(child);
}

static void reap(struct child *child)
{
	if (!child->ended && child->pid > 0 &&
	    waitpid(child->pid, &child->state, WNOHANG) == child->pid)
		child->ended = true;
}

bool children_pump(int timeout_ms)
{
	struct pollfd fds[CHILDREN_MAX];

	for (size_t i = 0; i < n_children; i++)
		fds[i] = (struct pollfd){ children[i].out, POLLIN, 0 };
	if (poll(fds, n_children, timeout_ms) > 0) {
		for (size_t i = 0; i < n_children; i++) {
			if (children[i].out >= 0 && fds[i].revents)
				read_output(&children[i]);
		}
	}
	for (size_t i = 0; i < n_children; i++)
		reap(&children[i]);
	return asked_to_end == 0;
}

void child_kill(struct child *child, int signal)
{
	if (!child->ended)
		kill(child->pid, signal);
}

bool child_succeeded(const struct child *child)
{
	return child->ended && WIFEXITED(child->state) &&
	       WEXITSTATUS(child->state) == 0;
}

void children_end(void)
{
	for (size_t i = 0; i < n_children; i++) {
		if (children[i].ended)
			continue;
		kill(children[i].pid, SIGKILL);
		while (waitpid(children[i].pid, &children[i].state, 0) < 0 &&
		       errno == EINTR)
			;
		children[i].ended = true;
	}
}
