/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that uses an installed libtenure: two connections to one daemon,
 * memory that the second sees through a token. Prints the daemon's socket, and
 * keeps the connection until its standard input ends. With an argument, that
 * is the only daemon it talks to.
 */
#include <stdio.h>
#include <string.h>
#include <tenure/tenure.h>

static int fail(const char *what)
{
	char why[256];

	fprintf(stderr, "consumer: %s: %s\n", what,
		tenure_explain(why, sizeof(why)));
	return 1;
}

static int use(struct tenure *producer, struct tenure *consumer)
{
	struct tenure_memory mine, theirs;
	struct tenure_token token;

	if (tenure_alloc_shared(producer, 100000, &mine) < 0)
		return fail("alloc");
	strcpy(mine.pointer, "through the daemon");
	if (tenure_share(producer, &mine, TENURE_RIGHT_READ, &token) < 0)
		return fail("share");
	if (tenure_open_shared(consumer, &token, &theirs) < 0)
		return fail("open");
	if (strcmp(theirs.pointer, "through the daemon") != 0)
		return fail("what was shared is not what is seen");
	if (tenure_free(producer, &mine) < 0 ||
	    tenure_free(consumer, &theirs) < 0)
		return fail("free");
	return 0;
}

int main(int argc, char **argv)
{
	const char *path = argc > 1 ? argv[1] : NULL;
	struct tenure *producer, *consumer;
	int status;

	if (tenure_connect(path, path ? 0 : TENURE_CONNECT_SPAWN, &producer) <
	    0)
		return fail("connect");
	if (tenure_connect(tenure_socket_path(producer), 0, &consumer) < 0)
		return fail("connect again");
	status = use(producer, consumer);
	printf("%s\n", tenure_socket_path(producer));
	fflush(stdout);
	while (getchar() != EOF)
		;
	tenure_disconnect(consumer);
	tenure_disconnect(producer);
	return status;
}
