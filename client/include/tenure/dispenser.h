/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The resource dispenser of libtenure (layer L5): keeps things that are
 * expensive to make, hands them out again, and destroys them when nobody wants
 * them any more. What they are, a driver knows, which the application gives: a
 * connection, a compiled shader, a pinned buffer. It needs no daemon and no
 * connection to one.
 *
 *	static int make(void *context, uint64_t type,
 *	                struct tenure_made *ret_made);
 *	static int end(void *context, uint64_t id);
 *	const struct tenure_driver driver = { .create_resource = make,
 *	                                      .destroy_resource = end };
 *
 *	tenure_dispenser_create(&d);
 *	tenure_dispenser_register(d, &driver, NULL, NULL, &holder);
 *	tenure_dispenser_alloc(d, holder, type, 0, &id);
 *	...
 *	tenure_dispenser_free(d, holder, id);
 *
 * Results are 0 or a negative errno, and a call that fails has changed
 * nothing; tenure_last_refusal() of <tenure/tenure.h> says why.
 *
 * Threads. All functions may be called by any thread at any time (MT-Safe),
 * except tenure_dispenser_destroy(), which must be the last one. A driver's
 * functions are called by whichever thread is in a call of the dispenser, by
 * several at a time, though never for one resource by two, and without any
 * lock: they may block and may call the dispenser. Who waits for a driver that
 * blocks is the thread that called, and whoever closes the holder.
 *
 * Fork. In a forked child every call answers -EOWNERDEAD.
 */
#ifndef TENURE_DISPENSER_H
#define TENURE_DISPENSER_H

#include <stddef.h>
#include <stdint.h>
#include <tenure/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A dispenser with its holders. Opaque. */
struct tenure_dispenser;

/* The inventory of one driver. 0 is never one, none is issued twice. */
struct tenure_holder {
	uint64_t value;
};

/* Bytes of the longest string id, with its NUL. */
#define TENURE_DISPENSER_STRING_BYTES 256

/* An idle timeout that never passes. */
#define TENURE_DISPENSER_NEVER UINT64_MAX

/* A number that is not 0, or a string that is not empty; never both. */
struct tenure_resource_id {
	uint64_t number;
	const char *string; /* NULL when ids are numbers */
};

/* What create_resource says. It is called with type as asked for, an idle
 * timeout that never passes, and no id. */
struct tenure_made {
	uint64_t id; /* a driver with numbers sets this, */
	char string[TENURE_DISPENSER_STRING_BYTES]; /* one with strings this */
	uint64_t type; /* change it when something else was made */
	/* Free for longer than that, it is destroyed by the inventory scan. */
	uint64_t idle_timeout_ns;
};

/* What enlist_resource answers when it cannot take part in transactions. */
#define TENURE_NOT_TRANSACTIONAL 1

/*
 * A driver. Exactly one of destroy_resource and destroy_resource_s is given:
 * it says whether ids are numbers or strings. create_resource is needed too.
 * Anything else than the results allowed counts as a failure.
 */
struct tenure_driver {
	/* Makes a resource of a type. 0, or a negative errno, which the
	 * caller of alloc gets. An id that is empty or not new: -EINVAL. */
	int (*create_resource)(void *context, uint64_t type,
			       struct tenure_made *ret_made);
	/* How well a free resource suits a type: 0 unusable, 100 perfect.
	 * needs_enlist: choosing it means enlisting it. When NULL: 100 for its
	 * own type, 0 for any other. */
	int (*rate_resource)(void *context, uint64_t type,
			     const struct tenure_resource_id *id,
			     int needs_enlist);
	/* 0: it takes part in the transaction; TENURE_NOT_TRANSACTIONAL: it
	 * never can, and is not asked again. When NULL: the latter. */
	int (*enlist_resource)(void *context,
			       const struct tenure_resource_id *id,
			       uint64_t transaction);
	/* Makes it as good as new before it is pooled; else it is destroyed.
	 * When NULL: nothing to do. */
	int (*reset_resource)(void *context,
			      const struct tenure_resource_id *id);
	/* Destroys it, called by any thread. A failure: the id is never handed
	 * out again, and close tries once more (B42). */
	int (*destroy_resource)(void *context, uint64_t id);
	int (*destroy_resource_s)(void *context, const char *id);
};

/* A field that is 0 has its default. */
struct tenure_dispenser_options {
	/* Between two inventory scans; 0: 10 s. */
	uint64_t scan_period_ns;
	/* Resources that there may be at a time; 0: 2^26. When there are so
	 * many, what has been free for the longest time goes for a new one. */
	uint64_t resources_max;
	/* Free resources that one search asks the driver about, 0: 64, and those
	 * of one type, 0: 32; UINT64_MAX: all. The best one of these is taken. */
	uint64_t search_max, search_type_max;
};

/* -ENOMEM. The caller owns *ret_dispenser. */
int tenure_dispenser_create(struct tenure_dispenser **ret_dispenser);

/*
 * Closes every holder and frees the dispenser. NULL is allowed. -EIO: done,
 * but a driver did not destroy everything; -EDEADLK: called by a driver, and
 * nothing has been done.
 */
int tenure_dispenser_destroy(struct tenure_dispenser *dispenser);

