/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of reasons is read from tenure/types.h itself, so that one that is
 * added there without a sentence fails here.
 */
#include "core/wire/reason.h"

#include "core/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { REASONS_MAX = 256 };

struct reasons {
	unsigned int n;
	int values[REASONS_MAX];
	char names[REASONS_MAX][64];
};

static void read_reasons(struct reasons *ret)
{
	const char *source = getenv("TENURE_SOURCE_DIR");
	char path[4096], line[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/core/wire/include/tenure/types.h",
		 source == NULL ? "." : source);
	file = fopen(path, "r");
	assert_non_null(file);
	ret->n = 0;
	while (fgets(line, sizeof(line), file) != NULL) {
		if (strncmp(line, "\tTENURE_REASON_", 15) != 0)
			continue;
		assert_true(ret->n < REASONS_MAX);
		assert_int_equal(sscanf(line, " %63[A-Z0-9_] = %d",
					ret->names[ret->n],
					&ret->values[ret->n]),
				 2);
		ret->n++;
	}
	fclose(file);
	assert_true(ret->n > 60);
}

static void every_reason_has_a_sentence_of_its_own(void **state)
{
	static struct reasons r;

	(void)state;
	read_reasons(&r);
	for (unsigned int i = 0; i < r.n; i++) {
		enum tenure_reason reason = (enum tenure_reason)r.values[i];
		const char *sentence = reason_sentence(reason);
		const char *none = reason_sentence((enum tenure_reason)9999);

		if (strlen(sentence) < 8 || strcmp(sentence, none) == 0)
			fail_msg("%s has no sentence", r.names[i]);
		for (unsigned int k = 0; k < i; k++) {
			if (r.values[k] == r.values[i])
				fail_msg("%s and %s are the same number",
					 r.names[k], r.names[i]);
			if (strcmp(reason_sentence(
					   (enum tenure_reason)r.values[k]),
				   sentence) == 0)
				fail_msg("%s and %s have one sentence",
					 r.names[k], r.names[i]);
		}
	}
}

static void sentences_look_alike(void **state)
{
	static struct reasons r;

	(void)state;
	read_reasons(&r);
	for (unsigned int i = 0; i < r.n; i++) {
		const char *s =
			reason_sentence((enum tenure_reason)r.values[i]);

		if (s[strlen(s) - 1] == '.' || strchr(s, '\n') != NULL)
			fail_msg("%s: no full stop and no new line, please",
				 r.names[i]);
	}
}

static void a_reason_of_a_later_version_has_a_sentence_too(void **state)
{
	static struct reasons r;
	int reason;

	(void)state;
	read_reasons(&r);
	for (reason = -1000; reason < 1000; reason++)
		assert_non_null(reason_sentence((enum tenure_reason)reason));
	assert_non_null(reason_sentence((enum tenure_reason)INT32_MAX));
}

/* A limit that nobody can set is named with its number. */
static void numbers_are_those_of_the_limits(void **state)
{
	static const struct {
		enum tenure_reason reason;
		int number;
	} limits[] = {
		{ TENURE_REASON_LIST_TOO_LONG, LIST_ENTRIES_MAX },
		{ TENURE_REASON_COUNT_TOO_LARGE, LIST_ENTRIES_MAX },
		{ TENURE_REASON_RESOURCE_FULL, RESOURCE_CHILDREN_MAX },
		{ TENURE_REASON_PRIVATE_DATA_TOO_LARGE, PRIVATE_DATA_MAX },
		{ TENURE_REASON_USERS_TOO_MANY, USERS_PER_ALLOCATION_MAX },
		{ TENURE_REASON_CONTEXT_FULL, CONTEXT_ALLOCATIONS_MAX },
		{ TENURE_REASON_WAIT_TOO_LONG, FENCES_PER_WAIT_MAX },
		{ TENURE_REASON_MAPPED_TOO_OFTEN, MAPS_PER_ALLOCATION_MAX },
		{ TENURE_REASON_CLIENT_ADAPTERS, ADAPTER_OPENS_PER_CLIENT_MAX },
		{ TENURE_REASON_CLIENT_DEVICES, DEVICES_PER_CLIENT_MAX },
		{ TENURE_REASON_CLIENT_WORDS, WORDS_PER_CLIENT_MAX - 1 },
		{ TENURE_REASON_CLIENT_WATCHES, WATCHES_PER_CLIENT_MAX },
		{ TENURE_REASON_CLIENT_POOLS, POOLS_PER_CLIENT_MAX },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		char number[16];

		snprintf(number, sizeof(number), "%d", limits[i].number);
		assert_non_null(
			strstr(reason_sentence(limits[i].reason), number));
	}
}

static void rules_of_reasons(void **state)
{
	(void)state;
	assert_string_equal(reason_rules(TENURE_REASON_FLAGS_RESERVED), "A74");
	assert_string_equal(reason_rules(TENURE_REASON_ENTRY_TWICE), "A60");
	assert_string_equal(reason_rules(TENURE_REASON_CLIENT_BYTES), "");
	assert_string_equal(reason_rules((enum tenure_reason) - 1), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_reason_has_a_sentence_of_its_own),
		cmocka_unit_test(sentences_look_alike),
		cmocka_unit_test(rules_of_reasons),
		cmocka_unit_test(numbers_are_those_of_the_limits),
		cmocka_unit_test(
			a_reason_of_a_later_version_has_a_sentence_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
