/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drawing what to do next
 *
 * Mostly right requests, so that things get made, and wrong ones that are
 * near misses: a handle that was right a moment ago, that is right for
 * another client or another device, or of another kind; a list with one bad
 * entry. What is drawn may turn out to be right or wrong; the model knows.
 */
#include "tests/differential/draw.h"

#include "core/state.h"

static uint32_t below(struct run *run, uint32_t bound)
{
	return run_below(run, bound);
}

static bool chance(struct run *run, uint32_t percent)
{
	return run_chance(run, percent);
}

bool draw_is_bad(struct run *run)
{
	return chance(run, run->bad_percent);
}

int draw_client(struct run *run)
{
	int alive[MODEL_CLIENTS];
	uint32_t n = 0;

	for (int c = 0; c < MODEL_CLIENTS; c++)
		if (run->model->clients[c].alive)
			alive[n++] = c;
	return n == 0 ? MODEL_NOTHING : alive[below(run, n)];
}

/* ---- Handles ---- */

/* Any thing with these properties, each as likely as the others: one decision,
 * so that a fuzzer can make it. */
int draw_thing(struct run *run, int client, enum model_kind kind, int device)
{
	static int fitting[MODEL_THINGS];
	const struct model *m = run->model;
	uint32_t n = 0;

	for (int i = 0; i < m->n_things; i++) {
		const struct model_thing *t = &m->things[i];

		if (t->kind == MODEL_NONE || t->ghost ||
		    (client != MODEL_NOTHING && t->client != client) ||
		    (kind != MODEL_NONE && t->kind != kind) ||
		    (device != MODEL_NOTHING && t->device != device))
			continue;
		fitting[n++] = i;
	}
	return n == 0 ? MODEL_NOTHING : fitting[below(run, n)];
}

uint64_t draw_handle_of(struct run *run, int thing)
{
	return thing == MODEL_NOTHING ? 0 : run->model->things[thing].handle;
}

/* What should not be named: mostly it is wrong. */
uint64_t draw_wrong_handle(struct run *run, int client)
{
	switch (below(run, 8)) {
	case 0:
	case 1: /* of this client, of any kind and device */
		return draw_handle_of(run, draw_thing(run, client, MODEL_NONE,
						      MODEL_NOTHING));
	case 2:
	case 3: /* of a while ago */
		return run->stale[client][below(run, STALE_MAX)];
	case 4: /* of anybody */
		return draw_handle_of(run,
				      draw_thing(run, MODEL_NOTHING, MODEL_NONE,
						 MODEL_NOTHING));
	case 5:
		return 0;
	case 6: /* a neighbour */
		return draw_handle_of(run, draw_thing(run, client, MODEL_NONE,
						      MODEL_NOTHING)) ^
		       (UINT64_C(1) << below(run, 64));
	default:
		return chance(run, 30) ? UINT64_MAX : run_draw(run);
	}
}

uint64_t draw_handle(struct run *run, int client, enum model_kind kind,
		     int device)
{
	if (draw_is_bad(run))
		return draw_wrong_handle(run, client);
	return draw_handle_of(run, draw_thing(run, client, kind, device));
}

/* A device in order; sometimes one that is going. */
int draw_device(struct run *run, int client)
{
	int device = MODEL_NOTHING;

	for (int i = 0; i < 4; i++) {
		device = draw_thing(run, client, MODEL_DEVICE, MODEL_NOTHING);
		if (device == MODEL_NOTHING ||
		    run->model->things[device].state == MODEL_DEVICE_LIVE)
			break;
	}
	return device;
}

uint64_t draw_device_handle(struct run *run, int client, int device)
{
	return draw_is_bad(run) && chance(run, 30) ?
		       draw_wrong_handle(run, client) :
		       draw_handle_of(run, device);
}

/* Of one kind, each as likely as the others. */
static void pick_token(struct run *run, enum model_kind kind,
		       uint64_t ret_value[2])
{
	const struct model *m = run->model;
	int used[MODEL_TOKENS];
	uint32_t n = 0;

	ret_value[0] = ret_value[1] = 0;
	for (int i = 0; i < MODEL_TOKENS; i++)
		if (m->tokens[i].used &&
		    (kind == MODEL_FENCE) ==
			    (m->tokens[i].fence != MODEL_NOTHING))
			used[n++] = i;
	if (n > 0)
		memcpy(ret_value, m->tokens[used[below(run, n)]].value,
		       sizeof(m->tokens[0].value));
}

