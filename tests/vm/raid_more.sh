#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# States of an array that are met more seldom, each made by the array engine
# (raidtool) for the kernel's md in a guest, or by md for us: a policy that was
# changed, a spare, a replacement that is under way, a member taken back by the
# bitmap, bad blocks.
. "${srcdir:-$(dirname "$0")/../..}/tests/lib.sh"
. "$srcdir/tests/vm/lib_vm.sh"
need_tools mdadm sha256sum
raidtool=$DOZO_BUILD/tests/tools/raidtool
[ -x "$raidtool" ] || skip_all "raidtool is not built"
mdarray=$srcdir/tests/interop/mdarray.py
vm_ready
dozo_dir vm-more

# images NAME SUFFIX...: paths of images, made if need be.
images() {
	_name=$1
	shift
	for _suffix; do
		_path=$DOZO_DIR/$_name-$_suffix.img
		[ -e "$_path" ] || truncate -s "$size" "$_path"
		echo "$_path"
	done
}

# ours NAME OPTIONS COMMANDS SUFFIX...: and note what it holds.
ours() {
	_case=$1 _options=$2 _commands=$3
	shift 3
	# shellcheck disable=SC2046,SC2086
	check "$_case: we make it" "$raidtool" $_options \
	    "$_commands,read=$DOZO_DIR/array" $(images "$_case" "$@")
	sums="$sums $_case:$(sha "$DOZO_DIR/array")"
}

sums=
size=16M
head -c 2000384 /dev/urandom >"$DOZO_DIR/data"
write=write=$DOZO_DIR/data
ours cp "-x -p bitmap" \
    "create,$write@512,policy=ppl,$write@70144,$write@9000448" 0 1 2
ours cb "-p ppl" \
    "create,$write@512,policy=bitmap,$write@70144,fail=1,$write@3000320" \
    0 1 2 3
ours cr "-p ppl" "create,$write@512,policy=resync,$write@70144" 0 1 2
images sp spare >/dev/null
ours sp "-p ppl" \
    "create,$write@512,add=$DOZO_DIR/sp-spare.img,$write@70144" 0 1 2
size=96M
images rp new >/dev/null
ours rp "-p ppl" \
    "create,$write@512,$write@90000384,replace=1:$DOZO_DIR/rp-new.img,wait=8" \
    0 1 2
echo "# rp:" "$(mdadm --examine "$DOZO_DIR/rp-new.img" |
    grep 'Recovery Offset' || echo replaced at once)"
size=16M
images ls 0 1 2 spare >/dev/null
images lb 0 1 2 >/dev/null
images le 0 1 2 >/dev/null
images lr 0 1 2 new >/dev/null

