/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Worker
 *
 * A worker has many ports and looks only at those that are worth it:
 *
 *	          rang, or the timer found frees
 *	 parked ---------------------------------> active
 *	   ^                                         |
 *	   +-----------------------------------------+
 *	     nothing from anybody for as long as patience says; the client has
 *	     been asked to ring, and a last look has found nothing
 *
 * As long as one port keeps the worker awake the others cost a look each round,
 * and being parked would cost their clients a doorbell and a wake-up at each
 * return. So they stay, unless they are many: then each goes by its own time.
 * So does one with many progress words that somebody waits for, which would
 * cost a look each.
 *
 * Awake it goes round its active ports, one bounded turn each, in a circle.
 * Every now and then it asks the kernel, without waiting, whether one of the
 * parked ones has rung. When one has, and there is nothing else to do, it asks
 * again soon, and then ever less often: clients that do the same one after the
 * other would each wait for the next question. When no port is active it sleeps
 * in epoll_wait: until a doorbell, a message of the loop thread, the free
 * queue's timer of a parked port, or the time at which offers of a client are to
 * be looked at (daemon/agenda.c). Without one of those it sleeps for ever and
 * costs nothing.
 *
 * A doorbell is watched edge-triggered and never read. Each write of a client
 * is one event, many writes before we look are one event too, and one that
 * writes for fun is parked again as often: it takes its turn like the others.
 *
 * A client that stores progress rings only if it has been asked to: when its
 * port is parked and somebody waits for it. While the port is active the worker
 * looks at the words itself, every LISTEN_NS. When somebody comes to wait for a
 * parked client that has not been asked, the engine has the worker take up the
 * port, and park it again.
 *
 * What it does leads to other work (reclaim, releases, late replies). It does
 * that itself, so that a busy client needs no second thread to be woken: when
 * enough has been done to be worth it, when some microseconds have passed, and
 * in any case before it sleeps. While it is awake it watches the releaser.
 *
 * Closing has two phases. The loop ends the client in the engine, which from
 * then on executes nothing for it, and sends the port here; the worker forgets
 * it and sends it back; only then is it freed. A fault is reported and the port
 * left alone until it is closed. So a port may be in two boxes at a time, and
 * is never freed while it is in one.
 *
 *	loop  --- add (epoll) -------> worker        owns the port
 *	loop  <-- faulty ------------- worker        stops serving it
 *	loop  --- closing -----------> worker        forgets it
 *	loop  <-- closed ------------- worker        loop owns it
 *
 * The lock guards the boxes. It may be taken inside the gate, and the gate is
 * never entered inside of it.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  What a client publishes is served, if it rings when it is asked to.
 *  G2  A port's turns are bounded, and every active port has one per round.
 *  G3  A port that was closed is not touched after WORKER_CLOSED.
 *  G4  Without traffic no system call is made.
 *  G5  A free is taken within two periods of the timer, plus the time that
 *      the system takes to run the worker.
 *  G6  Progress that somebody waits for is seen, parked or not.
 *  G7  An offer that stays is taken when its time has come; however many
 *      clients' are due, or children they have, or timers have expired, the
 *      active ports have their turns in between.
 *  G8  Between two looks of a port's timer lies a whole period, which begins
 *      when the first look has ended.
 *  G9  A port is not parked while the worker is awake for another one, unless
 *      more than WORKER_COMPANY are active, or it has more than
 *      WORKER_COMPANY_WORDS words that somebody waits for.
 *  G10 However many words the clients of active ports have, the gate is held
 *      for some of them at a time; each gets its look.
 */
#include "daemon/worker.h"

#include "daemon/agenda.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum {
	/* Frees and requests after which the engine is pumped at once. */
	PUMP_DONE = 1024,
	/* Turns for what a timer has found, before the port becomes active. */
	TIMER_TURNS = 4,
	/* Looks at offers, of about 10 us each, and timers that have expired,
	 * before others have a turn. */
	OFFER_LOOKS = 4,
	TIMER_LOOKS = 4,
};

/* Between two turns of the pump, if there is little to do for it. */
#define PUMP_NS UINT64_C(50000)
/* Between two questions for doorbells while there are active ports, and between
 * two looks at their progress. If they have nothing to do, the next question
 * comes soon after somebody has rung, and each later one after twice the time. */
