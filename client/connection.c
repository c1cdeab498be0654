/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connection
 *
 * One lock round everything. A call by the socket is one exchange under the
 * lock. A call by the ring is put into the ring under the lock and waited for
 * without it (ringside.c), so that a thread whose destroy takes long holds up
 * nobody; and so, by the socket, is one whose answer may wait for somebody's
 * work (late.c). When it has the lock again it notes in the ledger what the daemon
 * did. Between those two moments other threads' calls may have been noted that
 * the daemon carried out later, so a step that waits looks everything up again,
 * and the few things for which the order matters have a turn each, which one
 * thread at a time holds across its waits.
 *
 *	      enter            call                         leave
 *	free -------> locked --------> reply judged, noted --------> free
 *	                  |                |
 *	                  |  no reply,     |  reply makes no sense
 *	                  v                v
 *	                 dead: every later call fails the same way
 *
 * The daemon is not trusted more than it has to be. What it sends is checked
 * here for every request (id, opcode, sizes, descriptor) and by the caller for
 * what that request means (counts, handles, offsets). The first thing that is
 * wrong ends the connection: after it, nobody knows which reply is whose.
 *
 * Memory that a call will need is allocated before the request is sent, so
 * that after the daemon's yes the library cannot say no.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  No message of a daemon makes this process crash, hang on a lock or
 *      lose a descriptor.
 *  G2  A dead connection answers at once, and with the same error for ever.
 *  G3  A forked child changes nothing and talks to nobody.
 *  G4  Each descriptor that came is acknowledged exactly once, by the next
 *      request.
 */
#include "client/connection.h"

#include <stdlib.h>
#include <unistd.h>

enum { ERRNO_MAX = 4095 };

const char *tenure_version(void)
{
	return TENURE_VERSION;
}

int connection_enter(struct tenure *connection)
{
	int status;

	if (!connection)
		return refusal_set(-EINVAL, TENURE_REASON_ARGUMENT);
	if (forkmark_forked(&connection->mark))
		return refusal_set(-EOWNERDEAD, TENURE_REASON_FORKED);
	pthread_mutex_lock(&connection->lock);
	status = connection->dead_status;
	if (status == 0)
		return 0;
	refusal_set(status, connection->dead_reason);
	pthread_mutex_unlock(&connection->lock);
	return status;
}

int connection_leave(struct tenure *connection, int status)
{
	pthread_mutex_unlock(&connection->lock);
	return status;
}

void connection_turn_begin_locked(struct tenure *connection, enum turn turn)
{
	while (connection->turns[turn])
		pthread_cond_wait(&connection->turn_over, &connection->lock);
	connection->turns[turn] = true;
}

void connection_turn_end_locked(struct tenure *connection, enum turn turn)
{
	assert(connection->turns[turn]);
	connection->turns[turn] = false;
	pthread_cond_broadcast(&connection->turn_over);
}

static enum tenure_reason reason_of_death(int status)
{
	if (status == -EPROTO)
		return TENURE_REASON_DAEMON_PROTOCOL;
	if (status == -ETIMEDOUT)
		return TENURE_REASON_DAEMON_SILENT;
	return TENURE_REASON_CONNECTION_LOST;
}

/* Whoever waits for anything of the connection is told. */
static int die_of(struct tenure *connection, int status,
		  enum tenure_reason reason)
{
	connection->dead_status = status;
	connection->dead_reason = reason;
	late_wake_all(&connection->late);
	events_raise(&connection->events);
	return refusal_set(status, reason);
}

static int die(struct tenure *connection, int status)
{
	return die_of(connection, status, reason_of_death(status));
}

int connection_distrust_locked(struct tenure *connection)
{
	return die(connection, -EPROTO);
}

/*
 * A daemon that throws a client out of its own accord (it is full, it stops)
 * says why in a message that answers no request, and closes.
 */
static bool is_farewell(const struct wire_reply *reply)
{
	return reply->id == 0 && reply->status < 0 &&
	       reply->status >= -ERRNO_MAX && reply->fds == 0 &&
	       reply->data_bytes == 0;
}

