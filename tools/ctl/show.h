/* SPDX-License-Identifier: Apache-2.0 */
/* What tenurectl shows: one function for each command that asks. */
#ifndef TOOLS_CTL_SHOW_H
#define TOOLS_CTL_SHOW_H

#include "core/base.h"

struct link;

enum show_exit {
	SHOW_EXIT_BROKEN = 1, /* check has found something */
};

struct show_options {
	bool json;
	bool quiet; /* nothing on stdout */
	bool exact; /* sizes in bytes */
	bool holders; /* of resources: who, since when, waiting for what */
};

/* Each asks and prints; the exit code of the program. */
int show_status(struct link *link, const struct show_options *options);
int show_clients(struct link *link, const struct show_options *options);
int show_resources(struct link *link, const struct show_options *options);
int show_events(struct link *link, const struct show_options *options);
int show_limits(struct link *link, const struct show_options *options);
int show_pools(struct link *link, const struct show_options *options);
int show_check(struct link *link, const struct show_options *options);

#endif
