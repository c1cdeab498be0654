/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A producer that destroys its buffers while they are in use, and loses
 * nothing. For each buffer a child process plays the device that works on it:
 * it inherits the mapping and sums up the bytes, slowly. The producer submits
 * that work and destroys the buffer at once. The handle and the producer's own
 * pointer are dead from then on; the memory goes when the producer reports that
 * the work is done.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <tenure/tenure.h>
#include <unistd.h>

enum { BUFFERS = 4, BYTES = 1 << 20 };

static void must(int status, const char *what)
{
	char why[200];

	if (status >= 0)
		return;
	fprintf(stderr, "deferral: %s: %s\n", what,
		tenure_explain(why, sizeof(why)));
	exit(1);
}

/* The work: exit status 0 if every byte still is what it was. */
static pid_t start_work(const unsigned char *bytes, unsigned char value)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	usleep(50 * 1000);
	for (size_t i = 0; i < BYTES; i++)
		if (bytes[i] != value)
			_exit(1);
	_exit(0);
}

static pid_t produce(struct tenure *t, struct tenure_device device,
		     struct tenure_context context, unsigned char value)
{
	const size_t size = BYTES;
	struct tenure_allocation buffer;
	void *pointer = NULL;
	size_t mapped = 0;
	pid_t work;

	must(tenure_allocation_create(t, device, &size, 1, &buffer), "create");
	must(tenure_map(t, device, buffer, TENURE_MAP_WRITE, &pointer, &mapped),
	     "map");
	memset(pointer, value, BYTES);
	work = start_work(pointer, value);
	must(tenure_context_use(t, context, &buffer, 1), "use");
	must(tenure_context_submit(t, context, value), "submit");
	must(tenure_allocation_destroy(t, device, buffer, 0), "destroy");
	return work;
}

int main(void)
{
	struct tenure *t = NULL;
	struct tenure_adapter adapter;
	struct tenure_device device;
	struct tenure_context context;
	struct tenure_stat stat;
	pid_t works[BUFFERS];
	int status = 0, bad = 0;

	must(tenure_connect(NULL, TENURE_CONNECT_SPAWN, &t), "connect");
	must(tenure_adapter_open(t, NULL, &adapter), "adapter");
	must(tenure_device_create(t, adapter, &device), "device");
	must(tenure_context_create(t, device, &context), "context");
	for (int i = 0; i < BUFFERS; i++)
		works[i] = produce(t, device, context, (unsigned char)(i + 1));
	must(tenure_stat(t, &stat), "stat");
	printf("%d buffers destroyed, %llu handles kept for the work\n",
	       BUFFERS, (unsigned long long)stat.retired);
	for (int i = 0; i < BUFFERS; i++) {
		if (waitpid(works[i], &status, 0) < 0 || status != 0)
			bad++;
		must(tenure_context_progress(t, context, (uint64_t)i + 1),
		     "progress");
	}
	must(tenure_device_destroy(t, device), "end");
	must(tenure_stat(t, &stat), "stat");
	printf("work done, %d buffers damaged, %llu handles kept\n", bad,
	       (unsigned long long)stat.retired);
	tenure_disconnect(t);
	return bad != 0;
}