void draw_token(struct run *run, enum model_kind kind, uint64_t ret_value[2])
{
	pick_token(run, kind, ret_value);
	if (!draw_is_bad(run))
		return;
	ret_value[below(run, 2)] ^= UINT64_C(1) << below(run, 64);
	if (chance(run, 30))
		pick_token(run,
			   kind == MODEL_FENCE ? MODEL_RESOURCE : MODEL_FENCE,
			   ret_value);
}

/* Whether there is room for one more request that may wait for ever. */
bool draw_is_patient(struct run *run)
{
	return run->n_pending < PENDING_MAX / 2 && chance(run, 60);
}

/* ---- Adapters and devices ---- */

static void step_adapter_open(struct run *run, int client)
{
	static const char *const names[] = { "system", "other", "", "systen",
					     "system\0x" };
	struct wire_request q = { .opcode = WIRE_OP_ADAPTER_OPEN };
	uint32_t i = draw_is_bad(run) ? below(run, 5) : below(run, 2);

	memcpy(q.value, names[i], i == 4 ? 8 : strlen(names[i]));
	run_request(run, client, &q, NULL, 0);
}

static void step_adapter_close(struct run *run, int client)
{
	struct wire_request q = { .opcode = WIRE_OP_ADAPTER_CLOSE };

	q.object = draw_handle(run, client, MODEL_ADAPTER, MODEL_NOTHING);
	run_request(run, client, &q, NULL, 0);
}

static void step_device_create(struct run *run, int client)
{
	struct wire_request q = { .opcode = WIRE_OP_DEVICE_CREATE };

	q.object = draw_handle(run, client, MODEL_ADAPTER, MODEL_NOTHING);
	run_request(run, client, &q, NULL, 0);
}

static void step_device_destroy(struct run *run, int client)
{
	struct wire_request q = { .opcode = WIRE_OP_DEVICE_DESTROY };

	q.device = draw_handle(run, client, MODEL_DEVICE, MODEL_NOTHING);
	/* A wait that cannot end waits for the end of its client. */
	if (draw_is_patient(run))
		q.flags = 0;
	else
		q.flags = TENURE_END_TERMINATE;
	if (draw_is_bad(run) && chance(run, 10))
		q.flags = UINT32_C(1) << below(run, 32);
	run_request(run, client, &q, NULL, 0);
}

static void step_test_event(struct run *run, int client)
{
	struct wire_request q = { .opcode = WIRE_OP_TEST_EVENT };

	q.flags = 1 + below(run, 3);
	if (q.flags == WIRE_TEST_DEVICE_ERROR)
		q.device =
			draw_handle(run, client, MODEL_DEVICE, MODEL_NOTHING);
	else
		q.object =
			draw_handle(run, client, MODEL_ADAPTER, MODEL_NOTHING);
	run_request(run, client, &q, NULL, 0);
}

static void step_restart_adapters(struct run *run, int client)
{
	struct wire_request q = { .opcode = WIRE_OP_TEST_EVENT,
				  .flags = WIRE_TEST_ADAPTER_START };

	for (int i = 0; i < run->model->n_things; i++) {
		const struct model_thing *t = &run->model->things[i];

		if (t->kind != MODEL_ADAPTER || t->client != client ||
		    !run->model->stopped[t->adapter])
			continue;
		q.object = t->handle;
		run_request(run, client, &q, NULL, 0);
		return;
	}
}

/* ---- Create ---- */

static uint32_t draw_count(struct run *run)
{
	static const uint32_t odd[] = { 0, 1023, 1024, 1025, UINT32_MAX, 300 };

	if (draw_is_bad(run) && chance(run, 20))
		return odd[below(run, ARRAY_SIZE(odd))];
	return 1 + below(run, chance(run, 90) ? 5 : 40);
}

/* Now and then as many as a resource can just hold, or one more, or less. */
static uint32_t draw_count_to_fill(struct run *run, int client, uint64_t handle)
{
	const struct model *m = run->model;
	int resource = model_find(m, client, handle);
	uint32_t held = 0;

	for (int i = 0; i < m->n_things; i++)
		held += m->things[i].kind == MODEL_ALLOCATION &&
			m->things[i].resource == resource;
	if (held >= RESOURCE_CHILDREN_MAX)
		return 1;
	return RESOURCE_CHILDREN_MAX - held + 1 - below(run, 3);
}

/* Behind so many, a size is always right: or hardly any list of a thousand
 * would be. */
enum { ODD_SIZES = 64 };

