/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server
 *
 * One libuv loop turns; each of its callbacks lets one source of events have
 * its say, and then *pumps*:
 *
 *	poller (clients) --\                 /-- a turn of the engine
 *	listener ----------+--> callback --> +-- late replies, obituaries
 *	releaser, workers -+      then pump  +-- timers
 *	timers, signals ---/                 \-- is it over?
 *
 * A turn is bounded (daemon/turn.c). When more can be done at once, an idle
 * handle keeps the loop from sleeping, so that the rest is done between the
 * requests of those who are alive and not before them.
 *
 * One connection is accepted in each turn: a flood of them then costs the
 * others little (a tenth of the latency of accepting sixty-four).
 *
 * Stopping has one direction: no new clients (the socket is gone), no clients
 * (disconnected), nothing left (every release done), loop stopped. If the last
 * takes too long, the process ends all the same: the kernel then gives the
 * memory back, and nobody is left to whom it could matter.
 */
#include "daemon/server.h"

#include "daemon/backend_system.h"
#include "daemon/clients.h"
#include "daemon/engine.h"
#include "daemon/heap.h"
#include "daemon/pages.h"
#include "daemon/poller.h"
#include "daemon/systemd.h"
#include "daemon/worker.h"

#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <uv.h>

enum {
	ACCEPT_PAUSE_MS = 100,
	LOG_FLUSH_MS = 10000,
	/* A private daemon whose client never came. */
	ALONE_MS = 10000,
	/* Of the five seconds that a stop may take. */
	STOP_MS = 4000,
	SIGNALS = 4,
	/* About twenty microseconds. */
	GATE_SPINS = 500,
};

#define MS_NS UINT64_C(1000000)
/* About what it takes to wake a thread: looking at a ring for longer than that
 * is not worth it. */
#define POLL_NS UINT64_C(50000)

struct server {
	struct server_setup setup;
	uv_loop_t loop;
	uv_poll_t listening, polling;
	uv_timer_t accept_pause, hello, retry, rest, log_flush, alone, stop;
	uv_signal_t signals[SIGNALS];
	uv_async_t notified;
	uv_idle_t busy;
	struct poller poller;
	struct backend_system *system;
	struct broker_adapter adapter;
	struct engine engine;
	struct clients clients;
	struct worker *workers[WORKERS_MAX];
	unsigned int n_workers;
	bool stopping;
	int status;
};

static uint64_t now_ns(void)
{
	return uv_hrtime();
}

static void fill_random(void *context, void *bytes, size_t size_bytes)
{
	unsigned char *at = bytes;

	(void)context;
	while (size_bytes) {
		ssize_t n = getrandom(at, size_bytes, 0);

		/* server_new has seen that it works. */
		assert(n > 0 || errno == EINTR);
		if (n > 0) {
			at += n;
			size_bytes -= (size_t)n;
		}
	}
}

/* Starts a timer, or makes one that is running end sooner, but never later;
 * due_ns 0: nothing to wait for. */
static void arm(uv_timer_t *timer, uv_timer_cb callback, uint64_t due_ns)
{
	uint64_t now = now_ns();
	uint64_t wait_ms = due_ns > now ? (due_ns - now) / MS_NS + 1 : 1;

	if (due_ns == 0 || (uv_is_active((uv_handle_t *)timer) &&
			    uv_timer_get_due_in(timer) <= wait_ms))
		return;
	uv_timer_start(timer, callback, wait_ms, 0);
}

static void pump(struct server *server);
static void begin_stop(struct server *server, const char *why);

static void on_hello_due(uv_timer_t *timer)
{
	struct server *server = timer->data;
	uint64_t due_ns = clients_expire(&server->clients);

	arm(timer, on_hello_due, due_ns);
	pump(server);
}

static void on_retry_due(uv_timer_t *timer)
{
	struct server *server = timer->data;

	clients_retry(&server->clients);
	pump(server);
}

