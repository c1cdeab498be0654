/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Consumer: gets frames by token and uses them where they lie.
 *
 *	tenure-demo-consumer SOCKET PRODUCER-FD --sha256
 *	tenure-demo-consumer SOCKET PRODUCER-FD --copy FILE
 *	tenure-demo-consumer SOCKET PRODUCER-FD --hold NUMBER
 *
 * Every frame is opened, mapped for reading, and checked against its index;
 * then its bytes are hashed or written straight from the mapping: nothing is
 * copied between the processes. The producer is told as soon as the frame is
 * open, and may then destroy its own opening; this one keeps the memory.
 *
 * --hold is for showing what happens when a consumer dies: from frame NUMBER
 * on it keeps HELD_FRAMES frames open, says "holding", and waits for its end.
 *
 * The result is one line on standard output. The hash is libcrypto's, since a
 * hash is not what this program is about.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frame.h"

enum { HELD_FRAMES = 4 };

struct consumer {
	struct tenure *tenure;
	struct tenure_device device;
	int producer;
	uint64_t next;
	EVP_MD_CTX *hash; /* --sha256 */
	int copy; /* --copy, or -1 */
	bool holds; /* --hold */
	uint64_t hold_from, held;
};

/* A frame that is open, as this process sees it. */
struct frame {
	struct tenure_resource resource;
	const struct frame_header *header;
	const uint8_t *payload;
	const uint64_t *index;
};

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "consumer: %s\n", what);
	exit(1);
}

static _Noreturn void die_of_tenure(const char *what)
{
	char why[200];

	fprintf(stderr, "consumer: %s: %s\n", what,
		tenure_explain(why, sizeof(why)));
	exit(1);
}

static const void *map_part(struct consumer *c,
			    struct tenure_allocation allocation,
			    size_t least_bytes)
{
	void *pointer;
	size_t size;

	if (tenure_map(c->tenure, c->device, allocation, TENURE_MAP_READ,
		       &pointer, &size) < 0)
		die_of_tenure("map");
	if (size < least_bytes)
		die("a part of the frame is too small");
	return pointer;
}

static struct frame open_frame(struct consumer *c,
			       const struct announcement *announcement)
{
	struct tenure_allocation parts[FRAME_PARTS];
	struct frame frame;
	uint64_t number;

	if (tenure_resource_open(c->tenure, c->device, &announcement->token, 0,
				 FRAME_PARTS, &number, sizeof(number),
				 &frame.resource, parts) < 0)
		die_of_tenure("open");
	if (number != announcement->number || number != c->next)
		die("this is not the frame that was announced");
	frame.header = map_part(c, parts[FRAME_HEADER], sizeof(*frame.header));
	frame.payload = map_part(c, parts[FRAME_PAYLOAD], FRAME_PAYLOAD_BYTES);
	frame.index = map_part(c, parts[FRAME_INDEX],
			       FRAME_BLOCKS * sizeof(*frame.index));
	return frame;
}

static void check_frame(const struct frame *frame, uint64_t number)
{
	size_t bytes = frame->header->payload_bytes;

	if (frame->header->magic != FRAME_MAGIC ||
	    frame->header->number != number || bytes > FRAME_PAYLOAD_BYTES)
		die("the header of a frame is wrong");
	for (size_t i = 0; i < FRAME_BLOCKS; i++) {
		if (frame_checksum(frame->payload + i * FRAME_BLOCK_BYTES,
				   frame_block_bytes(bytes, i)) !=
		    frame->index[i])
			die("a block of a frame has a wrong checksum");
	}
}

static void write_all(int fd, const uint8_t *bytes, size_t size_bytes)
{
	ssize_t n;

	while (size_bytes > 0) {
		n = write(fd, bytes, size_bytes);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			die(strerror(errno));
		bytes += n;
		size_bytes -= (size_t)n;
	}
}

static void use_frame(struct consumer *c, const struct frame *frame)
{
	size_t bytes = frame->header->payload_bytes;

	if (c->hash && !EVP_DigestUpdate(c->hash, frame->payload, bytes))
		die("the hash failed");
	if (c->copy >= 0)
		write_all(c->copy, frame->payload, bytes);
}

static void tell_opened(struct consumer *c)
{
	const struct opened opened = { .number = c->next };

	if (send(c->producer, &opened, sizeof(opened), MSG_NOSIGNAL) < 0)
		die("the producer has gone");
}

static void wait_for_the_end(const struct consumer *c)
{
	printf("holding %llu frames\n", (unsigned long long)c->held);
	for (;;)
		pause();
}

/* One frame; false when it was the last. */
static bool consume(struct consumer *c)
{
	struct announcement announcement;
	struct frame frame;
	bool more;

	if (recv(c->producer, &announcement, sizeof(announcement), 0) !=
	    sizeof(announcement))
		die("the producer has gone too early");
	frame = open_frame(c, &announcement);
	tell_opened(c);
	check_frame(&frame, c->next);
	use_frame(c, &frame);
	more = ++c->next < frame.header->frames;
	if (c->holds && c->next > c->hold_from) {
		if (++c->held == HELD_FRAMES || !more)
			wait_for_the_end(c);
		return true;
	}
	if (tenure_resource_destroy(c->tenure, c->device, frame.resource) < 0)
		die_of_tenure("destroy");
	return more;
}

static void print_hash(EVP_MD_CTX *hash)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int size;

	if (!EVP_DigestFinal_ex(hash, digest, &size))
		die("the hash failed");
	printf("sha256 ");
	for (unsigned int i = 0; i < size; i++)
		printf("%02x", digest[i]);
	printf("\n");
	EVP_MD_CTX_free(hash);
}

static void take_arguments(struct consumer *c, int argc, char **argv)
{
	c->copy = -1;
	if (argc == 4 && strcmp(argv[3], "--sha256") == 0) {
		c->hash = EVP_MD_CTX_new();
		if (!c->hash || !EVP_DigestInit_ex(c->hash, EVP_sha256(), NULL))
			die("there is no SHA-256");
	} else if (argc == 5 && strcmp(argv[3], "--copy") == 0) {
		c->copy = open(argv[4], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
			       0600);
		if (c->copy < 0)
			die(strerror(errno));
	} else if (argc == 5 && strcmp(argv[3], "--hold") == 0) {
		c->holds = true;
		c->hold_from = strtoull(argv[4], NULL, 10);
	} else {
		die("usage: tenure-demo-consumer SOCKET PRODUCER-FD "
		    "--sha256 | --copy FILE | --hold NUMBER");
	}
	c->producer = atoi(argv[2]);
}

int main(int argc, char **argv)
{
	struct tenure_adapter adapter;
	struct consumer c = { 0 };

	setvbuf(stdout, NULL, _IOLBF, 0);
	take_arguments(&c, argc, argv);
	if (tenure_connect(argv[1], 0, &c.tenure) < 0)
		die_of_tenure("connect");
	if (tenure_adapter_open(c.tenure, NULL, &adapter) < 0 ||
	    tenure_device_create(c.tenure, adapter, &c.device) < 0)
		die_of_tenure("device");
	while (consume(&c))
		;
	tenure_disconnect(c.tenure);
	if (c.hash)
		print_hash(c.hash);
	if (c.copy >= 0) {
		if (close(c.copy) < 0)
			die(strerror(errno));
		printf("copied\n");
	}
	return 0;
}