#define LISTEN_NS UINT64_C(20000)
#define LISTEN_SOON_NS UINT64_C(1000)

struct worker {
	struct worker_config config;
	pthread_t thread;
	int epoll_fd, wake_fd;
	uint32_t ports; /* the loop thread's */

	pthread_mutex_t lock;
	bool stop;
	struct chain closing, late; /* to the worker */
	struct chain faulty, telling, closed; /* to the loop */

	/* The worker's. */
	bool stopping;
	struct chain active, timers; /* timers: the next one first */
	uint64_t awake_until_ns; /* for the most patient of those with work */
	struct agenda agenda; /* of looks at offers */
	uint64_t now_ns;
	uint64_t listened_ns, looked_ns; /* for doorbells, for progress */
	uint64_t listen_ns; /* when there is nothing else to do */
	bool is_watching;
	/* Work since the last turn of the pump, and what that turn has left. */
	uint32_t done;
	uint64_t pumped_ns;
	bool pump_soon, pump_later;
	uint64_t due_told_ns; /* when the loop has been told to pump */
	/* Late replies came while this very thread was inside the gate. */
	bool late_here;
	struct epoll_event events[WORKER_EVENTS];
	struct port_bench bench;
};

static uint64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#endif
}

/* ---- Who is looked at, and when ---- */

static void active_put(struct worker *worker, struct port *port)
{
	chain_put(&worker->active, port);
	port->is_active = true;
}

static void active_remove(struct worker *worker, struct port *port)
{
	chain_remove(&worker->active, port);
	port->is_active = false;
}

/* All timers have the same period, so the one that starts last expires last.
 * The clock is read now: the period begins after what it is to be waited for was
 * said to the client, however long ago the worker has heard of anything. */
static void timer_start(struct worker *worker, struct port *port)
{
	assert(!port->has_timer);
	port->timer_ns = monotonic_ns() + RING_FREES_PERIOD_NS;
	chain_put(&worker->timers, port);
	port->has_timer = true;
}

static void timer_stop(struct worker *worker, struct port *port)
{
	if (!port->has_timer)
		return;
	chain_remove(&worker->timers, port);
	port->has_timer = false;
}

/* ---- Between the threads ---- */

static void wake(struct worker *worker)
{
	const uint64_t one = 1;
	ssize_t n;

	/* It is ours alone and never full. */
	n = write(worker->wake_fd, &one, sizeof(one));
	assert(n == sizeof(one));
}

/* Inside the gate, any thread. */
static void late_came(struct port *port)
{
	struct worker *worker = port->worker;
	bool here = pthread_equal(pthread_self(), worker->thread);
	bool first;

	pthread_mutex_lock(&worker->lock);
	first = !worker->late.first;
	chain_put(&worker->late, port);
	pthread_mutex_unlock(&worker->lock);
	if (here)
		worker->late_here = true;
	else if (first)
		wake(worker);
}

static void tell(struct port *port)
{
	struct worker *worker = port->worker;
	bool first;

	pthread_mutex_lock(&worker->lock);
	first = !port->is_telling;
	if (first)
		chain_put(&worker->telling, port);
	port->is_telling = true;
	pthread_mutex_unlock(&worker->lock);
	if (first)
		worker->config.notify(worker->config.context);
}

static void report_faulty(struct worker *worker, struct port *port)
{
	pthread_mutex_lock(&worker->lock);
	chain_put(&worker->faulty, port);
	pthread_mutex_unlock(&worker->lock);
	worker->config.notify(worker->config.context);
}

/* ---- Ports ---- */

static void start_watching(struct worker *worker)
{
	if (worker->is_watching)
		return;
	engine_lock(worker->config.engine);
	engine_watch_locked(worker->config.engine);
	engine_unlock(worker->config.engine);
	worker->is_watching = true;
}

/* Whether there is nothing left to take. */
static bool stop_watching(struct worker *worker)
{
	bool left;

	if (!worker->is_watching)
		return true;
	engine_lock(worker->config.engine);
	left = engine_unwatch_locked(worker->config.engine);
	engine_unlock(worker->config.engine);
	worker->is_watching = false;
	return !left;
}

