# SPDX-License-Identifier: BSD-2-Clause
# One round of guest and host having the same arrays in turn.  ARRAYS is a list
# of "name:members:sha256:seed:lost"; the disks are name-0, ...; the member
# "lost" is missing, and taken back.  The array may be dirty: what is due is
# waited for.  Prints "SUM name sha256" of the array after our own writes, and
# "LOST name member" of one that is missing in the end.
need raid456

# draw LIMIT: a number below it, in $drawn.
draw() {
	seed=$(((seed * 1103515245 + 12345) & 0x7fffffff))
	drawn=$((seed / 65536 % $1))
}

settle() {
	mdadm --wait /dev/md0
	while [ "$(cat /sys/block/md0/md/sync_action)" != idle ]; do
		sleep 0.2
	done
}

scatter() {
	local at
	for _ in $(seq "$1"); do
		draw $blocks
		at=$drawn
		draw 250
		dd if=/dev/urandom of=/dev/md0 bs=512 seek=$at \
		    count=$((drawn + 1)) conv=notrunc 2>/dev/null
	done
	sync
}

# By the bitmap if there is one, else anew.
take_back() {
	mdadm /dev/md0 --re-add "$1" && return
	mdadm --zero-superblock "$1" && mdadm /dev/md0 --add "$1"
}

for spec in $ARRAYS; do
	IFS=: read -r name members sha seed lost <<-EOT
		$spec
	EOT
	disks=
	for i in $(seq 0 $((members - 1))); do
		[ "$i" = "$lost" ] || disks="$disks $(disk "$name-$i")"
	done
	dmesg -c >/dev/null
	# shellcheck disable=SC2086
	check "$name: mdadm --assemble" \
	    mdadm --assemble /dev/md0 $disks || continue
	same "$name: members missing" "$(cat /sys/block/md0/md/degraded)" \
	    $((${#lost} > 0))
	same "$name: bytes before it is repaired" "$(sum /dev/md0)" "$sha"
	[ -z "$lost" ] || check "$name: take back member $lost" \
	    take_back "$(disk "$name-$lost")"
	settle
	same "$name: nobody is missing" \
	    "$(cat /sys/block/md0/md/degraded)" 0
	echo check >/sys/block/md0/md/sync_action
	settle
	same "$name: check finds no mismatch" \
	    "$(cat /sys/block/md0/md/mismatch_cnt)" 0
	echo 3 >/proc/sys/vm/drop_caches
	same "$name: bytes" "$(sum /dev/md0)" "$sha"
	blocks=$(($(cat /sys/block/md0/size) - 300))
	scatter 6
	draw 3
	if [ "$drawn" = 0 ]; then
		draw "$members"
		check "$name: fail member $drawn" \
		    mdadm /dev/md0 --fail "$(disk "$name-$drawn")"
		mdadm /dev/md0 --remove "$(disk "$name-$drawn")" >/dev/null 2>&1
		echo "LOST $name $drawn"
	fi
	scatter 6
	echo 3 >/proc/sys/vm/drop_caches
	echo "SUM $name $(sum /dev/md0)"
	check "$name: mdadm --stop" mdadm --stop /dev/md0
	dmesg_clean "$name: no kernel complaint"
done
