#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# dozod in a guest: a disk is pulled while nobody uses the pool, and comes
# back; so are a spare, and disks that are being filled; md gets no disk of a daemon that runs, and all once it has ended.
. "${srcdir:-$(dirname "$0")/../..}/tests/lib.sh"
. "$srcdir/tests/vm/lib_vm.sh"
vm_ready
dozo_dir vm-hotplug

set --
for disk in d0 d1 d2 d3; do
	truncate -s 64M "$DOZO_DIR/$disk.img"
	set -- "$@" --drive "$DOZO_DIR/$disk.img"
done
for program in dozod dozoctl; do
	set -- "$@" --file "usr/bin/$program=$DOZO_BUILD/$program"
	for lib in $(ldd "$DOZO_BUILD/$program" |
	    sed -n 's|.*[ 	]\(/[^ ]*\) (0x.*|\1|p'); do
		set -- "$@" --file "${lib#/}=$lib"
	done
done
guest_counted hotplug guest_hotplug.sh --slow d3=30 "$@"
summary
