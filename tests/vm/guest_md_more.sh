# SPDX-License-Identifier: BSD-2-Clause
# Arrays of ours in states that are met more seldom, in the hands of mdadm and
# the kernel; and arrays of theirs in such states, for us.  SUMS is a list of
# "name:sha256"; the disks are name-0, ...  Prints "SUM name sha256" of each
# array at the end.
need raid456

settle() {
	while [ "$(cat /sys/block/md0/md/sync_action)" != idle ]; do
		sleep 0.2
	done
}

parity() {
	echo check >/sys/block/md0/md/sync_action
	settle
	same "$1: check finds no mismatch" \
	    "$(cat /sys/block/md0/md/mismatch_cnt)" 0
}

# disks NAME SUFFIX...: their devices.
disks() {
	local name=$1 suffix
	shift
	for suffix; do
		disk "$name-$suffix" || fail "$name" "no disk $suffix"
	done
}

# assemble NAME SUFFIX...: and compare with what we read.
assemble() {
	local name=$1
	dmesg -c >/dev/null
	# shellcheck disable=SC2046
	check "$name: mdadm --assemble" \
	    mdadm --assemble /dev/md0 $(disks "$@") || return 1
	same "$name: bytes" "$(sum /dev/md0)" \
	    "$(echo "$SUMS" | tr ' ' '\n' | sed -n "s/^$name://p")"
}

scribble() {
	for at in 1 127 5000 9999; do
		dd if=/dev/urandom of=/dev/md0 bs=512 seek=$at count=70 \
		    conv=notrunc
	done 2>/dev/null
	sync
}

finish() {
	echo 3 >/proc/sys/vm/drop_caches
	echo "SUM $1 $(sum /dev/md0)"
	check "$1: mdadm --stop" mdadm --stop /dev/md0
	dmesg_clean "$1: no kernel complaint"
}

slowly() {
	echo 1 >/sys/block/md0/md/sync_speed_min
	echo "$1" >/sys/block/md0/md/sync_speed_max
}

policy() {
	same "$1: policy" "$(cat /sys/block/md0/md/consistency_policy)" "$2"
}

# --- ours ---

# Converted, and then a crash: the partial parity log is replayed.
if assemble cp 0 1 2; then
	policy cp ppl
	same "cp: no resync is due" "$(cat /sys/block/md0/md/resync_start)" \
	    none
	parity cp
	scribble
	finish cp
fi

# Converted to the bitmap; a member that was lost since is taken back by it.
if assemble cb 0 2 3; then
	policy cb bitmap
	scribble
	check "cb: re-add" mdadm /dev/md0 --re-add "$(disk cb-1)"
	same "cb: by the bitmap" "$(dmesg | grep -c 'recovery of RAID array')" 1
	settle
	same "cb: nobody is missing" "$(cat /sys/block/md0/md/degraded)" 0
	parity cb
	finish cb
fi

# Converted to resync.
if assemble cr 0 1 2; then
	policy cr resync
	parity cr
	finish cr
fi

# With a spare, which the kernel takes.
if assemble sp 0 1 2 spare; then
	same "sp: the spare is one" "$(cat \
	    "/sys/block/md0/md/dev-$(basename "$(disk sp-spare)")/state")" spare
	check "sp: fail a member" mdadm /dev/md0 --fail "$(disk sp-1)"
	scribble
	settle
	same "sp: the spare took its place" \
	    "$(cat /sys/block/md0/md/degraded)" 0
	parity sp
	finish sp
fi

# We were replacing a member: the kernel goes on.
if assemble rp 0 1 2 new; then
	note "rp: $(dmesg | grep -o 'recovery of .*' | head -1)"
	settle
	same "rp: nobody is missing" "$(cat /sys/block/md0/md/degraded)" 0
	state=$(cat "/sys/block/md0/md/dev-$(basename "$(disk rp-new)")/state")
	same "rp: the new disk is in sync" "$state" in_sync
	mdadm /dev/md0 --remove faulty >/dev/null 2>&1
	parity rp
	scribble
	finish rp
fi

# --- theirs ---

# create NAME OPTION... -- SUFFIX...
create() {
	local name=$1 options=
	shift
	while [ "$1" != -- ]; do
		options="$options $1"
		shift
	done
	shift
	dmesg -c >/dev/null
	# shellcheck disable=SC2046,SC2086
	check "$name: mdadm --create" mdadm --create /dev/md0 --run \
	    --name "$name" --homehost box --level 5 --raid-devices 3 $options \
	    $(disks "$name" "$@") || return 1
	mdadm --wait /dev/md0
	settle
	dd if=/dev/urandom of=/dev/md0 bs=1M 2>/dev/null
	sync
}

# With a spare.
if create ls --spare-devices 1 --consistency-policy ppl -- 0 1 2 spare; then
	finish ls
fi

# In the middle of a replacement.
if create lr --consistency-policy resync -- 0 1 2; then
	slowly 2000
	check "lr: add" mdadm /dev/md0 --add "$(disk lr-new)"
	check "lr: replace" mdadm /dev/md0 --replace "$(disk lr-1)" --with \
	    "$(disk lr-new)"
	sleep 2
	note "lr: $(grep -o 'recovery = *[0-9.%]*' /proc/mdstat)"
	finish lr
fi

# With bad blocks: 512 sectors of one member, 8 of another.
if create lb --consistency-policy resync -- 0 1 2; then
	at=$(cat "/sys/block/md0/md/dev-$(basename "$(disk lb-0)")/offset")
	for bad in "0 $((at + 1000)) 512" "2 $((at + 4000)) 8"; do
		# shellcheck disable=SC2086
		set -- $bad
		member=/sys/block/md0/md/dev-$(basename "$(disk "lb-$1")")
		# Else it is written anew, and forgotten, as soon as it is read.
		echo write_error >"$member/state"
		echo "$2 $3" >"$member/bad_blocks"
	done
	echo "BAD $at"
	scribble
	finish lb
fi
