#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# manager_check.sh WORK: run as nobody in what manager_boot.sh has furnished.
# Starts a user manager and tries everything that the user units promise, from
# the first client to the last stop.

set -u

work=$1
socket=$XDG_RUNTIME_DIR/tenured/tenured.sock
config=$work/home/tenured.conf

fail() {
	systemctl --user status --no-pager tenured.socket tenured.service
	echo "manager_check: $*"
	exit 1
}

ctl() {
	systemctl --user "$@" || fail "failed: systemctl $*"
}

# of PROPERTY: of the service
of() {
	systemctl --user show --value -p "$1" tenured.service
}

is() {
	[ "$(of "$1")" = "$2" ]
}

# eventually COMMAND...: succeeds within ten seconds
eventually() {
	tries=0
	until "$@" >/dev/null 2>&1; do
		tries=$((tries + 1))
		[ "$tries" -lt 200 ] || fail "never: $*"
		sleep 0.05
	done
}

has_restarted() {
	[ "$(of MainPID)" != "$pid" ] && is SubState running
}

# One that finds the daemon by itself.
client() {
	said=$("$work/consumer" </dev/null) || fail "a client failed"
	[ "$said" = "$socket" ] || fail "the client found '$said'"
}

# What the daemon says is wanted when the test fails.
mkdir -p "$XDG_RUNTIME_DIR/systemd/user/tenured.service.d"
cat >"$XDG_RUNTIME_DIR/systemd/user/tenured.service.d/log.conf" <<EOT
[Service]
StandardError=append:$work/daemon.log
EOT
/lib/systemd/systemd --user --unit=basic.target &
eventually systemctl --user is-active --quiet basic.target

# --- The first client starts it

ctl start tenured.socket
[ "$(stat -c %a "$socket") $(stat -c %a "${socket%/*}")" = "600 700" ] ||
	fail "modes of the socket and its directory"
is ActiveState inactive || fail "it runs before anybody has come"
client
is SubState running || fail "the first client has not started it"
# It would not be active had it not said so.
is Type notify || fail "it is not asked whether it is ready"
pid=$(of MainPID)
[ "$(readlink "/proc/$pid/exe")" = /usr/local/sbin/tenured ] ||
	fail "another program runs"
for line in 'Seccomp:.2' 'NoNewPrivs:.1'; do
	grep -q "^$line" "/proc/$pid/status" || fail "not so: $line"
done

# --- Reload, crash, restart

ctl reload tenured.service
eventually grep -q "were read again" "$work/daemon.log"
is MainPID "$pid" || fail "a reload has restarted it"
kill -KILL "$pid"
eventually has_restarted
is NRestarts 1 || fail "restarts: $(of NRestarts)"
client
pid=$(of MainPID)
ctl restart tenured.service
has_restarted || fail "a restart did nothing"
client

# --- A stop is clean, by the manager or by a signal, and the socket stays

ctl stop tenured.service
is Result success || fail "result of the stop: $(of Result)"
is ExecMainStatus 0 || fail "exit status of the stop: $(of ExecMainStatus)"
client
is SubState running || fail "a client after the stop has not started it"
ctl kill --signal=TERM --kill-who=main tenured.service
eventually is ActiveState inactive
is Result success || fail "result of SIGTERM: $(of Result)"
client

# --- A wrong configuration is not tried again and again

ctl stop tenured.service
ctl set-environment TENURED_CONFIG="$config"
printf '[nonsense]\nx = 1\n' >"$config"
systemctl --user start tenured.service && fail "nonsense is accepted"
is ExecMainStatus 78 || fail "exit status: $(of ExecMainStatus)"
is ActiveState failed || fail "it is tried again: $(of ActiveState)"
: >"$config"
client

# --- The end

ctl stop tenured.socket
eventually is ActiveState inactive
is Result success || fail "result of the last stop: $(of Result)"
[ ! -e "$socket" ] || fail "the socket was left"
echo "manager_check: passed"
