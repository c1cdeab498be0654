/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The naive model: what a Tenure must answer, said as plainly as possible.
 *
 * It is written from docs/DESTROY.md alone and shares no code with core/:
 * one flat array of things that handles name, linear searches, sums made anew
 * whenever they are asked for. It decides nothing about time. What the broker
 * may do sooner or later (reclaim) is an interval here: a thing that died is
 * "garbage" until model_quiet() says that all work has been done.
 *
 * Each request is one function that says which answers are right, without
 * changing anything, and one that makes the change after the broker has
 * answered with success. Handles and tokens are the values on the wire.
 */
#ifndef TESTS_MODEL_MODEL_H
#define TESTS_MODEL_MODEL_H

#include "core/account.h"
#include "core/base.h"
#include "core/limits.h"
#include "core/wire/msg.h"
#include "tenure/types.h"

enum {
	MODEL_ADAPTERS = 2,
	MODEL_CLIENTS = 8,
	MODEL_PRINCIPALS = 3,
	MODEL_THINGS = 16384,
	MODEL_OBJECTS = 256,
	MODEL_TOKENS = 256,
	MODEL_STORES = 2048,
	MODEL_ANSWERS = 200,
	MODEL_SIZES = LIST_ENTRIES_MAX,
	MODEL_USES = 1 << 14,
	MODEL_DEFERRALS = 256,
	MODEL_FENCES = 512,
	MODEL_WAITS = 256,
	MODEL_NOTHING = -1,
};

enum model_kind {
	MODEL_NONE,
	MODEL_ADAPTER,
	MODEL_DEVICE,
	MODEL_RESOURCE,
	MODEL_ALLOCATION,
	MODEL_CONTEXT,
	MODEL_CONTEXT_ALLOCATION,
	MODEL_FENCE,
};

enum model_device_state {
	MODEL_DEVICE_LIVE,
	MODEL_DEVICE_STOPPED, /* ENODEV, until it is destroyed (H28) */
	MODEL_DEVICE_GOING, /* ENODEV, until its reply (H22) */
	/* The last adapter close destroys it: gone at some moment before the
	 * reply to that. */
	MODEL_DEVICE_GOING_OR_GONE,
};

/* Whatever a handle can name. */
struct model_thing {
	enum model_kind kind; /* MODEL_NONE: a free place */
	int client;
	uint64_t handle;
	/* Its device is going: its handle is dead, or will be very soon. */
	bool dying;
	int adapter; /* adapters and devices */
	enum model_device_state state; /* devices */
	uint64_t closed_by; /* devices: id of the adapter close */
	int device; /* resources and allocations */
	int resource; /* allocations: MODEL_NOTHING when the device's own */
	int object; /* shared resources and their allocations */
	bool sealed; /* resources: shared or opened */
	uint32_t rights; /* resources and fences */
	uint32_t position; /* allocations of an object */
	uint64_t bytes; /* allocations */
	uint32_t maps;
	int store; /* private allocations */
	/* Destroyed, and kept by work that uses it: it has no handle. */
	bool ghost;
	int orphan_of; /* ghosts: 1 + the resource that it has left, or 0 */
	uint64_t submitted, done; /* contexts */
	bool ending; /* contexts: being destroyed */
	int context; /* context allocations: MODEL_NOTHING for all of them */
	int fence; /* openings of fences */
	bool own; /* the maker's */
	/* What MAP said the first time. */
	bool placed;
	uint64_t place_store, place_offset;
};

/* Work of a context that uses an allocation, until it comes to value. */
struct model_use {
	bool used;
	int thing, context;
	uint64_t value;
};

/* A synchronous destroy of something that work used. */
struct model_deferral {
	bool used;
	int client;
	uint64_t id, device;
};

/*
 * What a synchronous destroy has made garbage of: when it is answered with
 * success, that has been given back.
 */
struct model_settling {
	bool used;
	int client;
	uint64_t id;
	uint64_t amount[CHARGE_KINDS];
};

struct model_object {
	bool used;
	int adapter;
	uint32_t count;
	uint64_t bytes;
	uint64_t sizes[MODEL_SIZES];
	uint32_t private_bytes;
	uint8_t private_data[PRIVATE_DATA_MAX];
	/* What MAP said, shared by all openings. */
	bool placed[MODEL_SIZES];
	uint64_t place_store, place_offset[MODEL_SIZES];
};

struct model_token {
	bool used;
	int client;
	uint64_t value[2];
	int object, fence; /* one of them is MODEL_NOTHING */
	uint32_t rights;
};

enum model_fence_state {
	MODEL_FENCE_NONE,
	MODEL_FENCE_LIVE,
	MODEL_FENCE_GOING, /* its device or maker ends: dead very soon */
	MODEL_FENCE_DEAD,
};

struct model_fence {
	enum model_fence_state state;
	int maker; /* client */
	uint64_t value; /* surely */
	uint64_t stored; /* by its maker; seen at the next look */
};

/* One fence that a wait names. */
struct model_awaited {
	int fence, opening;
	uint64_t value;
	bool came, perhaps;
};

