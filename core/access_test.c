/* SPDX-License-Identifier: Apache-2.0 */
#include "core/access.h"

#include <fcntl.h>
#include <unistd.h>

#include "tests/support/seat.h"

enum {
	RESOURCE = TENURE_CREATE_RESOURCE,
	SHARED = TENURE_CREATE_RESOURCE | TENURE_CREATE_SHARED,
	R = TENURE_RIGHT_READ,
	W = TENURE_RIGHT_WRITE
};

/* A maker of a shared resource, and a reader with a read-only opening. */
struct stage {
	struct seat maker, reader;
	uint64_t shared, child[2], token[2];
	uint64_t opened, opened_child[2];
	uint64_t private, private_child;
};

static int set_up(void **state)
{
	static struct stage s;

	seat_take(&s.maker, inproc_new(NULL));
	seat_take_as(&s.reader, s.maker.world, 9);
	assert_int_equal(
		seat_create(&s.maker, 0, SHARED, 2, &s.shared, s.child), 0);
	assert_int_equal(seat_create(&s.maker, 0, RESOURCE, 1, &s.private,
				     &s.private_child),
			 0);
	assert_int_equal(seat_share(&s.maker, s.shared, R, s.token), 0);
	assert_int_equal(
		seat_open(&s.reader, s.token, 2, &s.opened, s.opened_child), 0);
	*state = &s;
	return 0;
}

static int tear_down(void **state)
{
	struct stage *s = *state;

	inproc_free(s->maker.world);
	return 0;
}

static void g1_sharing_what_cannot_be_shared(void **state)
{
	struct stage *s = *state;
	struct seat *m = &s->maker;
	uint64_t t[2];

	for (uint32_t rights = 0; rights < 64; rights++)
		if (rights != R && rights != (R | W))
			assert_unchanged(m, seat_share(m, s->shared, rights, t),
					 -EINVAL, TENURE_REASON_RIGHTS_INVALID);
	assert_unchanged(m, seat_share(m, s->shared, R | 1u << 31, t), -EINVAL,
			 TENURE_REASON_RIGHTS_INVALID);
	assert_unchanged(m, seat_share(m, s->private, R, t), -EINVAL,
			 TENURE_REASON_NOT_SHAREABLE);
	assert_unchanged(m, seat_share(m, s->child[0], R, t), -EINVAL,
			 TENURE_REASON_WRONG_TYPE);
	assert_unchanged(m, seat_share(m, s->opened, R, t), -EINVAL,
			 TENURE_REASON_RESOURCE_INVALID);
	assert_unchanged(m, seat_share(m, 0, R, t), -EINVAL,
			 TENURE_REASON_RESOURCE_INVALID);
	/* An opening can give what it has. */
	assert_unchanged(&s->reader,
			 seat_share(&s->reader, s->opened, R | W, t), -EACCES,
			 TENURE_REASON_RIGHTS_EXCEEDED);
	assert_int_equal(seat_share(&s->reader, s->opened, R, t), 0);
}

static void g1_revoking_what_is_not_yours(void **state)
{
	struct stage *s = *state;
	uint64_t never[2] = { s->token[0], s->token[1] + 1 };
	uint64_t zero[2] = { 0, 0 };

	assert_unchanged(&s->reader, seat_revoke(&s->reader, s->token), -EINVAL,
			 TENURE_REASON_TOKEN_UNKNOWN);
	assert_unchanged(&s->maker, seat_revoke(&s->maker, never), -EINVAL,
			 TENURE_REASON_TOKEN_UNKNOWN);
	assert_unchanged(&s->maker, seat_revoke(&s->maker, zero), -EINVAL,
			 TENURE_REASON_TOKEN_UNKNOWN);
	assert_int_equal(seat_revoke(&s->maker, s->token), 0);
	assert_unchanged(&s->maker, seat_revoke(&s->maker, s->token), -EINVAL,
			 TENURE_REASON_TOKEN_UNKNOWN);
	/* What was opened with it stays open. */
	assert_int_equal(seat_map(&s->reader, s->opened_child[0], 0), 0);
}

