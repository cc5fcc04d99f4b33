#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Rebuilds that one side begins and the other ends: the array engine (raidtool)
# and the kernel's md in a guest, for 3 and 4 members, PPL and resync.
. "${srcdir:-$(dirname "$0")/../..}/tests/lib.sh"
. "$srcdir/tests/vm/lib_vm.sh"
need_tools mdadm sha256sum
raidtool=$DOZO_BUILD/tests/tools/raidtool
[ -x "$raidtool" ] || skip_all "raidtool is not built"
mdarray=$srcdir/tests/interop/mdarray.py
vm_ready
dozo_dir vm-rebuild

head -c 3000320 /dev/urandom >"$DOZO_DIR/data"
# name:members:policy:member lost by us:in Linux:ms that we rebuild.  We begin
# in the middle; md is told of nothing before that is filled from the start on.
arrays="r3:3:resync:1:0:10 l3:3:ppl:2:1:0 l4:4:ppl:0:2:20 r4:4:resync:3:1:40"
specs=
set --
for array in $arrays; do
	IFS=: read -r name members policy lost next ms <<-EOT
		$array
	EOT
	images=
	for i in $(seq 0 $((members - 1))) add new; do
		truncate -s 12M "$DOZO_DIR/$name-$i.img"
		[ "$i" = add ] || [ "$i" = new ] ||
		    images="$images $DOZO_DIR/$name-$i.img"
	done
	# The rebuild begins, and the array is stopped soon.
	# shellcheck disable=SC2086
	check "$name: a member fails, a disk is added" "$raidtool" \
	    -p "$policy" "create,write=$DOZO_DIR/data@66048,fail=$lost,\
write=$DOZO_DIR/data@1000448,use=2097152+1048576,\
add=$DOZO_DIR/$name-add.img,wait=$ms" $images || continue
	valid=$(mdadm --examine "$DOZO_DIR/$name-add.img" |
	    sed -n 's/.*Recovery Offset : \([0-9]*\) sectors/\1/p')
	echo "# $name: filled from the start on: ${valid:-all} sectors"
	[ "$ms" != 0 ] || same "$name: md is told of nothing" "$valid" 0
	rm "$DOZO_DIR/$name-$lost.img"
	for image in "$DOZO_DIR/$name"-*.img; do
		set -- "$@" --drive "$image"
	done
	check "$name: a second opinion reads it" python3 "$mdarray" read \
	    "$DOZO_DIR/array" "$DOZO_DIR/$name"-[0-9].img
	specs="$specs $name:$members:$(sha "$DOZO_DIR/array"):$next"
done
guest_counted "rebuilds in Linux" guest_md_rebuild.sh --timeout 600 \
    --env "ARRAYS=$specs" "$@"
examine_members "after Linux"
for array in $arrays; do
	IFS=: read -r name members policy lost next ms <<-EOT
		$array
	EOT
	rm -f "$DOZO_DIR/$name-$next.img"
	check "$name: we end the rebuild of Linux" "$raidtool" \
	    "read=$DOZO_DIR/during,settle,read=$DOZO_DIR/after,info" \
	    "$DOZO_DIR/$name"-*.img
	wanted=$(sed -n "s/^SUM $name //p" "$DOZO_DIR/guest.out")
	same "$name: bytes during the rebuild" "$(sha "$DOZO_DIR/during")" \
	    "$wanted"
	same "$name: bytes after it" "$(sha "$DOZO_DIR/after")" "$wanted"
	check "$name: parity is right everywhere" \
	    python3 "$mdarray" check "$DOZO_DIR/$name"-*.img
done
examine_members "in the end"
summary
