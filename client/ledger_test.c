/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ledger: what is forgotten is unmapped, exactly; lies change nothing.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/ledger.h"

enum { PAGE = 4096, DEVICE = 10, RESOURCE = 20, ADAPTER = 1 };

static void add_device(struct ledger *ledger, uint64_t device)
{
	struct ledger_device *record = malloc(sizeof(*record));

	assert_non_null(record);
	assert_int_equal(ledger_device_publish(ledger, record, device, ADAPTER),
			 0);
}

static int add_adapter(struct ledger *ledger, uint64_t adapter)
{
	struct ledger_adapter *record = malloc(sizeof(*record));

	assert_non_null(record);
	return ledger_adapter_opened(ledger, record, adapter);
}

/* A group of two with handles from first on. */
static void add_pair(struct ledger *ledger, uint64_t device, uint64_t resource,
		     uint64_t first)
{
	const uint64_t handles[] = { first, first + 1 };
	struct ledger_group *group = ledger_group_new(2);

	assert_non_null(group);
	assert_int_equal(ledger_group_publish(ledger, group, device, resource,
					      handles),
			 0);
}

/* Maps one of a group; its store has two pages and the first handle's id. */
static void map(struct ledger *ledger, uint64_t first, uint64_t handle)
{
	struct placement place = {
		.store = first,
		.offset = (handle - first) * PAGE,
		.size_bytes = PAGE,
		.store_bytes = 2 * PAGE,
	};
	struct view *view = view_find(&ledger->views, first, true);
	int fd = memfd_create("ledger", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_int_equal(ftruncate(fd, 2 * PAGE), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	if (!view) {
		view = malloc(sizeof(*view));
		assert_non_null(view);
		assert_int_equal(
			view_map(&ledger->views, view, &place, true, fd), 0);
	}
	close(fd);
	ledger_attach(ledger_allocation(ledger, handle), view, &place, true);
}

static bool knows(const struct ledger *ledger, uint64_t handle)
{
	return ledger_allocation(ledger, handle) != NULL;
}

/* Two devices; on the first a resource of two groups, and a pair of its own. */
static void build(struct ledger *ledger)
{
	ledger_init(ledger);
	assert_int_equal(add_adapter(ledger, ADAPTER), 0);
	add_device(ledger, DEVICE);
	add_device(ledger, DEVICE + 1);
	add_pair(ledger, DEVICE, RESOURCE, 100);
	add_pair(ledger, DEVICE, RESOURCE, 200);
	add_pair(ledger, DEVICE, 0, 300);
	add_pair(ledger, DEVICE + 1, RESOURCE + 1, 400);
	add_pair(ledger, 99, 0, 500);
	for (uint64_t first = 100; first <= 500; first += 100) {
		map(ledger, first, first);
		map(ledger, first, first + 1);
	}
	assert_int_equal(ledger->views.count, 5);
}

/* G1 */
static void test_forget_allocation(void **state)
{
	struct ledger ledger;

	(void)state;
	build(&ledger);
	ledger_allocation_forget(&ledger, 100);
	assert_false(knows(&ledger, 100));
	assert_true(knows(&ledger, 101));
	assert_int_equal(ledger.views.count, 5);
	ledger_allocation_forget(&ledger, 101);
	assert_int_equal(ledger.views.count, 4);
	ledger_allocation_forget(&ledger, 101);
	ledger_allocation_forget(&ledger, 12345);
	assert_true(knows(&ledger, 200));
	ledger_deinit(&ledger);
}

/* What is claimed stays, but not longer than what it belongs to. */
static void test_claim(void **state)
{
	struct ledger ledger;

	(void)state;
	build(&ledger);
	assert_false(ledger_allocation_claim(&ledger, 12345));
	assert_true(ledger_allocation_claim(&ledger, 100));
	assert_false(ledger_allocation_claim(&ledger, 100));
	ledger_allocation_forget(&ledger, 100);
	ledger_allocation_forget(&ledger, 101);
	assert_true(knows(&ledger, 100));
	assert_int_equal(ledger.views.count, 5);
	ledger_allocation_disclaim(&ledger, 12345);
	ledger_allocation_disclaim(&ledger, 100);
	ledger_allocation_forget(&ledger, 100);
	assert_false(knows(&ledger, 100));
	assert_int_equal(ledger.views.count, 4);
	assert_true(ledger_allocation_claim(&ledger, 200));
	ledger_resource_forget(&ledger, RESOURCE);
	assert_false(knows(&ledger, 200));
	ledger_deinit(&ledger);
}

/* G1 */
static void test_forget_resource(void **state)
{
	struct ledger ledger;

	(void)state;
	build(&ledger);
	ledger_allocation_forget(&ledger, 201);
	ledger_resource_forget(&ledger, RESOURCE);
	assert_false(knows(&ledger, 100) || knows(&ledger, 101) ||
		     knows(&ledger, 200));
	assert_true(knows(&ledger, 300) && knows(&ledger, 400));
	assert_int_equal(ledger.views.count, 3);
	ledger_resource_forget(&ledger, RESOURCE);
	ledger_deinit(&ledger);
}

/* G1: also the device that is not known here */
static void test_forget_device(void **state)
{
	struct ledger ledger;

	(void)state;
	build(&ledger);
	ledger_device_forget(&ledger, DEVICE);
	assert_int_equal(ledger.allocations.count, 4);
	assert_int_equal(ledger.views.count, 2);
	ledger_device_forget(&ledger, 99);
	assert_false(knows(&ledger, 500));
	assert_true(knows(&ledger, 400));
	ledger_deinit(&ledger);
}

/* G1 */
static void test_last_close(void **state)
{
	struct ledger ledger;

	(void)state;
	build(&ledger);
	assert_int_equal(add_adapter(&ledger, ADAPTER), 0);
	ledger_adapter_closed(&ledger, ADAPTER);
	assert_int_equal(ledger.devices.count, 2);
	ledger_adapter_closed(&ledger, ADAPTER);
	assert_int_equal(ledger.devices.count, 0);
	assert_int_equal(ledger.allocations.count, 2);
	assert_true(knows(&ledger, 500));
	ledger_adapter_closed(&ledger, ADAPTER);
	ledger_deinit(&ledger);
}

static void refuse_group(struct ledger *ledger, uint64_t a, uint64_t b)
{
	const uint64_t handles[] = { 600, a, b };
	struct ledger_group *group = ledger_group_new(3);

	assert_int_equal(ledger_group_publish(ledger, group, DEVICE, RESOURCE,
					      handles),
			 -EPROTO);
	free(group);
	assert_false(knows(ledger, 600));
	assert_int_equal(ledger->allocations.count, 10);
}

/* G2 */
static void test_lies(void **state)
{
	struct ledger_device *record = malloc(sizeof(*record));
	struct ledger ledger;

	(void)state;
	build(&ledger);
	refuse_group(&ledger, 0, 601);
	refuse_group(&ledger, 601, 0);
	refuse_group(&ledger, 601, 600);
	refuse_group(&ledger, 601, 601);
	refuse_group(&ledger, 601, 100);
	assert_int_equal(ledger_device_publish(&ledger, record, 0, ADAPTER),
			 -EPROTO);
	assert_int_equal(ledger_device_publish(&ledger, record, DEVICE,
					       ADAPTER),
			 -EPROTO);
	free(record);
	assert_int_equal(add_adapter(&ledger, 0), -EPROTO);
	ledger_deinit(&ledger);
}

static void unexpected(void *context, uint64_t allocation)
{
	(void)context;
	fail_msg("allocation %llu", (unsigned long long)allocation);
}

/* G5: a resource emptied by list destroys is known until it is destroyed. */
static void test_emptied(void **state)
{
	struct ledger ledger;

	(void)state;
	ledger_init(&ledger);
	add_device(&ledger, DEVICE);
	add_pair(&ledger, DEVICE, RESOURCE, 100);
	ledger_allocation_forget(&ledger, 100);
	ledger_allocation_forget(&ledger, 101);
	assert_true(ledger_resource_is_of(&ledger, RESOURCE, DEVICE));
	assert_int_equal(ledger_device_of_resource(&ledger, RESOURCE), DEVICE);
	assert_int_equal(ledger.allocations.count, 0);
	ledger_resource_each(&ledger, RESOURCE, unexpected, NULL);
	ledger_resource_forget(&ledger, RESOURCE);
	assert_false(ledger_knows_resource(&ledger, RESOURCE));
	assert_int_equal(ledger.resources.count, 0);
	ledger_deinit(&ledger);
}

/* G3, G5: however often it is filled and emptied, one empty group is left. */
static void test_emptied_again(void **state)
{
	struct ledger ledger;

	(void)state;
	ledger_init(&ledger);
	add_device(&ledger, DEVICE);
	/* Stray: its device is not known. */
	add_pair(&ledger, 99, RESOURCE + 1, 900);
	for (uint64_t first = 100; first < 120; first += 2) {
		add_pair(&ledger, DEVICE, RESOURCE, first);
		ledger_allocation_forget(&ledger, first);
		ledger_allocation_forget(&ledger, first + 1);
		assert_true(ledger_knows_resource(&ledger, RESOURCE));
		assert_true(ledger.resources.count == 2);
	}
	/* Of two groups, the one that is emptied first goes. */
	add_pair(&ledger, DEVICE, RESOURCE, 100);
	add_pair(&ledger, DEVICE, RESOURCE, 200);
	for (uint64_t i = 0; i < 2; i++) {
		ledger_allocation_forget(&ledger, 200 + i);
		ledger_allocation_forget(&ledger, 900 + i);
	}
	assert_true(ledger_resource_is_of(&ledger, RESOURCE + 1, 99));
	ledger_device_forget(&ledger, DEVICE);
	assert_false(ledger_knows_resource(&ledger, RESOURCE));
	assert_int_equal(ledger.resources.count, 1);
	ledger_device_forget(&ledger, 99);
	assert_int_equal(ledger.resources.count, 0);
	ledger_deinit(&ledger);
}

/* ---- What forgetting looks at (G4) ---- */

/*
 * Groups with a page each, which cannot be read: whoever looks at one is seen,
 * once, and goes on.
 */
enum { MANY = 600, LOOKS_MAX = 12 };

static uint8_t *rooms;
static volatile sig_atomic_t looks;

void __real_free(void *block);
void __wrap_free(void *block);
void *__real_realloc(void *block, size_t size);
void *__wrap_realloc(void *block, size_t size);

static bool is_room(const void *address)
{
	const uint8_t *at = address;

	return rooms && at >= rooms && at < rooms + (size_t)MANY * PAGE;
}

void __wrap_free(void *block)
{
	if (!is_room(block))
		__real_free(block);
}

void *__wrap_realloc(void *block, size_t size)
{
	return is_room(block) ? NULL : __real_realloc(block, size);
}

static void on_look(int signal, siginfo_t *info, void *context)
{
	uint8_t *page =
		(uint8_t *)info->si_addr - (uintptr_t)info->si_addr % PAGE;

	(void)context;
	if (!is_room(page) ||
	    mprotect(page, PAGE, PROT_READ | PROT_WRITE) != 0) {
		sigaction(signal, &(struct sigaction){ .sa_handler = SIG_DFL },
			  NULL);
		return;
	}
	looks++;
}

static void rooms_rights(int rights)
{
	assert_int_equal(mprotect(rooms, (size_t)MANY * PAGE, rights), 0);
}

/* Groups of two with handles from 1000 on; of one resource, or of many, or of
 * none, when it is 0. */
static void fill_rooms(struct ledger *ledger, uint64_t resource, bool one)
{
	memset(rooms, 0, (size_t)MANY * PAGE);
	for (uint64_t i = 0; i < MANY; i++) {
		const uint64_t handles[] = { 1000 + 2 * i, 1001 + 2 * i };
		struct ledger_group *group = (void *)(rooms + i * PAGE);

		group->count = 2;
		assert_int_equal(ledger_group_publish(ledger, group, DEVICE,
						      resource && !one ?
							      resource + i :
							      resource,
						      handles),
				 0);
	}
}

static void forget_one(struct ledger *ledger, uint64_t first)
{
	ledger_allocation_forget(ledger, first);
	ledger_allocation_forget(ledger, first + 1);
}

static void forget_resource(struct ledger *ledger, uint64_t first)
{
	ledger_resource_forget(ledger, RESOURCE + (first - 1000) / 2);
}

static void forget_device(struct ledger *ledger, uint64_t first)
{
	(void)first;
	ledger_device_forget(ledger, DEVICE + 1);
}

/* One of many, the oldest, the newest or one between them. */
static void expect_few_looks(void (*forget)(struct ledger *, uint64_t),
			     uint64_t resource, bool one)
{
	static const uint64_t which[] = { 0, MANY / 2, MANY - 1 };
	struct ledger ledger;

	for (size_t i = 0; i < ARRAY_SIZE(which); i++) {
		ledger_init(&ledger);
		add_device(&ledger, DEVICE);
		add_device(&ledger, DEVICE + 1);
		add_pair(&ledger, DEVICE + 1, 0, 5000);
		fill_rooms(&ledger, resource, one);
		rooms_rights(PROT_NONE);
		looks = 0;
		forget(&ledger, 1000 + 2 * which[i]);
		assert_in_range(looks, 0, LOOKS_MAX);
		rooms_rights(PROT_READ | PROT_WRITE);
		ledger_deinit(&ledger);
	}
}

static void g4_looks_at_few(void **state)
{
	struct sigaction action = { .sa_sigaction = on_look,
				    .sa_flags = SA_SIGINFO };
	struct sigaction before;

	(void)state;
	rooms = mmap(NULL, (size_t)MANY * PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(rooms != MAP_FAILED);
	assert_int_equal(sigaction(SIGSEGV, &action, &before), 0);
	expect_few_looks(forget_one, 0, false);
	expect_few_looks(forget_one, RESOURCE, false);
	expect_few_looks(forget_one, RESOURCE, true);
	expect_few_looks(forget_resource, RESOURCE, false);
	expect_few_looks(forget_device, 0, false);
	assert_int_equal(sigaction(SIGSEGV, &before, NULL), 0);
	munmap(rooms, (size_t)MANY * PAGE);
	rooms = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forget_allocation),
		cmocka_unit_test(test_claim),
		cmocka_unit_test(test_forget_resource),
		cmocka_unit_test(test_forget_device),
		cmocka_unit_test(test_last_close),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_emptied),
		cmocka_unit_test(test_emptied_again),
		cmocka_unit_test(g4_looks_at_few),
	};

	return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}
