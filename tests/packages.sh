# SPDX-License-Identifier: BSD-2-Clause
# Debian 12 packages that `make check-all` uses, besides those of the build.
test_packages="libiscsi-bin libiscsi-dev qemu-utils qemu-block-extra
    qemu-system-x86 ipxe-qemu mdadm busybox-static open-iscsi e2fsprogs
    xfsprogs dmsetup kmod python3 cpio zstd mandoc clang
    chromium fonts-noto-cjk procps curl debhelper lintian debootstrap
    systemd"
# The page's tools; another node than Debian's is as good.
command -v node >/dev/null || test_packages="$test_packages nodejs"
command -v npm >/dev/null || test_packages="$test_packages npm"
# What `make bench` compares with, and counts instructions with.
bench_packages="tgt istgt fio valgrind python3"
