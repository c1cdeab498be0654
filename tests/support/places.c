/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Places by name
 *
 * addr2line reads the addresses of all places, and says for each the function
 * that stores, the one into which that was inlined, and so on outwards. A
 * function that the compiler has split is the one that it was.
 */
#include "tests/support/places.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/support/assassin.h"

enum { FUNCTIONS_MAX = 1024, NAME_BYTES = 64, LINE_BYTES = 4096 };

struct function {
	char name[NAME_BYTES];
	uint64_t points, deaths;
};

struct places {
	uint32_t count;
	struct function functions[FUNCTIONS_MAX];
};

static struct function *find(struct places *places, const char *name)
{
	struct function *f = places->functions;

	for (; f < places->functions + places->count; f++)
		if (strcmp(f->name, name) == 0)
			return f;
	assert(places->count < FUNCTIONS_MAX);
	places->count++;
	*f = (struct function){ 0 };
	snprintf(f->name, sizeof(f->name), "%.*s", NAME_BYTES - 1, name);
	return f;
}

static const struct assassin_place *at(uintptr_t address)
{
	const struct assassin_place *all = assassin_places();

	for (int i = 0; i < ASSASSIN_PLACES_MAX; i++)
		if (all[i].address == address)
			return &all[i];
	return NULL;
}

static void write_addresses(int fd)
{
	const struct assassin_place *all = assassin_places();

	for (int i = 0; all && i < ASSASSIN_PLACES_MAX; i++)
		if (all[i].address != 0)
			dprintf(fd, "%#" PRIxPTR "\n", all[i].address);
}

/* An address, and then pairs of lines: a function, and where it is. */
static void read_names(struct places *places, FILE *names)
{
	static char line[LINE_BYTES], where[LINE_BYTES];
	const struct assassin_place *place = NULL;

	while (fgets(line, sizeof(line), names)) {
		if (strncmp(line, "0x", 2) == 0) {
			place = at((uintptr_t)strtoull(line, NULL, 16));
			continue;
		}
		if (!place || !fgets(where, sizeof(where), names))
			break;
		line[strcspn(line, ".\n")] = 0;
		if (strstr(where, "/core/")) {
			struct function *f = find(places, line);

			f->points += place->points;
			f->deaths += place->deaths;
		}
	}
}

struct places *places_new(void)
{
	struct places *places = calloc(1, sizeof(*places));
	char path[] = "/tmp/tenure-places-XXXXXX", command[128];
	int fd = mkstemp(path);
	FILE *names;

	assert(places && fd >= 0);
	write_addresses(fd);
	close(fd);
	snprintf(command, sizeof(command),
		 "addr2line -a -f -i -e /proc/%d/exe <%s", (int)getpid(), path);
	names = popen(command, "r");
	assert(names);
	read_names(places, names);
	if (pclose(names) != 0) {
		fprintf(stderr, "addr2line (of binutils) is needed\n");
		abort();
	}
	unlink(path);
	return places;
}

bool places_can(const struct places *places)
{
#ifdef __clang__
	return false;
#endif
	return places->count > 0;
}

void places_free(struct places *places)
{
	free(places);
}

uint64_t places_deaths(const struct places *places, const char *function)
{
	for (uint32_t i = 0; i < places->count; i++)
		if (strcmp(places->functions[i].name, function) == 0)
			return places->functions[i].deaths;
	return 0;
}

void places_print(const struct places *places)
{
	for (uint32_t i = 0; i < places->count; i++)
		printf("%s: %" PRIu64 " points, %" PRIu64 " deaths\n",
		       places->functions[i].name, places->functions[i].points,
		       places->functions[i].deaths);
}
