/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seats
 *
 * Every request is built field by field here, so that a test names only what
 * it is about. Nothing is hidden: the reply stays in the seat, and a status
 * that was not expected fails the test where it was asked.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/seat.h"

void seat_connect(struct seat *seat, struct inproc *world)
{
	*seat = (struct seat){ .world = world };
	assert_int_equal(inproc_connect(world, NULL, &seat->client, NULL), 0);
}

static void sit_down(struct seat *seat, struct inproc *world,
		     const struct peer *peer)
{
	*seat = (struct seat){ .world = world };
	assert_int_equal(inproc_connect(world, peer, &seat->client, NULL), 0);
	assert_int_equal(inproc_hello(world, seat->client), 0);
	assert_int_equal(seat_adapter_open(seat, "system", &seat->adapter), 0);
	assert_int_equal(seat_device_create(seat, seat->adapter, &seat->device),
			 0);
}

void seat_take(struct seat *seat, struct inproc *world)
{
	sit_down(seat, world, NULL);
}

void seat_take_as(struct seat *seat, struct inproc *world, uint32_t uid)
{
	const struct peer peer = { .uid = uid, .pid = 7, .cgroup = "/other" };

	sit_down(seat, world, &peer);
}

int seat_set_up(void **state)
{
	static struct seat seat;

	seat_take(&seat, inproc_new(NULL));
	*state = &seat;
	return 0;
}

int seat_set_up_without_memfds(void **state)
{
	static struct seat seat;
	struct inproc_config config;

	inproc_config_default(&config);
	config.memfds = false;
	seat_take(&seat, inproc_new(&config));
	*state = &seat;
	return 0;
}

int seat_tear_down(void **state)
{
	struct seat *seat = *state;

	inproc_free(seat->world);
	return 0;
}

enum broker_verdict seat_send(struct seat *seat, struct wire_request head,
			      const void *args, size_t args_bytes)
{
	enum broker_verdict verdict;

	head.id = ++seat->id;
	head.args_bytes = (uint32_t)args_bytes;
	seat->reply.fd = -1;
	verdict = inproc_send(seat->world, seat->client, &head, args,
			      args_bytes, &seat->reply);
	if (verdict != BROKER_LATER && seat->reply.fd >= 0)
		close(seat->reply.fd);
	return verdict;
}

bool seat_heard(struct seat *seat, uint64_t id)
{
	return inproc_take_reply(seat->world, seat->client, id, &seat->reply);
}

int seat_ask(struct seat *seat, struct wire_request head, const void *args,
	     size_t args_bytes)
{
	if (seat_send(seat, head, args, args_bytes) == BROKER_LATER)
		while (!seat_heard(seat, seat->id))
			assert_true(inproc_pump(seat->world));
	return seat->reply.head.status;
}

int seat_adapter_open(struct seat *seat, const char *name, uint64_t *ret)
{
	struct wire_request r = { .opcode = WIRE_OP_ADAPTER_OPEN };
	int status;

	memcpy(r.value, name, strlen(name));
	status = seat_ask(seat, r, NULL, 0);
	if (status == 0)
		*ret = seat->reply.head.value[0];
	return status;
}

int seat_device_create(struct seat *seat, uint64_t adapter, uint64_t *ret)
{
	const struct wire_request r = {
		.opcode = WIRE_OP_DEVICE_CREATE,
		.object = adapter,
	};
	int status = seat_ask(seat, r, NULL, 0);

	if (status == 0)
		*ret = seat->reply.head.value[0];
	return status;
}

int seat_create(struct seat *seat, uint64_t resource, uint32_t flags,
		uint32_t count, uint64_t *ret_resource, uint64_t *ret_handles)
{
	struct wire_allocation sizes[LIST_ENTRIES_MAX] = { 0 };
	const struct wire_request r = {
		.opcode = WIRE_OP_CREATE,
		.device = seat->device,
		.object = resource,
		.flags = flags,
		.count = count,
	};
	int status;

	for (uint32_t i = 0; i < count; i++)
		sizes[i].size_bytes = PAGE_BYTES;
	status = seat_ask(seat, r, sizes, count * sizeof(sizes[0]));
	if (status != 0)
		return status;
	if (ret_resource != NULL)
		*ret_resource = seat->reply.head.value[0];
	if (ret_handles != NULL)
		memcpy(ret_handles, seat->reply.data, count * sizeof(uint64_t));
	return 0;
}

static struct wire_request destroy_head(const struct seat *seat,
					uint64_t resource, const uint64_t *list,
					uint32_t count, uint32_t flags)
{
	return (struct wire_request){
		.opcode = WIRE_OP_DESTROY,
		.form = list != NULL ? WIRE_FORM_LIST : 0,
		.device = seat->device,
		.object = resource,
		.flags = flags,
		.count = count,
	};
}

