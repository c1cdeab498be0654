/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile clients on raw sockets
 *
 * Each test does one bad thing (docs/TESTING.md has the list) beside a canary
 * that must not notice, and ends with the leak oracle. The outcome of a bad
 * thing is one of three: the connection ends with a reason (thrown_out), the
 * request is refused and the connection goes on (refused), or nothing at all
 * (ignored).
 */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/wire/codec.h"
#include "tenure/tenure.h"
#include "tests/integration/canary.h"
#include "tests/support/daemon_process.h"
#include "tests/support/random.h"
#include "tests/support/raw.h"

struct stage {
	struct daemon_process *daemon;
	struct canary *canary;
	const char *socket;
};

static int setup(void **state)
{
	static const struct daemon_options options = {
		.config = "[daemon]\nhello-timeout-ms = 400\n",
	};
	struct stage *stage = calloc(1, sizeof(*stage));

	assert_non_null(stage);
	stage->daemon = daemon_start(&options);
	stage->socket = daemon_socket(stage->daemon);
	stage->canary = canary_new(stage->socket);
	*state = stage;
	return 0;
}

static int teardown(void **state)
{
	struct stage *stage = *state;

	canary_sing(stage->canary, 20);
	canary_free(stage->canary);
	daemon_stop_clean(stage->daemon);
	free(stage);
	return 0;
}

static int client(const struct stage *stage)
{
	int fd = raw_client(stage->socket);

	assert_true(fd >= 0);
	return fd;
}

/* ---- Outcomes ---- */

/*
 * The connection ends, and why is said: by the last reply, or, when what came
 * had no head that could be answered, by the log. NONE: no matter why.
 */
static void thrown_out(const struct stage *stage, int fd,
		       enum tenure_reason reason)
{
	struct raw_reply last = { 0 };
	unsigned int tries;

	assert_true(raw_ended(fd, &last));
	close(fd);
	if (reason == TENURE_REASON_NONE || last.head.reason == reason)
		return;
	assert_int_equal(last.head.status, 0);
	for (tries = 0; tries < 1000; tries++) {
		if (daemon_logged(stage->daemon, tenure_strreason(reason)))
			return;
		usleep(2000);
	}
	fail_msg("nobody said: %s", tenure_strreason(reason));
}

static void still_works(int fd)
{
	struct wire_request ping = { .opcode = WIRE_OP_PING, .id = 4711 };
	struct raw_reply reply;

	assert_int_equal(raw_call(fd, &ping, NULL, 0, &reply), 0);
	assert_int_equal(reply.head.id, 4711);
	assert_int_equal(reply.head.opcode, WIRE_OP_PING);
}

static void refused(int fd, const struct wire_request *head, const void *args,
		    size_t args_bytes, int status, enum tenure_reason reason)
{
	struct raw_reply reply;

	assert_int_equal(raw_call(fd, head, args, args_bytes, &reply), status);
	assert_int_equal(reply.head.reason, reason);
	assert_int_equal(reply.head.data_bytes, 0);
	assert_int_equal(reply.fd, -1);
	still_works(fd);
}

/* ---- What a client builds first ---- */

static uint64_t new_device(int fd)
{
	struct wire_request head = { .opcode = WIRE_OP_ADAPTER_OPEN };
	struct raw_reply reply;

	memcpy(head.value, "system", 6);
	assert_int_equal(raw_call(fd, &head, NULL, 0, &reply), 0);
	head = (struct wire_request){ .opcode = WIRE_OP_DEVICE_CREATE,
				      .object = reply.head.value[0] };
	assert_int_equal(raw_call(fd, &head, NULL, 0, &reply), 0);
	return reply.head.value[0];
}

static void new_allocations(int fd, uint64_t device, uint32_t count,
			    uint64_t *ret)
{
	static struct wire_allocation sizes[LIST_ENTRIES_MAX];
	struct wire_request head = {
		.opcode = WIRE_OP_CREATE,
		.device = device,
		.count = count,
		.args_bytes = (uint32_t)(count * sizeof(sizes[0])),
	};
	struct raw_reply reply;
	uint32_t i;

	for (i = 0; i < count; i++)
		sizes[i].size_bytes = 4096;
	assert_int_equal(raw_call(fd, &head, sizes, head.args_bytes, &reply),
			 0);
	memcpy(ret, reply.data, count * sizeof(*ret));
}

