/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fence views
 *
 * The maker of a fence may publish its value in a page that others map for
 * reading (core/ring/fence_page.h). The first time that the value of an opened
 * fence is wanted, this asks where it lies, and maps that page if no other
 * fence has brought it yet; from then on it is two loads and a comparison.
 *
 *	opened --> not asked --value--> page, entry, tag --> read
 *	                         \----> not published    --> ask, each time
 *
 * When the fence ends the tag goes, and then the daemon is asked, which says
 * how it ended. A page is mapped once and goes with the last fence in it.
 *
 * The daemon is believed as far as its descriptor is sealed memory of the
 * right length; a maker that lets its value go back is not followed.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  A fence that is published is read without a request.
 *  G2  The value never goes back.
 *  G3  A page is mapped once, and unmapped with its last fence.
 *  G4  Whatever the daemon answers, nothing outside the page is read.
 */
#include "client/fence_view.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/connection.h"
#include "client/view.h"
#include "core/ring/fence_page.h"

#define BYTES sizeof(struct fence_page)

struct fence_pages {
	struct keymap_node node; /* first; key: the page's number */
	struct fence_page *page;
	uint32_t refs;
};

struct fence_view {
	struct keymap_node node; /* first; key: the handle */
	uint64_t device;
	bool is_asked;
	struct fence_pages *page; /* or NULL: not published */
	uint32_t entry;
	uint64_t tag, greatest;
};

void fence_views_init(struct fence_views *views)
{
	keymap_init(&views->fences);
	keymap_init(&views->pages);
}

static struct fence_view *find(const struct tenure *connection, uint64_t handle)
{
	return (struct fence_view *)(void *)keymap_find(
		&connection->fence_views.fences, handle);
}

static void unref(struct tenure *connection, struct fence_pages *page)
{
	if (!page || --page->refs > 0)
		return;
	keymap_remove(&connection->fence_views.pages, &page->node);
	munmap(page->page, BYTES);
	free(page);
}

static void drop(struct tenure *connection, struct fence_view *view)
{
	keymap_remove(&connection->fence_views.fences, &view->node);
	unref(connection, view->page);
	free(view);
}

void fence_views_deinit(struct tenure *connection)
{
	struct fence_views *views = &connection->fence_views;
	struct keymap_node *node;

	while ((node = keymap_any(&views->fences)))
		drop(connection, (struct fence_view *)(void *)node);
	keymap_deinit(&views->fences);
	keymap_deinit(&views->pages);
}

struct fence_view *fence_view_new(void)
{
	return calloc(1, sizeof(struct fence_view));
}

void fence_view_enter(struct tenure *connection, struct fence_view *view,
		      uint64_t device, uint64_t handle)
{
	view->node.key = handle;
	view->device = device;
	keymap_insert(&connection->fence_views.fences, &view->node);
}

/* Maps a page by its descriptor, which it closes. NULL: that cannot be done. */
static struct fence_pages *map_page(struct tenure *connection, uint64_t number,
				    int fd)
{
	struct fence_pages *page = calloc(1, sizeof(*page));
	void *at = MAP_FAILED;

	if (page && view_check_descriptor(fd, BYTES) == 0)
		at = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (at == MAP_FAILED) {
		free(page);
		return NULL;
	}
	page->page = at;
	page->node.key = number;
	keymap_insert(&connection->fence_views.pages, &page->node);
	return page;
}

static int ask(struct tenure *connection, const struct fence_view *view,
	       uint32_t flags, struct call *ret)
{
	*ret = (struct call){
		.request = {
			.opcode = WIRE_OP_FENCE_MAP,
			.flags = flags,
			.device = view->device,
			.object = view->node.key,
		},
	};
	return connection_call_locked(connection, ret);
}

/* The page of that number: one that is mapped, or a new one. */
static struct fence_pages *get_page(struct tenure *connection,
				    const struct fence_view *view,
				    uint64_t number)
{
	struct fence_pages *page = (struct fence_pages *)(void *)keymap_find(
		&connection->fence_views.pages, number);
	struct call call;

	/* By the socket, which keeps the lock. */
	if (!page && ask(connection, view, WIRE_MAP_WANT_FD, &call) == 0 &&
	    call.fd >= 0) {
		if (call.reply.value[0] == number)
			page = map_page(connection, number, call.fd);
		else
			close(call.fd);
	}
	return page;
}

/* What the daemon says about where a fence lies. */
static void note(struct tenure *connection, struct fence_view *view,
		 const struct wire_reply *reply)
{
	if (reply->value[1] == 0 || reply->value[1] >= FENCE_PAGE_ENTRIES ||
	    reply->value[2] == 0 || reply->value[3] != BYTES) {
		connection_distrust_locked(connection);
		return;
	}
	view->entry = (uint32_t)reply->value[1];
	view->tag = reply->value[2];
	view->page = get_page(connection, view, reply->value[0]);
	if (view->page)
		view->page->refs++;
}

/* Asks where, once; whatever is refused, the value is asked for itself. */
static void locate_waits(struct tenure *connection, struct fence_view *view)
{
	uint64_t handle = view->node.key;
	struct tenure_refusal before;
	struct call call;
	int status;

	view->is_asked = true;
	tenure_last_refusal(&before);
	status = ask(connection, view, 0, &call);
	/* It may have been closed meanwhile. */
	view = find(connection, handle);
	if (status == 0 && view)
		note(connection, view, &call.reply);
	if (connection->dead_status == 0)
		refusal_restore(&before);
}

bool fence_view_try_value_waits(struct tenure *connection, uint64_t device,
				uint64_t handle, uint64_t *ret_value)
{
	struct fence_view *view = find(connection, handle);
	uint64_t value;

	if (view && view->device == device && !view->is_asked) {
		locate_waits(connection, view);
		view = find(connection, handle);
	}
	if (!view || view->device != device || !view->page ||
	    !fence_page_read(view->page->page, view->entry, view->tag, &value))
		return false;
	view->greatest = max_u64(view->greatest, value);
	*ret_value = view->greatest;
	return true;
}

void fence_view_forget(struct tenure *connection, uint64_t handle)
{
	struct fence_view *view = find(connection, handle);

	if (view)
		drop(connection, view);
}

struct sweep {
	struct tenure *connection;
	const struct work_scope *scope;
};

static void forget_one(void *context, struct keymap_node *node)
{
	const struct sweep *s = context;
	struct fence_view *view = (struct fence_view *)(void *)node;

	if (work_scope_has(s->connection, s->scope, 0, view->device))
		drop(s->connection, view);
}

void fence_views_forget(struct tenure *connection,
			const struct work_scope *scope)
{
	struct sweep s = { connection, scope };

	keymap_each(&connection->fence_views.fences, forget_one, &s);
}
