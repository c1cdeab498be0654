/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Death between any two stores
 *
 *	store --fault--> a copy lives on: fork()
 *	            \--> the page is opened, one instruction stepped, and closed
 *
 * The committed pages lose their right to write, so a store faults before it
 * is done; the copy that is made in the handler then sees all stores before
 * it and none after, which is what whoever finds the memory of a process that
 * was killed there would see. The processor's trap flag steps the one
 * instruction, whatever it is. No debugger and no knowledge of the code is
 * needed, and what is stopped is the program that ships.
 */
#include "tests/support/assassin.h"

#ifdef __x86_64__

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "core/limits.h"
#include "core/region.h"

enum { TRAP_FLAG = 0x100, PAGES_MAX = 4 };

/* By the linker: the first byte of the program, and the last of its code. */
extern const char __executable_start[], etext[];

static struct assassin *armed;
static uint64_t times_armed;
static struct assassin_place *places; /* shared with all copies */
static uint8_t *opened[PAGES_MAX]; /* for the instruction that is stepped */
static int n_opened;
static uint8_t *left_open; /* until the next fault */
static greg_t left_by; /* that instruction */

__attribute__((noreturn)) static void fail(const char *what)
{
	fprintf(stderr, "assassin: %s\n", what);
	abort();
}

static void protect(void *start, size_t size_bytes, int rights)
{
	if (mprotect(start, size_bytes, rights) != 0)
		fail("mprotect");
}

/* What is committed from a page on. */
static void protect_run(const struct test_range *range, uint64_t page,
			int rights)
{
	uint64_t all = range->size_bytes / PAGE_BYTES, n = 0;

	while (page + n < all && range->is_committed[page + n])
		n++;
	if (n > 0)
		protect(range->start + page * PAGE_BYTES, n * PAGE_BYTES,
			rights);
}

/* An area is committed from its start on; so is what is before them. */
static void protect_all(const struct assassin *a, int rights)
{
	const struct test_range *range = &a->pages->ranges[0];
	const struct region_head *head = (const void *)range->start;

	protect_run(range, 0, rights);
	for (int i = 0; i < AREAS; i++)
		protect_run(range, head->areas[i].offset / PAGE_BYTES, rights);
}

static bool is_watched(const struct assassin *a, const uint8_t *address)
{
	const struct test_range *range = &a->pages->ranges[0];

	return address >= range->start &&
	       address < range->start + range->size_bytes &&
	       range->is_committed[(uint64_t)(address - range->start) /
				   PAGE_BYTES];
}

static void live_on(struct assassin *a)
{
	const struct test_range *range = &a->pages->ranges[0];

	armed = NULL;
	n_opened = 0;
	left_open = NULL;
	a->pages->read_only = false;
	/* The whole of it: a map of what is committed takes longer to read. */
	protect(range->start, range->size_bytes, PROT_READ | PROT_WRITE);
	a->afterwards(a->context, a->points);
	_exit(0);
}

static void die_here(struct assassin *a, const struct assassin_place *place)
{
	pid_t child;
	int status;

	a->deaths++;
	child = fork();
	if (child < 0)
		fail("fork");
	if (child == 0)
		live_on(a);
	if (waitpid(child, &status, 0) != child)
		fail("waitpid");
	if (status == 0)
		return;
	fprintf(stderr, "assassin: %s, point %ju (at %#jx) ended with %#x\n",
		a->name, (uintmax_t)a->points, (uintmax_t)place->address,
		(unsigned int)status);
	_exit(1);
}

static struct assassin_place *place_of(const ucontext_t *machine)
{
	const greg_t *registers = machine->uc_mcontext.gregs;
	const uintptr_t first = (uintptr_t)__executable_start;
	const uintptr_t size = (uintptr_t)etext - first;
	uintptr_t at = (uintptr_t)registers[REG_RIP] - first;
	struct assassin_place *place;

	/* Functions that only store have no frame, but for who called them. */
	if (at >= size)
		at = *(const uintptr_t *)registers[REG_RSP] - first;
	if (at >= size)
		at = size;
	place = &places[at * UINT64_C(0x9e3779b97f4a7c15) >> 50];
	static_assert(ASSASSIN_PLACES_MAX == 1 << (64 - 50), "all bits");
	while (place->address != 0 && place->address != at)
		place = place == places ? places + ASSASSIN_PLACES_MAX - 1 :
					  place - 1;
	place->address = at;
	return place;
}