int seat_destroy(struct seat *seat, uint64_t resource, const uint64_t *list,
		 uint32_t count, uint32_t flags)
{
	return seat_ask(seat, destroy_head(seat, resource, list, count, flags),
			list, list == NULL ? 0 : count * sizeof(*list));
}

enum broker_verdict seat_send_destroy(struct seat *seat, uint64_t resource,
				      const uint64_t *list, uint32_t count,
				      uint32_t flags)
{
	return seat_send(seat, destroy_head(seat, resource, list, count, flags),
			 list, list == NULL ? 0 : count * sizeof(*list));
}

int seat_share(struct seat *seat, uint64_t resource, uint32_t rights,
	       uint64_t ret_token[2])
{
	const struct wire_request r = {
		.opcode = WIRE_OP_SHARE,
		.device = seat->device,
		.object = resource,
		.flags = rights,
	};
	int status = seat_ask(seat, r, NULL, 0);

	if (status == 0)
		memcpy(ret_token, seat->reply.head.value, 16);
	return status;
}

int seat_revoke(struct seat *seat, const uint64_t token[2])
{
	const struct wire_request r = {
		.opcode = WIRE_OP_TOKEN_REVOKE,
		.value = { token[0], token[1] },
	};

	return seat_ask(seat, r, NULL, 0);
}

int seat_open(struct seat *seat, const uint64_t token[2], uint32_t count,
	      uint64_t *ret_resource, uint64_t *ret_handles)
{
	const struct wire_request r = {
		.opcode = WIRE_OP_OPEN,
		.device = seat->device,
		.count = count,
		.value = { token[0], token[1] },
	};
	int status = seat_ask(seat, r, NULL, 0);

	if (status != 0)
		return status;
	if (ret_resource != NULL)
		*ret_resource = seat->reply.head.value[0];
	if (ret_handles != NULL)
		memcpy(ret_handles, seat->reply.data, count * sizeof(uint64_t));
	return 0;
}

int seat_map(struct seat *seat, uint64_t allocation, uint32_t flags)
{
	const struct wire_request r = {
		.opcode = WIRE_OP_MAP,
		.device = seat->device,
		.object = allocation,
		.flags = flags,
	};

	return seat_ask(seat, r, NULL, 0);
}

int seat_unmap(struct seat *seat, uint64_t allocation)
{
	const struct wire_request r = {
		.opcode = WIRE_OP_UNMAP,
		.device = seat->device,
		.object = allocation,
	};

	return seat_ask(seat, r, NULL, 0);
}

int seat_device_destroy(struct seat *seat, uint64_t device)
{
	const struct wire_request r = {
		.opcode = WIRE_OP_DEVICE_DESTROY,
		.device = device,
	};

	return seat_ask(seat, r, NULL, 0);
}

int seat_adapter_close(struct seat *seat, uint64_t adapter)
{
	const struct wire_request r = {
		.opcode = WIRE_OP_ADAPTER_CLOSE,
		.object = adapter,
	};

	return seat_ask(seat, r, NULL, 0);
}

int seat_context_create(struct seat *seat, uint64_t *ret_context,
			uint32_t *ret_word)
{
	const struct wire_request r = {
		.opcode = WIRE_OP_CONTEXT_CREATE,
		.device = seat->device,
	};
	int status = seat_ask(seat, r, NULL, 0);

	if (status != 0)
		return status;
	*ret_context = seat->reply.head.value[0];
	if (ret_word != NULL)
		*ret_word = (uint32_t)seat->reply.head.value[1];
	return 0;
}

int seat_submit(struct seat *seat, uint64_t context, uint64_t value,
		const uint64_t *list, uint32_t count)
{
	const struct wire_request r = {
		.opcode = WIRE_OP_CONTEXT_SUBMIT,
		.device = seat->device,
		.object = context,
		.count = count,
		.value = { value },
	};

	return seat_ask(seat, r, list, count * sizeof(*list));
}

int seat_progress(struct seat *seat, uint64_t context, uint64_t value)
{
	const struct wire_request r = {
		.opcode = WIRE_OP_CONTEXT_PROGRESS,
		.device = seat->device,
		.object = context,
		.value = { value },
	};

	return seat_ask(seat, r, NULL, 0);
}

static struct wire_request end_of_context(const struct seat *seat,
					  uint64_t context, uint32_t flags)
{
	return (struct wire_request){
		.opcode = WIRE_OP_CONTEXT_DESTROY,
		.device = seat->device,
		.object = context,
		.flags = flags,
	};
}

int seat_context_destroy(struct seat *seat, uint64_t context, uint32_t flags)
{
	return seat_ask(seat, end_of_context(seat, context, flags), NULL, 0);
}

enum broker_verdict seat_send_context_destroy(struct seat *seat,
					      uint64_t context, uint32_t flags)
{
	return seat_send(seat, end_of_context(seat, context, flags), NULL, 0);
}

