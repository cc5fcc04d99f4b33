#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# iscsi-test-cu against LUNs of 512-byte blocks: read-write, and read-only for
# the tests that want that.  What may fail or be skipped stands, with the
# reason, in scsi-rw.expect and scsi-ro.expect.
. "${srcdir:-$(dirname "$0")/../..}/tests/lib.sh"
need_tools python3 iscsi-test-cu iscsi-inq iscsi-ls iscsi-readcapacity16
interop=$srcdir/tests/interop
dozo_init scsi
dozo_start || exit 1
dozo_volume p 4 128M 128M || exit 1
url_a=$url
dozo_lun p w 128M || exit 1
url_b=$url

# judge NAME EXPECTATIONS URL...: the tool's own counts become ours.
judge() {
	what=$1
	expect=$2
	shift 2
	python3 "$interop/iscsi_test_cu.py" --expect "$interop/$expect" \
	    ${VERBOSE:+--verbose} ${RECORD:+--record "$RECORD.$what"} \
	    ${ONLY:+--only "$ONLY"} "$@" >"$DOZO_DIR/judge.out" 2>&1
	status=$?
	grep -v '^iscsi-test-cu:' "$DOZO_DIR/judge.out"
	line=$(grep '^iscsi-test-cu:' "$DOZO_DIR/judge.out")
	echo "# $what: $line"
	passed=$(echo "$line" | sed 's/.*: \([0-9]*\) passed.*/\1/')
	wrong=$(echo "$line" | sed 's/.*; \([0-9]*\) not as expected/\1/')
	nr_passed=$((nr_passed + ${passed:-0}))
	nr_failed=$((nr_failed + ${wrong:-1}))
	[ "$status" -eq 0 ] || [ "${wrong:-1}" -gt 0 ] ||
	    fail "$what" "status $status"
	listed=$(grep -c '^skip' "$interop/$expect")
	[ -n "$ONLY" ] || nr_skipped=$((nr_skipped + listed))
}

check "iscsi-ls lists the targets" sh -c "iscsi-ls -s iscsi://$dozo_portal |
    grep -q iqn.2026-01.test.dozo:p-v"
check "iscsi-ls lists the LUN" sh -c "iscsi-ls -s iscsi://$dozo_portal |
    grep -q 'Lun:0'"
check "iscsi-inq" iscsi-inq "$url_a"
for page in 0x00 0x80 0x83 0xb0 0xb1 0xb2; do
	check "iscsi-inq page $page" iscsi-inq -e 1 -c $page "$url_a"
done
check "iscsi-readcapacity16" iscsi-readcapacity16 "$url_a"

judge "read-write LUN" scsi-rw.expect "$url_a" "$url_b"

# The same from memory: everything that reads, changes or flushes data.
check "write back" ctl volume set p/v --write-policy writeback
ONLY='^SCSI[.](CompareAndWrite|ModeSense6|OrWrite|PreFetch|Read|Unmap|Verify|Write)'
judge "write-back LUN" scsi-rw.expect "$url_a" "$url_b"
ONLY=

check "unmap" ctl unmap p/w --host any --target p-w
check "map read-only" ctl map p/w --host any --target p-w --lun 0 --read-only
ONLY='^SCSI[.](ReadOnly|ModeSense6|Inquiry|Mandatory|Read10|TestUnitReady)[.]'
judge "read-only LUN" scsi-ro.expect "$url_b"

dozo_stop
examine_members
summary
