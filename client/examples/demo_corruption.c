/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Corruption: what the demo must notice. Preloaded into its producer by the
 * demo's test, and never installed. $DEMO_CORRUPTION says when one byte of the
 * first frame's payload is turned over:
 *
 *	share	after the checksums were made: the consumers must notice
 *	read	before: only a comparison with the file can tell
 */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tenure/tenure.h>

enum { AT = 100 };

static unsigned char *payload; /* the second part that is mapped */

static bool is_asked_for(const char *when)
{
	const char *asked = getenv("DEMO_CORRUPTION");

	return asked && strcmp(asked, when) == 0;
}

/* dlsym() gives an object's address for what is a function. */
static void real(const char *name, void *ret_function, size_t size)
{
	void *symbol = dlsym(RTLD_NEXT, name);

	if (!symbol)
		abort();
	memcpy(ret_function, &symbol, size);
}

int tenure_map(struct tenure *connection, struct tenure_device device,
	       struct tenure_allocation allocation, unsigned int access,
	       void **ret_pointer, size_t *ret_size)
{
	int (*function)(struct tenure *, struct tenure_device,
			struct tenure_allocation, unsigned int, void **,
			size_t *);
	static unsigned int calls;
	int status;

	real("tenure_map", &function, sizeof(function));
	status = function(connection, device, allocation, access, ret_pointer,
			  ret_size);
	if (status == 0 && ++calls == 2)
		payload = *ret_pointer;
	return status;
}

int tenure_resource_share(struct tenure *connection,
			  struct tenure_device device,
			  struct tenure_resource resource, unsigned int rights,
			  struct tenure_token *ret_token)
{
	int (*function)(struct tenure *, struct tenure_device,
			struct tenure_resource, unsigned int,
			struct tenure_token *);

	if (payload && is_asked_for("share"))
		payload[AT] ^= 1;
	payload = NULL;
	real("tenure_resource_share", &function, sizeof(function));
	return function(connection, device, resource, rights, ret_token);
}

ssize_t read(int fd, void *buffer, size_t size)
{
	ssize_t (*function)(int, void *, size_t);
	ssize_t n;

	real("read", &function, sizeof(function));
	n = function(fd, buffer, size);
	if (payload && buffer == payload && n > AT && is_asked_for("read"))
		payload[AT] ^= 1;
	return n;
}
