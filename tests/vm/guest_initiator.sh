# SPDX-License-Identifier: BSD-2-Clause
# open-iscsi in the guest.  The target is on the host's loopback and says so in
# SendTargets, so 127.0.0.1 leads to the host here.

initiator_start() {
	local dev
	dev=$(cat /run/netdev)
	need crc32c_generic crc32c-intel libcrc32c sd_mod iscsi_tcp xfs
	ip addr del 127.0.0.1/8 dev lo
	ip route add 127.0.0.1 via 10.0.2.2 dev "$dev" src 10.0.2.15
	mkdir -p /etc/iscsi /var/lib/iscsi /run/lock/iscsi
	echo "InitiatorName=iqn.1993-08.org.debian:01:dozo-guest" \
	    >/etc/iscsi/initiatorname.iscsi
	cat >/etc/iscsi/iscsid.conf <<-EOT
		node.startup = manual
		node.session.timeo.replacement_timeout = 120
		node.conn[0].timeo.login_timeout = 15
		node.conn[0].timeo.noop_out_interval = 5
		node.conn[0].timeo.noop_out_timeout = 5
		node.session.initial_login_retry_max = 1
		node.session.scan = auto
	EOT
	iscsid -f >/tmp/iscsid.log 2>&1 &
	sleep 0.5
	kill -0 $! && return 0
	fail "iscsid starts" "$(cat /tmp/iscsid.log)"
	return 1
}

setting() {
	iscsiadm -m node -T "$1" -o update -n "$2" -v "$3" >/dev/null
}

chap() {
	setting "$1" node.session.auth.authmethod CHAP
	setting "$1" node.session.auth.username "$2"
	setting "$1" node.session.auth.password "$3"
}

# login IQN NAME...
login() {
	local iqn=$1
	shift
	check "$*" iscsiadm -m node -T "$iqn" --login || return 1
	session_disk >/dev/null && return 0
	fail "$*" "no disk appeared"
	iscsiadm -m session -P 3 | sed 's/^/#  /'
	iscsiadm -m node -T "$iqn" --logout >/dev/null
	return 1
}

logout() {
	iscsiadm -m node -T "$1" --logout
}

# refused IQN NAME [ERROR]: login must fail, for want of authorization or as
# ERROR says.
refused() {
	if iscsiadm -m node -T "$1" --login >/tmp/refused 2>&1; then
		fail "$2 is refused" "logged in"
		logout "$1"
	elif grep -q "${3:-authorization failure}" /tmp/refused; then
		pass "$2 is refused"
	else
		fail "$2 is refused" "$(grep error /tmp/refused)"
	fi
}

# The disk of the only session, waiting for it.
session_disk() {
	local dev tries=20
	while [ $tries -gt 0 ]; do
		for dev in /sys/block/sd*; do
			if [ -e "$dev/size" ] && [ "$(cat "$dev/size")" -gt 0 ] &&
			    [ -b "/dev/${dev##*/}" ]; then
				echo "/dev/${dev##*/}"
				return 0
			fi
		done
		tries=$((tries - 1))
		sleep 0.2
	done
	return 1
}
