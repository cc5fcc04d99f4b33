#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Run the suites named on the command line (make targets) one after the other,
# all of them even if one fails, and add up what they counted.  The last line
# is the sum over single tests.
set -u
make=${MAKE:-make}
log=$(mktemp) || exit 99
trap 'rm -f "$log" "$log.sum"' EXIT
: >"$log.sum"
bad=

# "N passed, N failed[, N skipped]" lines, with or without "name: " before.
count_lines() {
	sed -nE 's/^([A-Za-z0-9_.:-]+ )?([0-9]+) passed, ([0-9]+) failed(, ([0-9]+) skipped)?.*/\2 \3 \5/p' "$@"
}

# cmocka programs run by `make check` leave one log each.
count_cmocka() {
	sed -nE -e 's/^\[  PASSED  \] ([0-9]+) test\(s\)\..*/\1 0 0/p' \
	    -e 's/^\[  FAILED  \] ([0-9]+) test\(s\),.*/0 \1 0/p' \
	    -e 's/^\[  SKIPPED \] ([0-9]+) test\(s\),.*/0 0 \1/p' "$@"
}

for suite; do
	echo "=== $suite"
	start=$(date +%s)
	$make "$suite" >"$log" 2>&1
	status=$?
	count_lines "$log" >>"$log.sum"
	if [ "$suite" = check ]; then
		find tests -name '*.log' | sort >"$log.files"
		while read -r f; do
			count_lines "$f"
			count_cmocka "$f"
		done <"$log.files" >>"$log.sum"
		rm -f "$log.files"
	fi
	if [ "$status" -ne 0 ]; then
		bad="$bad $suite"
		tail -n 200 "$log"
		[ "$suite" != check ] || cat test-suite.log 2>/dev/null
	else
		grep -E '^# (TOTAL|PASS|SKIP|FAIL):|passed, [0-9]+ failed|^SKIP|seeds' \
		    "$log"
	fi
	echo "--- $suite: exit status $status, $(($(date +%s) - start)) s"
done

[ -z "$bad" ] || echo "Suites that failed:$bad"
awk '{ p += $1; f += $2; s += $3 }
    END { printf "%d passed, %d failed, %d skipped\n", p, f, s
    exit f > 0 }' "$log.sum" && [ -z "$bad" ]
