/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drawing what to do with fences
 *
 * Values are near what a fence has come to, a little behind or ahead, so that
 * waits are often met by the next signal but one.
 */
#include <stdio.h>

#include "tests/differential/draw.h"

/* So that a run can neither fill the model nor the table of waits. */
enum { FENCES_OF_CLIENT = 24, WAITS_AT_ONCE = PENDING_MAX / 2 };

static uint64_t value_of(const struct run *run, int thing)
{
	return thing == MODEL_NOTHING ?
		       0 :
		       run->model->fences[run->model->things[thing].fence].value;
}

static uint64_t draw_value(struct run *run, uint64_t now)
{
	static const uint64_t odd[] = { 0, UINT64_MAX, UINT64_MAX - 1 };

	if (draw_is_bad(run) && run_chance(run, 10))
		return run_chance(run, 50) ? odd[run_below(run, 3)] :
					     run_draw(run);
	if (run_chance(run, 15))
		return now - min_u64(now, run_below(run, 3));
	return now + min_u64(UINT64_MAX - now, run_below(run, 4));
}

void step_fence_create(struct run *run, int client)
{
	struct wire_request q = { .opcode = WIRE_OP_FENCE_CREATE };

	if (model_count(run->model, client, MODEL_FENCE) > FENCES_OF_CLIENT)
		return;
	q.device = draw_device_handle(run, client, draw_device(run, client));
	q.value[0] = draw_value(run, 0);
	run_request(run, client, &q, NULL, 0);
}

/* One who has none makes one first, mostly. */
static bool has_fence(struct run *run, int client)
{
	if (model_count(run->model, client, MODEL_FENCE) > 0 ||
	    draw_is_bad(run))
		return true;
	step_fence_create(run, client);
	return false;
}

/* A fence, and the device of its opening. */
static int draw_fence(struct run *run, int client, struct wire_request *q)
{
	int fence = draw_thing(run, client, MODEL_FENCE, MODEL_NOTHING);

	q->object = draw_is_bad(run) ? draw_wrong_handle(run, client) :
				       draw_handle_of(run, fence);
	q->device = draw_device_handle(
		run, client,
		fence == MODEL_NOTHING ? draw_device(run, client) :
					 run->model->things[fence].device);
	return fence;
}

void step_fence_destroy(struct run *run, int client)
{
	struct wire_request q = { .opcode = WIRE_OP_FENCE_DESTROY };

	draw_fence(run, client, &q);
	run_request(run, client, &q, NULL, 0);
}

void step_fence_share(struct run *run, int client)
{
	struct wire_request q = { .opcode = WIRE_OP_FENCE_SHARE };

	if (model_client_holds(run->model, client, CHARGE_TOKENS) > 20 ||
	    !has_fence(run, client))
		return;
	draw_fence(run, client, &q);
	q.flags = draw_rights(run);
	run_request(run, client, &q, NULL, 0);
}

void step_fence_open(struct run *run, int client)
{
	struct wire_request q = { .opcode = WIRE_OP_FENCE_OPEN };
	int token;

	if (model_count(run->model, client, MODEL_FENCE) > FENCES_OF_CLIENT)
		return;
	draw_token(run, MODEL_FENCE, q.value);
	token = model_token(run->model, q.value);
	if (token == MODEL_NOTHING && !draw_is_bad(run)) {
		step_fence_share(run, client);
		return;
	}
	if (token != MODEL_NOTHING && run_chance(run, 50))
		q.flags = run->model->tokens[token].rights;
	if (draw_is_bad(run))
		q.flags = draw_rights(run);
	q.device = draw_device_handle(run, client, draw_device(run, client));
	run_request(run, client, &q, NULL, 0);
}

void step_fence_signal(struct run *run, int client)
{
	struct wire_request q = { .opcode = WIRE_OP_FENCE_SIGNAL };
	int fence;

	if (!has_fence(run, client))
		return;
	fence = draw_fence(run, client, &q);
	q.value[0] = draw_value(run, value_of(run, fence));
	run_request(run, client, &q, NULL, 0);
}

void step_fence_value(struct run *run, int client)
{
	struct wire_request q = { .opcode = WIRE_OP_FENCE_VALUE };

	draw_fence(run, client, &q);
	run_request(run, client, &q, NULL, 0);
}

