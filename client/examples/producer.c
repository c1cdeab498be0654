/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Producer: reads a file and passes it on, frame by frame.
 *
 *	tenure-demo-producer SOCKET FILE [CONSUMER-FD]...
 *	tenure-demo-producer SOCKET FILE --stop-before-share
 *
 * Each frame is read straight into memory that the daemon holds, shared, and
 * announced to every consumer. As soon as all of them have opened it, the
 * producer revokes the token and destroys its own opening; the consumers keep
 * the memory alive for as long as they need it. A consumer that dies is struck
 * off the list, and the others do not notice.
 *
 * On standard output it says how far it is: "frame 3 of 17".
 *
 * With --stop-before-share it makes one frame, says "created" and waits to be
 * killed at the worst moment: nobody but the daemon knows of the memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "frame.h"

enum { CONSUMERS_MAX = 8 };

struct consumer {
	int fd; /* -1 when it has gone */
	uint64_t opened; /* frames that it has opened, in order */
};

/* A frame that not everybody has opened yet. */
struct flight {
	struct tenure_resource resource;
	struct tenure_token token;
};

struct producer {
	struct tenure *tenure;
	struct tenure_device device;
	int file;
	uint64_t frames; /* of the whole file */
	uint64_t next; /* to be made */
	uint64_t oldest; /* in flight */
	struct flight flights[FRAMES_IN_FLIGHT];
	struct consumer consumers[CONSUMERS_MAX];
	size_t n_consumers;
};

static _Noreturn void die_of_tenure(const char *what)
{
	char why[200];

	fprintf(stderr, "producer: %s: %s\n", what,
		tenure_explain(why, sizeof(why)));
	exit(1);
}

