/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One stage for both modes: the scenarios of this folder are written once,
 * with the public API, and run with library and broker in this process
 * (checking backend, region check after every test) and through the real
 * daemon (leak oracle after every test).
 *
 *	parties	  clients with the library: a connection, an adapter, a device
 *	talkers	  clients without it: requests sent ahead of their replies
 */
#ifndef TESTS_ROWS_WORLD_H
#define TESTS_ROWS_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/account.h"
#include "core/wire/msg.h"
#include "tenure/tenure.h"
#include "tests/support/raw.h"
#include "tests/support/rows.h"

struct inproc;
struct daemon_process;

enum { PAGE = 4096, PARTIES_MAX = 16 };

struct world {
	struct inproc *inproc; /* one of these two */
	struct daemon_process *daemon;
	struct tenure *connections[PARTIES_MAX]; /* to end with the test */
};

/* cmocka fixtures: *state is a fresh struct world with default limits. */
int world_setup(void **state);
/* Ends who is left and requires that nothing is left. */
int world_teardown(void **state);

/* A world with other limits, for a test that makes its own. */
struct world *world_new(const struct limits *limits);
void world_free(struct world *world);

#define world_test(function) \
	cmocka_unit_test_setup_teardown(function, world_setup, world_teardown)

/* main() of every program here: argument "inproc" or "daemon". */
int world_main(int argc, char **argv, const char *group,
	       const struct CMUnitTest *tests, size_t n);

#define WORLD_MAIN(group)                                            \
	int main(int argc, char **argv)                              \
	{                                                            \
		return world_main(argc, argv, group, tests,          \
				  sizeof(tests) / sizeof(tests[0])); \
	}

/* ---- Parties ---- */

struct party {
	struct world *world;
	struct tenure *t;
	uint64_t ring_bytes; /* that its connection itself is charged for */
	struct tenure_adapter adapter;
	struct tenure_device device;
};

/* A new client with its own connection, adapter and device. */
struct party party_new(struct world *world);

/* Another device of the same client. */
struct party party_second_device(const struct party *party);

/* The connection ends; what the client held is reclaimed. */
void party_end(struct party *party);

/* What the party's client holds once its garbage has been given back, without
 * what its connection itself takes. */
struct tenure_stat party_stat(const struct party *party);

/* Sends an event to the broker under test. */
void party_event(const struct party *party, enum wire_test_event event,
		 uint64_t handle);

/* Anything as one raw request on the party's own connection. */
struct wire_reply party_raw(const struct party *party,
			    const struct wire_request *head, const void *args,
			    size_t args_bytes);

struct tenure_allocation make_allocation(const struct party *party,
					 size_t size);
void make_allocations(const struct party *party, unsigned int count,
		      struct tenure_allocation *ret);
/* count allocations of one page each. */
struct tenure_resource make_resource(const struct party *party,
				     unsigned int flags, unsigned int count,
				     struct tenure_allocation *ret);
struct tenure_token make_token(const struct party *party,
			       struct tenure_resource resource,
			       unsigned int rights);
/* Opens a resource of count allocations without private data. */
struct tenure_resource open_token(const struct party *party,
				  const struct tenure_token *token,
				  unsigned int rights, unsigned int count,
				  struct tenure_allocation *ret);

/* The general destroy, in one line. */
int destroy(const struct party *party, uint64_t resource,
	    const struct tenure_allocation *list, unsigned int count,
	    unsigned int flags);
int destroy_list(const struct party *party,
		 const struct tenure_allocation *list, unsigned int count);
int destroy_resource(const struct party *party, uint64_t resource);

/* ---- Assertions ---- */

/* Asserts that a call was refused like this (index -1: none), and that the
 * party's client holds what it held before. */
#define assert_refused_at(party, call, status, reason, index)            \
	do {                                                             \
		const struct tenure_stat before_ = party_stat(party);    \
		const int result_ = (call);                              \
		expect_refusal(result_, status, reason, index, __FILE__, \
			       __LINE__);                                \
		expect_same_stat(&before_, party, __FILE__, __LINE__);   \
	} while (0)

#define assert_refused(party, call, status, reason) \
	assert_refused_at(party, call, status, reason, -1)

#define assert_ok(call) expect_ok((call), #call, __FILE__, __LINE__)

void expect_ok(int result, const char *call, const char *file, int line);
void expect_refusal(int result, int status, enum tenure_reason reason,
		    int index, const char *file, int line);
void expect_same_stat(const struct tenure_stat *before,
		      const struct party *party, const char *file, int line);

/* The handle works, or is dead for every call that takes it. */
void assert_allocation_alive(const struct party *party,
			     struct tenure_allocation allocation);
void assert_allocation_dead(const struct party *party,
			    struct tenure_allocation allocation);
void assert_resource_dead(const struct party *party,
			  struct tenure_resource resource);

/* Waits until the broker holds so many stores (memory not given back). */
void assert_stores(struct world *world, uint64_t count);

/* What the broker holds, now. */
void world_status(struct world *world, struct wire_status *ret);

/* What talkers say between the two is judged only afterwards, at once. */
void world_freeze(struct world *world);
void world_thaw(struct world *world);

/* ---- Talkers ---- */

struct talker {
	struct world *world;
	int fd; /* daemon */
	uint32_t client; /* inproc */
	unsigned int n_kept;
	struct raw_reply kept[4]; /* heard while waiting for another */
};

/* Connected and greeted. */
struct talker *talker_new(struct world *world);
void talker_free(struct talker *talker);

/* Sends; head->id must not be 0. Does not wait for anything. */
void talker_say(struct talker *talker, const struct wire_request *head,
		const void *args, size_t args_bytes);
/* Waits for the reply with that id. */
void talker_hear(struct talker *talker, uint64_t id, struct raw_reply *ret);
/* Both, for a request with any id; returns the status. */
int talker_ask(struct talker *talker, struct wire_request head,
	       const void *args, size_t args_bytes, struct raw_reply *ret);

/* An adapter "system" and a device on it. */
uint64_t talker_device(struct talker *talker, uint64_t *ret_adapter);

#endif
