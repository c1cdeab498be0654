/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work
 *
 * Each context has a batch: the allocations that its next work uses. Recording
 * a use costs no message. Submit sends the batch with the value that will mark
 * the end of that work; then the batch is empty.
 *
 *	use, use, use ---> batch --submit(value)--> daemon
 *	                     |
 *	                     +--flush: full, asked for, or a resource in it is
 *	                        being destroyed by layer L1
 *
 * A flush must tell the daemon of uses before anybody knows where their work
 * will end. It sends them as work that ends at announced + 1, where announced
 * is the last value that the application submitted: the next submit can only
 * end there or later. And since the daemon takes such a value for reached when
 * progress says so, progress beyond announced is kept back here until it has
 * been announced:
 *
 *	published = min(reported, announced)
 *
 * and progress between announced and the value of the next submit, at which no
 * work ends, but which is beyond announced + 1, is published as announced: such
 * a gap is remembered until progress has passed it. There is room for a few; a
 * gap more is joined to the last one, which at worst keeps memory a little
 * longer.
 *
 *	announced     flushed                 next submit
 *	---- 10 ======== 11 ..................... 20 ---->  values
 *	      \_________ 10 is published _________/\___ as reported
 *
 * So a use that was flushed keeps its memory until progress reaches the value
 * of the next submit, whatever the application says meanwhile, and progress
 * that comes before its submit (the work was quick) is not lost: submit
 * publishes it.
 *
 * Uses that were flushed and whose work was never submitted end with their
 * context: once it is ending no submit can follow, so when all that was
 * announced is done, nothing is in flight, and announced + 1 is published
 * too. Whether the daemon has agreed to the end is known by a request behind
 * it on the same socket: it is answered in order, the end is not (work_end_waits).
 * A batch that was never sent goes with its context: nobody waits for work
 * that nobody has heard of.
 *
 * An allocation that dies in another way (layer L2, its device) leaves the
 * batches, so that no later submit can fail because of it.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  What was recorded before a submit or flush has been sent when it
 *      returns 0; after a refusal the batch is as it was, but for an entry
 *      that the daemon found bad, and a flush has sent all other batches.
 *  G2  While a submit can follow, nothing beyond the last submitted value is
 *      published, and what was flushed ends no earlier than the submit after.
 *  G3  Progress is published when it is reported or when it is announced,
 *      whichever is later, and never lost.
 *  G4  A destroy by layer L1 sends exactly the batches that name the resource.
 *  G5  An allocation that this process destroys leaves all batches.
 *  G6  With a ring progress is a store into the context's word: no request,
 *      and no system call but the doorbell when somebody waits for it.
 *  G7  Nothing is stored into a word that is, or may be by now, that of
 *      something newer.
 */
#include "client/work.h"

#include "client/connection.h"

#include <stdlib.h>

void work_init(struct work *work)
{
	*work = (struct work){ 0 };
	keymap_init(&work->contexts);
	keymap_init(&work->words);
	keymap_init(&work->watched);
}

struct work_context *work_find(const struct work *work, uint64_t handle)
{
	/* Nodes are first members. */
	return (struct work_context *)(void *)keymap_find(&work->contexts,
							  handle);
}

static void lose_word(struct work *work, uint32_t word)
{
	struct keymap_node *node = keymap_find(&work->words, word);

	if (!node)
		return;
	keymap_remove(&work->words, node);
	node->key = 0;
}

int work_create_waits(struct tenure *connection, struct call *call,
		      uint32_t *ret_word)
{
	struct work *work = &connection->work;
	uint64_t word;
	int status;

	work->creating++;
	status = connection_call_locked(connection, call);
	work->creating--;
	if (status < 0)
		return status;
	word = connection->ringside ? call->reply.value[1] : 0;
	if (word >= RING_WORDS)
		return connection_distrust_locked(connection);
	lose_word(work, (uint32_t)word);
	*ret_word = (uint32_t)word;
	return 0;
}

int work_publish(struct work *work, struct work_context *record,
		 uint64_t handle, uint64_t device, uint32_t word)
{
	if (handle == 0 || work_find(work, handle))
		return -EPROTO;
	*record = (struct work_context){
		.node.key = handle,
		.device = device,
		.word.key = word,
	};
	keymap_insert(&work->contexts, &record->node);
	if (word != 0)
		keymap_insert(&work->words, &record->word);
	return 0;
}