static struct wire_stat stat_of(int fd)
{
	struct wire_request head = { .opcode = WIRE_OP_STAT };
	struct raw_reply reply;
	struct wire_stat stat;

	assert_int_equal(raw_call(fd, &head, NULL, 0, &reply), 0);
	memcpy(&stat, reply.data, sizeof(stat));
	return stat;
}

static struct wire_request destroy_head(uint64_t device, uint32_t count,
					uint32_t args_bytes)
{
	return (struct wire_request){
		.opcode = WIRE_OP_DESTROY,
		.form = WIRE_FORM_LIST,
		.device = device,
		.count = count,
		.args_bytes = args_bytes,
	};
}

/* ---- Connections and messages ---- */

static void item01_connect_and_be_silent(void **state)
{
	struct stage *stage = *state;
	int fds[8];
	unsigned int i;

	for (i = 0; i < 8; i++) {
		fds[i] = raw_connect(stage->socket);
		assert_true(fds[i] >= 0);
	}
	canary_sing(stage->canary, 10);
	for (i = 0; i < 8; i++)
		thrown_out(stage, fds[i], TENURE_REASON_HELLO_TIMEOUT);
}

static void item02_connect_and_close(void **state)
{
	struct stage *stage = *state;
	unsigned int i;

	for (i = 0; i < 2000; i++) {
		int fd = raw_connect(stage->socket);

		assert_true(fd >= 0);
		close(fd);
		if (i % 200 == 0)
			canary_sing(stage->canary, 1);
	}
}

static void item06_lengths(void **state)
{
	struct stage *stage = *state;
	const size_t short_ones[] = { 1, 8, 63 };
	const uint32_t lies[] = { 1, 64, 0x7fffffff, 0xffffffff };
	static uint8_t large[WIRE_REQUEST_BYTES_MAX + 4096];
	struct wire_request head = { .opcode = WIRE_OP_PING };
	unsigned int i;
	int fd;

	for (i = 0; i < ARRAY_SIZE(short_ones); i++) {
		fd = client(stage);
		raw_send_bytes(fd, &head, short_ones[i], NULL, 0);
		thrown_out(stage, fd, TENURE_REASON_MALFORMED);
	}
	for (i = 0; i < ARRAY_SIZE(lies); i++) {
		fd = client(stage);
		head.args_bytes = lies[i];
		raw_send(fd, &head, NULL, 0);
		thrown_out(stage, fd, TENURE_REASON_MALFORMED);
	}
	/* As long as a message may be: a list that is too long, refused. */
	fd = client(stage);
	head = destroy_head(new_device(fd), WIRE_ARGS_BYTES_MAX / 8,
			    WIRE_ARGS_BYTES_MAX);
	refused(fd, &head, large, WIRE_ARGS_BYTES_MAX, -EINVAL,
		TENURE_REASON_LIST_TOO_LONG);
	head.args_bytes++;
	raw_send(fd, &head, large, WIRE_ARGS_BYTES_MAX + 1);
	thrown_out(stage, fd, TENURE_REASON_MESSAGE_TOO_LONG);
	fd = client(stage);
	raw_send_bytes(fd, large, sizeof(large), NULL, 0);
	thrown_out(stage, fd, TENURE_REASON_MESSAGE_TOO_LONG);
}

static void item07_magic_and_version(void **state)
{
	struct stage *stage = *state;
	const uint64_t magics[] = { 0, 1, WIRE_MAGIC + 1,
				    __builtin_bswap64(WIRE_MAGIC) };
	struct wire_request hello;
	struct raw_reply reply;
	unsigned int i;
	int fd;

	for (i = 0; i < ARRAY_SIZE(magics); i++) {
		fd = raw_connect(stage->socket);
		hello = raw_hello_request();
		hello.object = magics[i];
		raw_send(fd, &hello, NULL, 0);
		thrown_out(stage, fd, TENURE_REASON_MAGIC);
	}
	/* From the future: refused with what is spoken here, and it may try
	 * again with a version that both know. */
	fd = raw_connect(stage->socket);
	hello = raw_hello_request();
	hello.value[0] = 77;
	hello.value[1] = 78;
	assert_int_equal(raw_call(fd, &hello, NULL, 0, &reply),
			 -EPROTONOSUPPORT);
	assert_int_equal(reply.head.reason, TENURE_REASON_VERSION);
	assert_int_equal(reply.head.value[0], WIRE_VERSION_MIN);
	assert_int_equal(reply.head.value[1], WIRE_VERSION_MAX);
	assert_int_equal(raw_hello(fd), 0);
	still_works(fd);
	close(fd);
}