/*
 * Makes a holder for a driver, whose table is copied; context must live until
 * the holder is closed. options may be NULL. -EINVAL: the driver is
 * incomplete, or has both kinds of ids; -EDQUOT: too many holders; -ENOMEM.
 */
int tenure_dispenser_register(struct tenure_dispenser *dispenser,
			      const struct tenure_driver *driver, void *context,
			      const struct tenure_dispenser_options *options,
			      struct tenure_holder *ret_holder);

/*
 * Hands out a resource for a type. The driver rates what is free and enlisted
 * in the transaction (0: none), then what is free and not enlisted, which is
 * then enlisted: the highest rating wins, 100 ends the search. When all are 0
 * a new one is made, and enlisted. -EINVAL: no such holder, or the driver's id
 * is empty or not new; -ENOTSUP: ids are of the other kind; -EDQUOT:
 * resources_max; -ENOMEM; -EIO: the driver failed; or what it said when it
 * could not create.
 */
int tenure_dispenser_alloc(struct tenure_dispenser *dispenser,
			   struct tenure_holder holder, uint64_t type,
			   uint64_t transaction, uint64_t *ret_id);

/* The same for strings: ret_id has room for TENURE_DISPENSER_STRING_BYTES. */
int tenure_dispenser_alloc_s(struct tenure_dispenser *dispenser,
			     struct tenure_holder holder, uint64_t type,
			     uint64_t transaction, char *ret_id);

/*
 * Gives a resource back: it is reset and pooled, or destroyed when that was
 * requested or the reset failed. -EINVAL: no such holder, or it has not handed
 * that out; -ENOTSUP (B41); -EIO: given back, but the driver failed to destroy
 * it (B42).
 */
int tenure_dispenser_free(struct tenure_dispenser *dispenser,
			  struct tenure_holder holder, uint64_t id);
int tenure_dispenser_free_s(struct tenure_dispenser *dispenser,
			    struct tenure_holder holder, const char *id);

/*
 * Notes a resource that was made elsewhere. It is never handed out, and is
 * destroyed through the driver with its holder, or on request. -EINVAL: no
 * such holder, or an id that is empty or known to it; -ENOTSUP, -EDQUOT,
 * -ENOMEM.
 */
int tenure_dispenser_track(struct tenure_dispenser *dispenser,
			   struct tenure_holder holder, uint64_t id);
int tenure_dispenser_track_s(struct tenure_dispenser *dispenser,
			     struct tenure_holder holder, const char *id);

/* Forgets a tracked resource, which is its owner's again. -EINVAL: no such
 * holder, or it tracks no such resource; -ENOTSUP. */
int tenure_dispenser_untrack(struct tenure_dispenser *dispenser,
			     struct tenure_holder holder, uint64_t id);
int tenure_dispenser_untrack_s(struct tenure_dispenser *dispenser,
			       struct tenure_holder holder, const char *id);

/*
 * Destroys a resource that is free or tracked (B40); one that is in use is
 * destroyed when it is freed, and a second request is -EINVAL. -EINVAL: no
 * such holder or resource; -ENOTSUP: ids are of the other kind (B41); -EIO:
 * the driver failed (B42).
 */
int tenure_dispenser_request_destroy(struct tenure_dispenser *dispenser,
				     struct tenure_holder holder, uint64_t id);
int tenure_dispenser_request_destroy_s(struct tenure_dispenser *dispenser,
				       struct tenure_holder holder,
				       const char *id);

/* A transaction has ended: what was enlisted in it is so no longer. One that
 * nothing is enlisted in is no error. */
int tenure_dispenser_complete(struct tenure_dispenser *dispenser,
			      struct tenure_holder holder,
			      uint64_t transaction);

/*
 * Scans a holder's inventory now, all of it. Between calls of alloc and free
 * the library does so by itself, a little with each call, once in a period; it
 * has no thread of its own, so an application that calls neither for long may
 * call this. -EINVAL: no such holder. What the driver failed to destroy is
 * counted.
 */
int tenure_dispenser_scan(struct tenure_dispenser *dispenser,
			  struct tenure_holder holder);

/*
 * Ends a holder: all that it has is destroyed through the driver, in use or
 * not, and every later call is -EINVAL. Returns when the driver is not being
 * called any more; when a driver of the same dispenser calls this, it returns
 * without waiting for that. -EIO: closed, but the driver did not destroy
 * everything.
 */
int tenure_dispenser_close(struct tenure_dispenser *dispenser,
			   struct tenure_holder holder);

struct tenure_dispenser_stat {
	uint64_t free, in_use; /* the inventory */
	uint64_t enlisted; /* of these */
	uint64_t tracked;
	uint64_t broken; /* could not be destroyed */
	uint64_t hits, misses; /* allocs served from the inventory, or not */
	uint64_t created;
	uint64_t destroyed_idle, destroyed_on_request, destroyed_unreset;
	uint64_t destroyed_for_room;
	uint64_t destroy_failures, driver_failures;
	uint64_t nonsense; /* results that no driver may give */
};

/* Figures of this moment. -EINVAL: no such holder. */
int tenure_dispenser_stat(struct tenure_dispenser *dispenser,
			  struct tenure_holder holder,
			  struct tenure_dispenser_stat *ret_stat);

#ifdef __cplusplus
}
#endif

#endif
