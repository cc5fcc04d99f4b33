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
images lr 0 1 2 new >/dev/null

set --
for image in "$DOZO_DIR"/*.img; do
	set -- "$@" --drive "$image"
done
guest_counted "both in Linux" guest_md_more.sh --timeout 600 \
    --env "SUMS=$sums" "$@"
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
# What is listed as bad is not believed: it may hold anything.
at=$(sed -n 's/^BAD //p' "$DOZO_DIR/guest.out")
check "lb: Linux listed bad blocks" sh -c \
    "mdadm --examine '$DOZO_DIR/lb-0.img' | grep -q 'Bad Block Log.*present'"
dd if=/dev/urandom of="$DOZO_DIR/lb-0.img" bs=512 seek=$((at + 1000)) \
    count=512 conv=notrunc 2>/dev/null
dd if=/dev/urandom of="$DOZO_DIR/lb-2.img" bs=512 seek=$((at + 4000)) \
    count=8 conv=notrunc 2>/dev/null
read_back lb "" "" 0 1 2
examine_members "in the end"
summary