static uint64_t draw_size(struct run *run)
{
	static const uint64_t odd[] = { 0, ALLOCATION_BYTES_MAX,
					ALLOCATION_BYTES_MAX + 1, UINT64_MAX,
					UINT64_MAX - 4095 };

	if (draw_is_bad(run) && chance(run, 5))
		return odd[below(run, ARRAY_SIZE(odd))];
	return 1 + below(run, chance(run, 80) ? 4097 : 20000);
}

static uint32_t draw_create_flags(struct run *run)
{
	static const uint32_t usual[] = {
		0,
		TENURE_CREATE_RESOURCE,
		TENURE_CREATE_RESOURCE,
		TENURE_CREATE_RESOURCE | TENURE_CREATE_SHARED,
		TENURE_CREATE_RESOURCE | TENURE_CREATE_SHARED,
	};

	if (draw_is_bad(run) && chance(run, 30))
		return chance(run, 50) ? below(run, 8) :
					 UINT32_C(1) << below(run, 32);
	return usual[below(run, ARRAY_SIZE(usual))];
}

static uint32_t draw_private_bytes(struct run *run)
{
	if (draw_is_bad(run) && chance(run, 20))
		return PRIVATE_DATA_MAX + below(run, 2);
	return chance(run, 70) ? 0 : below(run, 200);
}

/* Something that may fail in the next create or open. */
static void step_fault(struct run *run, int client)
{
	static const int statuses[] = { -ENOMEM, -EMFILE, -ENFILE, -ENOSPC };
	struct checking *backend = inproc_backend(run->world, below(run, 2));

	(void)client;
	/* What a refused opening leaves is garbage until it is released. */
	if (run->mode == INPROC_RELEASES_HELD || run->fault)
		return;
	run->fault = true;
	if (chance(run, 40)) {
		run->model->memory_may_fail = true;
		inproc_pages(run->world)->fail_commit = 1 + below(run, 3);
		return;
	}
	run->model->backend_fails = statuses[below(run, 4)];
	if (chance(run, 50))
		checking_fail(backend, CHECKING_CREATE, 1,
			      run->model->backend_fails);
	else
		checking_fail(backend, CHECKING_OPEN, 1 + below(run, 4),
			      run->model->backend_fails);
}

static bool is_crowded(const struct run *run, int client)
{
	return model_count(run->model, MODEL_NOTHING, MODEL_ALLOCATION) >
		       2500 ||
	       model_count(run->model, client, MODEL_RESOURCE) > 100;
}

static void step_create(struct run *run, int client)
{
	static uint8_t args[ARGS_MAX];
	struct wire_request q = { .opcode = WIRE_OP_CREATE };
	struct wire_allocation *sizes = (struct wire_allocation *)(void *)args;
	int device = draw_device(run, client);
	size_t bytes = 0;

	if (is_crowded(run, client))
		return;
	memset(args, 0, sizeof(args));
	q.device = draw_device_handle(run, client, device);
	q.flags = draw_create_flags(run);
	if (chance(run, q.flags == 0 ? 50 : 1))
		q.object =
			draw_handle(run, client, MODEL_RESOURCE,
				    chance(run, 90) ? device : MODEL_NOTHING);
	q.count = draw_count(run);
	if (q.object != 0 && chance(run, 5))
		q.count = draw_count_to_fill(run, client, q.object);
	if (q.flags & TENURE_CREATE_RESOURCE || draw_is_bad(run))
		q.value[0] = draw_private_bytes(run);
	if (q.count <= LIST_ENTRIES_MAX && q.value[0] <= PRIVATE_DATA_MAX) {
		for (uint32_t i = 0; i < q.count; i++)
			sizes[i].size_bytes = i < ODD_SIZES ? draw_size(run) :
							      1;
		bytes = q.count * sizeof(*sizes);
		for (uint64_t i = 0; i < q.value[0]; i++)
			args[bytes + i] = (uint8_t)below(run, 256);
		bytes += q.value[0];
	}
	run_request(run, client, &q, args, bytes);
}

/* ---- Destroy ---- */

static uint32_t draw_destroy_flags(struct run *run)
{
	if (draw_is_bad(run) && chance(run, 20))
		return UINT32_C(1) << below(run, 32);
	if (run->n_pending >= PENDING_MAX / 2)
		return 0;
	return chance(run, 70) ? 0 : below(run, 4);
}

