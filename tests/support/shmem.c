/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who holds how much: a walk over /proc. A memfd is known by its inode number,
 * which is the same in every process, so one that several have counts once;
 * and if one of ours has it, it is ours.
 *
 *	/proc/PID/stat    whose child it is
 *	/proc/PID/fd/N    what it has open
 *	/proc/PID/maps    what it has mapped, perhaps without having it open
 *
 * Processes come and go during the walk; what has gone is not counted.
 */
#include "tests/support/shmem.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum { PATH_BYTES = 64, LINE_BYTES = 512 };

static const char memfd_name[] = "/memfd:";

struct process {
	pid_t pid, parent;
	bool is_own;
};

struct file {
	uint64_t inode, size_bytes;
	bool is_own;
};

struct walk {
	struct process *processes;
	size_t n_processes;
	struct file *files; /* some of them twice */
	size_t n_files;
	bool all_seen;
};

/* Room for one more in a list that doubles. */
static void *grow(void *list, size_t n, size_t size)
{
	if (n & (n - 1))
		return list;
	list = reallocarray(list, n ? 2 * n : 1, size);
	if (!list)
		abort();
	return list;
}

static void add_file(struct walk *w, uint64_t inode, uint64_t size_bytes,
		     bool is_own)
{
	w->files = grow(w->files, w->n_files, sizeof(*w->files));
	w->files[w->n_files++] = (struct file){ inode, size_bytes, is_own };
}

/* ---- Processes ---- */

static pid_t parent_of(pid_t pid)
{
	char path[PATH_BYTES], line[LINE_BYTES];
	const char *behind_name;
	int parent = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fgets(line, sizeof(line), file) &&
	    (behind_name = strrchr(line, ')')))
		sscanf(behind_name, ") %*c %d", &parent);
	fclose(file);
	return parent;
}

static void find_processes(struct walk *w)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	if (!proc)
		abort();
	while ((entry = readdir(proc))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (pid <= 0)
			continue;
		w->processes = grow(w->processes, w->n_processes,
				    sizeof(*w->processes));
		w->processes[w->n_processes++] =
			(struct process){ pid, parent_of(pid),
					  pid == getpid() };
	}
	closedir(proc);
}

/* Children of ours are ours, until no more are found. */
static void find_own(struct walk *w)
{
	bool more = true;

	while (more) {
		more = false;
		for (size_t i = 0; i < w->n_processes; i++)
			for (size_t k = 0; k < w->n_processes; k++)
				if (!w->processes[i].is_own &&
				    w->processes[k].is_own &&
				    w->processes[i].parent ==
					    w->processes[k].pid)
					more = w->processes[i].is_own = true;
	}
}

/* ---- Files ---- */

static void find_open(struct walk *w, const struct process *p)
{
	char path[PATH_BYTES], name[PATH_BYTES];
	struct dirent *entry;
	struct stat stat_;
	DIR *directory;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)p->pid);
	directory = opendir(path);
	if (!directory) {
		w->all_seen &= errno == ENOENT;
		return;
	}
	while ((entry = readdir(directory))) {
		ssize_t n = readlinkat(dirfd(directory), entry->d_name, name,
				       sizeof(name));

		if (n < (ssize_t)strlen(memfd_name) ||
		    memcmp(name, memfd_name, strlen(memfd_name)) != 0)
			continue;
		if (fstatat(dirfd(directory), entry->d_name, &stat_, 0) == 0)
			add_file(w, stat_.st_ino,
				 (uint64_t)stat_.st_blocks * 512, p->is_own);
	}
	closedir(directory);
}

/* What is mapped and not open: what is in it if we may see that, or else what
 * might be. */
static void find_mapped(struct walk *w, const struct process *p)
{
	char path[PATH_BYTES], line[LINE_BYTES];
	uint64_t start, end, inode;
	struct stat stat_;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)p->pid);
	file = fopen(path, "re");
	if (!file)
		return;
	while (fgets(line, sizeof(line), file)) {
		if (!strstr(line, memfd_name) ||
		    sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %*s %*s %" SCNu64,
			   &start, &end, &inode) != 3)
			continue;
		snprintf(path, sizeof(path),
			 "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, (int)p->pid,
			 start, end);
		add_file(w, inode,
			 stat(path, &stat_) == 0 ?
				 (uint64_t)stat_.st_blocks * 512 :
				 end - start,
			 p->is_own);
	}
	fclose(file);
}

/* Those of one inode stand together, ours first, and then the smallest: what
 * is in it rather than what might be. */
static int compare(const void *a, const void *b)
{
	const struct file *x = a, *y = b;

	if (x->inode != y->inode)
		return x->inode < y->inode ? -1 : 1;
	if (x->is_own != y->is_own)
		return x->is_own ? -1 : 1;
	return (x->size_bytes > y->size_bytes) -
	       (x->size_bytes < y->size_bytes);
}

static uint64_t machine_bytes(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	unsigned long long kib = 0;
	char line[128];

	if (!file)
		abort();
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "Shmem: %llu", &kib) == 1)
			break;
	fclose(file);
	return kib * 1024;
}

void shmem_look(struct shmem *ret)
{
	struct walk w = { .all_seen = true };
	uint64_t others_bytes = 0;

	find_processes(&w);
	find_own(&w);
	for (size_t i = 0; i < w.n_processes; i++) {
		find_open(&w, &w.processes[i]);
		find_mapped(&w, &w.processes[i]);
	}
	if (w.n_files)
		qsort(w.files, w.n_files, sizeof(*w.files), compare);
	*ret = (struct shmem){ .rest_bytes = machine_bytes(),
			       .all_seen = w.all_seen };
	for (size_t i = 0; i < w.n_files; i++) {
		if (i > 0 && w.files[i].inode == w.files[i - 1].inode)
			continue;
		if (w.files[i].is_own)
			ret->own_bytes += w.files[i].size_bytes;
		else
			others_bytes += w.files[i].size_bytes;
	}
	ret->rest_bytes -= others_bytes < ret->rest_bytes ? others_bytes :
							    ret->rest_bytes;
	free(w.files);
	free(w.processes);
}
