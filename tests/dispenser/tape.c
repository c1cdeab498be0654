/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tapes, in two ways. One after the other, each operation is also made on the
 * naive holder, and the two must agree in everything that can be seen. Mixed,
 * up to four operations are on their way, a record begins one or moves it on
 * by one step, and a referee watches what the driver is asked for: that no
 * resource is in two hands, asked about twice at once, handed out without a
 * reset or after its end, destroyed twice, or forgotten.
 *
 *	head:    mode window faults limit seed seed seed seed
 *	record:  verb holder a b c d
 *
 * Two holders, one with numbers and one with strings, so that ids meet the
 * wrong kind too.
 */
#include "tests/dispenser/tape.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/dispenser/naive.h"

enum { HOLDERS = 2, LANES = 4, IDS = TAPE_RECORDS_MAX + 2, STRING = 24 };

enum verb {
	VERB_ALLOC,
	VERB_ALLOC_ENLISTED,
	VERB_FREE,
	VERB_FREE_LATEST,
	VERB_REQUEST,
	VERB_TRACK,
	VERB_UNTRACK,
	VERB_COMPLETE,
	VERB_SCAN,
	VERB_CLOSE,
};

static_assert(VERB_CLOSE == TAPE_VERBS - 1, "one count of verbs");

/* What the referee knows of an id of one holder. */
struct watched {
	bool alive, in_hand, wants_reset, condemned, failed;
	struct lane *asking; /* the operation that asks the driver about it */
	uint32_t destroy_calls;
};

struct side {
	uint64_t holder;
	bool strings, closing;
	struct oracle oracle;
	struct naive naive;
	struct watched ids[IDS];
	uint64_t latest; /* id that was handed out last */
};

/* An operation on its way. */
struct lane {
	bool busy, asked;
	enum verb verb;
	struct side *side;
	uint64_t serial, id;
	struct dispenser_op op;
	struct dispenser_ask ask;
	struct dispenser_answer answer;
};

struct tape {
	struct dispenser dispenser;
	struct dispenser_options options;
	struct side sides[HOLDERS];
	struct lane lanes[LANES];
	bool mixed;
	uint64_t now_ns, serial, n_blocks, judged;
};

static struct tape tape;

void (*tape_found)(const char *what);

static void require(bool holds, const char *what)
{
	if (holds)
		return;
	if (tape_found)
		tape_found(what);
	fprintf(stderr, "tape: %s\n", what);
	abort();
}

static void *block_alloc(void *context, size_t size_bytes)
{
	(void)context;
	tape.n_blocks++;
	return malloc(size_bytes);
}

static void block_free(void *context, void *block)
{
	(void)context;
	tape.n_blocks -= block != NULL;
	free(block);
}

static struct dispenser_id id_of(bool strings, uint64_t id, char *string)
{
	if (!strings)
		return (struct dispenser_id){ .number = id };
	string[0] = '\0';
	if (id != 0)
		snprintf(string, STRING, "%ju", (uintmax_t)id);
	return (struct dispenser_id){ .string = string };
}

static uint64_t number_of(struct dispenser_id id)
{
	return id.string ? strtoull(id.string, NULL, 10) : id.number;
}

/* ---- The driver, and the referee beside it ---- */

static void judge_ask(const struct lane *lane, const struct watched *w)
{
	require(w->alive || lane->ask.verb == DISPENSER_CREATE,
		"the driver is asked about what does not exist");
	require(!w->asking, "two operations ask about one resource");
	require(!w->failed || lane->verb == VERB_CLOSE,
		"a broken resource is asked about again");
	require(lane->ask.verb == DISPENSER_CREATE ||
			lane->ask.verb == DISPENSER_DESTROY ||
			(!w->condemned && !lane->side->closing),
		"more than its end is asked for after its end");
	switch (lane->ask.verb) {
	case DISPENSER_CREATE:
		break;
	case DISPENSER_RATE:
		require(!w->in_hand && !w->wants_reset,
			"a candidate that nobody may have");
		break;
	case DISPENSER_ENLIST:
		require(!w->in_hand, "what is in use is enlisted");
		break;
	case DISPENSER_RESET:
		require(w->wants_reset, "a reset without a free");
		break;
	case DISPENSER_DESTROY:
		require(!w->in_hand || lane->side->closing,
			"what is in use is destroyed");
		break;
	}
}

