/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fences that are signalled by a store, with a real daemon: whoever waits
 * wakes, in whatever way he waits, and what was stored before an end, of the
 * fence, its device or its maker, was signalled.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tenure/tenure.h"
#include "tests/integration/ring_world.h"

enum { ROUNDS = 2000 };

#define SOON_NS (UINT64_C(10) * 1000000000)

struct party {
	struct tenure *t;
	struct tenure_adapter adapter;
	struct tenure_device device;
};

static struct party party_new(void **state)
{
	const struct stage *stage = *state;
	struct party p;

	assert_int_equal(tenure_connect(stage->socket, 0, &p.t), 0);
	assert_int_equal(tenure_adapter_open(p.t, NULL, &p.adapter), 0);
	assert_int_equal(tenure_device_create(p.t, p.adapter, &p.device), 0);
	return p;
}

static struct tenure_fence make_fence(const struct party *p)
{
	struct tenure_fence fence;

	assert_int_equal(tenure_fence_create(p->t, p->device, 0, &fence), 0);
	return fence;
}

static struct tenure_fence lend(const struct party *p, struct tenure_fence f,
				const struct party *other)
{
	struct tenure_fence opened;
	struct tenure_token token;

	assert_int_equal(tenure_fence_share(p->t, p->device, f,
					    TENURE_RIGHT_READ, &token),
			 0);
	assert_int_equal(tenure_fence_open(other->t, other->device, &token, 0,
					   &opened),
			 0);
	return opened;
}

static int wait_for(const struct party *p, struct tenure_fence fence,
		    uint64_t value)
{
	const struct tenure_fence_value one = { fence, value };

	return tenure_fence_wait(p->t, p->device, &one, 1, 0, SOON_NS, NULL);
}

static int watch(const struct party *p, struct tenure_fence fence,
		 uint64_t value)
{
	const struct tenure_fence_value one = { fence, value };
	int fd = tenure_fence_fd(p->t, p->device, &one, 1, 0);

	assert_true(fd >= 0);
	return fd;
}

static void expect_over(int fd, int status)
{
	int found = -EAGAIN;

	for (int i = 0; i < 10000 && found == -EAGAIN; i++) {
		found = tenure_fence_fd_result(fd, NULL);
		if (found == -EAGAIN)
			usleep(1000);
	}
	assert_int_equal(found, status);
	close(fd);
}

/* ---- Two processes' worth of threads, each answers the other ---- */

struct player {
	const struct party *p;
	struct tenure_fence mine, theirs;
	uint64_t first; /* whether it begins */
	unsigned int pause_ns;
	int status;
	pthread_t thread;
};

static void *play(void *context)
{
	struct player *player = context;
	const struct party *p = player->p;

	for (uint64_t i = 1; i <= ROUNDS && player->status == 0; i++) {
		if (!player->first)
			player->status = wait_for(p, player->theirs, i);
		if (i % 64 == 0 && player->pause_ns)
			nanosleep(&(struct timespec){ 0, player->pause_ns },
				  NULL);
		if (player->status == 0)
			player->status = tenure_fence_signal(p->t, p->device,
							     player->mine, i);
		if (player->first && player->status == 0)
			player->status = wait_for(p, player->theirs, i);
	}
	return NULL;
}

/* The daemon is awake, goes to sleep, and is asleep when the store comes. */
static void ping_pong(void **state)
{
	static const unsigned int pauses_ns[] = { 0, 100000, 5000000 };
	struct party a = party_new(state), b = party_new(state);

	for (size_t i = 0; i < ARRAY_SIZE(pauses_ns); i++) {
		struct tenure_fence of_a = make_fence(&a),
				    of_b = make_fence(&b);
		struct player players[2] = {
			{ &a, of_a, lend(&b, of_b, &a), 1, pauses_ns[i], 0, 0 },
			{ &b, of_b, lend(&a, of_a, &b), 0, pauses_ns[i], 0, 0 },
		};

		for (int k = 0; k < 2; k++)
			assert_int_equal(pthread_create(&players[k].thread,
							NULL, play,
							&players[k]),
					 0);
		for (int k = 0; k < 2; k++) {
			pthread_join(players[k].thread, NULL);
			assert_int_equal(players[k].status, 0);
		}
	}
	tenure_disconnect(a.t);
	tenure_disconnect(b.t);
}

/* Its own thread waits while another one of it stores. */
static void *store_soon(void *context)
{
	const struct player *player = context;

	nanosleep(&(struct timespec){ .tv_nsec = 30000000 }, NULL);
	tenure_fence_signal(player->p->t, player->p->device, player->mine, 9);
	return NULL;
}

static void one_process_waits_for_itself(void **state)
{
	struct party p = party_new(state);
	struct player player = { .p = &p, .mine = make_fence(&p) };

	pthread_create(&player.thread, NULL, store_soon, &player);
	assert_int_equal(wait_for(&p, player.mine, 9), 0);
	pthread_join(player.thread, NULL);
	tenure_disconnect(p.t);
}