/* Allocations with the same owner, in random order. */
static uint32_t draw_list(struct run *run, int client, int device, int resource,
			  uint64_t *list)
{
	const struct model *m = run->model;
	uint32_t percent = chance(run, 30) ? 100 : 30, n = 0;

	for (int i = 0; i < m->n_things && n < LIST_ENTRIES_MAX; i++)
		if (m->things[i].kind == MODEL_ALLOCATION &&
		    !m->things[i].ghost && m->things[i].client == client &&
		    m->things[i].device == device &&
		    m->things[i].resource == resource && chance(run, percent))
			list[n++] = m->things[i].handle;
	for (uint32_t i = n; i > 1; i--) {
		uint32_t j = below(run, i);
		uint64_t swapped = list[i - 1];

		list[i - 1] = list[j];
		list[j] = swapped;
	}
	return n;
}

/* One or two entries that do not belong. */
static uint32_t spoil_list(struct run *run, int client, int device,
			   uint64_t *list, uint32_t n)
{
	for (uint32_t spoilt = 1 + below(run, 2); spoilt > 0; spoilt--) {
		uint32_t at = n == 0 ? 0 : below(run, n);

		if (n < 2 && n < LIST_ENTRIES_MAX)
			at = n++;
		if (n > 1 && chance(run, 25))
			list[at] = list[below(run, n)];
		else if (chance(run, 50))
			list[at] = draw_handle_of(
				run, draw_thing(run, client, MODEL_ALLOCATION,
						device));
		else
			list[at] = draw_wrong_handle(run, client);
	}
	return n;
}

static void step_destroy_list(struct run *run, int client)
{
	static uint64_t list[LIST_ENTRIES_MAX + 1];
	struct wire_request q = { .opcode = WIRE_OP_DESTROY,
				  .form = WIRE_FORM_LIST };
	int device = draw_device(run, client);
	int resource = chance(run, 50) ?
			       MODEL_NOTHING :
			       draw_thing(run, client, MODEL_RESOURCE, device);
	uint32_t sent;

	q.device = draw_device_handle(run, client, device);
	q.flags = draw_destroy_flags(run);
	q.count = draw_list(run, client, device, resource, list);
	if (draw_is_bad(run))
		q.count = spoil_list(run, client, device, list, q.count);
	sent = q.count;
	if (draw_is_bad(run) && chance(run, 20) && sent > 0)
		sent = below(run, sent);
	run_request(run, client, &q, list, sent * sizeof(*list));
}

static void step_destroy_resource(struct run *run, int client)
{
	struct wire_request q = { .opcode = WIRE_OP_DESTROY };
	int device = draw_device(run, client);

	q.device = draw_device_handle(run, client, device);
	q.flags = draw_destroy_flags(run);
	q.object = draw_handle(run, client, MODEL_RESOURCE,
			       chance(run, 90) ? device : MODEL_NOTHING);
	if (draw_is_bad(run) && chance(run, 20)) {
		/* A17, A18 */
		if (chance(run, 50))
			q.count = below(run, 3000);
		else
			q.form = WIRE_FORM_LIST;
	}
	run_request(run, client, &q, NULL, 0);
}

/* Resource and list, no list with a count, a list that is too long, ... */
static void step_destroy_shapes(struct run *run, int client)
{
	static const uint32_t counts[] = { 0, 1, 2, 1024, 1025, UINT32_MAX };
	uint64_t list[2];
	struct wire_request q = { .opcode = WIRE_OP_DESTROY };
	int device = draw_device(run, client);
	size_t bytes = 0;

	q.device = draw_device_handle(run, client, device);
	q.flags = draw_destroy_flags(run);
	q.form = (uint8_t)below(run, 2);
	q.count = counts[below(run, ARRAY_SIZE(counts))];
	if (chance(run, 50))
		q.object = draw_handle(run, client, MODEL_RESOURCE, device);
	for (int i = 0; i < 2; i++)
		list[i] = draw_handle(run, client, MODEL_ALLOCATION, device);
	if (q.form == WIRE_FORM_LIST && q.count <= 2)
		bytes = q.count * sizeof(list[0]);
	run_request(run, client, &q, list, bytes);
}

/* Of any device, of any kind, and in any order. */
static void step_free_queue(struct run *run, int client)
{
	static uint64_t list[LIST_ENTRIES_MAX];
	uint32_t n = chance(run, 70) ? below(run, 6) : below(run, 200);

	for (uint32_t i = 0; i < n; i++) {
		enum model_kind kind = chance(run, 15) ? MODEL_RESOURCE :
							 MODEL_ALLOCATION;

		if (draw_is_bad(run) && chance(run, 30))
			kind = (enum model_kind)(1 + below(run, MODEL_FENCE));
		list[i] = draw_handle(run, client, kind, MODEL_NOTHING);
	}
	run_free(run, client, list, n);
}

