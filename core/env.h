/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the core is given: memory, randomness, limits and the backends of its
 * adapters. Everything below the broker takes one of these; together with
 * the region in it, it is all there is.
 */
#ifndef CORE_ENV_H
#define CORE_ENV_H

#include "core/account.h"
#include "core/backend.h"
#include "core/base.h"
#include "core/region.h"

/* Fills bytes with random ones that nobody can guess; cannot fail. */
struct entropy {
	void (*fill)(void *context, void *bytes, size_t size_bytes);
	void *context;
};

/*
 * Progress words: one 64-bit number for each context that its owner's process
 * stores without telling anybody. All functions may be NULL: then progress
 * comes by message only. What is read is believed as far as it harms nobody
 * but that client.
 */
struct progress {
	void *context;
	/* The word as it is now; one load. */
	uint64_t (*read)(void *context, uint32_t client, uint32_t word);
	/* Writes the word before its client learns its number. */
	void (*reset)(void *context, uint32_t client, uint32_t word,
		      uint64_t value);
	/* An entry of the client's page of fences: looked at once, raised, or
	 * nobody's any more. */
	uint64_t (*read_entry)(void *context, uint32_t client, uint32_t entry);
	void (*raise_entry)(void *context, uint32_t client, uint32_t entry,
			    uint64_t value);
	void (*end_entry)(void *context, uint32_t client, uint32_t entry);
	/* Nobody waited for the client's progress, and now somebody does. */
	void (*awaited)(void *context, uint32_t client);
};

struct broker_adapter {
	const char *name; /* 1 to ADAPTER_NAME_BYTES - 1 bytes */
	struct backend backend;
};

struct broker_config {
	struct limits limits;
	/* Answers WIRE_OP_TEST_EVENT; only test programs set this. */
	bool test_events;
	struct progress progress;
	/* First generation of a fresh slot: 1, or near its end in a test. */
	uint32_t first_generation;
};

struct env {
	struct region region; /* all state that outlives a call */
	struct entropy entropy;
	struct broker_config config;
	struct broker_adapter adapters[ADAPTERS_MAX];
	uint32_t n_adapters;
};

static inline const struct backend *env_backend(const struct env *env,
						uint32_t adapter)
{
	assert(adapter < env->n_adapters);
	return &env->adapters[adapter].backend;
}

#endif
