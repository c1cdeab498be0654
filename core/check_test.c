/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A checker that cannot fail is no checker: here each invariant is broken by
 * hand, must be reported in the words that say what it is, and is restored.
 */
#include "core/check.h"

#include "core/object.h"
#include "core/words.h"

#include "tests/support/specimen.h"

static int check(struct specimen *sp, char message[256])
{
	struct test_pages memory = { 0 };
	struct pages scratch = test_pages_interface(&memory);

	return check_state(inproc_broker(sp->world), &scratch, message, 256);
}

static void expect_report(struct specimen *sp, const char *what, int line)
{
	char message[256];

	if (check(sp, message) != -EUCLEAN)
		fail_msg("line %d: nothing is reported", line);
	if (strstr(message, what) == NULL)
		fail_msg("line %d: \"%s\"", line, message);
}

static void expect_clean(struct specimen *sp, int line)
{
	char message[256];

	if (check(sp, message) != 0)
		fail_msg("line %d, restored: \"%s\"", line, message);
}

enum { NOWHERE = 1 << 20 };

/* Sets a field to another value, wants that reported, and puts it back. */
#define BREAK(sp, field, value, what)                 \
	do {                                          \
		__typeof__(field) saved_ = (field);   \
		(field) = (__typeof__(field))(value); \
		expect_report(sp, what, __LINE__);    \
		(field) = saved_;                     \
		expect_clean(sp, __LINE__);           \
	} while (0)

#define OFF_BY_ONE(sp, field, what)                  \
	do {                                         \
		BREAK(sp, field, (field) + 1, what); \
		BREAK(sp, field, (field)-1, what);   \
	} while (0)

static void g1_a_check_changes_nothing(void **state)
{
	struct specimen *sp = *state;
	struct image *image = image_take(sp->world);
	char message[256];

	assert_int_equal(check(sp, message), 0);
	assert_string_equal(message, "");
	image_same(sp->world, image);
}

static void g2_totals(void **state)
{
	struct specimen *sp = *state;
	struct state *s = world_state(sp->world);

	OFF_BY_ONE(sp, s->n_sessions, "sessions in all");
	BREAK(sp, s->n_ending, 1, "ending sessions in all");
	BREAK(sp, s->n_noticed, 1, "noticed sessions in all");
	OFF_BY_ONE(sp, s->n_devices, "devices in all");
	OFF_BY_ONE(sp, s->n_resources, "resources in all");
	OFF_BY_ONE(sp, s->n_allocations, "allocations in all");
	OFF_BY_ONE(sp, s->n_objects, "objects in all");
	OFF_BY_ONE(sp, s->n_tokens, "tokens in all");
	OFF_BY_ONE(sp, s->n_stores, "stores in all");
	OFF_BY_ONE(sp, s->store_bytes, "bytes in all stores");
}

static void g2_numbers_of_a_session(void **state)
{
	struct specimen *sp = *state;
	struct session *s = seat_session(&sp->maker);

	OFF_BY_ONE(sp, s->n_resources, "resources of session");
	OFF_BY_ONE(sp, s->n_allocations, "allocations of session");
	OFF_BY_ONE(sp, s->n_retired, "retired slots of session");
	OFF_BY_ONE(sp, s->n_devices, "devices of session");
	OFF_BY_ONE(sp, s->n_tokens, "tokens of session");
	OFF_BY_ONE(sp, s->stream.count, "items of stream");
}

static void g2_accounts(void **state)
{
	struct specimen *sp = *state;
	struct session *s = seat_session(&sp->maker);
	struct principal *p =
		principal_at(world_region(sp->world), s->principal);

	for (int kind = 0; kind < CHARGE_KINDS; kind++) {
		OFF_BY_ONE(sp, s->account.used[kind], "account of session");
		OFF_BY_ONE(sp, p->account.used[kind], "account of principal");
	}
	OFF_BY_ONE(sp, p->refs, "references of principal");
}

