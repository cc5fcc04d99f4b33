# SPDX-License-Identifier: BSD-2-Clause
# Arrays of ours with a rebuild under way or due: mdadm assembles them, the
# kernel ends the rebuild.  Then it fails another member, starts to rebuild on
# a new disk, name-new, and stops in the middle, for us to go on.  ARRAYS is a
# list of "name:members:sha256:member to fail"; the disks are name-0, ... and
# name-add, the one that we were rebuilding on.  Prints "SUM name sha256".
need raid456

settle() {
	while [ "$(cat /sys/block/md0/md/sync_action)" != idle ]; do
		sleep 0.2
	done
}

for spec in $ARRAYS; do
	IFS=: read -r name members sha lost <<-EOT
		$spec
	EOT
	disks=
	for i in $(seq 0 $((members - 1))) add; do
		path=$(disk "$name-$i") && disks="$disks $path"
	done
	new=$(disk "$name-new")
	dmesg -c >/dev/null
	# shellcheck disable=SC2086
	check "$name: mdadm --assemble" \
	    mdadm --assemble /dev/md0 $disks || continue
	same "$name: bytes during the rebuild" "$(sum /dev/md0)" "$sha"
	mdadm --wait /dev/md0
	settle
	same "$name: Linux ends our rebuild" \
	    "$(cat /sys/block/md0/md/degraded)" 0
	echo check >/sys/block/md0/md/sync_action
	settle
	same "$name: check finds no mismatch" \
	    "$(cat /sys/block/md0/md/mismatch_cnt)" 0
	same "$name: bytes after it" "$(sum /dev/md0)" "$sha"

	lost=$(disk "$name-$lost")
	echo 1 >/sys/block/md0/md/sync_speed_min
	echo 1500 >/sys/block/md0/md/sync_speed_max
	check "$name: fail a member" mdadm /dev/md0 --fail "$lost"
	mdadm /dev/md0 --remove "$lost" >/dev/null 2>&1
	dd if=/dev/urandom of=/dev/md0 bs=4k count=300 seek=100 conv=notrunc \
	    2>/dev/null
	sync
	check "$name: add a disk" mdadm /dev/md0 --add "$new"
	sleep 3
	note "$name: $(grep -o 'recovery = *[0-9.%]*' /proc/mdstat)"
	echo 3 >/proc/sys/vm/drop_caches
	echo "SUM $name $(sum /dev/md0)"
	check "$name: mdadm --stop" mdadm --stop /dev/md0
	dmesg_clean "$name: no kernel complaint"
done
