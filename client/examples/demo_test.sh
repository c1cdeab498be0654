#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The demo as a person runs it: on its own input, on a file, on what is no
# file, and interrupted. It must tell the truth by its exit status, and leave
# no file and no process behind.

set -u

bin=$TENURE_BIN_DIR
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
