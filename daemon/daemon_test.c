/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole program as a process, and clients that speak the bare protocol.
 * Every test ends it with SIGTERM and wants exit status 0: under a sanitizer
 * that is also the test for leaks.
 */
#include "core/wire/msg.h"
#include "tenure/types.h"
#include "tests/support/idle.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[64], socket_path[80], log_path[80], program[512];
static pid_t daemon_pid;

/* ---- The daemon -------------------------------------------------------- */

/* Starts it with stderr in the log file; prepare runs in the child. It must
 * not outlive a test that is killed. */
static pid_t spawn(char *const *argv, int ready_fd, void (*prepare)(void))
{
	pid_t pid = fork();
	int fd;

	assert_true(pid >= 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fd = open(log_path, O_CREAT | O_WRONLY | O_APPEND, 0600);
	dup2(fd, STDERR_FILENO);
	close(fd);
	if (ready_fd >= 0)
		fcntl(ready_fd, F_SETFD, 0);
	if (prepare)
		prepare();
	execv(program, argv);
	_exit(127);
}

static int status_of(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) :
				   1000 + WTERMSIG(status);
}

/* Runs to the end; the exit status. */
static int run(const char *first, const char *second, const char *third)
{
	char *argv[] = {
		program,
		(char *)(uintptr_t)first,
		(char *)(uintptr_t)second,
		(char *)(uintptr_t)third,
		NULL,
	};

	return status_of(spawn(argv, -1, NULL));
}

/* Starts the daemon on the socket and waits until it is ready. */
static void start_with(const char *extra, void (*prepare)(void))
{
	char number[16], byte;
	int ready[2];
	char *argv[] = {
		program,     (char *)(uintptr_t) "--socket",
		socket_path, (char *)(uintptr_t) "--ready-fd",
		number,	     (char *)(uintptr_t)extra,
		NULL,
	};

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	snprintf(number, sizeof(number), "%d", ready[1]);
	daemon_pid = spawn(argv, ready[1], prepare);
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(byte, '\n');
	assert_int_equal(read(ready[0], &byte, 1), 0);
	close(ready[0]);
}

static void start(void)
{
	start_with(NULL, NULL);
}

static void stop(void)
{
	assert_int_equal(kill(daemon_pid, SIGTERM), 0);
	assert_int_equal(status_of(daemon_pid), 0);
	assert_int_equal(access(socket_path, F_OK), -1);
	daemon_pid = 0;
}

static const char *log_text(void)
{
	static char text[1 << 16];
	FILE *file = fopen(log_path, "r");

	text[0] = '\0';
	if (!file) /* it has not begun yet */
		return text;
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	return text;
}

/* Waits until the log says it. */
static void expect_log(const char *what)
{
	for (int i = 0; i < 500; i++) {
		if (strstr(log_text(), what))
			return;
		usleep(10000);
	}
	fail_msg("'%s' is not in the log:\n%s", what, log_text());
}

/* ---- Clients ----------------------------------------------------------- */

