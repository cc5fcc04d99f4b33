#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Round trips with the kernel's md in a guest, for 3, 4 and 7 members, healthy
# and with one missing: our stopped array assembles there without resync, with
# the same bytes and right parity; what the kernel then writes, we serve.
# Arrays made by mdadm come to us in md_made.sh.
. "${srcdir:-$(dirname "$0")/../..}/tests/lib.sh"
. "$srcdir/tests/vm/lib_vm.sh"
need_tools qemu-img qemu-io mdadm dmsetup sha256sum
interop=$srcdir/tests/interop
vm_ready
dozo_init vm-md
dozo_start || exit 1
arrays="h3:3 h4:4 h7:7 d3:3 d4:4 d7:7"
size=40

# fill NAME SEED: random image and a random series into LUN and plain file.
fill() {
	plain=$DOZO_DIR/$1.plain
	[ -e "$plain" ] ||
	    dd if=/dev/urandom of="$plain" bs=1M count=$size 2>/dev/null
	check "$1: image into the LUN" \
	    qemu-img convert -n -f raw -O raw "$plain" "$url"
	python3 "$interop/qemu_io_series.py" "$2" 100 $((size << 20)) \
	    >"$DOZO_DIR/series"
	qemu-io -f raw "$plain" <"$DOZO_DIR/series" >/dev/null 2>&1
	check "$1: random writes into the LUN" \
	    qemu-io -f raw "$url" <"$DOZO_DIR/series"
	check "$1: LUN and file are equal" \
	    qemu-img compare -f raw -F raw "$plain" "$url"
}

specs=
set --
for array in $arrays; do
	name=${array%:*}
	members=${array#*:}
	dozo_volume "$name" "$members" 32M ${size}M || exit 1
	fill "$name" "$members"
	degraded=0
	case $name in
	d*)
		degraded=1
		check "$name: a member fails" \
		    ctl disk fail "$DOZO_DIR/$name-1.img"
		fill "$name" $((members + 10))
		;;
	esac
	sha=$(sha256sum <"$DOZO_DIR/$name.plain")
	specs="$specs $name:$members:$degraded:${sha%% *}"
	ctl rescue "$name" --device /dev/md0 | grep ' linear ' \
	    >"$DOZO_DIR/$name.table"
	check "$name: rescue prints a table" test -s "$DOZO_DIR/$name.table"
	set -- "$@" --file "table-$name=$DOZO_DIR/$name.table"
	i=0
	while [ "$i" -lt "$members" ]; do
		set -- "$@" --drive "$DOZO_DIR/$name-$i.img"
		i=$((i + 1))
	done
done
dozo_stop
examine_members
guest_counted "our arrays in Linux" guest_md_ours.sh --timeout 600 \
    --env "ARRAYS=$specs" "$@"
examine_members "after Linux"

dozo_start || exit 1
for array in $arrays; do
	name=${array%:*}
	url=iscsi://$dozo_portal/iqn.2026-01.test.dozo:$name-v/0
	wanted=$(sed -n "s/^SUM $name //p" "$DOZO_DIR/guest.out")
	qemu-img convert -f raw -O raw "$url" "$DOZO_DIR/back"
	sha=$(sha256sum <"$DOZO_DIR/back")
	same "$name: we serve what Linux wrote" "${sha%% *}" "$wanted"
done
dozo_stop
examine_members "in the end"
summary
