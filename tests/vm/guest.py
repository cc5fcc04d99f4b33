#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Run one shell script in a small Linux guest and pass on what it prints.

The guest is Debian's cloud kernel with an initramfs made from the tools of
this host, in QEMU's software emulation: no root, no hardware virtualisation
and nothing of the host's own kernel is used.  Kernel and initramfs are kept
in ${XDG_CACHE_HOME:-~/.cache}/dozo-vm and rebuilt when a tool changes.

The kernel's console goes to --console FILE; the script's output comes to our
standard output, line by line.  10.0.2.2 in the guest is the host's loopback.
With --root the guest goes on with the system on its first disk instead of a
script; our standard input and output are then its second serial port.

Exit status: the script's; 77 if a tool is missing; 124 when out of time; 125
if the guest died (panic, QEMU gone).
"""
import argparse
import fcntl
import hashlib
import io
import json
import lzma
import os
import re
import selectors
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

META_PACKAGE = "linux-image-cloud-amd64"
QEMU = "qemu-system-x86_64"
HERE = Path(__file__).resolve().parent
DAY = 24 * 3600

# Inserted in this order, after what they depend on, at every boot ...
BOOT_MODULES = ["virtio_pci", "virtio_net", "virtio_blk"]
# ... and by the script itself, with `need MODULE...`.
OPTIONAL_MODULES = [
    "crc32c_generic", "crc32c-intel", "libcrc32c", "sd_mod", "iscsi_tcp",
    "md-mod", "raid456", "raid1", "dm-mod", "dm-flakey", "dm-multipath",
    "dm-service-time", "xfs",
]
TOOLS = [
    "iscsid", "iscsiadm", "mdadm", "dmsetup", "mkfs.ext4", "e2fsck",
    "mkfs.xfs", "xfs_repair", "blkid",
]
OPTIONAL_TOOLS = ["multipath", "multipathd", "sg_persist", "sg_inq"]


class Missing(Exception):
    """A tool or package that the guest is made of is not there."""


def which(name):
    path = shutil.which(name, path=os.environ.get("PATH", "")
                        + ":/usr/sbin:/sbin")
    if path is None:
        raise Missing(f"{name} is not installed")
    return path


def run(*argv, **kwargs):
    done = subprocess.run(argv, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False,
                          **kwargs)
    if done.returncode != 0:
        raise Missing(f"{' '.join(map(str, argv))}: {done.stdout.strip()}")
    return done.stdout


# --- the kernel ---

def kernel_package():
    """Name of the package that holds the newest cloud kernel."""
    text = run("apt-cache", "show", META_PACKAGE)
    found = re.search(r"^Depends:.*?(linux-image-[\w.+-]+)", text, re.M)
    if not found:
        raise Missing(f"{META_PACKAGE} is not known to apt: apt-get update")
    return found.group(1)


def kernel_tree(cache):
    """Unpack the kernel package below cache, once; give its directory."""
    trees = sorted(cache.glob("linux-image-*/unpacked"),
                   key=lambda path: path.stat().st_mtime)
    if trees:
        return trees[-1].parent
    name = kernel_package()
    tree = cache / name
    tree.mkdir(exist_ok=True)
    run("apt-get", "-q", "download", name, cwd=tree)
    deb = next(tree.glob("*.deb"))
    run("dpkg", "-x", deb, tree)
    deb.unlink()
    version = next((tree / "lib/modules").iterdir()).name
    run(which("depmod"), "-b", tree, version)
    (tree / "unpacked").touch()
    return tree


def module_closure(tree, names):
    """Paths of the modules, each after what it depends on."""
    base = next((tree / "lib/modules").iterdir())
    depends, by_name = {}, {}
    for line in (base / "modules.dep").read_text().splitlines():
        path, _, needs = line.partition(":")
        depends[path] = needs.split()
        by_name[Path(path).name.split(".ko")[0].replace("-", "_")] = path
    order = []

    def add(path):
        if path not in order:
            for need in reversed(depends[path]):
                add(need)
            order.append(path)
    for name in names:
        path = by_name.get(name.replace("-", "_"))
        if path:
            add(path)
    return [base / path for path in order]


# --- the initramfs ---

class Cpio:
    """Writes a cpio archive in the kernel's "newc" form."""

    def __init__(self):
        self.out = io.BytesIO()
        self.seen = set()

    def entry(self, name, mode, data=b""):
        name = name.strip("/")
        if name in self.seen:
            return
        self.seen.add(name)
        parent = os.path.dirname(name)
        if parent:
            self.entry(parent, stat.S_IFDIR | 0o755)
        self._raw(name, mode, data)

    def _raw(self, name, mode, data):
        path = name.encode() + b"\0"
        fields = [len(self.seen), mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0,
                  len(path), 0]
        head = b"070701" + b"".join(b"%08x" % field for field in fields)
        for part in (head + path, data):
            self.out.write(part + b"\0" * (-len(part) % 4))

    def file(self, name, data, mode=0o644):
        self.entry(name, stat.S_IFREG | mode, data)

    def link(self, name, to):
        self.entry(name, stat.S_IFLNK | 0o777, to.encode())

    def bytes(self):
        self._raw("TRAILER!!!", 0, b"")
        return self.out.getvalue()


