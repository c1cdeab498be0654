/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libtenure: memory held by a daemon for exactly as long as it is used.
 *
 * A process connects, opens an adapter (a kind of memory), creates a device
 * on it (its use of that memory), and on the device resources: groups of
 * allocations that are born, shared and destroyed as one. Another process
 * opens a shared resource by its token. Whoever dies, however he dies, gives
 * back what he held; what others hold open lives on.
 *
 *	struct tenure *t;
 *	struct tenure_memory m;
 *
 *	if (tenure_connect(NULL, TENURE_CONNECT_SPAWN, &t) == 0 &&
 *	    tenure_alloc(t, 1 << 20, &m) == 0) {
 *		memset(m.pointer, 1, m.size);
 *		tenure_free(t, &m);
 *	}
 *	tenure_disconnect(t);
 *
 * Results. Every function that can fail returns 0 or a negative errno, and a
 * function that fails has changed nothing; ret_ parameters are then as they
 * were. tenure_last_refusal() says why the calling thread's last failed call
 * failed, in a form that tenure_strreason() turns into a sentence.
 *
 * Threads. All functions may be called by any thread at any time on the same
 * connection (MT-Safe), except tenure_disconnect(), which must be the last
 * one. A call that waits for the daemon holds up no other thread's calls,
 * except that maps and unmaps of one connection wait for each other, and so do
 * opens and closes of adapters.
 *
 * Order. What one thread asks of a connection is carried out in the order in
 * which it asked. That includes destroys that nobody waits for (tenure_free(),
 * tenure_allocations_free(), tenure_resource_free()): every later call of the
 * thread, and every call that another thread begins after the free has
 * returned, finds them done. Only those who ask by other ways, such as another
 * process, can find them not yet done: for at most 2 milliseconds and the time
 * that the daemon takes to run, or until tenure_flush() has returned.
 *
 * Death of the daemon. Every call that waits on the connection, in whatever
 * thread, ends with -ECONNRESET (TENURE_REASON_CONNECTION_LOST), at most a
 * tenth of a second after the death and the time that a thread takes to run;
 * so does every later one, at once. Where the daemon was told to stop, it is
 * -ESHUTDOWN (TENURE_REASON_DAEMON_STOPPING) instead, and -EPROTO where one
 * side has broken the protocol. What the connection held is gone, but memory
 * that is mapped can still be used until tenure_disconnect().
 *
 * Fork. A connection belongs to the process that made it. In a forked child
 * every call on it answers -EOWNERDEAD (TENURE_REASON_FORKED) and touches
 * nothing; mappings stay where they are, as after any fork. The child may
 * call tenure_disconnect() to free its copy, and connect for itself.
 *
 * The library starts no threads (nor processes, unless asked to spawn a
 * daemon), installs no signal handlers, prints nothing, never exits, links
 * libc only, and may be loaded with dlopen().
 *
 * Handles are values, not pointers: they may be copied and compared, are
 * never issued twice, and 0 is never one. They mean something only on the
 * connection that issued them.
 */
#ifndef TENURE_TENURE_H
#define TENURE_TENURE_H

#include <stddef.h>
#include <stdint.h>
#include <tenure/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TENURE_VERSION_MAJOR 0
#define TENURE_VERSION_MINOR 1
#define TENURE_VERSION_PATCH 0

/* A connection. Opaque. */
struct tenure;

struct tenure_adapter {
	uint64_t value;
};

struct tenure_device {
	uint64_t value;
};

struct tenure_resource {
	uint64_t value;
};

struct tenure_allocation {
	uint64_t value;
};

struct tenure_context {
	uint64_t value;
};

struct tenure_fence {
	uint64_t value;
};

/* Whoever knows these 128 bits may open what they name, with their rights. */
struct tenure_token {
	uint8_t bytes[16];
};

/* "0.1.0": the version of the library in use, not of this header. */
const char *tenure_version(void);

/* ---- Connections ------------------------------------------------------ */

enum tenure_connect_flags {
	/* When no daemon answers at the usual places, start a private one that
	 * ends when its last client has gone. It does not stand in for a daemon
	 * that was named (path, $TENURE_SOCKET): if that is dead, the call
	 * fails. */
	TENURE_CONNECT_SPAWN = 1u << 0,
};

