#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The array engine (raidtool) and the kernel's md in a guest have the same
# arrays in turn, ROUNDS times (3): both write at random places, lose members
# and take back what the other lost; we change the policy, and every other time
# leave the array dirty, as after a crash.  SEED says which history it is.
. "${srcdir:-$(dirname "$0")/../..}/tests/lib.sh"
. "$srcdir/tests/vm/lib_vm.sh"
need_tools mdadm sha256sum
raidtool=$DOZO_BUILD/tests/tools/raidtool
[ -x "$raidtool" ] || skip_all "raidtool is not built"
vm_ready
dozo_dir vm-rounds
seed=${SEED:-$$}
echo "# SEED=$seed ROUNDS=${ROUNDS:-3}"

# draw LIMIT: a number below it, in $drawn.
draw() {
	seed=$(((seed * 1103515245 + 12345) & 0x7fffffff))
	drawn=$((seed / 65536 % $1))
}

# writes N: commands for N writes to array $name.
writes() {
	for _i in $(seq "$1"); do
		draw 400
		head -c $((drawn * 512 + 512)) /dev/urandom \
		    >"$DOZO_DIR/part$round-$_i"
		draw $(((members - 1) * 8192))
		commands="$commands,write=$DOZO_DIR/part$round-$_i@$((drawn *
		    512))"
	done
}

# others LOST: the images of array $name without that one.
others() {
	for _i in $(seq 0 $((members - 1))); do
		[ "$_i" = "$1" ] || echo "$DOZO_DIR/$name-$_i.img"
	done
}

# in_order LOST: what mdadm says of the members of array $name.
in_order() {
	_want=$((members - (${#1} > 0)))
	for _image in $(others "$1"); do
		_state=$(mdadm --examine "$_image" |
		    sed -n 's/.*Array State : \([A.R]*\).*/\1/p' | tr -d '.')
		same "round $round, $name: members in ${_image##*/}" \
		    "${#_state}" "$_want"
	done
}

# name:members:chunk:policy
arrays="a3:3:65536:ppl a4:4:16384:resync a5:5:65536:bitmap"
set --
for array in $arrays; do
	IFS=: read -r name members chunk policy <<-EOT
		$array
	EOT
	for i in $(seq 0 $((members - 1))); do
		truncate -s 8M "$DOZO_DIR/$name-$i.img"
		set -- "$@" --drive "$DOZO_DIR/$name-$i.img"
	done
	# shellcheck disable=SC2046
	check "$name: create" "$raidtool" -c "$chunk" -p "$policy" create \
	    $(others "")
done
: >"$DOZO_DIR/guest.out"

# one_turn: ours with array $name; sets lost to who is missing afterwards.
one_turn() {
	lost=$(sed -n "s/^LOST $name //p" "$DOZO_DIR/guest.out")
	images=$(others "$lost")
	options=
	commands=info
	[ -z "$lost" ] ||
	    commands="$commands,add=$DOZO_DIR/$name-$lost.img,settle"
	draw 3
	case $drawn in
	0)	draw 3
		[ "$drawn" = 0 ] && policy=ppl
		[ "$drawn" = 1 ] && policy=bitmap
		[ "$drawn" = 2 ] && policy=resync
		commands="$commands,settle,policy=$policy" ;;
	*)	# shellcheck disable=SC2086
		policy=$("$raidtool" info $images |
		    sed -n 's/.* policy \([a-z]*\) .*/\1/p') ;;
	esac
	writes 4
	lost=
	draw 3
	if [ "$drawn" = 0 ]; then
		draw "$members"
		lost=$drawn
		commands="$commands,settle,fail=$lost"
	fi
	writes 4
	# Dirty and a member missing: only the log helps.
	[ $((round % 2)) -eq 0 ] || { [ -n "$lost" ] && [ "$policy" != ppl ]; } ||
	    options=-x
	# shellcheck disable=SC2086
	check "round $round, $name: ours${options:+, and crash}" "$raidtool" \
	    $options "$commands,read=$DOZO_DIR/array" $images
	echo "# round $round, $name: $policy${options:+, crash}${lost:+, lost $lost}"
	[ -n "$options" ] || in_order "$lost"
	rm -f "$DOZO_DIR"/part*
}

round=0
while [ "$round" -lt "${ROUNDS:-3}" ]; do
	round=$((round + 1))
	specs=
	for array in $arrays; do
		IFS=: read -r name members chunk policy <<-EOT
			$array
		EOT
		one_turn
		draw 1000
		specs="$specs $name:$members:$(sha "$DOZO_DIR/array"):$drawn:$lost"
	done
	guest_counted "round $round" guest_md_round.sh --timeout 600 \
	    --env "ARRAYS=$specs" "$@"
	for array in $arrays; do
		IFS=: read -r name members chunk policy <<-EOT
			$array
		EOT
		lost=$(sed -n "s/^LOST $name //p" "$DOZO_DIR/guest.out")
		# shellcheck disable=SC2046
		check "round $round, $name: we read" "$raidtool" \
		    "read=$DOZO_DIR/array" $(others "$lost")
		same "round $round, $name: what Linux wrote" \
		    "$(sha "$DOZO_DIR/array")" \
		    "$(sed -n "s/^SUM $name //p" "$DOZO_DIR/guest.out")"
		in_order "$lost"
	done
	examine_members "in round $round"
	if [ "$nr_failed" -gt 0 ]; then
		break			# the rest would only repeat it
	fi
done
summary