static void g2_pools(void **state)
{
	static const enum area pools[] = {
		AREA_SESSIONS, AREA_PRINCIPALS, AREA_DEVICES,
		AREA_STORES,   AREA_OBJECTS,	AREA_HOLDINGS,
		AREA_TOKENS,   AREA_WAITERS,	AREA_CHUNKS,
	};
	struct specimen *sp = *state;
	struct region *region = world_region(sp->world);

	for (size_t i = 0; i < ARRAY_SIZE(pools); i++) {
		struct area_head *head = region_area(region, pools[i]);
		struct record *free;

		BREAK(sp, head->free_count, head->free_count + 1,
		      "free records of pool");
		if (head->free_head == 0)
			continue;
		free = pool_at(region, pools[i], head->free_head);
		BREAK(sp, free->link, head->free_head, "of pool");
		BREAK(sp, head->free_head, 0, "length of free list");
	}
}

static void g2_a_record_that_is_free_and_used(void **state)
{
	struct specimen *sp = *state;
	struct region *region = world_region(sp->world);
	struct area_head *head = region_area(region, AREA_TOKENS);
	uint32_t used = seat_session(&sp->maker)->first_token;
	struct record *free = pool_at(region, AREA_TOKENS, head->free_head);

	BREAK(sp, free->in_use, 1, "free record");
	BREAK(sp, head->free_head, used, "free record in use");
}

/* What nobody adds, or somebody else: check_slots G1. */
static void g2_segments_and_slots(void **state)
{
	struct specimen *sp = *state;
	struct region *region = world_region(sp->world);
	struct owner *owner = &seat_device(&sp->maker, sp->maker.device)->owner;
	struct segment *segment = segment_at(region, owner->segments);
	struct slot *slot = seat_slot(&sp->maker, sp->own[1]);
	uint32_t index = seat_slot_index(&sp->maker, sp->own[1]);
	struct free_map *map = free_map_at(region, owner->segments);
	uint64_t *bits = &map->bits[index % SEGMENT_SLOTS / 64];
	uint64_t bit = UINT64_C(1) << (index % 64);
	atomic_u32 *owners = region_start(region, AREA_SEGMENT_OWNERS);

	BREAK(sp, *bits, *bits | bit, "free bit of slot");
	BREAK(sp, map->bits[SEGMENT_WORDS - 1], 0, "free bit of slot");
	OFF_BY_ONE(sp, segment->free, "free slots of segment");
	BREAK(sp, segment->dead, 1, "dead slots of segment");
	OFF_BY_ONE(sp, owner->live, "live slots of owner");
	OFF_BY_ONE(sp, owner->free, "free slots of owner");
	OFF_BY_ONE(sp, seat_session(&sp->maker)->owner.live,
		   "live slots of owner");
	BREAK(sp, owners[owner->segments], 1, "owner of segment");
	BREAK(sp, owner->segments, 0, "");
	BREAK(sp, slot->control, slot->control + 1, "pins of slot");
	BREAK(sp, slot->control,
	      slot->control + (UINT64_C(1) << SLOT_STATE_SHIFT), "");
	BREAK(sp, slot->control,
	      slot->control - (UINT64_C(1) << SLOT_STATE_SHIFT),
	      "free bit of slot");
}

static void g2_the_depot(void **state)
{
	struct specimen *sp = *state;
	struct region *region = world_region(sp->world);
	uint32_t depot = table_depot_next(region, DEPOT_WARM, 0);
	struct segment *segment = segment_at(region, depot);
	struct slot *slot = slot_at(region, depot << SEGMENT_SLOTS_LOG2);
	atomic_u32 *owners = region_start(region, AREA_SEGMENT_OWNERS);

	assert_int_not_equal(depot, 0);
	BREAK(sp, owners[depot], 1, "owner of segment in depot");
	BREAK(sp, segment->free, 7, "free slots of segment");
	BREAK(sp, slot->control,
	      slot->control + (UINT64_C(1) << SLOT_STATE_SHIFT),
	      "free bit of slot");
	/* A segment that somebody has. */
	BREAK(sp, world_state(sp->world)->depots[DEPOT_WARM].head,
	      seat_session(&sp->maker)->owner.segments,
	      "owner of segment in depot");
}

