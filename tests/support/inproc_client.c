/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real library on a broker in the same thread
 *
 * A transport whose exchange is a function call, and whose late replies are
 * looked for when the library would wait. As there is nobody else in this
 * thread who could do the work that a call waits for, a wait is where the test
 * has its turn: inproc_while_waiting. It behaves as the socket
 * does: arguments that cannot be read are -EFAULT before anything is sent, a
 * client that was thrown out gets the last reply and then -ECONNRESET, and
 * closing the transport is the end of the client.
 */
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "client/transport.h"
#include "tests/support/inproc.h"

enum { ASKED_MAX = 64 };

struct inproc_transport {
	struct transport transport; /* first, see struct transport */
	struct inproc *world;
	uint32_t client;
	uint64_t serial; /* of the client: another one may get its number */
	uint64_t asked[ASKED_MAX]; /* requests without an answer, or 0 */
	struct inproc_reply *ready; /* an answer that came at once, or NULL */
	bool looked; /* and found nothing, since the last request */
};

static bool is_alive(const struct inproc_transport *t)
{
	return inproc_serial(t->world, t->client) == t->serial &&
	       inproc_alive(t->world, t->client);
}

/* Copies what may be no memory at all; 0 or -EFAULT. */
static int copy_args(void *to, const void *from, size_t size_bytes)
{
	struct iovec local = { to, size_bytes };
	struct iovec remote = { .iov_len = size_bytes };

	memcpy(&remote.iov_base, &from, sizeof(from));
	if (size_bytes == 0)
		return 0;
	if (process_vm_readv(getpid(), &local, 1, &remote, 1, 0) !=
	    (ssize_t)size_bytes)
		return -EFAULT;
	return 0;
}

static int deliver(struct exchange *exchange, struct inproc_reply *reply)
{
	if (reply->head.data_bytes > exchange->capacity) {
		if (reply->fd >= 0)
			close(reply->fd);
		return -EPROTO;
	}
	exchange->reply = reply->head;
	exchange->data_bytes = reply->head.data_bytes;
	exchange->fd = reply->fd;
	if (reply->head.data_bytes > 0)
		memcpy(exchange->data, reply->data, reply->head.data_bytes);
	return 0;
}

static int inproc_exchange(struct transport *transport,
			   struct exchange *exchange)
{
	struct inproc_transport *t = (struct inproc_transport *)transport;
	size_t args_bytes = exchange->args_bytes;
	struct inproc_reply reply = { .fd = -1 };
	uint8_t *args;
	int r;

	if (!is_alive(t))
		return -ECONNRESET;
	t->looked = false;
	/* Nobody here would serve a ring: the library works without. */
	if (exchange->request->opcode == WIRE_OP_RING) {
		exchange->reply = (struct wire_reply){
			.opcode = WIRE_OP_RING,
			.status = -EDQUOT,
			.id = exchange->request->id,
			.reason = TENURE_REASON_CLIENT_BYTES,
			.index = WIRE_NO_INDEX,
		};
		exchange->data_bytes = 0;
		return 0;
	}
	args = malloc(args_bytes + 1);
	assert(args);
	r = copy_args(args, exchange->args, args_bytes);
	if (r == 0) {
		inproc_call(t->world, t->client, exchange->request, args,
			    args_bytes, &reply);
		r = reply.head.opcode == 0 ? -ECONNRESET :
					     deliver(exchange, &reply);
	}
	free(args);
	return r;
}

static void note_asked(struct inproc_transport *t, uint64_t id)
{
	unsigned int i = 0;

	while (i < ASKED_MAX && t->asked[i] != 0)
		i++;
	assert(i < ASKED_MAX);
	t->asked[i] = id;
}

/* Sends a request whose answer may come late. */
static int inproc_send_late(struct transport *transport, struct exchange *x)
{
	struct inproc_transport *t = (struct inproc_transport *)transport;
	size_t args_bytes = x->args_bytes;
	struct inproc_reply *reply;
	uint8_t *args;
	int r;

	if (!is_alive(t))
		return 0;
	args = malloc(args_bytes + 1);
	reply = calloc(1, sizeof(*reply));
	assert(args && reply && !t->ready);
	t->looked = false;
	reply->fd = -1;
	r = copy_args(args, x->args, args_bytes);
	if (r == 0 && inproc_send(t->world, t->client, x->request, args,
				  args_bytes, reply) == BROKER_LATER) {
		note_asked(t, x->request->id);
	} else if (r == 0) {
		t->ready = reply;
		reply = NULL;
	}
	free(reply);
	free(args);
	return r;
}

static int take_late(struct inproc_transport *t, struct exchange *x)
{
	static struct inproc_reply reply;

	for (unsigned int i = 0; i < ASKED_MAX; i++) {
		if (t->asked[i] != 0 &&
		    inproc_take_reply(t->world, t->client, t->asked[i],
				      &reply)) {
			t->asked[i] = 0;
			t->looked = false;
			return deliver(x, &reply);
		}
	}
	t->looked = true;
	return -EAGAIN;
}

static int inproc_listen(struct transport *transport, struct exchange *x)
{
	struct inproc_transport *t = (struct inproc_transport *)transport;
	struct inproc_reply *ready = t->ready;
	int r;

	if (ready) {
		t->ready = NULL;
		r = ready->head.opcode == 0 ? -ECONNRESET : deliver(x, ready);
		free(ready);
		return r;
	}
	return is_alive(t) ? take_late(t, x) : -ECONNRESET;
}

static void inproc_wait(struct transport *transport, int wake, int timeout_ms)
{
	struct inproc_transport *t = (struct inproc_transport *)transport;

	(void)wake;
	if (t->ready || !t->looked || !is_alive(t) || inproc_pump(t->world))
		return;
	if (timeout_ms >= 0)
		usleep((unsigned int)timeout_ms * 1000);
	else
		inproc_wait_turn(t->world);
	t->looked = false;
}

static int inproc_receive(struct transport *transport, struct exchange *x)
{
	int r = inproc_listen(transport, x);

	while (r == -EAGAIN) {
		inproc_wait(transport, -1, -1);
		r = inproc_listen(transport, x);
	}
	return r;
}

static void inproc_close(struct transport *transport)
{
	struct inproc_transport *t = (struct inproc_transport *)transport;

	if (is_alive(t))
		inproc_kill(t->world, t->client);
	free(t->ready);
	free(t);
}

static const struct transport_ops inproc_transport_ops = {
	.exchange = inproc_exchange,
	.send = inproc_send_late,
	.receive = inproc_receive,
	.listen = inproc_listen,
	.wait = inproc_wait,
	.close = inproc_close,
};

int inproc_attach(struct inproc *world, const struct peer *peer,
		  struct tenure **ret_connection, uint32_t *ret_client)
{
	struct inproc_transport *t;
	uint32_t client;
	int r;

	r = inproc_connect(world, peer, &client, NULL);
	if (r < 0)
		return r;
	t = malloc(sizeof(*t));
	assert(t);
	*t = (struct inproc_transport){
		.transport.ops = &inproc_transport_ops,
		.world = world,
		.client = client,
		.serial = inproc_serial(world, client),
	};
	r = connection_new(&t->transport, ret_connection);
	if (r < 0) {
		inproc_close(&t->transport);
		return r;
	}
	if (ret_client)
		*ret_client = client;
	return 0;
}
