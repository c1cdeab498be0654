/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A daemon as a child process. Three things make tests with it dependable:
 * readiness is a byte on a pipe and never a sleep; the kernel kills it when
 * the test program dies, however that happens; and every wait has an end and
 * says on what it waited.
 *
 * The base of the oracle is taken with its own monitoring connection open,
 * so that asking does not change the answer.
 */
#include "tests/support/daemon_process.h"

#include "tests/support/raw.h"
#include "tests/support/shmem.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATH_BYTES = 256, WAIT_MS = 10000, SHMEM_WAIT_MS = 60000 };

struct daemon_process {
	struct daemon_process *next; /* of those that run */
	pid_t pid, owner;
	int monitor; /* raw client that asks for STATUS */
	char directory[PATH_BYTES];
	char socket[PATH_BYTES];
	char config[PATH_BYTES];
	char log[PATH_BYTES];
	struct wire_status base;
	unsigned int base_descriptors;
	struct shmem base_shmem;
};

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
}

/* From the environment of ctest, or else beside this very program. */
static const char *bin_directory(void)
{
	static char path[PATH_BYTES];
	const char *directory = getenv("TENURE_BIN_DIR");
	char *slash;

	if (directory)
		return directory;
	if (readlink("/proc/self/exe", path, sizeof(path) - 1) < 0)
		fail_msg("TENURE_BIN_DIR is not set: run this with ctest");
	slash = strrchr(path, '/');
	strcpy(slash, "/..");
	return path;
}

static void print_log(const struct daemon_process *daemon)
{
	char buffer[4096];
	size_t n;
	FILE *log = fopen(daemon->log, "re");

	if (!log)
		return;
	fprintf(stderr, "---- log of the daemon ----\n");
	while ((n = fread(buffer, 1, sizeof(buffer), log)) > 0)
		fwrite(buffer, 1, n, stderr);
	fprintf(stderr, "---- end of it ----\n");
	fclose(log);
}

__attribute__((format(printf, 2, 3))) static void
complain(const struct daemon_process *daemon, const char *format, ...)
{
	char text[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	print_log(daemon);
	fail_msg("%s", text);
}

static void remove_directory(const char *path)
{
	DIR *directory = opendir(path);
	struct dirent *entry;

	if (!directory)
		return;
	while ((entry = readdir(directory)))
		unlinkat(dirfd(directory), entry->d_name, 0);
	closedir(directory);
	rmdir(path);
}

/* Those that are left over when tests have failed. */
static struct daemon_process *running;

static void daemon_free(struct daemon_process *daemon)
{
	struct daemon_process **link = &running;

	while (*link != daemon)
		link = &(*link)->next;
	*link = daemon->next;
	if (daemon->monitor >= 0)
		close(daemon->monitor);
	remove_directory(daemon->directory);
	free(daemon);
}

/* Not in a forked child, which has inherited the list but not the daemons. */
static void abandon_all(void)
{
	while (running && running->owner == getpid()) {
		if (running->pid > 0) {
			kill(running->pid, SIGKILL);
			waitpid(running->pid, NULL, 0);
		}
		daemon_free(running);
	}
}

static struct daemon_process *daemon_new(void)
{
	struct daemon_process *daemon = calloc(1, sizeof(*daemon));
	static bool registered;

	assert_non_null(daemon);
	if (!registered)
		assert_int_equal(atexit(abandon_all), 0);
	registered = true;
	daemon->owner = getpid();
	daemon->monitor = -1;
	daemon->next = running;
	running = daemon;
	return daemon;
}

/* ---- Start ---- */

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void prepare_directory(struct daemon_process *daemon,
			      const struct daemon_options *options)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(daemon->directory, PATH_BYTES, "%.60s/tenure-test-XXXXXX",
		 tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(daemon->directory));
	assert_int_equal(chmod(daemon->directory, 0755), 0);
	if (options->uid)
		assert_int_equal(chown(daemon->directory, options->uid, -1), 0);
	snprintf(daemon->socket, PATH_BYTES, "%.200s/socket",
		 daemon->directory);
	snprintf(daemon->config, PATH_BYTES, "%.200s/config",
		 daemon->directory);
	snprintf(daemon->log, PATH_BYTES, "%.200s/log", daemon->directory);
	write_file(daemon->config, options->config ? options->config : "");
}

