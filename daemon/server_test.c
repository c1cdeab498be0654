/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server in this process, with a thread as its client.
 */
#include "daemon/server.h"

#include "core/wire/msg.h"
#include "daemon/engine.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[32], path[64];
static struct config config;
static struct listener listener;
static unsigned int reloads;

static int count_reload(void *context, struct config *ret)
{
	(void)context;
	(void)ret;
	reloads++;
	return -EINVAL;
}

static void hear_error(void *context, const char *message)
{
	(void)context;
	fail_msg("%s", message);
}

static int setup(void **state)
{
	const struct config_report report = { .error = hear_error };
	const struct config_flags flags = { .root = "/nonexistent" };
	const char *why;

	(void)state;
	strcpy(directory, "/tmp/server-test-XXXXXX");
	if (!mkdtemp(directory) || config_load(&flags, &report, &config) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/sock", directory);
	return listener_open(path, 0600, false, &listener, &why);
}

static int teardown(void **state)
{
	(void)state;
	listener_close(&listener);
	return rmdir(directory);
}

static struct server_setup server_setup(bool private_use)
{
	return (struct server_setup){
		.config = &config,
		.listener = &listener,
		.descriptors = 1000,
		.private_use = private_use,
		.reload = count_reload,
	};
}

/* A client that says hello, is answered, and goes. */
static void *visit(void *result)
{
	const struct wire_request hello = {
		.opcode = WIRE_OP_HELLO,
		.object = WIRE_MAGIC,
		.value = { 1, 1 },
	};
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct wire_reply reply = { .status = -1 };

	strcpy(address.sun_path, path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
	    send(fd, &hello, sizeof(hello), 0) == sizeof(hello))
		recv(fd, &reply, sizeof(reply), 0);
	*(int *)result = reply.status;
	close(fd);
	return NULL;
}

/* A server runs to its end, and greets one client. */
static void run_visited(bool private_use)
{
	const struct server_setup how = server_setup(private_use);
	struct server *server;
	pthread_t client;
	int status = -1;

	assert_int_equal(server_new(&how, &server), 0);
	assert_int_equal(pthread_create(&client, NULL, visit, &status), 0);
	assert_int_equal(server_run(server), 0);
	server_free(server);
	pthread_join(client, NULL);
	assert_int_equal(status, 0);
}

static void test_private_server(void **state)
{
	(void)state;
	run_visited(true);
	assert_int_equal(access(path, F_OK), -1);
}

static void *send_signals(void *unused)
{
	static const int numbers[] = { SIGHUP, SIGUSR1, SIGTERM };

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		kill(getpid(), numbers[i]);
		usleep(20000);
	}
	return NULL;
}

static void test_signals(void **state)
{
	const struct server_setup how = server_setup(false);
	struct server *server;
	pthread_t sender;

	(void)state;
	reloads = 0;
	assert_int_equal(server_new(&how, &server), 0);
	assert_int_equal(pthread_create(&sender, NULL, send_signals, NULL), 0);
	assert_int_equal(server_run(server), 0);
	pthread_join(sender, NULL);
	server_free(server);
	assert_int_equal(reloads, 1);
}

/* What the pump is made to say of its next turn, while due_says. */
static bool due_says;
static unsigned int due_said;
static uint64_t due_since_ns, due_late_ns;

#define DUE_FAR_NS UINT64_C(5000000000)
#define DUE_SOON_NS UINT64_C(50000000)

struct engine_rest __real_engine_pump(struct engine *engine, uint64_t now_ns);
struct engine_rest __wrap_engine_pump(struct engine *engine, uint64_t now_ns);

/* The first says that there is much time, those after it that there is little;
 * and when that is over nothing is due. */
struct engine_rest __wrap_engine_pump(struct engine *engine, uint64_t now_ns)
{
	struct engine_rest rest = __real_engine_pump(engine, now_ns);

	if (!due_says)
		return rest;
	if (due_said++ == 0) {
		due_since_ns = now_ns;
		rest.due_ns = now_ns + DUE_FAR_NS;
	} else if (now_ns < due_since_ns + DUE_SOON_NS) {
		rest.due_ns = due_since_ns + DUE_SOON_NS;
	} else {
		due_says = false;
		due_late_ns = now_ns - due_since_ns - DUE_SOON_NS;
		kill(getpid(), SIGTERM);
	}
	return rest;
}

/* What comes to be due sooner than what the loop waits for is not kept waiting
 * for that. */
static void test_a_sooner_time(void **state)
{
	(void)state;
	due_says = true;
	due_said = 0;
	run_visited(false);
	/* When it was accepted, and when it said hello. */
	assert_true(due_said > 2);
	assert_true(due_late_ns < DUE_FAR_NS / 2);
}

static unsigned int descriptors(void)
{
	DIR *all = opendir("/proc/self/fd");
	unsigned int n = 0;

	while (readdir(all))
		n++;
	closedir(all);
	return n;
}

/* A server when only this many more descriptors can be had. */
static int start_with(rlim_t more, struct server **ret)
{
	const struct server_setup how = server_setup(false);
	struct rlimit old, few;
	rlim_t limit = 0;
	int r;

	for (rlim_t seen = 0; seen < more; limit++)
		seen += fcntl((int)limit, F_GETFD) < 0;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = old;
	few.rlim_cur = limit;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	r = server_new(&how, ret);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	return r;
}

/* Every step of the constructor that takes a descriptor fails in its turn. */
static void test_start_without_descriptors(void **state)
{
	struct server *server;
	unsigned int before, failures = 0;

	(void)state;
	/* libuv makes a pipe of its own the first time. */
	assert_int_equal(start_with(100, &server), 0);
	server_free(server);
	before = descriptors();
	while (start_with(failures, &server) < 0) {
		/* libuv 1.44 forgets one when uv_loop_init fails. */
		assert_in_range(descriptors(), before, before + 1);
		before = descriptors();
		failures++;
		assert_true(failures < 100);
	}
	assert_in_range(failures, 5, 99);
	server_free(server);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_private_server),
		TEST(test_signals),
		TEST(test_a_sooner_time),
		TEST(test_start_without_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
