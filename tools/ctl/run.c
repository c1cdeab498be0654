/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Run: a daemon, a program beside it, and nothing left of either.
 *
 *	directory (0700) --> daemon --ready--> program
 *	     ^                 |                  | ends, or is killed
 *	     |                 |  <---SIGTERM-----+
 *	     +--- removed <----+ ended
 *
 * All signals that matter are blocked and taken one by one, so there are no
 * handlers and no races with them. Those that a person or a supervisor sends
 * to us go on to the program. Those that the terminal sends went to the
 * program already, since it is in our process group; they are recognised by
 * their si_code. The daemon is in a session of its own: Ctrl-C is between the
 * terminal and the program, who may want to tidy up with the daemon's help.
 *
 * If we are killed, the kernel tells the daemon (PR_SET_PDEATHSIG), which
 * then ends too; only the empty directory is left.
 */
#include "tools/ctl/run.h"

#include "client/spawn.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	READY_FD = 3, /* in the daemon */
	READY_TIMEOUT_MS = 10000,
	/* A daemon that ends itself takes at most five seconds. */
	END_TIMEOUT_S = 10,
};

static const int forwarded[] = { SIGHUP,  SIGINT,  SIGQUIT,  SIGTERM, SIGUSR1,
				 SIGUSR2, SIGALRM, SIGWINCH, SIGCONT };

struct run {
	char program[PATH_MAX]; /* of the daemon */
	char directory[PATH_MAX];
	char socket[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	sigset_t before, waited; /* for the program; what we take */
	pid_t daemon, child;
	int status; /* of the child, as wait() tells it */
};

static int complain(int code, const char *what, const char *why)
{
	fprintf(stderr, "tenurectl: %s: %s\n", what, why);
	return code;
}

static void block_signals(struct run *run)
{
	sigemptyset(&run->waited);
	sigaddset(&run->waited, SIGCHLD);
	for (size_t i = 0; i < ARRAY_SIZE(forwarded); i++)
		sigaddset(&run->waited, forwarded[i]);
	sigprocmask(SIG_BLOCK, &run->waited, &run->before);
}

/* The daemon that lies beside this program, which no search would find in a
 * build directory; or else the one that the library would start. */
static int find_daemon(char *ret_program, size_t size)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (getenv("TENURE_DAEMON") || n <= 0)
		return spawn_find_program(ret_program, size);
	self[n] = '\0';
	slash = strrchr(self, '/');
	snprintf(ret_program, size, "%.*s/tenured", (int)(slash - self), self);
	if (access(ret_program, X_OK) == 0)
		return 0;
	return spawn_find_program(ret_program, size);
}

static int make_directory(struct run *run)
{
	const char *const bases[] = { getenv("XDG_RUNTIME_DIR"),
				      getenv("TMPDIR"), "/tmp" };
	int status = -ENOENT;

	for (size_t i = 0; i < ARRAY_SIZE(bases); i++) {
		if (!bases[i] || bases[i][0] != '/' ||
		    strlen(bases[i]) +
				    sizeof("/tenurectl-XXXXXX/tenured.sock") >
			    sizeof(run->socket))
			continue;
		strcpy(run->directory, bases[i]);
		strcat(run->directory, "/tenurectl-XXXXXX");
		if (mkdtemp(run->directory)) {
			strcpy(run->socket, run->directory);
			strcat(run->socket, "/tenured.sock");
			return 0;
		}
		status = -errno;
	}
	return status;
}

/* What a daemon that was killed has left, too. */
static void remove_directory(const struct run *run)
{
	char lock[sizeof(run->socket) + sizeof(".lock")];

	snprintf(lock, sizeof(lock), "%s.lock", run->socket);
	unlink(run->socket);
	unlink(lock);
	if (rmdir(run->directory) < 0)
		complain(0, run->directory, strerror(errno));
}

/* What a service manager has told us is not meant for this daemon. */
static void forget_service_manager(void)
{
	static const char *const names[] = {
		"NOTIFY_SOCKET",  "LISTEN_PID",	  "LISTEN_FDS",
		"LISTEN_FDNAMES", "WATCHDOG_PID", "WATCHDOG_USEC",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		unsetenv(names[i]);
}

/* In the daemon's process: nothing on stdin and stdout, the log on stderr,
 * ready_fd in its place, and nothing else open. */
static bool place_descriptors(int ready_fd)
{
	int null_fd = open("/dev/null", O_RDWR);

	if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 ||
	    dup2(null_fd, STDOUT_FILENO) < 0)
		return false;
	/* dup2 of a descriptor to itself would leave it close-on-exec */
	if (ready_fd == READY_FD ? fcntl(ready_fd, F_SETFD, 0) < 0 :
				   dup2(ready_fd, READY_FD) < 0)
		return false;
	syscall(SYS_close_range, READY_FD + 1, UINT_MAX, 0);
	return true;
}