/* ---- Batches ---- */

/* After every change of a batch: those that hold something are in a list. */
static void relist(struct work *work, struct work_context *c)
{
	bool listed = c->link != NULL;

	if (listed == (c->batch.count > 0))
		return;
	if (listed) {
		*c->link = c->next;
		if (c->next)
			c->next->link = c->link;
		c->link = NULL;
		return;
	}
	c->link = &work->batched;
	c->next = work->batched;
	if (c->next)
		c->next->link = &c->next;
	work->batched = c;
}

static void empty_batch(struct work *work, struct work_context *c)
{
	batch_clear(&c->batch);
	relist(work, c);
}

static void drop(struct work *work, struct work_context *c)
{
	empty_batch(work, c);
	batch_deinit(&c->batch);
	keymap_remove(&work->contexts, &c->node);
	if (c->word.key != 0)
		keymap_remove(&work->words, &c->word);
	free(c);
}

void work_deinit(struct work *work)
{
	struct keymap_node *node;

	while ((node = keymap_any(&work->contexts)))
		drop(work, (struct work_context *)(void *)node);
	keymap_deinit(&work->contexts);
	keymap_deinit(&work->words);
	keymap_deinit(&work->watched);
}

static void drop_from_batches(void *context, uint64_t allocation)
{
	struct work *work = context;
	struct work_context *next;

	for (struct work_context *c = work->batched; c; c = next) {
		next = c->next;
		batch_remove(&c->batch, allocation);
		relist(work, c);
	}
}

void work_drop_allocation(struct tenure *connection, uint64_t allocation)
{
	drop_from_batches(&connection->work, allocation);
}

void work_drop_resource(struct tenure *connection, uint64_t resource)
{
	if (connection->work.batched)
		ledger_resource_each(&connection->ledger, resource,
				     drop_from_batches, &connection->work);
}

/* ---- Scopes ---- */

struct sweep {
	struct tenure *connection;
	const struct work_scope *scope;
	bool any;
};

bool work_scope_has(const struct tenure *connection,
		    const struct work_scope *scope, uint64_t context,
		    uint64_t device)
{
	if (scope->context != 0)
		return context == scope->context;
	if (scope->device != 0)
		return device == scope->device;
	return ledger_adapter_of_device(&connection->ledger, device) ==
	       scope->adapter;
}

static bool is_in(const struct tenure *connection,
		  const struct work_scope *scope, const struct work_context *c)
{
	return work_scope_has(connection, scope, c->node.key, c->device);
}

static void sweep(struct sweep *s,
		  void (*visit)(void *sweep, struct keymap_node *node))
{
	keymap_each(&s->connection->work.contexts, visit, s);
}

static void forget_one(void *context, struct keymap_node *node)
{
	struct sweep *s = context;
	struct work_context *c = (void *)node;

	if (!is_in(s->connection, s->scope, c))
		return;
	ledger_context_forget(&s->connection->ledger, c->device, c->node.key);
	drop(&s->connection->work, c);
}

void work_forget(struct tenure *connection, const struct work_scope *scope)
{
	struct sweep s = { .connection = connection, .scope = scope };

	sweep(&s, forget_one);
	own_fences_forget(connection, scope);
	fence_views_forget(connection, scope);
}

/* ---- Progress ---- */

/* How far the daemon may know that the context has come. */
static uint64_t publishable(const struct work_context *c)
{
	uint32_t i = 0;

	if (c->reported >= c->announced)
		return c->ending ? c->sent : c->announced;
	while (i < c->n_gaps && c->gaps[i].end <= c->reported)
		i++;
	if (i < c->n_gaps && c->gaps[i].floor < c->reported)
		return c->gaps[i].floor;
	return c->reported;
}

bool work_reached(const struct work_context *c, uint64_t value)
{
	return value <= publishable(c);
}

/* Forgets the gaps that progress has passed. */
static void pass_gaps(struct work_context *c)
{
	uint32_t passed = 0;

	while (passed < c->n_gaps && c->gaps[passed].end <= c->reported)
		passed++;
	c->n_gaps -= passed;
	memmove(c->gaps, &c->gaps[passed], c->n_gaps * sizeof(c->gaps[0]));
}

