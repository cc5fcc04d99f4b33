#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A scrub goes on where it was: after stop and start, after kill -9; what it
found stays.  A file that is damaged is forgotten, and nothing else."""
import glob
import os
import re
import sys
import time

sys.dont_write_bytecode = True
from box import Box, run_tests

MIB = 1 << 20


def until(what, test, seconds=30):
    end = time.time() + seconds
    while not test():
        assert time.time() < end, what
        time.sleep(0.05)


def scrub(b):
    return b.get("pool", "status", "tank").get("scrub")


def state(b, what):
    return lambda: (scrub(b) or {}).get("state") == what


def spoil(b, at):
    """The same place of one member: parity differs there."""
    with open(b.disks()[0], "r+b") as f:
        f.seek(at)
        f.write(b"x" * 4096)


class Slow(Box):
    """A pool with a slow disk and wrong parity; found, and far from done."""

    def __init__(self, begin=True):
        super().__init__(start=False)
        self.options = ["--fault-injection"]
        self.start()
        self.pool(size="96M")
        self.ok("volume", "create", "tank/v", "60M")
        spoil(self, 6 * MIB)
        if begin:
            self.begin()

    def begin(self, *more):
        self.ok("disk", "fault", self.disks()[0], "--kind", "delay",
                "--delay-ms", "100")
        self.ok("pool", "scrub", "tank", *more)
        until("some is done", lambda: scrub(self)["done_bytes"] != "0")
        assert scrub(self)["mismatches"] == "1"

    def files(self):
        return glob.glob(self.path("state/scrub/*"))

    def stored(self):
        with open(self.files()[0]) as f:
            return f.read()

    def starts(self):
        """Where each scrub began, in bytes of each member."""
        return [int(n) for n in
                re.findall(r"check starts at byte (\d+)", self.log_text())]


def goes_on(b, done, found="1"):
    until("it goes on", state(b, "finished"))
    now = scrub(b)
    assert now["mismatches"] == found, now
    assert b.starts()[0] == 0 and b.starts()[-1] == done, (b.starts(), done)
    assert 0 < done < int(now["total_bytes"]), (done, now)
    text = b.ok("pool", "status", "tank").out
    assert f"last scrub (check): {found} blocks with wrong parity" in text
    assert "in volume v, LBA" in text, text
    assert "pool scrub tank --repair` makes parity follow" in text, text


def test_a_scrub_goes_on_after_a_restart():
    with Slow() as b:
        begun = scrub(b)["start_s"]
        b.stop()
        stored = b.stored()
        assert '"state": "running"' in stored, stored
        done = int(re.search(r'"done": "(\d+)"', stored)[1])
        spoil(b, 6 * MIB + 4096)       # behind it: not seen this time
        spoil(b, 80 * MIB)
        b.start()
        goes_on(b, done, "2")
        now = scrub(b)
        assert now["start_s"] == begun and now["end_s"] >= begun, now
        b.stop()
        b.start()
        assert scrub(b) == now
        assert "parity of 2 blocks" in b.get("status")["problems"][0]["text"]
        assert len(b.starts()) == 2, b.starts()


def test_a_scrub_goes_on_after_kill_9():
    with Slow() as b:
        until("stored", lambda: '"done": "0"' not in b.stored())
        b.kill()
        done = int(re.search(r'"done": "(\d+)"', b.stored())[1])
        b.start()
        goes_on(b, done)


def test_a_scrub_goes_on_after_stop_and_start_of_the_pool():
    with Slow() as b:
        b.ok("pool", "stop", "tank")
        done = int(re.search(r'"done": "(\d+)"', b.stored())[1])
        b.ok("pool", "start", "tank")
        goes_on(b, done)


def test_a_scrub_waits_for_a_member_and_can_be_cancelled_meanwhile():
    with Slow() as b:
        b.ok("disk", "fail", b.disks()[1])
        until("it waits", state(b, "waiting"))
        text = b.ctl("pool", "status", "tank").out
        assert re.search(r"started .*, waiting at \d+\.\d %", text), text
        b.stop()
        b.start()
        assert scrub(b)["state"] == "waiting", scrub(b)
        words = ["pool", "scrub", "tank", "--cancel", "--json"]
        assert b.ok(*words).json()["changed"] is True
        assert b.ok(*words).json()["changed"] is False
        b.stop()
        b.start()
        assert scrub(b)["state"] == "cancelled", scrub(b)


def test_a_repair_that_was_cancelled_is_told():
    with Slow(begin=False) as b:
        b.begin("--repair")
        b.ok("pool", "scrub", "tank", "--cancel")
        until("cancelled", state(b, "cancelled"))
        problem = b.get("status")["problems"][0]
        assert problem["severity"] == "notice", problem
        assert "a repair of parity was cancelled" in problem["text"], problem
        b.ok("disk", "fault", b.disks()[0], "--kind", "clear")
        b.ok("pool", "scrub", "tank", "--repair")
        until("repaired", state(b, "finished"))
        assert b.get("status")["problems"] == []


def test_a_damaged_file_is_forgotten_and_nothing_else():
    with Slow() as b:
        for damage in ("cut", "changed", "directory"):
            b.stop()
            name, text = b.files()[0], b.stored()
            if damage == "directory":
                os.unlink(name)
                os.mkdir(name)
            else:
                with open(name, "w") as f:
                    f.write(text[:100] if damage == "cut" else
                            text.replace('"total": "', '"total": "1'))
            b.start()
            status = b.get("pool", "status", "tank")
            assert status["health"] == "healthy", status
            assert "scrub" not in status, status
            assert status["mismatch_list"] == []
            assert "the last scrub is forgotten: " in b.log_text(), damage
            b.begin()
        # It cannot be stored: that is told, and the scrub goes on.
        assert "start from an earlier point: " in b.log_text()
        b.ok("disk", "fault", b.disks()[0], "--kind", "clear")
        until("finished", state(b, "finished"))


def test_what_is_exported_or_deleted_leaves_no_file():
    with Slow() as b:
        assert len(b.files()) == 1
        b.ok("pool", "export", "tank")
        assert b.files() == []
        b.ok("pool", "import", "--disk", *b.disks())
        assert "scrub" not in b.get("pool", "status", "tank")
        b.begin()
        b.ok("pool", "delete", "tank", "--force")
        assert b.files() == []


if __name__ == "__main__":
    run_tests(globals())
