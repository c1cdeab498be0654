/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A daemon for the library's own tests: in the same process, honest and simple
 * unless told to lie. See fake_daemon.c.
 */
#ifndef CLIENT_FAKE_DAEMON_H
#define CLIENT_FAKE_DAEMON_H

#include "client/transport.h"
#include "core/ring/fence_page.h"

#include <pthread.h>

enum {
	FAKE_ALLOCATIONS_MAX = 4096,
	FAKE_STORES_MAX = 1024,
	FAKE_PRIVATE_MAX = 64,
};

struct fake_allocation {
	uint64_t device, resource;
	uint32_t store;
	uint32_t maps;
	uint64_t offset, size_bytes;
	bool live, read_only;
};

struct fake_store {
	int fd; /* -1 when it was never made */
	uint64_t size_bytes;
	uint32_t count;
	uint64_t sizes[LIST_ENTRIES_MAX];
	size_t private_bytes;
	uint8_t private_data[FAKE_PRIVATE_MAX];
};

struct fake_ring;

struct fake_daemon {
	struct transport transport;
	pthread_mutex_t lock; /* of everything here, with a ring */
	struct fake_ring *ring; /* NULL: asking for one is refused */
	int (*listen)(void *context, struct exchange *exchange);
	void *listen_context;
	/* The last request, and how many there were. */
	struct wire_request request;
	unsigned int n_requests;
	/* The heads of the last ones: request number n at n % 64. */
	struct wire_request heads[64];
	/* What the last submit said that its work uses. */
	uint64_t uses[LIST_ENTRIES_MAX];
	/* Descriptors sent and not yet acknowledged. */
	unsigned int fds_out;
	/* Its own lies may come back to it. */
	bool is_hostile;
	bool closed;
	/* Live handles of each kind, as the daemon counts. */
	unsigned int n_adapters, n_devices, n_resources, n_allocations;
	unsigned int n_pools;
	struct wire_pool_told told; /* of the pool that reported last */
	/* The next request with this opcode is refused, once. */
	uint8_t refuse_opcode;
	int refuse_status;
	/* Called with the answer to request number lie_at (from 1); what it
	 * makes of the exchange is what the library gets; its result is that
	 * of the transport. */
	int (*lie)(void *context, struct exchange *exchange);
	void *lie_context;
	unsigned int lie_at;
	/* The page of fences, and the last fence that was published in it. */
	int page; /* its memory, or 0 */
	uint64_t page_number, page_bytes; /* as it says */
	uint64_t published, entry, tag;
	/* The rest is the fake's own. */
	uint64_t last_handle, last_word;
	uint32_t n_stores;
	struct fake_store stores[FAKE_STORES_MAX];
	struct fake_allocation allocations[FAKE_ALLOCATIONS_MAX];
};

struct fake_daemon *fake_daemon_new(void);

/* Answers one request as the transport does: for the ring's thread. */
int fake_daemon_answer(struct fake_daemon *fake, struct exchange *exchange);

/* Destroys what that handle names; false when it names nothing. */
bool fake_daemon_destroy(struct fake_daemon *fake, uint64_t handle);

/* Closes what the fake holds, and frees it. */
void fake_daemon_free(struct fake_daemon *fake);

/* A connection to it; ends the program when it fails. */
struct tenure *fake_daemon_connect(struct fake_daemon *fake);

/* One of its counts, while another thread may be changing it. */
unsigned int fake_daemon_count(struct fake_daemon *fake,
			       const unsigned int *count);

/* How often the fake thinks that an allocation is mapped. */
unsigned int fake_daemon_maps(struct fake_daemon *fake,
			      struct tenure_allocation allocation);

/* Descriptors open in this process. */
unsigned int fake_open_fds(void);

#endif
