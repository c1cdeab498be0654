#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# install_test.sh BUILD SOURCE VERSION: what `cmake --install` makes, as others use it.
# Installs into a private prefix, builds programs against it by all three ways
# of finding it, runs them with the daemon that was installed, looks at what
# the library exports and needs, and moves everything to another place.

set -eu
unset CDPATH TENURE_DAEMON TENURE_SOCKET DESTDIR

build=$1
source=$2
version=$3
here=$source/tests/install
work=$(mktemp -d /tmp/tenure-install-XXXXXX)
prefix=$work/prefix
XDG_RUNTIME_DIR=$work/run
export XDG_RUNTIME_DIR
mkdir -m 700 "$XDG_RUNTIME_DIR"
trap 'rm -rf "$work"' EXIT

fail() {
	echo "install_test: $*" >&2
	[ ! -s "$work/log" ] || tail -n 30 "$work/log" >&2
	exit 1
}

# quietly COMMAND...: its output is shown only when it fails
quietly() {
	"$@" >"$work/log" 2>&1 || fail "failed: $*"
}

# has FILE...: each under the prefix
has() {
	for file; do
		[ -e "$prefix/$file" ] || fail "not installed: $file"
	done
}

# exe_of SOCKET: the program of the daemon that listens there
exe_of() {
	for cmdline in /proc/[0-9]*/cmdline; do
		if tr '\0' '\n' 2>/dev/null <"$cmdline" | grep -qxF "$1"; then
			readlink "${cmdline%cmdline}exe"
		fi
	done
}

# runs PROGRAM DAEMON: PROGRAM works, and DAEMON is what it has started
runs() {
	rm -f "$work/in" "$work/out"
	mkfifo "$work/in"
	"$1" <"$work/in" >"$work/out" 2>"$work/log" &
	program=$!
	exec 9>"$work/in"
	tries=0
	until [ -s "$work/out" ] || ! kill -0 "$program" 2>/dev/null; do
		tries=$((tries + 1))
		[ "$tries" -lt 200 ] || fail "$1 hangs"
		sleep 0.05
	done
	exe=$(exe_of "$(cat "$work/out")")
	exec 9>&-
	wait "$program" || fail "$1 failed"
	[ "$exe" = "$2" ] || fail "$1 started '$exe', not $2"
}

library_dynamic() {
	readelf -dW "$1" | sed -n "s/.*($2).*\[\(.*\)\]/\1/p"
}

# --- What is there

quietly cmake --install "$build" --prefix "$prefix"
has sbin/tenured include/tenure/tenure.h include/tenure/types.h \
	include/tenure/dispenser.h include/tenure/pool.h \
	share/bash-completion/completions/tenurectl \
	share/doc/tenure/README.md share/doc/tenure/docs/PROTOCOL.md
[ -x "$prefix/sbin/tenured" ] || fail "tenured cannot be executed"
if find "$prefix" | grep -E 'hello|demo|testing|_test|\.a$'; then
	fail "that should not have been installed"
fi
[ "$("$prefix/sbin/tenured" --version)" = "tenured $version" ] ||
	fail "tenured does not run"