static void g2_runs_and_back_positions(void **state)
{
	struct specimen *sp = *state;
	struct region *region = world_region(sp->world);
	struct slot *parent = seat_slot(&sp->maker, sp->private);
	struct slot *child = seat_slot(&sp->maker, sp->child[1]);
	uint32_t *run = block_at(region, parent->resource.run);

	BREAK(sp, child->allocation.position, 0, "back-position");
	BREAK(sp, child->allocation.position, 99, "position of allocation");
	BREAK(sp, run[1], run[2], "");
	BREAK(sp, run[0], seat_slot_index(&sp->maker, sp->own[0]), "");
	BREAK(sp, run[2], seat_slot_index(&sp->maker, sp->shared), "");
	BREAK(sp, parent->resource.count, 2, "position of allocation");
	BREAK(sp, child->allocation.parent,
	      seat_slot_index(&sp->maker, sp->shared), "");
	BREAK(sp, child->allocation.parent, 0, "parent of child");
}

static void g2_memory_of_allocations(void **state)
{
	struct specimen *sp = *state;
	struct region *region = world_region(sp->world);
	struct slot *slot = seat_slot(&sp->maker, sp->own[0]);
	struct slot *child = seat_slot(&sp->maker, sp->child[0]);
	uint32_t *refs = &store_refs(region)[slot->allocation.store];

	BREAK(sp, slot->allocation.size_bytes, 2 * PAGE_BYTES, "");
	BREAK(sp, slot->allocation.store, child->allocation.store,
	      "references of store");
	BREAK(sp, slot->allocation.store, 0, "store of allocation");
	BREAK(sp, slot->allocation.store, 1u << 20, "store of allocation");
	OFF_BY_ONE(sp, *refs, "references of store");
}

static void g2_objects_holdings_tokens(void **state)
{
	struct specimen *sp = *state;
	struct region *region = world_region(sp->world);
	struct slot *opening = seat_slot(&sp->opener, sp->opened);
	struct object *o = object_at(region, opening->resource.object);
	struct holding *h = holding_at(region, o->holdings);
	struct layout_entry *layout = block_at(region, o->layout);
	struct token *t =
		token_at(region, token_find(world_env(sp->world), sp->token));

	OFF_BY_ONE(sp, o->refs, "references of");
	OFF_BY_ONE(sp, o->tokens, "tokens of object");
	OFF_BY_ONE(sp, h->refs, "holding");
	BREAK(sp, h->object, 1u << 20, "object of holding");
	BREAK(sp, o->size_bytes, o->size_bytes + PAGE_BYTES, "");
	BREAK(sp, layout[1].size_bytes, 0, "bytes of object");
	BREAK(sp, o->store, 0, "store of object");
	BREAK(sp, opening->resource.object, 1u << 20, "object of opening");
	BREAK(sp, opening->resource.released, 1, "");
	BREAK(sp, t->object, 0, "object of token");
	BREAK(sp, t->object, 1u << 20, "object of token");
	BREAK(sp, t->session, sp->opener.client, "");
}

static void g2_streams_and_chunks(void **state)
{
	struct specimen *sp = *state;
	struct region *region = world_region(sp->world);
	struct session *s = seat_session(&sp->maker);
	struct chunk *chunk = chunk_at(region, s->stream.head);
	uint32_t leaked;

	BREAK(sp, chunk->items[s->stream.read],
	      seat_slot_index(&sp->maker, sp->own[0]), "state of retired slot");
	BREAK(sp, chunk->items[s->stream.read], UINT32_C(1) << 31 | 1u << 20,
	      "use of object in a stream");
	BREAK(sp, chunk->used, chunk->used - 1, "");
	assert_int_equal(pool_reserve(region, AREA_CHUNKS, 1), 0);
	leaked = pool_take(region, AREA_CHUNKS);
	expect_report(sp, "chunks of streams", __LINE__);
	pool_give(region, AREA_CHUNKS, leaked);
	expect_clean(sp, __LINE__);
}