/*
 * Connects to the daemon at a socket path. NULL looks for $TENURE_SOCKET,
 * then $XDG_RUNTIME_DIR/tenured/tenured.sock, then
 * /run/tenured/tenured.sock; a path or $TENURE_SOCKET that is given is the
 * only place looked at. -ENOENT or -ECONNREFUSED: no daemon there; -EACCES:
 * this user may not connect there; -ETIMEDOUT: somebody listens there but has
 * not answered for 30 s; -EDQUOT: too many clients; -EPROTONOSUPPORT: no common
 * version; -EPROTO: that is no tenured. The caller owns *ret_connection.
 */
int tenure_connect(const char *path, unsigned int flags,
		   struct tenure **ret_connection);

/*
 * Ends the connection: everything that it created or opened is destroyed, its
 * tokens are revoked, its mappings are unmapped; refusals that nobody took are
 * forgotten. NULL is allowed.
 */
void tenure_disconnect(struct tenure *connection);

/* Where the daemon listens: for child processes and others that shall talk to
 * the same one. The library's, and lives as long as the connection. */
const char *tenure_socket_path(const struct tenure *connection);

struct tenure_stat {
	/* Held by this connection, its ring and page of fences included. */
	uint64_t bytes, bytes_limit;
	uint64_t handles, handles_limit;
	uint64_t tokens, stores;
	uint64_t devices, resources, allocations;
	uint64_t retired; /* handles dead, memory not yet given back */
};

/* What this connection holds at the daemon: a request, which fails only when
 * the connection is dead. */
int tenure_stat(struct tenure *connection, struct tenure_stat *ret_stat);

/* ---- Adapters and devices --------------------------------------------- */

/*
 * Opens a kind of memory by name; NULL means "system" (pages of memfds). Opens
 * are counted: each needs its close (H25). -ENODEV: no such adapter, or it has
 * stopped (H28); -EDQUOT: 1024 opens of one connection, or another limit.
 */
int tenure_adapter_open(struct tenure *connection, const char *name,
			struct tenure_adapter *ret_adapter);

/*
 * Closes one open. The last close of an adapter destroys the connection's
 * devices on it, and returns when they are gone, as by tenure_device_destroy().
 * -EINVAL: 0, or no adapter that this connection has open (H26).
 */
int tenure_adapter_close(struct tenure *connection,
			 struct tenure_adapter adapter);

/*
 * Creates a device: this connection's use of an adapter, to which everything
 * below belongs. -EINVAL: the adapter is not open; -ENODEV: it has stopped;
 * -EDQUOT: 256 devices of one connection, or another limit.
 */
int tenure_device_create(struct tenure *connection,
			 struct tenure_adapter adapter,
			 struct tenure_device *ret_device);

/*
 * Destroys a device with all that it owns, and returns when the work that was
 * submitted to its contexts is done and the memory that nobody else holds has
 * really been given back (B04). From the moment of the call other calls on the
 * device get -ENODEV, but for progress, and afterwards -EINVAL (H22, H34). Uses
 * that were recorded and never submitted are not waited for.
 */
int tenure_device_destroy(struct tenure *connection,
			  struct tenure_device device);

/* The same without waiting for work: all that was submitted counts as done. */
int tenure_device_terminate(struct tenure *connection,
			    struct tenure_device device);

/* ---- Resources and allocations ---------------------------------------- */

/*
 * Creates a resource of count allocations (1 to 1024) atomically: all or
 * nothing. Sizes are in bytes and are rounded up to whole pages. flags: 0 for
 * a private resource, TENURE_CREATE_SHARED for one that can be shared
 * (TENURE_CREATE_RESOURCE is implied). private_data (at most 4096 bytes, may
 * be NULL when private_bytes is 0) is kept with the resource and given to
 * whoever opens it. ret_allocations has room for count handles. -EDQUOT: a
 * limit; the reason says which. -EINVAL: a size, a count or the device (H08 to
 * H14); -ENODEV: the device is being destroyed; -ENOMEM.
 */
int tenure_resource_create(struct tenure *connection,
			   struct tenure_device device, unsigned int flags,
			   const size_t *sizes, unsigned int count,
			   const void *private_data, size_t private_bytes,
			   struct tenure_resource *ret_resource,
			   struct tenure_allocation *ret_allocations);

