#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# run.sh NAME SCRIPT...: run test scripts one after the other and add up the
# "N passed, N failed, N skipped" that each prints last.  A script that exits
# with 77 could not run at all: said loudly, counted as skipped.  What scripts
# print is indented, so that only our own total counts further up.
name=$1
shift
passed=0 failed=0 skipped=0
out=$(mktemp)
trap 'rm -f "$out"' EXIT
begin=$(date +%s)
for script; do
	echo "== ${script##*/}"
	{
		"$script" 2>&1
		echo "status $?"
	} | tee "$out" | sed -e '/^status [0-9]*$/d' -e 's/^/  /'
	status=$(sed -n '$s/^status //p' "$out")
	counts=$(sed -n 's/.*: \([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p' \
	    "$out" | tail -1)
	if [ "$status" = 77 ]; then
		skipped=$((skipped + 1))
		echo "SKIP ${script##*/} as a whole"
		continue
	fi
	# A script that broke before its summary is one failure.
	[ -n "$counts" ] || counts="0 1 0"
	# shellcheck disable=SC2086
	set -- $counts
	[ "$status" = 0 ] || [ "$2" -gt 0 ] || set -- "$1" 1 "$3"
	passed=$((passed + $1)) failed=$((failed + $2))
	skipped=$((skipped + $3))
done
echo "$name: $passed passed, $failed failed, $skipped skipped" \
    "in $(($(date +%s) - begin)) s"
[ "$failed" -eq 0 ]
