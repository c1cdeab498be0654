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

/* What the names of a session are looked up in, until it gets more words. */
struct words_table {
	const struct word *words;
	uint32_t used;
};

static inline struct words_table words_table(const struct region *region,
					     const struct words *words)
{
	return (struct words_table){
		.words = words->used == 0 ? NULL :
					    block_at(region, words->block),
		.used = words->used,
	};
}

/* What has that word in that incarnation, or 0. */
static inline uint32_t words_look_up(const struct words_table *table,
				     uint32_t who)
{
	uint32_t number = who & WORD_MASK;

	if (number == 0 || number >= table->used ||
	    table->words[number].incarnation != who >> WORD_BITS ||
	    (table->words[number].what & WORD_FREE))
		return 0;
	return table->words[number].what;
}

/* The same for one. */
uint32_t words_find(const struct region *region, const struct words *words,
		    uint32_t who);

/* What has the word of that number now, or 0. */
uint32_t words_holder(const struct region *region, const struct words *words,
		      uint32_t number);

/* Gives the table back; asserts that nobody has a word. */
void words_deinit(struct region *region, struct words *words);

#endif