static void activate(struct worker *worker, struct port *port)
{
	if (offers_called(&port->server.ring->offers))
		port->has_called = true;
	if (port->is_active || port->is_faulty)
		return;
	timer_stop(worker, port);
	ring_server_unpark(&port->server);
	port->worked_ns = worker->now_ns;
	port->has_rung = true;
	active_put(worker, port);
}

/* Its client has done what none may do. */
static void give_up(struct worker *worker, struct port *port)
{
	timer_stop(worker, port);
	agenda_remove(&worker->agenda, port);
	if (port->is_active)
		active_remove(worker, port);
	report_faulty(worker, port);
}

static bool waits_for_progress(struct worker *worker, struct port *port)
{
	bool waits;

	engine_lock(worker->config.engine);
	waits = port_asks_locked(port);
	engine_unlock(worker->config.engine);
	return waits;
}

/* Looks at some words of one port, and at what follows from them: the cost. */
static uint32_t look_locked(struct worker *worker, struct port *port)
{
	uint32_t cost = port_progressed_locked(port);

	if (cost)
		worker->pump_soon = true;
	return cost;
}

static void look_at_progress(struct worker *worker, struct port *port)
{
	engine_lock(worker->config.engine);
	look_locked(worker, port);
	engine_unlock(worker->config.engine);
}

/* At all words of a port that is about to be parked. */
static void look_at_all_words(struct worker *worker, struct port *port)
{
	port->next_word = 0;
	do
		look_at_progress(worker, port);
	while (port->next_word);
}

/* Those of the active ports: their clients have not been asked to ring. Some of
 * them at a time, in a circle, since a client may have thousands of words. */
static void look_at_all_progress(struct worker *worker)
{
	struct port *port = worker->active.first;
	uint32_t looks = 0;

	engine_lock(worker->config.engine);
	for (; port && looks < PORT_LOOKS; port = port->active_node.next) {
		looks += 1 + look_locked(worker, port);
		if (port->next_word)
			break;
	}
	engine_unlock(worker->config.engine);
	if (port)
		chain_begin_with(&worker->active, port);
	worker->now_ns = monotonic_ns();
	worker->looked_ns = worker->now_ns;
}

/* Whether it has had nothing to do for so long that the worker would rather
 * sleep; but not while it is awake for others anyway, and they are few. */
static bool has_idled(const struct worker *worker, const struct port *port)
{
	if (worker->active.count <= WORKER_COMPANY &&
	    port->words <= WORKER_COMPANY_WORDS &&
	    worker->now_ns < worker->awake_until_ns)
		return false;
	return worker->now_ns - port->worked_ns >=
	       patience_window_ns(&port->patience);
}

/* Nothing was found; stops looking if that has lasted long enough. */
static void park_if_idle(struct worker *worker, struct port *port)
{
	bool waits;

	if (!has_idled(worker, port))
		return;
	waits = waits_for_progress(worker, port);
	if (!ring_server_park(&port->server, waits))
		return;
	/* What was stored before it was asked to ring. */
	if (waits)
		look_at_all_words(worker, port);
	patience_lost(&port->patience);
	active_remove(worker, port);
	if (ring_server_wants_timer(&port->server))
		timer_start(worker, port);
}

/* A turn of the engine has been made, with the work of all before it. */
static void pumped(struct worker *worker, const struct engine_rest *rest)
{
	worker->done = 0;
	worker->pump_soon = rest->more;
	worker->pump_later = rest->jobs;
	worker->pumped_ns = worker->now_ns;
	if (rest->mail || rest->due_ns != worker->due_told_ns)
		worker->config.notify(worker->config.context);
	worker->due_told_ns = rest->due_ns;
}

static void look_at_offers(struct worker *worker, struct port *port)
{
	agenda_remove(&worker->agenda, port);
	port_take_offers(port, &worker->bench, worker->now_ns, &worker->done);
	agenda_add(&worker->agenda, port);
	if (!worker->bench.has_settled)
		return;
	pumped(worker, &worker->bench.rest);
	worker->pump_soon = true; /* for the last of them */
}

static enum port_served serve(struct worker *worker, struct port *port)
{
	enum port_served served;