static void on_log_flush_due(uv_timer_t *timer)
{
	if (log_flush())
		uv_timer_start(timer, on_log_flush_due, LOG_FLUSH_MS, 0);
}

static void on_rest_due(uv_timer_t *timer)
{
	pump(timer->data);
}

static void on_notified(uv_async_t *async)
{
	pump(async->data);
}

static void notify(void *context)
{
	struct server *server = context;

	uv_async_send(&server->notified);
}

static void on_busy(uv_idle_t *idle)
{
	pump(idle->data);
}

static void read_status(struct server *server, struct wire_status *ret)
{
	engine_lock(&server->engine);
	broker_status(&server->engine.broker, ret);
	engine_unlock(&server->engine);
}

static bool is_drained(struct server *server)
{
	struct wire_status status;

	read_status(server, &status);
	return status.clients == 0 && status.clients_ending == 0 &&
	       status.releases_pending == 0 && status.stores == 0 &&
	       server->clients.ports == 0;
}

static void set_timers(struct server *server, uint64_t rest_ns)
{
	if (server->clients.waiting.first)
		arm(&server->hello, on_hello_due,
		    now_ns() + server->clients.config.hello_timeout_ns);
	else
		uv_timer_stop(&server->hello);
	if (server->clients.is_blocked)
		arm(&server->retry, on_retry_due,
		    now_ns() + CONN_RETRY_MS * MS_NS);
	if (log_is_behind())
		arm(&server->log_flush, on_log_flush_due,
		    now_ns() + LOG_FLUSH_MS * MS_NS);
	arm(&server->rest, on_rest_due, rest_ns);
}

/* Carries on whatever the last event has set going. */
static void pump(struct server *server)
{
	struct engine_rest rest = engine_pump(&server->engine, now_ns());

	clients_settle(&server->clients);
	/* If there was mail there may be more that had no room. */
	if (rest.more || rest.mail)
		uv_idle_start(&server->busy, on_busy);
	else
		uv_idle_stop(&server->busy);
	set_timers(server, rest.due_ns);
	if (server->stopping) {
		if (is_drained(server))
			uv_stop(&server->loop);
	} else if (server->setup.private_use &&
		   server->clients.counters.connected &&
		   server->clients.count == 0) {
		begin_stop(server, "the last client has gone");
	}
}

static void on_polling(uv_poll_t *poll, int status, int events)
{
	struct server *server = poll->data;

	(void)status;
	(void)events;
	poller_dispatch(&server->poller);
	pump(server);
}

static void on_listening(uv_poll_t *poll, int status, int events);

static void listen_again(uv_timer_t *timer)
{
	struct server *server = timer->data;

	if (server->stopping)
		return;
	listener_refill(server->setup.listener);
	uv_poll_start(&server->listening, UV_READABLE, on_listening);
}

/* The kernel is out of something; the clients wait in the queue. */
static void pause_accepting(struct server *server, int error)
{
	log_write(LOG_LEVEL_WARNING, LOG_ACCEPT_FAILED,
		  "no client can be accepted: %s", strerror(-error));
	uv_poll_stop(&server->listening);
	uv_timer_start(&server->accept_pause, listen_again, ACCEPT_PAUSE_MS, 0);
}

static void on_listening(uv_poll_t *poll, int status, int events)
{
	struct server *server = poll->data;
	int fd, r;

	(void)status;
	(void)events;
	r = listener_accept(server->setup.listener, &fd);
	if (r == LISTENER_ACCEPTED) {
		clients_admit(&server->clients, fd);
	} else if (r == LISTENER_LAST) {
		clients_refuse(&server->clients, fd, TENURE_REASON_DAEMON_BUSY);
		r = listener_refill(server->setup.listener);
	}
	if (r < 0)
		pause_accepting(server, r);
	if (server->clients.counters.connected)
		uv_timer_stop(&server->alone);
	pump(server);
}

static void on_alone(uv_timer_t *timer)
{
	begin_stop(timer->data, "no client came");
}