static void item08_unknown_requests(void **state)
{
	struct stage *stage = *state;
	int fd = client(stage);
	unsigned int opcode, tried = 0;

	for (opcode = 0; opcode < 256; opcode++) {
		struct wire_request head = { .opcode = (uint8_t)opcode,
					     .device = 5 };
		struct wire_request decoded;
		const void *args;

		if (decode_request(&head, sizeof(head), false, &decoded,
				   &args) != DECODE_UNKNOWN)
			continue;
		refused(fd, &head, NULL, 0, -ENOTSUP,
			TENURE_REASON_UNKNOWN_REQUEST);
		tried++;
	}
	assert_in_range(tried, 128, 256);
	close(fd);
}

static void item08_fields_that_must_be_zero(void **state)
{
	struct stage *stage = *state;
	struct wire_request heads[] = {
		{ .opcode = WIRE_OP_PING, .data_capacity = 1 },
		{ .opcode = WIRE_OP_PING, .args_offset = 64 },
		{ .opcode = WIRE_OP_PING, .device = 1 },
		{ .opcode = WIRE_OP_PING, .form = 2 },
		{ .opcode = WIRE_OP_STAT, .value = { 0, 1 } },
		{ .opcode = WIRE_OP_ADAPTER_OPEN, .flags = 1 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(heads); i++) {
		int fd = client(stage);

		raw_send(fd, &heads[i], NULL, 0);
		thrown_out(stage, fd, TENURE_REASON_MALFORMED);
	}
}

static void item10_hello_out_of_place(void **state)
{
	struct stage *stage = *state;
	struct wire_request head = { .opcode = WIRE_OP_STAT };
	struct wire_request hello = raw_hello_request();
	int fd = raw_connect(stage->socket);

	raw_send(fd, &head, NULL, 0);
	thrown_out(stage, fd, TENURE_REASON_HELLO_EXPECTED);
	fd = client(stage);
	new_device(fd);
	raw_send(fd, &hello, NULL, 0);
	thrown_out(stage, fd, TENURE_REASON_HELLO_TWICE);
}

static void item15_zero_length_datagram(void **state)
{
	struct stage *stage = *state;
	int fd = raw_connect(stage->socket);
	unsigned int i;

	assert_int_equal(send(fd, "", 0, MSG_NOSIGNAL), 0);
	assert_int_equal(raw_hello(fd), 0);
	for (i = 0; i < 50; i++)
		assert_int_equal(send(fd, "", 0, MSG_NOSIGNAL), 0);
	still_works(fd);
	assert_int_equal(send(fd, "", 0, MSG_NOSIGNAL), 0);
	canary_sing(stage->canary, 5);
	still_works(fd);
	close(fd);
}

static void item17_out_of_band(void **state)
{
	struct stage *stage = *state;
	int fd = client(stage);
	unsigned int i;

	/* Most kernels refuse this themselves; then nothing has happened. */
	for (i = 0; i < 10; i++)
		send(fd, "!", 1, MSG_OOB | MSG_NOSIGNAL | MSG_DONTWAIT);
	canary_sing(stage->canary, 10);
	close(fd);
}

static void item18_half_close(void **state)
{
	struct stage *stage = *state;
	struct wire_request ping = { .opcode = WIRE_OP_PING };
	struct raw_reply reply;
	int fd = client(stage);
	uint64_t list[4];

	new_allocations(fd, new_device(fd), 4, list);
	for (ping.id = 1; ping.id <= 3; ping.id++)
		assert_int_equal(raw_send(fd, &ping, NULL, 0), 0);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	for (ping.id = 1; ping.id <= 3; ping.id++) {
		assert_true(raw_receive(fd, &reply) > 0);
		assert_int_equal(reply.head.id, ping.id);
	}
	thrown_out(stage, fd, TENURE_REASON_NONE);
	/* Before the hello, too. */
	fd = raw_connect(stage->socket);
	shutdown(fd, SHUT_WR);
	thrown_out(stage, fd, TENURE_REASON_NONE);
}

static void item18_half_close_before_a_late_reply(void **state)
{
	struct stage *stage = *state;
	int fd = client(stage);
	uint64_t device = new_device(fd), list[64];
	struct wire_request end = { .opcode = WIRE_OP_DEVICE_DESTROY,
				    .id = 9,
				    .device = device };
	struct raw_reply reply;

	new_allocations(fd, device, 64, list);
	assert_int_equal(raw_send(fd, &end, NULL, 0), 0);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	if (raw_receive(fd, &reply) > 0) {
		assert_int_equal(reply.head.id, 9);
		assert_int_equal(reply.head.status, 0);
	}
	thrown_out(stage, fd, TENURE_REASON_NONE);
}

/* ---- Strings ---- */

static void item20_strings(void **state)
{
	struct stage *stage = *state;
	static const char names[][17] = {
		"AAAAAAAAAAAAAAAA",	    "%n%n%n%n%n%n%n%n",
		"\x1b[2J\x1b]0;pwn\x07",    "system\0system\0\0\0",
		"\xff\xfe\xfd\xfc\x80\x80", "",
		"../../etc/passwd",
	};
	struct wire_request head = { .opcode = WIRE_OP_ADAPTER_OPEN };
	int fd = client(stage);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		memcpy(head.value, names[i], 16);
		refused(fd, &head, NULL, 0, -ENODEV,
			TENURE_REASON_ADAPTER_UNKNOWN);
	}
	close(fd);
	assert_false(daemon_logged(stage->daemon, "\x1b"));
	assert_true(daemon_log_lines(stage->daemon) < 100);
}

