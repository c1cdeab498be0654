/* SPDX-License-Identifier: Apache-2.0 */
/* Drawing what to do next: operations, handles and arguments. */
#ifndef TESTS_DIFFERENTIAL_DRAW_H
#define TESTS_DIFFERENTIAL_DRAW_H

#include "tests/differential/differential.h"

/* One kind of step. */
struct step {
	const char *name;
	void (*make)(struct run *run, int client);
	uint32_t weight;
	bool always; /* is never left out of a swarm */
	bool any_client; /* needs no living client */
};

/* The first three are connect, adapter open and device create. */
extern const struct step steps[];
extern const uint32_t n_steps;

/* A living client, or MODEL_NOTHING. */
int draw_client(struct run *run);

#endif
