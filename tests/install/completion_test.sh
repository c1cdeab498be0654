#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# completion_test.sh BIN SOURCE: what bash offers behind "tenurectl" and a few
# words, without a terminal: the function is called as bash would.

set -u

bin=$1
source=$2

# shellcheck source=packaging/completions/tenurectl
source "$source/packaging/completions/tenurectl"
[ "$(complete -p tenurectl)" = \
	"complete -o default -F _tenurectl tenurectl" ] || exit 1

failed=0

# offers EXPECTED WORD...: the last word is the one that is completed
offers() {
	local expected=$1 offered
	shift
	COMP_WORDS=("$bin/tenurectl" "$@")
	COMP_CWORD=$#
	COMPREPLY=()
	_tenurectl
	offered=$(printf '%s\n' "${COMPREPLY[@]}" | sort | tr '\n' ' ')
	case " $offered" in
	*" $expected "*) ;;
	*)
		echo "completion_test: '$*' offers '$offered', not '$expected'"
		failed=1
		;;
	esac
}

# offers_only EXPECTED WORD...
offers_only() {
	offers "$@"
	[ "${COMPREPLY[*]-}" = "$1" ] || {
		echo "completion_test: '${*:2}' also offers '${COMPREPLY[*]}'"
		failed=1
	}
}

for verb in status clients resources limits check run; do
	offers "$verb" ""
	offers_only "$verb" "${verb%?}"
	offers_only "$verb" --json "${verb%?}"
	offers_only "$verb" -s /some/socket "${verb%?}"
done
for option in --socket --json --bytes --quiet --help --version; do
	offers "$option" ""
	offers_only "$option" "${option%?}"
	offers_only "$option" status "${option%?}"
done
# One command is enough, and a socket is a file.
offers_only "" status st
offers_only "" --socket st
# A program, and what behind it is not ours.
offers true run tru
offers true run -- tru
offers_only "" run true --js
exit "$failed"
