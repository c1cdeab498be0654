/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tenurectl as a person uses it: the program, a real daemon, a real client;
 * and a daemon that lies.
 */
#include "core/wire/reason.h"
#include "tests/support/daemon_process.h"

#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <tenure/pool.h>
#include <tenure/tenure.h>

enum { MIB = 1 << 20 };

static char output[1 << 20];

/* Runs tenurectl with up to eight arguments; its exit code. */
#define tenurectl(...)                                                       \
	run_program("tenurectl", (const char *const[]){ __VA_ARGS__, NULL }, \
		    output, sizeof(output))

/* A daemon, and this process as its client: twice, since the helper that asks
 * for totals is one, too. */
struct stage {
	struct daemon_process *daemon;
	const char *socket;
	struct tenure *t;
	struct tenure_device device;
	json_int_t client; /* the daemon's number for it */
	json_int_t ring_bytes; /* that a connection itself is charged for */
};

static json_t *parse(const char *key);
static json_int_t number(const json_t *object, const char *key);

/* Of all clients the one with a device. */
static json_int_t find_client(const struct stage *stage)
{
	json_int_t client = 0;
	json_t *rows, *row;
	size_t i;

	assert_int_equal(tenurectl("-s", stage->socket, "clients", "--json"),
			 0);
	rows = parse("clients");
	json_array_foreach(rows, i, row) if (number(row, "devices") == 1)
		client = number(row, "client");
	json_decref(rows);
	assert_true(client != 0);
	return client;
}

static int setup(void **state)
{
	static struct stage stage;
	struct tenure_adapter adapter;
	struct tenure_stat fresh;

	unsetenv("TENURE_SOCKET");
	unsetenv("NO_COLOR");
	stage.daemon = daemon_start(NULL);
	stage.socket = daemon_socket(stage.daemon);
	assert_int_equal(tenure_connect(stage.socket, 0, &stage.t), 0);
	assert_int_equal(tenure_stat(stage.t, &fresh), 0);
	stage.ring_bytes = (json_int_t)fresh.bytes;
	assert_int_equal(tenure_adapter_open(stage.t, NULL, &adapter), 0);
	assert_int_equal(tenure_device_create(stage.t, adapter, &stage.device),
			 0);
	stage.client = find_client(&stage);
	*state = &stage;
	return 0;
}

static int teardown(void **state)
{
	struct stage *stage = *state;

	tenure_disconnect(stage->t);
	daemon_stop_clean(stage->daemon);
	return 0;
}

/* The output as JSON; the array under key, or the whole when NULL. */
static json_t *parse(const char *key)
{
	json_error_t error;
	json_t *all = json_loads(output, JSON_REJECT_DUPLICATES, &error), *part;

	if (!all)
		fail_msg("%s in: %s", error.text, output);
	if (!key)
		return all;
	part = json_incref(json_object_get(all, key));
	assert_true(json_is_array(part));
	json_decref(all);
	return part;
}

static json_int_t number(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	if (!json_is_integer(value))
		fail_msg("no number %s", key);
	return json_integer_value(value);
}

static const char *string(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	if (!json_is_string(value))
		fail_msg("no string %s", key);
	return json_string_value(value);
}

/* The n-th row of this process's client, which has the device. */
static json_t *mine(const struct stage *stage, json_t *rows, size_t nth)
{
	json_t *row;
	size_t i;

	json_array_foreach(rows, i,
			   row) if (number(row, "client") == stage->client &&
				    nth-- == 0) return row;
	return NULL;
}

static struct tenure_resource create(struct stage *stage, unsigned int flags)
{
	const size_t sizes[2] = { MIB, 3 * MIB };
	struct tenure_resource resource;
	struct tenure_allocation allocations[2];

	assert_int_equal(tenure_resource_create(stage->t, stage->device, flags,
						sizes, 2, NULL, 0, &resource,
						allocations),
			 0);
	return resource;
}