static void on_stop_due(uv_timer_t *timer)
{
	struct server *server = timer->data;

	server->status = -ETIMEDOUT;
	uv_stop(&server->loop);
}

static void begin_stop(struct server *server, const char *why)
{
	if (server->stopping)
		return;
	server->stopping = true;
	log_write(LOG_LEVEL_INFO, LOG_DAEMON, "stops: %s", why);
	systemd_notify("STOPPING=1");
	uv_poll_stop(&server->listening);
	uv_timer_stop(&server->accept_pause);
	listener_close(server->setup.listener);
	engine_lock(&server->engine);
	broker_stop_accepting(&server->engine.broker);
	engine_unlock(&server->engine);
	clients_end_all(&server->clients, -ESHUTDOWN,
			TENURE_REASON_DAEMON_STOPPING);
	uv_timer_start(&server->stop, on_stop_due, STOP_MS, 0);
	pump(server);
}

static void reload(struct server *server)
{
	struct config config;

	systemd_notify("RELOADING=1");
	if (server->setup.reload(server->setup.context, &config) < 0) {
		log_write(LOG_LEVEL_ERROR, LOG_DAEMON,
			  "the configuration stays as it was");
	} else {
		engine_lock(&server->engine);
		config_limits(&config,
			      &server->engine.broker.env.config.limits);
		engine_unlock(&server->engine);
		log_set_level(config_log_level(&config));
		log_write(LOG_LEVEL_INFO, LOG_DAEMON,
			  "limits and log level were read again");
	}
	systemd_notify("READY=1");
}

static void dump(struct server *server)
{
	const struct clients_counters *counters = &server->clients.counters;
	struct backend_system_stat stat;
	struct wire_status s;
	struct heap_stat heap;

	read_status(server, &s);
	backend_system_stat(server->system, &stat);
	heap_stat(&heap);
	log_write(LOG_LEVEL_INFO, LOG_DAEMON,
		  "clients %" PRIu64 ", ending %" PRIu64 ", connected %" PRIu64
		  ", refused %" PRIu64 ", killed %" PRIu64
		  ", without hello %" PRIu64,
		  s.clients, s.clients_ending, counters->connected,
		  counters->refused, counters->killed, counters->timed_out);
	log_write(LOG_LEVEL_INFO, LOG_DAEMON,
		  "devices %" PRIu64 ", resources %" PRIu64
		  ", allocations %" PRIu64 ", handles %" PRIu64
		  ", objects %" PRIu64 ", tokens %" PRIu64,
		  s.devices, s.resources, s.allocations, s.handles, s.objects,
		  s.tokens);
	log_write(LOG_LEVEL_INFO, LOG_DAEMON,
		  "stores %" PRIu64 " in %" PRIu64
		  " descriptors, bytes %" PRIu64 ", releases pending %" PRIu64
		  ", failed %" PRIu64 ", released bytes %" PRIu64
		  ", pinned %" PRIu64,
		  s.stores, stat.descriptors, s.bytes, s.releases_pending,
		  s.release_failures_total, s.released_bytes_total, s.pinned);
	log_write(LOG_LEVEL_INFO, LOG_DAEMON,
		  "own heap %s: allocated bytes %" PRIu64
		  ", resident bytes %" PRIu64,
		  heap.name, heap.allocated_bytes, heap.resident_bytes);
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct server *server = handle->data;

	switch (number) {
	case SIGTERM:
		begin_stop(server, "SIGTERM");
		break;
	case SIGINT:
		begin_stop(server, "SIGINT");
		break;
	case SIGHUP:
		reload(server);
		break;
	case SIGUSR1:
		dump(server);
		break;
	}
}

static int start_signals(struct server *server)
{
	static const int numbers[SIGNALS] = { SIGTERM, SIGINT, SIGHUP,
					      SIGUSR1 };
	int r = 0;

	for (size_t i = 0; i < SIGNALS && r == 0; i++) {
		r = uv_signal_init(&server->loop, &server->signals[i]);
		if (r == 0) {
			server->signals[i].data = server;
			r = uv_signal_start(&server->signals[i], on_signal,
					    numbers[i]);
		}
	}
	return r;
}

