#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What outlives the daemon: stop and start, kill -9 between any two steps,
a lost state directory, disks moved to another box; signals and systemd."""
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
from box import ENV, Box, Session, request, run_tests

ROUNDS = int(os.environ.get("KILL_ROUNDS", "12"))


def view(b):
    """All that was configured, without what a start changes."""
    doc = b.get("config", "export", "--secrets")
    for key in ("generation", "written_s"):
        doc.pop(key)
    return doc, b.get("volume", "list")


def test_everything_is_there_after_a_restart():
    with Box() as b:
        b.pool()
        b.lun()
        b.ok("host", "create", "h", "--iqn", "iqn.2026-01.x:*", "--network",
             "192.0.2.0/24", "--chap-user", "u", "--chap-secret",
             "0123456789ab", "--preset", "vmware")
        b.ok("volume", "create", "tank/w", "2M", "--write-policy", "durable")
        b.ok("map", "tank/w", "--host", "h", "--target", "t", "--lun", "7",
             "--read-only")
        b.ok("portal", "add", f"127.0.0.2:{b.port}", "--tag", "2")
        before = view(b), b.get("portal", "list")
        b.stop()
        b.start()
        assert (view(b), b.get("portal", "list")) == before
        b.kill()
        b.start()
        assert (view(b), b.get("portal", "list")) == before
        b.ok("status")


# --- kill -9 ---

class Model:
    """What may be there: certain state, and one change in doubt."""

    def __init__(self):
        self.volumes, self.targets, self.maps = set(), set(), set()

    def copy(self):
        other = Model()
        other.volumes = set(self.volumes)
        other.targets = set(self.targets)
        other.maps = set(self.maps)
        return other

    def key(self):
        return (frozenset(self.volumes), frozenset(self.targets),
                frozenset(self.maps))


def pick(rng, model):
    """A change: (verb, args, the model after it)."""
    after = model.copy()
    v = f"v{rng.randrange(6)}"
    t = f"t{rng.randrange(3)}"
    args = {"volume": f"tank/{v}", "host": "any", "target": t}
    what = rng.randrange(6)
    if what == 0:
        after.volumes.add(v)
        return "volume.create", {"volume": f"tank/{v}", "size": "1M"}, after
    if what == 1 and not any(m[0] == v for m in model.maps):
        after.volumes.discard(v)
        return "volume.delete", {"volume": f"tank/{v}"}, after
    if what == 2:
        after.targets.add(t)
        return "target.create", {"name": t}, after
    if what == 3:
        after.targets.discard(t)
        after.maps = {m for m in after.maps if m[1] != t}
        return "target.delete", {"name": t}, after
    if what == 4 and v in model.volumes and t in model.targets:
        after.maps.add((v, t))
        return "map", args, after
    after.maps.discard((v, t))
    return "unmap", args, after


def observe(b):
    m = Model()
    m.volumes = {v["name"] for v in b.get("volume", "list")}
    m.targets = {t["name"] for t in b.get("target", "list")}
    maps = b.get("map", "list")
    assert not any(x["orphan"] for x in maps), maps
    m.maps = {(x["volume"], x["target"]) for x in maps}
    return m


def test_kill_at_any_point_leaves_before_or_after():
    seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
    rng = random.Random(seed)
    certain = Model()
    changes = 0
    with Box() as b:
        b.pool()
        for _ in range(ROUNDS):
            proc = b.proc
            delay = rng.uniform(0.005, 0.25)
            killer = threading.Thread(
                target=lambda: (time.sleep(delay), proc.kill()))
            doubt = certain
            killer.start()
            try:
                with b.connect() as s:
                    while True:
                        verb, args, doubt = pick(rng, certain)
                        answer = request(s, verb, args)
                        if answer is None:
                            break
                        assert answer["ok"], (seed, verb, args, answer)
                        certain = doubt
                        changes += 1
            except OSError:
                pass
            killer.join()
            b.kill()
            b.start()
            seen = observe(b)
            assert seen.key() in (certain.key(), doubt.key()), \
                (seed, seen.key(), certain.key(), doubt.key())
            certain = seen
            b.ok("status")
    assert changes > ROUNDS, changes


def test_leftovers_of_a_kill_do_no_harm():
    with Box() as b:
        b.ok("target", "create", "t")
        b.kill()
        with open(b.path("state/config.json.new"), "w") as f:
            f.write('{"half')
        b.start()
        assert len(b.get("target", "list")) == 1
        b.ok("target", "create", "u")
        b.stop()
        b.start()
        assert len(b.get("target", "list")) == 2


def test_a_change_that_cannot_be_written_is_not_made():
    with Box() as b:
        b.pool()
        b.lun()
        s = Session(b)
        before = view(b), b.get("portal", "list"), b.get("pool", "list")
        shutil.rmtree(b.path("state/history"))
        open(b.path("state/history"), "w").close()
        for words in (["target", "create", "u"],
                      ["host", "create", "h", "--network", "192.0.2.1"],
                      ["portal", "add", f"127.0.0.2:{b.port}"],
                      ["unmap", "tank/v", "--host", "any", "--target", "t"],
                      ["target", "delete", "t", "--force"],
                      ["pool", "create", "two", "--wait", "--disk",
                       *b.disks(3, prefix="x")]):
            b.fails(5, "ot a directory", *words)
            after = view(b), b.get("portal", "list"), b.get("pool", "list")
            # Counters of the members move on.
            assert after[:2] == before[:2], words
            assert len(after[2]) == 1
        assert s.alive()
        os.unlink(b.path("state/history"))
        os.mkdir(b.path("state/history"))
        b.ok("target", "create", "u")
        b.ok("pool", "import", "--disk", *b.disks(3, prefix="x"))
        b.ok("pool", "export", "two")
        assert s.alive()


def test_a_rename_that_missed_the_document_is_made_up_for():
    with Box() as b:
        b.pool()
        b.lun()
        old = open(b.path("state/config.json")).read()
        b.ok("volume", "rename", "tank/v", "w")
        b.stop()
        # The document of before the rename; the pool's copies too.
        generation = json.loads(old)["generation"]
        newer = old.replace(f'"generation": {generation}',
                            f'"generation": {generation + 5}')
        with open(b.path("state/config.json"), "w") as f:
            f.write(newer)
        b.start()
        maps = b.get("map", "list")
        assert maps[0]["volume"] == "w" and not maps[0]["orphan"], maps
        assert Session(b).alive()


def pr_register(s, key, aptpl):
    """PERSISTENT RESERVE OUT, REGISTER AND IGNORE EXISTING KEY."""
    for _ in range(5):      # past unit attentions
        status, sense = s.command(
            [0x5F, 6, 0, 0, 0, 0, 0, 0, 24],
            out=bytes(8) + key.to_bytes(8, "big") + bytes(4) +
            bytes([1 if aptpl else 0, 0, 0, 0]))
        if status == 0:
            return
    raise AssertionError(f"status {status}, {sense.hex()}")


def pr_keys(s):
    """PERSISTENT RESERVE IN, READ KEYS."""
    for _ in range(5):
        status, data = s.command([0x5E, 0, 0, 0, 0, 0, 0, 2, 0])
        if status == 0:
            size = int.from_bytes(data[4:8], "big")
            return [int.from_bytes(data[8 + i:16 + i], "big")
                    for i in range(0, size, 8)]
    raise AssertionError(f"status {status}")


def test_persistent_reservations_survive_a_kill():
    with Box() as b:
        b.pool()
        b.lun()
        pr_register(Session(b), 0x1234, aptpl=True)
        b.kill()
        b.start()
        assert pr_keys(Session(b)) == [0x1234]
        # Without APTPL they end with the power.
        pr_register(Session(b), 0x5678, aptpl=False)
        b.kill()
        b.start()
        assert pr_keys(Session(b)) == []


def test_persistent_reservations_move_with_the_disks():
    with Box() as a, Box() as b:
        a.pool()
        a.lun()
        before = a.get("status")["generation"]
        pr_register(Session(a), 0x1234, aptpl=True)
        for _ in range(100):
            if a.get("status")["generation"] > before:
                break
            time.sleep(0.02)
        history = len(a.get("config", "history"))
        a.stop()
        b.ok("pool", "import", "--disk", *a.disks(), "--config")
        assert pr_keys(Session(b)) == [0x1234]
        b.kill()
        b.start()
        assert pr_keys(Session(b)) == [0x1234]
        # A reservation is no step in the history of the configuration.
        assert history == 3, history


def test_persistent_reservations_that_cannot_be_saved_are_refused():
    with Box() as b:
        b.pool()
        b.lun()
        s = Session(b)
        shutil.rmtree(b.path("state/pr"))
        try:
            pr_register(s, 0x1234, aptpl=True)
            raise AssertionError("registered")
        except AssertionError as e:
            assert "status 2" in str(e), e
        os.mkdir(b.path("state/pr"))
        pr_register(s, 0x1234, aptpl=True)


def test_a_deleted_volume_takes_its_reservations_with_it():
    with Box() as b:
        b.pool()
        b.lun()
        pr_register(Session(b), 0x1234, aptpl=True)
        assert len(os.listdir(b.path("state/pr"))) == 1
        b.ok("unmap", "tank/v", "--host", "any", "--target", "t")
        b.ok("volume", "delete", "tank/v")
        assert os.listdir(b.path("state/pr")) == []


# --- what the disks carry ---

def test_the_newest_document_wins():
    with Box() as b:
        b.pool()
        b.lun()
        old = open(b.path("state/config.json")).read()
        b.ok("target", "create", "newer")
        b.stop()
        with open(b.path("state/config.json"), "w") as f:
            f.write(old)
        b.start()
        assert "newer" in [t["name"] for t in b.get("target", "list")]
        assert "is newer" in b.log_text()


def test_disks_moved_to_another_box_bring_their_configuration():
    with Box() as a, Box() as b:
        a.pool()
        a.ok("host", "create", "h", "--iqn", "iqn.2026-01.test:*")
        a.lun(host="h")
        uuid = a.get("volume", "show", "tank/v")["uuid"]
        a.stop()
        found = b.ok("pool", "import", "--disk", *a.disks(), "--config",
                     "--json").json()
        assert found["name"] == "tank" and found["left_out"] == [], found
        assert b.get("volume", "show", "tank/v")["uuid"] == uuid
        assert [m["lun"] for m in b.get("map", "list")] == [0]
        assert Session(b).alive()
        b.stop()
        b.start()
        assert Session(b).alive()


def test_import_leaves_out_what_contradicts():
    with Box() as a, Box() as b:
        a.pool()
        a.lun()
        a.stop()
        b.pool("mine", prefix="m")
        b.lun("mine/x")
        found = b.ok("pool", "import", "--disk", *a.disks(), "--config",
                     "--json").json()
        assert len(found["left_out"]) == 1, found
        assert len(b.get("map", "list")) == 1


def test_a_lost_state_directory_is_rebuilt_from_the_disks():
    with Box() as b:
        b.pool()
        b.lun()
        b.stop()
        shutil.rmtree(b.path("state"))
        b.start()
        assert b.get("pool", "list") == []
        b.ok("pool", "import", "--disk", *b.disks(), "--dry-run")
        assert b.get("pool", "list") == []
        b.ok("pool", "import", "--disk", *b.disks(), "--config")
        assert Session(b).alive()


def test_export_and_import_keep_the_data():
    with Box() as b:
        b.pool()
        b.ok("volume", "create", "tank/v", "4M")
        b.lun("tank/w", target="t")
        b.fails(4, "are mapped", "pool", "export", "tank")
        b.ok("unmap", "tank/w", "--host", "any", "--target", "t")
        b.ok("pool", "export", "tank")
        assert b.get("pool", "list") == []
        b.fails(2, "is tank, not other", "pool", "import", "--name", "other",
                "--disk", *b.disks())
        b.ok("pool", "import", "--disk", *b.disks())
        assert len(b.get("volume", "list")) == 2


def test_stop_and_start_of_a_pool_leave_the_rest_alone():
    with Box() as b:
        b.pool()
        b.pool("other", prefix="o")
        b.lun()
        b.lun("other/v", target="u")
        s = Session(b)
        b.ok("pool", "stop", "other")
        assert b.ctl("pool", "status", "other").status == 5
        assert s.alive()
        assert b.ok("pool", "stop", "other",
                    "--json").json()["changed"] is False
        b.ok("pool", "start", "other")
        b.ok("status")
        assert Session(b, target="iqn.2026-01.org.dozo:u").alive()
        assert s.alive()


def test_a_deleted_pool_leaves_blank_disks():
    with Box() as b:
        b.pool()
        b.ok("volume", "create", "tank/v", "4M")
        b.fails(4, "has 1 volume", "pool", "delete", "tank")
        b.ok("pool", "delete", "tank", "--force")
        assert b.get("pool", "list") == []
        b.pool()
        assert b.get("volume", "list") == []


def losetup(*words):
    done = subprocess.run(["losetup", *words], capture_output=True,
                          text=True, env=ENV)
    return done.stdout.strip() if done.returncode == 0 else None


def test_devices_that_change_their_names_are_found():
    with Box() as b:
        images = b.disks(4)
        loops = [losetup("-f", "--show", i) for i in images]
        try:
            if None in loops:
                return "losetup needs root and free loop devices"
            b.ok("pool", "create", "tank", "--disk", *loops[:3], "--wait")
            b.lun()
            b.stop()
            # 0 becomes 1, 1 becomes 0, 2 moves to where nothing was.
            for name in loops:
                losetup("-d", name)
            for name, image in ((loops[0], images[1]), (loops[1], images[0]),
                                (loops[2], images[3]), (loops[3], images[2])):
                losetup(name, image)
            b.start()
            assert Session(b).alive()
            b.ok("status")
            assert "found a member at " + loops[3] in b.log_text()
            assert b.get("pool", "status", "tank")["missing"] == []
            b.stop()
        finally:
            b.kill()
            for name in loops:
                if name is not None:
                    losetup("-d", name)


# --- signals, systemd ---

def test_sigterm_stops_within_seconds_with_clients_connected():
    with Box() as b:
        b.pool()
        b.lun()
        s = Session(b)
        with b.connect() as idle, b.connect() as follower:
            request(follower, "events", {"follow": True})
            begin = time.time()
            b.stop(timeout=8)
            assert time.time() - begin < 5
            assert idle.recv(1) == b""
        s.close()


def test_sighup_reads_the_log_level():
    with Box() as b:
        b.write_conf(log_level="error")
        b.proc.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        b.ok("target", "create", "silent")
        assert "target.create" not in b.log_text()
        b.write_conf(text="nonsense = 1\n")
        b.proc.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        assert 'unknown key "nonsense"' in b.log_text()
        b.ok("version")


def test_systemd_is_told():
    with Box(start=False) as b:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.bind(b.path("notify"))
            s.settimeout(5)
            b.env = {"NOTIFY_SOCKET": b.path("notify"),
                     "WATCHDOG_USEC": "200000"}
            b.start()
            said = {s.recv(200) for _ in range(3)}
            assert said == {b"READY=1", b"WATCHDOG=1"}, said
            b.stop()
            s.setblocking(False)
            try:
                while True:
                    said.add(s.recv(200))
            except BlockingIOError:
                pass
            assert b"STOPPING=1" in said, said


def test_the_daemon_goes_to_the_background_when_it_serves():
    from box import DOZOD
    with Box(start=False) as b:
        done = subprocess.run([DOZOD, "-c", b.conf], env=ENV, timeout=20,
                              stderr=open(b.log, "ab"))
        assert done.returncode == 0
        b.ok("status")
        with open(b.path("state/lock")) as f:
            pid = int(f.read())
        os.kill(pid, signal.SIGTERM)
        for _ in range(200):
            if b.ctl("version").status != 0 and \
                    os.path.getsize(b.path("state/lock")) == 0:
                break
            time.sleep(0.02)
        assert os.path.getsize(b.path("state/lock")) == 0


def until(what, test, seconds=30):
    end = time.time() + seconds
    while not test():
        assert time.time() < end, what
        time.sleep(0.05)


def test_a_page_that_does_not_start_is_a_problem():
    def told(b):
        return [p["text"] for p in b.get("status")["problems"]]

    def serves(port):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port)) == 0

    with socket.create_server(("", 0), family=socket.AF_INET6,
                              dualstack_ipv6=True) as taken:
        port = taken.getsockname()[1]
        with Box(page_port=port) as b:
            until("told", lambda: told(b))
            assert told(b) == [f"the page does not start on port {port}"]
            assert b.ctl("status").status == 5
            taken.close()
            until("started", lambda: serves(port))
            assert told(b)                  # each try begins like that
            until("steady", lambda: not told(b))
            b.ok("status")



def owe(b):
    """A host that sends no data for its write; its session."""
    b.pool()
    b.lun()
    s = Session(b)
    s.capacity()
    s.s.sendall(struct.pack(
        ">BBHI8sIIII16s", 0x01, 0xA0, 0, 0, bytes(8), s.cmdsn, 65536, s.cmdsn,
        0, bytes([0x2A, 0, 0, 0, 0, 0, 0, 0, 128, 0]).ljust(16, b"\0")))
    s.cmdsn += 1
    assert s.receive()[0][0] & 0x3F == 0x31, "no R2T"
    return s


def test_a_pool_stops_although_a_host_owes_data():
    with Box() as b:
        s = owe(b)
        assert b.background("pool", "stop", "tank", "--force").wait(8) == 0
        head, _ = s.receive()
        assert (head[0] & 0x3F, head[3]) == (0x21, 0x40), "task aborted"


def test_a_volume_goes_although_a_host_owes_data():
    with Box() as b:
        with owe(b):
            b.ok("unmap", "tank/v", "--host", "any", "--target", "t")
            assert b.background("volume", "delete", "tank/v").wait(8) == 0


def test_a_foreign_pool_does_not_bring_its_configuration():
    with Box() as a, Box() as b:
        a.pool(name="one", prefix="a")
        for i in range(12):
            a.ok("target", "create", f"foreign{i}")
        disks = a.disks(3, "64M", "a")
        a.stop()
        b.ok("target", "create", "ours")
        b.ok("pool", "import", "--disk", *disks)
        for _ in range(2):
            assert [t["name"] for t in b.get("target", "list")] == ["ours"]
            b.stop()
            b.start()


if __name__ == "__main__":
    run_tests(globals())
