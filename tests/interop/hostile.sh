#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Bad input from all sides: on the wire, in the configuration file, at the
# control socket, on the disks.  Each gets a clear answer and the service goes
# on for the others, which a verifying writer proves all the while.
. "${srcdir:-$(dirname "$0")/../..}/tests/lib.sh"
need_tools python3
hostile=$srcdir/tests/interop/hostile.py
wverify=$DOZO_BUILD/tests/tools/wverify
[ -x "$wverify" ] || skip_all "wverify is not built (libiscsi-dev)"
dozo_init hostile
dozo_start || exit 1
dozo_volume p 3 64M 32M || exit 1

"$wverify" -m 8 "$url" >"$DOZO_DIR/wverify.out" 2>&1 &
writer=$!

# --- on the wire ---
for case in garbage truncated oversized opcodes; do
	check "wire: $case" python3 "$hostile" 127.0.0.1 "$DOZO_PORT" "$case"
done
mkfifo "$DOZO_DIR/hold"
python3 "$hostile" 127.0.0.1 "$DOZO_PORT" half_open <"$DOZO_DIR/hold" \
    >"$DOZO_DIR/held" &
holder=$!
exec 9>"$DOZO_DIR/hold"
tries=0
until grep -q open "$DOZO_DIR/held" || [ $tries -gt 300 ]; do
	tries=$((tries + 1))
	sleep 0.1
done
check "wire: 1000 half-open connections" grep -q "^1000 open" "$DOZO_DIR/held"
check "wire: a login besides them" timeout 10 iscsi-inq "$url"
check "control: an answer besides them" ctl status
exec 9>&-
wait "$holder"

# --- at the control socket ---
control() {
	python3 - "$DOZO_DIR/control.sock" "$1" <<-'EOT'
		import socket, sys
		s = socket.socket(socket.AF_UNIX)
		s.settimeout(5)
		s.connect(sys.argv[1])
		try:
		    s.sendall(eval(sys.argv[2]))
		    s.shutdown(socket.SHUT_WR)
		    while s.recv(65536):
		        pass
		except (BrokenPipeError, ConnectionResetError):
		    pass
	EOT
}
check "control: garbage" control 'bytes(range(256)) * 100'
check "control: a line without end" control 'b"x" * 3000000'
check "control: deep nesting" control 'b"[" * 100000 + b"\n"'
check "control: no object" control 'b"null\n[1,2]\n"'
check "control: it still answers" ctl status

# --- a second daemon ---
second=$DOZO_DIR/second
mkdir "$second"
# second_conf STATE LISTEN [LINE]
second_conf() {
	printf 'state-directory = %s\ncontrol-socket = %s\nlisten = %s\n' \
	    "$1" "$second/control.sock" "$2" >"$second/dozo.conf"
	printf 'page-port = 0\n%s\n' "$3" >>"$second/dozo.conf"
}
second_start() {
	timeout 10 "$DOZO_BUILD/dozod" -f -c "$second/dozo.conf"
}
mkdir "$second/state"
second_conf "$second/state" "127.0.0.1:$DOZO_PORT"
refuse "a port in use" "$DOZO_PORT" second_start
second_conf "$DOZO_DIR/state" 127.0.0.1:0
refuse "a state directory in use" "state|use|running|lock" second_start
second_conf "$DOZO_DIR/dozo.conf" 127.0.0.1:0
refuse "a state directory that is a file" "dozo.conf" second_start
second_conf "$second/state" 127.0.0.1:0 "listne = *"
refuse "an unknown key" "listne" second_start
second_conf "$second/state" "192.0.2.300"
refuse "a bad address" "192.0.2.300" second_start
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
	chmod 755 "$DOZO_DIR" "$second"
	chmod 700 "$second/state"
	second_conf "$second/state" 127.0.0.1:0
	refuse "a state directory without permission" "ermission" \
	    setpriv --reuid 65534 --regid 65534 --clear-groups \
	    timeout 10 "$DOZO_BUILD/dozod" -f -c "$second/dozo.conf"
else
	mkdir -m 0 "$second/closed"
	second_conf "$second/closed" 127.0.0.1:0
	refuse "a state directory without permission" "ermission" second_start
fi
second_conf "$second/state" 127.0.0.1:0
"$DOZO_BUILD/dozod" -f -c "$second/dozo.conf" >"$second/log" 2>&1 &
second_pid=$!
sleep 1
refuse "members that another daemon has open" "use|open|busy|lock" \
    "$DOZO_BUILD/dozoctl" --socket "$second/control.sock" pool import \
    --disk "$DOZO_DIR/p-0.img" --disk "$DOZO_DIR/p-1.img" \
    --disk "$DOZO_DIR/p-2.img"
kill "$second_pid"
wait "$second_pid"

kill -TERM "$writer"
wait "$writer"
same "a writer noticed nothing of all this" $? 0
check "and lost no connection" grep -q " 0 outages" "$DOZO_DIR/wverify.out"
dozo_stop
examine_members

# --- on the disks ---
cp "$DOZO_DIR/p-1.img" "$DOZO_DIR/kept"
truncate -s 1M "$DOZO_DIR/p-1.img"
dozo_start || exit 1
check "a member cut short: the pool is served" iscsi-inq "$url"
check "a member cut short: the status names it" sh -c "\"$DOZO_BUILD/dozoctl\" \
    --socket \"$DOZO_DIR/control.sock\" pool status p | grep -q p-1.img"
dozo_stop
truncate -s 0 "$DOZO_DIR/p-2.img"
dozo_start || exit 1
check "two members cut short: the daemon runs" ctl version
refuse "two members cut short: the status says so" "p-2.img|2 of 3 members" \
    ctl status
refuse "two members cut short: nothing is served" "." \
    timeout 10 iscsi-inq "$url"
dozo_stop
rm "$DOZO_DIR"/p-[12].img
examine_members
summary