/*
 * Adds count allocations to a private resource, atomically; it can have 1024 at
 * a time (H09). A shared or opened one is sealed: -EINVAL (H08). A garbage
 * resource handle is -EBADF (H13). Otherwise as tenure_resource_create().
 */
int tenure_resource_add(struct tenure *connection, struct tenure_device device,
			struct tenure_resource resource, const size_t *sizes,
			unsigned int count,
			struct tenure_allocation *ret_allocations);

/* Creates count allocations that the device owns itself, atomically, as
 * tenure_resource_create() does (H21). */
int tenure_allocation_create(struct tenure *connection,
			     struct tenure_device device, const size_t *sizes,
			     unsigned int count,
			     struct tenure_allocation *ret_allocations);

/*
 * Layer L1: destroys a resource that was created or opened, with all its
 * allocations (B01 to B03). Uses of it that were recorded and not yet submitted
 * are sent first, so its memory outlives that work too. Returns at once; the
 * memory goes when the work that uses it is done. After a refusal the resource
 * is still valid.
 */
int tenure_resource_destroy(struct tenure *connection,
			    struct tenure_device device,
			    struct tenure_resource resource);

/*
 * Layer L2, the general form, with exactly the arguments of the document and
 * the rules of table A. Either resource names what to destroy, and list must
 * be NULL or count 0; or resource is 0 and list names count allocations (at
 * most 1024), all owned by the device or all of one private resource. All or
 * nothing: after -EINVAL nothing has been destroyed, and tenure_last_refusal()
 * has the index of the first bad entry. With TENURE_DESTROY_SYNCHRONOUS the
 * call waits (A72), otherwise it returns at once. -ENODEV: the device is being
 * destroyed, or was while this waited (A82).
 */
struct tenure_destroy {
	struct tenure_device device;
	struct tenure_resource resource;
	const struct tenure_allocation *list;
	unsigned int count;
	unsigned int flags; /* enum tenure_destroy_flags */
};

int tenure_destroy(struct tenure *connection,
		   const struct tenure_destroy *destroy);

/* Destroys one allocation: a list of one, with flags. */
int tenure_allocation_destroy(struct tenure *connection,
			      struct tenure_device device,
			      struct tenure_allocation allocation,
			      unsigned int flags);

/* ---- Destroys that nobody waits for ----------------------------------- */

/*
 * Destroys count allocations, each alone, as tenure_allocation_destroy() on its
 * own device with flags 0 would, and waits for none of them: they are unmapped
 * in this process and put into a queue, which costs a few nanoseconds each. The
 * handles must not be used afterwards, not even after a refusal is likely: the
 * memory may be gone at any moment. They may be of any devices, owned by them
 * or by private resources. count has no limit.
 *
 * Returns 0 when all are in the queue, which says nothing about their fate. A
 * destroy that the daemon refuses (a stale handle, one allocation of a shared
 * resource) is to be had from tenure_refusals_take(); one that was mapped here
 * is then no longer mapped. When the queue is full, 16384 handles, the call
 * waits until the daemon has taken some. Any other negative errno: the
 * connection is dead, and with it everything that it held. -EINVAL: no list.
 */
int tenure_allocations_free(struct tenure *connection,
			    const struct tenure_allocation *allocations,
			    unsigned int count);

/* The same for one resource, created or opened, with all its allocations. */
int tenure_resource_free(struct tenure *connection,
			 struct tenure_resource resource);

/*
 * Sends the uses that were recorded and not submitted, of all contexts of the
 * connection, as part of the next work of each (tenure_context_use()), and
 * returns when every destroy that was put into the queue before the call, by
 * any thread, has been carried out or refused, also when nothing was recorded:
 * the handles of those carried out are dead for everybody, and the refusals can
 * be taken. As after any destroy without TENURE_DESTROY_SYNCHRONOUS, the memory
 * itself may follow later. When the daemon refuses the uses of a context, those
 * of all others are sent and the destroys waited for all the same; the first
 * such refusal is returned, and what was refused is tried again by the next
 * flush or submit.
 */
int tenure_flush(struct tenure *connection);

/* A destroy that nobody waited for and that was refused. */
struct tenure_async_refusal {
	uint64_t handle; /* of the allocation or resource; it still exists, if
			  * it ever did */
	int status; /* a negative errno */
	enum tenure_reason reason;
};

