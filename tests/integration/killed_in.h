/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions of core/ that change the state in more than one store. The
 * story of killed_test.c leads through all of them, and dies at each of these
 * stores; a function that comes to be one of them is added here.
 */
#ifndef TESTS_INTEGRATION_KILLED_IN_H
#define TESTS_INTEGRATION_KILLED_IN_H

#include <stddef.h>

/* While the broker works. */
static const char *const killed_in[] = {
	/* access.c */
	"map_request",
	/* broker.c */
	"broker_descriptor_failed",
	"broker_disconnect",
	"handle",
	/* broker_free.c */
	"free_plain",
	/* broker_page.c */
	"page_make",
	"page_not_made",
	"publish",
	/* broker_ring.c */
	"doorbell_make",
	"ring_make",
	"ring_not_made",
	/* context.c */
	"link_context",
	"advance",
	"context_create",
	"context_end",
	"context_settle",
	"note_plain",
	"push_quiet",
	"push_reached",
	"unlink_context",
	/* create.c */
	"commit",
	"commit_open",
	"count_created",
	"fill_allocation",
	"fill_object",
	"fill_resource",
	"grow_resource",
	/* create_context.c */
	"birth_join_context",
	"grow_run",
	/* crowd.c */
	"join",
	"leave",
	/* defer.c */
	"defer_move",
	"park",
	"park_entry",
	/* destroy.c */
	"count_retired",
	"leave_context",
	"leave_run",
	"retire_block",
	"retire_resource",
	/* device.c */
	"link_device",
	"adapter_close",
	"adapter_open",
	"device_create",
	"device_remove",
	"unlink_device",
	/* fence.c */
	"die",
	"fence_close",
	"fence_create",
	"fence_unref",
	"publish_opening",
	/* fence_wait.c */
	"add_wait",
	"arrive",
	"decide",
	"fail",
	"fence_wait_tidy",
	"loosen",
	"remove_wait",
	/* object.c */
	"holding_new",
	"new_token",
	"object_drop",
	"object_free",
	"object_hold",
	"store_new",
	"token_link",
	"token_unlink",
	/* pinned.c */
	"pinned_look",
	"pinned_next_report",
	"pinned_set_aside",
	"report",
	/* reclaim.c */
	"allocation_released",
	"allocations_released",
	"item_done",
	"orphan_released",
	"reclaim_job_done",
	"resource_released",
	"set_aside",
	"tell_allocations",
	/* region.c */
	"block_free",
	"block_new",
	"grow",
	"pool_give",
	"pool_take_head",
	/* retire.c */
	"stream_append",
	"stream_append_list",
	"stream_deinit",
	"stream_init",
	"stream_pop",
	"tail_with_room",
	/* session.c */
	"principal_new",
	"session_end",
	"session_forget_notice",
	"session_free",
	"session_new",
	"session_next_job",
	"session_next_ready",
	"session_note_refusal",
	"session_notice",
	"session_retry_job",
	"session_start_job",
	"session_take_noticed",
	"session_wake",
	/* sweep.c */
	"keep_pinned",
	"move_cursor",
	"sweep_released",
	"sweep_tell",
	/* table.c */
	"adopt_segment",
	"clear_run",
	"fresh_segment",
	"init_segment",
	"into_depot",
	"out_of_depot",
	"owner_reset",
	"regain",
	"strip",
	"table_abandon",
	"table_gain_word",
	"table_has_room",
	"table_take",
	"table_trim",
	"table_try_reclaim",
	/* teardown.c */
	"end_quiet_context",
	"leave_segment",
	"sweep_device",
	"sweep_pass",
	"teardown_begin",
	/* timeline.c */
	"add_chunk",
	"begin_record",
	"drop_chunk",
	"record_taken",
	"timeline_append",
	/* uses.c */
	"begin_set",
	"note_in_set",
	"take_record",
	"uses_forget",
	/* waiter.c */
	"count_watch",
	"unlink_waiter",
	"waiter_drop",
	"waiter_end",
	"waiter_fail_all",
	"waiter_follow",
	"waiter_new_for",
	"waiter_next_answered",
	/* warm.c */
	"unlink_pool",
	"warm_create",
	"warm_report",
	/* words.c */
	"words_deinit",
	"words_give",
	"words_take",
	NULL,
};

/* While another one takes over, and is killed there (TENURE_KILL_AGAIN). */
static const char *const killed_again_in[] = {
	/* rebuild.c */
	"begin_session",
	"begin_sessions",
	"begin_state",
	"link_pools",
	"rebuild_free_list",
	"reset_session",
	/* rebuild_memory.c */
	"count",
	"find_tokens",
	"hold_private",
	"link_token",
	"rebuild_blocks",
	"rebuild_memory",
	"settle_stores",
	/* rebuild_slots.c */
	"settle_run",
	"visit_child",
	"visit_fate",
	"visit_own",
	"visit_resource",
	/* rebuild_waits.c */
	"expect",
	"find_waiters",
	"find_waits",
	"link_wait",
	"link_waiter",
	/* rebuild_work.c */
	"attach_users",
	"forget_holders",
	"free_words",
	"note_holder",
	"settle_fences",
	"visit_opening",
	"visit_uses",
	/* table.c */
	"recount",
	"table_relink",
	"table_relink_begin",
	NULL,
};

#endif
