#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# manager_boot.sh WORK: process 1 of the namespaces of manager_test.sh, which
# is root there and nobody outside. Makes all that is mounted read-only,
# furnishes what a manager must write to, makes sure of both, and goes on as
# nobody, here as outside, with WORK/check.sh.

set -eu

work=$1

give_up() {
	echo "$*"
	exit 77
}

# Whoever starts this by hand must not lose his machine: it does nothing unless
# it is the first process of its own, and its root has no power elsewhere.
[ $$ -eq 1 ] || give_up "not process 1 of a pid namespace"
read -r inside outside count </proc/self/uid_map
if [ "$inside" -ne 0 ] || [ "$outside" -eq 0 ] || [ "$count" -ne 1 ]; then
	give_up "root here is root outside"
fi

mounts() {
	# The kernel writes blanks in names as \040.
	cut -d' ' -f2 /proc/self/mounts | while read -r mount; do
		printf '%b\n' "$mount"
	done
}

mounts >"$work/mounts"
while read -r mount; do
	[ "$mount" = /proc ] ||
		mount -o remount,bind,ro "$mount" 2>/dev/null || true
done <"$work/mounts"

# What may be written to, which is all private. WORK lies below /tmp.
mount -t tmpfs tmpfs /run
mount --bind "$work" /mnt
mount -o remount,bind,rw /mnt
mount -t tmpfs tmpfs /tmp
mkdir -p "$work"
mount --move /mnt "$work"
mount -t tmpfs tmpfs /var/tmp
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount --bind "$work/stage/usr/local" /usr/local
mkdir -p /run/systemd/system /run/user
mkdir -m 700 /run/user/65534

# Nothing is started unless all of it holds. The root of a machine's groups has
# no type.
[ -e /sys/fs/cgroup/cgroup.type ] || give_up "no group of its own"
for place in / /etc /usr /var /home /root /dev /sys; do
	[ ! -w "$place" ] || give_up "$place could be written to"
done
awk -v work="$work" '
	# The last mount of a place is the one that is seen.
	{ options[$2] = $4 }
	END {
		split("/proc /tmp /var/tmp /run /dev/shm /sys/fs/cgroup " \
			"/usr/local " work, list, " ")
		for (i in list)
			ours[list[i]] = 1
		for (place in options)
			if (!(place in ours) && options[place] !~ /^ro(,|$)/)
				bad = bad " " place
		if (bad) {
			print "these could be written to:" bad
			exit 1
		}
	}' /proc/self/mounts || exit 77

# When process 1 ends, so does everything here: after the check, and when the
# test that has started us and holds the other end of stdin has gone.
exec 3<&0
trap 'exit 1' TERM
(
	cat <&3 >/dev/null
	kill -TERM $$
) &
unshare --user --map-user=65534 --map-group=65534 env -i PATH="$PATH" \
	HOME="$work/home" USER=nobody LOGNAME=nobody SHELL=/bin/sh \
	XDG_RUNTIME_DIR=/run/user/65534 container=other \
	LD_LIBRARY_PATH="$work" sh "$work/check.sh" "$work" 3<&- &
wait $!