/* One item gone from the stream, and the count with it. */
static void g2_a_retired_slot_that_nobody_will_free(void **state)
{
	struct specimen *sp = *state;
	struct session *s = seat_session(&sp->maker);

	s->stream.read++;
	s->stream.count--;
	expect_report(sp, "retired slots in stream", __LINE__);
	s->stream.read--;
	s->stream.count++;
	expect_clean(sp, __LINE__);
}

static void g2_blocks(void **state)
{
	struct specimen *sp = *state;
	struct state *s = world_state(sp->world);
	unsigned int class = 0;
	uint32_t block;

	while (s->block_free[class] == 0)
		class ++;
	BREAK(sp, s->block_free[class], 0, "units of blocks");
	assert_int_equal(block_new(world_region(sp->world), 100, &block), 0);
	expect_report(sp, "units of blocks", __LINE__);
	block_free(world_region(sp->world), block, 100);
	expect_clean(sp, __LINE__);
}

/* Somebody has another one's, of the same size, and nobody has his. */
static void g2_blocks_that_were_taken_for_others(void **state)
{
	struct specimen *sp = *state;
	struct words *words = &seat_session(&sp->maker)->words;
	uint32_t *free_head, copy, size = words->capacity * 8;
	unsigned int class = 0;

	assert_int_equal(block_new(world_region(sp->world), size, &copy), 0);
	memcpy(block_at(world_region(sp->world), copy),
	       block_at(world_region(sp->world), words->block), size);
	block_free(world_region(sp->world), copy, size);
	while (1u << class < block_units(size))
		class ++;
	free_head = &world_state(sp->world)->block_free[class];
	assert_int_equal(*free_head, copy);
	expect_clean(sp, __LINE__);
	*free_head = words->block;
	expect_report(sp, "holders of block", __LINE__);
	*free_head = copy;
	BREAK(sp, *free_head, 1u << 30, "block, there");
}

static void g2_waiters(void **state)
{
	struct specimen *sp = *state;
	struct region *region = world_region(sp->world);
	struct slot *slot = seat_slot(&sp->maker, sp->dying[0]);
	struct waiter *w = waiter_at(region, slot->waiter);

	OFF_BY_ONE(sp, w->remaining, "what a waiter waits for");
	BREAK(sp, slot->waiter, 0, "what a waiter waits for");
	BREAK(sp, slot->waiter, 1u << 19, "waiter of a slot or device");
	BREAK(sp, w->session, sp->opener.client, "");
}

static void g2_devices(void **state)
{
	struct specimen *sp = *state;
	struct device *d = seat_device(&sp->maker, sp->maker.device);
	struct slot *slot = seat_slot(&sp->maker, sp->maker.device);

	BREAK(sp, d->sweep, SWEEP_DRAIN, "sweep of a device");
	BREAK(sp, slot->device.device, slot->device.device + 1,
	      "device of its slot");
	BREAK(sp, d->session, sp->opener.client, "");
}

static void g2_opens_and_streams(void **state)
{
	struct specimen *sp = *state;
	struct region *region = world_region(sp->world);
	struct session *s = seat_session(&sp->maker);
	struct chunk *tail = chunk_at(region, s->stream.tail);

	OFF_BY_ONE(sp, s->adapter_opens[0], "opens of an adapter");
	BREAK(sp, s->adapter_opens[1], 1, "opens of an adapter");
	BREAK(sp, s->stream.tail, NOWHERE, "tail of stream");
	BREAK(sp, tail->next, NOWHERE, "chunk behind a tail");
}

