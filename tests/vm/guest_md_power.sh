# SPDX-License-Identifier: BSD-2-Clause
# Arrays made by mdadm, written until the power is cut (the host kills QEMU).
# ARRAYS is a list of "name:members:policy" whose disks are name-0, ...; the
# pool comes from the disk "content", its volume is at /table on /dev/md0.
# Four writers per array write blocks of 4 KiB that say who wrote what and
# print "ACK name writer number" for each that the array has taken.
need raid456 dm-mod

# writer NAME NUMBER: it owns the blocks whose index mod 4 is its number.
writer() {
	local i=0
	while :; do
		i=$((i + 1))
		yes "$1 writer $2 write $i" | head -c 4096 >"/tmp/block$1$2"
		dd if="/tmp/block$1$2" of="/dev/mapper/$1" bs=4k \
		    seek=$((i * 37 % 1000 * 4 + $2)) conv=notrunc \
		    oflag=direct 2>/dev/null && echo "ACK $1 $2 $i"
	done
}

number=0
for spec in $ARRAYS; do
	IFS=: read -r name members policy <<-EOT
		$spec
	EOT
	disks=
	i=0
	while [ $i -lt "$members" ]; do
		disks="$disks $(disk "$name-$i")"
		i=$((i + 1))
	done
	# shellcheck disable=SC2046,SC2086
	check "$name: mdadm --create" mdadm --create "/dev/md$number" --run \
	    --name "$name" --level 5 --raid-devices "$members" --chunk 64 \
	    $(policy_options "$policy") --homehost box --assume-clean \
	    $disks || continue
	dd if="$(disk content)" of="/dev/md$number" bs=1M conv=fsync \
	    2>/dev/null
	sed "s,/dev/md0,/dev/md$number," /table >"/table$number"
	check "$name: dmsetup create" dmsetup create "$name" "/table$number"
	number=$((number + 1))
done
dmsetup mknodes
echo "@slow"
for spec in $ARRAYS; do
	for w in 0 1 2 3; do
		writer "${spec%%:*}" $w &
	done
done
echo "writing"
sleep 600