lib=$(find "$prefix" -name libtenure.so)
libdir=${lib%/*}
libdir=${libdir#"$prefix"/}
[ "$(readlink "$lib")" = libtenure.so.0 ] || fail "libtenure.so"
[ "$(readlink "$lib.0")" = "libtenure.so.$version" ] || fail "libtenure.so.0"
[ "$(library_dynamic "$lib" SONAME)" = libtenure.so.0 ] || fail "SONAME"
# The dynamic linker has a part of libc: what finds thread-local variables.
if library_dynamic "$lib" NEEDED | grep -v '^libc\.so\|^ld-linux'; then
	fail "the library needs more than libc"
fi
for file in "$lib" "$prefix/sbin/tenured"; do
	[ -z "$(library_dynamic "$file" 'RPATH\|RUNPATH')" ] ||
		fail "$file looks for libraries in the build"
done

# --- What the library exports: the functions of the header, no others

nm -D --defined-only --with-symbol-versions "$lib" |
	awk '$2 != "A" { print $3 }' | sort >"$work/exported"
sed -n 's/^[a-z].*[ *]\(tenure_[a-z_]*\)(.*/\1@@TENURE_0.1/p' \
	"$prefix"/include/tenure/*.h | sort >"$work/declared"
[ -s "$work/declared" ] || fail "no functions in the header"
diff "$work/declared" "$work/exported" >&2 || fail "exports (> only there)"

# --- Headers alone

for header in tenure.h types.h dispenser.h pool.h; do
	echo "#include <tenure/$header>" >"$work/alone.c"
	for compiler in "cc -std=c11 -x c" "cc -std=c17 -x c" \
			"c++ -std=c++11 -x c++" "c++ -std=c++20 -x c++"; do
		# shellcheck disable=SC2086 # a command and its options
		quietly $compiler -Wall -Wextra -pedantic -Werror \
			-fsyntax-only -I"$prefix/include" "$work/alone.c"
	done
done

# --- Three ways of finding it

for consumer in consumer-c consumer-cxx; do
	quietly cmake -S "$here/$consumer" -B "$work/$consumer" \
		-DCMAKE_PREFIX_PATH="$prefix"
	quietly cmake --build "$work/$consumer"
done
runs "$work/consumer-c/consumer" "$prefix/sbin/tenured"
quietly "$work/consumer-cxx/consumer"
if cmake -S "$here/consumer-c" -B "$work/newer" \
	-DCMAKE_PREFIX_PATH="$prefix" -DTENURE_WANTED=0.2 \
	>"$work/log" 2>&1; then
	fail "0.1 passes for 0.2"
fi

PKG_CONFIG_PATH=$prefix/$libdir/pkgconfig
export PKG_CONFIG_PATH
[ "$(pkg-config --modversion tenure)" = "$version" ] || fail "version of tenure.pc"
# shellcheck disable=SC2046 # one word for each option
quietly cc -std=c11 -Wall -Wextra -pedantic -Werror -o "$work/plain" \
	"$here/consumer-c/main.c" $(pkg-config --cflags --libs tenure)
LD_LIBRARY_PATH=$prefix/$libdir
export LD_LIBRARY_PATH
runs "$work/plain" "$prefix/sbin/tenured"

# --- Moved to another place: nothing names the old one

moved=$work/moved
mv "$prefix" "$moved"
PKG_CONFIG_PATH=$moved/$libdir/pkgconfig
LD_LIBRARY_PATH=$moved/$libdir
# shellcheck disable=SC2046
quietly cc -std=c11 -o "$work/plain" "$here/consumer-c/main.c" \
	$(pkg-config --cflags --libs tenure)
runs "$work/plain" "$moved/sbin/tenured"
# A relative name of the library's directory.
before=$(pwd)
cd "$moved"
LD_LIBRARY_PATH=$libdir
runs "$work/plain" "$moved/sbin/tenured"
cd "$before"
unset LD_LIBRARY_PATH
quietly cmake -S "$here/consumer-c" -B "$work/again" \
	-DCMAKE_PREFIX_PATH="$moved"
quietly cmake --build "$work/again"
runs "$work/again/consumer" "$moved/sbin/tenured"

# --- DESTDIR: a package's tree, whose files name the places of the target

quietly env DESTDIR="$work/root" cmake --install "$build" --prefix /usr
prefix=$work/root
has usr/sbin/tenured usr/include/tenure/tenure.h
if [ -e "$moved/lib/systemd/system/tenured.service" ]; then
	has usr/lib/sysusers.d/tenured.conf usr/lib/tmpfiles.d/tenured.conf
	for manager in system user; do
		file=$(find "$work/root" -path "*/$manager/tenured.service")
		grep -qx "ExecStart=/usr/sbin/tenured" "$file" ||
			fail "$manager/tenured.service: $(grep Exec "$file")"
	done
fi
if grep -rlF "$work" "$work/root"; then
	fail "these name the place where they were staged"
fi
echo "install_test: passed"
