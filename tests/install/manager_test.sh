#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# manager_test.sh BUILD SOURCE [CHECK]: the installed user units under a real
# `systemd --user`; what is tried is in manager_check.sh. Exits with 77 where
# that is impossible.
#
# Whatever units such a manager finds on the machine, none of them may change
# it. So the manager runs as nobody, in namespaces of its own, and everything
# that was mounted before is read-only to it: manager_boot.sh sees to that, and
# starts nothing unless it holds.

set -eu
unset CDPATH DESTDIR

build=$1
source=$2
here=$source/tests/install
check=${3:-$here/manager_check.sh}

skip() {
	echo "manager_test: skipped: $*"
	exit 77
}

[ "$(id -u)" -eq 0 ] || skip "only root can make the namespaces"
[ -x /lib/systemd/systemd ] || skip "no systemd is installed"
for tool in unshare setpriv; do
	command -v "$tool" >/dev/null || skip "there is no $tool"
done

# Without a group of its own, the manager would take the machine's.
tree=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
[ -n "$tree" ] || skip "no cgroup2 is mounted"
group=$tree$(sed -n 's/^0:://p' /proc/self/cgroup)
group=${group%/}/tenure-manager-$$
mkdir "$group" 2>/dev/null || skip "no cgroup can be made"

work=$(mktemp -d /tmp/tenure-manager-XXXXXX)
pid=

clean_up() {
	if [ -n "$pid" ]; then
		kill -KILL "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	fi
	tries=0
	# The kernel needs a moment to bury the processes.
	until [ ! -d "$group" ] || [ "$tries" -gt 100 ]; do
		find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null ||
			true
		tries=$((tries + 1))
		sleep 0.05
	done
	rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

in_namespaces() {
	unshare --pid --fork --mount --mount-proc --kill-child --ipc --uts \
		--net --cgroup "$@"
}
in_namespaces true 2>/dev/null || skip "no namespaces can be made"

DESTDIR=$work/stage cmake --install "$build" --prefix /usr/local >/dev/null
if [ ! -e "$work/stage/usr/local/lib/systemd/user/tenured.service" ]; then
	skip "built without systemd"
fi
cc -o "$work/consumer" "$here/consumer-c/main.c" \
	-I"$work/stage/usr/local/include" -L"$build/lib" -ltenure
cp "$build"/lib/libtenure.so.* "$work"
cp "$here/manager_boot.sh" "$work/boot.sh"
cp "$check" "$work/check.sh"
mkdir "$work/home"
chown -R nobody "$work"
chmod 755 "$work"

(
	sh -c 'echo $PPID' >"$group/cgroup.procs"
	in_namespaces sh "$work/boot.sh" "$work"
) </dev/null >"$work/log" 2>&1 &
pid=$!
status=0
wait "$pid" || status=$?
pid=
if [ "$status" -eq 77 ]; then
	skip "$(tail -n 1 "$work/log")"
fi
if [ "$status" -ne 0 ]; then
	tail -n 60 "$work/log" "$work/daemon.log" >&2 || true
	exit 1
fi
tail -n 1 "$work/log"