static void answer_ask(struct lane *lane)
{
	struct side *side = lane->side;
	const struct dispenser_ask *ask = &lane->ask;
	uint64_t id = ask->verb == DISPENSER_CREATE ? 0 : number_of(ask->id);
	struct watched *w = &side->ids[id];

	require(id < IDS, "an id that was never made");
	side->oracle.operation = lane->serial;
	if (tape.mixed)
		judge_ask(lane, w);
	lane->answer = (struct dispenser_answer){ 0 };
	if (ask->verb == DISPENSER_CREATE) {
		lane->answer = oracle_create(&side->oracle, ask->type);
		id = lane->answer.number;
		if (lane->answer.status == 0 && id > side->oracle.last_id)
			side->oracle.last_id = id;
		if (side->strings)
			id_of(true, id, ask->ret_string);
		if (lane->answer.status == 0 && id != 0 && tape.mixed)
			side->ids[id] = (struct watched){ .alive = true };
		return;
	}
	if (tape.mixed)
		w->asking = lane;
	if (ask->verb == DISPENSER_RATE)
		lane->answer.status = oracle_rate(&side->oracle, id, ask->type,
						  ask->needs_enlist);
	else
		lane->answer.status = oracle_say(&side->oracle, ask->verb, id);
}

/* The referee hears the answer when the dispenser does. */
static void judge_answer(const struct lane *lane)
{
	uint64_t id = number_of(lane->ask.id);
	struct watched *w = &lane->side->ids[id];

	if (lane->ask.verb == DISPENSER_CREATE || !tape.mixed)
		return;
	w->asking = NULL;
	if (lane->ask.verb == DISPENSER_RESET && lane->answer.status == 0)
		w->wants_reset = false;
	if (lane->ask.verb != DISPENSER_DESTROY)
		return;
	w->destroy_calls++;
	if (lane->answer.status == 0)
		*w = (struct watched){ 0 };
	else
		w->failed = true;
}

static void judge_end(struct lane *lane)
{
	struct side *side = lane->side;
	bool alloc = lane->verb == VERB_ALLOC ||
		     lane->verb == VERB_ALLOC_ENLISTED;
	struct watched *w;

	if (!alloc || lane->op.status != 0)
		return;
	side->latest = number_of(lane->op.id);
	if (!tape.mixed)
		return;
	w = &side->ids[side->latest];
	require(w->alive && !w->in_hand && !w->failed,
		"handed out, but not there");
	require(!w->wants_reset, "handed out without a reset");
	require(!w->condemned, "handed out after its end was requested");
	w->in_hand = true;
}

/* Up to the next question, or to the end. */
static void move_on(struct lane *lane)
{
	enum dispenser_turn turn;

	if (lane->asked) {
		judge_answer(lane);
		dispenser_tell(&lane->op, &lane->answer);
	}
	do {
		turn = dispenser_step(&lane->op, &lane->ask);
	} while (turn == DISPENSER_AGAIN);
	lane->asked = turn == DISPENSER_ASK;
	if (lane->asked) {
		answer_ask(lane);
		return;
	}
	judge_end(lane);
	lane->busy = false;
}

/* ---- Beginning operations ---- */

struct record {
	enum verb verb;
	struct side *side;
	uint64_t type, transaction, id, budget;
	bool wrong_kind;
};

static uint64_t draw_id(const struct side *side, enum verb verb, uint8_t a,
			uint8_t b)
{
	if (verb == VERB_FREE_LATEST)
		return side->latest;
	return (a * UINT64_C(256) + b) % (side->oracle.last_id + 2) % IDS;
}

static struct record record_of(const uint8_t *data)
{
	struct record record = {
		.verb = data[0] % TAPE_VERBS,
		.side = &tape.sides[data[1] % HOLDERS],
		.type = data[2] % 5,
		.budget = data[2],
	};

	if (record.verb == VERB_ALLOC_ENLISTED || record.verb == VERB_COMPLETE)
		record.transaction = data[3] % 4;
	record.id = draw_id(record.side, record.verb, data[2], data[3]);
	record.wrong_kind = data[4] % 32 == 31;
	tape.now_ns += data[5] % 64;
	return record;
}

static struct dispenser_id record_id(const struct record *record, char *string)
{
	return id_of(record->side->strings != record->wrong_kind, record->id,
		     string);
}

static int begin(struct lane *lane, const struct record *record)
{
	struct dispenser *d = &tape.dispenser;
	uint64_t holder = record->side->holder;
	char string[STRING];
	struct dispenser_id id = record_id(record, string);

	lane->verb = record->verb;
	lane->side = record->side;
	lane->id = record->id;
	lane->serial = ++tape.serial;
	lane->asked = false;
	switch (record->verb) {
	case VERB_ALLOC:
	case VERB_ALLOC_ENLISTED:
		return dispenser_alloc(d, &lane->op, holder, record->type,
				       record->transaction, tape.now_ns);
	case VERB_FREE:
	case VERB_FREE_LATEST:
		return dispenser_free(d, &lane->op, holder, id, tape.now_ns);
	case VERB_REQUEST:
		return dispenser_request_destroy(d, &lane->op, holder, id);
	case VERB_COMPLETE:
		return dispenser_complete(d, &lane->op, holder,
					  record->transaction, tape.now_ns);
	case VERB_SCAN:
		return dispenser_scan(d, &lane->op, holder, tape.now_ns,
				      record->budget);
	case VERB_CLOSE:
		return dispenser_close(d, &lane->op, holder);
	case VERB_TRACK:
	case VERB_UNTRACK:
		break;
	}
	return -EINVAL;
}

