# SPDX-License-Identifier: BSD-2-Clause
# What the scripts that run inside the guest share.  They print one line per
# check, "PASS name", "FAIL name: why" or "SKIP name: why", which the host
# counts.

pass() {
	echo "PASS $1"
}

fail() {
	echo "FAIL $1: $2"
}

skip() {
	echo "SKIP $1: $2"
}

note() {
	echo "# $*"
}

# check NAME COMMAND...: PASS if it succeeds; else its output is shown.
check() {
	local name=$1
	shift
	if "$@" >/tmp/check.out 2>&1; then
		pass "$name"
		return 0
	fi
	fail "$name" "$* failed"
	sed 's/^/#  /' /tmp/check.out
	return 1
}

# same NAME A B
same() {
	if [ -n "$2" ] && [ "$2" = "$3" ]; then
		pass "$1"
	else
		fail "$1" "'$2' is not '$3'"
	fi
}

# Load modules with all that they need.
need() {
	local name module
	for name; do
		while read -r module; do
			insmod "/modules/$module" 2>/dev/null
		done <"/modules/$(echo "$name" | tr - _).needs"
	done
	# Syncs here are small and nobody minds how fast they go.
	echo 1000000 2>/dev/null >/proc/sys/dev/raid/speed_limit_min || :
}

# The virtio disk with this serial (the stem of its image's name).
disk() {
	local path
	for path in /sys/block/vd*; do
		if [ "$(cat "$path/serial")" = "$1" ]; then
			echo "/dev/${path##*/}"
			return 0
		fi
	done
	return 1
}

# What mdadm --create wants for a consistency policy.
policy_options() {
	[ "$1" != bitmap ] || echo "--bitmap internal"
	echo "--consistency-policy $1"
}

sum() {
	sha256sum "$1" | cut -d' ' -f1
}

# Checksum of everything below a directory, names included.
tree_sum() {
	(cd "$1" && find . -type f | sort | xargs sha256sum) |
	    sha256sum | cut -d' ' -f1
}

# Fill a directory with files of many sizes, random content.
fill_tree() {
	local i
	mkdir -p "$1/a/b"
	for i in 1 2 3 5 8 13 21; do
		dd if=/dev/urandom of="$1/a/file$i" bs=4099 count=$i
		dd if=/dev/urandom of="$1/a/b/big$i" bs=64k count=$((i * 2))
	done 2>/dev/null
}

# dmesg_clean NAME: the kernel complained about nothing since the last call.
dmesg_clean() {
	dmesg -c >/tmp/dmesg.out
	if grep -E 'I/O error|[Cc]orrupt|BUG|Oops|Call Trace|mismatch|blocked for' \
	    /tmp/dmesg.out >/tmp/dmesg.bad; then
		fail "$1" "the kernel complained"
		sed 's/^/#  /' /tmp/dmesg.bad
	else
		pass "$1"
	fi
}
