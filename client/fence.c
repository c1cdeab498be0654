/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fences
 *
 * A fence is a 64-bit value that only grows, shared by token, by which people
 * order their work: one signals, others wait. It never decides when memory
 * goes. All its rules are the daemon's; here are the calls, and the one thing
 * that the daemon leaves to its clients, which is time. How the maker of a
 * fence signals it without a request is in client/own_fence.c.
 *
 *	wait ----> FENCE_WAIT ........................> answer
 *	              |  (late.c: without the lock)        ^
 *	  time over --+--> FENCE_WAIT_CANCEL --> answer ---+ whichever is first
 *
 * A wait goes by the socket, also where there is a ring, since a thread can
 * wait on a socket until a time and take the answer when it pleases. When the
 * time is over the library cancels and then takes the wait's own answer, which
 * comes in any case: a fence that came in time, or in the moment of the
 * cancelling, is never reported as a time-out. A cancel that finds nothing
 * means that the answer is on its way. A wait without any time only looks: one
 * request, which is answered in any case and of which the daemon keeps nothing.
 *
 * What the ring carries is carried out before a wait is asked for, so a thread
 * that signals and then waits finds what it has signalled.
 *
 * A wait for an application's own loop is answered by a descriptor instead,
 * which the daemon made and says its word by: one message with what the answer
 * would have been. It lies there to be looked at, so whoever asks twice hears
 * the same, and needs neither the connection nor its lock.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  A wait that was answered with success returns success, however late.
 *  G2  A wait without an answer in time returns -ETIMEDOUT, and nothing of it
 *      is left at the daemon. One without any time needs no room there.
 *  G3  While a thread waits, other threads' calls go on
 *      (tests/rows/library_fences_test.c).
 *  G4  A descriptor that can be read has a result, always the same, and
 *      nothing that it could say makes this process wait.
 */
#include "client/fence.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

/* One request on one fence. */
static int ask_waits(struct tenure *connection, struct call *call,
		     uint8_t opcode, struct tenure_device device,
		     struct tenure_fence fence, uint64_t value)
{
	call->request.opcode = opcode;
	call->request.device = device.value;
	call->request.object = fence.value;
	call->request.value[0] = value;
	return connection_call_locked(connection, call);
}

int tenure_fence_create(struct tenure *connection, struct tenure_device device,
			uint64_t value, struct tenure_fence *ret_fence)
{
	int status;

	if (!ret_fence)
		return refusal_set(-EINVAL, TENURE_REASON_ARGUMENT);
	status = connection_enter(connection);
	if (status < 0)
		return status;
	status = own_fence_create_waits(connection, device.value, value,
					&ret_fence->value);
	return connection_leave(connection, status);
}

static void forget(struct tenure *connection, uint64_t handle)
{
	own_fence_forget(connection, handle);
	fence_view_forget(connection, handle);
}

int tenure_fence_destroy(struct tenure *connection, struct tenure_device device,
			 struct tenure_fence fence)
{
	struct call call = { 0 };
	int status = connection_enter(connection);

	if (status < 0)
		return status;
	status = ask_waits(connection, &call, WIRE_OP_FENCE_DESTROY, device,
			   fence, 0);
	if (status == 0)
		forget(connection, fence.value);
	return connection_leave(connection, status);
}

int tenure_fence_signal(struct tenure *connection, struct tenure_device device,
			struct tenure_fence fence, uint64_t value)
{
	struct call call = { 0 };
	int status = connection_enter(connection);

	if (status < 0)
		return status;
	if (!own_fence_try_signal(connection, device.value, fence.value, value))
		status = ask_waits(connection, &call, WIRE_OP_FENCE_SIGNAL,
				   device, fence, value);
	return connection_leave(connection, status);
}

int tenure_fence_value(struct tenure *connection, struct tenure_device device,
		       struct tenure_fence fence, uint64_t *ret_value)
{
	struct call call = { 0 };
	int status;

