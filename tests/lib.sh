# SPDX-License-Identifier: BSD-2-Clause
# What the shell tests share: a dozod of one's own with a temporary state
# directory, disk images as members, and counting.  Use:
#
#	. "${srcdir:-.}/tests/lib.sh"
#	dozo_init NAME			# directory, port, configuration, trap
#	dozo_start			# returns when it answers
#	ctl status			# dozoctl on its socket
#	ctl pool create p --level raid5 $(dozo_disks 4 64M)
#	check "name of the check" command...
#	summary				# last line; gives the exit status
#
# The programs come from $DOZO_BUILD (default: the current directory).  A test
# that cannot run at all calls skip_all.

srcdir=$(cd "${srcdir:-$(dirname "$0")/../..}" && pwd)
DOZO_BUILD=${DOZO_BUILD:-$PWD}
PATH=$PATH:/usr/sbin:/sbin
nr_passed=0
nr_failed=0
nr_skipped=0

pass() {
	nr_passed=$((nr_passed + 1))
	[ -z "$VERBOSE" ] || echo "PASS $1"
}

fail() {
	nr_failed=$((nr_failed + 1))
	echo "FAIL $1${2:+: $2}"
}

skip() {
	nr_skipped=$((nr_skipped + 1))
	echo "SKIP $1${2:+: $2}"
}

# check NAME COMMAND...
check() {
	_name=$1
	shift
	if "$@" >"$DOZO_DIR/check.out" 2>&1; then
		pass "$_name"
		return 0
	fi
	fail "$_name" "$* failed"
	sed 's/^/#  /' "$DOZO_DIR/check.out" | tail -20
	return 1
}

# refuse NAME TEXT COMMAND...: must fail and say TEXT (an extended regex).
refuse() {
	_name=$1 _text=$2
	shift 2
	if "$@" >"$DOZO_DIR/check.out" 2>&1; then
		fail "$_name" "$* succeeded"
	elif grep -qE -- "$_text" "$DOZO_DIR/check.out"; then
		pass "$_name"
		return 0
	else
		fail "$_name" "$* said: $(tail -3 "$DOZO_DIR/check.out")"
	fi
	return 1
}

# same NAME A B
same() {
	if [ -n "$2" ] && [ "$2" = "$3" ]; then
		pass "$1"
	else
		fail "$1" "'$2' is not '$3'"
		return 1
	fi
}

# count_lines FILE: add the PASS, FAIL and SKIP lines that a guest printed.
count_lines() {
	while IFS= read -r _line; do
		case $_line in
		PASS\ *) pass "${_line#PASS }" ;;
		FAIL\ *) fail "${_line#FAIL }" ;;
		SKIP\ *) skip "${_line#SKIP }" ;;
		'#'*) echo "$_line" ;;
		*) [ -z "$VERBOSE" ] || echo "   $_line" ;;
		esac
	done <"$1"
}

summary() {
	echo "${0##*/}: $nr_passed passed, $nr_failed failed," \
	    "$nr_skipped skipped"
	[ "$nr_failed" -eq 0 ] && [ $((nr_passed + nr_skipped)) -gt 0 ]
}

skip_all() {
	echo "SKIP ${0##*/}: $*"
	exit 77
}

# need_tools TOOL...: all must be there, or the whole test is skipped.
need_tools() {
	for _tool; do
		command -v "$_tool" >/dev/null ||
		    skip_all "$_tool is not installed"
	done
}

# --- the daemon ---

