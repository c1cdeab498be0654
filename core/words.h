/* SPDX-License-Identifier: Apache-2.0 */
/* The numbers of a session's progress words, and who has them. One thread. */
#ifndef CORE_WORDS_H
#define CORE_WORDS_H

#include "core/state.h"

enum {
	WORD_BITS = 12,
	WORD_MASK = (1 << WORD_BITS) - 1,
	WORD_INCARNATION_LAST = (1 << (32 - WORD_BITS)) - 1,
};

static_assert(WORDS_PER_CLIENT_MAX <= 1 << WORD_BITS, "a word has a number");

/* Makes sure that words_take succeeds: 0, -EDQUOT or -ENOMEM. */
int words_reserve(struct region *region, struct words *words);

/* Gives a word to what: its number with its incarnation, never below 4096. */
uint32_t words_take(struct region *region, struct words *words, uint32_t what);

/* Takes it back. Until its next life nobody has it. */
void words_give(struct region *region, struct words *words, uint32_t who);

/* What has that word in that incarnation, or 0. */
uint32_t words_find(const struct region *region, const struct words *words,
		    uint32_t who);

/* What has the word of that number now, or 0. */
uint32_t words_holder(const struct region *region, const struct words *words,
		      uint32_t number);

/* Gives the table back; asserts that nobody has a word. */
void words_deinit(struct region *region, struct words *words);

#endif
