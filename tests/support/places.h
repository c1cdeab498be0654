/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In which functions of core/ a program was killed (tests/support/assassin.h),
 * as its debugging information says: one that was inlined counts as well as
 * those into which it was.
 */
#ifndef TESTS_SUPPORT_PLACES_H
#define TESTS_SUPPORT_PLACES_H

#include "core/base.h"

struct places;

/* Whether all names are found: addr2line does not see what clang inlines, nor
 * anything without debugging information. */
bool places_can(const struct places *places);

/* Of all places so far. Needs addr2line; ends the program without it. */
struct places *places_new(void);
void places_free(struct places *places);

/* How often it died at stores of that function. */
uint64_t places_deaths(const struct places *places, const char *function);

/* A line for each function: its name, its points and its deaths. */
void places_print(const struct places *places);

#endif