/* Something was flushed after announced, and its work ends at value. */
static void add_gap(struct work_context *c, uint64_t value)
{
	pass_gaps(c);
	if (c->n_gaps == WORK_GAPS)
		c->gaps[WORK_GAPS - 1].end = value;
	else
		c->gaps[c->n_gaps++] = (struct work_gap){ c->announced, value };
}

/*
 * By a store into the context's word, and by the doorbell when somebody waits.
 * Not while something is being created: it may have been given the word of
 * this context, which the daemon has then ended of its own accord.
 */
static bool try_store(struct tenure *connection, struct work_context *c,
		      uint64_t value)
{
	const struct ringside *side = connection->ringside;

	if (!side || c->word.key == 0 || connection->work.creating > 0)
		return false;
	if (ring_client_progress(side->map.ring, (uint32_t)c->word.key, value))
		ringmap_bell(&side->map);
	c->published = value;
	return true;
}

static int publish(struct tenure *connection, struct work_context *c,
		   bool by_socket)
{
	uint64_t value = publishable(c), handle = c->node.key;
	struct call call = {
		.request = {
			.opcode = WIRE_OP_CONTEXT_PROGRESS,
			.device = c->device,
			.object = c->node.key,
			.value[0] = value,
		},
		.by_socket = by_socket,
	};
	int status;

	if (value <= c->published || try_store(connection, c, value))
		return 0;
	status = connection_call_locked(connection, &call);
	c = work_find(&connection->work, handle);
	if (status == 0 && c && c->published < value)
		c->published = value;
	return status;
}

int work_progress_waits(struct tenure *connection, uint64_t context,
			uint64_t value)
{
	struct work_context *c = work_find(&connection->work, context);
	uint64_t before;
	int status;

	if (!c)
		return refusal_set(-EINVAL, TENURE_REASON_CONTEXT_INVALID);
	before = c->reported;
	if (value <= before)
		return 0;
	c->reported = value;
	status = publish(connection, c, false);
	c = work_find(&connection->work, context);
	if (status < 0 && c && c->reported == value)
		c->reported = before;
	return status;
}

/* ---- Sending a batch ---- */

/*
 * The daemon found an entry bad that this process could not know to be: it
 * leaves the batch, or no later submit would succeed. If the batch has changed
 * since it was sent, the next refusal finds it.
 */
static void drop_bad_entry(struct work *work, struct work_context *c,
			   uint32_t count)
{
	struct tenure_refusal refusal;

	tenure_last_refusal(&refusal);
	if (refusal.status != -EINVAL || refusal.index < 0 ||
	    (uint32_t)refusal.index >= count || c->batch.count != count)
		return;
	batch_remove(&c->batch, batch_handles(&c->batch)[refusal.index]);
	relist(work, c);
}

/*
 * Sends what a context's batch holds. value is where its work ends; the turn
 * is the caller's, so nothing is added meanwhile.
 */
static int send_batch(struct tenure *connection, struct work_context *c,
		      uint64_t value)
{
	struct call call = {
		.request = {
			.opcode = WIRE_OP_CONTEXT_SUBMIT,
			.device = c->device,
			.object = c->node.key,
			.value[0] = value,
		},
	};
	uint64_t handle = c->node.key;
	int status = connection_prepare_locked(connection);

	if (status < 0)
		return status;
	/* After the wait for room, what is sent is what is there now. */
	c = work_find(&connection->work, handle);
	if (c) {
		call.request.count = c->batch.count;
		call.args = batch_handles(&c->batch);
		call.args_bytes = c->batch.count * sizeof(uint64_t);
	}
	status = connection_call_locked(connection, &call);
	c = work_find(&connection->work, handle);
	if (!c)
		return status;
	if (status < 0) {
		drop_bad_entry(&connection->work, c, call.request.count);
		return status;
	}
	c->sent = value;
	uses_sent(&connection->work, c, value);
	empty_batch(&connection->work, c);
	return 0;
}

