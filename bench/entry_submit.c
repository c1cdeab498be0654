/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Question (S15): what does it cost, for each pair of a context and an
 * allocation, to say that the next work of the context uses the allocation?
 *
 * S15: the core alone, as for S0: submits of 1024 random allocations out of
 * 10^7, by 64 contexts in turn. The work of a submit has ended when its
 * allocations are used again, so each remembers one context, in its own slot.
 * A sample is one submit, divided by 1024. The floor is one visit to a random
 * line on pages of the same size, before and after, in the same run.
 *
 * S15-two: the same while work of another context uses each of them too: what
 * a set of users costs on top.
 *
 * S15-client: the library's part, up to the ring: 1024 uses recorded in a
 * batch, without the submit that sends it.
 */
#include "bench/bench.h"

#include "bench/child.h"
#include "bench/clock.h"
#include "bench/world.h"
#include "core/context.h"

#include <stdlib.h>
#include <tenure/tenure.h>

enum { CONTEXTS = 64, PASS_SUBMITS = 1024, TWO_WINDOW = 1 << 18 };

static const double S15_TARGET = 1.5;

static bool is_good(struct outcome outcome)
{
	if (outcome.status != 0)
		fprintf(stderr, "tenure-bench: refused: %d\n", outcome.status);
	return outcome.status == 0;
}

struct submitter {
	struct world *world;
	uint64_t contexts[CONTEXTS];
	uint64_t value; /* of the last work, in all contexts together */
	size_t at; /* the next handle */
	size_t window; /* so many of them are used in turn */
};

static bool start(struct submitter *s, const struct bench *bench)
{
	uint32_t word;

	s->world =
		world_new(bench_live(bench), WORLD_BATCH, WORLD_PAGES_DAEMON);
	for (int i = 0; i < CONTEXTS; i++)
		if (!is_good(context_create(&s->world->broker.env,
					    s->world->session, s->world->device,
					    &s->contexts[i], &word)))
			return false;
	return true;
}

static bool submit(struct submitter *s, uint64_t context, const uint64_t *list)
{
	const struct submit_args args = {
		.device = s->world->device,
		.context = context,
		.value = s->value,
		.list = list,
		.count = WORLD_BATCH,
		.list_bytes = WORLD_BATCH * sizeof(*list),
	};

	return is_good(context_submit(&s->world->broker.env, s->world->session,
				      &args, &s->world->broker.rules));
}

static bool finish(struct submitter *s, uint64_t context)
{
	return is_good(context_progress(&s->world->broker.env,
					s->world->session, s->world->device,
					context, s->value));
}

/* Allocations that have not been used for longest. */
static const uint64_t *take_list(struct submitter *s)
{
	if (s->at + WORLD_BATCH > s->window)
		s->at = 0;
	s->at += WORLD_BATCH;
	return s->world->handles + s->at - WORLD_BATCH;
}

/*
 * The first of two submits of each list, or the second: that finds each
 * allocation in use. All that was submitted ends with the pass.
 */
static bool measure_pass(struct submitter *s, const struct bench *bench,
			 bool second, struct passes *passes)
{
	static struct histogram histogram;
	unsigned int n = bench->smoke ? 4 : PASS_SUBMITS;
	uint64_t sum = 0;

	histogram_init(&histogram);
	for (unsigned int i = 0; i < n; i++) {
		const uint64_t *list = take_list(s);
		uint64_t before, elapsed;

		s->value++;
		if (second && !submit(s, s->contexts[(i + 1) % CONTEXTS], list))
			return false;
		before = now_ns();
		if (!submit(s, s->contexts[i % CONTEXTS], list))
			return false;
		elapsed = now_ns() - before;
		sum += elapsed;
		histogram_record(&histogram, elapsed * 1000 / WORLD_BATCH);
	}
	for (int i = 0; i < CONTEXTS; i++)
		if (!finish(s, s->contexts[i]))
			return false;
	if (passes)
		passes_add(passes, &histogram, (uint64_t)n * WORLD_BATCH, sum);
	return true;
}

static bool measure(struct submitter *s, const struct bench *bench, bool second,
		    struct quantiles *ret)
{
	struct passes passes = { 0 };

