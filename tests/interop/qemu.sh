#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# QEMU's tools as initiator.  A file-system image goes into the LUN and comes
# back equal; a random series of qemu-io commands is applied to the LUN and to
# a plain file, which must stay equal.  Healthy, with a member that fails under
# load, and started with a member missing.  SEED=n repeats a series.
. "${srcdir:-$(dirname "$0")/../..}/tests/lib.sh"
need_tools python3 qemu-img qemu-io mkfs.ext4
interop=$srcdir/tests/interop
size=48
dozo_init qemu
seed=${SEED:-$$}
echo "# SEED=$seed"
dozo_start || exit 1

# image NAME: an ext4 image with files, and a boot sector.
image() {
	mkdir -p "$DOZO_DIR/tree"
	cp -r "$srcdir/tests" "$DOZO_DIR/tree/"
	mkfs.ext4 -q -F -d "$DOZO_DIR/tree" "$1" ${size}M >/dev/null &&
	    printf '\125\252' | dd of="$1" bs=1 seek=510 conv=notrunc \
		2>/dev/null
}

# round_trip NAME: the image into the LUN and back, as raw and as qcow2.
round_trip() {
	check "$1: raw into the LUN" \
	    qemu-img convert -n -f raw -O raw "$DOZO_DIR/fs" "$url"
	check "$1: and back" \
	    qemu-img convert -f raw -O raw "$url" "$DOZO_DIR/back"
	check "$1: equal" cmp "$DOZO_DIR/fs" "$DOZO_DIR/back"
	check "$1: qcow2 into the LUN" \
	    qemu-img convert -n -f qcow2 -O raw "$DOZO_DIR/fs.qcow2" "$url"
	check "$1: equal to the qcow2" qemu-img compare -f qcow2 -F raw \
	    "$DOZO_DIR/fs.qcow2" "$url"
}

# io NAME COUNT: the same random commands to the LUN and to the plain file;
# $during runs while the LUN works.
io() {
	seed=$((seed + 1))
	python3 "$interop/qemu_io_series.py" "$seed" "$2" $((size << 20)) \
	    >"$DOZO_DIR/series"
	qemu-io -t none -f raw "$DOZO_DIR/fs" <"$DOZO_DIR/series" \
	    >/dev/null 2>&1
	qemu-io -f raw "$url" <"$DOZO_DIR/series" >"$DOZO_DIR/io.out" 2>&1 &
	io_pid=$!
	[ -z "$during" ] || $during
	wait "$io_pid"
	same "$1: qemu-io (seed $seed)" $? 0
	if grep -iE 'error|fail|mismatch' "$DOZO_DIR/io.out" |
	    head -3 | grep . ; then
		fail "$1: qemu-io without complaint (seed $seed)"
	else
		pass "$1: qemu-io without complaint"
	fi
	compare "$1"
}

compare() {
	check "$1: LUN and file are equal" \
	    qemu-img compare -f raw -F raw "$DOZO_DIR/fs" "$url"
}

# parity NAME POOL: a second opinion from the members, the daemon stopped.
parity() {
	check "$1: parity is right everywhere" \
	    python3 "$interop/mdarray.py" check "$DOZO_DIR/$2"-*.img
}

fail_member() {
	sleep 0.4
	check "$pool: a member fails under load" \
	    ctl disk fail "$DOZO_DIR/$pool-1.img"
	check "$pool: the status says so" sh -c "\"$DOZO_BUILD/dozoctl\" \
	    --socket \"$DOZO_DIR/control.sock\" pool status $pool --json |
	    grep -q faulty"
}

for members in 3 4 7; do
	pool=p$members
	during=
	dozo_volume "$pool" $members 40M ${size}M || continue
	image "$DOZO_DIR/fs"
	qemu-img convert -f raw -O qcow2 "$DOZO_DIR/fs" "$DOZO_DIR/fs.qcow2"
	round_trip "n=$members"
	io "n=$members" 200
	dozo_stop
	examine_members
	parity "n=$members" "$pool"
	dozo_start || break
	compare "n=$members, after a restart"

	during=fail_member
	io "n=$members, failing" 1500
	during=
	dozo_stop
	examine_members
	mv "$DOZO_DIR/$pool-1.img" "$DOZO_DIR/gone"
	dozo_start || break
	compare "n=$members, started with one missing"
	io "n=$members, one missing" 200
	cp "$DOZO_DIR/fs" "$DOZO_DIR/kept"
	round_trip "n=$members, one missing"
	mv "$DOZO_DIR/kept" "$DOZO_DIR/fs"
	dozo_stop
	examine_members
	rm -f "$DOZO_DIR/gone" "$DOZO_DIR/$pool"-*.img
	dozo_start || break
	ctl pool delete "$pool" --force >/dev/null 2>&1
done
summary
