#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The Debian package in a guest with Debian 12 and systemd: built and linted
# here, installed there with four blank disks, set up through the API from
# outside, written by an initiator while the guest reboots and while a disk is
# pulled.  The guest's system is made once and kept with the guest's kernel.
. "${srcdir:-$(dirname "$0")/../..}/tests/lib.sh"
. "$srcdir/tests/vm/lib_vm.sh"
vm_ready
need_tools debootstrap dpkg-buildpackage dh lintian mke2fs
[ "$(id -u)" -eq 0 ] || skip_all "debootstrap needs root"
dozo_dir vm-package
cache=${XDG_CACHE_HOME:-$HOME/.cache}/dozo-vm

# --- the package ---

build_package() {
	mkdir "$DOZO_DIR/source" &&
	(cd "$srcdir" && tar -cf - --exclude=./.git --exclude=./demo \
	    --exclude=./build --exclude=./asan --exclude=node_modules .) |
	    tar -xf - -C "$DOZO_DIR/source" &&
	(cd "$DOZO_DIR/source" && rm -f Makefile config.status &&
	DEB_BUILD_PROFILES=nocheck DEB_BUILD_OPTIONS="nocheck parallel=2" \
	    dpkg-buildpackage -b -us -uc)
}
check "package builds" build_package || exit 1
deb=$(echo "$DOZO_DIR"/dozo_*.deb)
same "lintian finds nothing" \
    "clean$(lintian --allow-root "$DOZO_DIR"/dozo_*.changes)" clean

# --- the guest's system ---

# What the package needs, and what a Debian has anyway.
packages() {
	dpkg-deb -f "$deb" Depends | tr , '\n' | sed 's/[ (|].*//;/^$/d' |
	    sort -u
	printf '%s\n' systemd-sysv udev kmod dbus libpam-systemd mdadm
}

# A shell for the test on the second serial port.
add_agent() {
	cat >"$1/root/agent" <<-'EOT'
		stty raw -echo
		echo @up
		while read -r line; do
			eval "$line"
			printf "\n@done %s\n" "$?"
		done
	EOT
	cat >"$1/etc/systemd/system/agent.service" <<-EOT
		[Service]
		ExecStart=/bin/sh /root/agent
		StandardInput=file:/dev/ttyS1
		StandardOutput=file:/dev/ttyS1
		StandardError=file:/dev/ttyS1
		[Install]
		WantedBy=multi-user.target
	EOT
	cat >"$1/etc/systemd/network/guest.network" <<-EOT
		[Match]
		Type=ether
		[Network]
		Address=10.0.2.15/24
		Gateway=10.0.2.2
	EOT
	systemctl --root="$1" enable agent.service systemd-networkd.service
}

make_system() {
	suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
	archive=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' \
	    'Created-By: Packages' | sed -n "s/ $suite\$//p" | head -n 1)
	tree=$DOZO_DIR/tree
	debootstrap --variant=minbase \
	    --include="$(packages | paste -s -d ,)" "$suite" "$tree" "$archive"
	[ -x "$tree/usr/bin/systemctl" ] || return
	rm -rf "$tree"/var/cache/apt/archives/*.deb "$tree"/usr/share/locale/*
	cp -a "$cache"/linux-image-*/lib/modules "$tree/lib/"
	add_agent "$tree"
	rm -f "$cache"/system-*
	mke2fs -q -t ext4 -d "$tree" "$system.new" 2G && mv "$system.new" \
	    "$system"
	rm -rf "$tree"
}

system=$cache/system-$( (packages; cat "$0") | sha256sum | cut -c 1-16)
exec 9>"$cache/system.lock"
flock 9
[ -e "$system" ] || check "a Debian for the guest" make_system
exec 9>&-
[ -e "$system" ] || exit 1
cp --sparse=always "$system" "$DOZO_DIR/system.img" &&
    debugfs -w -R "write $deb dozo.deb" "$DOZO_DIR/system.img" 2>/dev/null
for i in 0 1 2 3 4; do
	truncate -s 256M "$DOZO_DIR/disk$i.img"
done

python3 "$vm/package.py" "$DOZO_DIR" "$DOZO_BUILD" >"$DOZO_DIR/out" 2>&1
same "the guest test ends well: its status" $? 0 ||
    tail -15 "$DOZO_DIR/out" | sed 's/^/#  /'
count_lines "$DOZO_DIR/out"
summary
