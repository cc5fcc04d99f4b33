#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# kill -9 of the daemon under a verified write load, again and again: served
# again in under two seconds each time and nothing acknowledged is lost.
# KILLS=n sets how often (50): three fifths on a volume with writethrough, one
# fifth on a durable one, one tenth with a member missing, one tenth while
# members are lost and rebuilt.  A volume that wrote back loses nothing any
# more once it has become a durable one.
. "${srcdir:-$(dirname "$0")/../..}/tests/lib.sh"
need_tools python3
wverify=$DOZO_BUILD/tests/tools/wverify
[ -x "$wverify" ] || skip_all "wverify is not built (libiscsi-dev)"
dozo_init kill

# kill_loop NAME TIMES URL OPTION BEFORE: the command BEFORE runs before each.
kill_loop() {
	out=$DOZO_DIR/wverify.out
	: >"$out"
	# shellcheck disable=SC2086
	"$wverify" $4 -m 24 -s "$$" "$3" >"$out" 2>&1 &
	writer=$!
	wait_line "$out" "^ready" 30 || {
		fail "$1: the writer starts" "$(tail -3 "$out")"
		kill "$writer"
		return 1
	}
	done=0
	while [ "$done" -lt "$2" ]; do
		# Between none and half a second of load.
		sleep "0.$((done * 37 % 50 + 10))"
		"$5"
		dozo_kill
		dozo_start || break
		done=$((done + 1))
		wait_line "$out" "^outage $done:" 30 || break
	done
	kill -TERM "$writer"
	wait "$writer"
	same "$1: the writer's verdict" $? 0 || tail -5 "$out"
	same "$1: times killed" "$done" "$2"
	slow=$(sed -n 's/^outage .* after \([0-9]*\) ms.*/\1/p' "$out" |
	    awk '$1 >= 2000' | wc -l)
	same "$1: outages of two seconds and more" "$slow" 0
	echo "# $1: $(tail -1 "$out")"
}

# wait_line FILE REGEX SECONDS
wait_line() {
	tries=$(($3 * 20))
	until grep -q "$2" "$1"; do
		tries=$((tries - 1))
		if [ "$tries" -le 0 ] || ! kill -0 "$writer" 2>/dev/null; then
			return 1
		fi
		sleep 0.05
	done
}

kills=${KILLS:-50}
dozo_start || exit 1
dozo_volume p 4 64M 32M || exit 1
url_through=$url
dozo_lun p durable 32M --write-policy durable || exit 1
url_durable=$url
# A crash and a missing member at once need the partial parity log.
check "the pool has PPL" sh -c "'$DOZO_BUILD/dozoctl' --socket \
    '$DOZO_DIR/control.sock' pool status p | grep -q ppl"

kill_loop "writethrough" $((kills * 3 / 5)) "$url_through" "" true
kill_loop "durable" $((kills / 5)) "$url_durable" "" true

become_durable() {
	ctl volume set p/durable --write-policy writeback >/dev/null &&
	    sleep 0.2 &&
	    ctl volume set p/durable --write-policy durable >/dev/null ||
	    fail "the policy changes"
}
kill_loop "write-back made durable" 3 "$url_durable" "" become_durable
check "a member fails" ctl disk fail "$DOZO_DIR/p-1.img"
# What was under way to the missing member, and not acknowledged, may be lost.
kill_loop "one member missing" $((kills / 10)) "$url_through" -l true

# lose_member: a whole array loses its oldest member and gets a new disk; what
# it lost the last time is thrown away.
members="p-0 p-2 p-3"
lost=p-1
added=0
struck=0
lose_member() {
	if ctl pool status p --json | grep -q '"degraded": *0'; then
		rm -f "$DOZO_DIR/$lost.img"
		lost=${members%% *}
		members=${members#* }
		ctl disk fail "$DOZO_DIR/$lost.img" >/dev/null ||
		    fail "member $lost fails"
	elif ctl pool status p --json | grep -q '"rebuilding"'; then
		struck=$((struck + 1))
		return
	fi
	added=$((added + 1))
	members="$members new-$added"
	truncate -s 64M "$DOZO_DIR/new-$added.img"
	ctl pool add-spare p --disk "$DOZO_DIR/new-$added.img" >/dev/null ||
	    fail "disk new-$added is added"
	struck=$((struck + 1))
}
kill_loop "rebuild" $((kills - kills / 10 * 9)) "$url_through" -l lose_member
echo "# rebuild: killed $struck times in one, $added disks were added"

dozo_stop
examine_members
summary
