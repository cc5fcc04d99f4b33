#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# run.sh [-j JOBS] NAME SCRIPT...: run test scripts, JOBS at a time, and add up
# the "N passed, N failed, N skipped" that each prints last.  A script that
# exits with 77 could not run at all: said loudly, counted as skipped.  What
# scripts print is indented, so that only our own total counts further up.
jobs=1
if [ "$1" = -j ]; then
	jobs=$2
	shift 2
fi
name=$1
shift
out=$(mktemp -d) || exit 1
trap 'rm -rf "$out"' EXIT
trap 'exit 130' HUP INT TERM
begin=$(date +%s)

# Run script $2 as number $1, then print all at once; $0 is the directory.
# shellcheck disable=SC2016
one='begin=$(date +%s)
"$2" >"$0/$1" 2>&1
echo $? >"$0/$1.status"
{
	echo "== ${2##*/}: $(($(date +%s) - begin)) s"
	sed "s/^/  /" "$0/$1"
} >"$0/$1.text"
cat "$0/$1.text"'
number=0
for script; do
	number=$((number + 1))
	printf '%s\n%s\n' "$number" "$script"
done | xargs -d '\n' -n 2 -P "$jobs" sh -c "$one" "$out"

passed=0 failed=0 skipped=0 number=0
for script; do
	number=$((number + 1))
	status=$(cat "$out/$number.status" 2>/dev/null)
	if [ "$status" = 77 ]; then
		skipped=$((skipped + 1))
		echo "SKIP ${script##*/} as a whole"
		continue
	fi
	counts=$(sed -n 's/.*: \([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p' \
	    "$out/$number" | tail -1)
	# A script that broke before its summary is one failure.
	counts=${counts:-0 1 0}
	p=${counts%% *} s=${counts##* } f=${counts#* }
	f=${f% *}
	[ "$status" = 0 ] || [ "$f" -gt 0 ] || f=1
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
done
echo "$name: $passed passed, $failed failed, $skipped skipped" \
    "in $(($(date +%s) - begin)) s"
[ "$failed" -eq 0 ]