	if (port->has_rung) {
		look_at_progress(worker, port);
		port->has_rung = port->next_word != 0;
	}
	if (port->has_called)
		look_at_offers(worker, port);
	served =
		port_serve(port, &worker->bench, worker->now_ns, &worker->done);
	if (worker->bench.has_settled)
		pumped(worker, &worker->bench.rest);
	else if (worker->bench.any_later)
		worker->pump_soon = true;
	if (served == PORT_FAULT)
		give_up(worker, port);
	return served;
}

/* There was work. If it was waited for only because of others, that says nothing
 * of how long to wait for it. */
static void learn(struct worker *worker, struct port *port)
{
	uint64_t gap_ns = worker->now_ns - port->worked_ns;
	uint64_t window_ns = patience_window_ns(&port->patience);

	if (gap_ns <= window_ns)
		patience_found(&port->patience, gap_ns);
	worker->now_ns = monotonic_ns();
	port->worked_ns = worker->now_ns;
	worker->awake_until_ns =
		max_u64(worker->awake_until_ns, worker->now_ns + window_ns);
}

/* Serves every active port once. Whether anything was done. */
static bool go_round(struct worker *worker)
{
	struct port *port, *next;
	bool any = false;

	for (port = worker->active.first; port; port = next) {
		next = port->active_node.next;
		switch (serve(worker, port)) {
		case PORT_BUSY:
			learn(worker, port);
			any = true;
			break;
		case PORT_IDLE:
			park_if_idle(worker, port);
			break;
		case PORT_FAULT:
			break;
		}
	}
	return any;
}

/* A parked port was served and stays parked. If there was no room for its
 * replies, it has not been parked for that; if there is now, its timer may not
 * have been started again. */
static void settle(struct worker *worker, struct port *port)
{
	if (port->server.no_room)
		activate(worker, port);
	else if (!port->has_timer && ring_server_wants_timer(&port->server))
		timer_start(worker, port);
}

/* A whole period has passed for a parked port. */
static void expire(struct worker *worker, struct port *port)
{
	timer_stop(worker, port);
	if (ring_server_fq_expired(&port->server))
		timer_start(worker, port);
	for (int i = 0; i < TIMER_TURNS; i++) {
		enum port_served served = serve(worker, port);

		if (served == PORT_BUSY)
			continue;
		if (served == PORT_IDLE)
			settle(worker, port);
		return;
	}
	activate(worker, port);
}

/* A few of those that are due, the longest overdue first; the others follow
 * when the active ports have had their turns. */
static void expire_timers(struct worker *worker)
{
	for (int i = 0; i < TIMER_LOOKS; i++) {
		struct port *port = worker->timers.first;

		if (!port || port->timer_ns > worker->now_ns)
			return;
		expire(worker, port);
	}
}

/* The same for offers. */
static void expire_offers(struct worker *worker)
{
	struct port *port;

	for (int i = 0; i < OFFER_LOOKS; i++) {
		port = agenda_due(&worker->agenda, worker->now_ns);
		if (!port)
			return;
		look_at_offers(worker, port);
		/* That was more than a look. */
		if (worker->bench.has_settled)
			return;
	}
}

static void serve_late(struct worker *worker, struct chain late)
{
	struct port *port;

	/* It may come again at once. */
	while ((port = chain_take(&late))) {
		port_serve_late(port, &worker->bench);
		/* There may be room now for what had none, and who has waited
		 * for this goes on. */
		activate(worker, port);
		/* The engine may have held some back for want of room. */
		worker->pump_soon = true;
	}
}

static void forget(struct worker *worker, struct chain closing)
{
	struct port *port;

	/* It may have been awake for one of them. */
	worker->awake_until_ns = 0;
	for (port = closing.first; port; port = port->closing_node.next) {
		timer_stop(worker, port);
		agenda_remove(&worker->agenda, port);
		if (port->is_active)
			active_remove(worker, port);
		/* The client has the description too, so to close ours would
		 * not end the watch. */
		epoll_ctl(worker->epoll_fd, EPOLL_CTL_DEL, port->doorbell_fd,
			  NULL);
	}
	pthread_mutex_lock(&worker->lock);
	while ((port = chain_take(&closing)))
		chain_put(&worker->closed, port);
	pthread_mutex_unlock(&worker->lock);
	worker->config.notify(worker->config.context);
}

