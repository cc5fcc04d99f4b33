#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The array engine (raidtool) and the kernel's md in a guest write the same
# arrays in turn, ROUNDS times (3), at random places; every other time we leave
# the array dirty, as after a crash.
. "${srcdir:-$(dirname "$0")/../..}/tests/lib.sh"
. "$srcdir/tests/vm/lib_vm.sh"
need_tools mdadm sha256sum
raidtool=$DOZO_BUILD/tests/tools/raidtool
[ -x "$raidtool" ] || skip_all "raidtool is not built"
vm_ready
dozo_dir vm-rounds

sha() {
	_sum=$(sha256sum <"$1")
	echo "${_sum%% *}"
}

# random LIMIT: a number below it.
random() {
	echo $(($(od -An -N4 -tu4 /dev/urandom) % $1))
}

# name:members:chunk:policy
arrays="a3:3:65536:ppl a4:4:16384:resync a5:5:65536:ppl"
set --
for array in $arrays; do
	IFS=: read -r name members chunk policy <<-EOT
		$array
	EOT
	images=
	for i in $(seq 0 $((members - 1))); do
		truncate -s 8M "$DOZO_DIR/$name-$i.img"
		images="$images $DOZO_DIR/$name-$i.img"
		set -- "$@" --drive "$DOZO_DIR/$name-$i.img"
	done
	# shellcheck disable=SC2086
	check "$name: create" "$raidtool" -c "$chunk" -p "$policy" create $images
done

round=0
while [ "$round" -lt "${ROUNDS:-3}" ]; do
	round=$((round + 1))
	crash=
	[ $((round % 2)) -eq 0 ] || crash=-x
	specs=
	for array in $arrays; do
		IFS=: read -r name members chunk policy <<-EOT
			$array
		EOT
		commands=
		for i in 1 2 3 4 5 6; do
			head -c $(($(random 400) * 512 + 512)) /dev/urandom \
			    >"$DOZO_DIR/part$i"
			commands="$commands,write=$DOZO_DIR/part$i@$(($(random \
			    $(((members - 1) * 8192))) * 512))"
		done
		check "round $round, $name: we write${crash:+ and crash}" \
		    "$raidtool" $crash "info$commands,read=$DOZO_DIR/array" \
		    "$DOZO_DIR/$name"-*.img
		specs="$specs $name:$members:$(sha "$DOZO_DIR/array")"
	done
	guest_counted "round $round" guest_md_round.sh --timeout 600 \
	    --env "ARRAYS=$specs" "$@"
	for array in $arrays; do
		name=${array%%:*}
		check "round $round, $name: we read" "$raidtool" \
		    "read=$DOZO_DIR/array" "$DOZO_DIR/$name"-*.img
		same "round $round, $name: what Linux wrote" \
		    "$(sha "$DOZO_DIR/array")" \
		    "$(sed -n "s/^SUM $name //p" "$DOZO_DIR/guest.out")"
	done
	examine_members "in round $round"
done
summary
