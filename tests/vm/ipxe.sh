#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# iPXE in QEMU boots from a LUN (sanboot), without and with CHAP: the boot
# sector must reach the serial port, read a sector and write one.
. "${srcdir:-$(dirname "$0")/../..}/tests/lib.sh"
need_tools qemu-system-x86_64 qemu-img as ld
[ -e /usr/lib/ipxe/qemu/efi-virtio.rom ] ||
    skip_all "ipxe-qemu is not installed"
dozo_init vm-ipxe
dozo_start || exit 1
dozo_volume p 3 64M 32M || exit 1
iqn_chap=iqn.2026-01.test.dozo:chap
check "volume for CHAP" ctl volume create p/chap 32M
check "target for CHAP" ctl target create chap --iqn "$iqn_chap"
check "host with CHAP" ctl host create ipxe \
    --iqn 'iqn.2010-04.org.ipxe:*' \
    --chap-user alice --chap-secret sesame-open-1
check "map for CHAP" ctl map p/chap --host ipxe --target chap --lun 0

cd "$DOZO_DIR" || exit 1
as --32 -o boot.o "$srcdir/tests/vm/boot.S" &&
    ld -m elf_i386 -Ttext 0x7c00 --oformat binary -o disk boot.o ||
    exit 1
truncate -s 32M disk

# boot NAME IQN [IPXE LINE...]
boot() {
	name=$1
	target=$2
	shift 2
	marker="marker of $name, $$"
	mkdir -p tftp
	{
		echo '#!ipxe'
		echo 'set initiator-iqn iqn.2010-04.org.ipxe:dozo-test'
		for line; do
			echo "$line"
		done
		echo "sanboot iscsi:10.0.2.2::$DOZO_PORT:0:$target"
	} >tftp/boot.ipxe
	{
		cat serial >>serials
		: >serial
	} 2>/dev/null
	qemu-system-x86_64 -nodefaults -display none -accel tcg -m 128 \
	    -no-reboot -serial file:serial \
	    -netdev user,id=n0,tftp=tftp,bootfile=/boot.ipxe \
	    -device virtio-net-pci,netdev=n0,bootindex=0 &
	qemu_pid=$!
	tries=0
	until grep -aq 'done\|error' serial 2>/dev/null; do
		tries=$((tries + 1))
		[ "$tries" -lt 300 ] || break
		sleep 0.2
	done
	kill "$qemu_pid"
	wait "$qemu_pid" 2>/dev/null
	check "$name: the boot sector runs to its end" \
	    grep -aq 'boot sector done' serial
	check "$name: it read a sector" grep -aqF "$marker" serial
}

# put MARKER URL: the bootable image goes into the LUN.
put() {
	printf '%s\r\n' "$1" | dd of=disk bs=512 seek=2048 conv=notrunc \
	    2>/dev/null
	check "image into the LUN" qemu-img convert -n -f raw -O raw disk "$2"
}

# got NAME URL: the sector that the guest wrote.
got() {
	qemu-img convert -f raw -O raw "$2" back
	dd if=back bs=512 skip=4096 count=1 2>/dev/null | tr -d '\0' >sector
	check "$1: it wrote a sector" grep -qF "$marker" sector
}

login=iqn.2010-04.org.ipxe:dozo-test
put "marker of no CHAP, $$" "$url"
boot "no CHAP" "$iqn"
got "no CHAP" "$url"

# qemu-img has to pass CHAP as well.
chap="json:{\"driver\":\"raw\",\"file\":{\"driver\":\"iscsi\",
\"transport\":\"tcp\",\"portal\":\"$dozo_portal\",\"target\":\"$iqn_chap\",
\"lun\":0,\"user\":\"alice\",\"password-secret\":\"s\",
\"initiator-name\":\"$login\"}}"
printf 'marker of CHAP, %s\r\n' $$ |
    dd of=disk bs=512 seek=2048 conv=notrunc 2>/dev/null
check "image into the LUN with CHAP" qemu-img convert -n -f raw \
    --object secret,id=s,data=sesame-open-1 disk \
    --target-image-opts "driver=raw,file.driver=iscsi,file.transport=tcp,\
file.portal=$dozo_portal,file.target=$iqn_chap,file.lun=0,file.user=alice,\
file.password-secret=s,file.initiator-name=$login"
boot CHAP "$iqn_chap" 'set username alice' 'set password sesame-open-1'
qemu-img convert --object secret,id=s,data=sesame-open-1 -O raw "$chap" back
dd if=back bs=512 skip=4096 count=1 2>/dev/null | tr -d '\0' >sector
check "CHAP: it wrote a sector" grep -qF "$marker" sector

dozo_stop
examine_members
summary