static int submit(struct tenure *connection, uint64_t context, uint64_t value)
{
	struct work_context *c = work_find(&connection->work, context);
	struct tenure_refusal before;
	uint64_t end = value;
	bool flushed;
	int status;

	if (!c)
		return refusal_set(-EINVAL, TENURE_REASON_CONTEXT_INVALID);
	/* More work that ends where the last one did, after a flush: it is
	 * noted a little later, since the daemon goes only forward. */
	flushed = c->sent > c->announced;
	if (value == c->announced && flushed && value != 0)
		end = c->sent;
	status = send_batch(connection, c, end);
	c = work_find(&connection->work, context);
	if (status < 0 || !c)
		return status;
	if (flushed && value > c->announced)
		add_gap(c, value);
	c->announced = value;
	/* It succeeded; if the daemon cannot be told of progress now, it will
	 * be with the next. */
	tenure_last_refusal(&before);
	if (publish(connection, c, false) < 0 && connection->dead_status == 0)
		refusal_restore(&before);
	return 0;
}

int work_submit_waits(struct tenure *connection, uint64_t context,
		      uint64_t value)
{
	int status;

	/* One more must be left for a flush behind it. */
	if (value == UINT64_MAX)
		return refusal_set(-EINVAL, TENURE_REASON_ARGUMENT);
	connection_turn_begin_locked(connection, TURN_BATCHES);
	status = submit(connection, context, value);
	connection_turn_end_locked(connection, TURN_BATCHES);
	return status;
}

/*
 * Sends a batch whose work has not been submitted. When its context takes no
 * work any more, no submit will follow and there is nothing to protect.
 */
static int flush(struct tenure *connection, struct work_context *c)
{
	struct tenure_refusal before, refusal;
	uint64_t handle = c->node.key;
	int status;

	if (c->batch.count == 0)
		return 0;
	tenure_last_refusal(&before);
	status = send_batch(connection, c, c->announced + 1);
	if (status != -EINVAL)
		return status;
	tenure_last_refusal(&refusal);
	if (refusal.reason != TENURE_REASON_CONTEXT_ENDING)
		return status;
	c = work_find(&connection->work, handle);
	if (c)
		empty_batch(&connection->work, c);
	refusal_restore(&before);
	return 0;
}

struct search {
	const struct batch *batch;
	bool found;
};

static void look_in_batch(void *context, uint64_t allocation)
{
	struct search *search = context;

	search->found |= batch_has(search->batch, allocation);
}

static bool depends(const struct tenure *connection,
		    const struct work_context *c, uint64_t resource)
{
	struct search search = { .batch = &c->batch };

	ledger_resource_each(&connection->ledger, resource, look_in_batch,
			     &search);
	return search.found;
}

/*
 * The next batch that this pass has not looked at; resource 0 stands for all.
 * A pass may give up the lock between two of them.
 */
static struct work_context *next_to_flush(struct tenure *connection,
					  uint64_t device, uint64_t resource,
					  uint32_t pass)
{
	struct work_context *c = connection->work.batched;

	for (; c; c = c->next) {
		if (c->pass == pass)
			continue;
		c->pass = pass;
		if (resource == 0 ||
		    (c->device == device && depends(connection, c, resource)))
			break;
	}
	return c;
}

/* A batch that is refused does not keep the others back; what was refused
 * first is what is reported. On a dead connection all are alike. */
static int flush_those(struct tenure *connection, uint64_t device,
		       uint64_t resource)
{
	struct tenure_refusal first;
	struct work_context *c;
	uint32_t pass;
	int status = 0;

	if (!connection->work.batched)
		return 0;
	connection_turn_begin_locked(connection, TURN_BATCHES);
	pass = ++connection->work.pass;
	while (connection->dead_status == 0 &&
	       (c = next_to_flush(connection, device, resource, pass))) {
		int r = flush(connection, c);

		if (r == 0 || status != 0)
			continue;
		status = r;
		tenure_last_refusal(&first);
	}
	connection_turn_end_locked(connection, TURN_BATCHES);
	if (status != 0)
		refusal_restore(&first);
	return status;
}

int work_flush_waits(struct tenure *connection)
{
	return flush_those(connection, 0, 0);
}

int work_flush_resource_waits(struct tenure *connection, uint64_t device,
			      uint64_t resource)
{
	return flush_those(connection, device, resource);
}

/* ---- Recording ---- */

