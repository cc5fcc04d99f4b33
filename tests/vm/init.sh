#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# First process of the guest: mount, load the boot modules, bring up the
# network, run /guest_script with its output on the second serial port, say
# how it ended, power off.  If there is a /guest_root, go on with the system on
# the first disk instead.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
ln -s /proc/self/fd /dev/fd

while read -r module; do
	insmod "/modules/$module" || echo "init: $module not loaded"
done </modules/boot.needs

if [ -e /guest_root ]; then
	mount -t ext4 /dev/vda /mnt || echo "init: no system on /dev/vda"
	umount /tmp /run /dev /sys /proc
	exec switch_root /mnt /sbin/init
fi

ip link set lo up
for dev in /sys/class/net/*; do
	dev=${dev##*/}
	[ "$dev" = lo ] && continue
	ip link set "$dev" up
	ip addr add 10.0.2.15/24 dev "$dev"
	ip route add default via 10.0.2.2
	echo 1 >"/proc/sys/net/ipv4/conf/$dev/route_localnet"
	echo "$dev" >/run/netdev
done
hostname guest
echo root:x:0:0:root:/root:/bin/sh >/etc/passwd
echo root:x:0: >/etc/group

stty -F /dev/ttyS1 raw -echo
(
	. /guest_env
	cd /root || exit
	. /guest_lib.sh
	. /guest_script
) >/dev/ttyS1 2>&1 </dev/null
echo "@exit $?" >/dev/ttyS1
sleep 0.2
poweroff -f
