/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spawn
 *
 * A private daemon makes a program work with no set-up. It is nobody's child:
 *
 *	caller --fork--> middle --fork--> daemon (own session)
 *	   |                |                |
 *	   |<---waitpid-----+ exits at once  | closes descriptors, execs
 *	   |<------------- "ready" ----------+ listens in a directory of its own
 *
 * so the caller gets no zombie, no SIGCHLD later, and the daemon gets no
 * signal from the caller's terminal. It ends by itself when its last client
 * has gone, and removes its socket and directory.
 *
 * Everything that may allocate (finding the program, the environment, the
 * arguments) happens before the fork. Between fork and exec only functions
 * that are safe there are called, since another thread may have held any lock
 * at the moment of the fork; and all signals are blocked until their handlers
 * are the default ones, so that no handler of the application runs in a
 * process that it does not know.
 *
 * The daemon gets no descriptor of the caller but the one by which it says
 * that it is ready: its standard ones are /dev/null, so that a pipe from the
 * caller ends when the caller does. It does not get the variables by which a
 * service manager speaks to the caller (NOTIFY_SOCKET and its like), which
 * would let it answer in the caller's name.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  A failure leaves no child, no directory and no descriptor behind. A
 *      daemon that was too slow finds its pipe closed and no client, and ends.
 *  G2  It takes at most SPAWN_TIMEOUT_MS.
 *  G3  The daemon inherits neither descriptors nor signal settings.
 */
#include "client/spawn.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SPAWN_TIMEOUT_MS = 5000, READY_FD = 3 };

extern char **environ;

/* Everything the child needs, made before the fork. */
struct spawn {
	char program[PATH_MAX];
	char directory[PATH_MAX];
	char **envp;
	int null_fd;
	int ready[2];
	unsigned int max_fd;
};

static bool is_program(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	       access(path, X_OK) == 0;
}

/* One directory of a search; true when the program is there. */
static bool try_directory(const char *directory, size_t length,
			  char *ret_program, size_t size)
{
	int n = snprintf(ret_program, size, "%.*s/tenured", (int)length,
			 directory);

	return length > 0 && n > 0 && (size_t)n < size &&
	       is_program(ret_program);
}

/* The file of a line of /proc/self/maps, if it is mapped at that address. */
static char *mapped_at(char *line, uintptr_t address)
{
	uintmax_t first, end;
	char *path;

	if (sscanf(line, "%jx-%jx", &first, &end) != 2 || address < first ||
	    address >= end)
		return NULL;
	line[strcspn(line, "\n")] = '\0';
	path = strchr(line, '/');
	return path && strlen(path) < PATH_MAX ? path : NULL;
}

/* Where this library lies, as the kernel has it. */
static bool find_in_maps(const char *here, char ret_path[PATH_MAX])
{
	FILE *maps = fopen("/proc/self/maps", "re");
	size_t capacity = 0;
	char *line = NULL, *path = NULL;

	if (!maps)
		return false;
	while (!path && getline(&line, &capacity, maps) > 0)
		path = mapped_at(line, (uintptr_t)here);
	if (path)
		strcpy(ret_path, path);
	free(line);
	fclose(maps);
	return path != NULL;
}

/*
 * The file that this library was loaded from. The loader says by which name it
 * found it; a relative one meant something in the directory that was the
 * current one then.
 */
static bool find_library(char ret_path[PATH_MAX])
{
	static const char here = 0;
	Dl_info self;

	if (!dladdr(&here, &self))
		return false;
	if (self.dli_fname[0] != '/')
		return find_in_maps(&here, ret_path);
	if (strlen(self.dli_fname) >= PATH_MAX)
		return false;
	strcpy(ret_path, self.dli_fname);
	return true;
}

/*
 * The daemon that was installed together with this library, also when all was
 * installed, or moved, to another place than the one that it was built for.
 */
