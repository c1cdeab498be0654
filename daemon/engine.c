/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Engine
 *
 * The broker is one state machine and one thread at a time may call it. Three
 * kinds of threads want to: the loop, for what comes by sockets; workers, for
 * what comes by rings; and each of them for the work that follows from it.
 * All of them go through one gate.
 *
 *	loop   --\            /-- releases  <--> releaser thread
 *	worker ---+-- gate --+--- late replies --> the ring's sink, or mail
 *	worker --/            \-- obituaries, failures ---------> mail --> loop
 *
 * Whoever has made work *pumps*: a turn takes what the releaser has finished,
 * does a bounded piece of teardown and reclaim, hands out releases (those that
 * a backend calls quick are carried out at once) and sorts what comes out. How
 * much a turn does, and when several come in a row, is daemon/turn.c's. What
 * only the loop thread can deal with (its sockets, the log) is put into a small
 * box for it. When the box is full the rest stays in the broker, in order, until
 * there is room.
 *
 * A destroy that is waited for may be done as soon as it has had its turn. So
 * where there is little to do, whoever has executed it makes that turn before
 * he leaves the gate, and takes the answer with him; a backlog is for the pump,
 * or else each of many requests would pay for the garbage of others.
 *
 * A busy worker pumps all the time, so it would be waste to wake the loop for
 * every finished release. It says that it watches; the releaser's thread
 * notifies the loop only while nobody does. To stop watching and to ask
 * whether something has come meanwhile is one step, so nothing is missed.
 *
 * What is said to a client ends with engine_disconnect_locked: its name may
 * soon be another client's, so its mail is thrown away and its sink forgotten
 * there, inside the gate.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  A late reply goes the way by which its request came.
 *  G2  A full box or a full sink loses nothing and keeps the order.
 *  G3  Nothing reaches a client, or its successor in name, after its end.
 *  G4  A release that finishes is taken, watched or not.
 *  G5  A quick release is made in the turn that finds it, up to so many.
 *  G6  A turn visits no more slots than its budget and one job's, and makes no
 *      more releases, nor gives back more bytes, than its budgets say.
 *  G7  What requests have retired and nothing holds up is paid for when
 *      engine_pump returns, and a backlog goes meanwhile.
 *  G8  A slot that stays pinned keeps nobody awake: the pump says when it
 *      wants to look again, and the loop hears of it once.
 *  G9  A turn is made beside a request only where there is little to do.
 *  G10 However much one that ends has stored, and however many wait for it, the
 *      gate is held for some of that at a time.
 */
#include "daemon/engine.h"

#include <stdlib.h>

static void on_released(void *context)
{
	struct engine *engine = context;

	engine->notify(engine->context);
}

/* Who has no ring says by messages how far he has come. */
static uint64_t read_word(void *context, uint32_t client, uint32_t word)
{
	const struct engine *engine = context;
	struct engine_sink *sink = engine->sinks[client];

	return sink ? sink->read(sink, word) : 0;
}

static void reset_word(void *context, uint32_t client, uint32_t word,
		       uint64_t value)
{
	const struct engine *engine = context;
	struct engine_sink *sink = engine->sinks[client];

	if (sink)
		sink->reset(sink, word, value);
}

static uint64_t read_entry(void *context, uint32_t client, uint32_t entry)
{
	const struct engine *engine = context;
	struct engine_sink *sink = engine->sinks[client];

	return sink && sink->read_entry ? sink->read_entry(sink, entry) : 0;
}

static void raise_entry(void *context, uint32_t client, uint32_t entry,
			uint64_t value)
{
	const struct engine *engine = context;
	struct engine_sink *sink = engine->sinks[client];

	if (sink && sink->raise_entry)
		sink->raise_entry(sink, entry, value);
}

static void end_entry(void *context, uint32_t client, uint32_t entry)
{
	const struct engine *engine = context;
	struct engine_sink *sink = engine->sinks[client];

	if (sink && sink->end_entry)
		sink->end_entry(sink, entry);
}

static void awaited(void *context, uint32_t client)
{
	const struct engine *engine = context;
	struct engine_sink *sink = engine->sinks[client];

	if (sink)
		sink->awaited(sink);
}

static int start_releaser(struct engine *engine,
			  const struct engine_config *config)
{
	const struct releaser_config releaser = {
		.adapters = config->adapters,
		.n_adapters = config->n_adapters,
		.notify = on_released,
		.context = engine,
	};

	return releaser_new(&releaser, &engine->releaser);
}