/* Timers and idle handles; making them cannot fail. */
static void init_handles(struct server *server)
{
	uv_timer_t *timers[] = {
		&server->accept_pause, &server->hello,	   &server->retry,
		&server->rest,	       &server->log_flush, &server->alone,
		&server->stop,
	};

	for (size_t i = 0; i < ARRAY_SIZE(timers); i++) {
		uv_timer_init(&server->loop, timers[i]);
		timers[i]->data = server;
	}
	uv_idle_init(&server->loop, &server->busy);
	server->busy.data = server;
}

static int start_polls(struct server *server)
{
	int r;

	r = uv_poll_init(&server->loop, &server->polling,
			 server->poller.epoll_fd);
	if (r < 0)
		return r;
	server->polling.data = server;
	r = uv_poll_init(&server->loop, &server->listening,
			 server->setup.listener->fd);
	if (r < 0)
		return r;
	server->listening.data = server;
	uv_poll_start(&server->polling, UV_READABLE, on_polling);
	uv_poll_start(&server->listening, UV_READABLE, on_listening);
	return 0;
}

static int start_loop(struct server *server)
{
	int r;

	init_handles(server);
	r = uv_async_init(&server->loop, &server->notified, on_notified);
	if (r < 0)
		return r;
	server->notified.data = server;
	r = start_signals(server);
	if (r < 0)
		return r;
	return start_polls(server);
}

/* For the descriptors of fences that have not come yet. */
static uint64_t fence_descriptors(const struct server_setup *setup)
{
	return setup->descriptors / 16;
}

/* What clients may use without taking the last descriptors from the rest. */
static uint64_t store_descriptors(const struct server_setup *setup)
{
	uint64_t total = setup->descriptors - fence_descriptors(setup);
	/* A socket, a pidfd, a doorbell, a page of fences and, until it is
	 * sent, a ring. */
	uint64_t connections = 5 * setup->config->number[CONFIG_CLIENTS];
	uint64_t kept = min_u64(connections, total / 2) + 64;

	return total > kept ? total - kept : 1;
}

/* A large table on small pages is slow, and nobody would see why. */
static void announce_pages(const struct server *server, uint64_t page_bytes)
{
	if (page_bytes > PAGE_BYTES)
		return;
	log_write(server->setup.private_use ? LOG_LEVEL_INFO :
					      LOG_LEVEL_WARNING,
		  LOG_DAEMON,
		  "the kernel gives no huge pages: beyond a million "
		  "allocations a destroy takes about twice as long; to change "
		  "it: echo madvise > "
		  "/sys/kernel/mm/transparent_hugepage/enabled");
}

static unsigned int usable_processors(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) < 0 ?
		       1 :
		       (unsigned int)CPU_COUNT(&set);
}

/* A thread that waits for the gate sleeps at once where nobody else can run. */
static unsigned int gate_spins(void)
{
	return usable_processors() > 1 ? GATE_SPINS : 0;
}

static int start_engine(struct server *server)
{
	const struct backend_system_config system = {
		.descriptors_max = store_descriptors(&server->setup),
		.slice_bytes =
			server->setup.config->number[CONFIG_RELEASE_SLICE],
	};
	const struct entropy entropy = { .fill = fill_random };
	struct broker_config broker = {
		.test_events = server->setup.test_events,
		.first_generation = 1,
	};
	struct pages pages;
	const struct engine_config config = {
		.pages = &pages,
		.entropy = &entropy,
		.broker = &broker,
		.adapters = &server->adapter,
		.n_adapters = 1,
		.spins = gate_spins(),
		.notify = notify,
		.context = server,
	};
	int r;

	r = backend_system_new(&system, &server->system);
	if (r < 0)
		return r;
	server->adapter = (struct broker_adapter){
		.name = "system",
		.backend = { &backend_system_ops, server->system },
	};
	pages_mmap(&pages);
	announce_pages(server, pages.page_bytes);
	config_limits(server->setup.config, &broker.limits);
	r = engine_init(&server->engine, &config);
	if (r < 0)
		backend_system_free(server->system);
	return r;
}