static int track_now(const struct record *record)
{
	char string[STRING];
	struct dispenser_id id = record_id(record, string);
	uint64_t holder = record->side->holder;

	if (record->verb == VERB_TRACK)
		return dispenser_track(&tape.dispenser, holder, id);
	return dispenser_untrack(&tape.dispenser, holder, id);
}

static void side_open(struct side *side, bool strings)
{
	uint64_t seed = side->oracle.seed, last_id = side->oracle.last_id;
	uint32_t faults = side->oracle.faults;

	memset(side, 0, sizeof(*side));
	side->strings = tape.options.string_ids = strings;
	side->oracle = (struct oracle){ .seed = seed,
					.faults = faults,
					.last_id = last_id,
					.repeats = !tape.mixed };
	require(dispenser_register(&tape.dispenser, &tape.options,
				   &side->holder) == 0,
		"a holder cannot be made");
	naive_init(&side->naive, &tape.options, &side->oracle);
}

/* ---- One after the other, with the naive one ---- */

static int naive_does(const struct record *record, bool *ret_more,
		      uint64_t *ret_id)
{
	struct naive *naive = &record->side->naive;

	record->side->oracle.operation = tape.serial;
	switch (record->verb) {
	case VERB_ALLOC:
	case VERB_ALLOC_ENLISTED:
		return naive_alloc(naive, record->type, record->transaction,
				   tape.now_ns, ret_id);
	case VERB_FREE:
	case VERB_FREE_LATEST:
		return naive_free(naive, record->id, tape.now_ns);
	case VERB_REQUEST:
		return naive_request(naive, record->id);
	case VERB_TRACK:
		return naive_track(naive, record->id);
	case VERB_UNTRACK:
		return naive_untrack(naive, record->id);
	case VERB_COMPLETE:
		naive_complete(naive, record->transaction, tape.now_ns);
		return 0;
	case VERB_SCAN:
		*ret_more = naive_scan(naive, tape.now_ns, record->budget);
		return 0;
	case VERB_CLOSE:
		return naive_close(naive);
	}
	return 0;
}

static bool takes_id(enum verb verb)
{
	return verb == VERB_FREE || verb == VERB_FREE_LATEST ||
	       verb == VERB_REQUEST || verb == VERB_TRACK ||
	       verb == VERB_UNTRACK;
}

static void compare(const struct record *record)
{
	struct side *side = record->side;
	struct dispenser_stat stat, naive = naive_stat(&side->naive);

	require(dispenser_stat(&tape.dispenser, side->holder, &stat) == 0,
		"a holder is gone");
	require(memcmp(&stat, &naive, sizeof(stat)) == 0, "totals differ");
	if (tape.judged % 64 == 0)
		dispenser_check(&tape.dispenser);
}

static void one_record(const struct record *record)
{
	struct lane *lane = &tape.lanes[0];
	struct side *side = record->side;
	uint64_t id = 0, last_id = side->oracle.last_id;
	bool more = false;
	int r, expected = -ENOTSUP;

	if (record->verb == VERB_TRACK || record->verb == VERB_UNTRACK) {
		r = track_now(record);
		tape.serial++;
	} else {
		r = begin(lane, record);
		if (r == 0) {
			for (lane->busy = true; lane->busy;)
				move_on(lane);
			r = lane->op.status;
		}
	}
	/* The naive one hears of a new id as if it were new again. */
	if (!record->wrong_kind || !takes_id(record->verb)) {
		uint64_t after = side->oracle.last_id;

		side->oracle.last_id = last_id;
		expected = naive_does(record, &more, &id);
		side->oracle.last_id = after;
	}
	require(r == expected, "results differ");
	if (r == 0 && record->verb <= VERB_ALLOC_ENLISTED)
		require(side->latest == id, "ids differ");
	if (record->verb == VERB_SCAN)
		require(lane->op.more == more, "the scans differ");
	tape.judged++;
	if (record->verb == VERB_CLOSE)
		side_open(side, !side->strings);
	else
		compare(record);
}

/* ---- Mixed ---- */

