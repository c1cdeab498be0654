/* SPDX-License-Identifier: Apache-2.0 */
#include "core/account.h"

#include "tests/support/seat.h"

static void g1_fits_at_every_edge(void **state)
{
	const uint64_t edge[] = { 0,
				  1,
				  2,
				  1000,
				  UINT64_MAX / 2,
				  UINT64_MAX / 2 + 1,
				  UINT64_MAX - 1,
				  UINT64_MAX };

	(void)state;
	for (size_t u = 0; u < ARRAY_SIZE(edge); u++)
		for (size_t a = 0; a < ARRAY_SIZE(edge); a++)
			for (size_t l = 0; l < ARRAY_SIZE(edge); l++) {
				struct account account = { { 0 } };
				unsigned __int128 sum =
					(unsigned __int128)edge[u] + edge[a];

				account.used[CHARGE_TOKENS] = edge[u];
				assert_int_equal(account_fits(&account,
							      CHARGE_TOKENS,
							      edge[a], edge[l]),
						 sum <= edge[l]);
			}
}

static void kinds_are_apart(void **state)
{
	struct account account = { { 0 } };

	(void)state;
	for (int kind = 0; kind < CHARGE_KINDS; kind++)
		account_charge(&account, (enum charge_kind)kind,
			       (uint64_t)kind + 1);
	for (int kind = 0; kind < CHARGE_KINDS; kind++)
		assert_int_equal(account.used[kind], kind + 1);
	for (int kind = 0; kind < CHARGE_KINDS; kind++) {
		account_release(&account, (enum charge_kind)kind,
				(uint64_t)kind + 1);
		assert_int_equal(account.used[kind], 0);
	}
}

static void release_too_much(void *argument)
{
	struct account *account = argument;

	account_release(account, CHARGE_BYTES, 11);
}

static void charge_too_much(void *argument)
{
	struct account *account = argument;

	account_charge(account, CHARGE_BYTES, UINT64_MAX - 9);
}

static void g2_giving_back_too_much_asserts(void **state)
{
	struct account account = {
		{ [CHARGE_BYTES] = 10, [CHARGE_HANDLES] = 100 }
	};

	(void)state;
	assert_asserts(release_too_much, &account);
	assert_asserts(charge_too_much, &account);
	account_release(&account, CHARGE_BYTES, 10);
	assert_int_equal(account.used[CHARGE_BYTES], 0);
}

static void default_limits_are_sane(void **state)
{
	struct limits limits;

	(void)state;
	limits_default(&limits);
	assert_true(limits.clients > 0);
	for (int kind = 0; kind < CHARGE_KINDS; kind++) {
		assert_true(limits.client[kind] > 0);
		assert_true(limits.client[kind] <= limits.principal[kind]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(g1_fits_at_every_edge),
		cmocka_unit_test(kinds_are_apart),
		cmocka_unit_test(g2_giving_back_too_much_asserts),
		cmocka_unit_test(default_limits_are_sane),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