/* The child; async-signal-safe from the fork on. */
static void run_daemon(const struct daemon_process *daemon, const char *path,
		       uid_t uid, int ready)
{
	char number[16];
	int log = open(daemon->log, O_WRONLY | O_CREAT | O_APPEND, 0644);

	if (log < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
		_exit(120);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (uid && (setgid(uid) || setuid(uid)))
		_exit(121);
	snprintf(number, sizeof(number), "%d", ready);
	execl(path, path, "--socket", daemon->socket, "--config",
	      daemon->config, "--ready-fd", number, (char *)NULL);
	_exit(122);
}

static void wait_until_ready(struct daemon_process *daemon, int ready)
{
	struct pollfd poll_fd = { .fd = ready, .events = POLLIN };
	char byte = 0;

	if (poll(&poll_fd, 1, WAIT_MS) <= 0 || read(ready, &byte, 1) != 1)
		complain(daemon, "the daemon did not become ready");
	close(ready);
}

static void take_base(struct daemon_process *daemon)
{
	daemon->monitor = raw_client(daemon->socket);
	if (daemon->monitor < 0)
		complain(daemon, "no connection to the fresh daemon: %s",
			 strerror(-daemon->monitor));
	daemon_status(daemon, &daemon->base);
	daemon->base_descriptors = daemon_descriptors(daemon);
	shmem_look(&daemon->base_shmem);
}

struct daemon_process *daemon_start(const struct daemon_options *options)
{
	struct daemon_process *daemon = daemon_new();
	char path[PATH_BYTES];
	int ready[2];

	prepare_directory(daemon,
			  options ? options : &(struct daemon_options){ 0 });
	snprintf(path, sizeof(path), "%.200s/tenured-testing", bin_directory());
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	daemon->pid = fork();
	assert_true(daemon->pid >= 0);
	if (daemon->pid == 0) {
		fcntl(ready[1], F_SETFD, 0);
		run_daemon(daemon, path, options ? options->uid : 0, ready[1]);
	}
	close(ready[1]);
	wait_until_ready(daemon, ready[0]);
	take_base(daemon);
	return daemon;
}

/* ---- Questions ---- */

const char *daemon_socket(const struct daemon_process *daemon)
{
	return daemon->socket;
}

const char *daemon_directory(const struct daemon_process *daemon)
{
	return daemon->directory;
}

pid_t daemon_pid(const struct daemon_process *daemon)
{
	return daemon->pid;
}

void daemon_status(struct daemon_process *daemon, struct wire_status *ret)
{
	struct wire_request head = { .opcode = WIRE_OP_STATUS };
	struct raw_reply reply;
	int status = raw_call(daemon->monitor, &head, NULL, 0, &reply);

	if (status)
		complain(daemon, "STATUS was answered with %s",
			 strerror(-status));
	assert_int_equal(reply.head.data_bytes, sizeof(*ret));
	memcpy(ret, reply.data, sizeof(*ret));
}

void daemon_check(struct daemon_process *daemon)
{
	struct wire_request head = { .opcode = WIRE_OP_CHECK };
	struct raw_reply reply;
	int status = raw_call(daemon->monitor, &head, NULL, 0, &reply);

	if (status)
		complain(daemon, "CHECK was answered with %s",
			 strerror(-status));
	if (reply.head.count)
		complain(daemon, "a broken invariant: %.*s",
			 (int)reply.head.data_bytes, (const char *)reply.data);
}

unsigned int daemon_descriptors(const struct daemon_process *daemon)
{
	char path[PATH_BYTES];
	unsigned int count = 0;
	struct dirent *entry;
	DIR *directory;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)daemon->pid);
	directory = opendir(path);
	if (!directory)
		complain(daemon, "the daemon has gone: %s is missing", path);
	while ((entry = readdir(directory)))
		count += entry->d_name[0] != '.';
	closedir(directory);
	return count;
}

void daemon_freeze(const struct daemon_process *daemon)
{
	int status;

	assert_int_equal(kill(daemon->pid, SIGSTOP), 0);
	assert_int_equal(waitpid(daemon->pid, &status, WUNTRACED), daemon->pid);
	assert_true(WIFSTOPPED(status));
}

void daemon_thaw(const struct daemon_process *daemon)
{
	assert_int_equal(kill(daemon->pid, SIGCONT), 0);
}

bool daemon_logged(const struct daemon_process *daemon, const char *text)
{
	FILE *log = fopen(daemon->log, "re");
	char line[1024];
	bool found = false;

	assert_non_null(log);
	while (!found && fgets(line, sizeof(line), log))
		found = strstr(line, text) != NULL;
	fclose(log);
	return found;
}

unsigned int daemon_log_lines(const struct daemon_process *daemon)
{
	FILE *log = fopen(daemon->log, "re");
	unsigned int lines = 0;
	int c;

	assert_non_null(log);
	while ((c = getc(log)) != EOF)
		lines += c == '\n';
	fclose(log);
	return lines;
}

/* ---- The oracle ---- */

