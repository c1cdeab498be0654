/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An idle daemon with idle clients costs nothing: no thread of it is scheduled
 * once in five seconds, so it makes no system call and no timer ticks. (S16)
 */
#include "tests/integration/ring_world.h"
#include "tests/support/idle.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { IDLE_S = 5 };

static uint64_t switches_of(const char *path)
{
	unsigned long long sum = 0, n;
	char line[128];
	FILE *file = fopen(path, "re");

	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "voluntary_ctxt_switches: %llu", &n) == 1 ||
		    sscanf(line, "nonvoluntary_ctxt_switches: %llu", &n) == 1)
			sum += n;
	fclose(file);
	return sum;
}

/* How often the threads of the daemon have been switched, all together. */
static uint64_t switches(const struct stage *stage)
{
	char path[64], file[384];
	struct dirent *entry;
	uint64_t sum = 0;
	DIR *threads;

	snprintf(path, sizeof(path), "/proc/%d/task",
		 (int)daemon_pid(stage->daemon));
	threads = opendir(path);
	assert_non_null(threads);
	while ((entry = readdir(threads))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(file, sizeof(file), "%s/%s/status", path,
			 entry->d_name);
		sum += switches_of(file);
	}
	closedir(threads);
	return sum;
}

static void idle(void **state)
{
	struct stage *stage = *state;
	struct raw_ring rings[8];
	uint64_t before, list[64];
	int windows = 0;

	/* They have worked, also with what a timer looks after. */
	for (size_t i = 0; i < ARRAY_SIZE(rings); i++) {
		uint64_t device;

		rings[i] = ring_client(stage);
		device = ring_device(&rings[i]);
		ring_allocations(&rings[i], device, 64, list);
		for (int k = 0; k < 32; k++)
			if (ring_client_free(&rings[i].end, list[k]) == 1)
				raw_ring_knock(&rings[i]);
	}
	canary_sing(stage->canary, 10);
	for (size_t i = 0; i < ARRAY_SIZE(rings); i++)
		while (ring_stat(&rings[i]).allocations != 32)
			usleep(1000);
	/* Others may have kept it from coming to rest by then. */
	do {
		expect_idle(daemon_pid(stage->daemon));
		before = switches(stage);
		sleep(IDLE_S);
		assert_true(windows++ < 5);
	} while (switches(stage) != before);
	/* And it is not asleep for ever. */
	for (size_t i = 0; i < ARRAY_SIZE(rings); i++) {
		const struct wire_request ping = { .opcode = WIRE_OP_PING };

		assert_int_equal(raw_ring_call(&rings[i], &ping, NULL, 0, NULL),
				 0);
		raw_ring_close(&rings[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ring_test(idle),
		cmocka_unit_test_setup_teardown(idle, stage_setup_two_workers,
						stage_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
