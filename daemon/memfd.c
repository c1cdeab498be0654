/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memfd
 *
 * A descriptor that is passed on carries its right to write with it, and
 * whoever has it could open the file again through /proc with any right that
 * the mode allows. So the mode of what we make is 0, a reader is given a
 * descriptor of another opening, and only while that is being opened the mode
 * is 0400: it gives the daemon's own user what it could take anyway.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  What is reopened cannot be written, and its mode is 0 afterwards.
 *  G2  A kernel that does not know MFD_NOEXEC_SEAL is asked for it once.
 */
#include "daemon/memfd.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#endif

int memfd_new(const char *name, bool *is_old)
{
	const unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int fd;

	if (!*is_old) {
		fd = memfd_create(name, flags | MFD_NOEXEC_SEAL);
		if (fd >= 0 || errno != EINVAL)
			return fd < 0 ? -errno : fd;
		*is_old = true;
	}
	fd = memfd_create(name, flags);
	return fd < 0 ? -errno : fd;
}

int memfd_reopen_read_only(int fd)
{
	char path[32];
	int r, read_only;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fchmod(fd, 0400) < 0)
		return -errno;
	read_only = open(path, O_RDONLY | O_CLOEXEC);
	r = read_only < 0 ? -errno : read_only;
	if (r == -ENOENT) /* there is no /proc, and there is no other way */
		r = -ENOTSUP;
	/* What was set a moment ago can be set back. */
	if (fchmod(fd, 0) < 0 && read_only >= 0) {
		r = -errno;
		close(read_only);
	}
	return r;
}