static int check_uses(const struct tenure *connection,
		      const struct work_context *c, const uint64_t *list,
		      unsigned int count)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct ledger_allocation *a =
			ledger_allocation(&connection->ledger, list[i]);

		if (list[i] == 0)
			return refusal_set_at(-EINVAL, TENURE_REASON_ENTRY_ZERO,
					      i);
		/* What a device owns itself may not be known here. */
		if (!a)
			continue;
		if (a->group->context != 0)
			return refusal_set_at(-EINVAL, TENURE_REASON_WRONG_TYPE,
					      i);
		if (a->group->device != c->device)
			return refusal_set_at(-EINVAL,
					      TENURE_REASON_OTHER_DEVICE, i);
	}
	return 0;
}

static int use(struct tenure *connection, uint64_t context,
	       const uint64_t *list, unsigned int count)
{
	struct work_context *c = work_find(&connection->work, context);
	int status;

	if (!c)
		return refusal_set(-EINVAL, TENURE_REASON_CONTEXT_INVALID);
	if (c->ending)
		return refusal_set(-EINVAL, TENURE_REASON_CONTEXT_ENDING);
	status = check_uses(connection, c, list, count);
	if (status < 0)
		return status;
	if (batch_reserve(&c->batch) < 0 ||
	    uses_reserve(&connection->work, c, list, count) < 0)
		return refusal_set(-ENOMEM, TENURE_REASON_LIBRARY_MEMORY);
	if (count > BATCH_MAX - c->batch.count) {
		status = flush(connection, c);
		/* All is looked up again: others may have been at work. */
		return status < 0 ? status :
				    use(connection, context, list, count);
	}
	for (unsigned int i = 0; i < count; i++)
		batch_add(&c->batch, list[i]);
	uses_record(&connection->work, c, list, count);
	relist(&connection->work, c);
	return 0;
}

int work_use_waits(struct tenure *connection, uint64_t context,
		   const uint64_t *list, unsigned int count)
{
	int status;

	if (count > BATCH_MAX)
		return refusal_set(-EINVAL, TENURE_REASON_LIST_TOO_LONG);
	connection_turn_begin_locked(connection, TURN_BATCHES);
	status = use(connection, context, list, count);
	connection_turn_end_locked(connection, TURN_BATCHES);
	return status;
}

/* ---- Ends ---- */

static void look_for_open_uses(void *context, struct keymap_node *node)
{
	struct sweep *s = context;
	const struct work_context *c = (void *)node;

	if (is_in(s->connection, s->scope, c) && c->sent > c->announced)
		s->any = true;
}

static void mark_ending(void *context, struct keymap_node *node)
{
	struct sweep *s = context;
	struct work_context *c = (void *)node;

	if (!is_in(s->connection, s->scope, c))
		return;
	c->ending = true;
	/* By the socket, which keeps the lock: a sweep is under way. */
	publish(s->connection, c, true);
}

/* The end has been sent, and so has the ping behind it: whether the daemon has
 * taken the end, and keeps it waiting, is now known. */
static int settle_open_uses(struct tenure *connection,
			    const struct late_call *late, struct sweep *s)
{
	struct call ping = {
		.request.opcode = WIRE_OP_PING,
		.by_socket = true,
	};
	int status = connection_call_locked(connection, &ping);

	if (status == 0 && !late->done)
		sweep(s, mark_ending);
	return status;
}

static int end(struct tenure *connection, struct call *call, struct sweep *s)
{
	struct late_call late;
	struct tenure_refusal before;
	int status = connection_settle_locked(connection);

	if (status == 0)
		status = late_send_locked(connection, call, &late);
	if (status < 0)
		return status;
	tenure_last_refusal(&before);
	/* A connection that dies here is seen by the wait. */
	settle_open_uses(connection, &late, s);
	refusal_restore(&before);
	status = late_finish_waits(connection, call, &late, 0);
	if (status < 0 || call->reply.status == 0)
		return status;
	return refusal_set_at(call->reply.status, call->reply.reason,
			      call->reply.index);
}

int work_end_waits(struct tenure *connection, struct call *call,
		   const struct work_scope *scope)
{
	struct sweep s = { .connection = connection, .scope = scope };

	sweep(&s, look_for_open_uses);
	if (!s.any || !connection->transport->ops->send)
		return connection_call_locked(connection, call);
	return end(connection, call, &s);
}