	/* Those that once had two users keep a record for it, of which there
	 * are not as many as allocations. */
	s->window = s->world->n_handles;
	if (second && s->window > TWO_WINDOW)
		s->window = TWO_WINDOW;
	s->at = 0;
	for (unsigned int pass = 0; pass <= bench_passes(bench); pass++)
		if (!measure_pass(s, bench, second, pass > 0 ? &passes : NULL))
			return false;
	*ret = passes_median(&passes);
	return true;
}

static bool measure_core(struct bench *bench)
{
	size_t n = bench_live(bench);
	struct submitter s = { 0 };
	struct result one = { .id = "S15",
			      .unit = "ns",
			      .doubt = 1,
			      .target_kind = TARGET_RATIO,
			      .target = S15_TARGET };
	struct result two = { .id = "S15-two", .unit = "ns", .doubt = 1 };
	struct quantiles visit[2];
	const char *pages;
	char live[16];
	bool good = start(&s, bench);

	pages = world_page_name(s.world);
	good = good && measure_visit(bench, n, pages, "add", &visit[0]) &&
	       measure(&s, bench, false, &one.q) &&
	       measure(&s, bench, true, &two.q) &&
	       measure_visit(bench, n, pages, "add", &visit[1]);
	world_free(s.world);
	if (!good)
		return false;
	one.floor = two.floor = middle_of(&visit[0], &visit[1], &one.doubt);
	two.doubt = one.doubt;
	snprintf(one.name, sizeof(one.name),
		 "core: submit, a use, %s live, %s pages", bench_count(live, n),
		 pages);
	snprintf(two.name, sizeof(two.name),
		 "core: the same when in use by another context");
	report_add(bench->report, &one);
	report_add(bench->report, &two);
	return true;
}

/* ---- The library ---- */

struct recorder {
	struct tenure *connection;
	struct tenure_context context;
	struct tenure_allocation list[WORLD_BATCH];
	uint64_t value;
};

static bool join(struct recorder *r, const struct service *service)
{
	static size_t sizes[WORLD_BATCH];
	struct tenure_adapter adapter;
	struct tenure_device device;

	for (int i = 0; i < WORLD_BATCH; i++)
		sizes[i] = 4096;
	return tenure_connect(service->socket, 0, &r->connection) == 0 &&
	       tenure_adapter_open(r->connection, NULL, &adapter) == 0 &&
	       tenure_device_create(r->connection, adapter, &device) == 0 &&
	       tenure_context_create(r->connection, device, &r->context) == 0 &&
	       tenure_allocation_create(r->connection, device, sizes,
					WORLD_BATCH, r->list) == 0;
}

static bool record_pass(struct recorder *r, const struct bench *bench,
			struct passes *passes)
{
	static struct histogram histogram;
	unsigned int n = bench->smoke ? 4 : PASS_SUBMITS;
	uint64_t sum = 0;

	histogram_init(&histogram);
	for (unsigned int i = 0; i < n; i++) {
		uint64_t before = now_ns(), elapsed;

		if (tenure_context_use(r->connection, r->context, r->list,
				       WORLD_BATCH) != 0)
			return false;
		elapsed = now_ns() - before;
		sum += elapsed;
		histogram_record(&histogram, elapsed * 1000 / WORLD_BATCH);
		r->value++;
		if (tenure_context_submit(r->connection, r->context,
					  r->value) != 0 ||
		    tenure_context_progress(r->connection, r->context,
					    r->value) != 0)
			return false;
	}
	if (passes)
		passes_add(passes, &histogram, (uint64_t)n * WORLD_BATCH, sum);
	return true;
}

static bool measure_client(struct bench *bench)
{
	struct service service = { .is_null = true };
	struct recorder *r = calloc(1, sizeof(*r));
	struct passes passes = { 0 };
	struct result result = { .id = "S15-client",
				 .name = "library: recording a use, no submit",
				 .unit = "ns",
				 .floor = NAN };
	bool good = r && service_start(&service, -1) && join(r, &service);

	for (unsigned int pass = 0; good && pass <= bench_passes(bench); pass++)
		good = record_pass(r, bench, pass > 0 ? &passes : NULL);
	if (good) {
		result.q = passes_median(&passes);
		report_add(bench->report, &result);
	}
	if (r)
		tenure_disconnect(r->connection);
	free(r);
	service_stop(&service);
	return good;
}

bool entry_submit(struct bench *bench)
{
	return measure_core(bench) && measure_client(bench);
}