int engine_init(struct engine *engine, const struct engine_config *config)
{
	struct broker_config broker = *config->broker;
	int r;

	memset(engine, 0, sizeof(*engine));
	engine->notify = config->notify;
	engine->context = config->context;
	engine->sinks = calloc(SESSIONS_MAX + 1, sizeof(*engine->sinks));
	if (!engine->sinks)
		return -ENOMEM;
	broker.progress = (struct progress){
		.context = engine,
		.read = read_word,
		.reset = reset_word,
		.read_entry = read_entry,
		.raise_entry = raise_entry,
		.end_entry = end_entry,
		.awaited = awaited,
	};
	r = broker_init(&engine->broker, config->pages, config->entropy,
			&broker, config->adapters, config->n_adapters);
	if (r < 0)
		goto no_broker;
	r = start_releaser(engine, config);
	if (r < 0)
		goto no_releaser;
	gate_init(&engine->gate, config->spins);
	return 0;
no_releaser:
	broker_deinit(&engine->broker);
no_broker:
	free(engine->sinks);
	return r;
}

void engine_deinit(struct engine *engine)
{
	assert(engine->watchers == 0);
	releaser_free(engine->releaser);
	broker_deinit(&engine->broker);
	gate_deinit(&engine->gate);
	free(engine->sinks);
}

/* A place for one more letter, which is then taken by mail_put. */
static struct engine_mail *mail_room(struct engine *engine)
{
	uint32_t at = engine->mail_first + engine->mail_count;

	return engine->mail_count == ENGINE_MAIL ?
		       NULL :
		       &engine->mail[at % ENGINE_MAIL];
}

static void mail_put(struct engine *engine, enum engine_mail_kind kind)
{
	mail_room(engine)->kind = kind;
	engine->mail_count++;
}

/* A release has come back. After one that failed, the releaser's thread, which
 * knows how to wait, makes them all until one works. */
static void take_result(struct engine *engine,
			const struct releaser_result *result, uint64_t now_ns)
{
	struct engine_mail *room = mail_room(engine);

	broker_release_done(&engine->broker, result->client, result->status,
			    result->resource, now_ns);
	engine->release_failed = result->status < 0;
	/* It fails again and again, so one line more or less. */
	if (result->status < 0 && room) {
		room->failure = *result;
		mail_put(engine, ENGINE_FAILURE);
	}
}

static void take_results(struct engine *engine, uint64_t now_ns,
			 struct turn *turn)
{
	struct releaser_result result;

	while (engine->jobs && turn_goes_on(turn) &&
	       releaser_next_done(engine->releaser, now_ns, &result)) {
		engine->jobs--;
		take_result(engine, &result, now_ns);
		turn_visit(turn, (uint64_t)result.count * TURN_VISITS_DONE);
	}
}

/* Makes the call here and now, if the backend says that it is quick. */
static bool release_here(struct engine *engine, struct release *release,
			 uint64_t now_ns)
{
	const struct backend *backend =
		&engine->broker.env.adapters[release->adapter].backend;
	struct backend_destroy *args = &release->args;
	struct releaser_result result = { .client = args->client,
					  .bytes = release->bytes,
					  .count = args->count };

	if (engine->release_failed || !backend->ops->is_quick ||
	    !backend->ops->is_quick(backend->state, args))
		return false;
	result.status = backend->ops->destroy_allocation(backend->state, args);
	result.resource = args->resource;
	take_result(engine, &result, now_ns);
	return true;
}

/* Hands out what is to be released; whether some of it was released here, which
 * may let more be released. */
static bool issue_releases(struct engine *engine, uint64_t now_ns,
			   struct turn *turn)
{
	struct release *room;
	bool any = false;

	while (turn_may_release(turn) &&
	       (room = releaser_room(engine->releaser)) &&
	       broker_next_release(&engine->broker, room)) {
		if (release_here(engine, room, now_ns)) {
			turn_release(turn, room->args.count, room->bytes);
			any = true;
			continue;
		}
		releaser_submit(engine->releaser);
		engine->jobs++;
	}
	return any;
}

/* Whether the reply has been passed on. */
static bool pass_on(struct engine *engine, const struct broker_reply *reply)
{
	struct engine_sink *sink = engine->sinks[reply->client];
	struct engine_mail *room;

	if (reply->port == BROKER_PORT_RING) {
		assert(sink);
		return sink->take(sink, reply);
	}
	room = mail_room(engine);
	if (!room)
		return false;
	room->reply = *reply;
	mail_put(engine, ENGINE_REPLY);
	return true;
}

static void sort_replies(struct engine *engine)
{
	if (engine->holds && !pass_on(engine, &engine->held))
		return;
	do
		engine->holds =
			broker_next_reply(&engine->broker, &engine->held);
	while (engine->holds && pass_on(engine, &engine->held));
}

static void sort_obituaries(struct engine *engine)
{
	struct engine_mail *room;

	while ((room = mail_room(engine)) &&
	       broker_next_obituary(&engine->broker, &room->obituary))
		mail_put(engine, ENGINE_OBITUARY);
}

static void sort_notices(struct engine *engine)
{
	struct engine_mail *room;

	while ((room = mail_room(engine)) &&
	       broker_next_notice(&engine->broker, &room->noticed))
		mail_put(engine, ENGINE_NOTICE);
}

static void sort_pinned(struct engine *engine)
{
	struct engine_mail *room;

	while ((room = mail_room(engine)) &&
	       broker_next_pinned(&engine->broker, &room->pinned))
		mail_put(engine, ENGINE_PINNED);
}