def shared_objects(program):
    text = subprocess.run(["ldd", program], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True,
                          check=False).stdout
    return re.findall(r"(/\S+) \(0x", text)


def module_data(path):
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def host_files():
    """{path in the guest: path on this host} of every program we take."""
    files = {}
    for name in TOOLS + OPTIONAL_TOOLS:
        try:
            path = os.path.realpath(which(name))
        except Missing:
            if name in OPTIONAL_TOOLS:
                continue
            raise
        files["/usr/sbin/" + name] = path
        for lib in shared_objects(path):
            files[lib] = lib
    # multipath loads these by name.
    for lib in Path("/lib/multipath").glob("lib*.so"):
        files[str(lib)] = str(lib)
    return files


def base_initramfs(cache, tree):
    """The part of the initramfs that all scripts share, kept in cache."""
    busybox = which("busybox")
    if shared_objects(busybox):
        raise Missing("busybox is not static: apt install busybox-static")
    files = host_files()
    own = [HERE / "init.sh", HERE / "guest_lib.sh"]
    key = hashlib.sha256()
    for part in [Path(__file__), *own]:
        key.update(part.read_bytes())
    for part in [Path(busybox), tree / "unpacked", *map(Path, files.values())]:
        info = part.stat()
        key.update(f"{part} {info.st_size} {info.st_mtime_ns}\n".encode())
    image = cache / f"initramfs-{key.hexdigest()[:16]}"
    if image.exists():
        image.touch()
        return image
    cpio = Cpio()
    cpio.file("bin/busybox", Path(busybox).read_bytes(), 0o755)
    for name in run(busybox, "--list").split():
        cpio.link("bin/" + name, "/bin/busybox")
    for name, path in files.items():
        cpio.file(name, Path(path).read_bytes(), 0o755)
    boot = [path.name for path in module_closure(tree, BOOT_MODULES)]
    modules = module_closure(tree, BOOT_MODULES + OPTIONAL_MODULES)
    for path in modules:
        cpio.file("modules/" + path.name.removesuffix(".xz"),
                  module_data(path))
    for name in OPTIONAL_MODULES:
        names = [path.name.removesuffix(".xz")
                 for path in module_closure(tree, [name])]
        cpio.file("modules/" + name.replace("-", "_") + ".needs",
                  "".join(line + "\n" for line in names).encode())
    cpio.file("modules/boot.needs",
              "".join(name.removesuffix(".xz") + "\n"
                      for name in boot).encode())
    for name, part in zip(["init", "guest_lib.sh"], own):
        cpio.file(name, part.read_bytes(), 0o755)
    for name in ["proc", "sys", "dev", "run", "tmp", "mnt", "root",
                 "var/lib", "etc/iscsi"]:
        cpio.entry(name, stat.S_IFDIR | 0o755)
    for old in cache.glob("initramfs-*"):
        if time.time() - old.stat().st_mtime > DAY:
            old.unlink()  # another checkout may be using a fresh one
    scratch = image.with_suffix(".new")
    scratch.write_bytes(cpio.bytes())
    scratch.rename(image)
    return image


def script_initramfs(args):
    """The part that belongs to this run: the script and its variables."""
    cpio = Cpio()
    if args.root:
        cpio.file("guest_root", b"")
    else:
        cpio.file("guest_script", Path(args.script).read_bytes(), 0o755)
    lines = []
    for setting in args.env:
        name, _, value = setting.partition("=")
        quoted = value.replace("'", "'\\''")
        lines.append(f"export {name}='{quoted}'\n")
    cpio.file("guest_env", "".join(lines).encode())
    for spec in args.file:
        name, _, path = spec.partition("=")
        cpio.file(name, Path(path).read_bytes(), 0o755)
    return cpio.bytes()


# --- one boot ---

def drive_arguments(drives):
    """One slot for each disk, so that it can be pulled, as long as they last."""
    out = []
    for number, spec in enumerate(drives):
        path, *options = spec.split(",")
        more = "".join("," + option for option in options)
        place = f"addr={number + 8:#x}" if len(drives) <= 16 else \
            f"multifunction=on,addr={number // 8 + 8:#x}.{number % 8}"
        out += ["-drive", f"file={path},if=none,id=d{number},format=raw,"
                f"cache=unsafe{more}",
                "-device", f"virtio-blk-pci,drive=d{number},id=disk{number},"
                f"serial={Path(path).stem[:20]},{place}"]
    return out


