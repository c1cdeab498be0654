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

/* Whether this time something is to be wrong. */
bool draw_is_bad(struct run *run);

/* Whether there is room for one more request that may wait for ever. */
bool draw_is_patient(struct run *run);

/* Any thing with these properties, MODEL_NONE and MODEL_NOTHING being any, or
 * MODEL_NOTHING. */
int draw_thing(struct run *run, int client, enum model_kind kind, int device);

/* A device in order; sometimes one that is going. */
int draw_device(struct run *run, int client);

/* Handles; the second and third are wrong ones when this time is bad. */
uint64_t draw_handle_of(struct run *run, int thing);
uint64_t draw_device_handle(struct run *run, int client, int device);
uint64_t draw_handle(struct run *run, int client, enum model_kind kind,
		     int device);
uint64_t draw_wrong_handle(struct run *run, int client);

/* A token of a resource, or of a fence. */
void draw_token(struct run *run, enum model_kind kind, uint64_t ret_value[2]);
uint32_t draw_rights(struct run *run);

/* draw_fence.c */
void step_fence_create(struct run *run, int client);
void step_fence_destroy(struct run *run, int client);
void step_fence_share(struct run *run, int client);
void step_fence_open(struct run *run, int client);
void step_fence_signal(struct run *run, int client);
void step_fence_value(struct run *run, int client);
void step_fence_wait(struct run *run, int client);
void step_fence_cancel(struct run *run, int client);
void step_fence_word(struct run *run, int client);

#endif
