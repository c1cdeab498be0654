/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events
 *
 * Some things happen to a connection while no thread is in a call: a destroy
 * that nobody waited for is refused, a device is removed, the daemon dies. An
 * application with a loop of its own waits for them on one descriptor, an epoll
 * instance with two things in it:
 *
 *	daemon --notice, farewell, end--> socket --\
 *	                                            +--> epoll --> application
 *	any thread that finds something --> eventfd /
 *
 * The socket alone is not enough, since any thread that receives takes whatever
 * has come: what it finds for the loop it says with the eventfd. The eventfd
 * alone is not enough, since the library has no thread that could write it.
 *
 * Refusals lie in the ring, where no descriptor sees them. So the library makes
 * a wish in the ring (core/ring): the daemon then sends one notice by the
 * socket when it has refused something. A dispatch that has a notice wishes
 * anew and then looks into the ring, in this order, so nothing is missed, and a
 * client that never dispatches is sent one notice and no more.
 *
 * A dispatch takes in all that the descriptor speaks of, and then it is silent
 * until there is more: an application that ignores what it is told does not
 * spin. That holds for death too, since the socket of a dead connection leaves
 * the instance when the death has been reported. A reply to another thread's
 * call may make the descriptor readable for a moment, for nothing.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  What comes to be taken makes the descriptor readable, whichever thread
 *      finds it, until a dispatch.
 *  G2  After a dispatch the descriptor is silent until something new comes.
 *  G3  A dispatch never waits for anything but the lock.
 *  G4  A notice that nobody has asked for ends the connection.
 */
#include "client/events.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "client/connection.h"

enum {
	/* Messages that one dispatch takes; more are there for the next. */
	MESSAGES_MAX = 64,
};

void events_init(struct events *events)
{
	*events = (struct events){ .poll = -1, .wake = -1 };
}

void events_deinit(struct events *events)
{
	if (events->poll >= 0)
		close(events->poll);
	if (events->wake >= 0)
		close(events->wake);
	events_init(events);
}

void events_raise(struct events *events)
{
	const uint64_t one = 1;

	if (events->wake < 0 || events->is_raised)
		return;
	/* It is read whenever is_raised is cleared, so it is never full. */
	events->is_raised = write(events->wake, &one, sizeof(one)) > 0;
}

static void lower(struct events *events)
{
	uint64_t count;

	if (events->is_raised &&
	    read(events->wake, &count, sizeof(count)) == sizeof(count))
		events->is_raised = false;
}

bool events_try_notice(struct events *events, const struct wire_reply *reply)
{
	static_assert((int)TENURE_EVENT_REMOVED == WIRE_NOTICE_REMOVED,
		      "one is passed on as the other");
	if (events->poll < 0 || reply->opcode != WIRE_OP_NOTICE ||
	    reply->id != 0 || reply->status != 0 || reply->reserved != 0 ||
	    reply->fds != 0 || reply->data_bytes != 0)
		return false;
	events->has_notice = true;
	events->about |= reply->value[0] & TENURE_EVENT_REMOVED;
	events_raise(events);
	return true;
}

static int add(int poll, int fd)
{
	struct epoll_event event = { .events = EPOLLIN };

	return epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
}

/* The descriptor of a transport, or -1: there is none to wait on. */
static int descriptor_of(const struct tenure *connection)
{
	struct transport *transport = connection->transport;

	return transport->ops->descriptor ?
		       transport->ops->descriptor(transport) :
		       -1;
}

/* Both descriptors, or none. */
static int open_descriptors(struct tenure *connection)
{
	struct events *events = &connection->events;
	int socket = descriptor_of(connection), status;

	events->poll = epoll_create1(EPOLL_CLOEXEC);
	events->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (events->poll >= 0 && events->wake >= 0 &&
	    add(events->poll, events->wake) == 0 &&
	    (socket < 0 || add(events->poll, socket) == 0))
		return 0;
	status = -errno;
	events_deinit(events);
	return refusal_set(status, TENURE_REASON_NO_DESCRIPTOR);
}

/* From now on the daemon says what there is; what there was is found. */
static void wish(struct tenure *connection)
{
	if (!connection->ringside)
		return;
	ring_client_wish(&connection->ringside->end);
	ringside_reap(connection);
}

static int ask_for_notices(struct tenure *connection)
{
	struct call call = { .request.opcode = WIRE_OP_NOTICES };
	int status = connection_call_locked(connection, &call);

	if (status < 0)
		return status;
	connection->events.is_asked = true;
	wish(connection);
	if (connection->refusals.count > 0)
		events_raise(&connection->events);
	return 0;
}

int tenure_event_fd(struct tenure *connection)
{
	int status = connection_enter(connection);

	if (status < 0)
		return status;
	if (connection->events.poll < 0)
		status = open_descriptors(connection);
	if (status == 0 && !connection->events.is_asked)
		status = ask_for_notices(connection);
	if (status == 0)
		status = connection->events.poll;
	return connection_leave(connection, status);
}

/* Takes in what has come, by the socket and by the ring. */
static void take_in(struct tenure *connection)
{
	int n = 0;

	while (connection->dead_status == 0 && n < MESSAGES_MAX &&
	       connection_try_listen_locked(connection))
		n++;
	if (connection->dead_status != 0 || !connection->ringside)
		return;
	if (connection->events.has_notice)
		wish(connection);
	else
		ringside_reap(connection);
	connection->events.has_notice = false;
}

/* Its socket has no more to say, and would say so for ever. */
static void leave_socket(struct tenure *connection)
{
	const struct events *events = &connection->events;
	int socket = descriptor_of(connection);

	/* It may have left before. */
	if (events->poll >= 0 && socket >= 0)
		epoll_ctl(events->poll, EPOLL_CTL_DEL, socket, NULL);
}

static int report(struct tenure *connection)
{
	struct events *events = &connection->events;
	unsigned int about = events->about;

	events->about = 0;
	lower(events);
	if (connection->dead_status != 0) {
		leave_socket(connection);
		return refusal_set(connection->dead_status,
				   connection->dead_reason);
	}
	if (connection->refusals.count > 0 || connection->refusals.lost > 0)
		about |= TENURE_EVENT_REFUSALS;
	return (int)about;
}

int tenure_dispatch(struct tenure *connection)
{
	int status;

	if (!connection)
		return refusal_set(-EINVAL, TENURE_REASON_ARGUMENT);
	if (forkmark_forked(&connection->mark))
		return refusal_set(-EOWNERDEAD, TENURE_REASON_FORKED);
	pthread_mutex_lock(&connection->lock);
	if (connection->dead_status == 0)
		take_in(connection);
	status = report(connection);
	pthread_mutex_unlock(&connection->lock);
	return status;
}
