/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a fuzz target is: two functions that libFuzzer calls, or standalone.c
 * in its place.
 */
#ifndef FUZZ_TARGET_H
#define FUZZ_TARGET_H

#include "core/base.h"

/* One input; a finding ends the program. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

/* Changes the input in place so that it stays one; its new size. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size_bytes,
			       size_t max_bytes, unsigned int seed);

/* Given by libFuzzer, and by standalone.c: changes any bytes. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size_bytes, size_t max_bytes);

/*
 * What is too slow for every input: whether to look this time. Always when a
 * corpus is replayed, else once in period inputs.
 */
bool fuzz_look_closely(uint32_t period);

/* Requests whose answers were judged; printed when the program ends. */
extern uint64_t fuzz_judged;

/* The input that comes next is, or is not, one of a corpus. */
void fuzz_replaying(bool on);

/* Ends the program with a sentence: this is a finding. */
__attribute__((noreturn, format(printf, 1, 2))) void
fuzz_found(const char *format, ...);

#endif
