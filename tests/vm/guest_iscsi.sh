# SPDX-License-Identifier: BSD-2-Clause
# Linux open-iscsi in the guest: discovery, CHAP, digests, file systems.
# Variables: PORT, IQN_OPEN, IQN_CHAP, CHAP_USER, CHAP_SECRET, MUTUAL_USER,
# MUTUAL_SECRET.
. /guest_initiator.sh

PORTAL=127.0.0.1:$PORT

# files DEVICE FSTYPE NAME: make a file system, write, check, compare.
files() {
	local before after
	if [ "$2" = ext4 ]; then
		check "$3: mkfs.ext4" mkfs.ext4 -q -F "$1" || return
	else
		check "$3: mkfs.xfs" mkfs.xfs -q -f "$1" || return
	fi
	check "$3: mount $2" mount -t "$2" "$1" /mnt || return
	fill_tree /mnt/files
	before=$(tree_sum /mnt/files)
	check "$3: umount" umount /mnt || return
	echo 3 >/proc/sys/vm/drop_caches
	if [ "$2" = ext4 ]; then
		check "$3: fsck finds nothing" e2fsck -fn "$1"
	else
		check "$3: xfs_repair finds nothing" xfs_repair -n "$1"
	fi
	check "$3: mount again" mount -t "$2" "$1" /mnt || return
	after=$(tree_sum /mnt/files)
	same "$3: files are as written" "$after" "$before"
	check "$3: umount again" umount /mnt
	echo "$before" >/tmp/tree_sum
}

# again DEVICE FSTYPE NAME: a new session sees the same files.
again() {
	check "$3: mount after a new login" mount -t "$2" -o ro "$1" /mnt ||
	    return
	same "$3: files survive a new login" "$(tree_sum /mnt/files)" \
	    "$(cat /tmp/tree_sum)"
	umount /mnt
}

# negotiated IQN HEADER DATA NAME
negotiated() {
	local text
	text=$(iscsiadm -m session -P 2)
	if echo "$text" | grep -q "HeaderDigest: $2" &&
	    echo "$text" | grep -q "DataDigest: $3"; then
		pass "$4: digests $2, $3 negotiated"
	else
		fail "$4: digests $2, $3 negotiated" \
		    "$(echo "$text" | grep Digest: | tr -s '\t\n' '  ')"
	fi
}

initiator_start || exit 1

iscsiadm -m discovery -t sendtargets -p "$PORTAL" >/tmp/found 2>&1
for iqn in "$IQN_OPEN" "$IQN_CHAP"; do
	check "discovery lists $iqn" grep -q " $iqn\$" /tmp/found
done

# --- without authentication, without digests ---
if login "$IQN_OPEN" none: login; then
	dev=$(session_disk)
	negotiated "$IQN_OPEN" None None none
	files "$dev" ext4 "no digests, ext4"
	check "none: logout" logout "$IQN_OPEN"
fi

# --- with digests ---
setting "$IQN_OPEN" 'node.conn[0].iscsi.HeaderDigest' CRC32C
setting "$IQN_OPEN" 'node.conn[0].iscsi.DataDigest' CRC32C
if login "$IQN_OPEN" crc32c: login; then
	dev=$(session_disk)
	negotiated "$IQN_OPEN" CRC32C CRC32C crc32c
	again "$dev" ext4 "ext4 without digests"
	files "$dev" xfs "digests, xfs"
	check "crc32c: logout" logout "$IQN_OPEN"
fi
setting "$IQN_OPEN" 'node.conn[0].iscsi.HeaderDigest' None
if login "$IQN_OPEN" data digest only: login; then
	negotiated "$IQN_OPEN" None CRC32C "data digest only"
	again "$(session_disk)" xfs "xfs with digests"
	check "data digest only: logout" logout "$IQN_OPEN"
fi

# --- CHAP ---
refused "$IQN_CHAP" "no CHAP where it is required"
chap "$IQN_CHAP" "$CHAP_USER" "not-the-secret-1"
refused "$IQN_CHAP" "a wrong CHAP secret"
chap "$IQN_CHAP" "nobody" "$CHAP_SECRET"
refused "$IQN_CHAP" "a wrong CHAP user"
for alg in MD5 SHA1 SHA256 SHA3-256; do
	chap "$IQN_CHAP" "$CHAP_USER" "$CHAP_SECRET"
	setting "$IQN_CHAP" node.session.auth.chap_algs "$alg"
	if login "$IQN_CHAP" CHAP $alg: login; then
		check "CHAP $alg: logout" logout "$IQN_CHAP"
	fi
done
setting "$IQN_CHAP" node.session.auth.chap_algs "SHA3-256,SHA256,SHA1,MD5"
if login "$IQN_CHAP" one-way CHAP: login; then
	files "$(session_disk)" ext4 "one-way CHAP, ext4"
	check "one-way CHAP: logout" logout "$IQN_CHAP"
fi
setting "$IQN_CHAP" node.session.auth.username_in "$MUTUAL_USER"
setting "$IQN_CHAP" node.session.auth.password_in "$MUTUAL_SECRET"
if login "$IQN_CHAP" mutual CHAP: login; then
	again "$(session_disk)" ext4 "mutual CHAP, ext4"
	check "mutual CHAP: logout" logout "$IQN_CHAP"
fi
setting "$IQN_CHAP" node.session.auth.password_in "not-its-secret-2"
refused "$IQN_CHAP" "a target that cannot prove itself" \
    "non-retryable iSCSI login failure"

dmesg_clean "no kernel complaint"
