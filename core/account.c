/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accounts: arithmetic that cannot go wrong, because it is nothing else.
 *
 * A charge is asked for before anything is changed and given back by the end
 * of the object that holds it. There is no transfer and no estimate: the
 * amount that is given back is the amount that is written in the object.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  account_fits never overflows, for any amounts and limits.
 *  G2  An account never goes below zero: giving back too much asserts.
 */
#include "core/account.h"

void limits_default(struct limits *ret)
{
	const uint64_t gib = UINT64_C(1) << 30;

	*ret = (struct limits){
		.client = {
			[CHARGE_BYTES] = 64 * gib,
			[CHARGE_HANDLES] = 16 << 20,
			[CHARGE_STORES] = 16384,
			[CHARGE_TOKENS] = 16384,
			[CHARGE_WAITS] = 1024,
			[CHARGE_SEGMENTS] = 20480,
			[CHARGE_CLIENTS] = 1,
		},
		.principal = {
			[CHARGE_BYTES] = 256 * gib,
			[CHARGE_HANDLES] = 64 << 20,
			[CHARGE_STORES] = 65536,
			[CHARGE_TOKENS] = 65536,
			[CHARGE_WAITS] = 65536,
			[CHARGE_SEGMENTS] = 81920,
			[CHARGE_CLIENTS] = 4096,
		},
		.clients = 16384,
	};
}

bool account_fits(const struct account *account, enum charge_kind kind,
		  uint64_t amount, uint64_t limit)
{
	uint64_t used = account->used[kind];

	return used <= limit && amount <= limit - used;
}

void account_charge(struct account *account, enum charge_kind kind,
		    uint64_t amount)
{
	assert(account->used[kind] + amount >= amount);
	account->used[kind] += amount;
}

void account_release(struct account *account, enum charge_kind kind,
		     uint64_t amount)
{
	assert(account->used[kind] >= amount);
	account->used[kind] -= amount;
}
