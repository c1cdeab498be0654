/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory held by a daemon, in twenty lines. With no daemon running, the library
 * starts one that ends with this program; when this program is killed at any
 * line, the daemon takes the memory back.
 */
#include <stdio.h>
#include <string.h>
#include <tenure/tenure.h>

int main(void)
{
	struct tenure *t = NULL;
	struct tenure_memory m;
	char why[200];

	if (tenure_connect(NULL, TENURE_CONNECT_SPAWN, &t) < 0 ||
	    tenure_alloc(t, 1 << 20, &m) < 0) {
		fprintf(stderr, "hello: %s\n",
			tenure_explain(why, sizeof(why)));
		tenure_disconnect(t);
		return 1;
	}
	strcpy(m.pointer, "hello");
	printf("%s from %zu bytes held by %s\n", (char *)m.pointer, m.size,
	       tenure_socket_path(t));
	tenure_free(t, &m);
	tenure_disconnect(t);
	return 0;
}