static void a_token_outlives_the_handle(void **state)
{
	struct stage *s = *state;

	assert_int_equal(seat_destroy(&s->maker, s->shared, NULL, 0, 0), 0);
	assert_int_equal(seat_destroy(&s->reader, s->opened, NULL, 0, 0), 0);
	assert_int_equal(world_state(s->maker.world)->n_objects, 1);
	assert_int_equal(seat_open(&s->reader, s->token, 2, &s->opened, NULL),
			 0);
	assert_int_equal(seat_destroy(&s->reader, s->opened, NULL, 0, 0), 0);
	/* The last to let go is the token. */
	inproc_releases(s->maker.world, INPROC_RELEASES_HELD);
	assert_int_equal(seat_revoke(&s->maker, s->token), 0);
	inproc_check(s->maker.world);
	assert_int_equal(world_state(s->maker.world)->n_objects, 1);
	inproc_releases(s->maker.world, INPROC_RELEASES_PROMPT);
	inproc_pump_all(s->maker.world);
	assert_int_equal(world_state(s->maker.world)->n_objects, 0);
}

static void g1_a_revoke_without_memory(void **state)
{
	struct stage *s = *state;
	static uint64_t list[LIST_ENTRIES_MAX];
	int r;

	/* Fill the stream until it stands before a new chunk; what is
	 * reserved for an item is a chunk for 63 of them. */
	inproc_releases(s->maker.world, INPROC_RELEASES_HELD);
	for (;;) {
		assert_int_equal(seat_create(&s->maker, 0, 0, CHUNK_ITEMS / 4,
					     NULL, list),
				 0);
		assert_int_equal(seat_destroy(&s->maker, 0, list,
					      CHUNK_ITEMS / 4, 0),
				 0);
		world_fail_commit(s->maker.world, 1);
		r = seat_revoke(&s->maker, s->token);
		world_fail_commit(s->maker.world, 0);
		if (r != 0)
			break;
		assert_int_equal(seat_share(&s->maker, s->shared, R, s->token),
				 0);
	}
	assert_int_equal(r, -ENOMEM);
	inproc_check(s->maker.world);
	assert_int_equal(seat_revoke(&s->maker, s->token), 0);
}

static void a_query_tells_what_an_open_needs(void **state)
{
	struct stage *s = *state;
	struct wire_request r = { .opcode = WIRE_OP_QUERY,
				  .value = { s->token[0], s->token[1] } };
	const uint64_t pages[2] = { PAGE_BYTES, PAGE_BYTES };

	/* Of anybody who has the token, without a device. */
	assert_int_equal(seat_ask(&s->reader, r, NULL, 0), 0);
	assert_int_equal(s->reader.reply.head.count, 2);
	assert_int_equal(s->reader.reply.head.value[0], 0);
	assert_int_equal(s->reader.reply.head.value[1], 2 * PAGE_BYTES);
	assert_int_equal(s->reader.reply.head.value[2], R);
	assert_int_equal(s->reader.reply.head.data_bytes, sizeof(pages));
	assert_memory_equal(s->reader.reply.data, pages, sizeof(pages));
	r.value[0]++;
	assert_unchanged(&s->reader, seat_ask(&s->reader, r, NULL, 0), -EINVAL,
			 TENURE_REASON_TOKEN_UNKNOWN);
}

static void g1_maps_are_counted(void **state)
{
	struct stage *s = *state;
	struct seat *m = &s->maker;
	uint64_t a = s->private_child;

	assert_unchanged(m, seat_unmap(m, a), -EINVAL,
			 TENURE_REASON_NOT_MAPPED);
	assert_int_equal(seat_map(m, a, 0), 0);
	assert_int_equal(seat_map(m, a, WIRE_MAP_WRITE), 0);
	assert_int_equal(seat_slot(m, a)->allocation.maps, 2);
	assert_int_equal(seat_unmap(m, a), 0);
	assert_int_equal(seat_unmap(m, a), 0);
	assert_unchanged(m, seat_unmap(m, a), -EINVAL,
			 TENURE_REASON_NOT_MAPPED);
	seat_slot(m, a)->allocation.maps = MAPS_PER_ALLOCATION_MAX - 1;
	assert_int_equal(seat_map(m, a, 0), 0);
	assert_unchanged(m, seat_map(m, a, WIRE_MAP_WANT_FD), -EDQUOT,
			 TENURE_REASON_MAPPED_TOO_OFTEN);
	/* A61: the count dies with the handle. */
	assert_int_equal(seat_destroy(m, 0, &a, 1, 0), 0);
	inproc_check(m->world);
}

