/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole Tenure in one thread: a broker with test pages, deterministic
 * entropy, checking backends, a clock that only moves when told, release jobs
 * carried out when and in which order the test wants, and clients that are
 * either raw messages or the real library over a function call.
 *
 * Everything that breaks a promise (a backend contract, a region check, a
 * broker that wants to run for ever) ends the program with a sentence on
 * stderr.
 *
 *	struct inproc *world = inproc_new(NULL);
 *	struct tenure *t;
 *	uint32_t client;
 *
 *	assert_int_equal(inproc_attach(world, NULL, &t, &client), 0);
 *	...                           calls of tenure.h
 *	inproc_check(world);          after every step
 *	tenure_disconnect(t);
 *	inproc_free(world);           asserts that nothing is left
 */
#ifndef TESTS_SUPPORT_INPROC_H
#define TESTS_SUPPORT_INPROC_H

#include "core/broker.h"
#include "core/ring/fence_page.h"
#include "tests/support/checking.h"
#include "tests/support/test_pages.h"

struct tenure;
struct inproc;

/* When release jobs are carried out. */
enum inproc_releases {
	INPROC_RELEASES_PROMPT, /* by every pump, all of them */
	INPROC_RELEASES_RANDOM, /* by a pump now and then, in random order */
	INPROC_RELEASES_HELD, /* not at all, until the mode changes */
};

enum { INPROC_ADAPTERS = 2 };

struct inproc_config {
	uint64_t seed;
	struct limits limits;
	uint32_t first_generation;
	uint32_t tick_budget; /* slots for each broker_tick */
	bool memfds; /* stores can be mapped */
	bool no_test_events; /* as in a daemon that is not for tests */
	struct broker *broker; /* where it is to lie, or NULL */
	/* The n-th commit or reserve within broker_init fails; 0: none. */
	uint64_t fail_init_commit;
	uint64_t fail_init_reserve;
};

/* Seed 1, default limits, first generation 1, budget 64, memfds, no failure. */
void inproc_config_default(struct inproc_config *ret);

/*
 * A broker with two adapters, "system" and "other". NULL is the default
 * configuration. A failed broker_init returns NULL and its status in
 * *ret_status (which may be NULL; then a failure ends the program).
 */
struct inproc *inproc_try_new(const struct inproc_config *config,
			      int *ret_status);
struct inproc *inproc_new(const struct inproc_config *config);

/* Disconnects who is left, pumps until quiet, and ends the program if
 * anything is left anywhere. */
void inproc_free(struct inproc *world);

/*
 * The broker ends between two calls, its region comes to lie at another
 * address, and a fresh broker adopts it.
 */
void inproc_move(struct inproc *world);

/*
 * The same for a broker that was killed somewhere within a call, and with it
 * whoever had its release jobs: the region stays where it is, or moves, and is
 * put in order; the backends go by the inventory. Clients that were killed and
 * whose end the broker did not hear of are told to it.
 */
void inproc_recover(struct inproc *world, bool move);
/* Only the part in which a broker takes over the state; 0 or -ENOMEM. */
int inproc_take_over(struct inproc *world);

struct broker *inproc_broker(struct inproc *world);
struct test_pages *inproc_pages(struct inproc *world);
/* The backend of adapter 0 ("system") or 1 ("other"). */
struct checking *inproc_backend(struct inproc *world, uint32_t adapter);

/* Ends the program unless core/check and the backends agree that all is
 * consistent. */
void inproc_check(struct inproc *world);

/* ---- Progress words ---- */

/* What the client stores into one of its words; nobody is told. */
void inproc_store_word(struct inproc *world, uint32_t client, uint32_t word,
		       uint64_t value);
/* The client rings its bell. */
void inproc_ring_bell(struct inproc *world, uint32_t client);

/* Its page of fences, as whoever has it mapped sees it. */
struct fence_page *inproc_page(struct inproc *world, uint32_t client);

/* ---- Time and work ---- */

void inproc_releases(struct inproc *world, enum inproc_releases mode);

/*
 * One round: one tick, release jobs by the mode, late replies and obituaries
 * collected. Returns whether anything happened.
 */
bool inproc_pump(struct inproc *world);

/* Pumps until nothing happens any more; with held releases that is when only
 * they are left. */