	if (!ret_value)
		return refusal_set(-EINVAL, TENURE_REASON_ARGUMENT);
	status = connection_enter(connection);
	if (status < 0)
		return status;
	if (own_fence_try_value(connection, device.value, fence.value,
				ret_value) ||
	    fence_view_try_value_waits(connection, device.value, fence.value,
				       ret_value))
		return connection_leave(connection, 0);
	status = ask_waits(connection, &call, WIRE_OP_FENCE_VALUE, device,
			   fence, 0);
	if (status == 0)
		*ret_value = call.reply.value[0];
	return connection_leave(connection, status);
}

int tenure_fence_share(struct tenure *connection, struct tenure_device device,
		       struct tenure_fence fence, unsigned int rights,
		       struct tenure_token *ret_token)
{
	struct call call = { .request.flags = rights };
	int status;

	if (!ret_token)
		return refusal_set(-EINVAL, TENURE_REASON_ARGUMENT);
	status = connection_enter(connection);
	if (status < 0)
		return status;
	own_fence_publish_waits(connection, device.value, fence.value);
	status = ask_waits(connection, &call, WIRE_OP_FENCE_SHARE, device,
			   fence, 0);
	if (status == 0)
		memcpy(ret_token->bytes, call.reply.value,
		       sizeof(ret_token->bytes));
	return connection_leave(connection, status);
}

int tenure_fence_open(struct tenure *connection, struct tenure_device device,
		      const struct tenure_token *token, unsigned int rights,
		      struct tenure_fence *ret_fence)
{
	struct call call = {
		.request.opcode = WIRE_OP_FENCE_OPEN,
		.request.flags = rights,
		.request.device = device.value,
	};
	struct fence_view *view;
	int status;

	if (!token || !ret_fence)
		return refusal_set(-EINVAL, TENURE_REASON_ARGUMENT);
	memcpy(call.request.value, token->bytes, sizeof(token->bytes));
	status = connection_enter(connection);
	if (status < 0)
		return status;
	view = fence_view_new();
	if (!view)
		return connection_leave(
			connection,
			refusal_set(-ENOMEM, TENURE_REASON_LIBRARY_MEMORY));
	status = connection_call_locked(connection, &call);
	if (status == 0) {
		ret_fence->value = call.reply.value[0];
		fence_view_enter(connection, view, device.value,
				 ret_fence->value);
	} else {
		free(view);
	}
	return connection_leave(connection, status);
}

/* ---- Waits ---- */

enum { ERRNO_MAX = 4095 };

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* The time is over: has the daemon answer now, one way or the other. */
static int give_up(struct tenure *connection, struct call *call,
		   struct late_call *late)
{
	struct call cancel = {
		.request.opcode = WIRE_OP_FENCE_WAIT_CANCEL,
		.request.value[0] = late->id,
		.by_socket = true,
	};
	struct tenure_refusal before;

	tenure_last_refusal(&before);
	/* Refused: it has been answered. A dead connection is seen below. */
	connection_call_locked(connection, &cancel);
	refusal_restore(&before);
	return late_finish_waits(connection, call, late, 0);
}

/* What the answer to a wait means. */
static int judge(struct tenure *connection, const struct fence_wait *wait,
		 const struct call *call, unsigned int *ret_index)
{
	const struct wire_reply *reply = &call->reply;

	if (reply->status == -ECANCELED)
		return refusal_set(-ETIMEDOUT, TENURE_REASON_NONE);
	if (reply->status < 0)
		return refusal_set_at(reply->status, reply->reason,
				      reply->index);
	if (wait->only_looks && reply->value[0] == wait->count)
		return refusal_set(-ETIMEDOUT, TENURE_REASON_NONE);
	if (reply->value[0] >= wait->count)
		return connection_distrust_locked(connection);
	*ret_index = (unsigned int)reply->value[0];
	return 0;
}

/* Until it is answered or its time is over. */
static int call_late(struct tenure *connection, const struct fence_wait *wait,
		     struct call *call)
{
	struct late_call late;
	int status = late_send_locked(connection, call, &late);

	if (status < 0)
		return status;
	status = late_finish_waits(connection, call, &late, wait->deadline_ns);
	return status > 0 ? give_up(connection, call, &late) : status;
}