/* ---- Sharing ---- */

uint32_t draw_rights(struct run *run)
{
	if (draw_is_bad(run))
		return chance(run, 80) ? below(run, 5) :
					 UINT32_C(1) << below(run, 32);
	return chance(run, 50) ? TENURE_RIGHT_READ :
				 TENURE_RIGHT_READ | TENURE_RIGHT_WRITE;
}

/* A resource that can be shared, if a few draws find one. */
static int draw_shareable(struct run *run, int client)
{
	int drawn = MODEL_NOTHING;

	for (int i = 0; i < 4; i++) {
		drawn = draw_thing(run, client, MODEL_RESOURCE, MODEL_NOTHING);
		if (drawn == MODEL_NOTHING ||
		    run->model->things[drawn].object != MODEL_NOTHING)
			break;
	}
	return drawn;
}

static void step_share(struct run *run, int client)
{
	struct wire_request q = { .opcode = WIRE_OP_SHARE };
	int resource = draw_shareable(run, client);

	if (model_client_holds(run->model, client, CHARGE_TOKENS) > 20)
		return;
	q.flags = draw_rights(run);
	q.device =
		draw_device_handle(run, client,
				   resource == MODEL_NOTHING ?
					   draw_device(run, client) :
					   run->model->things[resource].device);
	q.object = draw_is_bad(run) ? draw_wrong_handle(run, client) :
				      draw_handle_of(run, resource);
	run_request(run, client, &q, NULL, 0);
}

static void step_revoke(struct run *run, int client)
{
	const struct model *m = run->model;
	struct wire_request q = { .opcode = WIRE_OP_TOKEN_REVOKE };
	uint32_t n = 0;

	draw_token(run, MODEL_RESOURCE, q.value);
	if (!draw_is_bad(run))
		for (int i = 0; i < MODEL_TOKENS; i++)
			if (m->tokens[i].used &&
			    m->tokens[i].client == client &&
			    below(run, ++n) == 0)
				memcpy(q.value, m->tokens[i].value,
				       sizeof(q.value));
	run_request(run, client, &q, NULL, 0);
}

static void step_query(struct run *run, int client)
{
	struct wire_request q = { .opcode = WIRE_OP_QUERY };

	draw_token(run, MODEL_RESOURCE, q.value);
	run_request(run, client, &q, NULL, 0);
}

static void step_open(struct run *run, int client)
{
	struct wire_request q = { .opcode = WIRE_OP_OPEN };
	int device = draw_device(run, client), token;

	if (is_crowded(run, client))
		return;
	draw_token(run, MODEL_RESOURCE, q.value);
	token = model_token_of(run->model, q.value, MODEL_RESOURCE);
	if (token != MODEL_NOTHING) {
		const struct model_object *object =
			&run->model->objects[run->model->tokens[token].object];

		q.count = object->count;
		q.object = object->private_bytes;
		if (draw_is_bad(run) && chance(run, 30))
			q.count += 1 - below(run, 3);
		if (draw_is_bad(run) && chance(run, 30))
			q.object += 1 - (uint64_t)below(run, 3);
		if (chance(run, 50))
			q.flags = run->model->tokens[token].rights;
	}
	if (draw_is_bad(run))
		q.flags = draw_rights(run);
	q.device = draw_device_handle(run, client, device);
	run_request(run, client, &q, NULL, 0);
}

/* ---- Memory ---- */

static void step_map(struct run *run, int client)
{
	struct wire_request q = { .opcode = WIRE_OP_MAP };
	int device = draw_device(run, client);

	q.device = draw_device_handle(run, client, device);
	q.object = draw_handle(run, client, MODEL_ALLOCATION, device);
	q.flags = draw_is_bad(run) ? UINT32_C(1) << below(run, 32) :
				     below(run, 4);
	run_request(run, client, &q, NULL, 0);
}

static void step_unmap(struct run *run, int client)
{
	const struct model *m = run->model;
	struct wire_request q = { .opcode = WIRE_OP_UNMAP };
	int device = draw_device(run, client);
	uint32_t n = 0;

	q.object = draw_handle(run, client, MODEL_ALLOCATION, device);
	if (!draw_is_bad(run))
		for (int i = 0; i < m->n_things; i++)
			if (m->things[i].kind == MODEL_ALLOCATION &&
			    m->things[i].client == client &&
			    m->things[i].maps > 0 && below(run, ++n) == 0) {
				q.object = m->things[i].handle;
				device = m->things[i].device;
			}
	q.device = draw_device_handle(run, client, device);
	run_request(run, client, &q, NULL, 0);
}