static void item20_private_data_is_only_bytes(void **state)
{
	struct stage *stage = *state;
	struct tenure_allocation allocation;
	struct tenure_resource resource;
	static char sent[4096], got[4096];
	struct tenure_device device;
	struct tenure_adapter adapter;
	struct tenure_token token;
	const size_t size = 1;
	struct tenure *t;
	unsigned int i;

	for (i = 0; i < sizeof(sent); i += 4)
		memcpy(&sent[i], i % 8 ? "%n\x1b\xff" : "%s\0\n", 4);
	assert_int_equal(tenure_connect(stage->socket, 0, &t), 0);
	assert_int_equal(tenure_adapter_open(t, NULL, &adapter), 0);
	assert_int_equal(tenure_device_create(t, adapter, &device), 0);
	assert_int_equal(tenure_resource_create(t, device, TENURE_CREATE_SHARED,
						&size, 1, sent, sizeof(sent),
						&resource, &allocation),
			 0);
	assert_int_equal(tenure_resource_share(t, device, resource,
					       TENURE_RIGHT_READ, &token),
			 0);
	assert_int_equal(tenure_resource_open(t, device, &token, 0, 1, got,
					      sizeof(got), &resource,
					      &allocation),
			 0);
	assert_memory_equal(sent, got, sizeof(sent));
	tenure_disconnect(t);
}

/* ---- Descriptors ---- */

static void item21_descriptor_on_a_request(void **state)
{
	struct stage *stage = *state;
	struct wire_request ping = { .opcode = WIRE_OP_PING };
	int fd = client(stage);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_int_equal(raw_send_bytes(fd, &ping, sizeof(ping), &null, 1), 0);
	thrown_out(stage, fd, TENURE_REASON_DESCRIPTORS_SENT);
	/* With the hello, with a zero-length message, with garbage. */
	fd = raw_connect(stage->socket);
	ping = raw_hello_request();
	assert_int_equal(raw_send_bytes(fd, &ping, sizeof(ping), &null, 1), 0);
	thrown_out(stage, fd, TENURE_REASON_DESCRIPTORS_SENT);
	fd = client(stage);
	assert_int_equal(raw_send_bytes(fd, "", 0, &null, 1), 0);
	thrown_out(stage, fd, TENURE_REASON_DESCRIPTORS_SENT);
	fd = client(stage);
	assert_int_equal(raw_send_bytes(fd, "x", 1, &null, 1), 0);
	thrown_out(stage, fd, TENURE_REASON_DESCRIPTORS_SENT);
	close(null);
}

