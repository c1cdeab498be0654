#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# tools/coverage.sh BUILD: joins the profiles in BUILD/profiles and prints,
# for each of our sources, which part of its functions, lines and branches the
# tests have run. BUILD/coverage/index.html shows the lines.

set -eu
cd -- "$1"

objects() {
	find bin lib -type f \( -perm -u+x -o -name '*.so.*' \) |
		while read -r file; do
			if head -c 4 "$file" | grep -q ELF; then
				printf '%s\n' "-object=$file"
			fi
		done
}

find profiles -name '*.profraw' >profiles.list
llvm-profdata-19 merge -sparse -f profiles.list -o merged.profdata

ignore='(_test\.c$|/tests/|/usr/)'
# The names are ours: build directories, no spaces in what follows the root.
# shellcheck disable=SC2046
set -- $(objects)
llvm-cov-19 show --instr-profile=merged.profdata --format=html \
	--output-dir=coverage --show-branches=count \
	--ignore-filename-regex="$ignore" "$@" >/dev/null
llvm-cov-19 report --instr-profile=merged.profdata \
	--show-branch-summary --show-region-summary=false \
	--ignore-filename-regex="$ignore" "$@"
printf 'Line by line: %s\n' "$PWD/coverage/index.html"
