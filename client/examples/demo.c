/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tenure-demo: what Tenure is for, in one minute
 *
 *	                   +--> consumer --sha256
 *	file -> producer --+--> consumer --copy
 *	                   +--> consumer --hold   (killed while it holds frames)
 *	        producer --stop-before-share      (killed before it shares)
 *
 * A private daemon, programs that are processes of their own, a real file.
 * Two of the processes are killed with SIGKILL at bad moments. The demo
 * succeeds when the copy and the digest are those of the file (the program
 * sha256sum is the judge), when the daemon has taken back what the dead held,
 * when it holds nothing at the end, and when it ends with exit status 0.
 *
 * Whatever happens, also on Ctrl-C, no process and no file is left behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "children.h"
#include "frame.h"
#include "input.h"
#include "watch.h"

enum {
	DEADLINE_S = 55, /* and more for a large file */
	SLOWEST_BYTES_PER_S = 20 << 20,
	CONSUMERS = 3,
	DIGEST_CHARS = 64,
	EX_USAGE = 64,
	EX_INTERRUPTED = 130,
};

struct demo {
	const char *bin_dir;
	const char *file; /* what is passed on */
	uint64_t file_bytes, frames;
	uint64_t hold_from; /* frame that the holder begins to keep */
	double began_s;
	char directory[64];
	char socket[96], log[96], copy[96], assembled[96];
	struct child *daemon, *producer, *hash, *copier, *holder, *stopper;
	struct tenure *tenure;
	struct sight base;
	bool holder_is_dead, stopper_is_dead;
	char shown[LINE_BYTES];
};

static struct demo demo;

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int remove_entry(const char *path, const struct stat *st, int type,
			struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void clean_up(void)
{
	tenure_disconnect(demo.tenure);
	demo.tenure = NULL;
	children_end();
	if (demo.directory[0])
		nftw(demo.directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	demo.directory[0] = '\0';
}

static _Noreturn __attribute__((format(printf, 1, 2))) void
fail(const char *format, ...)
{
	va_list arguments;

	fflush(stdout);
	fprintf(stderr, "tenure-demo: ");
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, "\n");
	exit(1);
}

static double deadline_s(void)
{
	return (double)DEADLINE_S +
	       (double)demo.file_bytes / (double)SLOWEST_BYTES_PER_S;
}

/* Lets the children run; fails when one of those that must not has died. */
static void pump(int timeout_ms)
{
	const struct child *must_live[] = { demo.daemon, demo.producer,
					    demo.hash, demo.copier };

	if (!children_pump(timeout_ms)) {
		fprintf(stderr, "tenure-demo: interrupted\n");
		exit(EX_INTERRUPTED);
	}
	if (now_s() - demo.began_s > deadline_s())
		fail("this takes longer than %.0f s", deadline_s());
	for (size_t i = 0; i < ARRAY_SIZE(must_live); i++) {
		if (must_live[i] && must_live[i]->ended &&
		    !child_succeeded(must_live[i]))
			fail("the %s failed", must_live[i]->name);
	}
	if (demo.daemon && demo.daemon->ended)
		fail("the daemon ended too early");
}

/* The path of one of the programs; fails when it has not been built. */
static const char *program(const char *name)
{
	static char paths[4][PATH_MAX];
	static size_t next;
	char *path = paths[next++ % ARRAY_SIZE(paths)];

	snprintf(path, PATH_MAX, "%s/%s", demo.bin_dir, name);
	if (access(path, X_OK) < 0)
		fail("%s: %s (build it first, and name its directory with "
		     "--bin-dir)",
		     path, strerror(errno));
	return path;
}

/* ---- The stage ---- */

static void make_directory(void)
{
	const char *base = getenv("TMPDIR");

	if (!base || base[0] != '/' || strlen(base) > 30)
		base = "/tmp";
	snprintf(demo.directory, sizeof(demo.directory),
		 "%s/tenure-demo-XXXXXX", base);
	if (!mkdtemp(demo.directory)) {
		demo.directory[0] = '\0';
		fail("%s: %s", base, strerror(errno));
	}
	snprintf(demo.socket, sizeof(demo.socket), "%s/tenured.sock",
		 demo.directory);
	snprintf(demo.log, sizeof(demo.log), "%s/tenured.log", demo.directory);
	snprintf(demo.copy, sizeof(demo.copy), "%s/copy", demo.directory);
	snprintf(demo.assembled, sizeof(demo.assembled), "%s/input",
		 demo.directory);
}

static void wait_until_ready(int fd)
{
	char byte;
	ssize_t n;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	while ((n = read(fd, &byte, 1)) < 0 && errno == EAGAIN)
		pump(2);
	if (n != 1)
		fail("the daemon did not get ready");
	close(fd);
}

/* Its standard error is the log that the demo reads. */
static void start_daemon(void)
{
	int log =
		open(demo.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	char number[16];
	int ready[2];

	if (log < 0 || pipe2(ready, O_CLOEXEC) < 0)
		fail("%s: %s", demo.log, strerror(errno));
	snprintf(number, sizeof(number), "%d", ready[1]);
	demo.daemon = child_start(
		"daemon",
		(const char *[]){ program("tenured"), "--socket", demo.socket,
				  "--log-level", "info", "--ready-fd", number,
				  NULL },
		&ready[1], 1, log);
	close(log);
	close(ready[1]);
	wait_until_ready(ready[0]);
	printf("daemon       pid %d, listening on %s\n", (int)demo.daemon->pid,
	       demo.socket);
}

static void connect_and_look(void)
{
	char why[200];

	if (tenure_connect(demo.socket, 0, &demo.tenure) < 0)
		fail("%s", tenure_explain(why, sizeof(why)));
	if (!watch_look(demo.tenure, demo.daemon->pid, &demo.base))
		exit(1);
}

/* ---- The cast ---- */

static void start_consumers(int producer_ends[CONSUMERS])
{
	static const char *const names[CONSUMERS] = {
		"consumer that hashes",
		"consumer that copies",
		"consumer that holds",
	};
	struct child *consumers[CONSUMERS];
	char from[24], fd[16];
	int ends[2];

	demo.hold_from = demo.frames / 4;
	snprintf(from, sizeof(from), "%" PRIu64, demo.hold_from);
	for (int i = 0; i < CONSUMERS; i++) {
		const char *const what[CONSUMERS][2] = {
			{ "--sha256", NULL },
			{ "--copy", demo.copy },
			{ "--hold", from },
		};

		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
			       ends) < 0)
			fail("socketpair: %s", strerror(errno));
		snprintf(fd, sizeof(fd), "%d", ends[1]);
		consumers[i] = child_start(
			names[i],
			(const char *[]){ program("tenure-demo-consumer"),
					  demo.socket, fd, what[i][0],
					  what[i][1], NULL },
			&ends[1], 1, -1);
		close(ends[1]);
		producer_ends[i] = ends[0];
	}
	demo.hash = consumers[0];
	demo.copier = consumers[1];
	demo.holder = consumers[2];
}