void inproc_pump_all(struct inproc *world);

/* Release jobs taken from the broker and not yet given back. */
uint32_t inproc_releases_out(const struct inproc *world);

/*
 * Whether inproc_send and library calls pump before they return (default:
 * they do). Without, teardown only proceeds when the test pumps; a library
 * call that must wait for a late reply pumps all the same.
 */
void inproc_pump_by_itself(struct inproc *world, bool on);

uint64_t inproc_now_ns(const struct inproc *world);
void inproc_advance_ns(struct inproc *world, uint64_t by_ns);

/* ---- Raw clients ---- */

/* NULL stands for uid 1000, pid 100, cgroup "/test", not privileged. */
int inproc_connect(struct inproc *world, const struct peer *peer,
		   uint32_t *ret_client, enum tenure_reason *ret_reason);

/* The client dies, now. Its descriptors and mappings are its own affair. */
void inproc_kill(struct inproc *world, uint32_t client);
bool inproc_alive(const struct inproc *world, uint32_t client);

/* The broker uses client numbers again; this number is another each time. */
uint64_t inproc_serial(const struct inproc *world, uint32_t client);

/*
 * Whether requests come by a ring (default: by the socket). There is none: it
 * is only what the broker is told.
 */
void inproc_by_ring(struct inproc *world, bool on);

/* What a raw request got. */
struct inproc_reply {
	struct wire_reply head;
	enum broker_port port;
	bool quiet; /* a client would not have got it */
	/* Descriptor that came with it, or -1; the receiver's to close. */
	int fd;
	_Alignas(8) uint8_t data[WIRE_DATA_BYTES_MAX];
};

/*
 * Sends one request as it is: head, and args_bytes bytes of args behind it
 * (head->args_bytes is not touched, so it may lie). head->id must be unique
 * among the client's waiting requests. Returns the broker's verdict; with
 * BROKER_REPLY and BROKER_KILL *ret is filled (ret may be NULL). After
 * BROKER_KILL the client has been disconnected.
 */
enum broker_verdict inproc_send(struct inproc *world, uint32_t client,
				const struct wire_request *head,
				const void *args, size_t args_bytes,
				struct inproc_reply *ret);

/* The same for bytes that may be no message at all. */
enum broker_verdict inproc_send_bytes(struct inproc *world, uint32_t client,
				      const void *bytes, size_t size_bytes,
				      struct inproc_reply *ret);

/* Takes the late reply with that id, if it has come. */
bool inproc_take_reply(struct inproc *world, uint32_t client, uint64_t id,
		       struct inproc_reply *ret);

/* inproc_send, and then pumps until the reply is there: the common case.
 * Returns the status of the reply. ret may be NULL. */
int inproc_call(struct inproc *world, uint32_t client,
		const struct wire_request *head, const void *args,
		size_t args_bytes, struct inproc_reply *ret);

/* Destroys each of the handles alone, as a free queue does, and does not pump:
 * how many are refused, each with one reply. */
uint32_t inproc_free_each(struct inproc *world, uint32_t client,
			  const uint64_t *handles, uint32_t count,
			  struct wire_reply *ret_refusals);

/* HELLO, with what a good client says. */
int inproc_hello(struct inproc *world, uint32_t client);

/* Takes the obituary of a client, if it has come. */
bool inproc_take_obituary(struct inproc *world, uint32_t client,
			  struct obituary *ret);

/* ---- Waits ---- */

/*
 * What happens when the library waits for an answer that no pump brings: turn
 * is called, once for each such wait, and does the work that is waited for.
 * NULL: such a wait ends the program.
 */
void inproc_while_waiting(struct inproc *world, void (*turn)(void *context),
			  void *context);
/* For the transport: takes that turn. */
void inproc_wait_turn(struct inproc *world);

/* ---- The library (tests/support/inproc_client.c) ---- */

/*
 * Connects the real library to this broker. Its calls pump until their reply
 * is there; one that can never come (held releases) ends the program. The
 * handles of tenure.h are the values that raw requests use, so both kinds of
 * calls can be mixed on one client. tenure_disconnect disconnects the client.
 */
int inproc_attach(struct inproc *world, const struct peer *peer,
		  struct tenure **ret_connection, uint32_t *ret_client);

#endif
