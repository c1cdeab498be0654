/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Workers
 *
 * In process, rest is when nothing is left to pump. Through the daemon it is
 * when a few questions and answers, with pauses, have found nothing changed:
 * whatever was ready to happen has had its turn of the loop by then.
 */
#include "tests/rows/work.h"

#include "tests/support/inproc.h"

#include <unistd.h>

void worker_take(struct worker *worker, struct world *world)
{
	*worker = (struct worker){ .world = world,
				   .talker = talker_new(world),
				   .next_id = 1 };
	worker->device = talker_device(worker->talker, &worker->adapter);
}

void worker_leave(struct worker *worker)
{
	talker_free(worker->talker);
	worker->talker = NULL;
}

uint64_t work_say(struct worker *worker, struct wire_request head,
		  const void *args, size_t args_bytes)
{
	head.id = worker->next_id++;
	head.args_bytes = (uint32_t)args_bytes;
	talker_say(worker->talker, &head, args, args_bytes);
	return head.id;
}

int work_hear(struct worker *worker, uint64_t id)
{
	talker_hear(worker->talker, id, &worker->reply);
	if (worker->reply.fd >= 0)
		close(worker->reply.fd);
	return worker->reply.head.status;
}

int work_ask(struct worker *worker, struct wire_request head, const void *args,
	     size_t args_bytes)
{
	return work_hear(worker, work_say(worker, head, args, args_bytes));
}

void work_settle(struct world *world)
{
	struct wire_status before, after;
	int still = 0;

	if (world->inproc)
		inproc_pump_all(world->inproc);
	world_status(world, &before);
	while (!world->inproc && still < 5) {
		usleep(2000);
		world_status(world, &after);
		still = memcmp(&before, &after, sizeof(after)) == 0 &&
					after.releases_pending == 0 ?
				still + 1 :
				0;
		before = after;
	}
}

void work_silent(struct worker *worker, uint64_t id)
{
	struct wire_request ping = { .opcode = WIRE_OP_PING };

	work_settle(worker->world);
	/* Whatever had been said is in front of this answer. */
	assert_int_equal(work_ask(worker, ping, NULL, 0), 0);
	for (unsigned int i = 0; i < worker->talker->n_kept; i++)
		assert_int_not_equal(worker->talker->kept[i].head.id, id);
	if (worker->world->inproc) {
		struct inproc_reply reply;

		assert_false(inproc_take_reply(worker->world->inproc,
					       worker->talker->client, id,
					       &reply));
	}
}

void assert_pages(struct world *world, uint64_t pages)
{
	struct wire_status status;

	work_settle(world);
	world_status(world, &status);
	assert_int_equal(status.bytes, pages * PAGE);
}

uint64_t work_context(struct worker *worker)
{
	const struct wire_request head = { .opcode = WIRE_OP_CONTEXT_CREATE,
					   .device = worker->device };

	assert_int_equal(work_ask(worker, head, NULL, 0), 0);
	return worker->reply.head.value[0];
}

int work_submit(struct worker *worker, uint64_t context, uint64_t value,
		const uint64_t *list, uint32_t count)
{
	const struct wire_request head = { .opcode = WIRE_OP_CONTEXT_SUBMIT,
					   .device = worker->device,
					   .object = context,
					   .count = count,
					   .value = { value } };

	return work_ask(worker, head, list, count * sizeof(*list));
}

int work_progress(struct worker *worker, uint64_t context, uint64_t value)
{
	return work_fence(worker, WIRE_OP_CONTEXT_PROGRESS, context, value);
}

int work_end_context(struct worker *worker, uint64_t context, uint32_t flags)
{
	const struct wire_request head = { .opcode = WIRE_OP_CONTEXT_DESTROY,
					   .device = worker->device,
					   .object = context,
					   .flags = flags };

	return work_ask(worker, head, NULL, 0);
}

uint64_t work_create(struct worker *worker, uint32_t flags, uint32_t count,
		     uint64_t *ret_handles)
{
	struct wire_allocation sizes[64] = { 0 };
	const struct wire_request head = { .opcode = WIRE_OP_CREATE,
					   .device = worker->device,
					   .flags = flags,
					   .count = count };

	assert_true(count <= 64);
	for (uint32_t i = 0; i < count; i++)
		sizes[i].size_bytes = PAGE;
	assert_int_equal(
		work_ask(worker, head, sizes, count * sizeof(sizes[0])), 0);
	if (ret_handles)
		memcpy(ret_handles, worker->reply.data,
		       count * sizeof(uint64_t));
	return worker->reply.head.value[0];
}

struct wire_request work_destroy_head(uint64_t resource, uint32_t count,
				      uint32_t flags)
{
	return (struct wire_request){ .opcode = WIRE_OP_DESTROY,
				      .form = resource == 0 ? WIRE_FORM_LIST :
							      0,
				      .object = resource,
				      .count = count,
				      .flags = flags };
}

uint64_t work_say_destroy(struct worker *worker, uint64_t resource,
			  const uint64_t *list, uint32_t count, uint32_t flags)
{
	struct wire_request head = work_destroy_head(resource, count, flags);

	head.device = worker->device;
	return work_say(worker, head, list,
			resource == 0 ? count * sizeof(*list) : 0);
}

int work_destroy(struct worker *worker, uint64_t resource, const uint64_t *list,
		 uint32_t count, uint32_t flags)
{
	return work_hear(worker, work_say_destroy(worker, resource, list, count,
						  flags));
}

uint64_t work_say_end_device(struct worker *worker, uint32_t flags)
{
	const struct wire_request head = { .opcode = WIRE_OP_DEVICE_DESTROY,
					   .device = worker->device,
					   .flags = flags };

	return work_say(worker, head, NULL, 0);
}

void work_share(struct worker *worker, uint64_t resource, uint64_t ret[2])
{
	const struct wire_request head = { .opcode = WIRE_OP_SHARE,
					   .device = worker->device,
					   .object = resource,
					   .flags = TENURE_RIGHT_READ |
						    TENURE_RIGHT_WRITE };

	assert_int_equal(work_ask(worker, head, NULL, 0), 0);
	memcpy(ret, worker->reply.head.value, 16);
}

uint64_t work_open(struct worker *worker, const uint64_t token[2],
		   uint32_t count, uint64_t *ret_handles)
{
	const struct wire_request head = { .opcode = WIRE_OP_OPEN,
					   .device = worker->device,
					   .count = count,
					   .value = { token[0], token[1] } };

	assert_int_equal(work_ask(worker, head, NULL, 0), 0);
	memcpy(ret_handles, worker->reply.data, count * sizeof(uint64_t));
	return worker->reply.head.value[0];
}

int work_fence(struct worker *worker, uint8_t opcode, uint64_t fence,
	       uint64_t value)
{
	const struct wire_request head = { .opcode = opcode,
					   .device = worker->device,
					   .object = fence,
					   .value = { value } };

	return work_ask(worker, head, NULL, 0);
}

uint64_t work_say_wait(struct worker *worker, uint32_t flags,
		       const struct wire_fence_wait *list, uint32_t count)
{
	const struct wire_request head = { .opcode = WIRE_OP_FENCE_WAIT,
					   .device = worker->device,
					   .flags = flags,
					   .count = count };

	return work_say(worker, head, list, count * sizeof(*list));
}
