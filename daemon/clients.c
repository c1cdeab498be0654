/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients
 *
 * A client is a connection with a name that the broker gave it. This module
 * carries messages from the one to the other and decides nothing: the broker
 * says what to answer and whom to throw out.
 *
 *	accepted --> peer facts --> broker_connect --- refused --> told, closed
 *	                                 | admitted
 *	                            hello awaited ---- too late --> ended
 *	                                 |
 *	                              greeted -- over, killed, stop --> ended
 *
 * Whoever is refused (a quota, a daemon that stops) is told why in answer to
 * its hello, so a few refused connections stay open until it comes; when there
 * are many of them, the next are told at once, unasked.
 *
 * Ending has two halves, as with any handle of an event loop. At once: the
 * broker is told, the descriptors are closed, the name is forgotten. At the
 * end of the turn: the memory is freed, since somebody further up the stack
 * may still hold a pointer.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  For every broker_connect that succeeded there is one broker_disconnect.
 *  G2  Every refusal is told, with its reason, as long as the peer reads.
 *  G3  Failing allocations and descriptors cost one client, never more.
 *  G4  A descriptor that is sent is that of the store which the broker named,
 *      whatever the client does meanwhile by its ring.
 */
#include "daemon/clients.h"

#include "core/wire/reason.h"
#include "daemon/fencefd.h"
#include "daemon/log.h"
#include "daemon/peer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct client {
	struct conn conn;
	struct clients *clients;
	struct client *next_in_bucket;
	struct client *next, *previous;
	uint32_t id; /* the broker's name for it; 0: refused */
	int32_t pid;
	struct port *port; /* its ring, or NULL */
	struct fencefds fencefds;
	enum tenure_reason refusal;
	int refusal_status;
	bool greeted;
	uint64_t hello_until_ns;
};

static struct client *client_of(struct conn *conn)
{
	return (struct client *)((char *)conn - offsetof(struct client, conn));
}

static struct client **bucket_of(struct clients *clients, uint32_t id)
{
	return &clients->bucket[id % CLIENTS_BUCKETS];
}

static struct client *find(struct clients *clients, uint32_t id)
{
	struct client *client = *bucket_of(clients, id);

	while (client && client->id != id)
		client = client->next_in_bucket;
	return client;
}

static struct client_list *list_of(struct client *client)
{
	return client->greeted ? &client->clients->greeted :
				 &client->clients->waiting;
}

static void append(struct client *client)
{
	struct client_list *list = list_of(client);

	client->next = NULL;
	client->previous = list->last;
	if (list->last)
		list->last->next = client;
	else
		list->first = client;
	list->last = client;
}

static void unlink_client(struct client *client)
{
	struct client_list *list = list_of(client);

	if (client->previous)
		client->previous->next = client->next;
	else
		list->first = client->next;
	if (client->next)
		client->next->previous = client->previous;
	else
		list->last = client->previous;
}

static void enlist(struct client *client)
{
	struct clients *clients = client->clients;
	struct client **bucket = bucket_of(clients, client->id);

	append(client);
	if (client->id == 0) {
		clients->refused++;
		return;
	}
	client->next_in_bucket = *bucket;
	*bucket = client;
	clients->count++;
}

static void delist(struct client *client)
{
	struct clients *clients = client->clients;
	struct client **at = bucket_of(clients, client->id);

	unlink_client(client);
	if (client->id == 0) {
		clients->refused--;
		return;
	}
	while (*at != client)
		at = &(*at)->next_in_bucket;
	*at = client->next_in_bucket;
	clients->count--;
}

static void greet(struct client *client)
{
	unlink_client(client);
	client->greeted = true;
	append(client);
}

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

static void log_end(const struct obituary *held, const char *cause)
{
	log_write(LOG_LEVEL_INFO, LOG_CLIENT_ENDED,
		  "client %" PRIu32 " (pid %" PRId32 ", uid %" PRIu32
		  ", cgroup %s) ended: %s; held %" PRIu64
		  " resource%s, %" PRIu64 " allocation%s, %" PRIu64
		  " token%s, %" PRIu64 " byte%s",
		  held->client, held->pid, held->uid,
		  held->cgroup[0] ? held->cgroup : "-", cause, held->resources,
		  plural(held->resources), held->allocations,
		  plural(held->allocations), held->tokens, plural(held->tokens),
		  held->bytes, plural(held->bytes));
}