/* Of a segment that is not mixed no slot may be ahead. */
static void g2_generations(void **state)
{
	struct specimen *sp = *state;
	struct region *region = world_region(sp->world);
	uint32_t slot = seat_slot_index(&sp->maker, sp->own[0]);
	struct segment *segment =
		segment_at(region, slot >> SEGMENT_SLOTS_LOG2);
	struct segment saved = *segment;

	segment->mixed = 0;
	segment->generation = 1000;
	BREAK(sp, segment->generation, 0, "generation of slot");
	*segment = saved;
}

/* check_work G1 */
static void g2_contexts(void **state)
{
	struct specimen *sp = *state;
	struct context *c = seat_context(&sp->maker, sp->context);
	struct context *idle = seat_context(&sp->maker, sp->idle);
	struct slot *parked = seat_slot(&sp->maker, sp->used[0]);
	struct session *s = seat_session(&sp->maker);

	BREAK(sp, c->done, c->submitted + 1, "done of context");
	BREAK(sp, c->done, 7, "context with items to move");
	BREAK(sp, c->submitted, 6, "last value of timeline");
	BREAK(sp, c->who, idle->who, "context of its word");
	BREAK(sp, c->slot, idle->slot, "context of its slot");
	BREAK(sp, c->state, CONTEXT_ENDING, "context awaited");
	BREAK(sp, c->is_reached, 1, "context with items to move");
	BREAK(sp, idle->is_quiet, 1, "context that can go");
	BREAK(sp, idle->next, 0, "contexts of device");
	BREAK(sp, c->timeline.first_value, 0, "first value of timeline");
	OFF_BY_ONE(sp, c->timeline.last_value, "value of the last record");
	BREAK(sp, c->timeline.last, 1, "value of the last record");
	BREAK(sp, c->timeline.last, CHUNK_ITEMS, "last record of timeline");
	BREAK(sp, parked->use_who, idle->who, "context that an item waits for");
	BREAK(sp, parked->use_value, 8, "value that an item waits for");
	OFF_BY_ONE(sp, s->n_parked, "parked items of session");
	BREAK(sp, s->n_quiescing, 1, "quiescing contexts of session");
	OFF_BY_ONE(sp, s->words.live, "words of session");
	BREAK(sp, s->words.first_free, c->who & WORD_MASK, "free word");
	BREAK(sp, s->words.first_free, s->words.used, "end of the free words");
	OFF_BY_ONE(sp, world_state(sp->world)->n_contexts, "contexts in all");
	OFF_BY_ONE(sp, world_state(sp->world)->n_items, "items of all streams");
	OFF_BY_ONE(sp, world_state(sp->world)->n_streams, "streams in all");
}

/* check_work G1 */
static void g2_uses_and_context_memory(void **state)
{
	struct specimen *sp = *state;
	struct region *region = world_region(sp->world);
	struct slot *both = seat_slot(&sp->maker, sp->used[1]);
	struct slot *mine = seat_slot(&sp->maker, sp->scratch[1]);
	struct users *users = users_at(region, (uint32_t)both->use_value);

	BREAK(sp, both->use_value, 1u << 19, "users of allocation");
	BREAK(sp, both->use_who, 0, "users in all");
	BREAK(sp, users->next, (uint32_t)both->use_value, "end of the users");
	BREAK(sp, users->slot, users->slot + 1, "slot of users");
	BREAK(sp, store_at(region, both->allocation.store)->born, 0,
	      "store of an allocation, born");
	BREAK(sp, mine->use_who, 0, "context allocation in its run");
	BREAK(sp, mine->allocation.position, 0,
	      "context allocation in its run");
	BREAK(sp, seat_context(&sp->maker, sp->context)->count, 1,
	      "context allocation in its run");
}