static int connect_client(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, socket_path);
	assert_int_equal(
		connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static uint64_t reply_data[WIRE_DATA_BYTES_MAX / 8];

/* Receives one message; false at the end of the connection. */
static bool receive(int fd, struct wire_reply *ret, int *ret_fd)
{
	struct iovec parts[2] = {
		{ ret, sizeof(*ret) },
		{ reply_data, sizeof(reply_data) },
	};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr message = {
		.msg_iov = parts,
		.msg_iovlen = 2,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);

	if (n <= 0)
		return false;
	assert_true(n >= (ssize_t)sizeof(*ret));
	assert_int_equal(n, sizeof(*ret) + ret->data_bytes);
	assert_int_equal(message.msg_controllen != 0, ret->fds != 0);
	if (ret->fds)
		memcpy(ret_fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
	return true;
}

static void request(int fd, struct wire_request *head, const void *args)
{
	static uint64_t id;
	struct iovec parts[2] = {
		{ head, sizeof(*head) },
		{ (void *)(uintptr_t)args, head->args_bytes },
	};
	const struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };

	head->id = ++id;
	assert_int_equal(sendmsg(fd, &message, MSG_NOSIGNAL),
			 sizeof(*head) + head->args_bytes);
}

static struct wire_reply call(int fd, struct wire_request head,
			      const void *args)
{
	struct wire_reply reply = { 0 };
	int attached;

	request(fd, &head, args);
	assert_true(receive(fd, &reply, &attached));
	assert_int_equal(reply.id, head.id);
	assert_int_equal(reply.opcode, head.opcode);
	return reply;
}

static const struct wire_request hello_request = {
	.opcode = WIRE_OP_HELLO,
	.object = WIRE_MAGIC,
	.value = { 1, 1 },
};

static struct wire_reply hello(int fd)
{
	return call(fd, hello_request, NULL);
}

/* Says hello; false when the daemon had no room for one more. */
static bool is_welcome(int fd)
{
	struct wire_reply reply = { 0 };
	int unused;

	/* The refusal may be there before, and the connection ended. */
	if (send(fd, &hello_request, sizeof(hello_request), MSG_NOSIGNAL) < 0)
		assert_int_equal(errno, EPIPE);
	/* An end with our question unread is told once before the refusal. */
	if (!receive(fd, &reply, &unused))
		assert_true(receive(fd, &reply, &unused));
	if (reply.status != 0)
		assert_int_equal(reply.reason, TENURE_REASON_DAEMON_BUSY);
	return reply.status == 0;
}

/* A client with a device. */
static int client_with_device(uint64_t *ret_device)
{
	int fd = connect_client();
	struct wire_request open = { .opcode = WIRE_OP_ADAPTER_OPEN };
	struct wire_reply reply;

	assert_int_equal(hello(fd).status, 0);
	memcpy(open.value, "system", 6);
	reply = call(fd, open, NULL);
	assert_int_equal(reply.status, 0);
	reply = call(fd,
		     (struct wire_request){
			     .opcode = WIRE_OP_DEVICE_CREATE,
			     .object = reply.value[0],
		     },
		     NULL);
	assert_int_equal(reply.status, 0);
	*ret_device = reply.value[0];
	return fd;
}

/* A shared resource of one allocation; the handles are in *ret. */
static uint64_t create(int fd, uint64_t device, uint64_t bytes,
		       uint64_t *ret_allocation)
{
	const struct wire_allocation allocation = { .size_bytes = bytes };
	struct wire_reply reply;

	reply = call(fd,
		     (struct wire_request){
			     .opcode = WIRE_OP_CREATE,
			     .device = device,
			     .flags = TENURE_CREATE_RESOURCE |
				      TENURE_CREATE_SHARED,
			     .count = 1,
			     .args_bytes = sizeof(allocation),
		     },
		     &allocation);
	assert_int_equal(reply.status, 0);
	assert_int_equal(reply.data_bytes, 8);
	*ret_allocation = reply_data[0];
	return reply.value[0];
}

/* Maps an allocation and returns its descriptor. */
static int map(int fd, uint64_t device, uint64_t allocation)
{
	struct wire_request head = {
		.opcode = WIRE_OP_MAP,
		.device = device,
		.object = allocation,
		.flags = WIRE_MAP_WRITE | WIRE_MAP_WANT_FD,
	};
	struct wire_reply reply;
	int attached = -1;

	request(fd, &head, NULL);
	assert_true(receive(fd, &reply, &attached));
	assert_int_equal(reply.status, 0);
	assert_int_equal(reply.fds, 1);
	return attached;
}

static struct wire_status status(int fd)
{
	struct wire_reply reply = call(
		fd, (struct wire_request){ .opcode = WIRE_OP_STATUS }, NULL);
	struct wire_status s;

	assert_int_equal(reply.status, 0);
	assert_int_equal(reply.data_bytes, sizeof(s));
	memcpy(&s, reply_data, sizeof(s));
	return s;
}

/* ---- Tests ------------------------------------------------------------- */

static int setup(void **state)
{
	const char *bin = getenv("TENURE_BIN_DIR");

	(void)state;
	snprintf(program, sizeof(program), "%s/tenured", bin ? bin : "bin");
	strcpy(directory, "/tmp/tenure-daemon-test-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	snprintf(socket_path, sizeof(socket_path), "%s/sock", directory);
	snprintf(log_path, sizeof(log_path), "%s.log", directory);
	unsetenv("TENURED_CONFIG");
	unsetenv("TENURED_CLIENTS");
	unsetenv("TENURED_HELLO_TIMEOUT_MS");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (daemon_pid > 0) {
		fprintf(stderr, "%s", log_text());
		kill(daemon_pid, SIGKILL);
		waitpid(daemon_pid, NULL, 0);
		daemon_pid = 0;
		unlink(socket_path);
	}
	unlink(log_path);
	return rmdir(directory) < 0 && errno != ENOENT;
}

static void test_life_of_an_allocation(void **state)
{
	uint64_t device, resource, allocation;
	struct wire_status s;
	int fd, memory;
	char *bytes;

	(void)state;
	start();
	fd = client_with_device(&device);
	resource = create(fd, device, 8192, &allocation);
	memory = map(fd, device, allocation);
	bytes = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	assert_ptr_not_equal(bytes, MAP_FAILED);
	assert_int_equal(bytes[8191], 0);
	memset(bytes, 1, 8192);
	assert_int_equal(ftruncate(memory, 0), -1);
	assert_int_equal(errno, EPERM);
	s = status(fd);
	assert_int_equal(s.clients, 1);
	assert_int_equal(s.bytes, 8192);
	assert_int_equal(call(fd,
			      (struct wire_request){
				      .opcode = WIRE_OP_DESTROY,
				      .device = device,
				      .object = resource,
				      .flags = TENURE_DESTROY_SYNCHRONOUS,
			      },
			      NULL)
				 .status,
			 0);
	/* A synchronous destroy is answered when the memory is back. */
	assert_int_equal(bytes[0], 0);
	s = status(fd);
	assert_int_equal(s.bytes, 0);
	assert_int_equal(s.stores, 0);
	munmap(bytes, 8192);
	close(memory);
	close(fd);
	expect_log("ended: end of file; held 0 resources, 0 allocations, "
		   "0 tokens, 0 bytes");
	stop();
}

static void test_killed_client(void **state)
{
	uint64_t device, allocation;
	char expected[128];
	struct wire_status s;
	int line[2], fd;
	char byte;
	pid_t pid;

	(void)state;
	start();
	assert_int_equal(pipe(line), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		fd = client_with_device(&device);
		create(fd, device, 1 << 20, &allocation);
		map(fd, device, allocation);
		create(fd, device, 4096, &allocation);
		if (write(line[1], "x", 1) != 1)
			_exit(1);
		pause();
	}
	assert_int_equal(read(line[0], &byte, 1), 1);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	snprintf(expected, sizeof(expected), "(pid %d, uid %d, ", (int)pid,
		 (int)geteuid());
	expect_log(expected);
	expect_log("ended: its process has ended; held 2 resources, "
		   "2 allocations, 0 tokens, 1052672 bytes\n");
	snprintf(expected, sizeof(expected),
		 "(pid %d): everything reclaimed in ", (int)pid);
	expect_log(expected);
	expect_log(" ms; 1052672 bytes given back\n");
	fd = connect_client();
	assert_int_equal(hello(fd).status, 0);
	s = status(fd);
	assert_int_equal(s.clients, 1);
	assert_int_equal(s.bytes, 0);
	close(fd);
	close(line[0]);
	close(line[1]);
	stop();
}

static void test_forked_child_does_not_hide_a_death(void **state)
{
	uint64_t device, allocation;
	int line[2];
	char byte;
	pid_t pid, grandchild;

	(void)state;
	start();
	assert_int_equal(pipe2(line, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int fd = client_with_device(&device);

		create(fd, device, 4096, &allocation);
		grandchild = fork();
		if (grandchild == 0) {
			/* Until the daemon closes the connection. */
			if (read(fd, &byte, 1) != 0)
				_exit(1);
			_exit(write(line[1], "x", 1) == 1 ? 0 : 1);
		}
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	close(line[1]);
	assert_int_equal(read(line[0], &byte, 1), 1);
	close(line[0]);
	expect_log("ended: its process has ended; held 1 resource, "
		   "1 allocation, ");
	stop();
}

static void test_stop_with_clients(void **state)
{
	uint64_t device, allocation;
	struct wire_reply reply;
	int fds[20], memory, unused;
	char *bytes;

	(void)state;
	start();
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = client_with_device(&device);
		create(fds[i], device, 1 << 20, &allocation);
	}
	memory = map(fds[19], device, allocation);
	bytes = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	assert_ptr_not_equal(bytes, MAP_FAILED);
	stop();
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		assert_true(receive(fds[i], &reply, &unused));
		assert_int_equal(reply.id, 0);
		assert_int_equal(reply.status, -ESHUTDOWN);
		assert_int_equal(reply.reason, TENURE_REASON_DAEMON_STOPPING);
		assert_false(receive(fds[i], &reply, &unused));
		close(fds[i]);
	}
	/* Nobody gets a bus error because the daemon has gone. */
	bytes[0] = 1;
	munmap(bytes, 4096);
	close(memory);
}

static void test_exit_statuses(void **state)
{
	char file[96];
	int fd;

	(void)state;
	assert_int_equal(run("--nonsense", NULL, NULL), EX_USAGE);
	assert_int_equal(run("extra", NULL, NULL), EX_USAGE);
	assert_int_equal(run("--config", "/nonexistent", NULL), EX_CONFIG);
	assert_int_equal(run("--socket", "/nonexistent/x/sock", NULL),
			 EX_CANTCREAT);
	assert_int_equal(run("--socket", directory, NULL), EX_CANTCREAT);
	assert_int_equal(run("--check-config", NULL, NULL), EX_OK);
	snprintf(file, sizeof(file), "%s/conf", directory);
	fd = open(file, O_CREAT | O_WRONLY, 0600);
	assert_int_equal(write(fd, "[daemon]\nx = 1\n", 15), 15);
	close(fd);
	assert_int_equal(run("--check-config", "--config", file), EX_CONFIG);
	expect_log("/conf:2: unknown key 'x' in section 'daemon'");
	unlink(file);
	start();
	assert_int_equal(run("--socket", socket_path, NULL), EX_UNAVAILABLE);
	fd = connect_client();
	assert_int_equal(hello(fd).status, 0);
	close(fd);
	stop();
}

static void test_help_is_on_stdout(void **state)
{
	char command[600], line[128];
	FILE *out;

	(void)state;
	snprintf(command, sizeof(command), "'%s' --help 2>/dev/null", program);
	out = popen(command, "r");
	assert_non_null(out);
	assert_non_null(fgets(line, sizeof(line), out));
	assert_string_equal(line, "Usage: tenured [OPTION]...\n");
	while (fgets(line, sizeof(line), out))
		;
	assert_int_equal(pclose(out), 0);
}

static void test_silent_client(void **state)
{
	struct wire_reply reply;
	int fd, greeted, unused;

	(void)state;
	setenv("TENURED_HELLO_TIMEOUT_MS", "100", 1);
	start();
	greeted = connect_client();
	assert_int_equal(hello(greeted).status, 0);
	fd = connect_client();
	assert_true(receive(fd, &reply, &unused));
	assert_int_equal(reply.reason, TENURE_REASON_HELLO_TIMEOUT);
	assert_int_equal(reply.status, -ETIMEDOUT);
	assert_false(receive(fd, &reply, &unused));
	close(fd);
	assert_int_equal(status(greeted).clients, 1);
	close(greeted);
	stop();
}

static void test_refused_clients(void **state)
{
	struct wire_reply reply;
	int first, second;

	(void)state;
	setenv("TENURED_CLIENTS", "1", 1);
	start();
	first = connect_client();
	assert_int_equal(hello(first).status, 0);
	second = connect_client();
	reply = hello(second);
	assert_int_equal(reply.status, -EDQUOT);
	assert_int_equal(reply.reason, TENURE_REASON_DAEMON_CLIENTS);
	close(second);
	close(first);
	expect_log("ended");
	second = connect_client();
	assert_int_equal(hello(second).status, 0);
	close(second);
	stop();
}

static void test_protocol_violations(void **state)
{
	static char big[WIRE_REQUEST_BYTES_MAX + 1];
	struct wire_request ping = { .opcode = WIRE_OP_PING };
	struct wire_reply reply;
	int canary, fd, unused;

	(void)state;
	start();
	canary = connect_client();
	assert_int_equal(hello(canary).status, 0);
	fd = connect_client();
	request(fd, &ping, NULL);
	assert_true(receive(fd, &reply, &unused));
	assert_int_equal(reply.reason, TENURE_REASON_HELLO_EXPECTED);
	assert_false(receive(fd, &reply, &unused));
	close(fd);
	fd = connect_client();
	assert_int_equal(hello(fd).status, 0);
	assert_int_equal(send(fd, big, sizeof(big), 0), sizeof(big));
	assert_true(receive(fd, &reply, &unused));
	assert_int_equal(reply.reason, TENURE_REASON_MESSAGE_TOO_LONG);
	assert_false(receive(fd, &reply, &unused));
	close(fd);
	fd = connect_client();
	assert_int_equal(send(fd, "", 0, 0), 0);
	assert_int_equal(hello(fd).status, 0);
	close(fd);
	assert_int_equal(call(canary, ping, NULL).status, 0);
	close(canary);
	stop();
}

static void test_half_close_gets_a_late_reply(void **state)
{
	uint64_t device, allocation;
	struct wire_request destroy = { .opcode = WIRE_OP_DESTROY };
	struct wire_reply reply;
	int fd, unused;

	(void)state;
	start();
	fd = client_with_device(&device);
	destroy.device = device;
	destroy.object = create(fd, device, 4096, &allocation);
	destroy.flags = TENURE_DESTROY_SYNCHRONOUS;
	request(fd, &destroy, NULL);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	assert_true(receive(fd, &reply, &unused));
	assert_int_equal(reply.id, destroy.id);
	assert_int_equal(reply.status, 0);
	assert_false(receive(fd, &reply, &unused));
	close(fd);
	stop();
}

static void write_config(const char *file, const char *text)
{
	FILE *out = fopen(file, "w");

	assert_non_null(out);
	fputs(text, out);
	fclose(out);
}

static void enter_directory(void)
{
	if (chdir(directory) < 0)
		_exit(126);
	setenv("TENURED_CONFIG", "conf", 1);
}

/* It leaves the directory that it was started in, and still finds there what
 * it needs. */
static void test_private_daemon_leaves_directory(void **state)
{
	char file[96], link[64], target[8] = "";

	(void)state;
	snprintf(file, sizeof(file), "%s/conf", directory);
	write_config(file, "[client]\nbytes = 1M\n");
	start_with("--private", enter_directory);
	snprintf(link, sizeof(link), "/proc/%d/cwd", (int)daemon_pid);
	assert_int_equal(readlink(link, target, sizeof(target) - 1), 1);
	assert_string_equal(target, "/");
	expect_log(" 1M bytes per client");
	write_config(file, "[client]\nbytes = 2M\n");
	kill(daemon_pid, SIGHUP);
	expect_log("limits and log level were read again");
	unlink(file);
	stop();
}

static void test_private_daemon(void **state)
{
	int first, second;

	(void)state;
	start_with("--private", NULL);
	first = connect_client();
	assert_int_equal(hello(first).status, 0);
	second = connect_client();
	assert_int_equal(hello(second).status, 0);
	close(first);
	while (status(second).clients != 1)
		usleep(1000);
	close(second);
	assert_int_equal(status_of(daemon_pid), 0);
	daemon_pid = 0;
	/* It has removed the directory, which had the right name. */
	assert_int_equal(access(directory, F_OK), -1);
}

static void test_reload(void **state)
{
	struct wire_request stat_request = { .opcode = WIRE_OP_STAT };
	struct wire_stat stat;
	char file[96];
	int fd;

	(void)state;
	snprintf(file, sizeof(file), "%s/conf", directory);
	write_config(file, "[client]\nbytes = 1M\n");
	setenv("TENURED_CONFIG", file, 1);
	start();
	fd = connect_client();
	assert_int_equal(hello(fd).status, 0);
	write_config(file, "[client]\nbytes = 2X\n");
	kill(daemon_pid, SIGHUP);
	expect_log("the configuration stays as it was");
	call(fd, stat_request, NULL);
	memcpy(&stat, reply_data, sizeof(stat));
	assert_int_equal(stat.bytes_limit, 1 << 20);
	write_config(file, "[client]\nbytes = 2M\n");
	kill(daemon_pid, SIGHUP);
	expect_log("limits and log level were read again");
	call(fd, stat_request, NULL);
	memcpy(&stat, reply_data, sizeof(stat));
	assert_int_equal(stat.bytes_limit, 2 << 20);
	kill(daemon_pid, SIGUSR1);
	expect_log("own heap ");
	expect_log("clients 1, ending 0, connected 1, refused 0, killed 0");
	close(fd);
	stop();
	unlink(file);
}

static void few_descriptors(void)
{
	const struct rlimit few = { 48, 48 };

	setrlimit(RLIMIT_NOFILE, &few);
}

static void test_out_of_descriptors(void **state)
{
	int fds[64], refused = 0;
	bool welcome;

	(void)state;
	start_with(NULL, few_descriptors);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = connect_client();
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		refused += is_welcome(fds[i]) ? 0 : 1;
	assert_in_range(refused, 30, 60);
	expect_idle(daemon_pid);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	/* Until the daemon has noticed. */
	do {
		fds[0] = connect_client();
		welcome = is_welcome(fds[0]);
		close(fds[0]);
	} while (!welcome);
	stop();
}

/* A client that asks and never reads costs no processor, and harms nobody. */
static void test_client_that_does_not_read(void **state)
{
	struct wire_request ping = { .opcode = WIRE_OP_PING };
	int deaf, canary;

	(void)state;
	start();
	deaf = connect_client();
	assert_int_equal(hello(deaf).status, 0);
	for (int i = 0; i < 100; i++) {
		while (send(deaf, &ping, sizeof(ping), MSG_DONTWAIT) > 0)
			;
		usleep(1000);
	}
	canary = connect_client();
	assert_int_equal(hello(canary).status, 0);
	expect_idle(daemon_pid);
	assert_int_equal(call(canary, ping, NULL).status, 0);
	shutdown(deaf, SHUT_WR);
	usleep(20000);
	assert_int_equal(call(canary, ping, NULL).status, 0);
	close(deaf);
	expect_log("ended: end of file");
	close(canary);
	stop();
}

static void closed_standard_descriptors(void)
{
	close(STDIN_FILENO);
	close(STDOUT_FILENO);
	close(STDERR_FILENO);
}

static void test_without_standard_descriptors(void **state)
{
	uint64_t device, allocation;
	int fd, memory;
	char byte = 1;

	(void)state;
	start_with("--log-level=debug", closed_standard_descriptors);
	fd = client_with_device(&device);
	create(fd, device, 4096, &allocation);
	memory = map(fd, device, allocation);
	/* No line of the log has got into the memory. */
	assert_int_equal(pread(memory, &byte, 1, 0), 1);
	assert_int_equal(byte, 0);
	close(memory);
	close(fd);
	stop();
}

/* Standard output may be the ready line; it is not left open for others. */
static void test_ready_on_standard_output(void **state)
{
	char *argv[] = { program,
			 (char *)(uintptr_t) "--socket",
			 socket_path,
			 (char *)(uintptr_t) "--ready-fd",
			 (char *)(uintptr_t) "1",
			 NULL };
	char path[64], target[64];
	ssize_t n;

	(void)state;
	daemon_pid = spawn(argv, -1, NULL);
	expect_log("listens on ");
	snprintf(path, sizeof(path), "/proc/%d/fd/1", (int)daemon_pid);
	do { /* soon after that line */
		usleep(1000);
		n = readlink(path, target, sizeof(target) - 1);
		assert_true(n > 0);
		target[n] = '\0';
	} while (strcmp(target, "/dev/null") != 0);
	stop();
}

/* What a service manager does: bind, listen, and name ourselves. */
static void activate(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	char pid[16];

	strcpy(address.sun_path, socket_path);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) ||
	    listen(fd, 8) || dup2(fd, 100) != 100)
		_exit(1);
	/* Descriptor 3 may be the one that --ready-fd names. */
	if (fcntl(3, F_GETFD) >= 0 && fd != 3)
		_exit(2);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "1", 1);
}

