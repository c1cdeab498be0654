/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Affinity: the last allowed CPU is the near one, because interrupts prefer
 * the first. The far one is the first that the kernel says is another core of
 * the same package.
 */
#include "bench/affinity.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

static int topology(int cpu, const char *what)
{
	char path[96];
	int value = -1;
	FILE *file;

	snprintf(path, sizeof(path),
		 "/sys/devices/system/cpu/cpu%d/topology/%s", cpu, what);
	file = fopen(path, "re");
	if (!file)
		return -1;
	if (fscanf(file, "%d", &value) != 1)
		value = -1;
	fclose(file);
	return value;
}

/* Where nothing is known, two CPUs are taken for two cores. */
static bool is_other_core(int a, int b)
{
	int core = topology(a, "core_id");

	if (a == b || topology(a, "physical_package_id") !=
			      topology(b, "physical_package_id"))
		return false;
	return core == -1 || core != topology(b, "core_id");
}

struct cpus cpus_choose(void)
{
	struct cpus cpus = { .near = 0, .far = -1 };
	cpu_set_t allowed;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
		return cpus;
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &allowed))
			cpus.near = i;
	for (int i = 0; i < CPU_SETSIZE && cpus.far < 0; i++)
		if (CPU_ISSET(i, &allowed) && is_other_core(i, cpus.near))
			cpus.far = i;
	return cpus;
}

bool pin_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) == 0;
}

/* The kernel takes out of it what is not allowed. */
bool unpin(void)
{
	cpu_set_t set;

	memset(&set, 0xff, sizeof(set));
	return sched_setaffinity(0, sizeof(set), &set) == 0;
}