static void values_are_read(void **state)
{
	struct party p = party_new(state), other = party_new(state);
	struct tenure_fence fence = make_fence(&p);
	struct tenure_fence opened = lend(&p, fence, &other);
	uint64_t value;

	for (uint64_t i = 1; i < 100; i++) {
		assert_int_equal(
			tenure_fence_signal(p.t, p.device, fence, i * 10), 0);
		assert_int_equal(tenure_fence_signal(p.t, p.device, fence, i),
				 0);
		assert_int_equal(tenure_fence_value(other.t, other.device,
						    opened, &value),
				 0);
		assert_int_equal(value, i * 10);
		assert_int_equal(
			tenure_fence_value(p.t, p.device, fence, &value), 0);
		assert_int_equal(value, i * 10);
	}
	tenure_disconnect(p.t);
	tenure_disconnect(other.t);
}

/* ---- Stored, and then the end ---- */

enum ending { FENCE, DEVICE, ADAPTER, CONNECTION, ENDINGS };

static void end_by(struct party *p, struct tenure_fence fence, int ending)
{
	switch (ending) {
	case FENCE:
		assert_int_equal(tenure_fence_destroy(p->t, p->device, fence),
				 0);
		break;
	case DEVICE:
		assert_int_equal(tenure_device_destroy(p->t, p->device), 0);
		break;
	case ADAPTER:
		assert_int_equal(tenure_adapter_close(p->t, p->adapter), 0);
		break;
	case CONNECTION:
		tenure_disconnect(p->t);
		p->t = NULL;
		break;
	}
}

/* Whoever waited for what was stored has success, the others ENODEV. */
static void stored_before_the_end(void **state)
{
	struct party other = party_new(state);

	for (int ending = 0; ending < ENDINGS; ending++) {
		for (int i = 0; i < 50; i++) {
			struct party p = party_new(state);
			struct tenure_fence fence = make_fence(&p);
			struct tenure_fence opened = lend(&p, fence, &other);
			int came = watch(&other, opened, 5);
			int beyond = watch(&other, opened, 6);

			/* At different moments of the daemon's. */
			usleep((useconds_t)(rand() % 300));
			assert_int_equal(tenure_fence_signal(p.t, p.device,
							     fence, 5),
					 0);
			end_by(&p, fence, ending);
			expect_over(came, 0);
			expect_over(beyond, -ENODEV);
			assert_int_equal(tenure_fence_destroy(
						 other.t, other.device, opened),
					 0);
			tenure_disconnect(p.t);
		}
	}
	tenure_disconnect(other.t);
}

/* A process that stores and is killed before anybody has looked. */
static void maker_is_killed(void **state)
{
	const struct stage *stage = *state;
	struct party other = party_new(state);

	for (int i = 0; i < 30; i++) {
		struct tenure_token token;
		struct tenure_fence opened;
		int pipes[2], came, beyond, go[2];
		char byte = 0;
		pid_t child;

		assert_int_equal(pipe(pipes), 0);
		assert_int_equal(pipe(go), 0);
		child = ring_fork();
		assert_true(child >= 0);
		if (child == 0) {
			struct tenure_fence fence;
			struct party p;

			if (tenure_connect(stage->socket, 0, &p.t) ||
			    tenure_adapter_open(p.t, NULL, &p.adapter) ||
			    tenure_device_create(p.t, p.adapter, &p.device) ||
			    tenure_fence_create(p.t, p.device, 0, &fence) ||
			    tenure_fence_share(p.t, p.device, fence,
					       TENURE_RIGHT_READ, &token) ||
			    write(pipes[1], &token, sizeof(token)) < 0 ||
			    read(go[0], &byte, 1) < 0)
				_exit(1);
			tenure_fence_signal(p.t, p.device, fence, 5);
			kill(getpid(), SIGKILL);
		}
		assert_int_equal(read(pipes[0], &token, sizeof(token)),
				 sizeof(token));
		assert_int_equal(tenure_fence_open(other.t, other.device,
						   &token, 0, &opened),
				 0);
		came = watch(&other, opened, 5);
		beyond = watch(&other, opened, 6);
		assert_int_equal(write(go[1], &byte, 1), 1);
		assert_int_equal(waitpid(child, NULL, 0), child);
		expect_over(came, 0);
		expect_over(beyond, -ENODEV);
		assert_int_equal(
			tenure_fence_destroy(other.t, other.device, opened), 0);
		close(pipes[0]);
		close(pipes[1]);
		close(go[0]);
		close(go[1]);
	}
	tenure_disconnect(other.t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ring_test(ping_pong),
		ring_test(one_process_waits_for_itself),
		ring_test(values_are_read),
		ring_test(stored_before_the_end),
		ring_test(maker_is_killed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