static bool is_answer(const struct wire_request *request,
		      const struct exchange *exchange)
{
	const struct wire_reply *reply = &exchange->reply;
	unsigned int fds = exchange->fd >= 0 || exchange->fd_lost;

	return reply->id == request->id && reply->opcode == request->opcode &&
	       reply->reserved == 0 && reply->fds == fds &&
	       reply->data_bytes == exchange->data_bytes &&
	       reply->status <= 0 && reply->status >= -ERRNO_MAX &&
	       (reply->status == 0 || fds == 0);
}

/* What came answers nothing: a farewell, or nonsense. */
static int unasked(struct tenure *connection, struct exchange *exchange)
{
	if (exchange->fd >= 0)
		close(exchange->fd);
	if (exchange->fd >= 0 || !is_farewell(&exchange->reply))
		return die(connection, -EPROTO);
	return die_of(connection, exchange->reply.status,
		      exchange->reply.reason);
}

/* What comes beside answers: replies to late calls, notices. */
static bool try_take(struct tenure *connection, const struct exchange *exchange)
{
	return late_try_land(connection, exchange) ||
	       (exchange->fd < 0 && !exchange->fd_lost &&
		exchange->data_bytes == 0 &&
		events_try_notice(&connection->events, &exchange->reply));
}

bool connection_try_listen_locked(struct tenure *connection)
{
	struct transport *transport = connection->transport;
	struct exchange exchange = { .fd = -1 };
	int status;

	if (!transport->ops->listen)
		return false;
	status = transport->ops->listen(transport, &exchange);
	if (status == -EAGAIN || status == -EINTR)
		return false;
	if (status < 0)
		die(connection, status);
	else if (!try_take(connection, &exchange))
		unasked(connection, &exchange);
	return true;
}

void connection_listen_locked(struct tenure *connection)
{
	connection_try_listen_locked(connection);
}

void connection_keep_refusal_locked(struct tenure *connection,
				    const struct tenure_async_refusal *refusal)
{
	refusals_put(&connection->refusals, refusal);
	events_raise(&connection->events);
}

int connection_failed_locked(struct tenure *connection, int status)
{
	if (status == -EFAULT)
		return refusal_set(-EINVAL, TENURE_REASON_LIST_TRUNCATED);
	if (status == -ENOMEM)
		return refusal_set(-ENOMEM, TENURE_REASON_LIBRARY_MEMORY);
	return die(connection, status);
}

/*
 * Sends and receives; 0 when what came is an answer to the request. Answers to
 * late calls, and notices, may come first.
 */
static int converse(struct tenure *connection, struct exchange *exchange)
{
	struct transport *transport = connection->transport;
	int status;

	exchange->fd = -1;
	exchange->fd_lost = false;
	status = transport->ops->exchange(transport, exchange);
	if (status < 0)
		return connection_failed_locked(connection, status);
	while (!is_answer(exchange->request, exchange)) {
		if (!try_take(connection, exchange))
			return unasked(connection, exchange);
		exchange->fd = -1;
		exchange->fd_lost = false;
		status = transport->ops->receive(transport, exchange);
		if (status < 0)
			return die(connection, status);
	}
	return 0;
}

/* Only these get a descriptor, and they always do. */
static bool wants_fd(const struct wire_request *request)
{
	return request->opcode == WIRE_OP_RING ||
	       request->opcode == WIRE_OP_DOORBELL ||
	       request->opcode == WIRE_OP_FENCE_WATCH ||
	       request->opcode == WIRE_OP_FENCE_PAGE ||
	       ((request->opcode == WIRE_OP_MAP ||
		 request->opcode == WIRE_OP_FENCE_MAP) &&
		(request->flags & WIRE_MAP_WANT_FD) != 0);
}

/* Sends a request by the socket; the reply may be a refusal. */
static int call_by_socket(struct tenure *connection, struct call *call)
{
	struct exchange exchange = {
		.request = &call->request,
		.args = call->args,
		.args_bytes = call->args_bytes,
		.data = connection->data,
		.capacity = sizeof(connection->data),
	};
	int status;

	call->request.id = ++connection->last_id;
	call->request.fds_acked = connection->fds_received;
	status = converse(connection, &exchange);
	if (status < 0)
		return status;
	call->reply = exchange.reply;
	call->fd = exchange.fd;
	call->fd_lost = exchange.fd_lost;
	connection->fds_received = call->reply.fds;
	return 0;
}

