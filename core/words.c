/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Words: numbers for progress words, each with an incarnation.
 *
 * A client's progress words lie side by side in one small area, so the
 * numbers are handed out densely and used again. But a slot remembers who
 * used it long after that context has gone, and must not take the next one
 * with the same number for it. So a name is a number together with how often
 * that number has been given out:
 *
 *	 31              12 11        0
 *	[ incarnation      |  number   ]     the names of 32 bits in slots
 *
 * Incarnations start at 1, so no name is below 4096 and the small values are
 * free for other meanings. A number whose incarnation would wrap is never
 * given out again: a million lives for each of 4096 numbers, and what runs
 * out then is the client's own. Number 0 is never used.
 *
 *	table:  [ unused | context 7, inc 3 | free -> 5, inc 9 | ... ]
 *
 * Guarantees, cited by the tests:
 *
 *  G1  No two words_take of one session return the same name.
 *  G2  words_find answers only for a name that is held now.
 *  G3  A failed words_reserve has changed nothing that can be observed.
 */
#include "core/words.h"

enum { FIRST_CAPACITY = 16 };

static struct word *word_at(const struct region *region,
			    const struct words *words, uint32_t number)
{
	assert(number > 0 && number < words->used);
	return (struct word *)block_at(region, words->block) + number;
}

static int grow(struct region *region, struct words *words)
{
	uint32_t capacity = words->capacity == 0 ? FIRST_CAPACITY :
						   words->capacity * 2;
	uint32_t block;

	static_assert(WORDS_PER_CLIENT_MAX * sizeof(struct word) <=
			      BLOCK_BYTES_MAX,
		      "the table is one block");
	if (block_new(region, capacity * sizeof(struct word), &block) != 0)
		return -ENOMEM;
	memset(block_at(region, block), 0, capacity * sizeof(struct word));
	if (words->block != 0)
		memcpy(block_at(region, block), block_at(region, words->block),
		       words->used * sizeof(struct word));
	block_free(region, words->block, words->capacity * sizeof(struct word));
	words->block = block;
	stored();
	words->capacity = capacity;
	return 0;
}

int words_reserve(struct region *region, struct words *words)
{
	uint32_t used = words->used == 0 ? 1 : words->used;

	if (words->first_free != 0)
		return 0;
	if (used == WORDS_PER_CLIENT_MAX)
		return -EDQUOT;
	if (used < words->capacity)
		return 0;
	return grow(region, words);
}

uint32_t words_take(struct region *region, struct words *words, uint32_t what)
{
	uint32_t number = words->first_free;
	struct word *word;

	assert((what & WORD_FREE) == 0);
	if (number != 0) {
		word = word_at(region, words, number);
		words->first_free = word->what & ~WORD_FREE;
	} else {
		number = words->used == 0 ? 1 : words->used;
		assert(number < words->capacity);
		words->used = number + 1;
		word = word_at(region, words, number);
		word->incarnation = 1;
	}
	word->what = what;
	words->live++;
	return word->incarnation << WORD_BITS | number;
}

void words_give(struct region *region, struct words *words, uint32_t who)
{
	uint32_t number = who & WORD_MASK;
	struct word *word = word_at(region, words, number);

	assert(words_find(region, words, who) != 0);
	words->live--;
	word->what = WORD_FREE;
	if (word->incarnation++ == WORD_INCARNATION_LAST)
		return;
	word->what = WORD_FREE | words->first_free;
	words->first_free = number;
}

uint32_t words_find(const struct region *region, const struct words *words,
		    uint32_t who)
{
	const struct words_table table = words_table(region, words);

	return words_look_up(&table, who);
}

uint32_t words_holder(const struct region *region, const struct words *words,
		      uint32_t number)
{
	const struct word *word;

	if (number == 0 || number >= words->used)
		return 0;
	word = word_at(region, words, number);
	return word->what & WORD_FREE ? 0 : word->what;
}

void words_deinit(struct region *region, struct words *words)
{
	assert(words->live == 0);
	block_free(region, words->block, words->capacity * sizeof(struct word));
	*words = (struct words){ 0 };
}
