#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Persistent reservations across the end of sessions and of the daemon: with
# APTPL they survive kill -9, without it they do not, and what was cleared does
# not come back.
. "${srcdir:-$(dirname "$0")/../..}/tests/lib.sh"
prtool=$DOZO_BUILD/tests/tools/prtool
[ -x "$prtool" ] || skip_all "prtool is not built (libiscsi-dev)"
dozo_init reservations
dozo_start || exit 1
dozo_volume p 4 64M 32M || exit 1

# pr NODE WORDS...: the answers on one line
pr() {
	node=$1
	shift
	"$prtool" "$url" "iqn.2026-01.test:$node" "$((0x$node))" "$@" 2>&1 |
	    tr '\n' ',' | sed 's/,$//'
}

restart() {
	dozo_kill
	dozo_start || exit 1
}

same "register and reserve" "$(pr a aptpl 0xaaa reserve 0xaaa 5)" good,good
same "register a second node" "$(pr b aptpl 0xbbb)" good
same "a stranger reads but does not write" "$(pr c read write)" \
    good,conflict
restart
same "keys after kill -9" "$(pr c keys)" "0xaaa 0xbbb"
same "reservation after kill -9" "$(pr c reservation)" "0xaaa type 5"
same "a stranger still does not write" "$(pr c write)" conflict
same "the holder writes with its old ISID" "$(pr a write)" good
same "the other node takes over" "$(pr b preempt 0xbbb 0xaaa 5)" good
same "the old holder is out" "$(pr a write)" conflict
restart
same "the takeover survives" "$(pr c reservation keys)" \
    "0xbbb type 5,0xbbb"
same "clear" "$(pr b clear 0xbbb)" good
restart
same "what was cleared stays away" "$(pr c keys reservation write)" \
    none,none,good
same "register without APTPL" "$(pr a register 0xaaa reserve 0xaaa 3)" \
    good,good
same "it outlives its session" "$(pr b read)" conflict
restart
same "it does not outlive the daemon" "$(pr b keys read)" none,good

dozo_stop
examine_members
summary