enum broker_verdict seat_send_device_destroy(struct seat *seat, uint64_t device,
					     uint32_t flags)
{
	const struct wire_request r = {
		.opcode = WIRE_OP_DEVICE_DESTROY,
		.device = device,
		.flags = flags,
	};

	return seat_send(seat, r, NULL, 0);
}

int seat_context_allocate(struct seat *seat, uint64_t context, uint32_t flags,
			  uint32_t count, uint64_t *ret_handles)
{
	struct wire_allocation sizes[LIST_ENTRIES_MAX] = { 0 };
	const struct wire_request r = {
		.opcode = WIRE_OP_CONTEXT_ALLOCATION_CREATE,
		.device = seat->device,
		.object = context,
		.flags = flags,
		.count = count,
	};
	int status;

	for (uint32_t i = 0; i < count; i++)
		sizes[i].size_bytes = PAGE_BYTES;
	status = seat_ask(seat, r, sizes, count * sizeof(sizes[0]));
	if (status == 0 && ret_handles != NULL)
		memcpy(ret_handles, seat->reply.data, count * sizeof(uint64_t));
	return status;
}

int seat_context_free(struct seat *seat, uint64_t adapter, uint64_t allocation)
{
	const struct wire_request r = {
		.opcode = WIRE_OP_CONTEXT_ALLOCATION_DESTROY,
		.object = adapter,
		.value = { allocation },
	};

	return seat_ask(seat, r, NULL, 0);
}

/* A request on the device with an object and one value. */
static int ask_fence(struct seat *seat, uint8_t opcode, uint64_t fence,
		     uint64_t value)
{
	const struct wire_request r = {
		.opcode = opcode,
		.device = seat->device,
		.object = fence,
		.value = { value },
	};

	return seat_ask(seat, r, NULL, 0);
}

int seat_fence_create(struct seat *seat, uint64_t value, uint64_t *ret_fence,
		      uint32_t *ret_word)
{
	int status = ask_fence(seat, WIRE_OP_FENCE_CREATE, 0, value);

	if (status != 0)
		return status;
	*ret_fence = seat->reply.head.value[0];
	if (ret_word != NULL)
		*ret_word = (uint32_t)seat->reply.head.value[1];
	return 0;
}

int seat_fence_destroy(struct seat *seat, uint64_t fence)
{
	return ask_fence(seat, WIRE_OP_FENCE_DESTROY, fence, 0);
}

int seat_fence_share(struct seat *seat, uint64_t fence, uint32_t rights,
		     uint64_t ret_token[2])
{
	const struct wire_request r = {
		.opcode = WIRE_OP_FENCE_SHARE,
		.device = seat->device,
		.object = fence,
		.flags = rights,
	};
	int status = seat_ask(seat, r, NULL, 0);

	if (status == 0)
		memcpy(ret_token, seat->reply.head.value, 16);
	return status;
}

int seat_fence_open(struct seat *seat, const uint64_t token[2], uint32_t rights,
		    uint64_t *ret_fence)
{
	const struct wire_request r = {
		.opcode = WIRE_OP_FENCE_OPEN,
		.device = seat->device,
		.flags = rights,
		.value = { token[0], token[1] },
	};
	int status = seat_ask(seat, r, NULL, 0);

	if (status == 0)
		*ret_fence = seat->reply.head.value[0];
	return status;
}

int seat_fence_signal(struct seat *seat, uint64_t fence, uint64_t value)
{
	return ask_fence(seat, WIRE_OP_FENCE_SIGNAL, fence, value);
}

int seat_fence_value(struct seat *seat, uint64_t fence, uint64_t *ret_value)
{
	int status = ask_fence(seat, WIRE_OP_FENCE_VALUE, fence, 0);

	if (status == 0)
		*ret_value = seat->reply.head.value[0];
	return status;
}

static enum broker_verdict send_fence_wait(struct seat *seat, uint32_t flags,
					   const struct wire_fence_wait *list,
					   uint32_t count, uint64_t only_looks)
{
	const struct wire_request r = {
		.opcode = WIRE_OP_FENCE_WAIT,
		.device = seat->device,
		.flags = flags,
		.count = count,
		.value = { only_looks },
	};

	return seat_send(seat, r, list, count * sizeof(*list));
}

enum broker_verdict seat_fence_wait(struct seat *seat, uint32_t flags,
				    const struct wire_fence_wait *list,
				    uint32_t count)
{
	return send_fence_wait(seat, flags, list, count, 0);
}

enum broker_verdict seat_fence_look(struct seat *seat, uint32_t flags,
				    const struct wire_fence_wait *list,
				    uint32_t count)
{
	return send_fence_wait(seat, flags, list, count, 1);
}

