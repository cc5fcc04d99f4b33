# SPDX-License-Identifier: BSD-2-Clause
# Arrays made by mdadm and written by the kernel, for us to serve.  ARRAYS is a
# list of "name:members:chunk KiB:layout:policy:missing" whose disks are
# name-0, name-1, ...  Each is filled with random bytes and odd writes; or, if
# there is a disk "content", gets the pool that is on it and is written through
# /table, the device-mapper table of its volume on /dev/md0.  Then the member
# "missing" fails, if one is given, and more is written.  Prints
# "SUM name sha256" of the volume.
need raid456 dm-mod

# scatter SEED: writes at odd places, over edges of chunk and stripe.
scatter() {
	for at in 1 63 127 128 1000 5003 9999 40001; do
		dd if=/dev/urandom of="$dev" bs=512 seek=$((at + $1)) \
		    count=7 conv=notrunc
	done 2>/dev/null
	dd if=/dev/urandom of="$dev" bs=64k count=50 seek="$1" \
	    conv=notrunc 2>/dev/null
	sync
}

for spec in $ARRAYS; do
	IFS=: read -r name members chunk layout policy missing <<-EOT
		$spec
	EOT
	disks=
	i=0
	while [ $i -lt "$members" ]; do
		disks="$disks $(disk "$name-$i")"
		i=$((i + 1))
	done
	dmesg -c >/dev/null
	# shellcheck disable=SC2046,SC2086
	check "$name: mdadm --create" mdadm --create /dev/md0 --run \
	    --name "$name" --level 5 --raid-devices "$members" \
	    --chunk "$chunk" --layout "$layout" \
	    $(policy_options "$policy") --homehost box $disks || continue
	mdadm --wait /dev/md0
	if content=$(disk content); then
		dev=/dev/mapper/v
		dd if="$content" of=/dev/md0 bs=1M 2>/dev/null
		check "$name: dmsetup create" dmsetup create v /table ||
		    continue
		dmsetup mknodes
	else
		dev=/dev/md0
		dd if=/dev/urandom of=/dev/md0 bs=1M 2>/dev/null
	fi
	scatter 100
	if [ -n "$missing" ]; then
		# shellcheck disable=SC2086
		set -- $disks
		shift "$missing"
		check "$name: mdadm --fail" mdadm /dev/md0 --fail "$1"
		scatter 2000
	fi
	echo 3 >/proc/sys/vm/drop_caches
	echo "SUM $name $(sum "$dev")"
	[ "$dev" = /dev/md0 ] || dmsetup remove v
	check "$name: mdadm --stop" mdadm --stop /dev/md0
	dmesg_clean "$name: no kernel complaint"
done