/* The first points all differ; a thousand of them come from a loop. */
static bool is_due(const struct assassin *a, const struct assassin_place *place)
{
	uint64_t stride = a->stride;

	if (a->only != 0)
		return a->points == a->only;
	if (place->deaths == 0)
		return true;
	if (stride == 0)
		stride = a->points <= 8 ? 1 : a->points <= 1000 ? 24 : 192;
	return a->points % stride == a->phase % stride;
}

/* Whether a place has stored often enough since it was armed; a loop that does
 * so is not looked at store by store. */
static bool is_known(const struct assassin *a, struct assassin_place *place)
{
	if (place->armed != a->armed) {
		place->armed = a->armed;
		place->often = 0;
	}
	return a->often != 0 && ++place->often > a->often;
}

/* Whether that page may stay open until the next fault. */
static bool count_point(struct assassin *a, const ucontext_t *machine)
{
	struct assassin_place *place = place_of(machine);

	a->points++;
	place->points++;
	if (is_due(a, place)) {
		a->is_first = place->deaths++ == 0;
		a->firsts += a->is_first;
		die_here(a, place);
	}
	return is_known(a, place);
}

/* An instruction that comes again may store to two pages at once: for it both
 * are open. True then; anything else closes the one that was left. */
static bool is_back(greg_t instruction)
{
	uint8_t *page = left_open;

	left_open = NULL;
	if (page && left_by == instruction)
		opened[n_opened++] = page;
	else if (page)
		protect(page, PAGE_BYTES, PROT_READ);
	return page && left_by == instruction;
}

static void on_store(int signal, siginfo_t *info, void *context)
{
	ucontext_t *machine = context;
	greg_t instruction = machine->uc_mcontext.gregs[REG_RIP];
	bool stays = false;
	uint8_t *page;

	if (armed == NULL || !is_watched(armed, info->si_addr)) {
		/* A fault like any other: it comes again, and ends us. */
		sigaction(signal, &(struct sigaction){ .sa_handler = SIG_DFL },
			  NULL);
		return;
	}
	if (n_opened == 0)
		stays = count_point(armed, machine);
	if (is_back(instruction))
		stays = false;
	if (n_opened == PAGES_MAX)
		fail("an instruction that stores to many pages");
	page = (uint8_t *)info->si_addr - (uintptr_t)info->si_addr % PAGE_BYTES;
	protect(page, PAGE_BYTES, PROT_READ | PROT_WRITE);
	if (stays) {
		left_open = page;
		left_by = instruction;
		return;
	}
	opened[n_opened++] = page;
	machine->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
}

static void on_trap(int signal, siginfo_t *info, void *context)
{
	ucontext_t *machine = context;

	(void)signal;
	(void)info;
	machine->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
	while (n_opened > 0)
		protect(opened[--n_opened], PAGE_BYTES, PROT_READ);
}

bool assassin_can(void)
{
	return true;
}

void assassin_arm(struct assassin *a)
{
	/* A copy may arm another one from within the handler. */
	struct sigaction store = { .sa_sigaction = on_store,
				   .sa_flags = SA_SIGINFO | SA_NODEFER };
	struct sigaction trap = { .sa_sigaction = on_trap,
				  .sa_flags = SA_SIGINFO | SA_NODEFER };

	if (armed != NULL)
		fail("armed twice");
	if (!places)
		places = mmap(NULL, ASSASSIN_PLACES_MAX * sizeof(*places),
			      PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (places == MAP_FAILED)
		fail("mmap");
	if (sigaction(SIGSEGV, &store, NULL) != 0 ||
	    sigaction(SIGTRAP, &trap, NULL) != 0)
		fail("sigaction");
	fflush(NULL);
	a->armed = ++times_armed;
	armed = a;
	a->pages->read_only = true;
	protect_all(a, PROT_READ);
}

void assassin_disarm(struct assassin *a)
{
	assert(armed == a);
	armed = NULL;
	left_open = NULL;
	a->pages->read_only = false;
	protect_all(a, PROT_READ | PROT_WRITE);
}

const struct assassin_place *assassin_places(void)
{
	return places;
}

#else

bool assassin_can(void)
{
	return false;
}

void assassin_arm(struct assassin *assassin)
{
	(void)assassin;
}

void assassin_disarm(struct assassin *assassin)
{
	(void)assassin;
}

const struct assassin_place *assassin_places(void)
{
	return NULL;
}

#endif