static void log_obituary(const struct obituary *o)
{
	log_write(LOG_LEVEL_INFO, LOG_CLIENT_RECLAIMED,
		  "client %" PRIu32 " (pid %" PRId32
		  "): everything reclaimed in %.1f ms; %" PRIu64
		  " byte%s given back%s",
		  o->client, o->pid, (double)(o->ended_ns - o->began_ns) / 1e6,
		  o->freed_bytes, plural(o->freed_bytes),
		  o->freed_bytes < o->bytes ? ", the rest is held by others" :
					      "");
}

static void log_failure(const struct releaser_result *failure)
{
	log_write(LOG_LEVEL_ERROR, LOG_RELEASE_FAILED,
		  "giving back %" PRIu64 " bytes of client %" PRIu32
		  " failed: %s; it will be tried again",
		  failure->bytes, failure->client, strerror(-failure->status));
}

static void log_pinned(const struct pinned_report *pinned)
{
	log_write(LOG_LEVEL_ERROR, LOG_PINNED,
		  "handle %#" PRIx64 " of client %" PRIu32
		  " (pid %d, uid %" PRIu32 "), device %" PRIu32
		  ", was destroyed and its memory given back, but something in "
		  "the daemon has kept it pinned for %" PRIu32
		  " seconds (pins: %" PRIu32 "); it has been set aside",
		  pinned->handle, pinned->client, (int)pinned->pid, pinned->uid,
		  pinned->device, pinned->seconds, pinned->pins);
}

/* Ends it in the engine: from then on nothing of it is executed. */
static void disconnect(struct client *client, struct obituary *ret_held)
{
	struct engine *engine = client->clients->config.engine;

	engine_hear_out(engine, client->id);
	engine_lock(engine);
	engine_disconnect_locked(engine, client->id,
				 client->clients->config.now_ns(), ret_held);
	if (client->port)
		client->port->ended = true;
	engine_unlock(engine);
}

/* The one way out for every client. */
static void end(struct client *client, const char *cause)
{
	struct clients *clients = client->clients;
	struct obituary held;

	if (!conn_is_open(&client->conn))
		return;
	delist(client);
	/* A descriptor of the port may be kept in the connection. */
	conn_close(&client->conn);
	clients->fencefds -= client->fencefds.count;
	fencefds_deinit(&client->fencefds);
	client->next = clients->buried;
	clients->buried = client;
	if (client->id == 0)
		return;
	disconnect(client, &held);
	if (client->port) {
		port_drop_page(client->port);
		client->port->owner = NULL;
		worker_close(client->port->worker, client->port);
	}
	log_end(&held, cause);
}

/* What is said last to somebody: not the answer to any request of his. */
static struct wire_reply last_word(int status, enum tenure_reason reason)
{
	return (struct wire_reply){
		.opcode = WIRE_OP_INVALID,
		.status = status,
		.reason = reason,
		.index = WIRE_NO_INDEX,
	};
}

/* Tells a client why it has to go, without holding it against it. */
static void dismiss(struct client *client, int status,
		    enum tenure_reason reason)
{
	struct wire_reply word = last_word(status, reason);

	conn_send(&client->conn, &word, NULL, NULL);
	end(client, reason_sentence(reason));
}

/* The same for one that has done wrong. */
static void throw_out(struct client *client, int status,
		      enum tenure_reason reason)
{
	client->clients->counters.killed++;
	dismiss(client, status, reason);
}

/* Makes the ring that the broker has granted; 0 or a negative errno. */
static int make_port(struct client *client)
{
	struct clients *clients = client->clients;
	struct engine *engine = clients->config.engine;
	struct worker *worker;
	struct port *port;
	int r;

	assert(!client->port);
	r = port_new(engine, client->id, clients->config.poll_ns, &port);
	if (r < 0)
		return r;
	engine_lock(engine);
	engine_attach_locked(engine, client->id, &port->sink);
	engine_unlock(engine);
	port->owner = client;
	worker = clients->config.workers[clients->next_worker++ %
					 clients->config.n_workers];
	r = worker_add(worker, port);
	if (r < 0) {
		engine_lock(engine);
		engine_detach_locked(engine, client->id);
		engine_unlock(engine);
		port_free(port);
		return r;
	}
	client->port = port;
	clients->ports++;
	return 0;
}

