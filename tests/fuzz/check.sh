#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Replay the corpora of the fuzz targets.
src=${srcdir:-.}
status=0
for name in pdu text conn http md array; do
	echo "# fuzz_$name"
	tests/fuzz/fuzz_$name "$src/tests/fuzz/corpus/$name" || status=1
done
exit $status
