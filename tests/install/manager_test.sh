#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# manager_test.sh BUILD SOURCE [CHECK]: the installed user units under a real
# `systemd --user`; what is tried is in manager_check.sh. Exits with 77 where
# that is impossible.
#
# Whatever units such a manager finds on the machine, none of them may change
# it. So root only makes a directory and a control group, gives them to nobody,
# and becomes nobody itself before it makes the namespaces: whatever goes wrong
# in there is the doing of a user with no rights at all. manager_boot.sh makes
# everything read-only on top of that, and starts nothing unless it is.

set -eu
unset CDPATH DESTDIR

build=$1
source=$2
here=$source/tests/install
check=${3:-$here/manager_check.sh}
group=
work=
pid=

skip() {
	echo "manager_test: skipped: $*"
	exit 77
}

# All processes are in the group, however they were started.
clean_up() {
	[ -z "$group" ] || echo 1 >"$group/cgroup.kill" || true
	if [ -n "$pid" ]; then
		kill -KILL "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	fi
	tries=0
	# The kernel needs a moment to bury the processes.
	until [ -z "$group" ] || [ ! -d "$group" ] || [ "$tries" -gt 100 ]; do
		find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null ||
			true
		tries=$((tries + 1))
		sleep 0.05
	done
	[ -z "$work" ] || rm -rf --one-file-system "$work"
}

in_namespaces() {
	exec setpriv --reuid nobody --regid nogroup --clear-groups \
		--bounding-set=-all --inh-caps=-all \
		unshare --user --map-root-user --pid --fork --mount \
		--mount-proc --kill-child --ipc --uts --net --cgroup "$@"
}

[ "$(id -u)" -eq 0 ] || skip "only root can make the control group"
[ -x /lib/systemd/systemd ] || skip "no systemd is installed"
for tool in unshare setpriv; do
	command -v "$tool" >/dev/null || skip "there is no $tool"
done
(in_namespaces true) 2>/dev/null || skip "no namespaces can be made"

trap clean_up EXIT
trap 'exit 1' HUP INT TERM

# Without a group of its own, the manager would take the machine's.
tree=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
[ -n "$tree" ] || skip "no cgroup2 is mounted"
path=$tree$(sed -n 's/^0:://p' /proc/self/cgroup)
path=${path%/}/tenure-manager-$$
mkdir "$path" 2>/dev/null || skip "no cgroup can be made"
group=$path
[ -e "$group/cgroup.kill" ] || skip "groups cannot be killed here"
chown nobody "$group" "$group/cgroup.procs" \
	"$group/cgroup.subtree_control" "$group/cgroup.threads"

work=$(mktemp -d /tmp/tenure-manager-XXXXXX)
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
mkfifo "$work/alive"
exec 3<>"$work/alive"
chmod 755 "$work"
chown -Rh nobody "$work"

(
	sh -c 'echo $PPID' >"$group/cgroup.procs"
	in_namespaces sh "$work/boot.sh" "$work"
) <"$work/alive" 3>&- >"$work/log" 2>&1 &
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