static void g1_maps_that_are_refused(void **state)
{
	struct stage *s = *state;
	struct seat *m = &s->maker;

	for (uint32_t bit = 2; bit < 32; bit++)
		assert_unchanged(m, seat_map(m, s->child[0], 1u << bit),
				 -EINVAL, TENURE_REASON_FLAGS_RESERVED);
	assert_unchanged(m, seat_map(m, s->shared, 0), -EINVAL,
			 TENURE_REASON_WRONG_TYPE);
	assert_unchanged(m, seat_map(m, s->opened_child[0], 0), -EINVAL,
			 TENURE_REASON_ALLOCATION_INVALID);
	assert_unchanged(m, seat_map(m, 0, 0), -EINVAL,
			 TENURE_REASON_ALLOCATION_INVALID);
	assert_unchanged(&s->reader,
			 seat_map(&s->reader, s->opened_child[0],
				  WIRE_MAP_WRITE),
			 -EACCES, TENURE_REASON_RIGHTS_EXCEEDED);
	assert_unchanged(&s->reader,
			 seat_map(&s->reader, s->opened_child[0],
				  WIRE_MAP_WRITE | WIRE_MAP_WANT_FD),
			 -EACCES, TENURE_REASON_RIGHTS_EXCEEDED);
}

static int descriptor_of(struct seat *s, uint64_t allocation, uint32_t flags)
{
	struct wire_request r = { .opcode = WIRE_OP_MAP,
				  .device = s->device,
				  .object = allocation,
				  .flags = flags | WIRE_MAP_WANT_FD,
				  .id = 999,
				  .fds_acked =
					  seat_session(s)->fds_unacknowledged };

	assert_int_equal(inproc_send(s->world, s->client, &r, NULL, 0,
				     &s->reply),
			 BROKER_REPLY);
	assert_int_equal(s->reply.head.status, 0);
	assert_int_equal(s->reply.head.fds, 1);
	return s->reply.fd;
}

static void g2_descriptors_have_the_rights_of_the_opening(void **state)
{
	struct stage *s = *state;
	int fd = descriptor_of(&s->maker, s->child[1], 0);

	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
	close(fd);
	fd = descriptor_of(&s->reader, s->opened_child[1], 0);
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	close(fd);
	fd = descriptor_of(&s->maker, s->private_child, WIRE_MAP_WRITE);
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
	close(fd);
	/* The same memory at the same place, by whichever opening. */
	assert_int_equal(seat_map(&s->maker, s->child[1], 0), 0);
	assert_int_equal(seat_map(&s->reader, s->opened_child[1], 0), 0);
	assert_memory_equal(s->maker.reply.head.value,
			    s->reader.reply.head.value,
			    sizeof(s->maker.reply.head.value));
	assert_int_equal(s->maker.reply.head.value[1], PAGE_BYTES);
	assert_int_equal(s->maker.reply.head.value[2], PAGE_BYTES);
	assert_int_equal(s->maker.reply.head.value[3], 2 * PAGE_BYTES);
}

static void g1_descriptors_that_nobody_acknowledges(void **state)
{
	struct stage *s = *state;
	struct seat *m = &s->maker;
	struct wire_request ping = { .opcode = WIRE_OP_PING };

	for (int i = 0; i < FDS_UNACKNOWLEDGED_MAX; i++)
		assert_int_equal(seat_map(m, s->child[0], WIRE_MAP_WANT_FD), 0);
	assert_unchanged(m, seat_map(m, s->child[0], WIRE_MAP_WANT_FD), -EDQUOT,
			 TENURE_REASON_FDS_UNACKNOWLEDGED);
	assert_int_equal(seat_map(m, s->child[0], 0), 0);
	ping.fds_acked = 3;
	assert_int_equal(seat_ask(m, ping, NULL, 0), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(seat_map(m, s->child[0], WIRE_MAP_WANT_FD), 0);
	assert_unchanged(m, seat_map(m, s->child[0], WIRE_MAP_WANT_FD), -EDQUOT,
			 TENURE_REASON_FDS_UNACKNOWLEDGED);
	ping.fds_acked = FDS_UNACKNOWLEDGED_MAX;
	assert_int_equal(seat_ask(m, ping, NULL, 0), 0);
	ping.fds_acked = 1;
	assert_int_equal(seat_send(m, ping, NULL, 0), BROKER_KILL);
	assert_int_equal(m->reply.head.reason, TENURE_REASON_ACK_EXCESS);
}

#define on_stage(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		on_stage(g1_sharing_what_cannot_be_shared),
		on_stage(g1_revoking_what_is_not_yours),
		on_stage(a_token_outlives_the_handle),
		on_stage(g1_a_revoke_without_memory),
		on_stage(a_query_tells_what_an_open_needs),
		on_stage(g1_maps_are_counted),
		on_stage(g1_maps_that_are_refused),
		on_stage(g2_descriptors_have_the_rights_of_the_opening),
		on_stage(g1_descriptors_that_nobody_acknowledges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