/* What is not back at its base, as a sentence; false when all is. */
static bool left_over(struct daemon_process *daemon, char *text, size_t size)
{
	const struct wire_status *base = &daemon->base;
	unsigned int descriptors = daemon_descriptors(daemon);
	struct wire_status now;

	daemon_status(daemon, &now);
	snprintf(text, size,
		 "left over: clients %+lld, ending %+lld, devices %+lld, "
		 "resources %+lld, allocations %+lld, handles %+lld, "
		 "objects %+lld, tokens %+lld, stores %+lld, bytes %+lld, "
		 "releases %+lld, descriptors %+d",
		 (long long)(now.clients - base->clients),
		 (long long)(now.clients_ending - base->clients_ending),
		 (long long)(now.devices - base->devices),
		 (long long)(now.resources - base->resources),
		 (long long)(now.allocations - base->allocations),
		 (long long)(now.handles - base->handles),
		 (long long)(now.objects - base->objects),
		 (long long)(now.tokens - base->tokens),
		 (long long)(now.stores - base->stores),
		 (long long)(now.bytes - base->bytes),
		 (long long)(now.releases_pending - base->releases_pending),
		 (int)(descriptors - daemon->base_descriptors));
	return now.clients != base->clients ||
	       now.clients_ending != base->clients_ending ||
	       now.devices != base->devices ||
	       now.resources != base->resources ||
	       now.allocations != base->allocations ||
	       now.handles != base->handles || now.objects != base->objects ||
	       now.tokens != base->tokens || now.stores != base->stores ||
	       now.bytes != base->bytes ||
	       now.releases_pending != base->releases_pending ||
	       descriptors != daemon->base_descriptors;
}

/* Whether memory is back, or what is not as a sentence. What others than the
 * processes of this test take in other ways than as memfds they give back after
 * a while; what we have lost stays. */
static bool is_back(const struct daemon_process *daemon, char *text,
		    size_t size)
{
	const struct shmem *base = &daemon->base_shmem;
	struct shmem now;

	shmem_look(&now);
	if (now.own_bytes > base->own_bytes) {
		snprintf(text, size,
			 "%llu bytes of memfds are held by this test's "
			 "processes, and %llu were at the start",
			 (unsigned long long)now.own_bytes,
			 (unsigned long long)base->own_bytes);
		return false;
	}
	snprintf(text, size,
		 "Shmem, without what others hold, stays %lld bytes above its "
		 "base, and the daemon holds nothing",
		 (long long)(now.rest_bytes - base->rest_bytes));
	return !now.all_seen || !base->all_seen ||
	       now.rest_bytes <= base->rest_bytes + SHMEM_TOLERANCE_BYTES;
}

static void require_base_shmem(const struct daemon_process *daemon)
{
	uint64_t end = now_ms() + SHMEM_WAIT_MS;
	char text[256];

	while (!is_back(daemon, text, sizeof(text))) {
		if (now_ms() > end)
			complain(daemon, "%s", text);
		nap();
	}
}

void daemon_require_base(struct daemon_process *daemon, bool check_shmem)
{
	uint64_t end = now_ms() + WAIT_MS;
	char text[512];

	while (left_over(daemon, text, sizeof(text))) {
		if (now_ms() > end)
			complain(daemon, "%s", text);
		nap();
	}
	if (check_shmem)
		require_base_shmem(daemon);
	daemon_check(daemon);
}

/* ---- End ---- */

/* Waits for a child; its wait status, or -1 after it had to be killed. */
static int await_end(pid_t pid)
{
	uint64_t end = now_ms() + WAIT_MS;
	int status;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (now_ms() > end) {
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			return -1;
		}
		nap();
	}
	return status;
}

void daemon_stop(struct daemon_process *daemon)
{
	struct stat ignored;
	int status;

	kill(daemon->pid, SIGTERM);
	status = await_end(daemon->pid);
	daemon->pid = 0;
	if (status == -1)
		complain(daemon, "the daemon did not end after SIGTERM");
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		complain(daemon, "the daemon ended with wait status 0x%x",
			 (unsigned int)status);
	if (stat(daemon->socket, &ignored) == 0)
		complain(daemon, "the daemon left its socket behind");
	daemon_free(daemon);
}

void daemon_stop_clean(struct daemon_process *daemon)
{
	daemon_require_base(daemon, false);
	daemon_stop(daemon);
}

void daemon_kill(struct daemon_process *daemon)
{
	int status;

	assert_int_equal(kill(daemon->pid, SIGKILL), 0);
	assert_int_equal(waitpid(daemon->pid, &status, 0), daemon->pid);
	assert_true(WIFSIGNALED(status));
	daemon->pid = 0;
}

void daemon_bury(struct daemon_process *daemon)
{
	assert_int_equal(daemon->pid, 0);
	daemon_free(daemon);
}

/* ---- Any program ---- */

static void run_child(const char *path, const char *const *arguments,
		      int output)
{
	const char *argv[32] = { path };
	unsigned int n = 1;

	while (n < 31 && arguments[n - 1]) {
		argv[n] = arguments[n - 1];
		n++;
	}
	dup2(output, 1);
	dup2(output, 2);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execv(path, (char *const *)(uintptr_t)argv);
	_exit(122);
}

int run_program(const char *name, const char *const *arguments, char *output,
		size_t size)
{
	FILE *file = tmpfile();
	char path[PATH_BYTES];
	int status;
	size_t n;
	pid_t pid;

	assert_non_null(file);
	snprintf(path, sizeof(path), "%.200s/%s", bin_directory(), name);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		run_child(path, arguments, fileno(file));
	status = await_end(pid);
	rewind(file);
	n = fread(output, 1, size - 1, file);
	output[n] = '\0';
	fclose(file);
	return status != -1 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