static void status(void **state)
{
	struct stage *stage = *state;
	bool no_huge_pages;
	json_t *all;

	create(stage, 0);
	assert_int_equal(tenurectl("--socket", stage->socket, "status"), 0);
	assert_non_null(strstr(output, "resources "));
	assert_non_null(strstr(output, "4MiB\n"));
	assert_null(strchr(output, '\033'));
	no_huge_pages = strstr(output, "no huge pages") != NULL;
	assert_int_equal(tenurectl("-s", stage->socket, "status", "--json"), 0);
	all = parse(NULL);
	assert_true(no_huge_pages == (number(all, "page_bytes") == 4096));
	assert_string_equal(string(all, "socket"), stage->socket);
	assert_int_equal(number(all, "resources"), 1);
	assert_int_equal(number(all, "allocations"), 2);
	assert_int_equal(number(all, "bytes"), 4 * MIB);
	assert_int_equal(number(all, "clients"), 3);
	json_decref(all);
}

static void clients(void **state)
{
	struct stage *stage = *state;
	json_t *rows, *row;

	create(stage, 0);
	assert_int_equal(tenurectl("-s", stage->socket, "clients"), 0);
	assert_memory_equal(output, "CLIENT", 6);
	assert_non_null(strstr(output, "active"));
	assert_int_equal(tenurectl("-s", stage->socket, "--json", "clients"),
			 0);
	rows = parse("clients");
	assert_int_equal(json_array_size(rows), 3);
	row = mine(stage, rows, 0);
	assert_non_null(row);
	assert_int_equal(number(row, "pid"), getpid());
	assert_int_equal(number(row, "uid"), getuid());
	assert_string_equal(string(row, "phase"), "active");
	assert_int_equal(number(row, "devices"), 1);
	assert_int_equal(number(row, "resources"), 1);
	assert_int_equal(number(row, "allocations"), 2);
	assert_int_equal(number(row, "handles"), 5);
	assert_int_equal(number(row, "bytes"), 4 * MIB);
	assert_int_equal(number(row, "ring_bytes"), stage->ring_bytes);
	assert_in_range(number(row, "age_s"), 0, 60);
	assert_true(json_is_string(json_object_get(row, "cgroup")));
	json_decref(rows);
}

static void resources(void **state)
{
	struct stage *stage = *state;
	struct tenure_resource shared = create(stage, TENURE_CREATE_SHARED);
	const size_t size = MIB;
	struct tenure_allocation alone;
	struct tenure_token token;
	json_t *rows, *row;
	char handle[32];

	assert_int_equal(tenure_allocation_create(stage->t, stage->device,
						  &size, 1, &alone),
			 0);
	assert_int_equal(tenure_resource_share(stage->t, stage->device, shared,
					       TENURE_RIGHT_READ, &token),
			 0);
	assert_int_equal(tenurectl("-s", stage->socket, "resources"), 0);
	assert_non_null(strstr(output, "shared"));
	assert_non_null(strstr(output, "4MiB"));
	assert_int_equal(tenurectl("-s", stage->socket, "resources", "--bytes"),
			 0);
	assert_non_null(strstr(output, " 4194304\n"));
	assert_int_equal(tenurectl("-s", stage->socket, "resources", "--json"),
			 0);
	rows = parse("resources");
	assert_int_equal(json_array_size(rows), 2);
	row = mine(stage, rows, 0);
	snprintf(handle, sizeof(handle), "0x%016llx",
		 (unsigned long long)shared.value);
	assert_string_equal(string(row, "handle"), handle);
	assert_string_equal(string(row, "what"), "resource");
	assert_string_equal(string(row, "sharing"), "shared");
	assert_string_equal(string(row, "rights"), "rw");
	assert_string_equal(string(row, "state"), "live");
	assert_int_equal(number(row, "holders"), 2);
	assert_int_equal(number(row, "allocations"), 2);
	assert_int_equal(number(row, "bytes"), 4 * MIB);
	assert_in_range(number(row, "age_s"), 0, 60);
	assert_string_equal(string(mine(stage, rows, 1), "what"), "allocation");
	json_decref(rows);
	assert_int_equal(
		tenure_resource_destroy(stage->t, stage->device, shared), 0);
	do {
		assert_int_equal(tenurectl("-s", stage->socket, "resources",
					   "--json"),
				 0);
		rows = parse("resources");
		row = mine(stage, rows, 1);
		json_decref(rows);
	} while (row == NULL || strstr(output, "retired"));
	assert_non_null(strstr(output, "\"token\""));
}

