/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Children
 *
 * Every child is pinned before it is executed, so all its threads are; it
 * dies with the harness; and it is waited for, so that nothing runs beside
 * the next measurement. The daemon says by a byte on a pipe that it listens.
 */
#include "bench/child.h"

#include "bench/affinity.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { READY_MS = 10000 };

void child_beside(const char *name, char ret[CHILD_PATH_BYTES])
{
	char self[CHILD_PATH_BYTES / 2];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	self[n < 0 ? 0 : n] = '\0';
	snprintf(ret, CHILD_PATH_BYTES, "%.*s/%s",
		 (int)(strrchr(self, '/') ? strrchr(self, '/') - self : 0),
		 self, name);
}

/* A child with its standard output in a pipe, or closed when out is -1. */
static pid_t spawn(const char *const argv[], int cpu, int out)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (out < 0)
		out = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (cpu >= 0 && !pin_to(cpu))
		_exit(125);
	if (dup2(out, STDOUT_FILENO) < 0)
		_exit(126);
	execv(argv[0], (char *const *)(uintptr_t)argv);
	_exit(127);
}

static bool ended_well(pid_t pid)
{
	int status;

	return pid > 0 && waitpid(pid, &status, 0) == pid &&
	       WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static json_t *read_object(const char *const argv[], int cpu)
{
	int ends[2];
	json_t *object;
	FILE *from;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) != 0)
		return NULL;
	pid = spawn(argv, cpu, ends[1]);
	close(ends[1]);
	from = fdopen(ends[0], "r");
	/* up to its end, or the child would write into a closed pipe */
	object = json_loadf(from, 0, NULL);
	fclose(from);
	if (ended_well(pid))
		return object;
	json_decref(object);
	return NULL;
}

bool child_quantiles(const char *const argv[], int cpu, struct quantiles *ret)
{
	json_t *object = read_object(argv, cpu);
	struct quantiles q;
	bool good;

	good = json_unpack(object, "{s:F, s:F, s:F, s:F}", "p50", &q.p50, "p99",
			   &q.p99, "p999", &q.p999, "throughput",
			   &q.throughput) == 0;
	json_decref(object);
	if (good)
		*ret = q;
	else
		fprintf(stderr, "tenure-bench: %s gave no figures\n", argv[0]);
	return good;
}

bool child_run(const char *const argv[])
{
	return ended_well(spawn(argv, -1, -1));
}

/* ---- The daemon ---- */

static bool prepare(struct service *service)
{
	FILE *config;

	snprintf(service->directory, sizeof(service->directory),
		 "/tmp/tenure-bench-XXXXXX");
	if (!mkdtemp(service->directory))
		return false;
	snprintf(service->socket, sizeof(service->socket), "%s/socket",
		 service->directory);
	snprintf(service->config, sizeof(service->config), "%s/config",
		 service->directory);
	config = fopen(service->config, "we");
	if (!config)
		return false;
	if (service->is_null)
		fputs("[client]\nbytes = 1000T\nhandles = 200000000\n"
		      "stores = 10000000\n[principal]\nbytes = 1000T\n"
		      "handles = 200000000\nstores = 10000000\n",
		      config);
	return fclose(config) == 0;
}

static void execute(const struct service *service, int cpu, int ready)
{
	char path[CHILD_PATH_BYTES], number[16];

	child_beside(service->is_null ? "tenure-null-daemon" : "../tenured",
		     path);
	snprintf(number, sizeof(number), "%d", ready);
	fcntl(ready, F_SETFD, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (cpu >= 0)
		pin_to(cpu);
	else
		unpin();
	execl(path, path, "--socket", service->socket, "--config",
	      service->config, "--log-level", "error", "--ready-fd", number,
	      (char *)NULL);
	_exit(127);
}

bool service_start(struct service *service, int cpu)
{
	struct pollfd ready = { .events = POLLIN };
	int ends[2];
	char byte;

	if (!prepare(service) || pipe2(ends, O_CLOEXEC) != 0) {
		fprintf(stderr, "tenure-bench: %s: %s\n", service->directory,
			strerror(errno));
		return false;
	}
	service->pid = fork();
	if (service->pid == 0)
		execute(service, cpu, ends[1]);
	close(ends[1]);
	ready.fd = ends[0];
	if (service->pid < 0 || poll(&ready, 1, READY_MS) != 1 ||
	    read(ends[0], &byte, 1) != 1) {
		fprintf(stderr, "tenure-bench: the daemon does not start\n");
		close(ends[0]);
		service_stop(service);
		return false;
	}
	close(ends[0]);
	return true;
}

void service_stop(struct service *service)
{
	static const char *const left[] = { "config", "socket", "socket.lock" };
	char path[128];

	if (service->pid > 0) {
		kill(service->pid, SIGTERM);
		waitpid(service->pid, NULL, 0);
	}
	for (unsigned int i = 0; i < 3 && service->directory[0]; i++) {
		snprintf(path, sizeof(path), "%s/%s", service->directory,
			 left[i]);
		unlink(path);
	}
	if (service->directory[0])
		rmdir(service->directory);
	memset(service, 0, sizeof(*service));
}

void service_resident(const struct service *service, uint64_t *ret_bytes,
		      uint64_t *ret_huge_bytes)
{
	unsigned long long kib;
	char line[256];
	FILE *file;

	*ret_bytes = *ret_huge_bytes = 0;
	snprintf(line, sizeof(line), "/proc/%d/smaps_rollup",
		 (int)service->pid);
	file = fopen(line, "re");
	if (!file)
		return;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "Anonymous: %llu", &kib) == 1)
			*ret_bytes = kib * 1024;
		else if (sscanf(line, "AnonHugePages: %llu", &kib) == 1)
			*ret_huge_bytes = kib * 1024;
	}
	fclose(file);
}
