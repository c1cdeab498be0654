#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# units_test.sh BUILD: systemd understands every line of what is installed for
# it, and the system's service keeps the measure of exposure that it has. All of
# it is read, and nothing started; the files of sysusers.d and tmpfiles.d are
# carried out below a root of their own.

set -eu
unset CDPATH DESTDIR

build=$1

skip() {
	echo "units_test: skipped: $*"
	exit 77
}

fail() {
	echo "units_test: $*" >&2
	exit 1
}

for tool in systemd-analyze systemd-sysusers systemd-tmpfiles; do
	command -v "$tool" >/dev/null || skip "there is no $tool"
done
work=$(mktemp -d /tmp/tenure-units-XXXXXX)
trap 'rm -rf "$work"' EXIT
XDG_RUNTIME_DIR=$work/run
export XDG_RUNTIME_DIR
mkdir -m 700 "$XDG_RUNTIME_DIR"

cmake --install "$build" --prefix "$work/p" >/dev/null
lib=$work/p/lib
[ -e "$lib/systemd/system/tenured.service" ] || skip "built without systemd"

# verify MANAGER FILE...: its exit status says nothing of unknown directives
verify() {
	manager=$1
	shift
	systemd-analyze "--$manager" --man=no verify "$@" >"$work/said" 2>&1 ||
		true
	[ ! -s "$work/said" ] || fail "$manager: $(cat "$work/said")"
}

for manager in system user; do
	folder=$lib/systemd/$manager
	verify "$manager" "$folder/tenured.socket" "$folder/tenured.service"
	grep -qxF "ExecStart=$work/p/sbin/tenured" "$folder/tenured.service" ||
		fail "$manager: $(grep ExecStart "$folder/tenured.service")"
done

# It must be able to fail.
sed 's/^Restart=/Restrat=/' "$lib/systemd/user/tenured.service" \
	>"$work/tenured.service"
if (verify user "$work/tenured.service") 2>/dev/null; then
	fail "a misspelt directive passes"
fi

# In tenths: 0.8 of 10.
systemd-analyze security --offline=true --threshold=8 --no-pager \
	"$lib/systemd/system/tenured.service" >"$work/said" 2>&1 ||
	fail "more exposed than before: $(tail -n 1 "$work/said")"

mkdir -p "$work/stage/etc"
systemd-sysusers --root="$work/stage" "$lib/sysusers.d/tenured.conf"
grep -q '^tenured:' "$work/stage/etc/passwd" || fail "no user"
# Nobody but root may give the directory away.
if [ "$(id -u)" -eq 0 ]; then
	systemd-tmpfiles --root="$work/stage" --create \
		"$lib/tmpfiles.d/tenured.conf"
	[ "$(stat -c %a:%u "$work/stage/run/tenured")" = 755:0 ] ||
		fail "directory of the socket"
fi
echo "units_test: passed"