/* More rows than one page has, in the order in which they lie. */
static void resources_over_many_pages(void **state)
{
	struct stage *stage = *state;
	const size_t size = 4096;
	struct tenure_allocation handle;
	json_t *rows;

	for (int i = 0; i < 1500; i++)
		assert_int_equal(tenure_allocation_create(stage->t,
							  stage->device, &size,
							  1, &handle),
				 0);
	assert_int_equal(tenurectl("-s", stage->socket, "resources", "--json"),
			 0);
	rows = parse("resources");
	assert_int_equal(json_array_size(rows), 1500);
	json_decref(rows);
}

/* Everything that is still told of memory that work keeps. */
static void holders(void **state)
{
	struct stage *stage = *state;
	struct tenure_resource shared = create(stage, TENURE_CREATE_SHARED);
	struct tenure_token token;

	assert_int_equal(tenure_resource_share(stage->t, stage->device, shared,
					       TENURE_RIGHT_READ, &token),
			 0);
	assert_int_equal(
		tenurectl("-s", stage->socket, "resources", "--holders"), 0);
	assert_non_null(strstr(output, "WAITS FOR"));
	assert_non_null(strstr(output, "resource"));
	assert_int_equal(tenurectl("-s", stage->socket, "resources",
				   "--holders", "--json"),
			 0);
	assert_non_null(strstr(output, "\"waits_for\": null"));
	assert_int_equal(tenurectl("-s", stage->socket, "status", "--holders"),
			 64);
}

/* Refusals in words, the last one first. */
static void events(void **state)
{
	struct tenure_destroy destroy = { .flags = 4 };
	struct stage *stage = *state;
	json_t *rows, *row;

	assert_int_equal(tenurectl("-s", stage->socket, "events"), 0);
	destroy.device = stage->device;
	for (int i = 0; i < 20; i++)
		assert_int_equal(tenure_destroy(stage->t, &destroy), -EINVAL);
	assert_int_equal(tenurectl("-s", stage->socket, "events"), 0);
	assert_non_null(strstr(output, "A74"));
	assert_non_null(strstr(output, "a reserved flag bit is set"));
	assert_int_equal(tenurectl("-s", stage->socket, "events", "--json"), 0);
	rows = parse("events");
	assert_int_equal(json_array_size(rows), 8);
	row = mine(stage, rows, 0);
	assert_string_equal(string(row, "request"), "destroy");
	assert_string_equal(string(row, "rules"), "A74");
	assert_int_equal(number(row, "status"), -EINVAL);
	json_decref(rows);
}

static void limits(void **state)
{
	struct stage *stage = *state;
	json_t *all, *row, *bytes;

	create(stage, 0);
	assert_int_equal(tenurectl("-s", stage->socket, "limits"), 0);
	assert_non_null(strstr(output, "principal 1"));
	assert_non_null(strstr(output, "MiB/"));
	assert_int_equal(tenurectl("-s", stage->socket, "--json", "limits"), 0);
	all = parse(NULL);
	row = json_array_get(json_object_get(all, "principals"), 0);
	bytes = json_object_get(row, "bytes");
	/* The asking connection has a ring, too. */
	assert_int_equal(number(bytes, "used") - 2 * stage->ring_bytes,
			 4 * MIB);
	assert_true(number(bytes, "limit") >= 4 * MIB);
	assert_int_equal(number(json_object_get(row, "clients"), "used"), 3);
	row = mine(stage, json_object_get(all, "clients"), 0);
	assert_int_equal(number(json_object_get(row, "handles"), "used"), 5);
	assert_null(json_object_get(row, "clients"));
	row = json_object_get(json_object_get(all, "daemon"), "clients");
	assert_int_equal(number(row, "used"), 3);
	json_decref(all);
}