static void item22_many_descriptors(void **state)
{
	struct stage *stage = *state;
	struct wire_request ping = { .opcode = WIRE_OP_PING };
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	unsigned int before, round, i;
	int fds[253];

	for (i = 0; i < 253; i++)
		fds[i] = null;
	before = daemon_descriptors(stage->daemon);
	for (round = 0; round < 50; round++) {
		int fd = client(stage);

		for (i = 0; i < 5; i++)
			raw_send_bytes(fd, &ping, sizeof(ping), fds, 253);
		thrown_out(stage, fd, TENURE_REASON_NONE);
		assert_true(daemon_descriptors(stage->daemon) <= before + 8);
	}
	close(null);
}

/* Things that have hurt other daemons that took descriptors. */
static void item25_special_descriptors(void **state)
{
	struct stage *stage = *state;
	struct wire_request ping = { .opcode = WIRE_OP_PING };
	struct epoll_event event = { .events = EPOLLIN };
	int fd, special[6], pipes[2];
	unsigned int i;

	fd = client(stage);
	/* Its own connection: nothing may keep it alive. */
	raw_send_bytes(fd, &ping, sizeof(ping), &fd, 1);
	thrown_out(stage, fd, TENURE_REASON_DESCRIPTORS_SENT);

	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	special[0] = epoll_create1(EPOLL_CLOEXEC);
	special[1] = eventfd(0, EFD_CLOEXEC);
	special[2] = memfd_create("unsealed", MFD_CLOEXEC);
	special[3] = open("/", O_PATH | O_CLOEXEC);
	special[4] = pipes[0];
	special[5] = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	epoll_ctl(special[0], EPOLL_CTL_ADD, special[1], &event);
	for (i = 0; i < 6; i++) {
		fd = client(stage);
		raw_send_bytes(fd, &ping, sizeof(ping), &special[i], 1);
		thrown_out(stage, fd, TENURE_REASON_DESCRIPTORS_SENT);
		close(special[i]);
	}
	close(pipes[1]);
}

static void item28_descriptors_never_received(void **state)
{
	struct stage *stage = *state;
	int fd = client(stage);
	uint64_t device = new_device(fd), allocation;
	struct wire_request map = { .opcode = WIRE_OP_MAP,
				    .flags = WIRE_MAP_WANT_FD,
				    .device = device };
	unsigned int i, with = 0, without = 0;
	struct raw_reply reply;

	new_allocations(fd, device, 1, &allocation);
	map.object = allocation;
	for (i = 0; i < 40; i++)
		assert_int_equal(raw_send(fd, &map, NULL, 0), 0);
	canary_sing(stage->canary, 20);
	for (i = 0; i < 40; i++) {
		assert_true(raw_receive(fd, &reply) > 0);
		if (reply.head.status == 0) {
			assert_true(reply.fd >= 0);
			close(reply.fd);
			with++;
		} else {
			assert_int_equal(reply.head.status, -EDQUOT);
			assert_int_equal(reply.head.reason,
					 TENURE_REASON_FDS_UNACKNOWLEDGED);
			without++;
		}
	}
	assert_int_equal(with, FDS_UNACKNOWLEDGED_MAX);
	assert_int_equal(without, 40 - FDS_UNACKNOWLEDGED_MAX);
	/* Who says that they came gets more. */
	map.fds_acked = FDS_UNACKNOWLEDGED_MAX;
	assert_int_equal(raw_call(fd, &map, NULL, 0, &reply), 0);
	close(reply.fd);
	/* And who says that more came than were sent is a liar. */
	map.fds_acked = 2;
	raw_send(fd, &map, NULL, 0);
	thrown_out(stage, fd, TENURE_REASON_ACK_EXCESS);
}

