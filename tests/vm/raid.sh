#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The array engine alone (raidtool) and the kernel's md in a guest: arrays made
# by either are read and written by the other, for 3, 4 and 7 members, healthy
# and with one missing, with several chunks and layouts.
. "${srcdir:-$(dirname "$0")/../..}/tests/lib.sh"
. "$srcdir/tests/vm/lib_vm.sh"
need_tools mdadm sha256sum
raidtool=$DOZO_BUILD/tests/tools/raidtool
[ -x "$raidtool" ] || skip_all "raidtool is not built"
mdarray=$srcdir/tests/interop/mdarray.py
vm_ready
dozo_dir vm-raid

# images NAME MEMBERS SIZE: makes them if need be; prints their paths in order.
images() {
	i=0
	while [ "$i" -lt "$2" ]; do
		[ -e "$DOZO_DIR/$1-$i.img" ] ||
		    truncate -s "$3" "$DOZO_DIR/$1-$i.img"
		echo "$DOZO_DIR/$1-$i.img"
		i=$((i + 1))
	done
}

random() {
	head -c "$2" /dev/urandom >"$DOZO_DIR/$1"
}

# scribble: raidtool commands that write the whole array, then odd places.
random odd 4608
random long 777216
scribble="write=$DOZO_DIR/odd@512,write=$DOZO_DIR/odd@64512"
scribble="$scribble,write=$DOZO_DIR/long@131072,write=$DOZO_DIR/odd@999936"
scribble="$scribble,write=$DOZO_DIR/long@1511936"

# --- ours, for Linux: name:members:chunk:layout:member that fails ---
ours="h3:3:65536:2: h4:4:4096:2: h7:7:524288:2: h5:5:65536:0: h6:6:32768:3:
    d3:3:65536:2:1 d4:4:16384:1:3 d7:7:65536:2:0"
specs=
set --
for array in $ours; do
	IFS=: read -r name members chunk layout lost <<-EOT
		$array
	EOT
	# shellcheck disable=SC2046
	check "$name: create and write" "$raidtool" -c "$chunk" -l "$layout" \
	    "create,$scribble" $(images "$name" "$members" 10M) || continue
	degraded=0
	if [ -n "$lost" ]; then
		degraded=1
		# shellcheck disable=SC2046
		check "$name: a member fails, then writes" "$raidtool" \
		    "$scribble,fail=$lost,write=$DOZO_DIR/long@5120" \
		    $(images "$name" "$members")
	fi
	check "$name: parity is right everywhere" \
	    python3 "$mdarray" check "$DOZO_DIR/$name"-*.img
	check "$name: a second opinion reads it" python3 "$mdarray" read \
	    "$DOZO_DIR/array" "$DOZO_DIR/$name"-*.img
	# shellcheck disable=SC2046
	check "$name: read" "$raidtool" "read=$DOZO_DIR/back" \
	    $(images "$name" "$members")
	same "$name: both read the same" "$(sha "$DOZO_DIR/array")" \
	    "$(sha "$DOZO_DIR/back")"
	specs="$specs $name:$members:$degraded:$(sha "$DOZO_DIR/array")"
	for image in $(images "$name" "$members"); do
		set -- "$@" --drive "$image"
	done
done
examine_members
guest_counted "our arrays in Linux" guest_md_ours.sh --timeout 600 \
    --env "ARRAYS=$specs" "$@"
examine_members "after Linux"
for array in $ours; do
	IFS=: read -r name members chunk layout lost <<-EOT
		$array
	EOT
	# shellcheck disable=SC2046
	check "$name: read again" "$raidtool" "read=$DOZO_DIR/back" \
	    $(images "$name" "$members")
	same "$name: we read what Linux wrote" "$(sha "$DOZO_DIR/back")" \
	    "$(sed -n "s/^SUM $name //p" "$DOZO_DIR/guest.out")"
done
rm "$DOZO_DIR"/*.img

# --- theirs, for us: name:members:chunk KiB:layout:policy:member that fails ---
theirs="a3:3:64:left-symmetric:resync: a4:4:4:right-asymmetric:resync:
    a7:7:512:left-symmetric:resync: a5:5:64:parity-first:resync:
    b3:3:512:left-asymmetric:resync:1 b4:4:64:right-symmetric:resync:3
    b7:7:128:left-symmetric:resync:0 w4:4:64:left-symmetric:bitmap:
    p4:4:64:left-symmetric:ppl: z4:4:64:parity-last:resync:"
set --
for array in $theirs; do
	IFS=: read -r name members chunk <<-EOT
		$array
	EOT
	for image in $(images "$name" "$members" 10M); do
		set -- "$@" --drive "$image"
	done
done
guest_counted "arrays of mdadm" guest_md_made.sh --timeout 600 \
    --env "ARRAYS=$(echo "$theirs" | tr -s '\n ' ' ')" "$@"
examine_members "made by mdadm"
for array in $theirs; do
	IFS=: read -r name members chunk layout policy lost <<-EOT
		$array
	EOT
	# shellcheck disable=SC2046
	if ! "$raidtool" info $(images "$name" "$members") \
	    >"$DOZO_DIR/info" 2>&1 && grep -q 'remove it' "$DOZO_DIR/info"
	then
		skip "$name" "$(cat "$DOZO_DIR/info")"
		continue
	fi
	# shellcheck disable=SC2046
	check "$name: read" "$raidtool" "read=$DOZO_DIR/back" \
	    $(images "$name" "$members")
	same "$name: we read what Linux wrote" "$(sha "$DOZO_DIR/back")" \
	    "$(sed -n "s/^SUM $name //p" "$DOZO_DIR/guest.out")"
	if [ -z "$lost" ]; then
		# Read with any other member gone as well.
		mv "$DOZO_DIR/$name-1.img" "$DOZO_DIR/gone"
		# shellcheck disable=SC2046
		check "$name: read without member 1" "$raidtool" -d \
		    "read=$DOZO_DIR/array" "$DOZO_DIR/$name"-*.img
		same "$name: the same without member 1" \
		    "$(sha "$DOZO_DIR/array")" "$(sha "$DOZO_DIR/back")"
	fi
	check "$name: write" "$raidtool" -d "$scribble" "$DOZO_DIR/$name"-*.img
	check "$name: read back" "$raidtool" "read=$DOZO_DIR/back" \
	    "$DOZO_DIR/$name"-*.img
	check "$name: a second opinion reads it" python3 "$mdarray" read \
	    "$DOZO_DIR/array" "$DOZO_DIR/$name"-*.img
	same "$name: both read the same" "$(sha "$DOZO_DIR/array")" \
	    "$(sha "$DOZO_DIR/back")"
done
examine_members "in the end"
summary
