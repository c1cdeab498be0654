#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# tools/format.sh [--check]: brings every C file of the tree into the format
# of .clang-format, or with --check only names the files that are not in it.

set -eu
cd -- "$(dirname -- "$0")/.."

sources() {
	for folder in core daemon client tests bench fuzz tools; do
		[ ! -d "$folder" ] || find "$folder" -name '*.[ch]' -print
	done
}

case "$#${1-}" in
0) sources | xargs -r clang-format --style=file -i ;;
1--check)
	bad=$(sources | xargs -r clang-format --style=file --dry-run 2>&1 |
		sed -n 's/:.*-Wclang-format-violations.*//p' | sort -u)
	[ -z "$bad" ] || {
		echo "not in the house format (./run format):"
		echo "$bad"
		exit 1
	}
	;;
*) exit 64 ;;
esac
