/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watch
 *
 * Three witnesses who do not know of each other: the daemon's own totals (a
 * request that only its user and root may make), its descriptors in /proc,
 * and the shared memory of the machine. The first two must come back to where
 * they were; the third belongs to everybody on the machine and is only shown.
 *
 * The totals are not part of the library's interface, so this program is
 * linked with the library's objects and sends the request itself.
 */
#include "watch.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "client/transport.h"

static bool look_at_status(struct tenure *connection, struct wire_status *ret)
{
	const struct wire_request head = { .opcode = WIRE_OP_STATUS };
	struct wire_reply reply;
	char why[200];

	if (connection_request(connection, &head, NULL, 0, &reply, ret,
			       sizeof(*ret)) < 0) {
		fprintf(stderr, "tenure-demo: status: %s\n",
			tenure_explain(why, sizeof(why)));
		return false;
	}
	if (reply.status < 0 || reply.data_bytes != sizeof(*ret)) {
		fprintf(stderr, "tenure-demo: status: %s\n",
			tenure_strreason(reply.reason));
		return false;
	}
	return true;
}

static unsigned int count_fds(pid_t pid)
{
	char path[64];
	DIR *directory;
	unsigned int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	directory = opendir(path);
	while (directory && readdir(directory))
		n++;
	if (directory)
		closedir(directory);
	/* Less "." and "..". */
	return n < 2 ? 0 : n - 2;
}

static uint64_t read_shmem(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	unsigned long long kib = 0;
	char line[128];

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "Shmem: %llu kB", &kib) == 1)
			break;
	}
	if (file)
		fclose(file);
	return kib * 1024;
}

bool watch_look(struct tenure *connection, pid_t daemon, struct sight *ret)
{
	if (!look_at_status(connection, &ret->status))
		return false;
	ret->fds = count_fds(daemon);
	ret->shmem_bytes = read_shmem();
	return true;
}

bool watch_is_back(const struct sight *base, const struct sight *now)
{
	const struct wire_status *a = &base->status, *b = &now->status;

	return b->clients == a->clients && b->clients_ending == 0 &&
	       b->devices == a->devices && b->resources == a->resources &&
	       b->allocations == a->allocations && b->handles == a->handles &&
	       b->objects == a->objects && b->tokens == a->tokens &&
	       b->stores == a->stores && b->bytes == a->bytes &&
	       b->releases_pending == 0 && now->fds == base->fds;
}

static void copy_from(char *to, size_t size, const char *line, const char *from)
{
	const char *start = strstr(line, from);

	if (!start)
		start = line;
	snprintf(to, size, "%.*s", (int)min_u64(strcspn(start, "\n"), size - 1),
		 start);
}

static bool take_end(const char *line, struct end_of_client *ret)
{
	const char *held = strstr(line, "; held ");

	if (!held || !strstr(line, " ended: ") ||
	    sscanf(held,
		   "; held %llu %*[a-z], %llu %*[a-z], %llu %*[a-z], "
		   "%llu byte",
		   &ret->resources, &ret->allocations, &ret->tokens,
		   &ret->bytes) != 4)
		return false;
	copy_from(ret->ended, sizeof(ret->ended), line, "client ");
	return true;
}

bool watch_end_of(const char *log_path, pid_t pid, struct end_of_client *ret)
{
	FILE *file = fopen(log_path, "re");
	bool ended = false, reclaimed = false;
	char line[1024], alive[32], dead[32];

	snprintf(alive, sizeof(alive), "(pid %d,", (int)pid);
	snprintf(dead, sizeof(dead), "(pid %d): ", (int)pid);
	while (file && fgets(line, sizeof(line), file)) {
		if (strstr(line, alive) && take_end(line, ret))
			ended = true;
		if (strstr(line, dead) && strstr(line, "reclaimed")) {
			copy_from(ret->reclaimed, sizeof(ret->reclaimed), line,
				  "client ");
			reclaimed = true;
		}
	}
	if (file)
		fclose(file);
	return ended && reclaimed;
}
