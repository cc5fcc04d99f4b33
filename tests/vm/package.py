#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""package.py DIRECTORY BUILD: install the package in a guest and use it.

DIRECTORY holds system.img, a Debian with /dozo.deb and a shell on its second
serial port, and disk0.img to disk4.img, blank.  Prints PASS and FAIL lines.
"""
import itertools
import json
import re
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import guest

HERE = Path(__file__).resolve().parent
DIRECTORY, BUILD = Path(sys.argv[1]), Path(sys.argv[2])
DISKS = [f"disk{number}" for number in range(5)]
PASSWORD = "correct horse battery"
node_numbers = itertools.count()
BOOT_S = 300            # software emulation, other tests beside
INSECURE = ssl.create_default_context()
INSECURE.check_hostname = False
INSECURE.verify_mode = ssl.CERT_NONE


def check(name, condition, why=""):
    print(f"PASS {name}" if condition else f"FAIL {name}: {why}", flush=True)
    return condition


def free_ports():
    import socket
    socks = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    ports = [sock.getsockname()[1] for sock in socks]
    for sock in socks:
        sock.close()
    return ports


def until(what, seconds, function):
    """What function() gives, once that is true; None when out of time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            value = function()
            if value:
                return value
        except (OSError, KeyError, IndexError, ValueError):
            pass
        time.sleep(0.25)
    print(f"# after {seconds} s still not: {what}")
    return None


