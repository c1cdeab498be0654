/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both ends of a ring under the model checker: the text that ships, with
 * queues of two entries, and what the kernel gives in between, a doorbell and
 * a futex.
 */
#ifndef MODELS_RING_H
#define MODELS_RING_H

#define TENURE_MODEL
#define CORE_RING_RING_SIZES_H /* these instead of those */
#define alignas(bytes)

#include <relacy/relacy.hpp>

/*
 * A word of an entry. What is read and written relaxed must not be touched by
 * both ends at a time, as if it were no atomic at all: that is how the checker
 * sees an entry that is overwritten while it is read. A load or a store with
 * another order, and every read-modify-write, is that of an atomic.
 *
 * So a mutant must not make both sides of a word of 64 bits relaxed: any model
 * would call that a race, whether or not the order matters. One side is what
 * it seems.
 */
struct watched_u64 {
	rl::var<uint64_t> plain;
	rl::atomic<uint64_t> word;
	bool is_unwatched; /* what is stored now may be read meanwhile */
};

static uint64_t atomic_load_explicit(const watched_u64 *w,
				     rl::memory_order order,
				     rl::debug_info_param where)
{
	if (order != rl::mo_relaxed)
		return w->word.load(order, where);
	rl::ctx().sched();
	rl::preemption_disabler whole(rl::ctx());
	(void)(uint64_t)w->plain(where);
	return w->word.load(order, where);
}

static void atomic_store_explicit(watched_u64 *w, uint64_t value,
				  rl::memory_order order,
				  rl::debug_info_param where)
{
	if (order != rl::mo_relaxed || w->is_unwatched) {
		w->word.store(value, order, where);
		return;
	}
	rl::ctx().sched();
	rl::preemption_disabler whole(rl::ctx());
	w->plain(where) = value;
	w->word.store(value, order, where);
}

static uint64_t atomic_exchange_explicit(watched_u64 *w, uint64_t value,
					 rl::memory_order order,
					 rl::debug_info_param where)
{
	return w->word.exchange(value, order, where);
}

/* Of table words, which no ring has. */
static uint64_t atomic_fetch_add_explicit(watched_u64 *, uint64_t,
					  rl::memory_order,
					  rl::debug_info_param);
static uint64_t atomic_fetch_sub_explicit(watched_u64 *, uint64_t,
					  rl::memory_order,
					  rl::debug_info_param);
static uint64_t atomic_fetch_or_explicit(watched_u64 *, uint64_t,
					 rl::memory_order,
					 rl::debug_info_param);

/* Of an offer, whose word is never only stored to while both can see it. */
static bool atomic_compare_exchange_strong_explicit(
	watched_u64 *w, uint64_t *expected, uint64_t value,
	rl::memory_order order, rl::debug_info_param where,
	rl::memory_order otherwise, rl::debug_info_param also)
{
	return w->word.compare_exchange_strong(*expected, value, order, where,
					       otherwise, also);
}

static bool atomic_compare_exchange_weak_explicit(
	watched_u64 *, uint64_t *, uint64_t, rl::memory_order,
	rl::debug_info_param, rl::memory_order, rl::debug_info_param);

#define MODEL_U64 watched_u64

#include "core/wire/msg.h"

#ifndef MODEL_CQ_ENTRIES
#define MODEL_CQ_ENTRIES 2
#endif
#ifndef MODEL_FQ_ENTRIES
#define MODEL_FQ_ENTRIES 2
#endif

enum {
	RING_SQ_ENTRIES = 2,
	RING_CQ_ENTRIES = MODEL_CQ_ENTRIES,
	RING_FQ_ENTRIES = MODEL_FQ_ENTRIES,
	RING_WORDS = 1,
	RING_BLOCKS = 4,
	RING_BLOCK_BYTES = 8,
	RING_FREES_MAX = 2,
	RING_OFFERS = 2,
	RING_OFFERS_PERIOD_NS = 1,
};

#include "core/ring/ring_shared.h"