static bool try_beside_library(char *ret_program, size_t size)
{
	char library[PATH_MAX], directory[PATH_MAX];
	int n;

	if (!find_library(library))
		return false;
	*strrchr(library, '/') = '\0';
	n = snprintf(directory, sizeof(directory), "%s/" TENURE_LIB_TO_SBIN,
		     library);
	return n > 0 && (size_t)n < sizeof(directory) &&
	       try_directory(directory, (size_t)n, ret_program, size);
}

static int search_path(char *ret_program, size_t size)
{
	const char *path = secure_getenv("PATH");
	size_t length;

	while (path && *path) {
		length = strcspn(path, ":");
		if (try_directory(path, length, ret_program, size))
			return 0;
		path += length + (path[length] == ':');
	}
	return -ENOENT;
}

int spawn_find_program(char *ret_program, size_t size)
{
	const char *named = secure_getenv("TENURE_DAEMON");
	static const char *const installed[] = {
		TENURE_SBINDIR,
		TENURE_BINDIR,
	};

	if (named && *named) {
		if (strlen(named) >= size)
			return -ENAMETOOLONG;
		strcpy(ret_program, named);
		return is_program(named) ? 0 : -ENOENT;
	}
	if (try_beside_library(ret_program, size))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(installed); i++) {
		if (try_directory(installed[i], strlen(installed[i]),
				  ret_program, size))
			return 0;
	}
	return search_path(ret_program, size);
}

/* A new directory that only this user can enter, short enough for a socket. */
static int make_directory(char *ret_directory, size_t path_size)
{
	const char *bases[] = { secure_getenv("XDG_RUNTIME_DIR"), "/tmp" };
	int status = -ENAMETOOLONG;

	for (size_t i = 0; i < ARRAY_SIZE(bases); i++) {
		if (!bases[i] || bases[i][0] != '/' ||
		    strlen(bases[i]) + sizeof("/tenure-XXXXXX/tenured.sock") >
			    path_size)
			continue;
		strcpy(ret_directory, bases[i]);
		strcat(ret_directory, "/tenure-XXXXXX");
		if (mkdtemp(ret_directory))
			return 0;
		status = -errno;
	}
	return status;
}

static bool is_of_service_manager(const char *variable)
{
	static const char *const names[] = {
		"NOTIFY_SOCKET=",  "LISTEN_PID=",   "LISTEN_FDS=",
		"LISTEN_FDNAMES=", "WATCHDOG_PID=", "WATCHDOG_USEC=",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strncmp(variable, names[i], strlen(names[i])) == 0)
			return true;
	}
	return false;
}

/* Pointers to the caller's variables, less those of its service manager. */
static char **keep_environment(void)
{
	char **kept;
	size_t n = 0;

	while (environ && environ[n])
		n++;
	kept = calloc(n + 1, sizeof(*kept));
	if (!kept)
		return NULL;
	n = 0;
	for (char **variable = environ; variable && *variable; variable++) {
		if (!is_of_service_manager(*variable))
			kept[n++] = *variable;
	}
	return kept;
}

static unsigned int highest_fd(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > INT_MAX)
		return INT_MAX;
	return (unsigned int)limit.rlim_cur;
}

/* In the child: closes all from READY_FD + 1. */
static void close_the_rest(const struct spawn *spawn)
{
	if (syscall(SYS_close_range, READY_FD + 1, UINT_MAX, 0) == 0)
		return;
	for (unsigned int fd = READY_FD + 1; fd < spawn->max_fd; fd++)
		close((int)fd);
}