def monitor(console, commands):
    """Give the QEMU behind this console (name, arguments) commands."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(f"{console}.qmp")
        stream = sock.makefile("rw")
        stream.readline()
        for name, arguments in [("qmp_capabilities", {}), *commands]:
            json.dump({"execute": name, "arguments": arguments}, stream)
            stream.flush()
            answer = json.loads(stream.readline())
            while "event" in answer:
                answer = json.loads(stream.readline())
            if "return" not in answer:
                print(f"guest: {name}: {answer}", file=sys.stderr)


def slow_down(args):
    """From now on the disks named by --slow take so many writes a second."""
    commands = []
    for spec in args.slow:
        stem, _, rate = spec.rpartition("=")
        number = [Path(drive.split(",")[0]).stem
                  for drive in args.drive].index(stem)
        commands.append(("block_set_io_throttle", {
            "device": f"d{number}", "bps": 0, "bps_rd": 0, "bps_wr": 0,
            "iops": 0, "iops_rd": 0, "iops_wr": int(rate)}))
    monitor(args.console, commands)


def qemu_command(args, tree, initrd):
    return [
        which(QEMU), "-nodefaults", "-display", "none", "-no-reboot",
        "-accel", os.environ.get("DOZO_VM_ACCEL", "tcg"),
        "-cpu", "max", "-m", str(args.memory), "-smp", "1",
        "-kernel", str(next((tree / "boot").glob("vmlinuz-*"))),
        "-initrd", str(initrd),
        "-append", "console=ttyS0 panic=-1 quiet loglevel=6 "
        "no_timer_check random.trust_cpu=on mitigations=off "
        "raid456.devices_handle_discard_safely=1",
        "-serial", f"file:{args.console}", "-serial", "stdio",
        "-qmp", f"unix:{args.console}.qmp,server=on,wait=off",
        "-device", "virtio-rng-pci",
        "-netdev", "user,id=n0" + "".join(
            f",hostfwd=tcp:127.0.0.1:{spec.replace('=', '-:')}"
            for spec in args.forward),
        "-device", "virtio-net-pci,netdev=n0",
        *drive_arguments(args.drive)]


def pass_on(args, process, deadline):
    """Copy the guest's lines to stdout until it says how it ended."""
    selector = selectors.DefaultSelector()
    selector.register(process.stdout, selectors.EVENT_READ)
    rest = b""
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            return 124
        if not selector.select(left):
            continue
        data = os.read(process.stdout.fileno(), 65536)
        if not data:
            return 125
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            text = line.rstrip(b"\r").decode(errors="replace")
            if text.startswith("@exit "):
                return int(text.split()[1])
            if text == "@slow":
                slow_down(args)
            else:
                print(text, flush=True)


def boot(args, cache):
    tree = kernel_tree(cache)
    base = base_initramfs(cache, tree)
    initrd = Path(f"{args.console}.initrd")
    data = base.read_bytes()
    initrd.write_bytes(data + b"\0" * (-len(data) % 512)
                       + script_initramfs(args))
    command = qemu_command(args, tree, initrd)
    with subprocess.Popen(command, stdin=None if args.root
                          else subprocess.DEVNULL,
                          stdout=subprocess.PIPE) as process:
        signal.signal(signal.SIGTERM, lambda *_: process.kill())
        try:
            status = pass_on(args, process,
                             time.monotonic() + args.timeout)
            if status not in (124, 125):
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    pass
        finally:
            process.kill()
            initrd.unlink()
            Path(f"{args.console}.qmp").unlink(missing_ok=True)
    if status == 124:
        print(f"guest: no end after {args.timeout} s", file=sys.stderr)
    elif status == 125:
        print("guest: it died; the end of its console:", file=sys.stderr)
        tail = Path(args.console).read_text(errors="replace").splitlines()
        print("\n".join(tail[-15:]), file=sys.stderr)
    return status


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--drive", action="append", default=[],
                        metavar="FILE[,OPTION...]",
                        help="virtio disk; its serial is FILE's stem")
    parser.add_argument("--env", action="append", default=[],
                        metavar="NAME=VALUE")
    parser.add_argument("--file", action="append", default=[],
                        metavar="NAME=PATH", help="put PATH in as /NAME")
    parser.add_argument("--slow", action="append", default=[],
                        metavar="DISK=N", help="when the script prints "
                        "\"@slow\", limit this disk to N writes a second")
    parser.add_argument("--root", action="store_true",
                        help="boot the system on the first disk")
    parser.add_argument("--forward", action="append", default=[],
                        metavar="PORT=PORT",
                        help="a port of our loopback leads to the guest's")
    parser.add_argument("--console", default="/tmp/dozo-vm.console")
    parser.add_argument("--timeout", type=float, default=120)
    parser.add_argument("--memory", type=int, default=512)
    parser.add_argument("--prepare", action="store_true",
                        help="only fetch the kernel and build the initramfs")
    parser.add_argument("script", nargs="?")
    args = parser.parse_args()
    cache = Path(os.environ.get("XDG_CACHE_HOME")
                 or Path.home() / ".cache") / "dozo-vm"
    cache.mkdir(parents=True, exist_ok=True)
    try:
        with open(cache / "lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            which(QEMU)
            base_initramfs(cache, kernel_tree(cache))
        if args.prepare:
            return 0
        return boot(args, cache)
    except Missing as missing:
        print(f"guest: {missing}", file=sys.stderr)
        return 77


if __name__ == "__main__":
    sys.exit(main())
