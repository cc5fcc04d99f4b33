#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The daemon is killed under a verified write load; then Linux gets the array,
# recovers it and stops it; then we serve it again: nothing acknowledged is
# lost on the way, and parity is right everywhere.  For each consistency
# policy, and under PPL with a member that dies in the same crash.
. "${srcdir:-$(dirname "$0")/../..}/tests/lib.sh"
. "$srcdir/tests/vm/lib_vm.sh"
need_tools mdadm
wverify=$DOZO_BUILD/tests/tools/wverify
[ -x "$wverify" ] || skip_all "wverify is not built (libiscsi-dev)"
vm_ready
dozo_init vm-md-crash
dozo_start || exit 1

# name:members:policy:what the kernel has to do:member lost
arrays="r4:4:resync:resync: b4:4:bitmap:resync: l4:4:ppl:no: l3:3:ppl:no:
    m4:4:ppl:no:1"
specs=
writers=
made=
for array in $arrays; do
	IFS=: read -r name members policy sync lost <<-EOT
		$array
	EOT
	# shellcheck disable=SC2046
	ctl pool create "$name" --level raid5 --policy "$policy" --wait \
	    $(dozo_disks "$members" 32M "$name-") \
	    >"$DOZO_DIR/create.out" 2>&1 || {
		rm -f "$DOZO_DIR/$name"-*.img
		if grep -q 'not supported' "$DOZO_DIR/create.out"; then
			skip "$name" "$(cat "$DOZO_DIR/create.out")"
		else
			fail "$name: pool of $members, $policy" \
			    "$(cat "$DOZO_DIR/create.out")"
		fi
		continue
	}
	made="$made $array"
	dozo_lun "$name" v 24M || continue
	"$wverify" ${lost:+-l} -m 16 -p 200 "$url" \
	    >"$DOZO_DIR/$name.out" 2>&1 &
	writers="$writers $name:$!"
	specs="$specs $name:$members:$sync"
done
sleep 4
dozo_kill

set --
for array in $made; do
	IFS=: read -r name members policy sync lost <<-EOT
		$array
	EOT
	[ -z "$lost" ] || mv "$DOZO_DIR/$name-$lost.img" "$DOZO_DIR/gone"
	for image in "$DOZO_DIR/$name"-*.img; do
		set -- "$@" --drive "$image"
	done
done
examine_members "after kill -9"
guest_counted "our crashed arrays in Linux" guest_md_crashed.sh \
    --timeout 600 --env "ARRAYS=$specs" "$@"

dozo_start || exit 1
for writer in $writers; do
	name=${writer%:*}
	tries=0
	until grep -q '^outage 1:' "$DOZO_DIR/$name.out" ||
	    [ "$tries" -gt 300 ] || ! kill -0 "${writer#*:}"; do
		tries=$((tries + 1))
		sleep 0.1
	done
done
sleep 0.5
for writer in $writers; do
	name=${writer%:*}
	kill -TERM "${writer#*:}" 2>/dev/null
	wait "${writer#*:}"
	same "$name: nothing acknowledged is lost" $? 0 ||
	    tail -4 "$DOZO_DIR/$name.out"
	echo "# $name: $(tail -1 "$DOZO_DIR/$name.out")"
done
dozo_stop
examine_members "in the end"
for array in $made; do
	name=${array%%:*}
	check "$name: parity is right everywhere" \
	    python3 "$srcdir/tests/interop/mdarray.py" check \
	    "$DOZO_DIR/$name"-*.img
done
summary
