# SPDX-License-Identifier: BSD-2-Clause
# A verified write load through open-iscsi while the host stops and kills the
# daemon: rounds of files written and fsync'ed on ext4, all compared at the
# end.  No I/O error may reach the file system or this script.
. /guest_initiator.sh

initiator_start || exit 1
iscsiadm -m discovery -t sendtargets -p "127.0.0.1:$PORT" >/dev/null
login "$IQN_OPEN" restart: login || exit 1
dev=$(session_disk)
check "restart: mkfs.ext4" mkfs.ext4 -q -F "$dev"
check "restart: mount" mount -t ext4 "$dev" /mnt
dmesg -c >/dev/null
errors=0
for round in 1 2 3 4 5; do
	echo "round $round begins"
	i=0
	begin=$(date +%s)
	# At least 25 files and at least six seconds, which the restart fills.
	while [ $i -lt 25 ] || [ $(($(date +%s) - begin)) -lt 6 ]; do
		i=$((i + 1))
		[ $i -lt 200 ] || break
		dd if=/dev/urandom of=/tmp/data bs=16k count=16 2>/dev/null
		dd if=/tmp/data of="/mnt/f$round-$i" bs=16k conv=fsync \
		    2>/tmp/dd.err || {
			errors=$((errors + 1))
			cat /tmp/dd.err
		}
		echo "$(sum /tmp/data)  f$round-$i" >>/tmp/sums
	done
done
same "restart: writes without error" "$errors" 0
echo 3 >/proc/sys/vm/drop_caches
(cd /mnt && sha256sum -c /tmp/sums) >/tmp/verify 2>&1
same "restart: $(wc -l </tmp/sums) files are as written" \
    "$(grep -vc ': OK$' /tmp/verify)" 0
check "restart: umount" umount /mnt
check "restart: fsck finds nothing" e2fsck -fn "$dev"
# A daemon that stops asks for logout first; one that is killed just vanishes.
same "restart: the initiator came back" \
    "$(grep -c 'operational after recovery' /tmp/iscsid.log) times" "4 times"
dmesg_clean "restart: no kernel complaint"
logout "$IQN_OPEN" >/dev/null
