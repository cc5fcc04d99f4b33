# SPDX-License-Identifier: BSD-2-Clause
# Arrays made and written by mdadm and the kernel, for us to read.  ARRAYS is a
# list of "name:members:chunk KiB:layout:policy:missing" whose disks are
# name-0, name-1, ...  Prints "SUM name sha256" of each array.
need raid456

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
	check "$name: mdadm --create" mdadm --create /dev/md0 --run \
	    --name "$name" --level 5 --raid-devices "$members" \
	    --chunk "$chunk" --layout "$layout" \
	    --consistency-policy "$policy" --homehost box $disks || continue
	mdadm --wait /dev/md0
	dd if=/dev/urandom of=/dev/md0 bs=1M 2>/dev/null
	# Partial writes, some over the edge of chunk and stripe.
	for at in 1 63 127 128 1000 5003 9999; do
		dd if=/dev/urandom of=/dev/md0 bs=512 seek=$at count=7 \
		    conv=notrunc 2>/dev/null
	done
	if [ -n "$missing" ]; then
		set -- $disks
		shift "$missing"
		mdadm /dev/md0 --fail "$1" >/dev/null 2>&1
		dd if=/dev/urandom of=/dev/md0 bs=4k count=100 seek=17 \
		    conv=notrunc 2>/dev/null
	fi
	sync
	echo 3 >/proc/sys/vm/drop_caches
	echo "SUM $name $(sum /dev/md0)"
	check "$name: mdadm --stop" mdadm --stop /dev/md0
done
dmesg_clean "no kernel complaint"
