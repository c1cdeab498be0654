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

static struct assassin *armed;
static uint8_t *opened[PAGES_MAX]; /* for the instruction that is stepped */
static int n_opened;

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
	a->pages->read_only = false;
	/* The whole of it: a map of what is committed takes longer to read. */
	protect(range->start, range->size_bytes, PROT_READ | PROT_WRITE);
	a->afterwards(a->context, a->points);
	_exit(0);
}

static void die_here(struct assassin *a)
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
	fprintf(stderr, "assassin: %s, point %ju ended with %#x\n", a->name,
		(uintmax_t)a->points, (unsigned int)status);
	_exit(1);
}

/* The first points all differ; a thousand of them come from a loop. */
static bool is_due(const struct assassin *a)
{
	uint64_t stride = a->stride;

	if (a->only != 0)
		return a->points == a->only;
	if (stride == 0)
		stride = a->points <= 32 ? 1 : a->points <= 1000 ? 16 : 128;
	return a->points % stride == a->phase % stride;
}

static void on_store(int signal, siginfo_t *info, void *context)
{
	ucontext_t *machine = context;
	uint8_t *page;

	if (armed == NULL || !is_watched(armed, info->si_addr)) {
		/* A fault like any other: it comes again, and ends us. */
		sigaction(signal, &(struct sigaction){ .sa_handler = SIG_DFL },
			  NULL);
		return;
	}
	if (n_opened == 0) {
		armed->points++;
		if (is_due(armed))
			die_here(armed);
	}
	if (n_opened == PAGES_MAX)
		fail("an instruction that stores to many pages");
	page = (uint8_t *)info->si_addr - (uintptr_t)info->si_addr % PAGE_BYTES;
	opened[n_opened++] = page;
	protect(page, PAGE_BYTES, PROT_READ | PROT_WRITE);
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
	if (sigaction(SIGSEGV, &store, NULL) != 0 ||
	    sigaction(SIGTRAP, &trap, NULL) != 0)
		fail("sigaction");
	fflush(NULL);
	armed = a;
	a->pages->read_only = true;
	protect_all(a, PROT_READ);
}

void assassin_disarm(struct assassin *a)
{
	assert(armed == a);
	armed = NULL;
	a->pages->read_only = false;
	protect_all(a, PROT_READ | PROT_WRITE);
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

#endif
