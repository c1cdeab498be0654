/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stepper: every point at which a death can make a difference
 *
 * What a process does to others it does by system calls and by stores to
 * memory that it shares. So these are the points, by ptrace, and whatever lies
 * between two of them nobody else can see:
 *
 *	call --- call --- |store store store| --- call ---
 *	^  ^     ^  ^      ^     ^     ^          ^  ^
 *
 * Stores are seen by taking the right to write away. mmap() and mprotect() of
 * shared memory lose PROT_WRITE on their way into the kernel, so that the first
 * instruction that stores there faults, and that is the point. To go on, the
 * page is made writable, the one instruction stepped, and the page closed
 * again. It works for any store, atomic ones too, and needs to know neither
 * where the memory lies nor which code writes to it; a string instruction
 * counts once for each of its steps.
 *
 * The kernel does not fault for the process: a system call that were to write
 * to shared memory would fail with EFAULT. The library makes no such call.
 *
 * x86-64 only, as the registers are.
 */
#include "tests/integration/stepper.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	PAGE = 4096,
	/* That one instruction can store to. */
	PAGES_MAX = 2,
	STOP_AT_CALL = SIGTRAP | 0x80,
	STEPS_MAX = 100000,
};

/* A system call that the child can be made to make: it has the same code. */
__asm__(".pushsection .text\n"
	"stepper_call:\n"
	"	syscall\n"
	"	ud2\n"
	".popsection\n");
extern const char stepper_call[];

/* ---- ptrace ---- */

static void get_registers(const struct stepper *stepper,
			  struct user_regs_struct *ret)
{
	assert_int_equal(ptrace(PTRACE_GETREGS, stepper->pid, NULL, ret), 0);
}

static void set_registers(const struct stepper *stepper,
			  const struct user_regs_struct *registers)
{
	assert_int_equal(ptrace(PTRACE_SETREGS, stepper->pid, NULL, registers),
			 0);
}

/* To the next stop; false when there is none, since it has ended. */
static bool resume(const struct stepper *stepper, enum __ptrace_request way,
		   int signal, int *ret_status)
{
	assert_int_equal(
		ptrace(way, stepper->pid, NULL, (void *)(intptr_t)signal), 0);
	assert_int_equal(waitpid(stepper->pid, ret_status, 0), stepper->pid);
	return WIFSTOPPED(*ret_status);
}

/* One instruction; the stop that it ends in, SIGTRAP or SIGSEGV. A signal that
 * comes meanwhile waits. */
static int single_step(struct stepper *stepper)
{
	int status, stop;

	for (;;) {
		assert_true(resume(stepper, PTRACE_SINGLESTEP, 0, &status));
		stop = WSTOPSIG(status);
		if (stop == SIGTRAP || stop == SIGSEGV)
			return stop;
		stepper->postponed = stop;
	}
}

static void protect(struct stepper *stepper, uint64_t page, int protection)
{
	struct user_regs_struct before, registers;

	get_registers(stepper, &before);
	registers = before;
	registers.rip = (uintptr_t)stepper_call;
	registers.rax = SYS_mprotect;
	registers.orig_rax = UINT64_MAX; /* no call that were to be restarted */
	registers.rdi = page;
	registers.rsi = PAGE;
	registers.rdx = (uint64_t)protection;
	set_registers(stepper, &registers);
	assert_int_equal(single_step(stepper), SIGTRAP);
	get_registers(stepper, &registers);
	assert_int_equal(registers.rax, 0);
	set_registers(stepper, &before);
}

/* ---- Stores ---- */

static bool is_shared(pid_t pid, uint64_t address)
{
	uint64_t first, end;
	char path[64], line[512], rights[8];
	bool shared = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	file = fopen(path, "re");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s", &first, &end,
			   rights) == 3 &&
		    address >= first && address < end)
			shared = rights[3] == 's';
	fclose(file);
	return shared;
}

static uint64_t fault_page(const struct stepper *stepper)
{
	siginfo_t info;

	assert_int_equal(ptrace(PTRACE_GETSIGINFO, stepper->pid, NULL, &info),
			 0);
	return (uintptr_t)info.si_addr & ~(uint64_t)(PAGE - 1);
}