/* Those whose client has closed them wait for nothing any more. */
static void sweep_fencefds(struct client *client)
{
	struct engine *engine = client->clients->config.engine;
	uint64_t id;

	while (fencefds_take_abandoned(&client->fencefds, &id)) {
		client->clients->fencefds--;
		engine_lock(engine);
		broker_watch_cancel(&engine->broker, client->id, id);
		engine_unlock(engine);
	}
}

/* Makes the descriptor of a wait, over or not; or a negative errno. */
static int make_fencefd(struct client *client, const struct broker_reply *reply)
{
	const struct wire_watch word = { .position = reply->position };
	struct clients *clients = client->clients;
	int fd;

	if (reply->over)
		return fencefds_open_said(&word);
	if (client->fencefds.count >= CLIENTS_FENCEFDS_SWEEP)
		sweep_fencefds(client);
	if (clients->fencefds >= clients->config.fencefds_max)
		return -EMFILE;
	fd = fencefds_open(&client->fencefds, reply->head.id);
	clients->fencefds += fd >= 0;
	return fd;
}

/* A wait that a descriptor answers is over. */
static void say_late(struct client *client, const struct wire_reply *head)
{
	const struct wire_watch word = {
		.status = head->status,
		.reason = head->reason,
		.position = head->value[0],
	};

	client->clients->fencefds -= client->fencefds.count;
	fencefds_say(&client->fencefds, head->id, &word);
	client->clients->fencefds += client->fencefds.count;
}

/* The client's page of fences, for itself or for a reader. */
static int page_fd(struct client *client, const struct broker_reply *reply)
{
	const struct client *maker;
	int r;

	if (reply->head.opcode == WIRE_OP_FENCE_MAP) {
		/* A maker that published before it had its page, and did not
		 * get it, has none. */
		maker = find(client->clients, reply->page_of);
		if (!maker || !maker->port || !maker->port->page)
			return -ENOTSUP;
		return fencepage_reader_fd(maker->port->page);
	}
	r = port_make_page(client->port);
	if (r < 0)
		return r;
	r = fencepage_maker_fd(client->port->page);
	if (r < 0)
		port_drop_page(client->port);
	return r;
}

/* Makes what the broker has granted with a descriptor of our own; 0 or a
 * negative errno. */
static int make_descriptor(struct client *client,
			   const struct broker_reply *reply,
			   struct conn_attachment *ret)
{
	int r;

	ret->source = CONN_FROM_US;
	switch (reply->head.opcode) {
	case WIRE_OP_RING:
		r = make_port(client);
		ret->fd = r < 0 ? -1 : port_take_memory(client->port);
		return r;
	case WIRE_OP_FENCE_WATCH:
		r = make_fencefd(client, reply);
		break;
	case WIRE_OP_DOORBELL:
		ret->source = CONN_FROM_PORT;
		r = client->port->doorbell_fd;
		break;
	default:
		assert(reply->head.opcode == WIRE_OP_FENCE_PAGE ||
		       reply->head.opcode == WIRE_OP_FENCE_MAP);
		r = page_fd(client, reply);
		break;
	}
	ret->fd = r < 0 ? -1 : r;
	return r < 0 ? r : 0;
}

/* The same, or the reply becomes a refusal. */
static enum broker_verdict find_descriptor(struct client *client,
					   struct broker_reply *reply,
					   struct conn_attachment *ret)
{
	struct engine *engine = client->clients->config.engine;
	int r = make_descriptor(client, reply, ret);
	enum broker_verdict verdict = BROKER_REPLY;

	if (r < 0) {
		engine_lock(engine);
		verdict = broker_descriptor_failed(&engine->broker, reply, r);
		engine_unlock(engine);
	}
	return verdict;
}

/* attachment is of a store, or has no descriptor yet. */
static void send_reply(struct client *client, struct broker_reply *reply,
		       struct conn_attachment *attachment)
{
	int r;

	assert(reply->head.fds <= 1);
	if (reply->head.fds && attachment->fd < 0 &&
	    find_descriptor(client, reply, attachment) == BROKER_KILL) {
		throw_out(client, reply->head.status,
			  (enum tenure_reason)reply->head.reason);
		return;
	}
	r = conn_send(&client->conn, &reply->head, reply->data, attachment);
	if (r == -ENOMEM)
		throw_out(client, -ENOMEM, TENURE_REASON_DAEMON_BUSY);
	else if (r < 0)
		end(client, "end of file");
}