static void pools(void **state)
{
	struct stage *stage = *state;
	const struct tenure_pool_options options = { .size = MIB };
	struct tenure_pool *pool;
	struct tenure_buffer buffer;
	json_t *rows, *row;

	assert_int_equal(tenurectl("-s", stage->socket, "pools", "--json"), 0);
	rows = parse("pools");
	assert_int_equal(json_array_size(rows), 0);
	json_decref(rows);
	assert_int_equal(tenure_pool_create(stage->t, &options, &pool), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(tenure_pool_alloc(pool, MIB, &buffer), 0);
		assert_int_equal(tenure_pool_free(pool, &buffer), 0);
	}
	assert_int_equal(tenure_pool_trim(pool), 0);
	assert_int_equal(tenurectl("-s", stage->socket, "pools", "--json"), 0);
	rows = parse("pools");
	assert_int_equal(json_array_size(rows), 1);
	row = mine(stage, rows, 0);
	assert_int_equal(number(row, "size"), MIB);
	assert_int_equal(number(row, "free"), 1);
	assert_int_equal(number(row, "bytes"), MIB);
	assert_int_equal(number(row, "hits"), 2);
	assert_int_equal(number(row, "misses"), 1);
	assert_in_range(number(row, "told_s"), 0, 60);
	json_decref(rows);
	assert_int_equal(tenurectl("-s", stage->socket, "pools"), 0);
	assert_non_null(strstr(output, "1MiB"));
	assert_int_equal(tenure_pool_destroy(pool), 0);
	assert_int_equal(tenurectl("-s", stage->socket, "pools", "--json"), 0);
	rows = parse("pools");
	assert_int_equal(json_array_size(rows), 0);
	json_decref(rows);
}

static void check(void **state)
{
	struct stage *stage = *state;

	create(stage, TENURE_CREATE_SHARED);
	assert_int_equal(tenurectl("-s", stage->socket, "check"), 0);
	assert_string_equal(output, "every invariant holds\n");
	assert_int_equal(tenurectl("-s", stage->socket, "check", "--json"), 0);
	assert_string_equal(output, "{\n  \"ok\": true\n}\n");
}

static void quiet(void **state)
{
	static const char *const commands[] = { "status",    "clients",
						"resources", "limits",
						"events",    "pools",
						"check" };
	struct stage *stage = *state;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		assert_int_equal(
			tenurectl("-q", "-s", stage->socket, commands[i]), 0);
		assert_string_equal(output, "");
		assert_int_equal(tenurectl("-q", "--json", "-s", stage->socket,
					   commands[i]),
				 0);
		assert_string_equal(output, "");
	}
	assert_int_equal(tenurectl("-q", "-s", "/nowhere/at/all", "status"), 3);
	assert_string_equal(output, "");
}

/* Without --socket: where the library looks. */
static void socket_of_the_environment(void **state)
{
	struct stage *stage = *state;

	setenv("TENURE_SOCKET", stage->socket, 1);
	assert_int_equal(tenurectl("status"), 0);
	setenv("TENURE_SOCKET", "/nowhere/at/all", 1);
	assert_int_equal(tenurectl("status"), 3);
	assert_non_null(strstr(output, "/nowhere/at/all: no daemon"));
	assert_int_equal(tenurectl("status", "--socket", stage->socket), 0);
	assert_memory_equal(output, "tenured at ", 11);
	assert_memory_equal(output + 11, stage->socket, strlen(stage->socket));
	unsetenv("TENURE_SOCKET");
}

/* All the places that were looked at are named. */
static void no_daemon_anywhere(void **state)
{
	(void)state;
	setenv("XDG_RUNTIME_DIR", "/nowhere/at/all", 1);
	/* Unless the machine itself has one. */
	if (tenurectl("-q", "-s", "/run/tenured/tenured.sock", "status") == 3) {
		assert_int_equal(tenurectl("status"), 3);
		assert_non_null(strstr(output,
				       "/nowhere/at/all/tenured/tenured.sock, "
				       "/run/tenured/tenured.sock: no daemon"));
		unsetenv("XDG_RUNTIME_DIR");
		assert_int_equal(tenurectl("status"), 3);
		assert_non_null(strstr(output, ": /run/tenured/tenured.sock: "
					       "no daemon"));
	}
	unsetenv("XDG_RUNTIME_DIR");
}

/* What the program writes to a terminal. */
static size_t on_a_terminal(const char *socket, const char *command)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY);
	size_t n = 0;
	char path[512];
	ssize_t got;
	pid_t pid;

	assert_true(master >= 0);
	assert_int_equal(grantpt(master), 0);
	assert_int_equal(unlockpt(master), 0);
	snprintf(path, sizeof(path), "%s/tenurectl", getenv("TENURE_BIN_DIR"));
	pid = fork();
	if (pid == 0) {
		int slave = open(ptsname(master), O_RDWR | O_NOCTTY);

		dup2(slave, STDOUT_FILENO);
		execl(path, path, "-s", socket, command, (char *)NULL);
		_exit(99);
	}
	/* EIO: nobody has the other side open any more. */
	do {
		got = read(master, output + n, sizeof(output) - n - 1);
		n += got > 0 ? (size_t)got : 0;
	} while (got > 0 || (waitpid(pid, NULL, WNOHANG) == 0));
	output[n] = '\0';
	close(master);
	return n;
}