static void step_stat(struct run *run, int client)
{
	static const uint8_t ops[] = { WIRE_OP_STAT,	WIRE_OP_STAT,
				       WIRE_OP_PING,	WIRE_OP_STATUS,
				       WIRE_OP_CLIENTS, WIRE_OP_RESOURCES,
				       WIRE_OP_LIMITS,	WIRE_OP_CHECK,
				       WIRE_OP_EVENTS };
	struct wire_request q = { .opcode = ops[below(run, ARRAY_SIZE(ops))] };

	run_request(run, client, &q, NULL, 0);
}

/* ---- Clients and time ---- */

static void step_connect(struct run *run, int client)
{
	(void)client;
	for (int c = 0; c < MODEL_CLIENTS; c++)
		if (!run->model->clients[c].used) {
			run_connect(run);
			return;
		}
}

static void step_die(struct run *run, int client)
{
	run_die(run, client);
}

static void step_violate(struct run *run, int client)
{
	run_violate(run, client);
}

static void step_pump(struct run *run, int client)
{
	(void)client;
	for (uint32_t rounds = 1 + below(run, 8); rounds > 0; rounds--)
		run_pump(run);
}

static void step_settle(struct run *run, int client)
{
	(void)client;
	run_settle(run);
}

static void step_pace(struct run *run, int client)
{
	(void)client;
	run->mode = (enum inproc_releases)below(run, 3);
	inproc_releases(run->world, run->mode);
}

/* A release that fails is tried again; nobody but the counter notices. */
static void step_release_fault(struct run *run, int client)
{
	(void)client;
	checking_fail(inproc_backend(run->world, below(run, 2)),
		      CHECKING_DESTROY, 1 + below(run, 3), -EIO);
}

/* ---- Work ---- */

static void step_context_create(struct run *run, int client)
{
	struct wire_request q = { .opcode = WIRE_OP_CONTEXT_CREATE };

	if (model_count(run->model, client, MODEL_CONTEXT) > 24)
		return;
	q.device = draw_device_handle(run, client, draw_device(run, client));
	run_request(run, client, &q, NULL, 0);
}

/* A context, and its device. */
static int draw_context(struct run *run, int client, struct wire_request *q)
{
	int context = draw_thing(run, client, MODEL_CONTEXT, MODEL_NOTHING);

	q->object = draw_is_bad(run) ? draw_wrong_handle(run, client) :
				       draw_handle_of(run, context);
	q->device = draw_device_handle(
		run, client,
		context == MODEL_NOTHING ? draw_device(run, client) :
					   run->model->things[context].device);
	return context;
}

static void step_context_destroy(struct run *run, int client)
{
	struct wire_request q = { .opcode = WIRE_OP_CONTEXT_DESTROY };

	draw_context(run, client, &q);
	q.flags = draw_is_patient(run) ? 0 : TENURE_END_TERMINATE;
	if (draw_is_bad(run) && chance(run, 10))
		q.flags = UINT32_C(1) << below(run, 32);
	run_request(run, client, &q, NULL, 0);
}

/* Up to a few allocations of the device, whoever's they are. */
static uint32_t draw_used(struct run *run, int client, int device,
			  uint64_t *list)
{
	uint32_t n = below(run, chance(run, 80) ? 6 : 60), used = 0;

	for (uint32_t i = 0; i < n; i++) {
		int thing = draw_thing(run, client, MODEL_ALLOCATION, device);

		if (thing != MODEL_NOTHING)
			list[used++] = draw_handle_of(run, thing);
	}
	if (draw_is_bad(run))
		used = spoil_list(run, client, device, list, used);
	return used;
}

static void step_submit(struct run *run, int client)
{
	static uint64_t list[LIST_ENTRIES_MAX];
	struct wire_request q = { .opcode = WIRE_OP_CONTEXT_SUBMIT };
	int context = draw_context(run, client, &q);
	uint32_t sent;

	if (run->model->n_uses > MODEL_USES / 2)
		return;
	if (context != MODEL_NOTHING) {
		q.value[0] =
			run->model->things[context].submitted + below(run, 3);
		q.count = draw_used(run, client,
				    run->model->things[context].device, list);
	}
	if (draw_is_bad(run) && chance(run, 20))
		q.value[0] = chance(run, 50) ? 0 : q.value[0] / 2;
	if (draw_is_bad(run) && chance(run, 3))
		q.value[0] = UINT64_MAX - below(run, 3);
	sent = q.count;
	if (draw_is_bad(run) && chance(run, 10))
		q.count += 1 + below(run, 2000);
	run_request(run, client, &q, list, sent * sizeof(*list));
}

