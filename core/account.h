/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accounts: who may hold how much, and how much he holds.
 *
 * Two levels pay for everything: the client and its principal (uid plus
 * cgroup). The charge is a number in the object that causes it, and the end
 * of that object gives back exactly that number; a sum over all objects
 * equals the account at every moment, which core/check proves.
 */
#ifndef CORE_ACCOUNT_H
#define CORE_ACCOUNT_H

#include "core/base.h"
#include "tenure/types.h"

enum charge_kind {
	CHARGE_BYTES, /* memory held, whole pages */
	CHARGE_HANDLES, /* slots, of whatever kind */
	CHARGE_STORES, /* stores made: descriptors of the daemon */
	CHARGE_TOKENS, /* share tokens */
	CHARGE_WAITS, /* requests that wait for an answer */
	CHARGE_SEGMENTS, /* of the handle table: whole ones, full or not */
	CHARGE_CLIENTS, /* connections of a principal */
	CHARGE_KINDS,
};

/* What an operator may configure. */
struct limits {
	uint64_t client[CHARGE_KINDS];
	uint64_t principal[CHARGE_KINDS];
	uint64_t clients; /* of the whole daemon */
};

struct account {
	uint64_t used[CHARGE_KINDS];
};

/* The built-in limits: those of a shared machine with tens of GiB. */
void limits_default(struct limits *ret);

/* Whether amount more of kind fits under limit; cannot overflow. */
bool account_fits(const struct account *account, enum charge_kind kind,
		  uint64_t amount, uint64_t limit);

/* Adds; the caller has asked account_fits before. */
void account_charge(struct account *account, enum charge_kind kind,
		    uint64_t amount);

/* Takes away what an object had charged; asserts that it was there. */
void account_release(struct account *account, enum charge_kind kind,
		     uint64_t amount);

#endif