static void test_socket_activation(void **state)
{
	char *argv[] = { program, NULL };
	int fd;

	(void)state;
	for (int i = 3; i < 10; i++)
		close(i);
	daemon_pid = spawn(argv, -1, activate);
	expect_log("listens on ");
	if (!strstr(log_text(), "the service manager's socket")) {
		kill(daemon_pid, SIGKILL);
		waitpid(daemon_pid, NULL, 0);
		daemon_pid = 0;
		unlink(socket_path);
		skip();
	}
	fd = connect_client();
	assert_int_equal(hello(fd).status, 0);
	close(fd);
	kill(daemon_pid, SIGTERM);
	assert_int_equal(status_of(daemon_pid), 0);
	daemon_pid = 0;
	/* Not its own, so not its to remove. */
	assert_int_equal(unlink(socket_path), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_life_of_an_allocation),
		TEST(test_killed_client),
		TEST(test_forked_child_does_not_hide_a_death),
		TEST(test_stop_with_clients),
		TEST(test_exit_statuses),
		TEST(test_help_is_on_stdout),
		TEST(test_silent_client),
		TEST(test_refused_clients),
		TEST(test_protocol_violations),
		TEST(test_half_close_gets_a_late_reply),
		TEST(test_private_daemon),
		TEST(test_private_daemon_leaves_directory),
		TEST(test_reload),
		TEST(test_out_of_descriptors),
		TEST(test_client_that_does_not_read),
		TEST(test_without_standard_descriptors),
		TEST(test_ready_on_standard_output),
		TEST(test_socket_activation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