# bad_blocks NAME SUFFIX...: as mdadm lists them, "0:FIRST+SECTORS 1:...".
bad_blocks() {
	for _image in $(images "$@"); do
		_suffix=${_image##*-}
		mdadm --examine-badblocks "$_image" |
		    sed -n "s/^ *\([0-9]*\) for \([0-9]*\) sectors/${_suffix%.img}:\1+\2/p"
	done | sort | paste -sd ' '
}

# spoil NAME NUMBER:FIRST+SECTORS...: random bytes there, for who believes it.
spoil() {
	_name=$1
	shift
	for _bad; do
		_at=${_bad#*:}
		dd if=/dev/urandom of="$DOZO_DIR/$_name-${_bad%%:*}.img" bs=512 \
		    seek="${_at%+*}" count="${_at#*+}" conv=notrunc 2>/dev/null
	done
}

# Bad blocks: one of a stripe in two places; in a third two disks refuse some
# of a write, which fails: all of it is listed for both, and lost.
# shellcheck disable=SC2046
check "ob: we make it" "$raidtool" -p ppl "create,$write@512" \
    $(images ob 0 1 2)
at=$(mdadm --examine "$DOZO_DIR/ob-0.img" |
    sed -n 's/.*Data Offset : \([0-9]*\).*/\1/p')
ob_bad="0:$((at + 136))+8 0:$((at + 896))+128 1:$((at + 640))+32 2:$((at + 896))+128"
refusals=
for bad in $ob_bad; do
	first=${bad#*:}
	refusals="${refusals}refuse=${bad%%:*}@$((${first%+*} * 512))+$((
	    ${first#*+} % 120 * 512)),"
done
# shellcheck disable=SC2046
refuse "ob: two bad blocks of a stripe fail a write" "write of 4096 at " \
    "$raidtool" "$refusals$write@512" $(images ob 0 1 2)
same "ob: mdadm reads our list" "$(bad_blocks ob 0 1 2)" "$ob_bad"
# shellcheck disable=SC2086
spoil ob $ob_bad
# We would write anew what can be.
for i in 0 1 2; do
	cp "$DOZO_DIR/ob-$i.img" "$DOZO_DIR/copy$i"
done
refuse "ob: we know what is lost" "read of 4096 at " "$raidtool" \
    "read=$DOZO_DIR/array" "$DOZO_DIR/copy0" "$DOZO_DIR/copy1" "$DOZO_DIR/copy2"
ob_lost=$(grep -c '^read of 4096 at ' "$DOZO_DIR/check.out")
sums="$sums ob:$(sha "$DOZO_DIR/array")"

set --
for image in "$DOZO_DIR"/*.img; do
	set -- "$@" --drive "$image"
done
guest_counted "both in Linux" guest_md_more.sh --timeout 600 \
    --env "SUMS=$sums" --env "OB_BAD=$ob_bad" --env "OB_LOST=$ob_lost" "$@"
examine_members "after Linux"

# read_back NAME OPTIONS COMMANDS SUFFIX...: we read what Linux left.
read_back() {
	_case=$1 _options=$2 _commands=$3
	shift 3
	# shellcheck disable=SC2046,SC2086
	check "$_case: we read it" "$raidtool" $_options \
	    "read=$DOZO_DIR/array$_commands,read=$DOZO_DIR/after" \
	    $(images "$_case" "$@") || return
	_wanted=$(sed -n "s/^SUM $_case //p" "$DOZO_DIR/guest.out")
	same "$_case: bytes" "$(sha "$DOZO_DIR/array")" "$_wanted"
	same "$_case: bytes in the end" "$(sha "$DOZO_DIR/after")" "$_wanted"
}

# parity NAME SUFFIX...
parity() {
	# shellcheck disable=SC2046
	check "$1: parity is right everywhere" \
	    python3 "$mdarray" check $(images "$@")
}

# The policy goes back again, on what Linux wrote.
read_back cp "" ",policy=bitmap,policy=ppl" 0 1 2
parity cp 0 1 2
read_back cb "" ",policy=ppl,settle" 0 1 2 3
parity cb 0 1 2 3
read_back cr "" ",policy=bitmap" 0 1 2
parity cr 0 1 2
read_back sp "" "" 0 2 spare
parity sp 0 2 spare
read_back rp "" ",policy=resync" 0 2 new
parity rp 0 2 new

# Their spare takes a place; ppl of Linux becomes a bitmap.
read_back ls "" ",policy=bitmap,fail=1,settle" 0 1 2 spare
parity ls 0 2 spare
# We end their replacement.
read_back lr "" ",settle" 0 1 2 new
parity lr 0 2 new
# What Linux lists is not believed, and no longer listed once it is written.
head -c 20971520 /dev/urandom >"$DOZO_DIR/data"
for name in ob lb le; do
	# shellcheck disable=SC2046
	set -- $(sed -n "s/^BAD $name //p" "$DOZO_DIR/guest.out")
	same "$name: the list of Linux" "$(bad_blocks $name 0 1 2)" "$*"
	spoil $name "$@"
	# shellcheck disable=SC2046
	"$raidtool" "read=$DOZO_DIR/array" $(images $name 0 1 2) |
	    grep '^read of 4096 at ' >"$DOZO_DIR/lost"
	same "$name: bytes" "$(sha "$DOZO_DIR/array")" \
	    "$(sed -n "s/^SUM $name //p" "$DOZO_DIR/guest.out")"
	same "$name: blocks that are lost" "$(wc -l <"$DOZO_DIR/lost")" \
	    "$(sed -n "s/^LOST $name //p" "$DOZO_DIR/guest.out")"
	# shellcheck disable=SC2046
	check "$name: we write it anew" "$raidtool" \
	    "write=$DOZO_DIR/data,read=$DOZO_DIR/array" $(images $name 0 1 2)
	check "$name: that is there" cmp -n 20971520 "$DOZO_DIR/data" \
	    "$DOZO_DIR/array"
	same "$name: none is left" "none$(bad_blocks $name 0 1 2)" none
	parity $name 0 1 2
done
examine_members "in the end"
summary