/* The hello of a client that is not wanted. */
static void answer_refused(struct client *client, const void *bytes,
			   size_t size)
{
	struct wire_reply word =
		last_word(client->refusal_status, client->refusal);
	struct wire_request request;

	word.opcode = WIRE_OP_HELLO;
	if (size >= sizeof(request)) {
		memcpy(&request, bytes, sizeof(request));
		word.opcode = request.opcode;
		word.id = request.id;
	}
	conn_send(&client->conn, &word, NULL, NULL);
	end(client, "refused");
}

/* Takes hold of the store that a reply promises a descriptor of. */
static void hold_store(struct clients *clients,
		       const struct broker_reply *reply,
		       struct conn_attachment *ret)
{
	assert(reply->adapter == 0);
	*ret = (struct conn_attachment){
		.source = CONN_FROM_STORE,
		.store = reply->store,
		.read_only = reply->read_only,
		.fd = backend_system_acquire(clients->config.system,
					     reply->store, reply->read_only),
	};
}

/*
 * Asks the broker, and keeps what it answers outside of the gate. A store is
 * taken hold of inside of it: a moment later a destroy, by the ring, may have
 * let it go, and its number may be somebody else's (P1).
 */
static enum broker_verdict receive(struct client *client, const void *bytes,
				   size_t size, struct broker_reply *ret,
				   struct conn_attachment *ret_attachment)
{
	struct clients *clients = client->clients;
	enum broker_verdict verdict;

	engine_lock(clients->config.engine);
	verdict = broker_receive(&clients->config.engine->broker, client->id,
				 BROKER_PORT_SOCKET, bytes, size,
				 clients->config.now_ns(), ret);
	if (verdict != BROKER_LATER && ret->head.data_bytes) {
		memcpy(clients->data, ret->data, ret->head.data_bytes);
		ret->data = clients->data;
	}
	if (verdict == BROKER_REPLY && ret->head.opcode == WIRE_OP_MAP &&
	    ret->head.fds)
		hold_store(clients, ret, ret_attachment);
	engine_unlock(clients->config.engine);
	return verdict;
}

static void on_message(struct conn *conn, const void *bytes, size_t size)
{
	struct client *client = client_of(conn);
	struct clients *clients = client->clients;
	struct broker_reply reply = { .client = client->id };
	struct conn_attachment attachment = { .fd = -1 };

	if (client->id == 0) {
		answer_refused(client, bytes, size);
		return;
	}
	switch (receive(client, bytes, size, &reply, &attachment)) {
	case BROKER_REPLY:
		if (!client->greeted && reply.head.status == 0 &&
		    reply.head.opcode == WIRE_OP_HELLO)
			greet(client);
		send_reply(client, &reply, &attachment);
		break;
	case BROKER_LATER:
		conn_expect(conn);
		break;
	case BROKER_KILL:
		conn_send(conn, &reply.head, reply.data, NULL);
		clients->counters.killed++;
		end(client, reason_sentence(reply.head.reason));
		break;
	}
}

/* Whether it was killed, or closed the connection and went, nobody tells us. */
static const char *cause_of_end(const struct client *client)
{
	return peer_is_dead(client->conn.process.fd) ||
			       peer_is_exiting(client->pid) ?
		       "its process has ended" :
		       "end of file";
}

static void on_over(struct conn *conn, enum conn_end how)
{
	struct client *client = client_of(conn);

	switch (how) {
	case CONN_END_OF_FILE:
	case CONN_DIED:
		end(client, cause_of_end(client));
		break;
	case CONN_DESCRIPTORS_SENT:
		throw_out(client, -EPROTO, TENURE_REASON_DESCRIPTORS_SENT);
		break;
	case CONN_MESSAGE_TOO_LONG:
		throw_out(client, -EPROTO, TENURE_REASON_MESSAGE_TOO_LONG);
		break;
	}
}

static void on_detach(struct conn *conn, const struct conn_attachment *a)
{
	switch (a->source) {
	case CONN_FROM_STORE:
		backend_system_release(client_of(conn)->clients->config.system,
				       a->store, a->read_only);
		break;
	case CONN_FROM_US:
		close(a->fd);
		break;
	case CONN_FROM_PORT:
		break;
	}
}

