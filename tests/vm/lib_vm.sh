# SPDX-License-Identifier: BSD-2-Clause
# What the host side of the guest tests shares; after tests/lib.sh.

vm=$srcdir/tests/vm

# vm_ready: kernel and initramfs are there (made if need be), or skip all.
vm_ready() {
	need_tools python3
	_why=$(python3 "$vm/guest.py" --prepare 2>&1) ||
	    skip_all "$_why"
}

sha() {
	_sum=$(sha256sum <"$1")
	echo "${_sum%% *}"
}

# guest_start SCRIPT OPTION...: run tests/vm/SCRIPT in the background, as
# $guest_pid; its lines go to guest.out.  Killing it cuts the guest's power.
guest_start() {
	_script=$1
	shift
	python3 "$vm/guest.py" --console "$DOZO_DIR/guest.console" \
	    --file "guest_initiator.sh=$vm/guest_initiator.sh" \
	    "$@" "$vm/$_script" >"$DOZO_DIR/guest.out" 2>&1 &
	guest_pid=$!
}

guest_wait() {
	wait "$guest_pid"
	_status=$?
	guest_pid=
	return "$_status"
}

# guest_counted NAME SCRIPT OPTION...: run it, count its lines.  A guest that
# did not come to its end ends this script too: what follows needs its work.
guest_counted() {
	_what=$1
	shift
	guest_start "$@"
	guest_wait
	_ended=$?
	count_lines "$DOZO_DIR/guest.out"
	[ "$_ended" -eq 0 ] || {
		fail "$_what: guest ends well" "status $_ended"
		tail -15 "$DOZO_DIR/guest.out" | sed 's/^/#  /'
		summary
		exit 1
	}
}

# guest_says TEXT SECONDS: wait for a line of the guest that runs in the
# background.
guest_says() {
	_left=$(($2 * 5))
	until grep -q "^$1" "$DOZO_DIR/guest.out" 2>/dev/null; do
		_left=$((_left - 1))
		[ "$_left" -gt 0 ] || return 1
		sleep 0.2
	done
}
