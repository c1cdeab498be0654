/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Show: from the rows of the wire to a table or to JSON.
 *
 * The table is for people and may change; JSON is for programs: numbers are
 * exact, names of fields are those of core/wire/msg.h, and fields are only
 * ever added. Both are made of the same reply, and a command that fails
 * prints nothing of either.
 *
 * A number that JSON programs could not hold (a limit that is none) is null.
 * A cgroup whose name is no UTF-8 is written with \xHH, as in the table.
 */
#include "tools/ctl/show.h"

#include "core/wire/reason.h"
#include "tools/ctl/link.h"
#include "tools/ctl/table.h"
#include "tools/ctl/text.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <tenure/tenure.h>

/* What the rows of a list are collected in. */
struct collection {
	const struct show_options *options;
	struct table table;
	json_t *array;
	json_t *others; /* of LIMITS: the clients */
};

static const char *name_of(const char *const *names, size_t n, unsigned int i)
{
	return i < n && names[i] ? names[i] : "?";
}

static const char *const phases[] = {
	[WIRE_CLIENT_HELLO] = "hello",
	[WIRE_CLIENT_ACTIVE] = "active",
	[WIRE_CLIENT_ENDING] = "ending",
};
static const char *const whats[] = {
	[WIRE_WHAT_RESOURCE] = "resource",
	[WIRE_WHAT_ALLOCATION] = "allocation",
	[WIRE_WHAT_TOKEN] = "token",
};
static const char *const sharings[] = {
	[WIRE_SHARING_PRIVATE] = "private",
	[WIRE_SHARING_SHARED] = "shared",
	[WIRE_SHARING_OPENED] = "opened",
};
static const char *const states[] = {
	[WIRE_STATE_LIVE] = "live",
	[WIRE_STATE_RETIRED] = "retired",
	[WIRE_STATE_ENDING] = "ending",
	[WIRE_STATE_PINNED] = "pinned",
};
static const char *const quotas[WIRE_QUOTAS] = {
	[WIRE_QUOTA_BYTES] = "bytes",	    [WIRE_QUOTA_HANDLES] = "handles",
	[WIRE_QUOTA_STORES] = "stores",	    [WIRE_QUOTA_TOKENS] = "tokens",
	[WIRE_QUOTA_WAITS] = "waits",	    [WIRE_QUOTA_CLIENTS] = "clients",
	[WIRE_QUOTA_SEGMENTS] = "segments",
};

#define NAME_OF(names, i) name_of(names, ARRAY_SIZE(names), i)

static const char *rights_of(unsigned int rights)
{
	return rights & TENURE_RIGHT_WRITE ? "rw" : "r";
}

/* ---- Output ---- */

static int output_error(const char *why)
{
	fprintf(stderr, "tenurectl: %s\n", why);
	return EX_IOERR;
}

static int out_of_memory(void)
{
	fputs("tenurectl: out of memory\n", stderr);
	return EX_OSERR;
}