/*
 * Takes out what has been refused so far, the oldest first: at most capacity.
 * Returns how many, or a negative errno. Each is given out once, whichever
 * thread asks. A connection keeps 1024 of them; how many more there were since
 * the last call that asked is written to *ret_lost, which may be NULL. Never
 * waits for the daemon, and works on a dead connection too. The library calls
 * nobody back: refusals are learned by asking, best after tenure_flush(), or by
 * tenure_event_fd().
 */
int tenure_refusals_take(struct tenure *connection,
			 struct tenure_async_refusal *ret_refusals,
			 unsigned int capacity, uint64_t *ret_lost);

/* ---- An application's own loop ----------------------------------------- */

enum tenure_event {
	/* tenure_refusals_take() has something. */
	TENURE_EVENT_REFUSALS = 1u << 0,
	/* A device of the connection was removed with its adapter, not by this
	 * process: calls on it get -ENODEV. */
	TENURE_EVENT_REMOVED = 1u << 1,
};

/*
 * A descriptor for the loop of an application: it can be read (EPOLLIN of
 * epoll, POLLIN of poll) when tenure_dispatch() has something to report. Each
 * call returns the same one, or a negative errno. It belongs to the connection,
 * which closes it in tenure_disconnect(): take it out of the loop before that,
 * and never read, write or close it. -EMFILE, -ENFILE: no room for it (it needs
 * two). Without this call the daemon says nothing of its own accord.
 */
int tenure_event_fd(struct tenure *connection);

/*
 * Takes in what has happened to the connection, and returns what there is for
 * the application: bits of enum tenure_event, 0 for nothing, or the negative
 * errno of a dead connection (-ECONNRESET: the daemon has gone; -ESHUTDOWN: it
 * was told to stop). Never waits for the daemon. Any thread, while others are
 * in calls or dispatch too.
 *
 * Afterwards the descriptor is silent until there is something new, also when
 * the refusals were not taken, and after a death for ever; REFUSALS is reported
 * as long as there are some, REMOVED once. The descriptor may become readable
 * when there is nothing to report, or be read by another thread first.
 */
int tenure_dispatch(struct tenure *connection);

/* ---- Contexts and work ------------------------------------------------ */

/*
 * A context is a queue of work that this process does itself, in order. Tenure
 * hears which allocations a piece of work uses, and how far the work has come;
 * what is destroyed meanwhile dies at once as a handle and keeps its memory
 * until the last work that uses it has ended. It is unmapped in this process
 * at once all the same: what goes on using it is a device, another process, or
 * a mapping that tenure_map() did not make.
 *
 *	tenure_context_use(t, context, inputs, n);   record
 *	tenure_context_submit(t, context, 7);        "this work ends at 7"
 *	tenure_resource_destroy(t, device, r);       at once; memory stays
 *	...
 *	tenure_context_progress(t, context, 7);      "7 is done": memory goes
 *
 * Values are 64 bits and only grow; 0 is where every context begins (A63, H30
 * to H33). -EDQUOT: 4095 contexts and fences of one connection, or another
 * limit.
 */
int tenure_context_create(struct tenure *connection,
			  struct tenure_device device,
			  struct tenure_context *ret_context);

/*
 * Destroys a context and returns when the work that was submitted to it is
 * done; flags TENURE_END_TERMINATE: that work counts as done now. It takes no
 * more work from the moment of the call; progress can still be reported, by
 * another thread. Uses that were recorded and never submitted are not waited
 * for. -EINVAL: not a context of this connection, or being destroyed.
 */
int tenure_context_destroy(struct tenure *connection,
			   struct tenure_context context, unsigned int flags);

/*
 * Records that the next work of a context uses count allocations (at most 1024
 * in one call) of the context's device: created or opened, each as often as
 * one likes. Costs no message, except when more than 1024 different ones have
 * been recorded since the last submit: then those before are sent first. All
 * or nothing; -ENOMEM; -EINVAL names the first entry that this process knows
 * to be bad. One that only the daemon knows to be bad (a stale handle) is
 * refused by the submit, which then leaves it out for the next time. An
 * allocation that is destroyed by layer L2 (tenure_destroy(),
 * tenure_allocation_destroy()) before the work was submitted is no longer part
 * of it; tenure_resource_destroy() keeps its memory for it.
 */
