#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# No configuration change drops an unaffected session: a verifying writer works
# while everything around it is created, changed and deleted.
. "${srcdir:-$(dirname "$0")/../..}/tests/lib.sh"
need_tools python3 iscsi-inq
wverify=$DOZO_BUILD/tests/tools/wverify
[ -x "$wverify" ] || skip_all "wverify is not built (libiscsi-dev)"
dozo_init live
dozo_start || exit 1
dozo_volume p 4 64M 32M || exit 1
url_busy=$url
"$wverify" -m 16 "$url_busy" >"$DOZO_DIR/wverify.out" 2>&1 &
writer=$!
sleep 0.3

round=0
while [ "$round" -lt 5 ]; do
	round=$((round + 1))
	dozo_lun p "x$round" 8M
	check "x$round: served" iscsi-inq "$url"
	check "x$round: grow" ctl volume grow "p/x$round" 12M
	check "x$round: rename" ctl volume rename "p/x$round" "y$round"
	check "x$round: still served" iscsi-inq "$url"
	check "host create" ctl host create "h$round" \
	    --iqn "iqn.2026-01.test:h$round"
	check "map for a host" ctl map "p/y$round" --host "h$round" \
	    --target p-v --lun 5
	check "portal add" ctl portal add "[::1]:$DOZO_PORT"
	if [ -e /proc/sys/net/ipv6 ]; then
		check "served over IPv6" \
		    iscsi-inq "iscsi://[::1]:$DOZO_PORT/$iqn/0"
	else
		skip "served over IPv6" "this host has none"
	fi
	check "portal remove" ctl portal remove "[::1]:$DOZO_PORT"
	check "host delete" ctl host delete "h$round"
	ctl config export >"$DOZO_DIR/doc.json"
	check "config import of what was exported" \
	    ctl config import "$DOZO_DIR/doc.json"
	check "unmap" ctl unmap "p/y$round" --host any --target "p-x$round"
	check "target delete" ctl target delete "p-x$round"
	check "volume delete" ctl volume delete "p/y$round"
	# shellcheck disable=SC2046
	check "another pool" ctl pool create q --level raid5 --wait \
	    $(dozo_disks 3 32M q-)
	check "a member of it fails" ctl disk fail "$DOZO_DIR/q-0.img"
	refuse "pool stop under a writer" "is connected to target" \
	    ctl pool stop p
	check "pool stop" ctl pool stop q
	check "pool start" ctl pool start q
	check "pool delete" ctl pool delete q
	rm -f "$DOZO_DIR"/q-*.img
done
check "grow the volume that is written" ctl volume grow p/v 40M
check "rename the volume that is written" ctl volume rename p/v w
for policy in writeback writethrough writeback durable; do
	check "the volume that is written becomes $policy" \
	    ctl volume set p/w --write-policy "$policy"
	sleep 0.3
done
check "write-back once more" ctl volume set p/w --write-policy writeback
sleep 0.3
kill -PWR "$DOZO_PID"
sleep 1
same "power fails: it is told" \
    "$(ctl status | grep -c "power is failing")" 1
same "power fails: nothing is in memory only" \
    "$(ctl stats --json | python3 -c 'import json, sys
print(json.load(sys.stdin)["cache"]["dirty"])')" 0
kill -HUP "$DOZO_PID"
sleep 0.3
same "power is back" "$(ctl status | grep -c "power is failing")" 0
check "durable again" ctl volume set p/w --write-policy durable
for policy in bitmap resync ppl; do
	check "consistency policy $policy under the writer" \
	    ctl pool set p --policy "$policy"
	sleep 0.2
done
sleep 0.5
check "a member fails under the writer" ctl disk fail "$DOZO_DIR/p-2.img"
sleep 0.5

kill -TERM "$writer"
wait "$writer"
same "the writer's verdict" $? 0 || cat "$DOZO_DIR/wverify.out"
check "no session was dropped" grep -q " 0 outages" "$DOZO_DIR/wverify.out"
dozo_stop
examine_members
summary