int seat_fence_wait_cancel(struct seat *seat, uint64_t id)
{
	const struct wire_request r = {
		.opcode = WIRE_OP_FENCE_WAIT_CANCEL,
		.value = { id },
	};

	return seat_ask(seat, r, NULL, 0);
}

int seat_event(struct seat *seat, enum wire_test_event event, uint64_t device,
	       uint64_t adapter)
{
	const struct wire_request r = {
		.opcode = WIRE_OP_TEST_EVENT,
		.flags = event,
		.device = device,
		.object = adapter,
	};

	return seat_ask(seat, r, NULL, 0);
}

/* ---- Behind the scenes ---- */

struct env *world_env(struct inproc *world)
{
	return &inproc_broker(world)->env;
}

struct region *world_region(struct inproc *world)
{
	return &world_env(world)->region;
}

struct state *world_state(struct inproc *world)
{
	return region_state(world_region(world));
}

struct session *seat_session(const struct seat *seat)
{
	return session_at(world_region(seat->world), seat->client);
}

uint32_t seat_slot_index(const struct seat *seat, uint64_t wire)
{
	return handle_index(handle_from_wire(wire, seat_session(seat)->secret));
}

struct slot *seat_slot(const struct seat *seat, uint64_t wire)
{
	return slot_at(world_region(seat->world), seat_slot_index(seat, wire));
}

struct context *seat_context(const struct seat *seat, uint64_t wire)
{
	return context_at(world_region(seat->world),
			  seat_slot(seat, wire)->context.context);
}

struct device *seat_device(const struct seat *seat, uint64_t wire)
{
	return device_at(world_region(seat->world),
			 seat_slot(seat, wire)->device.device);
}

struct slot *seat_pin(const struct seat *seat, uint64_t wire)
{
	struct slot *slot =
		table_pin(world_region(seat->world),
			  seat_device(seat, seat->device)->owner.id,
			  handle_from_wire(wire, seat_session(seat)->secret));

	assert_non_null(slot);
	return slot;
}

void world_fail_commit(struct inproc *world, uint64_t n)
{
	inproc_pages(world)->fail_commit = n;
}

/* The memory behind the head of the region and behind each of its areas. */
struct image {
	uint64_t calls;
	uint64_t sizes[AREAS + 1];
	uint8_t *bytes[AREAS + 1];
};

/* Where part i of the state lies, and how much of it has memory. */
static const uint8_t *part(struct inproc *world, int i, uint64_t *ret_size)
{
	const struct region *region = world_region(world);
	const struct area_head *h;

	if (i == AREAS) {
		*ret_size = sizeof(struct state);
		return (const uint8_t *)region->head;
	}
	h = region_area(region, (enum area)i);
	*ret_size = (uint64_t)h->committed * h->record_bytes;
	return region_start(region, (enum area)i);
}

static uint64_t backend_calls(struct inproc *world)
{
	uint64_t calls = 0;

	for (uint32_t i = 0; i < INPROC_ADAPTERS; i++)
		for (int call = 0; call < CHECKING_CALLS; call++)
			calls += checking_calls(inproc_backend(world, i),
						(enum checking_call)call);
	return calls;
}

struct image *image_take(struct inproc *world)
{
	struct image *image = calloc(1, sizeof(*image));

	assert_non_null(image);
	image->calls = backend_calls(world);
	for (int i = 0; i <= AREAS; i++) {
		const uint8_t *start = part(world, i, &image->sizes[i]);

		image->bytes[i] = malloc(image->sizes[i] + 1);
		assert_non_null(image->bytes[i]);
		memcpy(image->bytes[i], start, image->sizes[i]);
	}
	return image;
}

/* What a refusal may change: it is noted for people. */
static void forget_refusals(struct inproc *world, struct image *image)
{
	const struct region *region = world_region(world);
	uint32_t used = region_area(region, AREA_SESSIONS)->used;

	for (uint32_t i = 1; i < used; i++) {
		const struct session *now = session_at(region, i);
		struct session *then =
			(struct session *)(void *)image->bytes[AREA_SESSIONS] +
			i;

		memcpy(then->refusals, now->refusals, sizeof(now->refusals));
		then->n_refusals = now->n_refusals;
	}
}

void image_same(struct inproc *world, struct image *image)
{
	struct state *state = world_state(world);
	uint64_t refused = state->refused_total;

	assert_int_equal(backend_calls(world), image->calls);
	forget_refusals(world, image);
	state->refused_total =
		((struct state *)(void *)image->bytes[AREAS])->refused_total;
	for (int i = 0; i <= AREAS; i++) {
		uint64_t size;
		const uint8_t *start = part(world, i, &size);

		assert_int_equal(size, image->sizes[i]);
		assert_int_equal(memcmp(start, image->bytes[i], size), 0);
		free(image->bytes[i]);
	}
	state->refused_total = refused;
	free(image);
}
