# SPDX-License-Identifier: BSD-2-Clause
# Arrays of ours whose daemon was killed under load: mdadm assembles them, the
# kernel recovers what it has to, parity is right afterwards.  ARRAYS is a list
# of "name:members:sync" whose disks are name-0, name-1, ... (absent ones are
# absent); sync says whether the kernel has to resync ("resync") or not ("no").
need raid456

for spec in $ARRAYS; do
	IFS=: read -r name members sync <<-EOT
		$spec
	EOT
	disks=
	present=0
	i=0
	while [ $i -lt "$members" ]; do
		if path=$(disk "$name-$i"); then
			disks="$disks $path"
			present=$((present + 1))
		fi
		i=$((i + 1))
	done
	dmesg -c >/dev/null
	start=
	[ $present -eq "$members" ] || start=--run
	# shellcheck disable=SC2086
	check "$name: mdadm --assemble" mdadm --assemble $start /dev/md0 \
	    $disks || {
		dmesg | tail -20
		continue
	}
	if dmesg | grep -q 'md: resync of'; then
		same "$name: resync" resync "$sync"
	else
		same "$name: resync" no "$sync"
	fi
	mdadm --wait /dev/md0
	if [ $present -eq "$members" ]; then
		echo check >/sys/block/md0/md/sync_action
		while [ "$(cat /sys/block/md0/md/sync_action)" != idle ]; do
			sleep 0.2
		done
		same "$name: check finds no mismatch" \
		    "$(cat /sys/block/md0/md/mismatch_cnt)" 0
	fi
	check "$name: mdadm --stop" mdadm --stop /dev/md0
	dmesg_clean "$name: no kernel complaint"
done
