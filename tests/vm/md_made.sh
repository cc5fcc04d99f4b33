#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Arrays made by mdadm and written by the kernel, in a guest, of 3, 4 and 7
# members, all layouts, several chunks and policies, healthy and with one
# member missing: we import and serve them with the same bytes, write to them,
# and parity stays right.
#
# The pool inside comes from an array of ours, read by mdarray.py and copied
# into the kernel's.
. "${srcdir:-$(dirname "$0")/../..}/tests/lib.sh"
. "$srcdir/tests/vm/lib_vm.sh"
need_tools qemu-img qemu-io mdadm dmsetup sha256sum
interop=$srcdir/tests/interop
vm_ready
dozo_init vm-md-made
dozo_start || exit 1
arrays="
    a3:3:64:left-symmetric:resync: b3:3:512:left-asymmetric:resync:1
    a4:4:4:right-asymmetric:resync: b4:4:64:right-symmetric:resync:3
    a7:7:64:left-symmetric:resync: b7:7:128:left-symmetric:resync:0
    p4:4:64:left-symmetric:ppl: w4:4:64:left-symmetric:bitmap:"

dozo_volume content 3 20M 24M || exit 1
dd if=/dev/urandom of="$DOZO_DIR/plain" bs=1M count=24 2>/dev/null
check "image into the LUN" \
    qemu-img convert -n -f raw -O raw "$DOZO_DIR/plain" "$url"
ctl rescue content --device /dev/md0 | grep ' linear ' >"$DOZO_DIR/table"
check "unmap" ctl unmap content/v --host any --target content-v
check "pool export" ctl pool export content
dozo_stop
python3 "$interop/mdarray.py" read "$DOZO_DIR/content.raw" \
    "$DOZO_DIR"/content-*.img || exit 1
rm "$DOZO_DIR"/content-*.img
mv "$DOZO_DIR/content.raw" "$DOZO_DIR/content"

set --
for array in $arrays; do
	name=${array%%:*}
	members=${array#*:}
	members=${members%%:*}
	dozo_disks "$members" 24M "$name-" >/dev/null
	i=0
	while [ "$i" -lt "$members" ]; do
		set -- "$@" --drive "$DOZO_DIR/$name-$i.img"
		i=$((i + 1))
	done
done
guest_counted "arrays of mdadm" guest_md_made.sh --timeout 600 \
    --env "ARRAYS=$(echo "$arrays" | tr -s "\n " " ")" --file "table=$DOZO_DIR/table" \
    --drive "$DOZO_DIR/content,readonly=on" "$@"
examine_members "after Linux"

dozo_start || exit 1
iqn=iqn.2026-01.test.dozo:content-v
url=iscsi://$dozo_portal/$iqn/0
for array in $arrays; do
	name=${array%%:*}
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
	wanted=$(sed -n "s/^SUM $name //p" "$DOZO_DIR/guest.out")
	qemu-img convert -f raw -O raw "$url" "$DOZO_DIR/back"
	sha=$(sha256sum <"$DOZO_DIR/back")
	same "$name: we serve what Linux wrote" "${sha%% *}" "$wanted"
	python3 "$interop/qemu_io_series.py" "$$" 100 $((24 << 20)) \
	    >"$DOZO_DIR/series"
	qemu-io -f raw "$DOZO_DIR/back" <"$DOZO_DIR/series" >/dev/null 2>&1
	check "$name: writes" qemu-io -f raw "$url" <"$DOZO_DIR/series"
	check "$name: equal after writes" qemu-img compare -f raw -F raw \
	    "$DOZO_DIR/back" "$url"
	ctl unmap content/v --host any --target content-v >/dev/null
	check "$name: pool export" ctl pool export content
	for image in "$DOZO_DIR/$name"-*.img; do
		[ "$image" != "$DOZO_DIR/$name-${array##*:}.img" ] || continue
		check "$name: ${image##*/} is known to the udev rule" sh -c \
		    "mdadm --examine --export '$image' |
			grep -q '^MD_NAME=dozo:content$'"
	done
	check "$name: parity is right everywhere" \
	    python3 "$interop/mdarray.py" check "$DOZO_DIR/$name"-*.img
done
dozo_stop
examine_members "in the end"
summary