int tenure_context_use(struct tenure *connection, struct tenure_context context,
		       const struct tenure_allocation *allocations,
		       unsigned int count);

/*
 * Announces the work whose uses were recorded since the last submit, and that
 * it ends when the context's progress reaches value: not 0, not UINT64_MAX,
 * and at least the value of the last submit, or -EINVAL (H31). Work without
 * uses is legal. -EDQUOT: an allocation is used by unfinished work of 16 other
 * contexts, or too many are used by several. After a refusal the uses are
 * still recorded.
 */
int tenure_context_submit(struct tenure *connection,
			  struct tenure_context context, uint64_t value);

/*
 * Reports how far the context's work has come: everything that ends at value or
 * before is done. Going back is ignored. Work is never done before it has been
 * submitted: progress beyond the last submit counts from the submit that
 * announces it. A process that reports progress which it has not made endangers
 * only its own memory. With a ring this is a store into shared memory, and a
 * system call only while the daemon sleeps and somebody waits for the work; so
 * it succeeds, and does nothing, on a context that the daemon has ended with
 * its adapter or device.
 */
int tenure_context_progress(struct tenure *connection,
			    struct tenure_context context, uint64_t value);

/*
 * Layer L4: creates count allocations (1 to 1024) that belong to a context:
 * scratch memory that all its work may use, and that no use lists. They are
 * mapped as any other (tenure_map()), and go with the context; with flags
 * TENURE_CONTEXT_ALLOCATION_SHARED_ACROSS_CONTEXTS they belong to all contexts
 * of its device and go with the device. All or nothing.
 */
int tenure_context_allocation_create(struct tenure *connection,
				     struct tenure_context context,
				     unsigned int flags, const size_t *sizes,
				     unsigned int count,
				     struct tenure_allocation *ret_allocations);

/*
 * Destroys one of them, at any time, by its adapter and handle (B30). It is
 * unmapped and dead at once; its memory goes when the work is done that its
 * context has now. -EINVAL: another adapter, or no context allocation (B31).
 */
int tenure_context_allocation_destroy(struct tenure *connection,
				      struct tenure_adapter adapter,
				      struct tenure_allocation allocation);

/* ---- Fences ----------------------------------------------------------- */

/*
 * A fence is a 64-bit value that only grows, by which processes order their
 * work: one signals, others wait. It is its maker's promise: when the maker
 * destroys it, or its device or process goes, whoever waits gets -ENODEV, never
 * success (H43, H44). Fences never decide when memory goes; contexts do (H45).
 *
 * Creates one with a first value. -EDQUOT: 4095 contexts and fences of one
 * connection, or another limit.
 */
int tenure_fence_create(struct tenure *connection, struct tenure_device device,
			uint64_t value, struct tenure_fence *ret_fence);

/* Closes an opening, and ends the waits through it with -ENODEV; that of the
 * maker ends the fence for everybody. */
int tenure_fence_destroy(struct tenure *connection, struct tenure_device device,
			 struct tenure_fence fence);

/*
 * Makes a token for a fence. rights: TENURE_RIGHT_READ to look and wait,
 * perhaps with TENURE_RIGHT_WRITE to signal. tenure_token_revoke() ends it.
 */
int tenure_fence_share(struct tenure *connection, struct tenure_device device,
		       struct tenure_fence fence, unsigned int rights,
		       struct tenure_token *ret_token);

/* Opens what such a token names. rights 0 takes all that it gives; more is
 * -EACCES. */
int tenure_fence_open(struct tenure *connection, struct tenure_device device,
		      const struct tenure_token *token, unsigned int rights,
		      struct tenure_fence *ret_fence);

/*
 * Raises a fence to value; going back is ignored (H40). -EACCES without the
 * right to write (H42); -ENODEV: the fence is gone. With a ring its maker's
 * signal is a store into shared memory, and a system call only while the
 * daemon sleeps and somebody waits for it; so it succeeds, and does nothing,
 * on a fence that the daemon has ended with its adapter. What was signalled
 * before a destroy, or before the maker's death, is never lost.
 */
int tenure_fence_signal(struct tenure *connection, struct tenure_device device,
			struct tenure_fence fence, uint64_t value);

/*
 * The greatest value that the fence has come to: at least what any signal that
 * has returned, in any process, has raised it to. Where its maker has a ring
 * this is a load from memory that the maker and the daemon can write and
 * nobody else, but for the first call for each opening; a process that may
 * read one fence of a connection can see the values of all that the connection
 * has shared.
 */