static _Noreturn void become_daemon(const struct run *run, pid_t parent,
				    int ready_fd)
{
	char ready[] = { '0' + READY_FD, '\0' };

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent || setsid() < 0 || !place_descriptors(ready_fd))
		_exit(RUN_EXIT_OURS);
	forget_service_manager();
	sigprocmask(SIG_SETMASK, &run->before, NULL);
	execl(run->program, "tenured", "--socket", run->socket, "--ready-fd",
	      ready, "--log-level", "warning", (char *)NULL);
	_exit(RUN_EXIT_NOT_RUNNABLE);
}

/* One byte, or the end of the pipe without one. */
static bool is_ready(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	char byte;
	int n;

	do
		n = poll(&poll_fd, 1, READY_TIMEOUT_MS);
	while (n < 0 && errno == EINTR);
	return n == 1 && read(fd, &byte, 1) == 1;
}

static int start_daemon(struct run *run)
{
	pid_t self = getpid();
	int ready[2];
	bool ok;

	if (pipe2(ready, O_CLOEXEC) < 0)
		return -errno;
	run->daemon = fork();
	if (run->daemon == 0)
		become_daemon(run, self, ready[1]);
	close(ready[1]);
	ok = run->daemon > 0 && is_ready(ready[0]);
	close(ready[0]);
	if (run->daemon < 0)
		return -EAGAIN;
	return ok ? 0 : -EIO;
}

/* In the program's process. */
static _Noreturn void become_program(const struct run *run, char *const *argv,
				     int error_fd)
{
	int error = ENOMEM;

	if (setenv("TENURE_SOCKET", run->socket, 1) == 0) {
		sigprocmask(SIG_SETMASK, &run->before, NULL);
		execvp(argv[0], argv);
		error = errno;
	}
	if (write(error_fd, &error, sizeof(error)) < 0)
		_exit(RUN_EXIT_OURS);
	_exit(RUN_EXIT_NOT_RUNNABLE);
}

/* 0, or the errno of fork() or of the exec in the child, which has ended. */
static int start_program(struct run *run, char *const *argv)
{
	int pipe_fds[2], error = 0;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return errno;
	run->child = fork();
	if (run->child < 0)
		error = errno;
	if (run->child == 0)
		become_program(run, argv, pipe_fds[1]);
	close(pipe_fds[1]);
	if (run->child > 0 &&
	    read(pipe_fds[0], &error, sizeof(error)) == sizeof(error))
		waitpid(run->child, NULL, 0);
	close(pipe_fds[0]);
	return error;
}

/* Takes a process that has ended; true when it was the program. */
static bool reap(struct run *run)
{
	bool ended = false;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == run->child) {
			run->status = status;
			ended = true;
		} else if (pid == run->daemon) {
			run->daemon = 0;
			complain(0, "the private daemon",
				 "it has ended before the program");
		}
	}
	return ended;
}

static void await_program(struct run *run)
{
	for (;;) {
		siginfo_t info;
		int number = sigwaitinfo(&run->waited, &info);

		if (number == SIGCHLD) {
			if (reap(run))
				return;
		} else if (number > 0 && info.si_code != SI_KERNEL) {
			kill(run->child, number);
		}
	}
}

/* Whether the daemon has ended within the time that it may take. */
static bool await_daemon(struct run *run, int *ret_status)
{
	const struct timespec timeout = { .tv_sec = END_TIMEOUT_S };
	sigset_t ended;

	sigemptyset(&ended);
	sigaddset(&ended, SIGCHLD);
	for (;;) {
		if (waitpid(run->daemon, ret_status, WNOHANG) != 0)
			return true;
		if (sigtimedwait(&ended, NULL, &timeout) < 0 && errno == EAGAIN)
			return false;
	}
}

/* How it ended, as wait() tells it; 0 when it had ended before. */
static int end_daemon(struct run *run)
{
	int status = 0;

	if (run->daemon <= 0)
		return 0;
	kill(run->daemon, SIGTERM);
	if (!await_daemon(run, &status)) {
		kill(run->daemon, SIGKILL);
		waitpid(run->daemon, &status, 0);
	}
	return status;
}

static int exit_status(int status)
{
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	return RUN_EXIT_SIGNAL + WTERMSIG(status);
}

static int run_program(struct run *run, char *const *argv)
{
	int error = start_program(run, argv);

	if (error == ENOENT || error == ENOTDIR)
		return complain(RUN_EXIT_NOT_FOUND, argv[0], strerror(error));
	if (error != 0)
		return complain(RUN_EXIT_NOT_RUNNABLE, argv[0],
				strerror(error));
	await_program(run);
	return exit_status(run->status);
}

int run_with_daemon(char *const *argv)
{
	struct run run = { 0 };
	int status = find_daemon(run.program, sizeof(run.program)), code;

	if (status < 0)
		return complain(RUN_EXIT_OURS, "tenured", strerror(-status));
	status = make_directory(&run);
	if (status < 0)
		return complain(RUN_EXIT_OURS, "a private directory",
				strerror(-status));
	block_signals(&run);
	if (start_daemon(&run) < 0) {
		code = complain(RUN_EXIT_OURS, run.program,
				"it cannot be started");
		end_daemon(&run);
	} else {
		code = run_program(&run, argv);
		if (end_daemon(&run) != 0)
			complain(0, "the private daemon",
				 "it did not end well");
	}
	remove_directory(&run);
	return code;
}
