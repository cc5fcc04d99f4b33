#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Play the kept seeds and some new ones, for at most 25 seconds; then two
# processes must write the same history from the same seed.
set -eu
srcdir=${srcdir:-.}
sim=tests/sim/sim

"$sim" -r "$srcdir/tests/sim/seeds.txt" -n 100 -t 25

first=$("$sim" -h -f 1000 -n 3 | grep lines)
again=$("$sim" -h -f 1000 -n 3 | grep lines)
if [ "$first" != "$again" ]; then
	echo "the same seed gave two histories:"
	echo "$first"
	echo "$again"
	exit 1
fi
echo "the same seeds gave the same histories"