/* A port that is closing has had its last late reply before. */
static void read_boxes(struct worker *worker)
{
	struct chain late, closing;

	worker->late_here = false;
	pthread_mutex_lock(&worker->lock);
	late = chain_take_all(&worker->late);
	closing = chain_take_all(&worker->closing);
	worker->stopping = worker->stop;
	pthread_mutex_unlock(&worker->lock);
	serve_late(worker, late);
	if (closing.first)
		forget(worker, closing);
}

/* ---- The thread ---- */

/* Whether the engine wants a turn now. */
static bool wants_pump(const struct worker *worker)
{
	if (worker->pump_soon || worker->done >= PUMP_DONE)
		return true;
	return (worker->done || worker->pump_later) &&
	       worker->now_ns - worker->pumped_ns >= PUMP_NS;
}

static void pump(struct worker *worker)
{
	struct engine_rest rest =
		engine_pump(worker->config.engine, worker->now_ns);

	worker->now_ns = monotonic_ns();
	pumped(worker, &rest);
}

static int wait_events(struct worker *worker, const struct timespec *timeout)
{
	return epoll_pwait2(worker->epoll_fd, worker->events, WORKER_EVENTS,
			    timeout, NULL);
}

/* The same where the kernel counts in milliseconds; late rather than early,
 * since a whole period has to pass. */
static int wait_events_coarse(struct worker *worker,
			      const struct timespec *timeout)
{
	int ms = -1;

	if (timeout)
		ms = (int)min_u64(((uint64_t)timeout->tv_sec * NS_PER_S +
				   (uint64_t)timeout->tv_nsec + 999999) /
					  1000000,
				  INT_MAX);
	return epoll_wait(worker->epoll_fd, worker->events, WORKER_EVENTS, ms);
}

/* Hears who has rung; timeout NULL: waits for somebody. */
static void listen_for(struct worker *worker, const struct timespec *timeout)
{
	int n = wait_events(worker, timeout);
	bool message = false;
	uint64_t count;

	if (n < 0 && errno == ENOSYS)
		n = wait_events_coarse(worker, timeout);
	worker->now_ns = monotonic_ns();
	worker->listened_ns = worker->now_ns;
	worker->listen_ns = n > 0 ? LISTEN_SOON_NS :
				    min_u64(2 * worker->listen_ns, LISTEN_NS);
	for (int i = 0; i < n; i++) {
		if (worker->events[i].data.ptr == worker)
			message = read(worker->wake_fd, &count, sizeof(count)) >
				  0;
		else
			activate(worker, worker->events[i].data.ptr);
	}
	if (message)
		read_boxes(worker);
}

/* When the first timer or look at offers is due, or 0. */
static uint64_t next_due_ns(const struct worker *worker)
{
	uint64_t due_ns = worker->agenda.due_ns;

	if (!worker->timers.first)
		return due_ns;
	return due_ns == 0 ? worker->timers.first->timer_ns :
			     min_u64(due_ns, worker->timers.first->timer_ns);
}

/* No port is active: finishes what there is for the engine, then sleeps. */
static void rest_a_while(struct worker *worker)
{
	static const struct timespec at_once;
	struct timespec until = { 0 };
	uint64_t due_ns;

	worker->now_ns = monotonic_ns();
	if (worker->pump_soon || worker->done) {
		pump(worker);
		listen_for(worker, &at_once);
		return;
	}
	if (!stop_watching(worker)) {
		worker->pump_soon = true;
		return;
	}
	due_ns = next_due_ns(worker);
	if (due_ns == 0) {
		listen_for(worker, NULL);
		return;
	}
	if (due_ns > worker->now_ns) {
		until.tv_sec = (time_t)((due_ns - worker->now_ns) / NS_PER_S);
		until.tv_nsec = (long)((due_ns - worker->now_ns) % NS_PER_S);
	}
	listen_for(worker, &until);
}

static void work(struct worker *worker)
{
	static const struct timespec at_once;
	bool any;

	start_watching(worker);
	worker->now_ns = monotonic_ns();
	any = go_round(worker);
	if (wants_pump(worker))
		pump(worker);
	else if (!any)
		relax();
	if (worker->now_ns - worker->looked_ns >= LISTEN_NS)
		look_at_all_progress(worker);
	if (worker->now_ns - worker->listened_ns >=
	    (any ? LISTEN_NS : worker->listen_ns))
		listen_for(worker, &at_once);
}