free_port() {
	python3 -c 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# A directory that goes away at the end.
dozo_dir() {
	DOZO_DIR=$(mktemp -d "${TMPDIR:-/tmp}/dozo-$1-XXXXXX") || exit 1
	DOZO_PID=
	guest_pid=
	trap dozo_fini EXIT
	trap 'exit 130' HUP INT TERM
}

dozo_init() {
	[ -x "$DOZO_BUILD/dozod" ] || skip_all "dozod is not built"
	need_tools python3
	dozo_dir "$1"
	DOZO_PORT=$(free_port)
	dozo_portal=127.0.0.1:$DOZO_PORT
	mkdir "$DOZO_DIR/state"
	cat >"$DOZO_DIR/dozo.conf" <<-EOT
		state-directory = $DOZO_DIR/state
		control-socket = $DOZO_DIR/control.sock
		listen = $dozo_portal
		page-port = 0
	EOT
}

dozo_fini() {
	_status=$?
	[ -z "$guest_pid" ] || kill "$guest_pid" 2>/dev/null
	[ -z "$DOZO_PID" ] || kill -9 "$DOZO_PID" 2>/dev/null
	if [ "$_status" -ne 0 ] || [ "$nr_failed" -ne 0 ]; then
		if [ -e "$DOZO_DIR/dozod.log" ]; then
			echo "# the end of dozod's log:"
			tail -25 "$DOZO_DIR/dozod.log" | sed 's/^/#  /'
		fi
	fi
	if [ -n "$KEEP" ]; then
		echo "# kept: $DOZO_DIR"
	else
		rm -rf "$DOZO_DIR"
	fi
}

ctl() {
	"$DOZO_BUILD/dozoctl" --socket "$DOZO_DIR/control.sock" "$@"
}

# Start dozod and wait until it answers; fails if it ends before.
dozo_start() {
	"$DOZO_BUILD/dozod" -f -c "$DOZO_DIR/dozo.conf" \
	    >>"$DOZO_DIR/dozod.log" 2>&1 &
	DOZO_PID=$!
	_tries=0
	while ! ctl version >/dev/null 2>&1; do
		_tries=$((_tries + 1))
		if ! kill -0 "$DOZO_PID" 2>/dev/null ||
		    [ "$_tries" -gt 200 ]; then
			fail "dozod starts" "see its log"
			return 1
		fi
		sleep 0.05
	done
}

# dozo_end SIGNAL: the daemon ends and is waited for.
dozo_end() {
	kill "-$1" "$DOZO_PID"
	wait "$DOZO_PID" 2>/dev/null
	_status=$?
	DOZO_PID=
	return "$_status"
}

dozo_stop() {
	dozo_end TERM || {
		_status=$?
		fail "dozod stops cleanly" "exit status $_status"
		return 1
	}
}

dozo_kill() {
	dozo_end KILL
	return 0
}

# --- disks ---

# dozo_disks N SIZE [PREFIX]: make sparse images and print "--disk PATH ...".
dozo_disks() {
	_i=0
	while [ "$_i" -lt "$1" ]; do
		_path=$DOZO_DIR/${3:-m}$_i.img
		[ -e "$_path" ] || truncate -s "$2" "$_path"
		echo "--disk $_path"
		_i=$((_i + 1))
	done
}

# dozo_volume POOL N SIZE VOLSIZE: pool of N members with volume POOL/v as
# LUN 0 of a target; sets iqn, url.
dozo_volume() {
	# shellcheck disable=SC2046
	check "$1: pool of $2 members" ctl pool create "$1" --level raid5 \
	    $(dozo_disks "$2" "$3" "$1-") --wait || return 1
	dozo_lun "$1" v "$4"
}

# dozo_lun POOL VOLUME SIZE [OPTION...]: a volume as LUN 0 of its own target;
# sets iqn and url.
dozo_lun() {
	_pool=$1 _volume=$2 _size=$3
	shift 3
	iqn=iqn.2026-01.test.dozo:$_pool-$_volume
	url=iscsi://$dozo_portal/$iqn/0
	check "$_pool/$_volume: create" \
	    ctl volume create "$_pool/$_volume" "$_size" "$@" &&
	check "$_pool/$_volume: target" \
	    ctl target create "$_pool-$_volume" --iqn "$iqn" &&
	check "$_pool/$_volume: map" ctl map "$_pool/$_volume" --host any \
	    --target "$_pool-$_volume" --lun 0
}

# examine_members: mdadm accepts every member image, with a right checksum.
examine_members() {
	if ! command -v mdadm >/dev/null; then
		skip "mdadm --examine${1:+ $1}" "mdadm is not installed"
		return
	fi
	for _image in "$DOZO_DIR"/*.img; do
		if mdadm --examine "$_image" >"$DOZO_DIR/examine.out" 2>&1 &&
		    grep -q 'Checksum : .* - correct' "$DOZO_DIR/examine.out"
		then
			pass "mdadm --examine ${_image##*/}${1:+ $1}"
		else
			fail "mdadm --examine ${_image##*/}${1:+ $1}" \
			    "$(tail -3 "$DOZO_DIR/examine.out")"
		fi
	done
}