static void on_blocked(struct conn *conn)
{
	client_of(conn)->clients->is_blocked = true;
}

static void on_noticed(struct conn *conn, uint64_t about)
{
	const struct client *client = client_of(conn);
	struct engine *engine = client->clients->config.engine;

	if (!(about & WIRE_NOTICE_REMOVED))
		return;
	engine_lock(engine);
	broker_notice_sent(&engine->broker, client->id);
	engine_unlock(engine);
}

static const struct conn_ops conn_ops = {
	.noticed = on_noticed,
	.message = on_message,
	.over = on_over,
	.detach = on_detach,
	.blocked = on_blocked,
};

void clients_init(struct clients *clients, const struct clients_config *config)
{
	memset(clients, 0, sizeof(*clients));
	clients->config = *config;
}

static void bury(struct clients *clients)
{
	while (clients->buried) {
		struct client *client = clients->buried;

		clients->buried = client->next;
		free(client);
	}
}

void clients_deinit(struct clients *clients)
{
	assert(!clients->waiting.first && !clients->greeted.first);
	assert(clients->count == 0 && clients->refused == 0);
	assert(clients->ports == 0 && clients->fencefds == 0);
	bury(clients);
}

void clients_refuse(struct clients *clients, int socket_fd,
		    enum tenure_reason reason)
{
	struct wire_reply word = last_word(-EBUSY, reason);

	word.opcode = WIRE_OP_HELLO;
	clients->counters.refused++;
	log_write(LOG_LEVEL_WARNING, LOG_CLIENT_REFUSED,
		  "a client was refused: %s", reason_sentence(reason));
	conn_refuse(socket_fd, &word);
}

/* A client whose connection is read from, but who has no name yet. */
static struct client *client_new(struct clients *clients, int socket_fd,
				 int pidfd)
{
	struct client *client = calloc(1, sizeof(*client));

	if (!client)
		return NULL;
	if (conn_init(&client->conn, &conn_ops, clients->config.poller,
		      &clients->buffer, socket_fd, pidfd) < 0) {
		free(client);
		return NULL;
	}
	client->clients = clients;
	client->hello_until_ns =
		clients->config.now_ns() + clients->config.hello_timeout_ns;
	return client;
}

/* Asks the broker for a name; a refused client keeps none. */
static void introduce(struct clients *clients, struct client *client,
		      const struct peer_facts *facts)
{
	const struct peer peer = {
		.uid = facts->uid,
		.pid = facts->pid,
		.cgroup = facts->cgroup,
		.privileged = facts->uid == 0 || facts->uid == geteuid(),
	};

	client->pid = facts->pid;
	engine_lock(clients->config.engine);
	client->refusal_status = broker_connect(&clients->config.engine->broker,
						&peer, clients->config.now_ns(),
						&client->id, &client->refusal);
	engine_unlock(clients->config.engine);
	if (client->refusal_status == 0) {
		clients->counters.connected++;
		log_write(LOG_LEVEL_DEBUG, LOG_CLIENT_CONNECTED,
			  "client %" PRIu32 " (pid %" PRId32 ", uid %" PRIu32
			  ", cgroup %s) connected",
			  client->id, facts->pid, facts->uid,
			  facts->cgroup[0] ? facts->cgroup : "-");
		return;
	}
	client->id = 0;
	clients->counters.refused++;
	log_write(LOG_LEVEL_WARNING, LOG_CLIENT_REFUSED,
		  "pid %" PRId32 " (uid %" PRIu32
		  ", cgroup %s) was refused: %s",
		  facts->pid, facts->uid,
		  facts->cgroup[0] ? facts->cgroup : "-",
		  reason_sentence(client->refusal));
}

void clients_admit(struct clients *clients, int socket_fd)
{
	struct peer_facts facts;
	struct client *client;
	int r = peer_read(socket_fd, &facts);

	if (r == -ESRCH) {
		close(socket_fd);
		return;
	}
	if (r < 0) {
		clients_refuse(clients, socket_fd, TENURE_REASON_DAEMON_BUSY);
		return;
	}
	client = client_new(clients, socket_fd, facts.pidfd);
	if (!client) {
		if (facts.pidfd >= 0)
			close(facts.pidfd);
		clients_refuse(clients, socket_fd, TENURE_REASON_DAEMON_BUSY);
		return;
	}
	introduce(clients, client, &facts);
	enlist(client);
	if (client->id == 0 && clients->refused > CLIENTS_REFUSED_MAX)
		answer_refused(client, NULL, 0);
}