static void colours(void **state)
{
	struct stage *stage = *state;

	setenv("TERM", "xterm", 1);
	assert_true(on_a_terminal(stage->socket, "clients") > 0);
	assert_non_null(strstr(output, "\033[1m"));
	setenv("NO_COLOR", "", 1);
	assert_true(on_a_terminal(stage->socket, "clients") > 0);
	assert_non_null(strstr(output, "\033[1m"));
	setenv("NO_COLOR", "1", 1);
	assert_true(on_a_terminal(stage->socket, "clients") > 0);
	assert_non_null(strstr(output, "CLIENT"));
	assert_null(strchr(output, '\033'));
	unsetenv("NO_COLOR");
	setenv("TERM", "dumb", 1);
	assert_true(on_a_terminal(stage->socket, "clients") > 0);
	assert_null(strchr(output, '\033'));
}

static void usage(void **state)
{
	(void)state;
	assert_int_equal(tenurectl("--help"), 0);
	assert_non_null(strstr(output, "Usage: tenurectl"));
	assert_int_equal(tenurectl("clients", "--help"), 0);
	assert_int_equal(tenurectl("--version"), 0);
	assert_string_equal(output, "tenurectl " TENURE_VERSION "\n");
	assert_int_equal(run_program("tenurectl", (const char *const[]){ NULL },
				     output, sizeof(output)),
			 64);
	assert_int_equal(tenurectl("dance"), 64);
	assert_non_null(strstr(output, "dance"));
	assert_int_equal(tenurectl("--dance", "status"), 64);
	assert_int_equal(tenurectl("status", "--dance"), 64);
	assert_int_equal(tenurectl("status", "dance"), 64);
	assert_int_equal(tenurectl("status", "--socket"), 64);
	assert_int_equal(tenurectl("--socket", "", "status"), 64);
	assert_int_equal(tenurectl("run"), 64);
	assert_int_equal(tenurectl("run", "--"), 64);
	assert_int_equal(tenurectl("-s", "/x", "run", "true"), 64);
}

static void no_daemon(void **state)
{
	(void)state;
	assert_int_equal(tenurectl("-s", "/nowhere/at/all", "clients"), 3);
	assert_int_equal(tenurectl("-s", "/dev/null", "clients"), 3);
}

static void output_that_cannot_be_written(void **state)
{
	struct stage *stage = *state;
	char command[512];

	snprintf(command, sizeof(command),
		 "for c in status limits check; do "
		 "\"$TENURE_BIN_DIR\"/tenurectl -s '%s' $c >/dev/full; "
		 "[ $? = 74 ] || exit 1; "
		 "\"$TENURE_BIN_DIR\"/tenurectl -s '%s' --json $c >/dev/full; "
		 "[ $? = 74 ] || exit 2; done",
		 stage->socket, stage->socket);
	assert_int_equal(system(command), 0);
}

/* ---- A daemon that lies ---- */

enum lie {
	LIE_CGROUP, /* bytes that no terminal should see */
	LIE_CGROUP_BROKEN, /* and that are no UTF-8 */
	LIE_DENIED,
	LIE_BROKEN, /* a check that has found something */
	LIE_MEMORY,
	LIE_LENGTH, /* rows that are not all there */
	LIE_CURSOR, /* a list without end */
	LIE_ENUMS, /* values from the future */
};

static const char hostile[] = "/\033[2J\n\\x\x07\xc2\x9b"
			      "31m";
static const char broken[] = "/\xff\xfe\033]0;x\007";

static void lie_about_clients(enum lie lie, struct wire_reply *reply,
			      struct wire_client *row)
{
	*row = (struct wire_client){ .client = 1, .pid = -5, .phase = 2 };
	if (lie == LIE_ENUMS)
		row->phase = 200;
	memset(row->cgroup, 'x', sizeof(row->cgroup));
	if (lie == LIE_CGROUP)
		memcpy(row->cgroup, hostile, sizeof(hostile));
	if (lie == LIE_CGROUP_BROKEN)
		memcpy(row->cgroup, broken, sizeof(broken));
	reply->count = lie == LIE_LENGTH ? 2 : 1;
	reply->value[0] = lie == LIE_CURSOR ? 7 : 0;
	reply->data_bytes = sizeof(*row);
}

