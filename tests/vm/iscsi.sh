#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Linux open-iscsi in a guest: discovery, CHAP both ways, digests, ext4 and
# xfs with checks; then the daemon is stopped and killed under a verified load,
# which must cost a pause and no error.
. "${srcdir:-$(dirname "$0")/../..}/tests/lib.sh"
. "$srcdir/tests/vm/lib_vm.sh"
vm_ready
dozo_init vm-iscsi
dozo_start || exit 1

dozo_volume p 4 256M 400M || exit 1
iqn_open=$iqn
iqn_chap=iqn.2026-01.test.dozo:chap
check "volume for CHAP" ctl volume create p/chap 300M
check "target for CHAP" ctl target create chap --iqn "$iqn_chap"
check "host with CHAP" ctl host create guest \
    --iqn iqn.1993-08.org.debian:01:dozo-guest \
    --chap-user alice --chap-secret sesame-open-1 \
    --mutual-user box --mutual-secret sesame-close2
check "map for CHAP" ctl map p/chap --host guest --target chap --lun 0

set -- --env "PORT=$DOZO_PORT" --env "IQN_OPEN=$iqn_open" \
    --env "IQN_CHAP=$iqn_chap" --env CHAP_USER=alice \
    --env CHAP_SECRET=sesame-open-1 --env MUTUAL_USER=box \
    --env MUTUAL_SECRET=sesame-close2
guest_counted open-iscsi guest_iscsi.sh --timeout 600 "$@"

# The guest writes and verifies until /dev/ttyS1 has said "round 6 ends".
guest_start guest_restart.sh --timeout 600 "$@"
restarts=0
for round in 1 2 3 4; do
	guest_says "round $round begins" 90 || break
	sleep 0.7
	case $round in
	1 | 3) dozo_stop ;;
	*) dozo_kill ;;
	esac
	sleep 1
	dozo_start || break
	restarts=$((restarts + 1))
done
guest_wait
same "restarts with a guest that writes: its status" $? 0
same "restarts done" "$restarts" 4
count_lines "$DOZO_DIR/guest.out"

dozo_stop
examine_members
summary