static void item28_replies_never_read(void **state)
{
	struct stage *stage = *state;
	struct wire_request stat = { .opcode = WIRE_OP_STAT };
	unsigned int sent = 0, stuck = 0;
	int fd = client(stage);

	while (stuck < 50 && sent < 100000) {
		if (send(fd, &stat, sizeof(stat), MSG_DONTWAIT | MSG_NOSIGNAL) >
		    0) {
			sent++;
			continue;
		}
		assert_true(errno == EAGAIN || errno == EPIPE);
		stuck++;
		canary_sing(stage->canary, 1);
	}
	assert_int_equal(stuck, 50);
	close(fd);
}

/* ---- Handles and destroy ---- */

static void item56_odd_handles(void **state)
{
	struct stage *stage = *state;
	int fd = client(stage);
	uint64_t device = new_device(fd), own;
	const uint64_t odd[] = { 0,
				 UINT64_MAX,
				 1,
				 UINT64_C(1) << 63,
				 UINT32_MAX,
				 (UINT64_C(1) << 28) - 1,
				 UINT64_C(1) << 28,
				 UINT64_C(0xf0000000) };
	struct wire_stat before, after;
	struct raw_reply reply;
	unsigned int i;

	new_allocations(fd, device, 1, &own);
	before = stat_of(fd);
	for (i = 0; i < ARRAY_SIZE(odd); i++) {
		struct wire_request heads[] = {
			{ .opcode = WIRE_OP_DESTROY, .device = odd[i] },
			{ .opcode = WIRE_OP_DEVICE_DESTROY, .device = odd[i] },
			{ .opcode = WIRE_OP_ADAPTER_CLOSE, .object = odd[i] },
			{ .opcode = WIRE_OP_DEVICE_CREATE, .object = odd[i] },
			{ .opcode = WIRE_OP_MAP,
			  .device = device,
			  .object = odd[i] },
			{ .opcode = WIRE_OP_UNMAP,
			  .device = device,
			  .object = odd[i] },
			{ .opcode = WIRE_OP_SHARE,
			  .device = device,
			  .object = odd[i],
			  .flags = 1 },
		};
		unsigned int j;

		for (j = 0; j < ARRAY_SIZE(heads); j++)
			assert_int_equal(raw_call(fd, &heads[j], NULL, 0,
						  &reply),
					 -EINVAL);
	}
	after = stat_of(fd);
	assert_memory_equal(&before, &after, sizeof(after));
	close(fd);
}

/* An accomplice tells the handles; also the native ones are tried (rows A06,
 * A33 and H27 have the details). */
static void item58_foreign_handles(void **state)
{
	struct stage *stage = *state;
	int victim = client(stage), thief = client(stage);
	uint64_t device = new_device(victim), own = new_device(thief);
	struct wire_stat before, after;
	struct wire_request head;
	struct raw_reply first, reply;
	uint64_t list[16];
	unsigned int i;

	new_allocations(victim, device, 16, list);
	before = stat_of(victim);
	head = destroy_head(own, 1, sizeof(uint64_t));
	for (i = 0; i < 16; i++) {
		assert_int_equal(raw_call(thief, &head, &list[i], 8, &reply),
				 -EINVAL);
		if (i == 0)
			first = reply;
		assert_memory_equal(&first.head, &reply.head,
				    sizeof(reply.head));
	}
	head.device = device;
	assert_int_equal(raw_call(thief, &head, list, 8, &reply), -EINVAL);
	after = stat_of(victim);
	assert_memory_equal(&before, &after, sizeof(after));
	close(thief);
	close(victim);
}

static void item60_counts_that_lie(void **state)
{
	struct stage *stage = *state;
	int fd = client(stage);
	uint64_t device = new_device(fd), list[8];
	struct wire_request head;
	struct wire_stat before, after;

	new_allocations(fd, device, 8, list);
	before = stat_of(fd);
	head = destroy_head(device, UINT32_MAX, sizeof(list));
	refused(fd, &head, list, sizeof(list), -EINVAL,
		TENURE_REASON_LIST_TOO_LONG);
	head = destroy_head(device, 9, sizeof(list));
	refused(fd, &head, list, sizeof(list), -EINVAL,
		TENURE_REASON_LIST_TRUNCATED);
	head = destroy_head(device, 8, sizeof(list) - 1);
	refused(fd, &head, list, sizeof(list) - 1, -EINVAL,
		TENURE_REASON_LIST_TRUNCATED);
	after = stat_of(fd);
	assert_memory_equal(&before, &after, sizeof(after));
	/* A create whose sizes are not all there breaks the protocol. */
	head = (struct wire_request){ .opcode = WIRE_OP_CREATE,
				      .device = device,
				      .count = 1000,
				      .args_bytes = 16 };
	raw_send(fd, &head, list, 16);
	thrown_out(stage, fd, TENURE_REASON_MALFORMED);
}