static void g2_fences_and_waits(void **state)
{
	struct specimen *sp = *state;
	struct region *region = world_region(sp->world);
	struct slot *slot = seat_slot(&sp->maker, sp->fence);
	struct fence *f = fence_at(region, slot->fence.fence);
	struct wait *w = wait_at(region, f->first_wait);
	struct waiter *waiter = waiter_at(region, w->waiter);

	OFF_BY_ONE(sp, f->refs, "references of fence");
	OFF_BY_ONE(sp, f->n_waits, "waits of fence");
	BREAK(sp, f->first_wait, 0, "");
	BREAK(sp, f->value, 5, "wait that should have ended");
	BREAK(sp, f->who, f->who + 1, "fence of its word");
	BREAK(sp, f->dead, 1, "");
	BREAK(sp, w->came, 1, "wait that nobody will end");
	BREAK(sp, waiter->is_loose, 1, "queue of loose waiters");
	BREAK(sp, f->entry, 1, "tag of published fence");
	f->tag = 1;
	BREAK(sp, f->entry, 1, "page of published fence");
	f->tag = 0;
	BREAK(sp, w->fence, slot->fence.fence + 1, "fence of wait");
	BREAK(sp, w->waiter, 1u << 19, "");
	BREAK(sp, waiter->first_wait, 0, "waits of waiter");
	OFF_BY_ONE(sp, waiter->remaining, "");
	OFF_BY_ONE(sp, waiter->cost, "account of session");
	OFF_BY_ONE(sp, seat_session(&sp->maker)->n_fence_waits,
		   "waits for fences of session");
	OFF_BY_ONE(sp, world_state(sp->world)->n_fences, "fences in all");
	OFF_BY_ONE(sp, seat_device(&sp->maker, sp->maker.device)->n_fences,
		   "openings of fences of device");
}

/* What only the lists tell; core/check_lists_test.c has all of them. */
static void g2_lists(void **state)
{
	struct specimen *sp = *state;

	BREAK(sp, world_state(sp->world)->ready.head, 0, "ring of sessions");
}

static void scratch_that_is_not_there(void **state)
{
	struct specimen *sp = *state;
	struct test_pages memory = { .fail_reserve = 1 };
	struct pages scratch = test_pages_interface(&memory);
	char message[64], tiny[5];

	assert_int_equal(check_state(inproc_broker(sp->world), &scratch,
				     message, sizeof(message)),
			 -ENOMEM);
	memory.fail_commit = 1;
	assert_int_equal(check_state(inproc_broker(sp->world), &scratch,
				     message, sizeof(message)),
			 -ENOMEM);
	assert_null(memory.start);
	/* A message is cut to its size. */
	world_state(sp->world)->n_sessions++;
	assert_int_equal(check_state(inproc_broker(sp->world), &scratch, tiny,
				     sizeof(tiny)),
			 -EUCLEAN);
	assert_int_equal(strlen(tiny), sizeof(tiny) - 1);
	world_state(sp->world)->n_sessions--;
}

#define on_specimen(test) \
	cmocka_unit_test_setup_teardown(test, specimen_setup, specimen_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		on_specimen(g1_a_check_changes_nothing),
		on_specimen(g2_totals),
		on_specimen(g2_numbers_of_a_session),
		on_specimen(g2_accounts),
		on_specimen(g2_pools),
		on_specimen(g2_opens_and_streams),
		on_specimen(g2_generations),
		on_specimen(g2_contexts),
		on_specimen(g2_uses_and_context_memory),
		on_specimen(g2_fences_and_waits),
		on_specimen(g2_a_record_that_is_free_and_used),
		on_specimen(g2_segments_and_slots),
		on_specimen(g2_the_depot),
		on_specimen(g2_runs_and_back_positions),
		on_specimen(g2_memory_of_allocations),
		on_specimen(g2_objects_holdings_tokens),
		on_specimen(g2_streams_and_chunks),
		on_specimen(g2_a_retired_slot_that_nobody_will_free),
		on_specimen(g2_blocks),
		on_specimen(g2_blocks_that_were_taken_for_others),
		on_specimen(g2_waiters),
		on_specimen(g2_devices),
		on_specimen(g2_lists),
		on_specimen(scratch_that_is_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
