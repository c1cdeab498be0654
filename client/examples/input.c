/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input
 *
 * Real bytes, without a download: when no file is named, the programs of
 * /usr/bin and the libraries of /usr/lib are put one behind the other, sorted
 * by name, until there is enough. The same machine always makes the same file.
 */
#include "input.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INPUT_ENOUGH_BYTES (UINT64_C(96) << 20)
#define INPUT_LEAST_BYTES (UINT64_C(50) * 1000 * 1000)

static bool unusable(const char *path, const char *why)
{
	fprintf(stderr, "tenure-demo: %s: %s\n", path, why);
	return false;
}

bool input_check(const char *path, uint64_t *ret_bytes)
{
	struct stat st;
	int fd;

	if (stat(path, &st) < 0)
		return unusable(path, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return unusable(path, "is a directory; name a file");
	if (!S_ISREG(st.st_mode))
		return unusable(path, "is not a regular file");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return unusable(path, strerror(errno));
	close(fd);
	if (st.st_size == 0)
		return unusable(path, "is empty; there is nothing to pass on");
	*ret_bytes = (uint64_t)st.st_size;
	return true;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* Appends a file as far as it can be read; false when out cannot be written. */
static bool append(int out, const char *path, uint64_t *bytes)
{
	char buffer[64 << 10];
	int in = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n;

	if (in < 0)
		return true;
	while ((n = read(in, buffer, sizeof(buffer))) > 0) {
		if (write(out, buffer, (size_t)n) != n) {
			close(in);
			return false;
		}
		*bytes += (uint64_t)n;
	}
	close(in);
	return true;
}

static bool append_all(int out, uint64_t *bytes)
{
	char bin[] = "/usr/bin", lib[] = "/usr/lib";
	char *roots[] = { bin, lib, NULL };
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
	FTSENT *entry;
	bool fine = fts != NULL;

	/* by_name puts /usr/bin before /usr/lib, too. */
	while (fine && *bytes < INPUT_ENOUGH_BYTES && (entry = fts_read(fts))) {
		if (entry->fts_info == FTS_F)
			fine = append(out, entry->fts_path, bytes);
	}
	if (fts)
		fts_close(fts);
	return fine;
}

bool input_assemble(const char *path, uint64_t *ret_bytes)
{
	int out = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	uint64_t bytes = 0;

	if (out < 0)
		return unusable(path, strerror(errno));
	errno = ENOSPC;
	if (!append_all(out, &bytes) || close(out) < 0)
		return unusable(path, strerror(errno));
	if (bytes < INPUT_LEAST_BYTES)
		return unusable(path, "/usr/bin and /usr/lib hold too little "
				      "here; name a file");
	*ret_bytes = bytes;
	return true;
}
