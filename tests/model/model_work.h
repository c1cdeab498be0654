/* SPDX-License-Identifier: Apache-2.0 */
/* The model's own view of work in flight: what its parts share. */
#ifndef TESTS_MODEL_MODEL_WORK_H
#define TESTS_MODEL_MODEL_WORK_H

#include "tests/model/model.h"

/* model.c */
/* What becomes garbage from here on belongs to that request, if it is a
 * synchronous destroy that has not been answered; until id 0. */
void model_settles(struct model *m, int client, uint64_t id);
int model_new_thing(struct model *m, struct model_thing thing);
void model_end_thing(struct model *m, int thing);
void model_end_shell(struct model *m, int thing);
void model_forget_thing(struct model *m, int thing);
void model_drop_objects(struct model *m);
int model_new_store(struct model *m, int client, uint32_t count);
/* A device that is going has no work left: what it has dies now or soon. */
void model_settle_device(struct model *m, int device);

/* Whether a new context or fence of the client can have that word. */
bool model_word_is_free(const struct model *m, int client, uint64_t word);
/* Of what a SHARE names. */
const char *model_new_token(struct model *m, int client,
			    const struct wire_request *q,
			    const struct wire_reply *reply);

/* model_fence.c */
bool model_apply_fence(struct model *m, int client,
		       const struct wire_request *q, const void *args,
		       const struct wire_reply *reply, const char **ret_wrong);
/* The late answer to a wait, which it ends. */
const char *model_answer_of_wait(struct model *m, int client,
				 const struct wire_request *q,
				 const struct wire_reply *reply);
/* An opening goes now, or will very soon. Nothing if it is no fence. */
void model_close_fence(struct model *m, int thing, bool surely);
/* What a client had has surely gone. */
void model_bury_fences(struct model *m, int client);
void model_forget_waits(struct model *m, int client);
/* What a look at the fence sees. */
uint64_t model_look_at(const struct model *m, int fence);

/* model_work.c */
/* How many contexts have unfinished work on it, without that one. */
uint32_t model_users(const struct model *m, int thing, int but);
bool model_device_is_working(const struct model *m, int device);
void model_forget_uses(struct model *m, int thing);
/* A destroy: becomes a ghost if it is in use; whether it did. */
bool model_haunt(struct model *m, int thing, const struct wire_request *q);
/* Progress may have ended ghosts, contexts and devices of the client. */
void model_settle_work(struct model *m, int client);
const char *model_apply_work(struct model *m, int client,
			     const struct wire_request *q, const void *args,
			     const struct wire_reply *reply, const void *data);
/* The late answer to a destroy or a context destroy. */
const char *model_answer_of_work(struct model *m, int client,
				 const struct wire_request *q,
				 const struct wire_reply *reply);
/* Removal of a device: whether that request was a wait for its work. */
bool model_was_deferred(const struct model *m, int client, uint64_t id);

#endif