static void progress_of(struct run *run, int client, int context,
			uint64_t value)
{
	const struct model_thing *t = &run->model->things[context];
	struct wire_request q = { .opcode = WIRE_OP_CONTEXT_PROGRESS,
				  .object = t->handle,
				  .device =
					  run->model->things[t->device].handle,
				  .value = { value } };

	run_request(run, client, &q, NULL, 0);
}

static void step_progress(struct run *run, int client)
{
	struct wire_request q = { .opcode = WIRE_OP_CONTEXT_PROGRESS };
	int context = draw_context(run, client, &q);
	const struct model_thing *t;

	if (context != MODEL_NOTHING) {
		t = &run->model->things[context];
		q.value[0] = t->done + below(run, 4);
		if (chance(run, 30))
			q.value[0] = t->submitted;
		if (draw_is_bad(run))
			q.value[0] = run_draw(run);
	}
	run_request(run, client, &q, NULL, 0);
}

/* The same by its word, and the bell. */
static void step_word(struct run *run, int client)
{
	struct model *m = run->model;
	int context = draw_thing(run, client, MODEL_CONTEXT, MODEL_NOTHING);
	struct wire_request q = { .opcode = WIRE_OP_CONTEXT_PROGRESS };

	if (context == MODEL_NOTHING || m->things[context].dying)
		return;
	q.object = m->things[context].handle;
	/* A word that was ahead of the work would count once there is more. */
	q.value[0] = min_u64(m->things[context].done + below(run, 4),
			     m->things[context].submitted);
	inproc_store_word(run->world, m->clients[client].id,
			  m->things[context].position, q.value[0]);
	inproc_ring_bell(run->world, m->clients[client].id);
	model_apply(m, client, &q, NULL, &(struct wire_reply){ 0 }, NULL);
	model_ring_bell(m, client);
}

/* All work of a client ends: then all is known exactly. */
static void step_finish(struct run *run, int client)
{
	for (int i = 0; i < run->model->n_things; i++) {
		const struct model_thing *t = &run->model->things[i];

		if (t->kind == MODEL_CONTEXT && t->client == client &&
		    t->done < t->submitted)
			progress_of(run, client, i, t->submitted);
	}
}

static void step_allocate(struct run *run, int client)
{
	static struct wire_allocation sizes[LIST_ENTRIES_MAX];
	struct wire_request q = { .opcode = WIRE_OP_CONTEXT_ALLOCATION_CREATE };

	if (is_crowded(run, client))
		return;
	draw_context(run, client, &q);
	q.flags = chance(run, 70) ? 0 : 1;
	if (draw_is_bad(run) && chance(run, 10))
		q.flags = UINT32_C(1) << below(run, 32);
	q.count = draw_count(run);
	if (q.count > LIST_ENTRIES_MAX)
		q.count = 3;
	for (uint32_t i = 0; i < q.count; i++)
		sizes[i] = (struct wire_allocation){ draw_size(run), 0 };
	run_request(run, client, &q, sizes, q.count * sizeof(sizes[0]));
}

static void step_free(struct run *run, int client)
{
	struct wire_request q = { .opcode =
					  WIRE_OP_CONTEXT_ALLOCATION_DESTROY };

	q.object = draw_handle(run, client, MODEL_ADAPTER, MODEL_NOTHING);
	q.value[0] = draw_handle(run, client, MODEL_CONTEXT_ALLOCATION,
				 MODEL_NOTHING);
	run_request(run, client, &q, NULL, 0);
}

/* ---- Pins ---- */

enum { PINS_MAX = 24 };

/* A living thing's slot, as another thread pins it that has looked it up. */
static struct slot *pin_thing(struct run *run, int thing)
{
	const struct model_thing *t = &run->model->things[thing];
	const struct region *region = &inproc_broker(run->world)->env.region;
	uint32_t client = run->model->clients[t->client].id;
	struct handle handle =
		handle_from_wire(t->handle, session_at(region, client)->secret);

	return table_pin(region, table_owner(region, handle), handle);
}