#ifdef MODEL_PERIOD /* a model that knows how old a wish may look */
static void period_need_store(struct ring *ring, uint32_t need);
static uint32_t period_need_glance(const struct ring *ring);
#define ring_fq_need_store period_need_store
#define ring_fq_need_glance period_need_glance
#endif
#ifdef MODEL_HEAD_LATE
static uint32_t late_fq_head_look(const struct ring *ring)
{
	return ring->header.fq_head.load(rl::mo_acquire, $);
}
#define ring_fq_head_look late_fq_head_look
#endif
#ifdef MODEL_LOOK_EARLY /* a model whose look need not wait for the sequence */
static bool has_looked;
static void early_client_need_set(struct ring *ring, uint32_t need);
static uint32_t early_cq_tail_look(const struct ring *ring);
#define ring_client_need_set early_client_need_set
#define ring_cq_tail_look early_cq_tail_look
#endif

#include "core/ring/offers.c"
#include "core/ring/ring_client.c"
#include "core/ring/ring_server.c"
#undef alignas
#undef ring_fq_need_store
#undef ring_fq_need_glance
#undef ring_fq_head_look
#undef ring_client_need_set
#undef ring_cq_tail_look

#include <relacy/stdlib/event.hpp>

#include "models/sticky.h"

#define MODEL_SCHEDULER sticky_scheduler
#include "models/main.h"

/*
 * An eventfd that somebody waits for edge-triggered and never reads. The lock
 * stands for those of the kernel: who has been woken sees what was written
 * before the ring, also when the bell had been ringing already.
 */
struct doorbell {
	rl::generic_event event;
	rl::mutex kernel;

	void init()
	{
		event.init(false, false, $);
	}

	void ring()
	{
		kernel.lock($);
		event.set($);
		kernel.unlock($);
	}

	void wait()
	{
		event.wait(false, false, $);
		kernel.lock($);
		kernel.unlock($);
	}

	void deinit()
	{
		event.deinit($);
	}
};

/* FUTEX_WAIT: the kernel compares and goes to sleep in one step. */
static void futex_wait(atomic_u32 *word, uint32_t value)
{
	rl::context &c = rl::ctx();
	uint32_t found;

	c.sched();
	c.atomic_thread_fence_seq_cst();
	{
		rl::preemption_disabler whole(c);
		found = word->load(rl::mo_acquire, $);
	}
	if (found == value)
		word->wait(c, false, true, $);
}

static void futex_wake(atomic_u32 *word)
{
	rl::context &c = rl::ctx();

	c.sched();
	c.atomic_thread_fence_seq_cst();
	word->wake(c, 64, $);
}

/* Both ends; a model is what two threads do with them. */
struct both_ends {
	struct ring ring;
	struct ring_server server;
	struct ring_client client;
	struct doorbell bell;

	void zero_word(atomic_u64 *word)
	{
		word->is_unwatched = false;
		word->plain($) = 0;
		word->word.store(0, rl::mo_relaxed, $);
	}

	void zero(atomic_u64 *words, unsigned int count)
	{
		for (unsigned int i = 0; i < count; i++)
			zero_word(&words[i]);
	}

	void init()
	{
		struct ring_header *h = &ring.header;
		atomic_u32 *const indexes[] = {
			&h->sq_tail, &h->fq_tail,     &h->cq_head,
			&h->sq_head, &h->fq_head,     &h->cq_tail,
			&h->fq_need, &h->client_need, &h->daemon_need,
			&h->wake_sequence
		};

		for (unsigned int i = 0; i < ARRAY_SIZE(indexes); i++)
			indexes[i]->store(0, rl::mo_relaxed, $);
		for (unsigned int i = 0; i < RING_SQ_ENTRIES; i++)
			zero(ring.sq[i].words, RING_REQUEST_WORDS);
		for (unsigned int i = 0; i < RING_CQ_ENTRIES; i++)
			zero(ring.cq[i].words, RING_REPLY_WORDS);
		for (unsigned int i = 0; i < RING_BLOCKS; i++)
			zero(ring.arena[i].words, RING_BLOCK_WORDS);
		zero(ring.fq, RING_FQ_ENTRIES);
		zero(ring.words, RING_WORDS);
		ring.offers.called.store(0, rl::mo_relaxed, $);
		zero_word(&ring.offers.due_ns);
		for (unsigned int i = 0; i < RING_OFFERS; i++) {
			zero_word(&ring.offers.entries[i].handle);
			zero_word(&ring.offers.entries[i].until_ns);
		}
#ifdef MODEL_LOOK_EARLY
		has_looked = false;
#endif
		ring_server_init(&server, &ring);
		ring_client_init(&client, &ring);
		bell.init();
	}