static void *run(void *argument)
{
	struct worker *worker = argument;

	while (!worker->stopping) {
		/* Nobody wakes this thread for what it has put there itself. */
		if (worker->late_here)
			read_boxes(worker);
		if (worker->active.first)
			work(worker);
		else
			rest_a_while(worker);
		expire_timers(worker);
		expire_offers(worker);
	}
	stop_watching(worker);
	return NULL;
}

/* ---- The loop's side ---- */

static int add_watch(struct worker *worker, int fd, uint32_t events, void *what)
{
	struct epoll_event event = { .events = events, .data.ptr = what };

	return epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ?
		       -errno :
		       0;
}

static int open_descriptors(struct worker *worker)
{
	worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (worker->epoll_fd < 0)
		return -errno;
	worker->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (worker->wake_fd < 0)
		return -errno;
	return add_watch(worker, worker->wake_fd, EPOLLIN, worker);
}

static void close_descriptors(struct worker *worker)
{
	if (worker->epoll_fd >= 0)
		close(worker->epoll_fd);
	if (worker->wake_fd >= 0)
		close(worker->wake_fd);
}

/* Signals are the loop's. */
static int start_without_signals(struct worker *worker)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&worker->thread, NULL, run, worker);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -r;
}

int worker_new(const struct worker_config *config, struct worker **ret)
{
	struct worker *worker = calloc(1, sizeof(*worker));
	int r;

	if (!worker)
		return -ENOMEM;
	worker->config = *config;
	worker->closing = worker->closed = CHAIN_OF(closing_node);
	worker->late = CHAIN_OF(late_node);
	worker->faulty = CHAIN_OF(faulty_node);
	worker->telling = CHAIN_OF(telling_node);
	worker->active = CHAIN_OF(active_node);
	worker->timers = CHAIN_OF(timer_node);
	worker->epoll_fd = -1;
	worker->wake_fd = -1;
	r = open_descriptors(worker);
	if (r == 0) {
		pthread_mutex_init(&worker->lock, NULL);
		r = start_without_signals(worker);
	}
	if (r < 0) {
		close_descriptors(worker);
		free(worker);
		return r;
	}
	*ret = worker;
	return 0;
}

void worker_free(struct worker *worker)
{
	if (!worker)
		return;
	assert(worker->ports == 0);
	pthread_mutex_lock(&worker->lock);
	worker->stop = true;
	pthread_mutex_unlock(&worker->lock);
	wake(worker);
	pthread_join(worker->thread, NULL);
	pthread_mutex_destroy(&worker->lock);
	close_descriptors(worker);
	free(worker);
}

int worker_add(struct worker *worker, struct port *port)
{
	int r;

	port->worker = worker;
	port->late_came = late_came;
	port->tell = tell;
	/* From here on the worker may have it. */
	r = add_watch(worker, port->doorbell_fd, EPOLLIN | EPOLLET, port);
	if (r < 0)
		return r;
	worker->ports++;
	/* It comes parked. */
	engine_lock(worker->config.engine);
	if (port_asks_locked(port))
		port_poke_locked(port);
	engine_unlock(worker->config.engine);
	return 0;
}

void worker_close(struct worker *worker, struct port *port)
{
	bool first;

	pthread_mutex_lock(&worker->lock);
	first = !worker->closing.first;
	chain_put(&worker->closing, port);
	pthread_mutex_unlock(&worker->lock);
	if (first)
		wake(worker);
}

bool worker_next_event(struct worker *worker, enum worker_event *ret_event,
		       struct port **ret_port)
{
	struct port *port;

	pthread_mutex_lock(&worker->lock);
	if ((port = chain_take(&worker->faulty))) {
		*ret_event = WORKER_FAULTY;
	} else if ((port = chain_take(&worker->telling))) {
		port->is_telling = false;
		*ret_event = WORKER_TELL;
	} else if ((port = chain_take(&worker->closed))) {
		*ret_event = WORKER_CLOSED;
		worker->ports--;
	}
	pthread_mutex_unlock(&worker->lock);
	if (port)
		*ret_port = port;
	return port;
}

uint32_t worker_ports(const struct worker *worker)
{
	return worker->ports;
}
