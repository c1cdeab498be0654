#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# manager_boot.sh WORK: process 1 of the namespaces of manager_test.sh. Makes
# all that is mounted read-only, furnishes what a manager must write to, makes
# sure of both, and goes on as nobody with WORK/check.sh.

set -eu

work=$1

give_up() {
	echo "$*"
	exit 77
}

mounts() {
	# The kernel writes blanks in names as \040.
	cut -d' ' -f2 /proc/self/mounts | while read -r mount; do
		printf '%b\n' "$mount"
	done
}

mount --make-rprivate /
mounts >"$work/mounts"
while read -r mount; do
	[ "$mount" = /proc ] ||
		mount -o remount,bind,ro "$mount" 2>/dev/null || true
done <"$work/mounts"

# A manager writes to /proc/PID, and nobody here to these.
for file in sys sysrq-trigger irq bus fs; do
	[ ! -e "/proc/$file" ] || {
		mount --bind "/proc/$file" "/proc/$file"
		mount -o remount,bind,ro "/proc/$file"
	}
done

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
chown nobody /run/user/65534 /sys/fs/cgroup /sys/fs/cgroup/cgroup.procs \
	/sys/fs/cgroup/cgroup.subtree_control /sys/fs/cgroup/cgroup.threads

# Nothing is started unless all of it holds.
for place in / /etc /usr /var /home /root /dev /sys /proc/sys; do
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

exec setpriv --reuid nobody --regid nogroup --clear-groups \
	--bounding-set=-all --inh-caps=-all env -i PATH="$PATH" \
	HOME="$work/home" USER=nobody LOGNAME=nobody SHELL=/bin/sh \
	XDG_RUNTIME_DIR=/run/user/65534 container=other \
	LD_LIBRARY_PATH="$work" sh "$work/check.sh" "$work"
