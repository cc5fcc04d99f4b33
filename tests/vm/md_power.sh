#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Linux writes arrays of its own in a guest until the power is cut, with one
# member so slow that stripes are torn; then we take them over: every write
# that the kernel acknowledged is there, and parity is right after our recovery.
# For each consistency policy, and under PPL with a member that is gone.
. "${srcdir:-$(dirname "$0")/../..}/tests/lib.sh"
. "$srcdir/tests/vm/lib_vm.sh"
need_tools qemu-img mdadm dmsetup
interop=$srcdir/tests/interop
vm_ready
dozo_init vm-md-power
dozo_start || exit 1

# name:members:policy:member lost
arrays="r4:4:resync: b4:4:bitmap: l4:4:ppl: m4:4:ppl:1"
dozo_volume content 3 20M 24M || exit 1
ctl rescue content --device /dev/md0 | grep ' linear ' >"$DOZO_DIR/table"
check "unmap" ctl unmap content/v --host any --target content-v
check "pool export" ctl pool export content
dozo_stop
python3 "$interop/mdarray.py" read "$DOZO_DIR/content" \
    "$DOZO_DIR"/content-*.img || exit 1
rm "$DOZO_DIR"/content-*.img

specs=
set --
for array in $arrays; do
	IFS=: read -r name members policy lost <<-EOT
		$array
	EOT
	dozo_disks "$members" 24M "$name-" >/dev/null
	for image in "$DOZO_DIR/$name"-*.img; do
		set -- "$@" --drive "$image"
	done
	set -- "$@" --slow "$name-2=3"
	specs="$specs $name:$members:$policy"
done
guest_start guest_md_power.sh --timeout 600 --env "ARRAYS=$specs" \
    --file "table=$DOZO_DIR/table" \
    --drive "$DOZO_DIR/content,readonly=on" "$@"
if guest_says writing 120; then
	pass "the guest writes"
	sleep 8
else
	fail "the guest writes" "$(tail -3 "$DOZO_DIR/guest.out")"
fi
kill -TERM "$guest_pid"
guest_wait
grep -v '^ACK' "$DOZO_DIR/guest.out" >"$DOZO_DIR/guest.lines"
count_lines "$DOZO_DIR/guest.lines"
examine_members "after the power cut"

dozo_start || exit 1
iqn=iqn.2026-01.test.dozo:content-v
url=iscsi://$dozo_portal/$iqn/0
for array in $arrays; do
	IFS=: read -r name members policy lost <<-EOT
		$array
	EOT
	echo "# $name, as Linux left it:" "$(python3 "$interop/mdarray.py" check \
	    "$DOZO_DIR/$name"-*.img)"
	[ -z "$lost" ] || rm "$DOZO_DIR/$name-$lost.img"
	set --
	for image in "$DOZO_DIR/$name"-*.img; do
		set -- "$@" --disk "$image"
	done
	ctl pool import "$@" >"$DOZO_DIR/import.out" 2>&1 || {
		if grep -q 'under Linux' "$DOZO_DIR/import.out"; then
			skip "$name" "$(cat "$DOZO_DIR/import.out")"
		else
			fail "$name: pool import" "$(cat "$DOZO_DIR/import.out")"
		fi
		continue
	}
	ctl target create content-v --iqn "$iqn" >/dev/null
	check "$name: map" ctl map content/v --host any --target content-v \
	    --lun 0
	qemu-img convert -f raw -O raw "$url" "$DOZO_DIR/back"
	check "$name: nothing acknowledged is lost" \
	    python3 "$srcdir/tests/vm/power_check.py" "$name" \
	    "$DOZO_DIR/guest.out" "$DOZO_DIR/back"
	echo "# $name: $(tail -1 "$DOZO_DIR/check.out")"
	tries=0
	while ctl pool status content --json | grep -q '"resyncing"' &&
	    [ "$tries" -lt 100 ]; do
		tries=$((tries + 1))
		sleep 0.2
	done
	ctl unmap content/v --host any --target content-v >/dev/null
	check "$name: pool export" ctl pool export content
	check "$name: parity is right everywhere" \
	    python3 "$interop/mdarray.py" check "$DOZO_DIR/$name"-*.img
done
dozo_stop
examine_members "in the end"
summary