static _Noreturn void die_of_errno(const char *what)
{
	fprintf(stderr, "producer: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void *map_part(struct producer *p, struct tenure_allocation allocation)
{
	void *pointer;
	size_t size;

	if (tenure_map(p->tenure, p->device, allocation, TENURE_MAP_WRITE,
		       &pointer, &size) < 0)
		die_of_tenure("map");
	return pointer;
}

/* Fills the payload from the file; returns how much there was. */
static size_t read_payload(int file, uint8_t *payload)
{
	size_t size = 0;
	ssize_t n;

	while (size < FRAME_PAYLOAD_BYTES) {
		n = read(file, payload + size, FRAME_PAYLOAD_BYTES - size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			die_of_errno("read");
		if (n == 0)
			break;
		size += (size_t)n;
	}
	return size;
}

/* Makes the next frame: three allocations, born and destroyed as one. */
static struct tenure_resource make_frame(struct producer *p)
{
	static const size_t sizes[FRAME_PARTS] = {
		[FRAME_HEADER] = sizeof(struct frame_header),
		[FRAME_PAYLOAD] = FRAME_PAYLOAD_BYTES,
		[FRAME_INDEX] = FRAME_BLOCKS * sizeof(uint64_t),
	};
	struct tenure_allocation parts[FRAME_PARTS];
	struct tenure_resource resource;
	struct frame_header *header;
	uint8_t *payload;
	uint64_t *index;

	if (tenure_resource_create(p->tenure, p->device, TENURE_CREATE_SHARED,
				   sizes, FRAME_PARTS, &p->next,
				   sizeof(p->next), &resource, parts) < 0)
		die_of_tenure("create");
	header = map_part(p, parts[FRAME_HEADER]);
	payload = map_part(p, parts[FRAME_PAYLOAD]);
	index = map_part(p, parts[FRAME_INDEX]);
	*header = (struct frame_header){
		.magic = FRAME_MAGIC,
		.number = p->next,
		.frames = p->frames,
		.payload_bytes = read_payload(p->file, payload),
	};
	for (size_t i = 0; i < FRAME_BLOCKS; i++)
		index[i] = frame_checksum(
			payload + i * FRAME_BLOCK_BYTES,
			frame_block_bytes(header->payload_bytes, i));
	return resource;
}

static void lose(struct consumer *consumer)
{
	close(consumer->fd);
	consumer->fd = -1;
}

static void announce(struct producer *p, const struct flight *flight)
{
	const struct announcement a = {
		.number = p->next,
		.token = flight->token,
	};

	for (size_t i = 0; i < p->n_consumers; i++) {
		struct consumer *c = &p->consumers[i];

		if (c->fd >= 0 &&
		    send(c->fd, &a, sizeof(a), MSG_NOSIGNAL) != sizeof(a))
			lose(c);
	}
}

static void produce(struct producer *p)
{
	struct flight *flight = &p->flights[p->next % FRAMES_IN_FLIGHT];

	flight->resource = make_frame(p);
	if (tenure_resource_share(p->tenure, p->device, flight->resource,
				  TENURE_RIGHT_READ, &flight->token) < 0)
		die_of_tenure("share");
	announce(p, flight);
	p->next++;
	printf("frame %llu of %llu\n", (unsigned long long)p->next,
	       (unsigned long long)p->frames);
}

/* Waits until some consumer says something, or dies. */
static void listen_to_consumers(struct producer *p)
{
	struct pollfd fds[CONSUMERS_MAX];
	struct opened opened;

	for (size_t i = 0; i < p->n_consumers; i++)
		fds[i] = (struct pollfd){ p->consumers[i].fd, POLLIN, 0 };
	if (poll(fds, p->n_consumers, -1) < 0 && errno != EINTR)
		die_of_errno("poll");
	for (size_t i = 0; i < p->n_consumers; i++) {
		struct consumer *c = &p->consumers[i];

		if (c->fd < 0 || fds[i].revents == 0)
			continue;
		if (recv(c->fd, &opened, sizeof(opened), MSG_DONTWAIT) ==
		    sizeof(opened))
			c->opened = opened.number + 1;
		else
			lose(c);
	}
}

/* Frames that every living consumer has opened; all when nobody is left. */
static uint64_t opened_by_all(const struct producer *p)
{
	uint64_t opened = p->next;

	for (size_t i = 0; i < p->n_consumers; i++) {
		if (p->consumers[i].fd >= 0 && p->consumers[i].opened < opened)
			opened = p->consumers[i].opened;
	}
	return opened;
}

static void let_go(struct producer *p)
{
	uint64_t opened = opened_by_all(p);

	for (; p->oldest < opened; p->oldest++) {
		struct flight *f = &p->flights[p->oldest % FRAMES_IN_FLIGHT];

		if (tenure_token_revoke(p->tenure, &f->token) < 0)
			die_of_tenure("revoke");
		if (tenure_resource_destroy(p->tenure, p->device, f->resource) <
		    0)
			die_of_tenure("destroy");
	}
}

static void produce_all(struct producer *p)
{
	while (p->next < p->frames || p->oldest < p->next) {
		if (p->next < p->frames &&
		    p->next - p->oldest < FRAMES_IN_FLIGHT)
			produce(p);
		else
			listen_to_consumers(p);
		let_go(p);
	}
}

static void connect_and_open(struct producer *p, char **argv)
{
	struct tenure_adapter adapter;
	struct stat st;

	p->file = open(argv[2], O_RDONLY | O_CLOEXEC);
	if (p->file < 0 || fstat(p->file, &st) < 0)
		die_of_errno(argv[2]);
	p->frames = ((uint64_t)st.st_size + FRAME_PAYLOAD_BYTES - 1) /
		    FRAME_PAYLOAD_BYTES;
	if (tenure_connect(argv[1], 0, &p->tenure) < 0)
		die_of_tenure("connect");
	if (tenure_adapter_open(p->tenure, NULL, &adapter) < 0 ||
	    tenure_device_create(p->tenure, adapter, &p->device) < 0)
		die_of_tenure("device");
}

int main(int argc, char **argv)
{
	struct producer p = { 0 };

	if (argc < 3 || argc - 3 > CONSUMERS_MAX) {
		fprintf(stderr,
			"usage: tenure-demo-producer SOCKET FILE [CONSUMER-FD]"
			"...\n"
			"       tenure-demo-producer SOCKET FILE "
			"--stop-before-share\n");
		return 64;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	connect_and_open(&p, argv);
	if (argc == 4 && strcmp(argv[3], "--stop-before-share") == 0) {
		make_frame(&p);
		printf("created\n");
		for (;;)
			pause();
	}
	for (int i = 3; i < argc; i++)
		p.consumers[p.n_consumers++].fd = atoi(argv[i]);
	produce_all(&p);
	close(p.file);
	tenure_disconnect(p.tenure);
	return 0;
}
