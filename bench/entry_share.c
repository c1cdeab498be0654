/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Question (S7): how long does it take to create 4 KiB of shared memory, to
 * open it in a second process and to map it in both?
 *
 * A round is resource_create, resource_share and map in one process, the
 * token to the other one over a socket, resource_open and map there, and a
 * byte back. The raw peer does memfd_create, ftruncate, mmap and sendmsg with
 * SCM_RIGHTS in one process, recvmsg and mmap in the other, and a byte back.
 * Destroying and unmapping are not timed, in either.
 *
 * same: both processes and the daemon on one CPU. cross: the second process
 * and the daemon on another.
 */
#include "bench/bench.h"

#include "bench/child.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <tenure/tenure.h>
#include <unistd.h>

static const double S7_TARGET = 2;

enum { SHARED_BYTES = 4096 };

/* Either of the two processes. */
struct party {
	struct tenure *connection;
	struct tenure_device device;
	struct tenure_resource resource;
	struct tenure_allocation allocation;
	struct tenure_token token;
	int other; /* socket to the other one */
};

static bool attach(const struct service *service, struct party *party)
{
	struct tenure_adapter adapter;

	return tenure_connect(service->socket, 0, &party->connection) == 0 &&
	       tenure_adapter_open(party->connection, NULL, &adapter) == 0 &&
	       tenure_device_create(party->connection, adapter,
				    &party->device) == 0;
}

static bool map(struct party *p)
{
	size_t size;
	void *pointer;

	return tenure_map(p->connection, p->device, p->allocation,
			  TENURE_MAP_READ | TENURE_MAP_WRITE, &pointer,
			  &size) == 0;
}

static bool tell(const struct party *p, const void *bytes, size_t size_bytes)
{
	return send(p->other, bytes, size_bytes, MSG_NOSIGNAL) ==
	       (ssize_t)size_bytes;
}

static bool hear_byte(const struct party *p)
{
	char byte;

	return recv(p->other, &byte, 1, 0) == 1;
}

/* A token is a round, a single byte undoes it. */
__attribute__((noreturn)) static void second(const struct service *service,
					     int cpu, int other)
{
	struct party p = { .other = other };
	bool good;
	ssize_t n;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	good = pin_to(cpu) && attach(service, &p) && tell(&p, "", 1);
	while (good && (n = recv(other, &p.token, sizeof(p.token), 0)) > 0) {
		if (n == sizeof(p.token))
			good = tenure_resource_open(p.connection, p.device,
						    &p.token, 0, 1, NULL, 0,
						    &p.resource,
						    &p.allocation) == 0 &&
			       map(&p);
		else
			good = tenure_resource_destroy(p.connection, p.device,
						       p.resource) == 0;
		good = good && tell(&p, "", 1);
	}
	tenure_disconnect(p.connection);
	_exit(good ? 0 : 1);
}

static bool round_trip(void *context)
{
	struct party *p = context;
	size_t size = SHARED_BYTES;

	return tenure_resource_create(p->connection, p->device,
				      TENURE_CREATE_SHARED, &size, 1, NULL, 0,
				      &p->resource, &p->allocation) == 0 &&
	       tenure_resource_share(p->connection, p->device, p->resource,
				     TENURE_RIGHT_READ | TENURE_RIGHT_WRITE,
				     &p->token) == 0 &&
	       map(p) && tell(p, &p->token, sizeof(p->token)) && hear_byte(p);
}

static bool undo(void *context)
{
	struct party *p = context;

	return tell(p, "", 1) && hear_byte(p) &&
	       tenure_token_revoke(p->connection, &p->token) == 0 &&
	       tenure_resource_destroy(p->connection, p->device, p->resource) ==
		       0;
}

/* Starts the second process; its pid, or -1. */
static pid_t start_second(const struct service *service, int cpu, int *ret)
{
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		close(pair[0]);
		second(service, cpu, pair[1]);
	}
	close(pair[1]);
	*ret = pair[0];
	return pid;
}

static bool measure(const struct bench *bench, int cpu, struct quantiles *ret)
{
	struct service service = { 0 };
	struct party first = { .other = -1 };
	struct rounds rounds = { NULL, round_trip, undo, &first };
	pid_t pid = -1;
	bool good;

	good = service_start(&service, cpu);
	if (good)
		pid = start_second(&service, cpu, &first.other);
	good = good && pid > 0 && hear_byte(&first) &&
	       attach(&service, &first) && measure_rounds(bench, &rounds, ret);
	if (first.other >= 0)
		close(first.other);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	tenure_disconnect(first.connection);
	service_stop(&service);
	return good;
}

static bool run(struct bench *bench, int cpu, const char *where)
{
	struct result ours = { .unit = "ns",
			       .target_kind = TARGET_RATIO,
			       .target = S7_TARGET };
	struct result raw = { .unit = "ns", .floor = NAN };

	if (!measure_raw(bench, "memfd", cpu, &raw.q) ||
	    !measure(bench, cpu, &ours.q))
		return false;
	ours.floor = raw.q.p50;
	snprintf(ours.id, sizeof(ours.id), "S7-%s", where);
	snprintf(raw.id, sizeof(raw.id), "P-memfd-%s", where);
	snprintf(ours.name, sizeof(ours.name),
		 "share 4 KiB: create, open in another process, map both");
	snprintf(raw.name, sizeof(raw.name),
		 "raw memfd, SCM_RIGHTS and two mmaps");
	report_add(bench->report, &ours);
	report_add(bench->report, &raw);
	return true;
}

bool entry_share(struct bench *bench)
{
	if (!run(bench, bench->cpus.near, "same"))
		return false;
	return bench->cpus.far < 0 || run(bench, bench->cpus.far, "cross");
}