int connection_call_locked(struct tenure *connection, struct call *call)
{
	int status;

	assert(call->args_bytes <= WIRE_ARGS_BYTES_MAX);
	/* It may have died while this thread waited. */
	if (connection->dead_status != 0)
		return refusal_set(connection->dead_status,
				   connection->dead_reason);
	call->fd = -1;
	call->fd_lost = false;
	call->request.args_bytes = (uint32_t)call->args_bytes;
	if (connection->ringside && !call->by_socket &&
	    !wants_fd(&call->request))
		status = ringside_call_waits(connection, call);
	else if (late_may_be(&call->request) &&
		 connection->transport->ops->send)
		status = late_call_waits(connection, call);
	else
		status = call_by_socket(connection, call);
	if (status < 0)
		return status;
	if (call->reply.status < 0)
		return refusal_set_at(call->reply.status, call->reply.reason,
				      call->reply.index);
	if (call->reply.fds == wants_fd(&call->request))
		return 0;
	if (call->fd >= 0)
		close(call->fd);
	return connection_distrust_locked(connection);
}

int connection_prepare_locked(struct tenure *connection)
{
	return connection->ringside ? ringside_prepare_waits(connection) : 0;
}

int connection_settle_locked(struct tenure *connection)
{
	return connection->ringside ? ringside_settle_waits(connection) : 0;
}

void connection_undo_locked(struct tenure *connection, struct call *call)
{
	struct tenure_refusal refusal;

	tenure_last_refusal(&refusal);
	if (connection->dead_status == 0)
		connection_call_locked(connection, call);
	refusal_restore(&refusal);
}

static int hello(struct tenure *connection)
{
	struct call call = {
		.request = {
			.opcode = WIRE_OP_HELLO,
			.object = WIRE_MAGIC,
			.value = { WIRE_VERSION_MIN, WIRE_VERSION_MAX },
		},
	};
	int status = connection_call_locked(connection, &call);

	if (status < 0)
		return status;
	if (call.reply.data_bytes != 0 || call.reply.count < WIRE_VERSION_MIN ||
	    call.reply.count > WIRE_VERSION_MAX)
		return connection_distrust_locked(connection);
	return 0;
}

/* Asks for a descriptor that a connection can do without: 0 with one, or with
 * -1 when it was refused or this process has no room for it. */
static int ask_for_fd(struct tenure *connection, uint8_t opcode, int *ret_fd)
{
	struct call call = { .request.opcode = opcode };
	struct tenure_refusal before;
	int status;

	tenure_last_refusal(&before);
	status = connection_call_locked(connection, &call);
	if (connection->dead_status != 0)
		return status;
	refusal_restore(&before);
	*ret_fd = -1;
	if (status < 0)
		return 0;
	if (call.reply.data_bytes != 0 ||
	    (opcode == WIRE_OP_RING &&
	     call.reply.value[0] != sizeof(struct ring))) {
		if (call.fd >= 0)
			close(call.fd);
		return connection_distrust_locked(connection);
	}
	*ret_fd = call.fd;
	return 0;
}

/*
 * Takes a ring, unless the daemon has none for us or this process has no room
 * for it: then the socket carries everything.
 */
static int take_ring(struct tenure *connection)
{
	int memory = -1, doorbell = -1;
	int status = ask_for_fd(connection, WIRE_OP_RING, &memory);

	if (status == 0 && memory >= 0)
		status = ask_for_fd(connection, WIRE_OP_DOORBELL, &doorbell);
	if (status == 0 && doorbell >= 0) {
		status = ringside_new(memory, doorbell, &connection->ringside);
		if (status == 0)
			doorbell = -1;
		else if (status == -EPROTO)
			connection_distrust_locked(connection);
		else
			status = 0;
	}
	if (memory >= 0)
		close(memory);
	if (doorbell >= 0)
		close(doorbell);
	return status;
}