static void start_producer(const int producer_ends[CONSUMERS])
{
	char fds[CONSUMERS][16];

	for (int i = 0; i < CONSUMERS; i++)
		snprintf(fds[i], sizeof(fds[i]), "%d", producer_ends[i]);
	demo.producer = child_start(
		"producer",
		(const char *[]){ program("tenure-demo-producer"), demo.socket,
				  demo.file, fds[0], fds[1], fds[2], NULL },
		producer_ends, CONSUMERS, -1);
	for (int i = 0; i < CONSUMERS; i++)
		close(producer_ends[i]);
	printf("producer     pid %d\n"
	       "consumers    pid %d hashes, pid %d copies, pid %d will die\n",
	       (int)demo.producer->pid, (int)demo.hash->pid,
	       (int)demo.copier->pid, (int)demo.holder->pid);
}

static void start_stopper(void)
{
	demo.stopper = child_start(
		"producer that stops",
		(const char *[]){ program("tenure-demo-producer"), demo.socket,
				  demo.file, "--stop-before-share", NULL },
		NULL, 0, -1);
}

/* ---- The play ---- */

static void show_progress(void)
{
	unsigned long long frame, frames;

	if (strcmp(demo.shown, demo.producer->line) == 0)
		return;
	strcpy(demo.shown, demo.producer->line);
	if (sscanf(demo.shown, "frame %llu of %llu", &frame, &frames) != 2)
		return;
	/* About ten lines, however long the file is. */
	if (frame % (frames / 10 + 1) == 0 || frame == frames)
		printf("  frame %llu of %llu, %.1f s\n", frame, frames,
		       now_s() - demo.began_s);
}