	/* ---- The client ---- */

	void publish()
	{
		if (ring_client_publish(&client))
			bell.ring();
	}

	/* A request every word of which is its number; false: no room. */
	bool submit(uint64_t number, bool quiet)
	{
		struct wire_request r;
		int block = (int)(number % RING_BLOCKS);
		int status;

		memset(&r, 0, sizeof(r));
		r.id = r.device = r.object = r.value[0] = r.value[1] = number;
		r.opcode = WIRE_OP_PING;
		r.form = quiet ? WIRE_FORM_QUIET : 0;
		r.args_offset = ring_client_block_offset(block);
		r.args_bytes = 8;
		status = ring_client_submit(&client, &r);
		RL_ASSERT(status == 0 || status == -EAGAIN);
		if (status != 0)
			return false;
		ring_client_block_write(&client, block, &number, 8);
		return true;
	}

	bool reap(uint64_t number)
	{
		struct wire_reply reply;
		uint64_t data;
		int found = ring_client_reap(&client, &reply);

		RL_ASSERT(found == 0 || found == 1);
		if (found == 0)
			return false;
		RL_ASSERT(reply.id == number);
		RL_ASSERT(reply.value[0] == number &&
			  reply.value[3] == number);
		ring_client_block_read(&client, (int)(number % RING_BLOCKS),
				       &data, 8);
		RL_ASSERT(data == number + 100);
		return true;
	}

	void reaped()
	{
		if (ring_client_reaped(&client))
			bell.ring();
	}

	/* Sleeps unless the look behind the preparation finds something. */
	template <class look> void sleep_unless(look something)
	{
		uint32_t sequence = ring_client_sleep_prepare(&client);

		if (!something())
			futex_wait(&ring.header.wake_sequence, sequence);
		ring_client_sleep_finish(&client);
	}

	/* The same for room in a queue. Whoever waits for that may find that
	 * somebody sleeps already. */
	template <class look> void sleep_unless_room(look something)
	{
		bool before = rl::rand(2) == 0;

		if (before)
			ring_client_await_heads(&client);
		sleep_unless([&] {
			if (!before)
				ring_client_await_heads(&client);
			return something();
		});
		ring_client_forget_heads(&client);
	}

	void expect_reply(uint64_t number)
	{
		bool there = reap(number);

		while (!there) {
			reaped();
			sleep_unless([&] { return there = reap(number); });
			if (!there)
				there = reap(number);
		}
	}

	/* ---- The daemon ---- */

	void wake()
	{
		if (ring_server_publish(&server))
			futex_wake(&ring.header.wake_sequence);
	}

	/* Takes a piece of work, which must be whole. */
	enum ring_take take(struct ring_work *work, uint64_t expected)
	{
		enum ring_take what = ring_server_take(&server, work);

		RL_ASSERT(what != RING_TAKE_FAULT);
		if (what != RING_TAKE_REQUEST)
			return what;
		RL_ASSERT(work->request.id == expected);
		RL_ASSERT(work->request.device == expected &&
			  work->request.value[1] == expected);
		RL_ASSERT(work->args[0] == expected);
		return what;
	}

	void answer(const struct wire_request *request)
	{
		uint64_t data = request->id + 100;
		struct wire_reply reply;

		if (request->form & WIRE_FORM_QUIET) {
			ring_server_forgo(&server);
			return;
		}
		memset(&reply, 0, sizeof(reply));
		reply.id = reply.value[0] = reply.value[3] = request->id;
		reply.data_bytes = 8;
		ring_server_complete(&server, &reply, &data,
				     request->args_offset);
	}

	/* Nothing to do: parks, and waits for the bell if that is right. */
	void rest()
	{
		wake();
		if (!ring_server_park(&server, false))
			return;
		bell.wait();
		ring_server_unpark(&server);
	}
};

#endif