int fence_wait_waits(struct tenure *connection, const struct fence_wait *wait,
		     unsigned int *ret_index)
{
	struct call call = {
		.request = {
			.opcode = WIRE_OP_FENCE_WAIT,
			.flags = wait->flags,
			.device = wait->device.value,
			.count = wait->count,
			.value[0] = wait->only_looks,
		},
		.args = wait->list,
	};
	int status = connection_settle_locked(connection);

	/* A longer list is announced, not sent. */
	if (wait->count <= FENCES_PER_WAIT_MAX)
		call.args_bytes = wait->count * sizeof(*wait->list);
	if (status == 0)
		status = wait->only_looks ?
				 connection_call_locked(connection, &call) :
				 call_late(connection, wait, &call);
	if (status < 0)
		return status;
	return judge(connection, wait, &call, ret_index);
}

int tenure_fence_wait(struct tenure *connection, struct tenure_device device,
		      const struct tenure_fence_value *list, unsigned int count,
		      unsigned int flags, uint64_t timeout_ns,
		      unsigned int *ret_index)
{
	struct fence_wait wait = {
		.device = device,
		.list = list,
		.count = count,
		.flags = flags,
		.only_looks = timeout_ns == 0,
	};
	unsigned int index = 0;
	int status;

	if (count > 0 && !list)
		return refusal_set(-EINVAL, TENURE_REASON_LIST_MISSING);
	if (timeout_ns != TENURE_FOREVER)
		wait.deadline_ns = now_ns() + timeout_ns;
	/* So long that the clock would wrap: for ever too. */
	if (wait.deadline_ns < timeout_ns)
		wait.deadline_ns = 0;
	status = connection_enter(connection);
	if (status < 0)
		return status;
	status = fence_wait_waits(connection, &wait, &index);
	if (status == 0 && ret_index)
		*ret_index = index;
	return connection_leave(connection, status);
}

/* ---- For an application's own loop ---- */

/* Asks for the descriptor of a wait; that, or a status that has been
 * remembered. */
static int watch(struct tenure *connection, const struct fence_wait *wait)
{
	struct call call = {
		.request = {
			.opcode = WIRE_OP_FENCE_WATCH,
			.flags = wait->flags,
			.device = wait->device.value,
			.count = wait->count,
		},
		.args = wait->list,
	};
	int status = connection_settle_locked(connection);

	if (wait->count <= FENCES_PER_WAIT_MAX)
		call.args_bytes = wait->count * sizeof(*wait->list);
	if (status == 0)
		status = connection_call_locked(connection, &call);
	if (status < 0)
		return status;
	/* The daemon finds that nobody has the other end. */
	if (call.fd_lost)
		return refusal_set(-EMFILE, TENURE_REASON_NO_DESCRIPTOR);
	return call.fd;
}

int tenure_fence_fd(struct tenure *connection, struct tenure_device device,
		    const struct tenure_fence_value *list, unsigned int count,
		    unsigned int flags)
{
	const struct fence_wait wait = {
		.device = device,
		.list = list,
		.count = count,
		.flags = flags,
	};
	int status;

	if (count > 0 && !list)
		return refusal_set(-EINVAL, TENURE_REASON_LIST_MISSING);
	status = connection_enter(connection);
	if (status < 0)
		return status;
	return connection_leave(connection, watch(connection, &wait));
}

int tenure_fence_fd_result(int fd, unsigned int *ret_index)
{
	struct wire_watch word;
	ssize_t n;

	do
		n = recv(fd, &word, sizeof(word),
			 MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return refusal_set(-EAGAIN, TENURE_REASON_NONE);
	if (n < 0 && errno != ECONNRESET)
		return refusal_set(-errno, TENURE_REASON_ARGUMENT);
	/* Closed before it was over. */
	if (n <= 0)
		return refusal_set(-ECONNRESET, TENURE_REASON_CONNECTION_LOST);
	if (n != sizeof(word) || word.status > 0 || word.status < -ERRNO_MAX ||
	    word.position >= FENCES_PER_WAIT_MAX)
		return refusal_set(-EPROTO, TENURE_REASON_DAEMON_PROTOCOL);
	if (word.status < 0)
		return refusal_set(word.status,
				   (enum tenure_reason)word.reason);
	if (ret_index)
		*ret_index = (unsigned int)word.position;
	return 0;
}