static void reset_signals(void)
{
	struct sigaction standard = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int signal = 1; signal < NSIG; signal++)
		sigaction(signal, &standard, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/*
 * In the child: the three standard descriptors and the ready one, in their
 * places. Both are first moved out of the way of all four.
 */
static bool place_descriptors(const struct spawn *spawn)
{
	int null_fd = fcntl(spawn->null_fd, F_DUPFD, READY_FD + 1);
	int ready_fd = fcntl(spawn->ready[1], F_DUPFD, READY_FD + 1);

	if (null_fd < 0 || ready_fd < 0)
		return false;
	for (int fd = 0; fd < READY_FD; fd++) {
		if (dup2(null_fd, fd) < 0)
			return false;
	}
	return dup2(ready_fd, READY_FD) >= 0;
}

static _Noreturn void become_daemon(const struct spawn *spawn, char **argv)
{
	if (setsid() < 0 || !place_descriptors(spawn))
		_exit(127);
	close_the_rest(spawn);
	reset_signals();
	execve(spawn->program, argv, spawn->envp);
	_exit(127);
}

static _Noreturn void be_the_middle(const struct spawn *spawn, char **argv)
{
	pid_t pid = fork();

	if (pid == 0)
		become_daemon(spawn, argv);
	_exit(pid < 0 ? 1 : 0);
}

static int wait_for_middle(pid_t pid)
{
	int state = 0;
	pid_t waited;

	do {
		waited = waitpid(pid, &state, 0);
	} while (waited < 0 && errno == EINTR);
	/* An application that reaps everybody's children took the answer. */
	if (waited < 0)
		return 0;
	return WIFEXITED(state) && WEXITSTATUS(state) == 0 ? 0 : -EAGAIN;
}

static int fork_twice(const struct spawn *spawn, char **argv)
{
	sigset_t all, before;
	pid_t pid;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0)
		be_the_middle(spawn, argv);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return pid < 0 ? -errno : wait_for_middle(pid);
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits for one byte; its end without one means that the daemon has ended. */
static int wait_until_ready(int fd)
{
	int64_t deadline_ms = now_ms() + SPAWN_TIMEOUT_MS;
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	int64_t left_ms;
	char byte;
	int n;

	for (;;) {
		left_ms = deadline_ms - now_ms();
		if (left_ms <= 0)
			return -ETIMEDOUT;
		n = poll(&poll_fd, 1, (int)left_ms);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			return read(fd, &byte, 1) == 1 ? 0 : -EIO;
	}
}

static int run(struct spawn *spawn, const char *path)
{
	char ready_fd[] = { '0' + READY_FD, '\0' };
	char *argv[] = {
		(char[]){ "tenured" },
		(char[]){ "--socket" },
		(char *)(uintptr_t)path,
		(char[]){ "--private" },
		(char[]){ "--ready-fd" },
		ready_fd,
		NULL,
	};
	int status;

	if (pipe2(spawn->ready, O_CLOEXEC) < 0)
		return -errno;
	status = fork_twice(spawn, argv);
	close(spawn->ready[1]);
	if (status == 0)
		status = wait_until_ready(spawn->ready[0]);
	close(spawn->ready[0]);
	return status;
}

static int prepare_and_run(struct spawn *spawn, const char *path)
{
	int status;

	spawn->max_fd = highest_fd();
	spawn->envp = keep_environment();
	if (!spawn->envp)
		return -ENOMEM;
	spawn->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	status = spawn->null_fd < 0 ? -errno : run(spawn, path);
	if (spawn->null_fd >= 0)
		close(spawn->null_fd);
	free(spawn->envp);
	return status;
}

int spawn_daemon(char *ret_path, size_t size)
{
	struct spawn spawn;
	char path[PATH_MAX + sizeof("/tenured.sock")];
	int status = spawn_find_program(spawn.program, sizeof(spawn.program));

	if (status == 0)
		status = make_directory(spawn.directory, size);
	if (status < 0)
		return status;
	strcpy(path, spawn.directory);
	strcat(path, "/tenured.sock");
	status = prepare_and_run(&spawn, path);
	if (status < 0) {
		unlink(path);
		rmdir(spawn.directory);
		return status;
	}
	strcpy(ret_path, path);
	return 0;
}