static void answer(int fd, enum lie lie, const struct wire_request *q)
{
	struct {
		struct wire_reply head;
		_Alignas(8) uint8_t data[512];
	} m = { .head = { .opcode = q->opcode,
			  .id = q->id,
			  .index = WIRE_NO_INDEX } };

	if (q->opcode == WIRE_OP_HELLO) {
		m.head.count = WIRE_VERSION_MAX;
	} else if (q->opcode == WIRE_OP_RING) {
		m.head.status = -EDQUOT;
		m.head.reason = TENURE_REASON_CLIENT_BYTES;
	} else if (lie == LIE_DENIED || lie == LIE_MEMORY) {
		m.head.status = lie == LIE_DENIED ? -EACCES : -ENOMEM;
		m.head.reason = lie == LIE_DENIED ?
					TENURE_REASON_NOT_PERMITTED :
					TENURE_REASON_DAEMON_MEMORY;
	} else if (lie == LIE_BROKEN) {
		m.head.count = 1;
		m.head.data_bytes = sizeof(hostile) - 1;
		memcpy(m.data, hostile, sizeof(hostile) - 1);
	} else {
		lie_about_clients(lie, &m.head,
				  (struct wire_client *)(void *)m.data);
	}
	send(fd, &m, sizeof(m.head) + m.head.data_bytes, MSG_NOSIGNAL);
}

static _Noreturn void be_a_liar(int listener, enum lie lie)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		struct wire_request q;

		while (recv(fd, &q, sizeof(q), 0) == sizeof(q))
			answer(fd, lie, &q);
		close(fd);
	}
}

struct liar {
	char directory[32], socket[64];
	pid_t pid;
};

static void liar_start(struct liar *liar, enum lie lie)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strcpy(liar->directory, "/tmp/ctl-test-XXXXXX");
	assert_non_null(mkdtemp(liar->directory));
	snprintf(liar->socket, sizeof(liar->socket), "%s/s", liar->directory);
	strcpy(address.sun_path, liar->socket);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address,
			      sizeof(address)),
			 0);
	assert_int_equal(listen(fd, 5), 0);
	liar->pid = fork();
	if (liar->pid == 0)
		be_a_liar(fd, lie);
	close(fd);
}

static void liar_stop(struct liar *liar)
{
	kill(liar->pid, SIGKILL);
	waitpid(liar->pid, NULL, 0);
	unlink(liar->socket);
	rmdir(liar->directory);
}

/* Asks a liar; the exit code. */
static int ask_liar(enum lie lie, const char *command, const char *option)
{
	struct liar liar;
	int code;

	liar_start(&liar, lie);
	code = tenurectl("-s", liar.socket, command, option);
	liar_stop(&liar);
	return code;
}

static void hostile_bytes(void **state)
{
	json_t *rows;

	(void)state;
	assert_int_equal(ask_liar(LIE_CGROUP, "clients", NULL), 0);
	assert_non_null(
		strstr(output, "/\\x1b[2J\\x0a\\\\x\\x07\\xc2\\x9b31m"));
	assert_null(strchr(output, '\033'));
	assert_int_equal(ask_liar(LIE_CGROUP, "clients", "--json"), 0);
	for (const char *at = output; *at; at++)
		assert_true(*at == '\n' || (*at >= 0x20 && *at < 0x7f));
	rows = parse("clients");
	assert_string_equal(string(json_array_get(rows, 0), "cgroup"), hostile);
	json_decref(rows);
	assert_int_equal(ask_liar(LIE_CGROUP_BROKEN, "clients", "--json"), 0);
	rows = parse("clients");
	assert_string_equal(string(json_array_get(rows, 0), "cgroup"),
			    "/\\xff\\xfe\\x1b]0;x\\x07");
	json_decref(rows);
}