/* Kills a process and shows what the daemon makes of it. */
static void kill_and_tell(struct child *victim, const char *moment,
			  struct end_of_client *ret)
{
	double killed_s = now_s();

	child_kill(victim, SIGKILL);
	while (!watch_end_of(demo.log, victim->pid, ret)) {
		if (now_s() - killed_s > 5)
			fail("the daemon has not reclaimed what the %s "
			     "(pid %d) held",
			     victim->name, (int)victim->pid);
		pump(1);
		show_progress();
	}
	printf("killed       pid %d, the %s, %s\n"
	       "    it held  %s\n"
	       "    then     %s\n"
	       "    seen     %.1f ms after the kill\n",
	       (int)victim->pid, victim->name, moment, ret->ended,
	       ret->reclaimed, (now_s() - killed_s) * 1e3);
}

/*
 * Whether the others have gone on as far as they can without the holder: the
 * producer has made all frames, or waits since too many are in flight, and
 * the only openings are the holder's and the producer's of those in flight.
 */
static bool others_have_gone_on(unsigned long long held)
{
	unsigned long long made;
	struct sight sight;

	if (sscanf(demo.producer->line, "frame %llu of", &made) != 1 ||
	    (made != demo.frames &&
	     made != demo.hold_from + held + FRAMES_IN_FLIGHT))
		return false;
	if (!watch_look(demo.tenure, demo.daemon->pid, &sight))
		exit(1);
	return sight.status.resources == made - demo.hold_from;
}

static void kill_holder(void)
{
	struct end_of_client end;
	unsigned long long frames;

	if (demo.holder_is_dead ||
	    sscanf(demo.holder->line, "holding %llu frames", &frames) != 1 ||
	    !others_have_gone_on(frames))
		return;
	kill_and_tell(demo.holder, "the last to hold its frames", &end);
	if (end.resources != frames || end.allocations != 3 * frames)
		fail("it had %llu frames open", frames);
	if (strstr(end.reclaimed, "; 0 bytes given back"))
		fail("nobody else held its frames; why do they live on?");
	demo.holder_is_dead = true;
	start_stopper();
}

static void kill_stopper(void)
{
	struct end_of_client end;

	if (demo.stopper_is_dead || !demo.stopper ||
	    strcmp(demo.stopper->line, "created") != 0)
		return;
	kill_and_tell(demo.stopper, "between create and share", &end);
	if (end.resources != 1 || end.tokens != 0)
		fail("it had one frame and no token");
	demo.stopper_is_dead = true;
}

static void play(void)
{
	while (!demo.producer->ended || !demo.hash->ended ||
	       !demo.copier->ended || !demo.stopper_is_dead) {
		pump(20);
		show_progress();
		kill_holder();
		kill_stopper();
		if (demo.holder->ended && !demo.holder_is_dead)
			fail("the %s failed", demo.holder->name);
		if (demo.stopper && demo.stopper->ended &&
		    !demo.stopper_is_dead)
			fail("the %s failed", demo.stopper->name);
	}
	/* What they said last may still be in the pipes. */
	while (demo.hash->out >= 0)
		pump(1);
}

/* ---- The verdict ---- */

static const char *find_sha256sum(void)
{
	static const char path[] = "/usr/bin/sha256sum";

	if (access(path, X_OK) < 0)
		fail("%s: %s (it belongs to coreutils)", path, strerror(errno));
	return path;
}

static void digest_of(const char *path, char ret_digest[DIGEST_CHARS + 1])
{
	struct child *child = child_start("sha256sum",
					  (const char *[]){ find_sha256sum(),
							    "--", path, NULL },
					  NULL, 0, -1);

	while (!child->ended || child->out >= 0)
		pump(20);
	/* A backslash stands before the digest of an odd name. */
	if (!child_succeeded(child) ||
	    sscanf(child->line, "%*[\\]%64[0-9a-f]", ret_digest) +
			    sscanf(child->line, "%64[0-9a-f]", ret_digest) <
		    1 ||
	    strlen(ret_digest) != DIGEST_CHARS)
		fail("sha256sum %s failed", path);
}

static void compare_digests(void)
{
	char of_file[DIGEST_CHARS + 1] = "", of_copy[DIGEST_CHARS + 1] = "";
	char seen[DIGEST_CHARS + 1] = "";

	digest_of(demo.file, of_file);
	digest_of(demo.copy, of_copy);
	sscanf(demo.hash->line, "sha256 %64[0-9a-f]", seen);
	printf("sha256       %s  the file\n"
	       "             %s  the copy\n"
	       "             %s  as the consumer saw it\n",
	       of_file, of_copy, seen);
	if (strcmp(of_file, of_copy) != 0)
		fail("the copy differs from the file");
	if (strcmp(of_file, seen) != 0)
		fail("the consumer saw other bytes than the file's");
}