static void item61_one_bad_entry_at_each_position(void **state)
{
	struct stage *stage = *state;
	int fd = client(stage);
	uint64_t device = new_device(fd);
	static uint64_t list[LIST_ENTRIES_MAX];
	struct wire_request head =
		destroy_head(device, LIST_ENTRIES_MAX, sizeof(list));
	struct raw_reply reply;
	unsigned int i;

	new_allocations(fd, device, LIST_ENTRIES_MAX, list);
	for (i = 0; i < LIST_ENTRIES_MAX; i++) {
		list[i] ^= UINT64_C(1) << 60;
		assert_int_equal(raw_call(fd, &head, list, sizeof(list),
					  &reply),
				 -EINVAL);
		assert_int_equal(reply.head.index, i);
		list[i] ^= UINT64_C(1) << 60;
	}
	assert_int_equal(stat_of(fd).allocations, LIST_ENTRIES_MAX);
	assert_int_equal(raw_call(fd, &head, list, sizeof(list), &reply), 0);
	assert_int_equal(stat_of(fd).allocations, 0);
	close(fd);
}

static void item62_resource_and_list(void **state)
{
	struct stage *stage = *state;
	int fd = client(stage);
	uint64_t device = new_device(fd), list[2];
	struct wire_request head;

	new_allocations(fd, device, 2, list);
	head = destroy_head(device, 2, sizeof(list));
	head.object = list[0];
	refused(fd, &head, list, sizeof(list), -EINVAL,
		TENURE_REASON_RESOURCE_AND_LIST);
	assert_int_equal(stat_of(fd).allocations, 2);
	close(fd);
}

static void item63_undefined_flags(void **state)
{
	struct stage *stage = *state;
	int fd = client(stage);
	uint64_t device = new_device(fd), own;
	struct wire_allocation size = { .size_bytes = 4096 };
	struct wire_request head;
	unsigned int bit;

	new_allocations(fd, device, 1, &own);
	for (bit = 2; bit < 32; bit++) {
		head = destroy_head(device, 1, sizeof(own));
		head.flags = 1u << bit;
		refused(fd, &head, &own, sizeof(own), -EINVAL,
			bit == 31 ? TENURE_REASON_FLAGS_SYSTEM_ONLY :
				    TENURE_REASON_FLAGS_RESERVED);
		head = (struct wire_request){ .opcode = WIRE_OP_CREATE,
					      .flags = 1u << bit,
					      .device = device,
					      .count = 1,
					      .args_bytes = sizeof(size) };
		refused(fd, &head, &size, sizeof(size), -EINVAL,
			TENURE_REASON_FLAGS_RESERVED);
		head = (struct wire_request){ .opcode = WIRE_OP_MAP,
					      .flags = 1u << bit,
					      .device = device,
					      .object = own };
		refused(fd, &head, NULL, 0, -EINVAL,
			TENURE_REASON_FLAGS_RESERVED);
	}
	assert_int_equal(stat_of(fd).allocations, 1);
	close(fd);
}

/* ---- Anything ---- */

static uint64_t odd_number(struct random *random, uint64_t device,
			   uint64_t allocation)
{
	switch (random_below(random, 6)) {
	case 0:
		return 0;
	case 1:
		return device;
	case 2:
		return allocation;
	case 3:
		return random_below(random, 4);
	case 4:
		return device ^ UINT64_C(1) << random_below(random, 64);
	default:
		return random_next(random);
	}
}