class Guest:
    """The box: its shell, its page, its target."""

    def __init__(self):
        self.page_port, self.iscsi_port = free_ports()
        self.console = DIRECTORY / "guest.console"
        self.headers = {"Host": "10.0.2.15:8443"}
        self.process = None

    def start(self):
        drives = ["system", *DISKS]
        self.process = subprocess.Popen(
            [sys.executable, HERE / "guest.py", "--root", "--timeout", "900",
             "--console", self.console, "--memory", "1024",
             "--forward", f"{self.page_port}=8443",
             "--forward", f"{self.iscsi_port}=3260",
             *(part for name in drives
               for part in ("--drive", DIRECTORY / f"{name}.img"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=sys.stdout, text=True)
        begin = time.monotonic()
        up = self._read_until("@up")[0]
        print(f"# the guest is up after {time.monotonic() - begin:.0f} s")
        return up

    def _read_until(self, mark):
        lines = []
        for line in self.process.stdout:
            line = line.rstrip("\n")
            if line.startswith(mark):
                return True, line, lines
            lines.append(line)
        return False, "", lines

    def shell(self, command):
        """Run one line; (status, output)."""
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        _, mark, lines = self._read_until("@done")
        return (int(mark.split()[1]) if mark else 255,
                "\n".join(lines).strip())

    def shell_ok(self, name, command):
        status, text = self.shell(command)
        check(name, status == 0, f"status {status}: {text[-400:]}")
        return text

    def ended(self, seconds):
        try:
            self.process.wait(seconds)
            return True
        except subprocess.TimeoutExpired:
            return False

    def api(self, method, path, body=None):
        request = urllib.request.Request(
            f"https://127.0.0.1:{self.page_port}/api/v1{path}", method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={**self.headers, **({} if body is None else
                     {"Content-Type": "application/json"})})
        try:
            with urllib.request.urlopen(request, timeout=60,
                                        context=INSECURE) as answer:
                return answer.status, json.load(answer), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, json.load(error), error.headers

    def log_in(self, path, body):
        status, answer, headers = self.api("POST", path, body)
        if status in (200, 201):
            self.headers["Cookie"] = headers["Set-Cookie"].split(";")[0]
            self.headers["X-CSRF-Token"] = answer["csrf"]
        return status


def install(box):
    text = box.shell_ok("the package installs", "DEBIAN_FRONTEND="
                        "noninteractive apt-get install -y "
                        "--no-install-recommends /dozo.deb 2>&1")
    check("the installation warns of nothing",
          "warning" not in text.lower(), text[-300:])
    box.shell_ok("dozod is active", "systemctl is-active dozod")
    text = box.shell("grep -E '^(Uid|CapEff)' /proc/$(pidof dozod)/status; "
                     "id -u dozo")[1]
    uid = text.split("\n")[-1]
    check("dozod runs as dozo", re.search(rf"^Uid:\t{uid}\t", text, re.M),
          text)
    check("dozod has four capabilities", "CapEff:\t00000000000004e0" in text,
          text)
    text = box.shell("grep -E '^(Uid|CapEff|CapPrm)' /proc/$(pidof "
                     "dozo-webui)/status; id -u dozo-webui")[1]
    uid = text.split("\n")[-1]
    check("the page runs as dozo-webui, without capabilities",
          re.search(rf"^Uid:\t{uid}\t", text, re.M) and
          text.count("\t0000000000000000") == 2, text)
    text = box.shell("systemd-analyze security dozod --no-pager")[1]
    figure = re.search(r"exposure level.*: ([0-9.]+)", text)
    check("systemd-analyze security is at most 2.6",
          figure and float(figure.group(1)) <= 2.6, text[-200:])
    print(f"# systemd-analyze security: {figure and figure.group(1)}")


def set_up(box):
    text = box.shell("journalctl -u dozod -o cat --no-pager")[1]
    token = re.search(r"set-up token (\S+)", text)
    if not check("the journal has the set-up token", token, text[-300:]):
        return False
    status = box.log_in("/setup", {"token": token.group(1), "name": "admin",
                                   "password": PASSWORD})
    check("first set-up", status in (200, 201), status)
    disks = box.api("GET", "/disks")[1]
    mine = [disk["path"] for disk in disks if disk["contents"] == ""]
    if not check("five blank disks are offered, the system's is not",
                 len(mine) == 5, json.dumps(disks)):
        return False
    make_old(box, mine[1])
    erased(box, "create", mine[1], {"name": "tank", "disk": mine[:4]},
           "/pools", f"pool create tank --level raid5 --disk "
           f"{' --disk '.join(mine[:4])}")
    check("the pool is there", until("the pool", 120, lambda: box.api(
        "GET", "/pools/tank")[1]["state"] == "online"), "no")
    for path, body in [
            ("/volumes", {"volume": "tank/vms", "size": "300M"}),
            ("/targets", {"name": "store", "iqn": "iqn.2026-01.test:store"}),
            ("/mappings", {"volume": "tank/vms", "host": "any",
                           "target": "store", "lun": 0})]:
        status, answer, _ = box.api("POST", path, body)
        check(f"POST {path}", status in (200, 201, 202), answer)
        until("an end of all jobs", 120, lambda: all(
            job["state"] != "running" for job in box.api("GET", "/jobs")[1]))
    return True


def make_old(box, path):
    """There is something on this disk."""
    box.shell_ok(f"mkfs.ext4 {path}", f"mkfs.ext4 -q -F -L photos {path} && "
                 "udevadm settle")


def erased(box, name, path, body, resource, command):
    """An old disk is taken if its serial number is confirmed, else not.

    By page and by dozoctl; what is done in the end is done by the page.
    """
    serial = box.shell(f"cat /sys/block/{Path(path).name}/serial")[1]
    for what, more, option in [
            ("without a word", {}, ""),
            ("by force alone", {"force": True}, "--force"),
            ("by another serial", {"force": True, "serial": [serial + "0"]},
             f"--force --serial {serial}0")]:
        status, answer, _ = box.api("POST", resource, {**body, **more})
        text = json.dumps(answer)
        check(f"{name}: an old disk is refused {what}", status == 409 and
              f"serial {serial}" in text and "ext4 photos" in text and
              path in text and "confirm its serial" in text, answer)
        status, text = box.shell(f"dozoctl {command} {option} 2>&1")
        check(f"{name}: and by dozoctl", status == 4 and f"serial {serial}"
              in text and "ext4 photos" in text and "--serial" in text, text)
    check(f"{name}: nothing was written", box.shell(
        f"blkid -p -s LABEL -o value {path}")[1] == "photos", "it was")
    confirmed = {**body, "force": True, "serial": [serial]}
    status, answer, _ = box.api("POST", resource + "?dry_run=true", confirmed)
    check(f"{name}: dry run with its serial", status == 200, answer)
    status, answer, _ = box.api("POST", resource, confirmed)
    check(f"{name}: with its serial it is taken", status in (200, 201, 202),
          answer)
    check(f"{name}: what was on it is gone", box.shell(
        f"blkid -p -s LABEL -o value {path}")[1] != "photos", "it is there")


def write(box):
    """A load that verifies, beside what happens to the box."""
    load = subprocess.Popen(
        [BUILD / "tests/tools/wverify", "-p", str(2 * BOOT_S), "-m", "32",
         f"iscsi://127.0.0.1:{box.iscsi_port}/iqn.2026-01.test:store/0"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    first = load.stdout.readline().strip()
    check("an initiator writes", first == "ready", first)
    return load


def end_load(load, name):
    load.send_signal(signal.SIGTERM)
    text = load.communicate(timeout=BOOT_S)[0]
    check(f"{name}: all that was acknowledged is there",
          load.returncode == 0, text[-300:])


def stats(box):
    return box.api("GET", "/stats")[1]


def resident(box):
    """MiB of dozod in memory, now and at most."""
    text = box.shell("cat /proc/$(pidof dozod)/status")[1]
    return [int(re.search(rf"^{name}:\s+(\d+)", text, re.M).group(1)) >> 10
            for name in ("VmRSS", "VmHWM")]


def available(box):
    return int(box.shell("sed -n 's/MemAvailable: *\\([0-9]*\\).*/\\1/p' "
                         "/proc/meminfo")[1]) >> 10


def take_memory(box, number, mib):
    box.shell_ok(f"{mib} MiB are taken", f"dd if=/dev/zero of=/dev/shm/taken"
                 f"{number} bs=1M count={mib}")
    return mib


def memory(box):
    """1 GB of memory, 16 sessions, and something else that wants half of it."""
    mib = 1 << 20
    pid = box.shell("pidof dozod; mount -o remount,size=90% /dev/shm")[1]
    load = subprocess.Popen(
        [BUILD / "bench/load", "--portal", f"127.0.0.1:{box.iscsi_port}",
         "--target", "iqn.2026-01.test:store", "--conns", "16", "--depth",
         "4", "--bs", "64k", "--read", "70", "--random", "--size", "256m",
         "--time", "10", "--verify", "--fill"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    begin = time.monotonic()
    sessions = until("16 sessions", 30, lambda: len(
        box.api("GET", "/sessions")[1]) == 16)
    check("16 sessions", sessions, box.api("GET", "/sessions")[1])

    def used():
        return int(stats(box)["cache"]["used"])
    limit = int(stats(box)["cache"]["limit"])
    check("the cache is a quarter of the memory", 200 * mib < limit <
          256 * mib, limit)
    check("the cache fills", until("full", 60, lambda: used() >
                                   limit - 16 * mib), used())
    full, most = used(), resident(box)
    print(f"# cache {full / mib:.0f} MiB of {limit / mib:.0f}, dozod resident "
          f"{most[0]} MiB after {time.monotonic() - begin:.0f} s")
    check("the cache is bounded", full <= limit, full)
    check("all else is small", most[0] - full / mib < 96, most)
    taken = take_memory(box, 0, available(box) - 80)
    for step in range(12):
        time.sleep(1)
        taken += take_memory(box, step + 1, 10)
    small = until("it shrinks", 10, lambda: used() < full - 64 * mib)
    left = used()
    print(f"# {taken} MiB taken: cache {left / mib:.0f} MiB, dozod resident "
          f"{resident(box)[0]} MiB, {available(box)} MiB available")
    check("the cache shrinks when others want memory", small, left)
    box.shell("rm /dev/shm/taken*")
    check("it may grow again afterwards", until(
        "it grows", 60, lambda: int(stats(box)["cache"]["limit"]) > left +
        16 * mib), stats(box)["cache"])
    text = load.communicate(timeout=BOOT_S)[0]
    check("16 sessions read what they wrote", load.returncode == 0,
          text[-300:])
    print(f"# {text.strip()[-400:]}")
    print(f"# dozod resident at most {resident(box)[1]} MiB; "
          f"{time.monotonic() - begin:.0f} s in all")
    text = box.shell("dmesg | grep -ciE 'out of memory|oom-kill'")[1]
    check("nothing was killed", text == "0" and box.shell("pidof dozod")[1] ==
          pid, text)


def document(box):
    config = box.api("GET", "/config")[1]
    return {key: config[key] for key in ("pools", "volumes", "targets",
                                         "hosts", "mappings")
            if key in config}


def reboot(box):
    before = document(box)
    load = write(box)
    time.sleep(3)
    begin = time.monotonic()
    box.process.stdin.write("systemctl reboot\n")
    box.process.stdin.flush()
    check("the guest goes down", box.ended(120), "it does not")
    print(f"# down after {time.monotonic() - begin:.0f} s")
    if not check("the guest comes up again", box.start(), "it does not"):
        return
    check("the page is back", until("login", 60, lambda: box.log_in(
        "/session", {"user": "admin", "password": PASSWORD}) in (200, 201)),
        "no")
    pool = until("the pool", 30, lambda: box.api("GET", "/pools/tank")[1])
    check("the pool is healthy", pool and pool["health"] == "healthy", pool)
    check("the configuration is as before", document(box) == before,
          "it differs")
    text = box.shell("cat /proc/mdstat; cat /sys/class/block/md*/size")[1]
    check("Linux has not assembled our disks", "active" not in text, text)
    time.sleep(3)
    end_load(load, "reboot")


def upgrade(box):
    """The same version again: dpkg does what it does in an upgrade."""
    load = write(box)
    text = box.shell_ok("the package is installed over itself",
                        "DEBIAN_FRONTEND=noninteractive dpkg -i /dozo.deb "
                        "2>&1")
    check("dpkg says that sessions pause", "sessions pause" in text,
          text[-300:])
    box.shell_ok("dozod is active after the upgrade",
                 "systemctl is-active dozod")
    check("login after the upgrade", until("login", 60, lambda: box.log_in(
        "/session", {"user": "admin", "password": PASSWORD}) in (200, 201)),
        "no")
    time.sleep(2)
    end_load(load, "upgrade")


def pool_health(box):
    return box.api("GET", "/pools/tank")[1]["health"]


def serials(box):
    """Of the members, in the order of their roles."""
    return [box.shell(f"cat /sys/block/{Path(member['path']).name}/serial")[1]
            for member in box.api("GET", "/pools/tank")[1]["members"]]


def unplug(box, *names):
    # To QEMU the system is disk0, and disk0.img is disk1.
    guest.monitor(box.console, [("device_del", {
        "id": f"disk{int(name[-1]) + 1}"}) for name in names])


def plug(box, *names):
    """QEMU forgets the drive with its device: both are made anew."""
    for name in names:
        number = int(name[-1]) + 1
        node = f"node{next(node_numbers)}"
        guest.monitor(box.console, [
            ("blockdev-add", {"driver": "raw", "node-name": node,
                              "file": {"driver": "file", "filename":
                                       str(DIRECTORY / f"{name}.img")}}),
            ("device_add", {"driver": "virtio-blk-pci", "serial": name,
                            "id": f"disk{number}", "bus": "pci.0",
                            "addr": f"{number + 8:#x}",
                            "drive": node})])


def disk_path(box, serial):
    return until(f"the path of {serial}", 20, lambda: next(
        (disk["path"] for disk in box.api("GET", "/disks")[1]
         if disk["serial"] == serial), None))


def pull(box):
    name = serials(box)[2]
    load = write(box)
    begin = time.monotonic()
    unplug(box, name)
    until("degraded", 30, lambda: pool_health(box) == "degraded")
    took = time.monotonic() - begin
    check("a pulled disk shows as degraded within 10 s", took < 10,
          f"{took:.0f} s")
    status = box.api("GET", "/status")[1]
    check("the status says so", status.get("health") != "healthy", status)
    time.sleep(2)
    end_load(load, "pulled disk")
    plug(box, name)
    path = disk_path(box, name)
    status, answer, _ = box.api("POST", "/pools/tank/re-add", {"disk": path})
    check("the disk is taken back", status in (200, 201, 202), answer)
    check("the pool is healthy again", until(
        "healthy", 60, lambda: pool_health(box) == "healthy"),
        box.api("GET", "/pools/tank")[1])


def idle_pull(box):
    """Nobody reads or writes: the kernel's word is all there is."""
    name = serials(box)[0]
    begin = time.monotonic()
    unplug(box, name)
    until("degraded", 30, lambda: pool_health(box) == "degraded")
    took = time.monotonic() - begin
    check("without I/O too, a pulled disk shows within 10 s", took < 10,
          f"{took:.0f} s")
    return name


def renew(box):
    """Replace a member by an old disk, and keep another as a spare."""
    old = serials(box)[2]
    new = (set(DISKS) - set(serials(box))).pop()
    member, path = disk_path(box, old), disk_path(box, new)
    make_old(box, path)
    erased(box, "replace", path, {"old": member, "disk": path},
           "/pools/tank/replace", f"pool replace tank {member} --disk {path}")
    check("it takes the member's place", until(
        "its place", 60, lambda: serials(box)[2] == new and
        len(serials(box)) == 4), serials(box))
    make_old(box, member)
    erased(box, "add-spare", member, {"disk": member},
           "/pools/tank/add-spare", f"pool add-spare tank --disk {member}")
    check("it is a spare", until("a spare", 10, lambda: serials(box)[4] ==
                                 old), serials(box))
    unplug(box, old)
    check("the spare is pulled, and no spare any more", until(
        "no spare", 30, lambda: len(box.api(
            "GET", "/pools/tank")[1]["members"]) == 4), "it is")
    check("the pool is healthy without it", pool_health(box) == "healthy",
          pool_health(box))


def renamed(box):
    """An array of another name gets ours, so that udev leaves it alone."""
    paths = [disk_path(box, name) for name in serials(box)]
    box.shell_ok("dozod stops for the array's name", "systemctl stop dozod")
    box.shell_ok("mdadm gives the array another name",
                 "udevadm control --stop-exec-queue && mdadm --assemble "
                 "/dev/md9 --update=name --name=theirs "
                 f"--homehost=box {' '.join(paths)} && mdadm --stop /dev/md9")
    text = box.shell(f"mdadm --examine {paths[0]} | grep Name")[1]
    check("it has that", "theirs" in text, text)
    box.shell_ok("dozod starts", "systemctl start dozod")
    check("login after that", until("login", 60, lambda: box.log_in(
        "/session", {"user": "admin", "password": PASSWORD}) in (200, 201)),
        "no")
    check("the pool is there", pool_health(box) == "healthy",
          pool_health(box))
    text = box.shell("udevadm control --start-exec-queue; systemctl stop "
                     f"dozod; mdadm --examine {' '.join(paths)} | grep Name"
                     )[1]
    check("all members have our name", text.count("dozo:tank") == len(paths),
          text)
    text = box.shell("udevadm trigger --action=add --subsystem-match=block; "
                     "udevadm settle; cat /proc/mdstat")[1]
    check("Linux does not assemble them", "unused devices" in text and
          "active" not in text, text)
    text = box.shell("DESTDIR=/tmp/initramfs /usr/share/initramfs-tools/hooks/"
                     "dozo; cat /tmp/initramfs/lib/udev/rules.d/*; cat "
                     "/tmp/initramfs/usr/lib/udev/rules.d/*")[1]
    check("the initramfs gets the rule", 'ENV{ID_FS_LABEL}!="dozo:*"' in text,
          text)
    box.shell_ok("dozod starts again", "systemctl start dozod")
    until("login", 60, lambda: box.log_in(
        "/session", {"user": "admin", "password": PASSWORD}) in (200, 201))


def late_disks(box, *gone):
    """Start without enough disks; they come later."""
    more = [name for name in serials(box) if name.startswith("disk")][:2]
    box.shell_ok("dozod stops for the late disks", "systemctl stop dozod")
    unplug(box, *more)
    time.sleep(2)
    box.shell_ok("dozod starts without its disks", "systemctl start dozod")
    check("login without disks", until("login", 60, lambda: box.log_in(
        "/session", {"user": "admin", "password": PASSWORD}) in (200, 201)),
        "no")
    health = pool_health(box)
    check("the pool is offline", health == "offline", health)
    plug(box, *gone, *more)
    check("the pool opens when its disks come", until(
        "open", 30, lambda: pool_health(box) in ("healthy", "degraded")),
        box.api("GET", "/pools/tank")[1])
    end_load(write(box), "late disks")


def stop(box):
    begin = time.monotonic()
    box.shell_ok("dozod stops", "systemctl stop dozod")
    took = time.monotonic() - begin
    check("within 5 s", took < 5, f"{took:.0f} s")
    text = box.shell("systemctl show dozod -p Result -p ExecMainStatus")[1]
    check("cleanly", "Result=success" in text and "ExecMainStatus=0" in text,
          text)
    box.process.stdin.write("systemctl poweroff\n")
    box.process.stdin.flush()
    check("the guest powers off", box.ended(120), "it does not")


def main():
    box = Guest()
    try:
        if not check("the guest boots", box.start(), "it does not"):
            return 1
        install(box)
        if not set_up(box):
            return 1
        reboot(box)
        upgrade(box)
        pull(box)
        memory(box)
        renew(box)
        renamed(box)
        late_disks(box, idle_pull(box))
        stop(box)
        return 0
    finally:
        if box.process and box.process.poll() is None:
            box.process.terminate()
        for line in box.console.read_text(errors="replace").splitlines():
            if "dozo" in line and ("fail" in line.lower()):
                print(f"# {line}")


if __name__ == "__main__":
    sys.exit(main())