/* What a call that was accepted means to the referee. */
static void accepted(const struct lane *lane)
{
	struct watched *w = &lane->side->ids[lane->id];

	switch (lane->verb) {
	case VERB_FREE:
	case VERB_FREE_LATEST:
		require(w->in_hand, "a free of what was not handed out");
		w->in_hand = false;
		w->wants_reset = true;
		break;
	case VERB_REQUEST:
		require(w->alive && !w->condemned && !w->failed,
			"a request for what is not there");
		w->condemned = !w->in_hand;
		break;
	case VERB_CLOSE:
		lane->side->closing = true;
		break;
	default:
		break;
	}
}

static bool side_is_busy(const struct side *side)
{
	for (int i = 0; i < LANES; i++) {
		if (tape.lanes[i].busy && tape.lanes[i].side == side)
			return true;
	}
	return false;
}

/* Once all have left a closed holder, nothing of it may be left. */
static void side_end(struct side *side)
{
	bool strings = side->strings;

	for (uint64_t id = 0; id < IDS; id++)
		require(!side->ids[id].alive || side->ids[id].failed,
			"a resource is left behind");
	side_open(side, !strings);
}

static void mixed_record(const struct record *record, uint8_t lane_number)
{
	struct lane *lane = &tape.lanes[lane_number % LANES];
	struct side *side = record->side;

	if (lane->busy) {
		side = lane->side;
		move_on(lane);
	} else if (!side->closing && record->verb != VERB_TRACK &&
		   record->verb != VERB_UNTRACK) {
		tape.judged++;
		if (begin(lane, record) == 0) {
			lane->busy = true;
			accepted(lane);
		}
	}
	if (side->closing && !side_is_busy(side))
		side_end(side);
	else if (!side->closing && tape.serial % 64 == 0)
		dispenser_check(&tape.dispenser);
}

/* ---- A whole tape ---- */

static void tape_begin(const uint8_t *head)
{
	static const uint64_t windows[] = { UINT64_MAX, DISPENSER_WINDOW, 4,
					    1 };
	const struct heap heap = { NULL, block_alloc, block_free };
	uint64_t seed;

	memset(&tape, 0, sizeof(tape));
	memcpy(&seed, head, sizeof(seed));
	tape.mixed = head[0] & 1;
	tape.options.window = windows[head[1] % 4];
	tape.options.depth = windows[head[1] / 4 % 4];
	tape.options.resources_max = head[3] % 2 ? 500 : 1 + head[3] / 2;
	dispenser_init(&tape.dispenser, &heap);
	for (int i = 0; i < HOLDERS; i++) {
		tape.sides[i].oracle.seed = idmap_hash_number(seed + i);
		tape.sides[i].oracle.faults = head[2] / 4;
		side_open(&tape.sides[i], i);
	}
}

static void tape_end(void)
{
	struct record record = { .verb = VERB_CLOSE };

	for (int i = 0; i < LANES; i++) {
		while (tape.lanes[i].busy)
			move_on(&tape.lanes[i]);
	}
	for (int i = 0; i < HOLDERS; i++) {
		record.side = &tape.sides[i];
		if (!tape.mixed) {
			one_record(&record);
		} else if (!record.side->closing) {
			mixed_record(&record, 0);
			while (tape.lanes[0].busy)
				move_on(&tape.lanes[0]);
		}
		if (tape.mixed)
			side_end(record.side);
	}
	/* Both were opened anew. */
	tape.mixed = false;
	for (int i = 0; i < HOLDERS; i++) {
		require(begin(&tape.lanes[0],
			      &(struct record){ .verb = VERB_CLOSE,
						.side = &tape.sides[i] }) == 0,
			"a holder cannot be closed");
		for (tape.lanes[0].busy = true; tape.lanes[0].busy;)
			move_on(&tape.lanes[0]);
	}
	dispenser_deinit(&tape.dispenser);
	require(tape.n_blocks == 0, "memory is left behind");
}

uint64_t tape_run(const uint8_t *data, size_t size_bytes)
{
	size_t n = 0;

	if (size_bytes < TAPE_HEAD_BYTES)
		return 0;
	tape_begin(data);
	data += TAPE_HEAD_BYTES;
	size_bytes -= TAPE_HEAD_BYTES;
	for (; size_bytes >= TAPE_RECORD_BYTES && n < TAPE_RECORDS_MAX; n++) {
		struct record record = record_of(data);

		if (tape.mixed)
			mixed_record(&record, data[4] / 32);
		else
			one_record(&record);
		data += TAPE_RECORD_BYTES;
		size_bytes -= TAPE_RECORD_BYTES;
	}
	tape_end();
	return tape.judged;
}
