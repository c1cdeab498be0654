/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fuzz target without libFuzzer
 *
 *	fuzz_NAME_replay [--rounds N] FILE|FOLDER...
 *
 * Runs every input of a corpus as a regression test, with any compiler. With
 * --rounds, each is then mutated N times by the target's own mutator, always
 * in the same way, so that the mutators are tested too.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "fuzz/target.h"
#include "tests/support/random.h"

enum { INPUT_BYTES_MAX = 1 << 16 };

static struct random randomness = { 1 };
static uint64_t n_inputs, n_mutants, rounds;

size_t LLVMFuzzerMutate(uint8_t *data, size_t size_bytes, size_t max_bytes)
{
	(void)max_bytes;
	if (size_bytes > 0)
		data[random_below(&randomness, (uint32_t)size_bytes)] =
			(uint8_t)random_next(&randomness);
	return size_bytes;
}

/* From a block of its own, so that a sanitizer sees a read beyond it. */
static void run_input(const uint8_t *data, size_t size_bytes)
{
	uint8_t *copy = malloc(size_bytes + 1);

	assert(copy);
	memcpy(copy, data, size_bytes);
	LLVMFuzzerTestOneInput(copy, size_bytes);
	free(copy);
}

static void run_mutants(uint8_t *data, size_t size_bytes)
{
	for (uint64_t i = 0; i < rounds; i++) {
		size_bytes = LLVMFuzzerCustomMutator(
			data, size_bytes, INPUT_BYTES_MAX,
			(unsigned int)random_next(&randomness));
		assert(size_bytes <= INPUT_BYTES_MAX);
		run_input(data, size_bytes);
		n_mutants++;
	}
}

static void replay_file(const char *path)
{
	static uint8_t data[INPUT_BYTES_MAX];
	FILE *file = fopen(path, "rb");
	size_t size_bytes;

	if (!file) {
		perror(path);
		exit(1);
	}
	size_bytes = fread(data, 1, sizeof(data), file);
	fclose(file);
	/* The last line of a crash says which input it was. */
	fprintf(stderr, "%s\n", path);
	fuzz_replaying(true);
	run_input(data, size_bytes);
	fuzz_replaying(false);
	n_inputs++;
	run_mutants(data, size_bytes);
}

static void replay(const char *path)
{
	struct dirent **entries;
	struct stat status;
	char child[4096];
	int n;

	if (stat(path, &status) != 0) {
		perror(path);
		exit(1);
	}
	if (!S_ISDIR(status.st_mode)) {
		replay_file(path);
		return;
	}
	n = scandir(path, &entries, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		snprintf(child, sizeof(child), "%s/%s", path,
			 entries[i]->d_name);
		if (entries[i]->d_name[0] != '.')
			replay(child);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
}

int main(int argc, char **argv)
{
	int i = 1;

	if (argc > 2 && strcmp(argv[1], "--rounds") == 0) {
		rounds = strtoull(argv[2], NULL, 10);
		i = 3;
	}
	for (; i < argc; i++)
		replay(argv[i]);
	printf("%ju inputs, %ju mutants of them\n", (uintmax_t)n_inputs,
	       (uintmax_t)n_mutants);
	return n_inputs > 0 ? 0 : 1;
}