static void do_store(struct stepper *stepper)
{
	uint64_t pages[PAGES_MAX];
	int n = 0, stop;

	do {
		assert_true(n < PAGES_MAX);
		pages[n] = fault_page(stepper);
		protect(stepper, pages[n++], PROT_READ | PROT_WRITE);
		stop = single_step(stepper);
	} while (stop == SIGSEGV);
	while (n > 0)
		protect(stepper, pages[--n], PROT_READ);
	stepper->before_store = false;
	if (stepper->postponed)
		kill(stepper->pid, stepper->postponed);
	stepper->postponed = 0;
}

/* ---- System calls ---- */

static bool writes_shared(const struct stepper *stepper,
			  const struct user_regs_struct *call)
{
	if (!(call->rdx & PROT_WRITE))
		return false;
	if (call->orig_rax == SYS_mprotect)
		return is_shared(stepper->pid, call->rdi);
	return call->orig_rax == SYS_mmap && (call->r10 & MAP_SHARED) != 0;
}

static void enter_call(struct stepper *stepper)
{
	struct user_regs_struct call;

	stepper->in_call = true;
	stepper->calls++;
	get_registers(stepper, &call);
	stepper->hides_write = writes_shared(stepper, &call);
	if (stepper->hides_write) {
		call.rdx &= ~(uint64_t)PROT_WRITE;
		set_registers(stepper, &call);
	}
}

static void leave_call(struct stepper *stepper)
{
	struct user_regs_struct call;

	stepper->in_call = false;
	if (!stepper->hides_write)
		return;
	/* The caller counts on a register that a call leaves alone. */
	get_registers(stepper, &call);
	call.rdx |= PROT_WRITE;
	set_registers(stepper, &call);
}

/* What a stop means for the way to go on. */
static void note(struct stepper *stepper, int stop)
{
	if (stop == STOP_AT_CALL && stepper->in_call) {
		leave_call(stepper);
	} else if (stop == STOP_AT_CALL) {
		enter_call(stepper);
	} else if (stop == SIGSEGV &&
		   is_shared(stepper->pid, fault_page(stepper))) {
		stepper->before_store = true;
		stepper->stores++;
	} else {
		stepper->signal = stop;
	}
}

/* ---- What others call ---- */

void stepper_start(struct stepper *stepper, void (*life)(const void *context),
		   const void *context)
{
	int status;

	*stepper = (struct stepper){ .pid = fork() };
	assert_true(stepper->pid >= 0);
	if (stepper->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(11);
		raise(SIGSTOP);
		life(context);
		_exit(12);
	}
	assert_int_equal(waitpid(stepper->pid, &status, 0), stepper->pid);
	assert_true(WIFSTOPPED(status));
	assert_int_equal(ptrace(PTRACE_SETOPTIONS, stepper->pid, NULL,
				PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL),
			 0);
}

bool stepper_step(struct stepper *stepper, int *ret_status)
{
	int signal;

	if (stepper->before_store)
		do_store(stepper);
	signal = stepper->signal;
	stepper->signal = 0;
	if (!resume(stepper, PTRACE_SYSCALL, signal, ret_status))
		return false;
	note(stepper, WSTOPSIG(*ret_status));
	return true;
}

bool stepper_freeze(struct stepper *stepper, int *ret_status)
{
	assert_int_equal(kill(stepper->pid, SIGSTOP), 0);
	for (int i = 0; stepper->signal != SIGSTOP; i++) {
		assert_true(i < STEPS_MAX);
		if (!stepper_step(stepper, ret_status))
			return false;
	}
	/* That was the signal on its way; this is the process that it stops. */
	assert_true(resume(stepper, PTRACE_SYSCALL, SIGSTOP, ret_status));
	assert_int_equal(WSTOPSIG(*ret_status), SIGSTOP);
	stepper->signal = 0;
	return true;
}

int stepper_thaw(struct stepper *stepper)
{
	int status, i = 0;

	assert_int_equal(kill(stepper->pid, SIGCONT), 0);
	while (stepper_step(stepper, &status))
		assert_true(++i < STEPS_MAX);
	return status;
}

void stepper_kill(struct stepper *stepper)
{
	int status;

	assert_int_equal(kill(stepper->pid, SIGKILL), 0);
	assert_int_equal(waitpid(stepper->pid, &status, 0), stepper->pid);
}
