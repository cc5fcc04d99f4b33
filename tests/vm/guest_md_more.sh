# SPDX-License-Identifier: BSD-2-Clause
# Arrays of ours in states that are met more seldom, in the hands of mdadm and
# the kernel; and arrays of theirs in such states, for us.  SUMS is a list of
# "name:sha256"; the disks are name-0, ...  Prints "SUM name sha256" of each
# array at the end; and of one with bad blocks "BAD name N:FIRST+SECTORS ...",
# by member, and "LOST name BLOCKS" that cannot be read, which count as zeroes.
need raid456 dm-mod

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

# member NAME SUFFIX: what sysfs has of it.
member() {
	echo "/sys/block/md0/md/dev-$(basename "$(disk "$1-$2")")"
}

# bad_blocks DIRECTORY...: what md lists as bad, "0:FIRST+SECTORS 1:...".
bad_blocks() {
	local i=0 dir
	for dir; do
		sed "s/\([0-9]*\) \([0-9]*\)/$i:\1+\2/" "$dir/bad_blocks"
		i=$((i + 1))
	done | sort | paste -sd ' '
}

# Sets $sha of all of the array, and $lost: how many blocks cannot be read.
read_all() {
	dd if=/dev/md0 bs=4k conv=noerror,sync 2>/tmp/dd.out >/tmp/array
	lost=$(grep -ci 'error' /tmp/dd.out)
	sha=$(sum /tmp/array)
	rm /tmp/array
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

# finish_bad NAME DIRECTORY...: with bad blocks; their members as sysfs has them.
finish_bad() {
	local name=$1
	shift
	echo "BAD $name $(bad_blocks "$@")"
	echo 3 >/proc/sys/vm/drop_caches
	dmesg -c >/dev/null
	read_all
	echo "SUM $name $sha"
	echo "LOST $name $lost"
	check "$name: mdadm --stop" mdadm --stop /dev/md0
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

# With bad blocks.
dmesg -c >/dev/null
if check "ob: mdadm --assemble" mdadm --assemble /dev/md0 $(disks ob 0 1 2)
then
	same "ob: md has our list" "$(bad_blocks "$(member ob 0)" \
	    "$(member ob 1)" "$(member ob 2)")" "$OB_BAD"
	read_all
	same "ob: bytes" "$sha" \
	    "$(echo "$SUMS" | tr ' ' '\n' | sed -n "s/^ob://p")"
	same "ob: what is lost" "$lost" "$OB_LOST"
	dd if=/dev/urandom of=/dev/md0 bs=1M 2>/dev/null
	sync
	bad=$(echo "$OB_BAD" | tr ' ' '\n' | grep '+128' | paste -sd ' ')
	same "ob: written anew, only what is lost stays bad" "$(bad_blocks \
	    "$(member ob 0)" "$(member ob 1)" "$(member ob 2)")" "$bad"
	finish_bad ob "$(member ob 0)" "$(member ob 1)" "$(member ob 2)"
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

# With bad blocks: 512 sectors of one member, 8 of another, and 8 of the same
# stripe of both.
if create lb --consistency-policy resync -- 0 1 2; then
	at=$(cat "$(member lb 0)/offset")
	for bad in "0 $((at + 1000)) 512" "2 $((at + 4000)) 8" \
	    "0 $((at + 8000)) 8" "1 $((at + 8000)) 8"; do
		# shellcheck disable=SC2086
		set -- $bad
		# Else it is written anew, and forgotten, as soon as it is read.
		echo write_error >"$(member lb "$1")/state"
		echo "$2 $3" >"$(member lb "$1")/bad_blocks"
	done
	scribble
	finish_bad lb "$(member lb 0)" "$(member lb 1)" "$(member lb 2)"
fi

# A disk that refuses to write in some place: md finds out and lists it.  Not
# if a whole stripe is written at once: then it forgets.
mapped() {
	local dev size
	dev=$(disk le-0)
	size=$(cat "/sys/block/${dev##*/}/size")
	if [ $# -gt 0 ]; then
		echo "0 $1 linear $dev 0"
		echo "$1 $2 error"
		echo "$(($1 + $2)) $((size - $1 - $2)) linear $dev $(($1 + $2))"
	else
		echo "0 $size linear $dev 0"
	fi
}

mapped | dmsetup create le
dmsetup mknodes
if check "le: mdadm --create" mdadm --create /dev/md0 --run --name le \
    --homehost box --level 5 --raid-devices 3 --consistency-policy resync \
    /dev/mapper/le $(disks le 1 2); then
	mdadm --wait /dev/md0
	settle
	dd if=/dev/urandom of=/dev/md0 bs=1M 2>/dev/null
	sync
	for dir in /sys/block/md0/md/dev-dm-*; do
		at=$(cat "$dir/offset")
		mapped $((at + 8)) 16 >/tmp/table
		check "le: the disk wears" dmsetup load le /tmp/table
		check "le: from now on" dmsetup resume le
		dd if=/dev/urandom of=/dev/md0 bs=4k seek=1 count=2 \
		    conv=notrunc 2>/dev/null
		sync
		same "le: md lists what it could not write" \
		    "$(bad_blocks "$dir")" "0:$((at + 8))+16"
		finish_bad le "$dir" "$(member le 1)" "$(member le 2)"
	done
fi
