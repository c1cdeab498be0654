/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The adapter "system": memory in pages of sealed memfds.
 *
 * The operations behind backend_system_ops keep the contract of
 * core/backend.h. The other functions are for the loop thread.
 */
#ifndef DAEMON_BACKEND_SYSTEM_H
#define DAEMON_BACKEND_SYSTEM_H

#include "core/backend.h"

struct backend_system;

extern const struct backend_ops backend_system_ops;

struct backend_system_config {
	/* Descriptors that stores may occupy; beyond that, -EMFILE. */
	uint64_t descriptors_max;
	/* Bytes that are given back by one system call. */
	uint64_t slice_bytes;
};

/* 0 or -ENOMEM. */
int backend_system_new(const struct backend_system_config *config,
		       struct backend_system **ret);

/* NULL is allowed. Asserts that no store is left. */
void backend_system_free(struct backend_system *system);

/*
 * Acquires the descriptor of a living store, to be sent to a client: it stays
 * open until backend_system_release. With read_only, a read-only opening of
 * the store must exist.
 */
int backend_system_acquire(struct backend_system *system, uint32_t store,
			   bool read_only);

/* Gives back what one backend_system_acquire returned. */
void backend_system_release(struct backend_system *system, uint32_t store,
			    bool read_only);

struct backend_system_stat {
	uint64_t stores, descriptors, resources;
};

void backend_system_stat(struct backend_system *system,
			 struct backend_system_stat *ret);

#endif
