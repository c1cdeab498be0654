/* SPDX-License-Identifier: Apache-2.0 */
/* What the judges of requests share. */
#ifndef TESTS_MODEL_MODEL_JUDGE_H
#define TESTS_MODEL_MODEL_JUDGE_H

#include "tests/model/model_work.h"

struct model_cost {
	uint64_t client[CHARGE_KINDS];
	uint64_t principal[CHARGE_KINDS];
	/* Perhaps the principal pays this much less, see judge_open. */
	uint64_t perhaps_less[CHARGE_KINDS];
};

/* One more answer that is right; the second and third without an index. */
void model_may(struct model_answers *ret, int status, enum tenure_reason reason,
	       uint32_t index);
void model_refuse(struct model_answers *ret, int status,
		  enum tenure_reason reason);
void model_succeed(struct model_answers *ret);

/* Of the daemon's own account: a fault that the test ordered. */
void model_may_lack_memory(const struct model *m, struct model_answers *ret);

struct model_cost model_cost_of(uint64_t bytes, uint64_t handles,
				uint64_t stores);

/* Success, unless a limit must refuse; what may refuse is added. */
void model_judge_cost(const struct model *m, int client,
		      const struct model_cost *cost, struct model_answers *ret);

/*
 * A handle where a device is expected. Returns the thing if it is one that
 * lives, and nothing has been refused.
 */
int model_judge_device(const struct model *m, int client, uint64_t handle,
		       struct model_answers *ret);

/*
 * A thing that must be of a kind and of that device. garbage is what anything
 * but an own handle gets. With an index, an entry of a list.
 */
int model_judge_owned(const struct model *m, int client, int device,
		      uint64_t handle, enum model_kind kind, int status,
		      enum tenure_reason garbage, uint32_t index,
		      struct model_answers *ret);

bool model_rights_are_valid(uint32_t rights);

/* Whether it is a request about fences. */
bool model_judge_fence(const struct model *m, int client,
		       const struct wire_request *q, const void *args,
		       size_t args_bytes, struct model_answers *ret);

#endif
