#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# demo_test.sh CORRUPTION: the demo as a person runs it: on its own input, on a
# file, on what is no file, with a byte that changes on its way (CORRUPTION is
# what does it, to be preloaded), and interrupted. It must tell the truth by its
# exit status, and leave no file and no process behind.

set -u

bin=$TENURE_BIN_DIR
corruption=$1
directory=$(mktemp -d /tmp/tdemo-XXXXXX) || exit 1
trap 'rm -rf "$directory"' EXIT
# The demo makes its files here, so that leftovers are seen.
TMPDIR=$directory/t
export TMPDIR
mkdir "$TMPDIR"

fail() {
	echo "demo_test: $*" >&2
	exit 1
}

# expect STATUS [ARGUMENT]...
expect() {
	wanted=$1
	shift
	"$bin/tenure-demo" "$@" >"$directory/out" 2>"$directory/err"
	status=$?
	if [ $status -ne "$wanted" ]; then
		cat "$directory/out" "$directory/err" >&2
		fail "exit status $status, not $wanted: $*"
	fi
	[ -z "$(ls -A "$TMPDIR")" ] || fail "left files behind: $*"
}

# says TEXT: in what the last one wrote to standard error
says() {
	grep -qF -- "$1" "$directory/err" || fail "did not say '$1'"
}

expect 0 --bin-dir "$bin"
grep -q "given back" "$directory/out" || fail "told nothing of the dead"

cat /usr/bin/* 2>/dev/null | head -c 9000001 >"$directory/a file"
expect 0 --bin-dir "$bin" "$directory/a file"
printf x >"$directory/x"
expect 0 --bin-dir "$bin" "$directory/x"

expect 64
expect 64 --bin-dir "$bin" "$directory/x" "$directory/x"
expect 64 --no-such-option
expect 0 --help
expect 1 --bin-dir "$directory" "$directory/x"
says "build it first"
expect 1 --bin-dir "$bin" "$directory/missing"
says "No such file"
expect 1 --bin-dir "$bin" "$directory"
says "is a directory"
: >"$directory/empty"
expect 1 --bin-dir "$bin" "$directory/empty"
says "is empty"
mkfifo "$directory/fifo"
expect 1 --bin-dir "$bin" "$directory/fifo"
says "is not a regular file"

# A byte that changes. The programs are the real ones, but for one in front of
# which stands a script.
mkdir "$directory/bin"
ln -s "$bin/tenured" "$bin/tenure-demo-producer" "$bin/tenure-demo-consumer" \
	"$directory/bin"

# stands_before PROGRAM: the script comes from standard input
stands_before() {
	rm "$directory/bin/$1"
	{
		echo "#!/bin/sh"
		cat
	} >"$directory/bin/$1"
	chmod +x "$directory/bin/$1"
}

for when in share read; do
	stands_before tenure-demo-producer <<-EOT
		DEMO_CORRUPTION=$when LD_PRELOAD=$corruption \
			exec $bin/tenure-demo-producer "\$@"
	EOT
	expect 1 --bin-dir "$directory/bin" "$directory/a file"
	case $when in
	share) says "a block of a frame has a wrong checksum" ;;
	read) says "the copy differs from the file" ;;
	esac
done
# Without it, the same detour is no trouble.
stands_before tenure-demo-producer <<-EOT
	LD_PRELOAD=$corruption exec $bin/tenure-demo-producer "\$@"
EOT
expect 0 --bin-dir "$directory/bin" "$directory/a file"
stands_before tenure-demo-consumer <<-EOT
	[ "\$3" = --sha256 ] || exec $bin/tenure-demo-consumer "\$@"
	$bin/tenure-demo-consumer "\$@" | tr 0123456789 1234567890
EOT
expect 1 --bin-dir "$directory/bin" "$directory/a file"
says "the consumer saw other bytes than the file's"

# Interrupted, at several moments.
for delay in 0.02 0.1 0.3; do
	"$bin/tenure-demo" --bin-dir "$bin" >"$directory/out" 2>&1 &
	demo=$!
	sleep $delay
	kill -TERM $demo
	wait $demo
	status=$?
	# The signal may come before the handler, or after the end.
	case $status in
	0 | 130 | 143) ;;
	*) fail "exit status $status after SIGTERM" ;;
	esac
	[ -z "$(ls -A "$TMPDIR")" ] || fail "left files when interrupted"
done

for cmdline in /proc/[0-9]*/cmdline; do
	case $(tr '\0' ' ' 2>/dev/null <"$cmdline") in
	*"$TMPDIR/"*) fail "left a process behind: $cmdline" ;;
	esac
done
exit 0
