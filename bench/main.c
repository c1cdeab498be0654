/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tenure-bench: runs entries, prints a table and writes JSON. README.md says
 * how to read them.
 */
#include "bench/bench.h"

#include "bench/clock.h"
#include "bench/machine.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { USAGE = 64 };

static const struct entry entries[] = {
	{ "floor", "what the machine does at best", entry_floor },
	{ "S0", "destroy and reclaim, the core alone, 10^7 live",
	  entry_destroy },
	{ "S0-small", "S0 with the table on small pages", entry_destroy_small },
	{ "S0-contexts", "S0 with work of 64 and of 4095 contexts in flight",
	  entry_destroy_contexts },
	{ "S1a", "a destroy by the ring until its slot can be used again",
	  entry_whole_way },
	{ "S1-list", "a destroy that is waited for, 1 to 1024 in a list",
	  entry_lists },
	{ "S1-clients", "frees of 1 to 1000 clients", entry_clients },
	{ "S2", "very many live, every step, and what others pay",
	  entry_scale },
	{ "S3a", "a free as the application sees it, and jemalloc's",
	  entry_free },
	{ "S4", "a destroy through library, ring and daemon",
	  entry_round_trip },
	{ "S6", "create and map 4 KiB, and Python's way", entry_create_map },
	{ "S7", "share 4 KiB with another process, and the raw way",
	  entry_share },
	{ "S8", "warm 1 MiB from a pool, and fresh", entry_warm },
	{ "S9", "the death of a client with 10^6 allocations", entry_death },
	{ "S10", "processor time of one turn of reclaim", entry_tick },
	{ "S11", "lookup, hot and at random in 10^7", entry_lookup },
	{ "S12", "the daemon's own memory for each allocation", entry_memory },
	{ "S13", "growth of a destroy's cost from 10^5 to 10^7", entry_growth },
	{ "S14", "one client's throughput while another is stalled",
	  entry_stalled },
	{ "S15", "saying which allocations work uses, 10^7 live",
	  entry_submit },
	{ "S16", "daemon and clients with nothing to do", entry_idle },
	{ "L5", "alloc and free of the dispenser, and of a list",
	  entry_dispenser },
};

enum { ENTRIES = sizeof(entries) / sizeof(entries[0]) };

struct options {
	const char *json, *baseline, *path;
	bool smoke, full, list, instructions, help;
	bool chosen[ENTRIES];
};

static void usage(FILE *to)
{
	fputs("usage: tenure-bench [--json FILE] [--full] [ID...]\n"
	      "       tenure-bench --instructions [--baseline FILE] [--json FILE]\n"
	      "       tenure-bench --list\n"
	      "\n"
	      "  --json FILE      write the results there as well\n"
	      "  --full           10^8 live objects too (8 GB, some minutes)\n"
	      "  --smoke          sizes that only prove that it runs\n"
	      "  --instructions   count instructions with callgrind and\n"
	      "                   compare with the baseline; 1 when a path has\n"
	      "                   grown by more than 2 %\n"
	      "  --baseline FILE  in place of bench/baseline/instructions.json\n"
	      "  --list           what can be measured\n",
	      to);
}

static bool choose(struct options *options, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		unsigned int e = 0;

		while (e < ENTRIES && strcmp(entries[e].id, argv[i]) != 0)
			e++;
		if (e == ENTRIES) {
			fprintf(stderr, "bench: no entry %s (see --list)\n",
				argv[i]);
			return false;
		}
		options->chosen[e] = true;
	}
	for (unsigned int e = 0; argc == 0 && e < ENTRIES; e++)
		options->chosen[e] = true;
	return true;
}

static bool take(int option, struct options *options)
{
	switch (option) {
	case 'j':
		options->json = optarg;
		return true;
	case 'b':
		options->baseline = optarg;
		return true;
	case 'p':
		options->path = optarg;
		return true;
	case 's':
		options->smoke = true;
		return true;
	case 'f':
		options->full = true;
		return true;
	case 'l':
		options->list = true;
		return true;
	case 'i':
		options->instructions = true;
		return true;
	case 'h':
		options->help = true;
		return true;
	default:
		return false;
	}
}

static bool parse(int argc, char **argv, struct options *options)
{
	static const struct option names[] = {
		{ "json", required_argument, NULL, 'j' },
		{ "baseline", required_argument, NULL, 'b' },
		{ "path", required_argument, NULL, 'p' },
		{ "smoke", no_argument, NULL, 's' },
		{ "full", no_argument, NULL, 'f' },
		{ "list", no_argument, NULL, 'l' },
		{ "instructions", no_argument, NULL, 'i' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int option;

	options->baseline = "bench/baseline/instructions.json";
	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1)
		if (!take(option, options))
			return false;
	if (options->instructions && optind < argc)
		return false;
	return choose(options, argc - optind, argv + optind);
}

static bool run_entries(struct bench *bench, const struct options *options)
{
	bool good = true;

	for (unsigned int e = 0; e < ENTRIES; e++) {
		if (!options->chosen[e])
			continue;
		fprintf(stderr, "bench: %s: %s\n", entries[e].id,
			entries[e].question);
		good = entries[e].run(bench) && good;
	}
	return good;
}

static int measure(const struct options *options)
{
	static struct report report;
	struct bench bench = { .report = &report,
			       .smoke = options->smoke,
			       .full = options->full };
	int status;

	machine_line(report.machine, sizeof(report.machine));
	machine_commit(report.commit, sizeof(report.commit));
	bench.cpus = cpus_choose();
	if (!pin_to(bench.cpus.near))
		fprintf(stderr, "bench: not pinned: %s\n", strerror(errno));
	bench.clock_cost_ns = clock_cost_ns();
	fprintf(stderr,
		"bench: cpus %d and %d; reading the clock costs %u ns, which "
		"is subtracted\n",
		bench.cpus.near, bench.cpus.far,
		(unsigned int)bench.clock_cost_ns);
	if (options->instructions)
		status = instructions_run(&report, options->baseline);
	else
		status = run_entries(&bench, options) ? 0 : 1;
	report_table(&report, stdout,
		     isatty(STDOUT_FILENO) && !getenv("NO_COLOR"));
	if (options->json && report_write(&report, options->json) != 0) {
		fprintf(stderr, "bench: cannot write %s\n", options->json);
		return 1;
	}
	return status;
}

int main(int argc, char **argv)
{
	struct options options = { 0 };

	if (!parse(argc, argv, &options)) {
		usage(stderr);
		return USAGE;
	}
	if (options.path)
		return instructions_path(options.path);
	if (options.help) {
		usage(stdout);
		return 0;
	}
	for (unsigned int e = 0; options.list && e < ENTRIES; e++)
		printf("%-8s %s\n", entries[e].id, entries[e].question);
	return options.list ? 0 : measure(&options);
}