/* ---- Waits ---- */

static void cancel(struct run *run, int client, uint64_t id)
{
	struct wire_request q = { .opcode = WIRE_OP_FENCE_WAIT_CANCEL,
				  .value = { id } };

	run_request(run, client, &q, NULL, 0);
}

static uint32_t draw_awaited(struct run *run, int client, int device,
			     struct wire_fence_wait *list)
{
	uint32_t n =
		1 +
		run_below(run, run_chance(run, 95) ? 4 : FENCES_PER_WAIT_MAX);

	for (uint32_t i = 0; i < n; i++) {
		int fence = draw_thing(run, client, MODEL_FENCE, device);

		list[i].fence = draw_handle_of(run, fence);
		list[i].value = draw_value(run, value_of(run, fence));
	}
	if (draw_is_bad(run))
		list[run_below(run, n)].fence = draw_wrong_handle(run, client);
	return n;
}

void step_fence_wait(struct run *run, int client)
{
	static struct wire_fence_wait list[FENCES_PER_WAIT_MAX];
	struct wire_request q = { .opcode = WIRE_OP_FENCE_WAIT };
	int first, device;
	uint32_t sent;

	if (run->n_pending >= WAITS_AT_ONCE || !has_fence(run, client))
		return;
	first = draw_thing(run, client, MODEL_FENCE, MODEL_NOTHING);
	device = first == MODEL_NOTHING ? draw_device(run, client) :
					  run->model->things[first].device;
	q.device = draw_device_handle(run, client, device);
	q.flags = run_chance(run, 50) ? TENURE_WAIT_ALL : 0;
	q.value[0] = run_chance(run, 20);
	q.count = sent = draw_awaited(run, client, device, list);
	if (draw_is_bad(run) && run_chance(run, 20)) {
		if (run_chance(run, 30))
			q.flags = UINT32_C(1) << run_below(run, 32);
		else if (run_chance(run, 50))
			q.count = run_below(run, FENCES_PER_WAIT_MAX + 2);
		else
			sent = run_below(run, sent + 1);
	}
	run_request(run, client, &q, list, sent * sizeof(list[0]));
	/* A time-out of 0: what has not come at once is not waited for. */
	if (model_find_wait(run->model, client, q.id) != MODEL_NOTHING &&
	    !draw_is_patient(run))
		cancel(run, client, q.id);
}

void step_fence_cancel(struct run *run, int client)
{
	const struct model *m = run->model;
	uint64_t id = run->next_id - 1 - run_below(run, 4);
	uint32_t n = 0;

	if (!draw_is_bad(run))
		for (int i = 0; i < MODEL_WAITS; i++)
			if (m->waits[i].used && m->waits[i].client == client &&
			    run_below(run, ++n) == 0)
				id = m->waits[i].id;
	cancel(run, client, id);
}

static void ring_bell(struct run *run, int client)
{
	inproc_ring_bell(run->world, run->model->clients[client].id);
	model_ring_bell(run->model, client);
}

/*
 * The maker's own way: its word, and mostly the bell. A word is not stored
 * again before it was looked at for certain: nobody could tell whether a wait
 * that was refused meanwhile had seen what it was.
 */
void step_fence_word(struct run *run, int client)
{
	struct model *m = run->model;
	int thing = draw_thing(run, client, MODEL_FENCE, MODEL_NOTHING);
	const struct model_thing *t = &m->things[thing < 0 ? 0 : thing];
	uint64_t value;

	if (thing == MODEL_NOTHING || !t->own ||
	    m->fences[t->fence].state != MODEL_FENCE_LIVE)
		return;
	if (m->fences[t->fence].stored > m->fences[t->fence].value)
		ring_bell(run, client);
	value = draw_value(run, value_of(run, thing));
	if (run->trace)
		fprintf(stderr, "%ju: client %d stores %#jx into word %u\n",
			(uintmax_t)run->op, client, (uintmax_t)value,
			t->position);
	inproc_store_word(run->world, m->clients[client].id, t->position,
			  value);
	model_store_word(m, thing, value);
	if (run_chance(run, 70))
		ring_bell(run, client);
}