int tenure_fence_value(struct tenure *connection, struct tenure_device device,
		       struct tenure_fence fence, uint64_t *ret_value);

/* A fence and the value that it is to come to. */
struct tenure_fence_value {
	struct tenure_fence fence;
	uint64_t value;
};

#define TENURE_FOREVER UINT64_MAX

/*
 * Waits until one of count fences (1 to 64) has come to its value, or with
 * flags TENURE_WAIT_ALL all of them. *ret_index, which may be NULL, says which
 * one was enough, 0 with TENURE_WAIT_ALL. timeout_ns counts from the call; 0
 * only looks, TENURE_FOREVER waits without limit. -ETIMEDOUT: not in time; a
 * fence that came in time is never reported so. -ENODEV: a fence is gone, its
 * waiters will never be told more. -EDQUOT, unless it only looks: 128 waits of
 * one connection for one fence, or too many of one user or container, or of
 * all. Other threads' calls go on meanwhile.
 */
int tenure_fence_wait(struct tenure *connection, struct tenure_device device,
		      const struct tenure_fence_value *list, unsigned int count,
		      unsigned int flags, uint64_t timeout_ns,
		      unsigned int *ret_index);

/*
 * The same wait for an application's own loop: a descriptor that can be read
 * (EPOLLIN, POLLIN) when tenure_fence_wait() would return, and ever after. It
 * is the caller's to close(), also before; it is neither read nor written, and
 * needs no tenure_dispatch(). It may be handed to other threads and processes.
 * -EDQUOT: 64 of one connection that are not over yet, or too many of one user
 * or container, or as there; -EMFILE: no room here or in the daemon.
 */
int tenure_fence_fd(struct tenure *connection, struct tenure_device device,
		    const struct tenure_fence_value *list, unsigned int count,
		    unsigned int flags);

/*
 * What became of the wait of such a descriptor, which needs no connection: 0
 * and *ret_index as from tenure_fence_wait(), -ENODEV (a fence is gone),
 * -EAGAIN (it is not over), -ECONNRESET (the daemon, or the connection that
 * asked, ended before it was over). Never waits; asked again it says the same.
 */
int tenure_fence_fd_result(int fd, unsigned int *ret_index);

/* ---- Sharing ---------------------------------------------------------- */

/*
 * Makes a token by which any client can open a resource that was created with
 * TENURE_CREATE_SHARED, or that was opened with at least those rights. rights
 * is TENURE_RIGHT_READ, perhaps with TENURE_RIGHT_WRITE. The token keeps the
 * memory alive until it is revoked or this connection ends (A40). -EINVAL: a
 * private resource (H17); -EACCES: more rights than the opening has (H16).
 *
 * Read-only holds against other users. A process of the same user can undo
 * it: between those it is a convention.
 */
int tenure_resource_share(struct tenure *connection,
			  struct tenure_device device,
			  struct tenure_resource resource, unsigned int rights,
			  struct tenure_token *ret_token);

/* Ends a token, of a resource or of a fence. Openings that were made with it
 * live on. Only its maker may revoke it; to others it is unknown: -EINVAL (H15).
 */
int tenure_token_revoke(struct tenure *connection,
			const struct tenure_token *token);

struct tenure_resource_info {
	unsigned int count; /* allocations */
	unsigned int rights; /* that the token gives */
	size_t private_bytes;
	uint64_t bytes; /* of all allocations together */
};

/*
 * What a token names. When ret_sizes is not NULL it has room for
 * sizes_capacity sizes, in bytes; -EOVERFLOW when that is too few (ret_info is
 * then filled all the same). -EINVAL: an unknown token (H15).
 */
int tenure_resource_query(struct tenure *connection,
			  const struct tenure_token *token,
			  struct tenure_resource_info *ret_info,
			  size_t *ret_sizes, unsigned int sizes_capacity);

/*
 * Opens what a token names: new handles, on this device. count and
 * private_bytes must be exactly those of the resource (ask
 * tenure_resource_query), or -EINVAL (H06); rights 0 takes all that the token
 * gives, more is -EACCES. ret_private_data has room for private_bytes and
 * ret_allocations for count handles. The opening is destroyed like a resource
 * that was created (A38), and charged in full (H04): -EDQUOT.
 */