static uint64_t due_ns(const struct engine *engine)
{
	uint64_t release_ns = releaser_rest_until(engine->releaser);
	uint64_t broker_ns = broker_due_ns(&engine->broker);

	if (release_ns == 0 || broker_ns == 0)
		return release_ns + broker_ns;
	return min_u64(release_ns, broker_ns);
}

/*
 * Results, releases, reclaim and teardown, as far as the turn goes: what is
 * furthest on its way comes first, so no flood of new work keeps it from its
 * end. Whether another turn would find something to do.
 */
static bool give_back(struct engine *engine, uint64_t now_ns, struct turn *turn)
{
	bool more;

	take_results(engine, now_ns, turn);
	issue_releases(engine, now_ns, turn);
	do
		more = broker_tick_budget(&engine->broker, now_ns,
					  &turn->visits);
	while (issue_releases(engine, now_ns, turn) && turn_may_release(turn));
	return more || !turn_may_release(turn);
}

struct engine_rest engine_pump_locked(struct engine *engine, uint64_t now_ns)
{
	struct turn_load load = turn_load_of(&engine->broker);
	struct engine_rest rest;
	struct turn turn;

	turn_begin(&turn, &engine->pace, &load);
	rest.more = give_back(engine, now_ns, &turn);
	load = turn_load_of(&engine->broker);
	rest.behind = turn_end(&turn, &engine->pace, rest.more, load.destroyed);
	sort_replies(engine);
	sort_notices(engine);
	sort_pinned(engine);
	sort_obituaries(engine);
	rest.mail = engine->mail_count > 0;
	rest.jobs = engine->jobs > 0;
	rest.due_ns = due_ns(engine);
	return rest;
}

bool engine_try_settle_locked(struct engine *engine, uint64_t now_ns,
			      struct engine_rest *ret_rest)
{
	struct turn_load load = turn_load_of(&engine->broker);

	if (!turn_is_short(&load))
		return false;
	*ret_rest = engine_pump_locked(engine, now_ns);
	return true;
}

struct engine_rest engine_pump(struct engine *engine, uint64_t now_ns)
{
	struct engine_rest rest;

	do {
		engine_lock(engine);
		rest = engine_pump_locked(engine, now_ns);
		engine_unlock(engine);
	} while (rest.behind);
	return rest;
}

bool engine_next_mail(struct engine *engine, struct engine_mail *ret)
{
	bool any;

	engine_lock(engine);
	any = engine->mail_count > 0;
	if (any) {
		*ret = engine->mail[engine->mail_first];
		engine->mail_first = (engine->mail_first + 1) % ENGINE_MAIL;
		engine->mail_count--;
	}
	engine_unlock(engine);
	return any;
}

void engine_attach_locked(struct engine *engine, uint32_t client,
			  struct engine_sink *sink)
{
	assert(client && client <= SESSIONS_MAX && !engine->sinks[client]);
	engine->sinks[client] = sink;
}

void engine_detach_locked(struct engine *engine, uint32_t client)
{
	engine->sinks[client] = NULL;
}

static bool is_for(const struct engine_mail *mail, uint32_t client)
{
	return (mail->kind == ENGINE_REPLY && mail->reply.client == client) ||
	       (mail->kind == ENGINE_NOTICE && mail->noticed == client);
}

/* Throws away what was to be said to a client that has gone. */
static void purge(struct engine *engine, uint32_t client)
{
	uint32_t count = engine->mail_count;

	engine->mail_count = 0;
	for (uint32_t i = 0; i < count; i++) {
		const struct engine_mail *mail =
			&engine->mail[(engine->mail_first + i) % ENGINE_MAIL];

		if (is_for(mail, client))
			continue;
		*mail_room(engine) = *mail;
		engine->mail_count++;
	}
	if (engine->holds && engine->held.client == client)
		engine->holds = false;
}

void engine_hear_out(struct engine *engine, uint32_t client)
{
	struct broker *broker = &engine->broker;
	uint32_t word = 0;
	bool waits;

	do {
		engine_lock(engine);
		waits = broker_waits_for_progress(broker, client);
		if (waits)
			broker_progressed_some(broker, client, ENGINE_LOOKS,
					       &word);
		engine_unlock(engine);
	} while (waits && word != 0);
}

void engine_disconnect_locked(struct engine *engine, uint32_t client,
			      uint64_t now_ns, struct obituary *ret_held)
{
	broker_disconnect(&engine->broker, client, now_ns, ret_held);
	engine->sinks[client] = NULL;
	purge(engine, client);
}

void engine_watch_locked(struct engine *engine)
{
	if (engine->watchers++ == 0)
		releaser_watch(engine->releaser);
}

bool engine_unwatch_locked(struct engine *engine)
{
	assert(engine->watchers);
	return --engine->watchers == 0 && releaser_unwatch(engine->releaser);
}
