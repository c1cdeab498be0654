/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A seat: one raw client of the in-process harness with an adapter and a
 * device, one short call for each request, and a look behind the scenes. The
 * tests beside the modules of core/ stand on it.
 */
#ifndef TESTS_SUPPORT_SEAT_H
#define TESTS_SUPPORT_SEAT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/state.h"
#include "tests/support/inproc.h"

struct seat {
	struct inproc *world;
	uint32_t client;
	uint64_t adapter, device; /* wire handles; requests name these */
	uint64_t id; /* of the last request */
	struct inproc_reply reply; /* to the last request */
};

/* A client that has said hello, opened "system" and made a device. */
void seat_take(struct seat *seat, struct inproc *world);
/* The same for a client of another principal. */
void seat_take_as(struct seat *seat, struct inproc *world, uint32_t uid);
/* For cmocka: a seat in a world of its own, with memfds or without, and its
 * end. */
int seat_set_up(void **state);
int seat_set_up_without_memfds(void **state);
int seat_tear_down(void **state);
/* Connected, and nothing more. */
void seat_connect(struct seat *seat, struct inproc *world);

/* Asks and waits; the status. The descriptor of a reply is closed. */
int seat_ask(struct seat *seat, struct wire_request head, const void *args,
	     size_t args_bytes);
/* Asks and does not wait. */
enum broker_verdict seat_send(struct seat *seat, struct wire_request head,
			      const void *args, size_t args_bytes);
/* Whether the late reply to that request has come; it is seat->reply. */
bool seat_heard(struct seat *seat, uint64_t id);

int seat_adapter_open(struct seat *seat, const char *name, uint64_t *ret);
int seat_device_create(struct seat *seat, uint64_t adapter, uint64_t *ret);
/* count allocations of one page each. ret_resource may be NULL. */
int seat_create(struct seat *seat, uint64_t resource, uint32_t flags,
		uint32_t count, uint64_t *ret_resource, uint64_t *ret_handles);
int seat_destroy(struct seat *seat, uint64_t resource, const uint64_t *list,
		 uint32_t count, uint32_t flags);
/* A destroy that is sent; its verdict. */
enum broker_verdict seat_send_destroy(struct seat *seat, uint64_t resource,
				      const uint64_t *list, uint32_t count,
				      uint32_t flags);
int seat_share(struct seat *seat, uint64_t resource, uint32_t rights,
	       uint64_t ret_token[2]);
int seat_revoke(struct seat *seat, const uint64_t token[2]);
int seat_open(struct seat *seat, const uint64_t token[2], uint32_t count,
	      uint64_t *ret_resource, uint64_t *ret_handles);
int seat_map(struct seat *seat, uint64_t allocation, uint32_t flags);
int seat_unmap(struct seat *seat, uint64_t allocation);
int seat_device_destroy(struct seat *seat, uint64_t device);
int seat_adapter_close(struct seat *seat, uint64_t adapter);
int seat_context_create(struct seat *seat, uint64_t *ret_context,
			uint32_t *ret_word);
int seat_submit(struct seat *seat, uint64_t context, uint64_t value,
		const uint64_t *list, uint32_t count);
int seat_progress(struct seat *seat, uint64_t context, uint64_t value);
int seat_context_destroy(struct seat *seat, uint64_t context, uint32_t flags);
/* Sent and not waited for. */
enum broker_verdict seat_send_context_destroy(struct seat *seat,
					      uint64_t context, uint32_t flags);
enum broker_verdict seat_send_device_destroy(struct seat *seat, uint64_t device,
					     uint32_t flags);
/* Layer L4: count allocations of one page each, of a context. */
int seat_context_allocate(struct seat *seat, uint64_t context, uint32_t flags,
			  uint32_t count, uint64_t *ret_handles);
int seat_context_free(struct seat *seat, uint64_t adapter, uint64_t allocation);
int seat_fence_create(struct seat *seat, uint64_t value, uint64_t *ret_fence,
		      uint32_t *ret_word);
int seat_fence_destroy(struct seat *seat, uint64_t fence);
int seat_fence_share(struct seat *seat, uint64_t fence, uint32_t rights,
		     uint64_t ret_token[2]);
int seat_fence_open(struct seat *seat, const uint64_t token[2], uint32_t rights,
		    uint64_t *ret_fence);
int seat_fence_signal(struct seat *seat, uint64_t fence, uint64_t value);
int seat_fence_value(struct seat *seat, uint64_t fence, uint64_t *ret_value);
/* Sent and not waited for. */
enum broker_verdict seat_fence_wait(struct seat *seat, uint32_t flags,
				    const struct wire_fence_wait *list,
				    uint32_t count);
/* A look is answered at once. */
enum broker_verdict seat_fence_look(struct seat *seat, uint32_t flags,
				    const struct wire_fence_wait *list,
				    uint32_t count);
int seat_fence_wait_cancel(struct seat *seat, uint64_t id);
int seat_event(struct seat *seat, enum wire_test_event event, uint64_t device,
	       uint64_t adapter);

/* ---- Behind the scenes ---- */

struct env *world_env(struct inproc *world);
struct region *world_region(struct inproc *world);
struct state *world_state(struct inproc *world);
struct session *seat_session(const struct seat *seat);
/* The slot that a wire handle of the seat names, whatever its state. */
struct slot *seat_slot(const struct seat *seat, uint64_t wire);
uint32_t seat_slot_index(const struct seat *seat, uint64_t wire);
struct context *seat_context(const struct seat *seat, uint64_t wire);
struct device *seat_device(const struct seat *seat, uint64_t wire);
/* The slot of something that the seat's device owns, pinned: table_unpin. */
struct slot *seat_pin(const struct seat *seat, uint64_t wire);

/* Everything committed, byte for byte, but for the count of refusals. */
struct image;
struct image *image_take(struct inproc *world);
/* Asserts that all is as it was, and frees the image. */
void image_same(struct inproc *world, struct image *image);

/*
 * Asserts a refusal: status and reason, nothing changed anywhere, and no
 * call of a backend made.
 */
#define assert_unchanged(seat, call, status_, reason_)                \
	do {                                                          \
		struct image *image_ = image_take((seat)->world);     \
		assert_int_equal(call, status_);                      \
		assert_int_equal((seat)->reply.head.reason, reason_); \
		image_same((seat)->world, image_);                    \
	} while (0)

/* A region with test pages, a table, and nothing in it. */
struct bare {
	struct test_pages memory;
	struct region region;
};

void bare_init(struct bare *bare, uint32_t first_generation);
void bare_deinit(struct bare *bare);

/* Asserts that a function, called in a process of its own, asserts. */
void assert_asserts(void (*function)(void *argument), void *argument);

/* The n-th commit from now on fails; 0: none. */
void world_fail_commit(struct inproc *world, uint64_t n);

#endif