int connection_new(struct transport *transport, struct tenure **ret_connection)
{
	struct tenure *connection = calloc(1, sizeof(*connection));
	int status;

	if (!connection)
		return refusal_set(-ENOMEM, TENURE_REASON_LIBRARY_MEMORY);
	status = pthread_mutex_init(&connection->lock, NULL);
	if (status != 0) {
		free(connection);
		return refusal_set(-status, TENURE_REASON_LIBRARY_MEMORY);
	}
	/* It needs nothing that could be missing. */
	pthread_cond_init(&connection->turn_over, NULL);
	late_init(&connection->late);
	events_init(&connection->events);
	forkmark_init(&connection->mark);
	ledger_init(&connection->ledger);
	work_init(&connection->work);
	own_fences_init(&connection->own_fences);
	fence_views_init(&connection->fence_views);
	connection->transport = transport;
	status = hello(connection);
	if (status == 0)
		status = take_ring(connection);
	if (status < 0) {
		connection->transport = NULL;
		tenure_disconnect(connection);
		return status;
	}
	*ret_connection = connection;
	return 0;
}

void tenure_disconnect(struct tenure *connection)
{
	bool forked, whole;

	if (!connection)
		return;
	/*
	 * In a forked child another thread of the parent may have held the
	 * lock and been in the middle of a change: then the ledger cannot be
	 * walked, and its memory is left alone.
	 */
	forked = forkmark_forked(&connection->mark);
	whole = !forked || pthread_mutex_trylock(&connection->lock) == 0;
	if (connection->transport)
		connection->transport->ops->close(connection->transport);
	if (whole) {
		fence_views_deinit(connection);
		own_fences_deinit(connection, forked);
		work_deinit(&connection->work);
		ledger_deinit(&connection->ledger);
	}
	ringside_free(connection->ringside, forked);
	events_deinit(&connection->events);
	late_deinit(&connection->late, forked);
	if (!forked) {
		pthread_cond_destroy(&connection->turn_over);
		pthread_mutex_destroy(&connection->lock);
	}
	forkmark_deinit(&connection->mark);
	free(connection);
}

const char *tenure_socket_path(const struct tenure *connection)
{
	return connection ? connection->path : "";
}

int tenure_stat(struct tenure *connection, struct tenure_stat *ret_stat)
{
	struct call call = { .request.opcode = WIRE_OP_STAT };
	struct wire_stat stat;
	int status;

	if (!ret_stat)
		return refusal_set(-EINVAL, TENURE_REASON_ARGUMENT);
	status = connection_enter(connection);
	if (status < 0)
		return status;
	status = connection_call_locked(connection, &call);
	if (status == 0 && call.reply.data_bytes != sizeof(stat))
		status = connection_distrust_locked(connection);
	if (status < 0)
		return connection_leave(connection, status);
	memcpy(&stat, connection->data, sizeof(stat));
	*ret_stat = (struct tenure_stat){
		.bytes = stat.bytes,
		.bytes_limit = stat.bytes_limit,
		.handles = stat.handles,
		.handles_limit = stat.handles_limit,
		.tokens = stat.tokens,
		.stores = stat.stores,
		.devices = stat.devices,
		.resources = stat.resources,
		.allocations = stat.allocations,
		.retired = stat.retired,
	};
	return connection_leave(connection, 0);
}

/* What connection_request adds to converse: nothing is noted. */
static int request_locked(struct tenure *connection,
			  const struct wire_request *head, const void *args,
			  size_t args_bytes, struct wire_reply *ret_reply,
			  void *data, size_t capacity)
{
	struct wire_request request = *head;
	struct exchange exchange = {
		.request = &request,
		.args = args,
		.args_bytes = args_bytes,
		.data = data,
		.capacity = capacity,
	};
	int status;

	if (request.id == 0)
		request.id = ++connection->last_id;
	status = converse(connection, &exchange);
	if (status < 0)
		return status;
	if (exchange.fd >= 0)
		close(exchange.fd);
	*ret_reply = exchange.reply;
	return 0;
}

int connection_request(struct tenure *connection,
		       const struct wire_request *head, const void *args,
		       size_t args_bytes, struct wire_reply *ret_reply,
		       void *data, size_t capacity)
{
	int status = connection_enter(connection);

	if (status < 0)
		return status;
	status = connection_settle_locked(connection);
	if (status == 0)
		status = request_locked(connection, head, args, args_bytes,
					ret_reply, data, capacity);
	return connection_leave(connection, status);
}