/* Prints a document and lets go of it. */
static int put_json(json_t *document)
{
	int r;

	if (!document)
		return out_of_memory();
	r = json_dumpf(document, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
	json_decref(document);
	if (r < 0 || putchar('\n') == EOF || fflush(stdout))
		return output_error("the output cannot be written");
	return EX_OK;
}

static int put_table(const struct table *table)
{
	int r = table_print(table, stdout, table_wants_colour(stdout));

	if (r == -ENOMEM)
		return out_of_memory();
	return r < 0 ? output_error("the output cannot be written") : EX_OK;
}

/* Adds a value that it takes over; NULL spoils nothing but this field. */
static void put(json_t *object, const char *key, json_t *value)
{
	json_object_set_new(object, key, value ? value : json_null());
}

static void put_number(json_t *object, const char *key, uint64_t number)
{
	put(object, key,
	    number > INT64_MAX ? json_null() :
				 json_integer((json_int_t)number));
}

static void put_cgroup(json_t *object, const char *cgroup)
{
	size_t n = strnlen(cgroup, CGROUP_BYTES);
	char *escaped;

	if (text_is_utf8(cgroup, n)) {
		put(object, "cgroup", json_stringn(cgroup, n));
		return;
	}
	escaped = text_escape(cgroup, n);
	put(object, "cgroup", escaped ? json_string(escaped) : NULL);
	free(escaped);
}

static void add_cgroup(struct table *table, const char *cgroup)
{
	char *escaped = text_escape(cgroup, CGROUP_BYTES);

	table_add(table, escaped);
	free(escaped);
}

static void add_number(struct table *table, uint64_t number)
{
	char text[TEXT_BYTES];

	table_add(table, text_number(number, text));
}

static void add_size(struct collection *c, uint64_t bytes)
{
	char text[TEXT_BYTES];

	table_add(&c->table, text_size(bytes, c->options->exact, text));
}

static void add_age(struct table *table, uint32_t seconds)
{
	char text[TEXT_BYTES];

	table_add(table, text_age(seconds, text));
}

/* A pid that the daemon cannot see is 0 on the wire. */
static void add_pid(struct table *table, int32_t pid)
{
	if (pid > 0)
		add_number(table, (uint64_t)pid);
	else
		table_add(table, "-");
}

/* ---- Lists ---- */

/* What the one-array lists share: ask, collect, print. */
static int show_list(struct link *link, const struct show_options *options,
		     uint8_t opcode, size_t row_bytes,
		     void (*row)(void *context, const void *row),
		     const struct table_column *columns, size_t n_columns,
		     const char *key)
{
	struct collection c = { .options = options, .array = json_array() };
	struct wire_reply reply;
	int code;

	table_init(&c.table, columns, n_columns);
	code = link_list(link, opcode, row_bytes, row, &c, &reply);
	if (code == 0 && options->json && !options->quiet)
		code = put_json(json_pack("{s:O}", key, c.array));
	else if (code == 0 && !options->quiet)
		code = put_table(&c.table);
	json_decref(c.array);
	table_deinit(&c.table);
	return code;
}

static json_t *client_json(const struct wire_client *r)
{
	json_t *object = json_object();

	put_number(object, "client", r->client);
	put(object, "pid", json_integer(r->pid));
	put_number(object, "uid", r->uid);
	put_number(object, "principal", r->principal);
	put_cgroup(object, r->cgroup);
	put(object, "phase", json_string(NAME_OF(phases, r->phase)));
	put(object, "privileged", json_boolean(r->privileged));
	put_number(object, "age_s", r->age_s);
	put_number(object, "ending_s", r->ending_s);
	put_number(object, "devices", r->devices);
	put_number(object, "resources", r->resources);
	put_number(object, "allocations", r->allocations);
	put_number(object, "tokens", r->tokens);
	put_number(object, "handles", r->handles);
	put_number(object, "retired", r->retired);
	put_number(object, "bytes", r->bytes);
	put_number(object, "ring_bytes", r->ring_bytes);
	return object;
}

static const struct table_column client_columns[] = {
	{ "CLIENT", false },	{ "PID", false },	  { "UID", false },
	{ "PHASE", true },	{ "AGE", false },	  { "DEVICES", false },
	{ "RESOURCES", false }, { "ALLOCATIONS", false }, { "TOKENS", false },
	{ "HANDLES", false },	{ "RETIRED", false },	  { "BYTES", false },
	{ "CGROUP", true },
};

static void take_client(void *context, const void *row)
{
	struct collection *c = context;
	const struct wire_client *r = row;
	struct table *t = &c->table;

	if (c->options->json) {
		json_array_append_new(c->array, client_json(r));
		return;
	}
	add_number(t, r->client);
	add_pid(t, r->pid);
	add_number(t, r->uid);
	table_add_marked(t, NAME_OF(phases, r->phase),
			 r->phase == WIRE_CLIENT_ACTIVE ? TABLE_PLAIN :
							  TABLE_NOTICE);
	add_age(t, r->age_s);
	add_number(t, r->devices);
	add_number(t, r->resources);
	add_number(t, r->allocations);
	add_number(t, r->tokens);
	add_number(t, r->handles);
	add_number(t, r->retired);
	add_size(c, r->bytes);
	add_cgroup(t, r->cgroup);
}

int show_clients(struct link *link, const struct show_options *options)
{
	return show_list(link, options, WIRE_OP_CLIENTS,
			 sizeof(struct wire_client), take_client,
			 client_columns, ARRAY_SIZE(client_columns), "clients");
}

static json_t *wait_json(const struct wire_resource *r)
{
	json_t *object = json_object();
	char context[TEXT_BYTES];

	snprintf(context, sizeof(context), "0x%016" PRIx64, r->context);
	put(object, "context", json_string(context));
	put_number(object, "value", r->value);
	put_number(object, "done", r->done);
	return object;
}

static json_t *resource_json(const struct wire_resource *r)
{
	json_t *object = json_object();
	char handle[TEXT_BYTES];

	snprintf(handle, sizeof(handle), "0x%016" PRIx64, r->handle);
	put_number(object, "client", r->client);
	put(object, "pid", json_integer(r->pid));
	put_number(object, "uid", r->uid);
	put_number(object, "principal", r->principal);
	put(object, "device", r->device ? json_integer(r->device) : NULL);
	put(object, "handle", r->handle ? json_string(handle) : NULL);
	put(object, "what", json_string(NAME_OF(whats, r->what)));
	put(object, "sharing", json_string(NAME_OF(sharings, r->sharing)));
	put(object, "rights", json_string(rights_of(r->rights)));
	put(object, "state", json_string(NAME_OF(states, r->state)));
	put_number(object, "age_s", r->age_s);
	put_number(object, "allocations", r->allocations);
	put_number(object, "bytes", r->bytes);
	put_number(object, "holders", r->holders);
	put(object, "memory", r->memory ? json_integer(r->memory) : NULL);
	put(object, "waits_for", r->context ? wait_json(r) : NULL);
	return object;
}

static const struct table_column resource_columns[] = {
	{ "CLIENT", false },  { "PID", false },		{ "UID", false },
	{ "DEVICE", false },  { "WHAT", true },		{ "SHARING", true },
	{ "RIGHTS", true },   { "STATE", true },	{ "AGE", false },
	{ "HOLDERS", false }, { "ALLOCATIONS", false }, { "BYTES", false },
};

static void take_resource(void *context, const void *row)
{
	struct collection *c = context;
	const struct wire_resource *r = row;
	struct table *t = &c->table;

	if (c->options->json) {
		json_array_append_new(c->array, resource_json(r));
		return;
	}
	add_number(t, r->client);
	add_pid(t, r->pid);
	add_number(t, r->uid);
	if (r->device)
		add_number(t, r->device);
	else
		table_add(t, "-");
	table_add(t, NAME_OF(whats, r->what));
	table_add(t, NAME_OF(sharings, r->sharing));
	table_add(t, rights_of(r->rights));
	table_add_marked(t, NAME_OF(states, r->state),
			 r->state == WIRE_STATE_LIVE ? TABLE_PLAIN :
						       TABLE_NOTICE);
	add_age(t, r->age_s);
	add_number(t, r->holders);
	add_number(t, r->allocations);
	add_size(c, r->bytes);
}

static const struct table_column holder_columns[] = {
	{ "MEMORY", true },    { "CLIENT", false },  { "PID", false },
	{ "DEVICE", false },   { "WHAT", true },     { "STATE", true },
	{ "SINCE", false },    { "HOLDERS", false }, { "BYTES", false },
	{ "WAITS FOR", true },
};

/* Private memory has one holder, and no number. */
static void add_memory(struct table *t, const struct wire_resource *r)
{
	if (r->memory)
		add_number(t, r->memory);
	else
		table_add(t, "private");
	add_number(t, r->client);
	add_pid(t, r->pid);
	if (r->device)
		add_number(t, r->device);
	else
		table_add(t, "-");
}

static void add_wait(struct table *t, const struct wire_resource *r)
{
	char text[4 * TEXT_BYTES];

	if (r->context == 0) {
		table_add(t, "-");
		return;
	}
	snprintf(text, sizeof(text),
		 "context 0x%016" PRIx64 " at %" PRIu64 " of %" PRIu64,
		 r->context, r->done, r->value);
	table_add_marked(t, text, TABLE_NOTICE);
}

static void take_holder(void *context, const void *row)
{
	struct collection *c = context;
	const struct wire_resource *r = row;
	struct table *t = &c->table;

	if (c->options->json) {
		json_array_append_new(c->array, resource_json(r));
		return;
	}
	add_memory(t, r);
	table_add(t, NAME_OF(whats, r->what));
	table_add_marked(t, NAME_OF(states, r->state),
			 r->state == WIRE_STATE_LIVE ? TABLE_PLAIN :
						       TABLE_NOTICE);
	add_age(t, r->age_s);
	add_number(t, r->holders);
	add_size(c, r->bytes);
	add_wait(t, r);
}

int show_resources(struct link *link, const struct show_options *options)
{
	if (options->holders)
		return show_list(link, options, WIRE_OP_RESOURCES,
				 sizeof(struct wire_resource), take_holder,
				 holder_columns, ARRAY_SIZE(holder_columns),
				 "resources");
	return show_list(link, options, WIRE_OP_RESOURCES,
			 sizeof(struct wire_resource), take_resource,
			 resource_columns, ARRAY_SIZE(resource_columns),
			 "resources");
}

/* ---- Events ---- */

static const char *const opcodes[] = {
	[WIRE_OP_HELLO] = "hello",
	[WIRE_OP_PING] = "ping",
	[WIRE_OP_ADAPTER_OPEN] = "adapter open",
	[WIRE_OP_ADAPTER_CLOSE] = "adapter close",
	[WIRE_OP_DEVICE_CREATE] = "device create",
	[WIRE_OP_DEVICE_DESTROY] = "device destroy",
	[WIRE_OP_CREATE] = "create",
	[WIRE_OP_DESTROY] = "destroy",
	[WIRE_OP_SHARE] = "share",
	[WIRE_OP_TOKEN_REVOKE] = "token revoke",
	[WIRE_OP_QUERY] = "query",
	[WIRE_OP_OPEN] = "open",
	[WIRE_OP_MAP] = "map",
	[WIRE_OP_UNMAP] = "unmap",
	[WIRE_OP_STAT] = "stat",
	[WIRE_OP_STATUS] = "status",
	[WIRE_OP_CLIENTS] = "clients",
	[WIRE_OP_RESOURCES] = "resources",
	[WIRE_OP_LIMITS] = "limits",
	[WIRE_OP_CHECK] = "check",
	[WIRE_OP_CONTEXT_CREATE] = "context create",
	[WIRE_OP_CONTEXT_DESTROY] = "context destroy",
	[WIRE_OP_CONTEXT_SUBMIT] = "submit",
	[WIRE_OP_CONTEXT_PROGRESS] = "progress",
	[WIRE_OP_CONTEXT_ALLOCATION_CREATE] = "context allocate",
	[WIRE_OP_CONTEXT_ALLOCATION_DESTROY] = "context free",
	[WIRE_OP_FENCE_CREATE] = "fence create",
	[WIRE_OP_FENCE_DESTROY] = "fence destroy",
	[WIRE_OP_FENCE_SHARE] = "fence share",
	[WIRE_OP_FENCE_OPEN] = "fence open",
	[WIRE_OP_FENCE_SIGNAL] = "fence signal",
	[WIRE_OP_FENCE_VALUE] = "fence value",
	[WIRE_OP_FENCE_WAIT] = "fence wait",
	[WIRE_OP_FENCE_WAIT_CANCEL] = "fence wait cancel",
	[WIRE_OP_FENCE_WATCH] = "fence watch",
	[WIRE_OP_FENCE_PAGE] = "fence page",
	[WIRE_OP_FENCE_PUBLISH] = "fence publish",
	[WIRE_OP_FENCE_MAP] = "fence map",
	[WIRE_OP_EVENTS] = "events",
	[WIRE_OP_RING] = "ring",
	[WIRE_OP_DOORBELL] = "doorbell",
	[WIRE_OP_NOTICES] = "notices",
	[WIRE_OP_FREE] = "free",
	[WIRE_OP_POOL_CREATE] = "pool create",
	[WIRE_OP_POOL_REPORT] = "pool report",
	[WIRE_OP_POOL_DESTROY] = "pool destroy",
	[WIRE_OP_POOLS] = "pools",
};

static json_t *event_json(const struct wire_event *r)
{
	json_t *object = json_object();
	enum tenure_reason reason = (enum tenure_reason)r->reason;

	put_number(object, "client", r->client);
	put(object, "pid", json_integer(r->pid));
	put_number(object, "uid", r->uid);
	put_number(object, "principal", r->principal);
	put_number(object, "age_s", r->age_s);
	put(object, "request", json_string(NAME_OF(opcodes, r->opcode)));
	put(object, "status", json_integer(r->status));
	put_number(object, "reason", r->reason);
	put(object, "why", json_string(reason_sentence(reason)));
	put(object, "rules", json_string(reason_rules(reason)));
	put(object, "index",
	    r->index == WIRE_NO_INDEX ? NULL : json_integer(r->index));
	return object;
}

static const struct table_column event_columns[] = {
	{ "CLIENT", false }, { "PID", false },	  { "UID", false },
	{ "AGE", false },    { "REQUEST", true }, { "ENTRY", false },
	{ "RULE", true },    { "WHY", true },
};

/* The sentence of a reason, and of the errno where that says why. */
static void add_why(struct table *t, const struct wire_event *r)
{
	enum tenure_reason reason = (enum tenure_reason)r->reason;
	char text[256];

	if (reason_is_of_errno(reason)) {
		snprintf(text, sizeof(text), "%s: %s", reason_sentence(reason),
			 strerror(-r->status));
		table_add(t, text);
	} else {
		table_add(t, reason_sentence(reason));
	}
}

static void take_event(void *context, const void *row)
{
	struct collection *c = context;
	const struct wire_event *r = row;
	const char *rules = reason_rules((enum tenure_reason)r->reason);
	struct table *t = &c->table;

	if (c->options->json) {
		json_array_append_new(c->array, event_json(r));
		return;
	}
	add_number(t, r->client);
	add_pid(t, r->pid);
	add_number(t, r->uid);
	add_age(t, r->age_s);
	table_add(t, NAME_OF(opcodes, r->opcode));
	if (r->index == WIRE_NO_INDEX)
		table_add(t, "-");
	else
		add_number(t, r->index);
	table_add(t, *rules ? rules : "-");
	add_why(t, r);
}

int show_events(struct link *link, const struct show_options *options)
{
	return show_list(link, options, WIRE_OP_EVENTS,
			 sizeof(struct wire_event), take_event, event_columns,
			 ARRAY_SIZE(event_columns), "events");
}

/* ---- Pools ---- */

static json_t *pool_json(const struct wire_pool *r)
{
	const struct wire_pool_told *told = &r->told;
	json_t *object = json_object();

	put_number(object, "client", r->client);
	put(object, "pid", json_integer(r->pid));
	put_number(object, "uid", r->uid);
	put_number(object, "principal", r->principal);
	put_number(object, "pool", r->pool);
	put_number(object, "size", r->size_bytes);
	put_number(object, "count", r->count);
	put_number(object, "idle_timeout_ns", r->idle_timeout_ns);
	put_number(object, "age_s", r->age_s);
	put_number(object, "told_s", r->told_s);
	put_number(object, "free", told->free);
	put_number(object, "in_use", told->in_use);
	put_number(object, "in_flight", told->in_flight);
	put_number(object, "bytes", told->bytes);
	put_number(object, "hits", told->hits);
	put_number(object, "misses", told->misses);
	put_number(object, "created", told->created);
	put_number(object, "destroyed_idle", told->destroyed_idle);
	put_number(object, "destroyed_for_room", told->destroyed_for_room);
	put_number(object, "destroyed_unfit", told->destroyed_unfit);
	put_number(object, "destroy_failures", told->destroy_failures);
	return object;
}

static const struct table_column pool_columns[] = {
	{ "CLIENT", false },  { "PID", false },	   { "UID", false },
	{ "POOL", false },    { "SIZE", false },   { "TOLD", false },
	{ "FREE", false },    { "IN-USE", false }, { "FLIGHT", false },
	{ "BYTES", false },   { "HITS", false },   { "MISSES", false },
	{ "CREATED", false }, { "IDLE", false },   { "ROOM", false },
	{ "UNFIT", false },   { "FAILED", false },
};

static void take_pool(void *context, const void *row)
{
	struct collection *c = context;
	const struct wire_pool *r = row;
	struct table *t = &c->table;

	if (c->options->json) {
		json_array_append_new(c->array, pool_json(r));
		return;
	}
	add_number(t, r->client);
	add_pid(t, r->pid);
	add_number(t, r->uid);
	add_number(t, r->pool);
	add_size(c, r->size_bytes);
	add_age(t, r->told_s);
	add_number(t, r->told.free);
	add_number(t, r->told.in_use);
	add_number(t, r->told.in_flight);
	add_size(c, r->told.bytes);
	add_number(t, r->told.hits);
	add_number(t, r->told.misses);
	add_number(t, r->told.created);
	add_number(t, r->told.destroyed_idle);
	add_number(t, r->told.destroyed_for_room);
	add_number(t, r->told.destroyed_unfit);
	add_number(t, r->told.destroy_failures);
}

int show_pools(struct link *link, const struct show_options *options)
{
	return show_list(link, options, WIRE_OP_POOLS, sizeof(struct wire_pool),
			 take_pool, pool_columns, ARRAY_SIZE(pool_columns),
			 "pools");
}

/* ---- Limits ---- */

static json_t *usage_json(uint64_t used, uint64_t limit)
{
	json_t *object = json_object();

	put_number(object, "used", used);
	put_number(object, "limit", limit);
	return object;
}

static json_t *limits_json(const struct wire_limits *r)
{
	json_t *object = json_object();

	if (r->client != 0) {
		put_number(object, "client", r->client);
		put(object, "pid", json_integer(r->pid));
	}
	put_number(object, "principal", r->principal);
	put_number(object, "uid", r->uid);
	put_cgroup(object, r->cgroup);
	for (int i = 0; i < WIRE_QUOTAS; i++) {
		/* A client is one client, which nobody limits. */
		if (i == WIRE_QUOTA_CLIENTS && r->client != 0)
			continue;
		put(object, quotas[i], usage_json(r->used[i], r->limit[i]));
	}
	return object;
}

static const struct table_column limits_columns[] = {
	{ "WHO", true },       { "PID", false },     { "UID", false },
	{ "BYTES", false },    { "HANDLES", false }, { "STORES", false },
	{ "TOKENS", false },   { "WAITS", false },   { "CLIENTS", false },
	{ "SEGMENTS", false }, { "CGROUP", true },
};

static void add_usage(struct table *t, uint64_t used, uint64_t limit,
		      bool is_size, bool exact)
{
	char text[2 * TEXT_BYTES], a[TEXT_BYTES], b[TEXT_BYTES];
	bool is_near = used > 0 && used >= limit - limit / 10;

	if (is_size) {
		text_size(used, exact, a);
		text_size(limit, exact, b);
	} else {
		text_number(used, a);
		text_number(limit, b);
	}
	snprintf(text, sizeof(text), "%s/%s", a, limit > INT64_MAX ? "-" : b);
	table_add_marked(t, text, is_near ? TABLE_ALARM : TABLE_PLAIN);
}

static void add_who(struct table *t, const struct wire_limits *r)
{
	char text[TEXT_BYTES];

	snprintf(text, sizeof(text),
		 r->client ? "client %" PRIu32 : "principal %" PRIu32,
		 r->client ? r->client : r->principal);
	table_add(t, text);
	add_pid(t, r->pid);
	add_number(t, r->uid);
}

static void take_limits(void *context, const void *row)
{
	struct collection *c = context;
	const struct wire_limits *r = row;
	struct table *t = &c->table;

	if (c->options->json) {
		json_array_append_new(r->client ? c->others : c->array,
				      limits_json(r));
		return;
	}
	add_who(t, r);
	for (int i = 0; i < WIRE_QUOTAS; i++) {
		if (i == WIRE_QUOTA_CLIENTS && r->client != 0)
			table_add(t, "-");
		else
			add_usage(t, r->used[i], r->limit[i],
				  i == WIRE_QUOTA_BYTES, c->options->exact);
	}
	add_cgroup(t, r->cgroup);
}

/* The row of the daemon: of all that is limited, it limits clients. */
static void add_daemon(struct table *t, uint64_t used, uint64_t limit)
{
	table_add(t, "daemon");
	for (size_t i = 1; i < ARRAY_SIZE(limits_columns); i++) {
		if (strcmp(limits_columns[i].title, "CLIENTS") == 0)
			add_usage(t, used, limit, false, false);
		else
			table_add(t, "-");
	}
}

int show_limits(struct link *link, const struct show_options *options)
{
	struct collection c = { .options = options,
				.array = json_array(),
				.others = json_array() };
	struct wire_reply reply;
	int code;

	table_init(&c.table, limits_columns, ARRAY_SIZE(limits_columns));
	code = link_list(link, WIRE_OP_LIMITS, sizeof(struct wire_limits),
			 take_limits, &c, &reply);
	if (code == 0 && options->json && !options->quiet) {
		code = put_json(
			json_pack("{s:{s:o}, s:O, s:O}", "daemon", "clients",
				  usage_json(reply.value[1], reply.value[2]),
				  "principals", c.array, "clients", c.others));
	} else if (code == 0 && !options->quiet) {
		add_daemon(&c.table, reply.value[1], reply.value[2]);
		code = put_table(&c.table);
	}
	json_decref(c.array);
	json_decref(c.others);
	table_deinit(&c.table);
	return code;
}

/* ---- Status and check ---- */

static const struct {
	const char *name; /* as in struct wire_status */
	size_t offset;
	bool is_size;
} totals[] = {
#define TOTAL(field, size)                                             \
	.name = #field, .offset = offsetof(struct wire_status, field), \
	.is_size = (size)
	{ TOTAL(clients, false) },
	{ TOTAL(clients_ending, false) },
	{ TOTAL(devices, false) },
	{ TOTAL(resources, false) },
	{ TOTAL(allocations, false) },
	{ TOTAL(handles, false) },
	{ TOTAL(objects, false) },
	{ TOTAL(tokens, false) },
	{ TOTAL(stores, false) },
	{ TOTAL(bytes, true) },
	{ TOTAL(releases_pending, false) },
	{ TOTAL(pinned, false) },
	{ TOTAL(clients_total, false) },
	{ TOTAL(created_total, false) },
	{ TOTAL(destroyed_total, false) },
	{ TOTAL(refused_total, false) },
	{ TOTAL(released_bytes_total, true) },
	{ TOTAL(release_failures_total, false) },
	{ TOTAL(pinned_total, false) },
	{ TOTAL(page_bytes, true) },
#undef TOTAL
};

static_assert(ARRAY_SIZE(totals) * sizeof(uint64_t) ==
		      sizeof(struct wire_status),
	      "every total is shown");

static uint64_t total_of(const struct link *link, size_t i)
{
	uint64_t value;

	memcpy(&value, link->data + totals[i].offset, sizeof(value));
	return value;
}

static json_t *status_json(const struct link *link)
{
	json_t *object = json_object();

	put(object, "socket",
	    json_string(tenure_socket_path(link->connection)));
	for (size_t i = 0; i < ARRAY_SIZE(totals); i++)
		put_number(object, totals[i].name, total_of(link, i));
	return object;
}

/* What to change so that a large table becomes faster. */
static void advise(const struct link *link)
{
	struct wire_status status;

	memcpy(&status, link->data, sizeof(status));
	if (status.page_bytes == 0 || status.page_bytes > 4096)
		return;
	puts("\nThe kernel gives the daemon no huge pages: beyond a million "
	     "allocations a\ndestroy takes about twice as long. As root, and "
	     "then restart tenured:\n"
	     "  echo madvise > /sys/kernel/mm/transparent_hugepage/enabled");
}

static int status_table(const struct link *link,
			const struct show_options *options)
{
	static const struct table_column columns[] = { { "WHAT", true },
						       { "VALUE", false } };
	struct collection c = { .options = options };
	int code;

	table_init(&c.table, columns, ARRAY_SIZE(columns));
	for (size_t i = 0; i < ARRAY_SIZE(totals); i++) {
		table_add(&c.table, totals[i].name);
		if (totals[i].is_size)
			add_size(&c, total_of(link, i));
		else
			add_number(&c.table, total_of(link, i));
	}
	/* A machine may have several. */
	printf("tenured at %s\n\n", tenure_socket_path(link->connection));
	code = put_table(&c.table);
	table_deinit(&c.table);
	if (code == EX_OK)
		advise(link);
	return code;
}

int show_status(struct link *link, const struct show_options *options)
{
	struct wire_reply reply;
	int code = link_ask(link, WIRE_OP_STATUS, sizeof(struct wire_status),
			    &reply);

	if (code != 0 || options->quiet)
		return code;
	return options->json ? put_json(status_json(link)) :
			       status_table(link, options);
}

static int check_json(const char *broken)
{
	if (!broken)
		return put_json(json_pack("{s:b}", "ok", 1));
	return put_json(json_pack("{s:b, s:s}", "ok", 0, "broken", broken));
}

static int check_text(const char *broken)
{
	if (broken)
		printf("broken: %s\n", broken);
	else
		puts("every invariant holds");
	if (fflush(stdout))
		return output_error("the output cannot be written");
	return EX_OK;
}

int show_check(struct link *link, const struct show_options *options)
{
	struct wire_reply reply;
	int code = link_ask(link, WIRE_OP_CHECK, 0, &reply);
	char *broken = NULL;

	if (code != 0)
		return code;
	if (reply.count != 0) {
		broken =
			text_escape((const char *)link->data, reply.data_bytes);
		if (!broken)
			return out_of_memory();
	}
	if (!options->quiet)
		code = options->json ? check_json(broken) : check_text(broken);
	free(broken);
	if (code != 0)
		return code;
	return reply.count != 0 ? SHOW_EXIT_BROKEN : EX_OK;
}
