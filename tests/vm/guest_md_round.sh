# SPDX-License-Identifier: BSD-2-Clause
# One round of guest and host writing the same arrays in turn.  ARRAYS is a
# list of "name:members:sha256"; the disks are name-0, ...  The array may be
# dirty: what is due is waited for.  Prints "SUM name sha256" of the array
# after our own writes.
need raid456

for spec in $ARRAYS; do
	IFS=: read -r name members sha <<-EOT
		$spec
	EOT
	disks=
	for i in $(seq 0 $((members - 1))); do
		disks="$disks $(disk "$name-$i")"
	done
	dmesg -c >/dev/null
	# shellcheck disable=SC2086
	check "$name: mdadm --assemble" \
	    mdadm --assemble /dev/md0 $disks || continue
	mdadm --wait /dev/md0
	same "$name: bytes" "$(sum /dev/md0)" "$sha"
	echo check >/sys/block/md0/md/sync_action
	while [ "$(cat /sys/block/md0/md/sync_action)" != idle ]; do
		sleep 0.2
	done
	same "$name: check finds no mismatch" \
	    "$(cat /sys/block/md0/md/mismatch_cnt)" 0
	blocks=$(($(cat /sys/block/md0/size) - 300))
	for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
		at=$((($(od -An -N4 -tu4 /dev/urandom)) % blocks))
		dd if=/dev/urandom of=/dev/md0 bs=512 seek=$at \
		    count=$((at % 7 * at % 257 + 1)) conv=notrunc 2>/dev/null
	done
	sync
	echo 3 >/proc/sys/vm/drop_caches
	echo "SUM $name $(sum /dev/md0)"
	check "$name: mdadm --stop" mdadm --stop /dev/md0
	dmesg_clean "$name: no kernel complaint"
done