/* What a wait may be answered with, and whether it must be by now. */
struct model_fence_wait {
	bool used, all, may_succeed, may_fail, cancelled, is_over;
	int client;
	uint64_t id;
	uint32_t n, cost;
	struct model_awaited of[FENCES_PER_WAIT_MAX];
};

struct model_client {
	bool used; /* until model_buried */
	bool alive;
	uint32_t id; /* the broker's name for it */
	int principal;
	bool privileged; /* may ask for STATUS */
	uint32_t fds_unacknowledged;
	uint32_t waits;
	uint64_t garbage[CHARGE_KINDS]; /* at most this much is still charged */
};

struct model {
	struct limits limits;
	bool stopped[MODEL_ADAPTERS];
	struct model_client clients[MODEL_CLIENTS];
	uint64_t principal_garbage[MODEL_PRINCIPALS][CHARGE_KINDS];
	uint64_t garbage_bytes; /* of the whole daemon */
	struct model_thing things[MODEL_THINGS];
	int n_things; /* places below are free or used, above are free */
	struct model_object objects[MODEL_OBJECTS];
	struct model_token tokens[MODEL_TOKENS];
	struct model_use uses[MODEL_USES];
	int n_uses; /* places above are free */
	struct model_deferral deferrals[MODEL_DEFERRALS];
	struct model_settling settling[MODEL_DEFERRALS];
	struct model_settling *settles; /* garbage that is made now, or NULL */
	struct model_fence fences[MODEL_FENCES];
	struct model_fence_wait waits[MODEL_WAITS];
	/* Private stores: how many living allocations each has. */
	uint32_t stores[MODEL_STORES];
	int store_client[MODEL_STORES];
	/* Set by the test for one request: what a fault may turn it into. */
	int backend_fails; /* status of the call that will fail, or 0 */
	bool memory_may_fail;
};

struct model_answer {
	int status;
	enum tenure_reason reason;
	uint32_t index;
};

/* All answers that are right for one request; one, wherever the rules say. */
struct model_answers {
	struct model_answer of[MODEL_ANSWERS];
	uint32_t n;
};

struct model *model_new(const struct limits *limits);
void model_free(struct model *m);

/* A client has connected; returns its index. Room must be there. */
int model_connect(struct model *m, uint32_t id, int principal);

/* Which answers to that connect are right. */
void model_judge_connect(const struct model *m, int principal,
			 struct model_answers *ret);

/* The client has ended, however. */
void model_die(struct model *m, int client);

/* Its obituary has come. */
void model_buried(struct model *m, int client);

/* The broker has nothing left to do: all garbage has been given back. */
void model_quiet(struct model *m);

/* Which answers to a request of a client that has said hello are right. */
void model_judge(const struct model *m, int client,
		 const struct wire_request *request, const void *args,
		 size_t args_bytes, struct model_answers *ret);

/*
 * Follows a request that was answered with success, or will be (later: reply
 * is then NULL). Returns a sentence when the reply itself is wrong, or NULL.
 */
const char *model_apply(struct model *m, int client,
			const struct wire_request *request, const void *args,
			const struct wire_reply *reply, const void *data);

/* The client has said in a request that it received descriptors. */
void model_acknowledge(struct model *m, int client, uint32_t fds);

/* The late reply to a request has come. Returns a sentence when it should
 * not have, or is wrong, or NULL. */
const char *model_answered(struct model *m, int client,
			   const struct wire_request *request,
			   const struct wire_reply *reply);

/* Whether a request may still wait for its answer though all is quiet. */
bool model_may_still_wait(const struct model *m, int client,
			  const struct wire_request *request);

/* Whether any work of a client, or of anybody, has not ended. */
bool model_is_working(const struct model *m, int client);

/* What the client certainly holds now (all that it may hold is that plus its
 * garbage), by kind of charge. */
uint64_t model_client_holds(const struct model *m, int client,
			    enum charge_kind kind);
uint64_t model_principal_holds(const struct model *m, int principal,
			       enum charge_kind kind);

/* Bytes and numbers of the whole daemon, without garbage. */
uint64_t model_bytes(const struct model *m);
uint64_t model_count(const struct model *m, int client, enum model_kind kind);
uint64_t model_objects(const struct model *m);

/* The living thing of that client with that handle, or MODEL_NOTHING. */
int model_find(const struct model *m, int client, uint64_t handle);

/* The token with that value, or MODEL_NOTHING. */
int model_token(const struct model *m, const uint64_t value[2]);

/* The same, if it is one of resources or one of fences. */
int model_token_of(const struct model *m, const uint64_t value[2],
		   enum model_kind kind);

/* The maker of a fence stores into its word, and tells nobody; the opening is
 * the maker's, and the fence lives. */
void model_store_word(struct model *m, int thing, uint64_t value);

/* A client rings the bell of its words; its contexts are another matter. */
void model_ring_bell(struct model *m, int client);

/* The wait that was asked for by that id, or MODEL_NOTHING. */
int model_find_wait(const struct model *m, int client, uint64_t id);

/* Which adapter an ADAPTER_OPEN names, or MODEL_NOTHING. */
int model_adapter_named(const struct wire_request *request);

/* Whether an opening or a token of that principal holds the object. */
bool model_is_held(const struct model *m, int object, int principal);

#endif
