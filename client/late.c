/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Late
 *
 * Some answers come when somebody's work has ended: the destroy of a device
 * or a context, a synchronous destroy, a wait for a fence. Whoever does that
 * work may be another thread of this very process, and needs the connection
 * to say that it is done. So such a call is sent under the lock and waited
 * for without it.
 *
 *	late call:    lock, send, enter in list, unlock ---- wait ----> reply
 *	other call:        lock, send, receive, unlock
 *	                              |
 *	                              +--> a reply to a late call: handed over
 *
 * Of the threads that wait, one is the leader: it waits on the socket. The
 * others sleep on a condition. What comes is received under the lock, by the
 * leader or by a thread that expects the answer to an ordinary call, and goes
 * to the call with that id. Replies to late calls have neither data nor a
 * descriptor, so there is nothing to keep but the reply itself.
 *
 * A thread that takes a reply off the socket which the leader would have been
 * woken by must wake it by other means, an eventfd of this process. Without
 * room for one the leader looks after itself every few milliseconds.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  Every late call gets its own reply, in whatever order they come.
 *  G2  While one waits, calls of other threads go on.
 *  G3  The death of the connection ends every wait.
 *  G4  After the time is over the call is still open, and its reply, when it
 *      comes, is no surprise.
 */
#include "client/late.h"

#include "client/connection.h"

#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum {
	ERRNO_MAX = 4095,
	/* How often a leader that nobody can wake looks. */
	LOOK_MS = 5,
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

void late_init(struct late *late)
{
	pthread_condattr_t attributes;

	*late = (struct late){ .wake = -1 };
	/* None of these needs anything that could be missing. */
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&late->landed, &attributes);
	pthread_condattr_destroy(&attributes);
}

void late_deinit(struct late *late, bool forked)
{
	if (late->wake >= 0)
		close(late->wake);
	late->wake = -1;
	if (!forked)
		pthread_cond_destroy(&late->landed);
}

bool late_may_be(const struct wire_request *request)
{
	switch (request->opcode) {
	case WIRE_OP_ADAPTER_CLOSE:
	case WIRE_OP_DEVICE_DESTROY:
	case WIRE_OP_CONTEXT_DESTROY:
		return true;
	case WIRE_OP_DESTROY:
		return request->flags & TENURE_DESTROY_SYNCHRONOUS;
	}
	return false;
}

static struct late_call **find(struct late *late, uint64_t id)
{
	struct late_call **link = &late->calls;

	while (*link && (*link)->id != id)
		link = &(*link)->next;
	return link;
}

static void leave(struct late *late, const struct late_call *call)
{
	struct late_call **link = find(late, call->id);

	if (*link == call)
		*link = call->next;
}

void late_wake_all(struct late *late)
{
	const uint64_t one = 1;

	pthread_cond_broadcast(&late->landed);
	/* A counter that is full wakes just as well. */
	if (late->led && late->wake >= 0 &&
	    write(late->wake, &one, sizeof(one)) < 0)
		return;
}

bool late_try_land(struct tenure *connection, const struct exchange *exchange)
{
	const struct wire_reply *reply = &exchange->reply;
	struct late_call **link = find(&connection->late, reply->id);
	struct late_call *call = *link;

	if (!call || reply->opcode != call->opcode || reply->reserved != 0 ||
	    reply->fds != 0 || exchange->fd >= 0 || exchange->fd_lost ||
	    reply->data_bytes != 0 || exchange->data_bytes != 0 ||
	    reply->status > 0 || reply->status < -ERRNO_MAX)
		return false;
	call->reply = *reply;
	call->done = true;
	*link = call->next;
	late_wake_all(&connection->late);
	return true;
}

int late_send_locked(struct tenure *connection, struct call *call,
		     struct late_call *ret_late)
{
	struct transport *transport = connection->transport;
	struct exchange exchange = {
		.request = &call->request,
		.args = call->args,
		.args_bytes = call->args_bytes,
		.fd = -1,
	};
	int status;

	call->fd = -1;
	call->request.id = ++connection->last_id;
	call->request.args_bytes = (uint32_t)call->args_bytes;
	call->request.fds_acked = connection->fds_received;
	status = transport->ops->send(transport, &exchange);
	if (status < 0)
		return connection_failed_locked(connection, status);
	connection->fds_received = 0;
	*ret_late = (struct late_call){
		.next = connection->late.calls,
		.id = call->request.id,
		.opcode = call->request.opcode,
	};
	connection->late.calls = ret_late;
	return 0;
}

/* Milliseconds that a wait may take, rounded up; -1: for ever. */
static int patience_ms(const struct late *late, uint64_t deadline_ns)
{
	uint64_t now, left_ms;

	if (deadline_ns == 0)
		return late->wake < 0 ? LOOK_MS : -1;
	now = now_ns();
	if (now >= deadline_ns)
		return 0;
	left_ms = (deadline_ns - now + NS_PER_S / 1000 - 1) / (NS_PER_S / 1000);
	if (late->wake < 0)
		return LOOK_MS;
	return left_ms < INT32_MAX ? (int)left_ms : INT32_MAX;
}

/* Waits on the socket for everybody, once, and takes in what has come. */
static void lead(struct tenure *connection, uint64_t deadline_ns)
{
	struct transport *transport = connection->transport;
	struct late *late = &connection->late;
	uint64_t counter;
	int patience;

	if (late->wake < 0)
		late->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	patience = patience_ms(late, deadline_ns);
	late->led = true;
	pthread_mutex_unlock(&connection->lock);
	transport->ops->wait(transport, late->wake, patience);
	pthread_mutex_lock(&connection->lock);
	late->led = false;
	/* Only this thread reads, so the counter that it finds was for it. */
	if (late->wake >= 0 && read(late->wake, &counter, sizeof(counter)) < 0)
		counter = 0;
	if (connection->dead_status == 0)
		connection_listen_locked(connection);
}

/* Sleeps until something has landed or the lead is free. */
static void follow(struct tenure *connection, uint64_t deadline_ns)
{
	struct late *late = &connection->late;
	const struct timespec deadline = {
		.tv_sec = (time_t)(deadline_ns / NS_PER_S),
		.tv_nsec = (long)(deadline_ns % NS_PER_S),
	};

	if (deadline_ns == 0)
		pthread_cond_wait(&late->landed, &connection->lock);
	else
		pthread_cond_timedwait(&late->landed, &connection->lock,
				       &deadline);
}

int late_finish_waits(struct tenure *connection, struct call *call,
		      struct late_call *late, uint64_t deadline_ns)
{
	bool over = false;

	while (!late->done && connection->dead_status == 0 && !over) {
		if (connection->late.led)
			follow(connection, deadline_ns);
		else
			lead(connection, deadline_ns);
		over = deadline_ns != 0 && now_ns() >= deadline_ns;
	}
	/* Somebody else may have to lead now. */
	pthread_cond_broadcast(&connection->late.landed);
	if (late->done) {
		call->reply = late->reply;
		return 0;
	}
	if (connection->dead_status == 0)
		return 1;
	leave(&connection->late, late);
	return refusal_set(connection->dead_status, connection->dead_reason);
}

int late_call_waits(struct tenure *connection, struct call *call)
{
	struct late_call late;
	int status = late_send_locked(connection, call, &late);

	if (status == 0)
		status = late_finish_waits(connection, call, &late, 0);
	return status;
}