int tenure_resource_open(struct tenure *connection, struct tenure_device device,
			 const struct tenure_token *token, unsigned int rights,
			 unsigned int count, void *ret_private_data,
			 size_t private_bytes,
			 struct tenure_resource *ret_resource,
			 struct tenure_allocation *ret_allocations);

/* ---- Memory ----------------------------------------------------------- */

enum tenure_map_flags {
	TENURE_MAP_READ = 1u << 0,
	TENURE_MAP_WRITE = 1u << 1,
	/* Fault all pages in now: an error here instead of a bus error there,
	 * and this process's cgroup pays. */
	TENURE_MAP_POPULATE = 1u << 2,
};

/*
 * Maps an allocation and counts; mapping it again gives the same pointer. The
 * memory is zero at first. Destroying the allocation, its resource or its
 * device ends the count (A61) and unmaps: the pointer is then dead in this
 * process. flags: TENURE_MAP_READ, TENURE_MAP_WRITE or both, perhaps with
 * TENURE_MAP_POPULATE. *ret_size is in bytes, whole pages. -EACCES: a
 * read-only opening; -ENOMEM: no memory or address space; -EMFILE: no room for
 * a descriptor; -EDQUOT: mapped 65535 times.
 */
int tenure_map(struct tenure *connection, struct tenure_device device,
	       struct tenure_allocation allocation, unsigned int flags,
	       void **ret_pointer, size_t *ret_size);

/* Undoes one map; with the last one the memory is unmapped. -EINVAL: it is not
 * mapped, or has been destroyed (H18). */
int tenure_unmap(struct tenure *connection, struct tenure_device device,
		 struct tenure_allocation allocation);

/* ---- The two-minute layer --------------------------------------------- */

/*
 * One value for one piece of memory, on a default device of the connection.
 * pointer and size may be read; the rest belongs to the library.
 */
struct tenure_memory {
	void *pointer;
	size_t size;
	struct tenure_resource resource;
	struct tenure_allocation allocation;
};

/* Private, zeroed memory of at least size bytes, mapped for reading and
 * writing. -EDQUOT: a limit; -ENOMEM. tenure_free() ends it. */
int tenure_alloc(struct tenure *connection, size_t size,
		 struct tenure_memory *ret_memory);

/* The same, and it can be shared. */
int tenure_alloc_shared(struct tenure *connection, size_t size,
			struct tenure_memory *ret_memory);

/* A token for memory of tenure_alloc_shared() or tenure_open_shared(), as
 * tenure_resource_share() makes it; -EINVAL for that of tenure_alloc(). */
int tenure_share(struct tenure *connection, const struct tenure_memory *memory,
		 unsigned int rights, struct tenure_token *ret_token);

/* Opens and maps what tenure_share() made a token for, with all its rights.
 * tenure_free() ends it. */
int tenure_open_shared(struct tenure *connection,
		       const struct tenure_token *token,
		       struct tenure_memory *ret_memory);

/*
 * Unmaps and destroys, without waiting for the daemon, as
 * tenure_allocations_free() does; *memory becomes all zero. An all-zero value
 * is allowed and does nothing.
 */
int tenure_free(struct tenure *connection, struct tenure_memory *memory);

/* ---- Errors ----------------------------------------------------------- */

struct tenure_refusal {
	int status; /* the negative errno that was returned */
	enum tenure_reason reason;
	int index; /* first bad entry of a list, from 0 on, or -1 */
};

/* Why the calling thread's last failed call failed: status 0 when none has. A
 * call that succeeds leaves it as it was. */
void tenure_last_refusal(struct tenure_refusal *ret_refusal);

/* A sentence on what the error means; static storage, never NULL. */
const char *tenure_strerror(int status);

/* A sentence that a person can act on; static storage, never NULL. */
const char *tenure_strreason(enum tenure_reason reason);

/*
 * The last refusal of the calling thread as one line: with the index where
 * there is one ("entry 3 belongs to another resource than the first"), with
 * the words of strerror() where the system has refused something, and with the
 * key in tenured.conf of a limit that can be set. At most size bytes with the
 * NUL; 256 are enough. Returns buffer.
 */
char *tenure_explain(char *buffer, size_t size);

#ifdef __cplusplus
}
#endif

#endif
