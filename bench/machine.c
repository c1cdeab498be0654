/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Machine line: everything that makes the same program give other figures and
 * can be asked for without rights. The load is that of the last minute before
 * the run: above 0 means that others were at work.
 */
#include "bench/machine.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

__attribute__((format(printf, 3, 4))) static void
append(char *buffer, size_t size, const char *format, ...)
{
	size_t used = strlen(buffer);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(buffer + used, size - used, format, arguments);
	va_end(arguments);
}

/* The first line of a file without its newline, or "none". */
static void first_line(const char *path, char *buffer, size_t size)
{
	FILE *file = fopen(path, "re");

	snprintf(buffer, size, "none");
	if (!file)
		return;
	if (fgets(buffer, (int)size, file))
		buffer[strcspn(buffer, "\n")] = '\0';
	fclose(file);
}

/* The word in brackets of a line of choices. */
static void chosen(const char *path, char *buffer, size_t size)
{
	char line[128], *word;

	first_line(path, line, sizeof(line));
	word = strchr(line, '[');
	if (word) {
		word++;
		word[strcspn(word, "]")] = '\0';
	}
	snprintf(buffer, size, "%.40s", word ? word : line);
}

/* The model's name, and " virtual" behind it where a hypervisor says so. */
static void append_processor(char *buffer, size_t size)
{
	FILE *file = fopen("/proc/cpuinfo", "re");
	char line[4096], model[128] = "unknown processor";
	int is_virtual = 0;

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "model name : %127[^\n]", model) == 1)
			continue;
		if (strncmp(line, "flags", 5) == 0)
			is_virtual = strstr(line, " hypervisor") != NULL;
	}
	if (file)
		fclose(file);
	append(buffer, size, "%s, %ld cpus%s", model,
	       sysconf(_SC_NPROCESSORS_ONLN), is_virtual ? ", virtual" : "");
}

void machine_line(char *buffer, size_t size)
{
	char governor[64], thp[64], shmem[64];
	double load = 0;
	struct utsname kernel;

	buffer[0] = '\0';
	append_processor(buffer, size);
	first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
		   governor, sizeof(governor));
	chosen("/sys/kernel/mm/transparent_hugepage/enabled", thp, sizeof(thp));
	chosen("/sys/kernel/mm/transparent_hugepage/shmem_enabled", shmem,
	       sizeof(shmem));
	if (uname(&kernel) == 0)
		append(buffer, size, ", %s %s", kernel.sysname, kernel.release);
	append(buffer, size, ", governor %s, thp %s, shmem thp %s, compiler %s",
	       governor, thp, shmem, __VERSION__);
	if (getloadavg(&load, 1) == 1)
		append(buffer, size, ", load %.2f", load);
}

void machine_commit(char *buffer, size_t size)
{
	FILE *git = popen("git describe --always --dirty --abbrev=12 "
			  "--exclude='*' 2>/dev/null",
			  "re");

	buffer[0] = '\0';
	if (git && fgets(buffer, (int)size, git))
		buffer[strcspn(buffer, "\n")] = '\0';
	if (git)
		pclose(git);
	if (buffer[0] == '\0')
		snprintf(buffer, size, "unknown");
}