static void lies(void **state)
{
	(void)state;
	assert_int_equal(ask_liar(LIE_DENIED, "status", NULL), EX_NOPERM);
	assert_non_null(strstr(output, "only root"));
	assert_int_equal(ask_liar(LIE_DENIED, "check", NULL), EX_NOPERM);
	assert_int_equal(ask_liar(LIE_DENIED, "limits", "-q"), EX_NOPERM);
	assert_string_equal(output, "");
	assert_int_equal(ask_liar(LIE_MEMORY, "check", NULL), EX_UNAVAILABLE);
	assert_int_equal(ask_liar(LIE_LENGTH, "clients", NULL), EX_PROTOCOL);
	assert_int_equal(ask_liar(LIE_CURSOR, "clients", NULL), EX_PROTOCOL);
	assert_int_equal(ask_liar(LIE_CGROUP, "status", NULL), EX_PROTOCOL);
	assert_int_equal(ask_liar(LIE_CGROUP, "limits", NULL), EX_PROTOCOL);
	assert_int_equal(ask_liar(LIE_ENUMS, "clients", NULL), 0);
	assert_non_null(strstr(output, "?"));
}

static void check_that_finds_something(void **state)
{
	json_t *all;

	(void)state;
	assert_int_equal(ask_liar(LIE_BROKEN, "check", NULL), 1);
	assert_non_null(strstr(output, "broken: /\\x1b[2J"));
	assert_int_equal(ask_liar(LIE_BROKEN, "check", "-q"), 1);
	assert_string_equal(output, "");
	assert_int_equal(ask_liar(LIE_BROKEN, "check", "--json"), 1);
	all = parse(NULL);
	assert_true(json_is_false(json_object_get(all, "ok")));
	string(all, "broken");
	json_decref(all);
}

/* ---- run ---- */

static char base[32];

static int run_setup(void **state)
{
	(void)state;
	strcpy(base, "/tmp/ctl-run-XXXXXX");
	assert_non_null(mkdtemp(base));
	setenv("XDG_RUNTIME_DIR", base, 1);
	unsetenv("TENURE_SOCKET");
	unsetenv("TENURE_DAEMON");
	return 0;
}

/* Nothing is left: then the directory can be removed. */
static int run_teardown(void **state)
{
	(void)state;
	unsetenv("XDG_RUNTIME_DIR");
	unsetenv("TENURE_DAEMON");
	assert_int_equal(rmdir(base), 0);
	return 0;
}

static void run_a_program(void **state)
{
	(void)state;
	assert_int_equal(
		tenurectl("run", "--", "sh", "-c",
			  "test -S \"$TENURE_SOCKET\" && "
			  "\"$TENURE_BIN_DIR\"/tenurectl status --json"),
		0);
	assert_non_null(strstr(output, "\"clients_total\": 1,"));
	assert_int_equal(tenurectl("run", "sh", "-c",
				   "stat -c %a \"${TENURE_SOCKET%/*}\"; "
				   "exit 7"),
			 7);
	assert_string_equal(output, "700\n");
	assert_int_equal(tenurectl("run", "sh", "-c", "kill -9 $$"), 137);
	assert_int_equal(tenurectl("run", "sh", "-c", "kill -15 $$"), 143);
}

static void run_what_cannot_be(void **state)
{
	(void)state;
	assert_int_equal(tenurectl("run", "no-such-program"), 127);
	assert_non_null(strstr(output, "no-such-program: No such file"));
	assert_int_equal(tenurectl("run", "/etc/passwd"), 126);
	setenv("TENURE_DAEMON", "/bin/false", 1);
	assert_int_equal(tenurectl("run", "true"), 125);
	assert_non_null(strstr(output, "cannot be started"));
	setenv("TENURE_DAEMON", "/nowhere/tenured", 1);
	assert_int_equal(tenurectl("run", "true"), 125);
}

/* Starts `tenurectl run sh -c script` with its stdout in a pipe. */
static pid_t start_run(const char *script, FILE **ret_out)
{
	char path[512];
	int fds[2];
	pid_t pid;

	snprintf(path, sizeof(path), "%s/tenurectl", getenv("TENURE_BIN_DIR"));
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		dup2(fds[1], STDOUT_FILENO);
		execl(path, path, "run", "sh", "-c", script, (char *)NULL);
		_exit(99);
	}
	close(fds[1]);
	*ret_out = fdopen(fds[0], "r");
	assert_non_null(*ret_out);
	return pid;
}

static int end_of_run(pid_t pid, FILE *out)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	fclose(out);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The program says that it is ready, and who it is; then it waits for a
 * signal. */
