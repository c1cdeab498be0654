/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quotas through the configuration of a real daemon: of a client, of a
 * principal over all its clients, and of the daemon. Exactly at the limit is
 * granted; one more is refused with the reason that names the limit; whoever
 * is not at his own limit notices nothing.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tenure/tenure.h"
#include "tests/support/daemon_process.h"

enum { PAGE = 4096, NOBODY = 65534 };

static const char config[] = "[daemon]\n"
			     "clients = 12\n"
			     "[client]\n"
			     "bytes = 40K\n"
			     "tokens = 2\n"
			     "[principal]\n"
			     "bytes = 100K\n"
			     "clients = 8\n";

static int setup(void **state)
{
	const struct daemon_options options = { .config = config };

	*state = daemon_start(&options);
	return 0;
}

static int teardown(void **state)
{
	daemon_stop_clean(*state);
	return 0;
}

static struct tenure *connect_to(const struct daemon_process *daemon)
{
	struct tenure *t;

	assert_int_equal(tenure_connect(daemon_socket(daemon), 0, &t), 0);
	return t;
}

static void refused_for(int result, enum tenure_reason reason)
{
	struct tenure_refusal refusal;

	assert_int_equal(result, -EDQUOT);
	tenure_last_refusal(&refusal);
	assert_int_equal(refusal.reason, reason);
}

static void bytes_of_a_client(void **state)
{
	struct tenure *t = connect_to(*state);
	struct tenure_memory all, more, again;
	struct tenure_stat stat;

	refused_for(tenure_alloc(t, 40 * 1024 + 1, &all),
		    TENURE_REASON_CLIENT_BYTES);
	assert_int_equal(tenure_alloc(t, 40 * 1024, &all), 0);
	assert_int_equal(tenure_stat(t, &stat), 0);
	assert_int_equal(stat.bytes, stat.bytes_limit);
	refused_for(tenure_alloc(t, 1, &more), TENURE_REASON_CLIENT_BYTES);
	assert_int_equal(tenure_free(t, &all), 0);
	/* Garbage is charged until it has been given back, so this may have
	 * to be tried again; it must work in the end. */
	while (tenure_alloc(t, 40 * 1024, &again) != 0)
		usleep(1000);
	assert_int_equal(tenure_free(t, &again), 0);
	tenure_disconnect(t);
}

static void tokens_of_a_client(void **state)
{
	struct tenure *t = connect_to(*state);
	struct tenure_memory memory;
	struct tenure_token tokens[3];

	assert_int_equal(tenure_alloc_shared(t, PAGE, &memory), 0);
	assert_int_equal(tenure_share(t, &memory, TENURE_RIGHT_READ, tokens),
			 0);
	assert_int_equal(
		tenure_share(t, &memory, TENURE_RIGHT_READ, &tokens[1]), 0);
	refused_for(tenure_share(t, &memory, TENURE_RIGHT_READ, &tokens[2]),
		    TENURE_REASON_CLIENT_TOKENS);
	assert_int_equal(tenure_token_revoke(t, &tokens[0]), 0);
	assert_int_equal(
		tenure_share(t, &memory, TENURE_RIGHT_READ, &tokens[2]), 0);
	tenure_disconnect(t);
}

/* Another user has a quota of its own. */
static void other_user_is_served(struct daemon_process *daemon)
{
	int status;
	pid_t pid;

	if (geteuid() != 0)
		return;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct tenure_memory memory;
		struct tenure *t;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (setgid(NOBODY) || setuid(NOBODY) ||
		    tenure_connect(daemon_socket(daemon), 0, &t) ||
		    tenure_alloc(t, 40 * 1024, &memory))
			_exit(1);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void bytes_of_a_principal(void **state)
{
	struct tenure *t[4];
	struct tenure_memory memory[4], more;
	unsigned int i;

	for (i = 0; i < 4; i++)
		t[i] = connect_to(*state);
	assert_int_equal(tenure_alloc(t[0], 40 * 1024, &memory[0]), 0);
	assert_int_equal(tenure_alloc(t[1], 40 * 1024, &memory[1]), 0);
	refused_for(tenure_alloc(t[2], 24 * 1024, &more),
		    TENURE_REASON_PRINCIPAL_BYTES);
	assert_int_equal(tenure_alloc(t[2], 20 * 1024, &memory[2]), 0);
	refused_for(tenure_alloc(t[3], 1, &more),
		    TENURE_REASON_PRINCIPAL_BYTES);
	other_user_is_served(*state);
	/* The end of one makes room for the others. */
	tenure_disconnect(t[0]);
	while (tenure_alloc(t[3], 40 * 1024, &memory[3]) != 0)
		usleep(1000);
	for (i = 1; i < 4; i++)
		tenure_disconnect(t[i]);
}

/* The monitoring connection of the helper is one of the eight. */
static void clients_of_a_principal(void **state)
{
	struct tenure *t[7], *more;
	unsigned int i;

	for (i = 0; i < 7; i++)
		t[i] = connect_to(*state);
	refused_for(tenure_connect(daemon_socket(*state), 0, &more),
		    TENURE_REASON_PRINCIPAL_CLIENTS);
	other_user_is_served(*state);
	tenure_disconnect(t[3]);
	while (tenure_connect(daemon_socket(*state), 0, &t[3]) != 0)
		usleep(1000);
	for (i = 0; i < 7; i++)
		tenure_disconnect(t[i]);
}

static void clients_of_the_daemon(void **state)
{
	const struct daemon_options options = {
		.config = "[daemon]\nclients = 4\n",
	};
	struct daemon_process *daemon = daemon_start(&options);
	struct tenure *t[3], *more;
	unsigned int i;

	(void)state;
	for (i = 0; i < 3; i++)
		t[i] = connect_to(daemon);
	refused_for(tenure_connect(daemon_socket(daemon), 0, &more),
		    TENURE_REASON_DAEMON_CLIENTS);
	for (i = 0; i < 3; i++)
		tenure_disconnect(t[i]);
	daemon_stop_clean(daemon);
}

#define quota_test(function) \
	cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		quota_test(bytes_of_a_client),
		quota_test(tokens_of_a_client),
		quota_test(bytes_of_a_principal),
		quota_test(clients_of_a_principal),
		cmocka_unit_test(clients_of_the_daemon),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