static void send_late(struct clients *clients, struct broker_reply *reply)
{
	struct client *client = find(clients, reply->client);
	struct conn_attachment none = { .fd = -1 };

	/* It was here when the engine passed this on, and it is the engine
	 * that forgets the mail of those who end. */
	assert(client);
	if (reply->port == BROKER_PORT_WATCH) {
		say_late(client, &reply->head);
		return;
	}
	send_reply(client, reply, &none);
	conn_expected(&client->conn);
}

/* There is something for it to take. Not holding it is conn_notice's affair. */
static void tell(struct client *client, enum wire_notice about)
{
	const struct wire_reply notice = {
		.opcode = WIRE_OP_NOTICE,
		.index = WIRE_NO_INDEX,
		.value[0] = about,
	};

	if (conn_notice(&client->conn, &notice) < 0)
		end(client, "end of file");
}

static void send_notice(struct clients *clients, uint32_t id)
{
	struct client *client = find(clients, id);

	assert(client);
	tell(client, WIRE_NOTICE_REMOVED);
}

static void read_mail(struct clients *clients)
{
	struct engine_mail mail;

	while (engine_next_mail(clients->config.engine, &mail)) {
		switch (mail.kind) {
		case ENGINE_REPLY:
			send_late(clients, &mail.reply);
			break;
		case ENGINE_OBITUARY:
			log_obituary(&mail.obituary);
			break;
		case ENGINE_FAILURE:
			log_failure(&mail.failure);
			break;
		case ENGINE_NOTICE:
			send_notice(clients, mail.noticed);
			break;
		case ENGINE_PINNED:
			log_pinned(&mail.pinned);
			break;
		}
	}
}

/* A worker has found that a client must go. */
static void end_faulty(struct clients *clients, struct port *port)
{
	struct client *client = port->owner;
	const char *sentence = reason_sentence(port->farewell.reason);
	char cause[256];

	/* It may have gone by itself meanwhile. */
	if (!client)
		return;
	clients->counters.killed++;
	conn_send(&client->conn, &port->farewell, NULL, NULL);
	if (port->cause)
		snprintf(cause, sizeof(cause), "%s: %s", sentence, port->cause);
	else
		snprintf(cause, sizeof(cause), "%s", sentence);
	end(client, cause);
}

static void hear_worker(struct clients *clients, struct worker *worker)
{
	enum worker_event event;
	struct port *port;

	while (worker_next_event(worker, &event, &port)) {
		switch (event) {
		case WORKER_FAULTY:
			end_faulty(clients, port);
			break;
		case WORKER_TELL:
			if (port->owner)
				tell(port->owner, WIRE_NOTICE_REFUSALS);
			break;
		case WORKER_CLOSED:
			port_free(port);
			clients->ports--;
			break;
		}
	}
}

void clients_settle(struct clients *clients)
{
	for (unsigned int i = 0; i < clients->config.n_workers; i++)
		hear_worker(clients, clients->config.workers[i]);
	read_mail(clients);
	bury(clients);
}

/* Who waits longest stands first, so the first that is early ends the walk. */
uint64_t clients_expire(struct clients *clients)
{
	uint64_t now_ns = clients->config.now_ns();
	struct client *client;

	while ((client = clients->waiting.first)) {
		if (client->hello_until_ns > now_ns)
			return client->hello_until_ns;
		clients->counters.timed_out++;
		throw_out(client, -ETIMEDOUT, TENURE_REASON_HELLO_TIMEOUT);
	}
	return 0;
}

/* Whoever is blocked has been answered something, so he is in the list of the
 * greeted or is waited for no longer than a hello may take. */
void clients_retry(struct clients *clients)
{
	struct client *client, *next;

	clients->is_blocked = false;
	for (client = clients->greeted.first; client; client = next) {
		next = client->next;
		conn_retry(&client->conn);
		clients->is_blocked |= client->conn.is_blocked;
	}
}

void clients_end_all(struct clients *clients, int status,
		     enum tenure_reason reason)
{
	while (clients->waiting.first)
		dismiss(clients->waiting.first, status, reason);
	while (clients->greeted.first)
		dismiss(clients->greeted.first, status, reason);
}