#define WAIT "echo $$; while :; do sleep 0.02; done"

static void run_forwards_signals(void **state)
{
	static const int numbers[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1 };
	char line[64];
	FILE *out;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		pid_t pid = start_run("trap 'exit 40' TERM INT HUP USR1; " WAIT,
				      &out);

		assert_non_null(fgets(line, sizeof(line), out));
		kill(pid, numbers[i]);
		assert_int_equal(end_of_run(pid, out), 40);
	}
	/* one that kills it */
	{
		pid_t pid = start_run(WAIT, &out);

		assert_non_null(fgets(line, sizeof(line), out));
		kill(pid, SIGTERM);
		assert_int_equal(end_of_run(pid, out), 128 + SIGTERM);
	}
}

/* Whether a process runs: who has ended and is not reaped has no program. */
static bool is_alive(pid_t pid)
{
	char path[64], target[8];

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	return readlink(path, target, sizeof(target)) >= 0;
}

/* The pid of the daemon that a run has started, from the children of it. */
static pid_t daemon_of(pid_t run)
{
	char path[64];
	FILE *file;
	int pid = 0;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", run, run);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%d", &pid), 1);
	fclose(file);
	return pid;
}

static void run_when_the_daemon_is_killed(void **state)
{
	char line[64];
	FILE *out;
	pid_t pid = start_run("trap 'exit 41' TERM; " WAIT, &out);

	(void)state;
	assert_non_null(fgets(line, sizeof(line), out));
	kill(daemon_of(pid), SIGKILL);
	kill(pid, SIGTERM);
	assert_int_equal(end_of_run(pid, out), 41);
}

/* Then nobody is left to tidy up but the daemon itself. */
static void run_that_is_killed(void **state)
{
	const struct timespec nap = { .tv_nsec = 10000000 };
	char line[64];
	FILE *out;
	pid_t pid = start_run(WAIT, &out), daemon;

	(void)state;
	assert_non_null(fgets(line, sizeof(line), out));
	daemon = daemon_of(pid);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	for (int i = 0; i < 1000 && is_alive(daemon); i++)
		nanosleep(&nap, NULL);
	assert_false(is_alive(daemon));
	kill(atoi(line), SIGKILL);
	fclose(out);
	assert_int_equal(system("rmdir \"$XDG_RUNTIME_DIR\"/tenurectl-*"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(status, setup, teardown),
		cmocka_unit_test_setup_teardown(clients, setup, teardown),
		cmocka_unit_test_setup_teardown(resources, setup, teardown),
		cmocka_unit_test_setup_teardown(holders, setup, teardown),
		cmocka_unit_test_setup_teardown(events, setup, teardown),
		cmocka_unit_test_setup_teardown(pools, setup, teardown),
		cmocka_unit_test_setup_teardown(resources_over_many_pages,
						setup, teardown),
		cmocka_unit_test_setup_teardown(limits, setup, teardown),
		cmocka_unit_test_setup_teardown(check, setup, teardown),
		cmocka_unit_test_setup_teardown(quiet, setup, teardown),
		cmocka_unit_test_setup_teardown(socket_of_the_environment,
						setup, teardown),
		cmocka_unit_test_setup_teardown(no_daemon_anywhere, setup,
						teardown),
		cmocka_unit_test_setup_teardown(colours, setup, teardown),
		cmocka_unit_test_setup_teardown(output_that_cannot_be_written,
						setup, teardown),
		cmocka_unit_test(usage),
		cmocka_unit_test(no_daemon),
		cmocka_unit_test(hostile_bytes),
		cmocka_unit_test(lies),
		cmocka_unit_test(check_that_finds_something),
		cmocka_unit_test_setup_teardown(run_a_program, run_setup,
						run_teardown),
		cmocka_unit_test_setup_teardown(run_what_cannot_be, run_setup,
						run_teardown),
		cmocka_unit_test_setup_teardown(run_forwards_signals, run_setup,
						run_teardown),
		cmocka_unit_test_setup_teardown(run_when_the_daemon_is_killed,
						run_setup, run_teardown),
		cmocka_unit_test_setup_teardown(run_that_is_killed, run_setup,
						run_teardown),
	};

	/* Two of them go through a shell. */
	if (!getenv("TENURE_BIN_DIR")) {
		fputs("TENURE_BIN_DIR is not set\n", stderr);
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
