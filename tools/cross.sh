#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# tools/cross.sh: builds the core for 64-bit ARM and runs its unit tests under
# qemu. That shows that it works there, not that its memory orders are right:
# the models are for that (docs/MEMORY_MODEL.md).
#
# The libraries that the tests stand on come from Debian's archive into a
# directory of their own; the system's list of architectures stays as it is.
# Without the compiler, the emulator or the archive it says so and ends with 77,
# which is "skipped" to ctest.

set -eu
cd -- "$(dirname -- "$0")/.."
root=$PWD
folder=$root/build/aarch64
sysroot=$folder/sysroot
libraries='libcmocka-dev libcmocka0 libuv1-dev libuv1 libinih-dev libinih1
	libjansson-dev libjansson4 libjemalloc-dev libjemalloc2'

skip() {
	echo "cross: skipped: $*" >&2
	exit 77
}

for tool in aarch64-linux-gnu-gcc qemu-aarch64-static apt-get dpkg-deb; do
	command -v "$tool" >/dev/null || skip "there is no $tool"
done

# apt for another architecture, with its lists beside the packages.
foreign_apt() {
	apt-get -q -o APT::Architecture=arm64 -o APT::Architectures=arm64 \
		-o APT::Sandbox::User= -o Debug::NoLocking=1 \
		-o Dir::State="$folder/apt/state" \
		-o Dir::Cache="$folder/apt/cache" \
		-o Dir::State::status="$folder/apt/status" "$@"
}

fetch() {
	mkdir -p "$folder/apt/state/lists/partial" \
		"$folder/apt/cache/archives/partial" "$folder/apt/packages"
	: >"$folder/apt/status"
	foreign_apt update >"$folder/apt/log" 2>&1 || return
	# shellcheck disable=SC2086 # one word for each package
	(cd "$folder/apt/packages" && foreign_apt download $libraries) \
		>>"$folder/apt/log" 2>&1 || return
	for package in "$folder"/apt/packages/*.deb; do
		dpkg-deb -x "$package" "$sysroot" || return
	done
	touch "$folder/fetched"
}

[ -e "$folder/fetched" ] || fetch ||
	skip "no packages for arm64 to be had ($folder/apt/log)"

TENURE_SYSROOT=$sysroot
export TENURE_SYSROOT
cmake -S . -B "$folder/build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo \
	-DCMAKE_TOOLCHAIN_FILE="$root/cmake/Aarch64.cmake" \
	-DWITH_SYSTEMD=OFF -DWITH_BENCH=OFF -DTENURE_TESTS_IN_C=ON \
	>"$folder/log" 2>&1 || {
	cat "$folder/log" >&2
	exit 1
}
cmake --build "$folder/build" -j"${TENURE_JOBS:-2}" --target core_tests \
	core_table_threads torture_stale torture_history torture_workers
# Thousands of deaths are not for an emulator, nor a million histories.
ctest --test-dir "$folder/build" --output-on-failure --no-tests=error \
	-R '^(core_.*|torture_(stale|history|workers))$' -LE long \
	-E '^core_killed$'