static void stop_engine(struct server *server)
{
	engine_deinit(&server->engine);
	backend_system_free(server->system);
}

static void close_handle(uv_handle_t *handle, void *context)
{
	(void)context;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

/* Both phases of closing every handle. */
static void close_loop(struct server *server)
{
	int r;

	uv_walk(&server->loop, close_handle, NULL);
	uv_run(&server->loop, UV_RUN_DEFAULT);
	r = uv_loop_close(&server->loop);
	assert(r == 0);
}

static void stop_workers(struct server *server)
{
	while (server->n_workers)
		worker_free(server->workers[--server->n_workers]);
}

/* All or none of them. */
static int start_workers(struct server *server)
{
	const struct worker_config config = {
		.engine = &server->engine,
		.notify = notify,
		.context = server,
	};
	uint64_t wanted = server->setup.config->number[CONFIG_WORKERS];
	int r = 0;

	while (r == 0 && server->n_workers < wanted) {
		r = worker_new(&config, &server->workers[server->n_workers]);
		if (r == 0)
			server->n_workers++;
	}
	if (r < 0)
		stop_workers(server);
	return r;
}

static void init_clients(struct server *server)
{
	const struct config *config = server->setup.config;
	const struct clients_config clients = {
		.engine = &server->engine,
		.system = server->system,
		.poller = &server->poller,
		.workers = server->workers,
		.n_workers = server->n_workers,
		.poll_ns = usable_processors() > 1 ? POLL_NS : 0,
		.hello_timeout_ns =
			config->number[CONFIG_HELLO_TIMEOUT] * MS_NS,
		.fencefds_max = (uint32_t)fence_descriptors(&server->setup),
		.now_ns = now_ns,
	};

	clients_init(&server->clients, &clients);
}

/* The parts that need the engine; on failure none of them is left. */
static int start_service(struct server *server)
{
	int r = start_loop(server);

	if (r < 0)
		return r;
	r = start_workers(server);
	if (r < 0)
		return r;
	init_clients(server);
	if (server->setup.private_use)
		uv_timer_start(&server->alone, on_alone, ALONE_MS, 0);
	return 0;
}

/* Everything, from the loop outwards; undone in the opposite order. */
static int start(struct server *server)
{
	unsigned char probe;
	int r;

	if (getrandom(&probe, 1, 0) != 1)
		return -errno;
	r = poller_init(&server->poller);
	if (r < 0)
		return r;
	r = start_engine(server);
	if (r < 0)
		goto no_engine;
	r = uv_loop_init(&server->loop);
	if (r < 0)
		goto no_loop;
	r = start_service(server);
	if (r == 0)
		return 0;
	close_loop(server);
no_loop:
	stop_engine(server);
no_engine:
	poller_deinit(&server->poller);
	return r;
}

int server_new(const struct server_setup *setup, struct server **ret)
{
	struct server *server = calloc(1, sizeof(*server));
	int r;

	if (!server)
		return -ENOMEM;
	server->setup = *setup;
	r = start(server);
	if (r < 0) {
		free(server);
		return r;
	}
	*ret = server;
	return 0;
}

int server_run(struct server *server)
{
	uv_run(&server->loop, UV_RUN_DEFAULT);
	log_flush();
	return server->status;
}

void server_free(struct server *server)
{
	if (!server)
		return;
	/* Whoever notifies the loop ends before it does. */
	stop_workers(server);
	stop_engine(server);
	close_loop(server);
	clients_deinit(&server->clients);
	poller_deinit(&server->poller);
	free(server);
}
