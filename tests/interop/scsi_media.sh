#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# iscsi-test-cu against the kinds of LUN that the appliance does not make yet
# or never makes, on RAM disks: thin, thin with 4 KiB physical blocks, 4 KiB
# logical blocks, removable, read-only.  With scsi.sh each of the 230 tests
# that the target implements really runs on some LUN.
. "${srcdir:-$(dirname "$0")/../..}/tests/lib.sh"
need_tools python3 iscsi-test-cu
interop=$srcdir/tests/interop
[ -x "$DOZO_BUILD/target_ram" ] || skip_all "target_ram is not built"
dozo_dir scsi-media

# media NAME EXPECTATIONS ONLY target_ram-options...
media() {
	name=$1 expect=$2 only=$3
	shift 3
	: >"$DOZO_DIR/out"		# not the port of the one before
	"$DOZO_BUILD/target_ram" -s 64 "$@" >"$DOZO_DIR/out" \
	    2>"$DOZO_DIR/target.log" &
	pid=$!
	tries=0
	until port=$(sed -n 's/^port //p' "$DOZO_DIR/out"); [ -n "$port" ]; do
		tries=$((tries + 1))
		if [ "$tries" -gt 100 ]; then
			kill "$pid"
			fail "$name" "target_ram does not start"
			return
		fi
		sleep 0.05
	done
	python3 "$interop/iscsi_test_cu.py" --expect "$interop/$expect" \
	    ${only:+--only "$only"} ${VERBOSE:+--verbose} \
	    "iscsi://127.0.0.1:$port/iqn.2026-01.org.dozo:ram/0" \
	    >"$DOZO_DIR/judge.out" 2>&1
	kill "$pid"
	wait "$pid" 2>/dev/null
	grep -v '^iscsi-test-cu:' "$DOZO_DIR/judge.out"
	line=$(grep '^iscsi-test-cu:' "$DOZO_DIR/judge.out")
	echo "# $name: $line"
	passed=$(echo "$line" | sed 's/.*: \([0-9]*\) passed.*/\1/')
	wrong=$(echo "$line" | sed 's/.*; \([0-9]*\) not as expected/\1/')
	nr_passed=$((nr_passed + ${passed:-0}))
	nr_failed=$((nr_failed + ${wrong:-1}))
}

media "thin" scsi-thin.expect \
    '^SCSI[.](Unmap|GetLBAStatus|WriteSame1.|Inquiry|CompareAndWrite)[.]'
media "thin, 512e" scsi-512e.expect '^SCSI[.]' -B 4096
media "4 KiB blocks" scsi-4k.expect '^SCSI[.]' -b 4096
media "removable" scsi-removable.expect \
    '^SCSI[.](StartStopUnit|PreventAllow|NoMedia|Inquiry|ModeSense6|Read10)[.]' \
    -R
media "read-only" scsi-ro-ram.expect '^SCSI[.](ReadOnly|ModeSense6|Read10)[.]' \
    -r
summary