/* A request of a legal form, whose values are anything. */
static struct wire_request odd_request(struct random *random, uint64_t device,
				       uint64_t own)
{
	static const uint8_t opcodes[] = {
		WIRE_OP_CREATE,	 WIRE_OP_CREATE, WIRE_OP_DESTROY,
		WIRE_OP_DESTROY, WIRE_OP_SHARE,	 WIRE_OP_OPEN,
		WIRE_OP_MAP,	 WIRE_OP_UNMAP,	 WIRE_OP_TOKEN_REVOKE,
	};
	struct wire_request head = {
		.opcode = opcodes[random_below(random, ARRAY_SIZE(opcodes))],
	};

	if (head.opcode == WIRE_OP_TOKEN_REVOKE) {
		head.value[0] = random_next(random);
		return head;
	}
	head.device = random_chance(random, 80) ?
			      device :
			      odd_number(random, device, own);
	head.object = odd_number(random, device, own);
	if (head.opcode != WIRE_OP_UNMAP)
		head.flags = random_below(random, 5);
	if (head.opcode == WIRE_OP_OPEN)
		head.value[0] = random_next(random);
	if (head.opcode == WIRE_OP_CREATE || head.opcode == WIRE_OP_DESTROY ||
	    head.opcode == WIRE_OP_OPEN)
		head.count = random_below(random, 20);
	if (head.opcode == WIRE_OP_CREATE)
		head.args_bytes = head.count * 16;
	if (head.opcode == WIRE_OP_DESTROY) {
		head.form = (uint8_t)random_below(random, 2);
		head.args_bytes = head.count * 8;
	}
	return head;
}

/* Sends such requests, and sometimes random bytes, until one ends it. */
static void babble(const struct stage *stage, struct random *random)
{
	uint64_t args[40], device, own;
	int fd = client(stage);
	unsigned int i, j;

	device = new_device(fd);
	new_allocations(fd, device, 1, &own);
	for (i = 0; i < 200; i++) {
		struct wire_request head = odd_request(random, device, own);
		struct raw_reply reply;

		for (j = 0; j < ARRAY_SIZE(args); j++)
			args[j] = head.opcode == WIRE_OP_CREATE ?
					  (j & 1 ? 0 :
						   random_below(random, 9000)) :
					  odd_number(random, device, own);
		if (random_chance(random, 1))
			((uint8_t *)&head)[random_below(random, 64)] ^= 0x10;
		if (raw_call(fd, &head, args, head.args_bytes % 321, &reply) ==
		    -ENOTCONN)
			break;
		if (reply.fd >= 0)
			close(reply.fd);
		if (reply.head.reason >= TENURE_REASON_MALFORMED)
			break;
	}
	close(fd);
}

static void babbling(void **state)
{
	struct stage *stage = *state;
	struct random random = { 20 };
	unsigned int i;

	print_message("seed 20\n");
	for (i = 0; i < 200; i++) {
		babble(stage, &random);
		if (i % 20 == 0)
			canary_sing(stage->canary, 1);
	}
	assert_true(daemon_log_lines(stage->daemon) < 1000);
}

#define hostile_test(function) \
	cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		hostile_test(item01_connect_and_be_silent),
		hostile_test(item02_connect_and_close),
		hostile_test(item06_lengths),
		hostile_test(item07_magic_and_version),
		hostile_test(item08_unknown_requests),
		hostile_test(item08_fields_that_must_be_zero),
		hostile_test(item10_hello_out_of_place),
		hostile_test(item15_zero_length_datagram),
		hostile_test(item17_out_of_band),
		hostile_test(item18_half_close),
		hostile_test(item18_half_close_before_a_late_reply),
		hostile_test(item20_strings),
		hostile_test(item20_private_data_is_only_bytes),
		hostile_test(item21_descriptor_on_a_request),
		hostile_test(item22_many_descriptors),
		hostile_test(item25_special_descriptors),
		hostile_test(item28_descriptors_never_received),
		hostile_test(item28_replies_never_read),
		hostile_test(item56_odd_handles),
		hostile_test(item58_foreign_handles),
		hostile_test(item60_counts_that_lie),
		hostile_test(item61_one_bad_entry_at_each_position),
		hostile_test(item62_resource_and_list),
		hostile_test(item63_undefined_flags),
		hostile_test(babbling),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