static uint32_t pin_some(struct run *run, int client, struct slot **ret)
{
	static const enum model_kind kinds[] = { MODEL_ALLOCATION,
						 MODEL_ALLOCATION,
						 MODEL_RESOURCE,
						 MODEL_CONTEXT_ALLOCATION };
	uint32_t n = 0;

	for (uint32_t i = 1 + below(run, PINS_MAX); i > 0; i--) {
		int thing = draw_thing(run, client,
				       kinds[below(run, ARRAY_SIZE(kinds))],
				       MODEL_NOTHING);

		if (thing == MODEL_NOTHING)
			continue;
		ret[n] = pin_thing(run, thing);
		n += ret[n] != NULL;
	}
	return n;
}

/* Until all that was set aside has come back. */
static void unpin(struct run *run, struct slot *const *slots, uint32_t n)
{
	const struct region *region = &inproc_broker(run->world)->env.region;

	while (n > 0)
		table_unpin(slots[--n]);
	for (int i = 0; region_state(region)->pinned.count > 0; i++) {
		if (i == 1000)
			diverge(run, "what is not pinned stays aside");
		inproc_advance_ns(run->world, PINNED_PERIOD_NS);
		run_pump(run);
	}
}

/* What may happen to a slot while somebody pins it. */
static void step_pins(struct run *run, int client)
{
	static void (*const makes[])(struct run * run, int client) = {
		step_destroy_list, step_destroy_resource, step_free_queue,
		step_free,	   step_device_destroy,	  step_die,
		step_finish,	   step_release_fault,	  step_create,
	};
	struct slot *pinned[PINS_MAX];
	uint32_t n;

	/* What ends a fault wants all to come to rest. */
	if (run->fault)
		return;
	n = pin_some(run, client, pinned);
	for (uint32_t i = 1 + below(run, 3); i > 0; i--) {
		if (run->model->clients[client].alive)
			makes[below(run, ARRAY_SIZE(makes))](run, client);
		/* Some of them until it is set aside. */
		for (uint32_t k = chance(run, 20) ? 300 : below(run, 8); k > 0;
		     k--)
			run_pump(run);
	}
	unpin(run, pinned, n);
}

const struct step steps[] = {
	{ "connect", step_connect, 30, true, true },
	{ "adapter open", step_adapter_open, 30, true, false },
	{ "device create", step_device_create, 30, true, false },
	{ "create", step_create, 160, true, false },
	{ "pump", step_pump, 100, true, true },
	{ "settle", step_settle, 20, true, true },
	{ "die", step_die, 6, false, false },
	{ "violate", step_violate, 2, false, false },
	{ "adapter close", step_adapter_close, 10, false, false },
	{ "device destroy", step_device_destroy, 12, false, false },
	{ "test event", step_test_event, 3, false, false },
	{ "restart adapters", step_restart_adapters, 8, true, false },
	{ "destroy list", step_destroy_list, 120, false, false },
	{ "destroy resource", step_destroy_resource, 80, false, false },
	{ "destroy shapes", step_destroy_shapes, 20, false, false },
	{ "share", step_share, 50, false, false },
	{ "revoke", step_revoke, 20, false, false },
	{ "query", step_query, 20, false, false },
	{ "open", step_open, 80, false, false },
	{ "map", step_map, 40, false, false },
	{ "unmap", step_unmap, 20, false, false },
	{ "stat", step_stat, 30, false, false },
	{ "pace", step_pace, 8, false, true },
	{ "fault", step_fault, 15, false, false },
	{ "release fault", step_release_fault, 5, false, true },
	{ "context create", step_context_create, 40, false, false },
	{ "context destroy", step_context_destroy, 15, false, false },
	{ "submit", step_submit, 150, false, false },
	{ "progress", step_progress, 60, false, false },
	{ "word", step_word, 40, false, false },
	{ "finish", step_finish, 30, true, false },
	{ "context allocate", step_allocate, 20, false, false },
	{ "context free", step_free, 20, false, false },
	{ "fence create", step_fence_create, 30, false, false },
	{ "fence destroy", step_fence_destroy, 10, false, false },
	{ "fence share", step_fence_share, 25, false, false },
	{ "fence open", step_fence_open, 40, false, false },
	{ "fence signal", step_fence_signal, 60, false, false },
	{ "fence value", step_fence_value, 15, false, false },
	{ "fence wait", step_fence_wait, 90, false, false },
	{ "fence cancel", step_fence_cancel, 15, false, false },
	{ "fence word", step_fence_word, 30, false, false },
	{ "free queue", step_free_queue, 40, false, false },
	{ "pins", step_pins, 8, false, false },
};

const uint32_t n_steps = ARRAY_SIZE(steps);
