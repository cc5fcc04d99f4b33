# SPDX-License-Identifier: BSD-2-Clause
# Arrays that we made and stopped, in the hands of mdadm and the kernel: they
# start without resync, a volume has the bytes we expect, parity is right; then
# the kernel writes the volume, for us to read.  ARRAYS is a list of
# "name:members:degraded:sha256" whose disks are name-0, name-1, ... (absent
# ones are absent).  The volume is the whole array or, if there is one, what
# /table-NAME says, a device-mapper table on /dev/md0.  Prints
# "SUM name sha256" of what the volume holds at the end.
need raid456 dm-mod

# idle NAME: nothing is being synced, and nothing is to be.
idle() {
	same "$1: no sync is running" "$(cat /sys/block/md0/md/sync_action)" \
	    idle
	same "$1: no sync is due" "$(cat /sys/block/md0/md/resync_start)" none
}

# parity NAME
parity() {
	echo check >/sys/block/md0/md/sync_action
	while [ "$(cat /sys/block/md0/md/sync_action)" != idle ]; do
		sleep 0.2
	done
	same "$1" "$(cat /sys/block/md0/md/mismatch_cnt)" 0
}

# write_volume DEVICE: whole chunks, parts, and parts over edges.
write_volume() {
	dd if=/dev/urandom of="$1" bs=1M count=8 seek=3 conv=notrunc
	for at in 0 1 127 129 255 700 1023 33333; do
		dd if=/dev/urandom of="$1" bs=512 seek=$at count=9 \
		    conv=notrunc
	done
	sync
}

for spec in $ARRAYS; do
	IFS=: read -r name members degraded sha <<-EOT
		$spec
	EOT
	disks=
	i=0
	while [ $i -lt "$members" ]; do
		disks="$disks $(disk "$name-$i")"
		i=$((i + 1))
	done
	dmesg -c >/dev/null
	# shellcheck disable=SC2086
	check "$name: mdadm --assemble" \
	    mdadm --assemble /dev/md0 $disks || continue
	same "$name: members missing" \
	    "$(cat /sys/block/md0/md/degraded)" "$degraded"
	idle "$name"
	dev=/dev/md0
	if [ -e "/table-$name" ]; then
		dev=/dev/mapper/$name
		check "$name: dmsetup create" \
		    dmsetup create "$name" "/table-$name" || continue
		dmsetup mknodes
	fi
	same "$name: the volume has our bytes" "$(sum "$dev")" "$sha"
	[ "$degraded" != 0 ] || parity "$name: check finds no mismatch"
	write_volume "$dev" 2>/dev/null
	echo 3 >/proc/sys/vm/drop_caches
	echo "SUM $name $(sum "$dev")"
	[ "$dev" = /dev/md0 ] || dmsetup remove "$name"
	check "$name: mdadm --stop" mdadm --stop /dev/md0
	dmesg_clean "$name: no kernel complaint"
done