static void show_sight(const char *when, const struct sight *s)
{
	printf("%s %" PRIu64 " handles, %" PRIu64 " bytes, %" PRIu64
	       " stores, %" PRIu64 " tokens; %u descriptors; Shmem %" PRIu64
	       " MiB\n",
	       when, s->status.handles, s->status.bytes, s->status.stores,
	       s->status.tokens, s->fds, s->shmem_bytes >> 20);
}

/* Live handles, bytes and descriptors are those of the beginning. */
static void compare_sights(void)
{
	double began_s = now_s();
	struct sight end;

	for (;;) {
		if (!watch_look(demo.tenure, demo.daemon->pid, &end))
			exit(1);
		if (watch_is_back(&demo.base, &end) || now_s() - began_s > 3)
			break;
		pump(5);
	}
	show_sight("at the start", &demo.base);
	show_sight("at the end  ", &end);
	if (!watch_is_back(&demo.base, &end))
		fail("the daemon still holds something");
	if (end.status.release_failures_total != 0)
		fail("a release failed");
}

static void stop_daemon(void)
{
	struct child *daemon = demo.daemon;
	double began_s = now_s();

	tenure_disconnect(demo.tenure);
	demo.tenure = NULL;
	demo.daemon = NULL;
	child_kill(daemon, SIGTERM);
	while (!daemon->ended) {
		if (now_s() - began_s > 6)
			fail("the daemon does not end");
		pump(20);
	}
	if (!child_succeeded(daemon))
		fail("the daemon did not end with exit status 0");
	printf("daemon       ended with exit status 0, %.0f ms after SIGTERM\n",
	       (now_s() - began_s) * 1e3);
}

static void take_arguments(int argc, char **argv)
{
	static const char usage[] =
		"Usage: tenure-demo --bin-dir DIR [FILE]\n"
		"Passes a file through a private daemon from one process to "
		"others, kills two of\nthem, and shows that nothing is lost "
		"and nothing is left. Without FILE it makes\none from what is "
		"installed.\n";
	static const struct option options[] = {
		{ "bin-dir", required_argument, NULL, 'b' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == 'b') {
			demo.bin_dir = optarg;
		} else {
			fputs(usage, option == 'h' ? stdout : stderr);
			exit(option == 'h' ? 0 : EX_USAGE);
		}
	}
	if (!demo.bin_dir || argc - optind > 1) {
		fputs(usage, stderr);
		exit(EX_USAGE);
	}
	demo.file = argv[optind];
}

static void check_programs(void)
{
	program("tenured");
	program("tenure-demo-producer");
	program("tenure-demo-consumer");
}

static void take_input(void)
{
	if (!demo.file) {
		printf("input        collecting installed files\n");
		fflush(stdout);
		demo.file = demo.assembled;
		if (!input_assemble(demo.file, &demo.file_bytes))
			exit(1);
	}
	demo.frames = (demo.file_bytes + FRAME_PAYLOAD_BYTES - 1) /
		      FRAME_PAYLOAD_BYTES;
	printf("input        %s, %" PRIu64 " bytes, %" PRIu64
	       " frames of 4 MiB\n",
	       demo.file, demo.file_bytes, demo.frames);
}

int main(int argc, char **argv)
{
	int producer_ends[CONSUMERS];

	setvbuf(stdout, NULL, _IOLBF, 0);
	take_arguments(argc, argv);
	if (demo.file && !input_check(demo.file, &demo.file_bytes))
		return 1;
	check_programs();
	demo.began_s = now_s();
	children_watch_signals();
	atexit(clean_up);
	make_directory();
	take_input();
	start_daemon();
	connect_and_look();
	start_consumers(producer_ends);
	start_producer(producer_ends);
	play();
	printf("passed on    %" PRIu64 " bytes to two consumers, %.1f s\n",
	       demo.file_bytes, now_s() - demo.began_s);
	compare_digests();
	compare_sights();
	stop_daemon();
	printf("the demo succeeded in %.1f s\n", now_s() - demo.began_s);
	return 0;
}
