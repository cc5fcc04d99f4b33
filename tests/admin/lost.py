#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Members that go or stall under an initiator: two lost together, two lost one
after the other, and one that does not answer."""
import os
import sys
import time

sys.dont_write_bytecode = True
from box import Box, Session, run_tests

NOT_READY = (2, 4, 0)
KIB = 1024


def until(what, test, seconds=30):
    end = time.time() + seconds
    while not test():
        assert time.time() < end, what
        time.sleep(0.05)


def sense(data):
    return (data[2] & 15, data[12], data[13])


def pattern(n, seed):
    return bytes((i // 512 * 7 + i + seed) & 255 for i in range(512)) * \
        (n // 512)


class Disks(Box):
    """A pool of four with a volume, and an initiator."""

    def __init__(self):
        super().__init__(start=False)
        self.options = ["--fault-injection"]
        self.start()
        self.pool(n=4)
        self.lun(size="32M")
        self.d = self.disks(4)
        self.connect_again()

    def connect_again(self):
        self.s = Session(self)
        self.s.alive()

    def write(self, lba, data):
        return self.s.command([0x2A, 0, *lba.to_bytes(4, "big"), 0,
                               *(len(data) // 512).to_bytes(2, "big"), 0],
                              out=data)

    def read(self, lba, size):
        return self.s.command([0x28, 0, *lba.to_bytes(4, "big"), 0,
                               *(size // 512).to_bytes(2, "big"), 0],
                              length=size)

    def fault(self, i, kind, *more):
        self.ok("disk", "fault", self.d[i], "--kind", kind, *more)

    def status(self):
        return self.get("pool", "status", "tank")

    def state(self, i):
        return [m["state"] for m in self.status()["members"]
                if m["path"] == self.d[i]]

    def fill(self):
        """Some of each member: 64 KiB chunks, three of them data."""
        for lba in range(0, 4096, 128):
            assert self.write(lba, pattern(64 * KIB, lba)) == (0, b"")

    def check(self, seed=0, lbas=range(0, 4096, 128)):
        for lba in lbas:
            status, data = self.read(lba, 64 * KIB)
            assert status == 0 and data == pattern(64 * KIB, lba + seed), lba

    def restart_pool(self):
        self.s.close()
        self.ctl("pool", "stop", "tank", "--force")
        self.ok("pool", "start", "tank")
        self.connect_again()


def expect_stopped(b):
    for status, data in (b.write(0, b"x" * 4096), b.read(0, 64 * KIB),
                         b.s.command([0x35] + [0] * 9)):
        assert status == 2 and sense(data) == NOT_READY, data.hex()
    problem = b.get("status")["problems"][0]
    assert "has lost too many disks" in problem["text"], problem
    assert "stop and start the pool" in problem["hint"], problem


def test_two_members_lost_together_stop_the_array_and_need_no_rebuild():
    with Disks() as b:
        b.fill()
        b.s.command([0x35] + [0] * 9)
        until("clean", lambda: b.status()["clean"])
        for i in (1, 3):
            b.fault(i, "gone")
        until("noticed", lambda: b.write(0, b"y" * 64 * KIB)[0] != 0 or True)
        until("failed", lambda: b.status()["health"] == "failed")
        expect_stopped(b)
        for i in (1, 3):
            b.fault(i, "clear")
        b.restart_pool()
        status = b.status()
        assert status["health"] == "healthy", status
        assert status["degraded"] == 0 and "task" not in status, status
        b.check(lbas=range(128, 4096, 128))


def test_of_two_lost_one_after_the_other_the_first_is_stale():
    with Disks() as b:
        b.fill()
        b.fault(1, "gone")
        for lba in range(0, 4096, 128):     # acknowledged without it
            assert b.write(lba, pattern(64 * KIB, lba + 1)) == (0, b"")
        assert b.state(1) == ["faulty"], b.status()
        b.fault(3, "gone")
        until("failed", lambda: b.write(0, pattern(64 * KIB, 1))[0] != 0)
        assert b.status()["health"] == "failed"
        expect_stopped(b)
        for i in (1, 3):
            b.fault(i, "clear")
        b.restart_pool()
        status = b.status()
        assert status["health"] == "degraded" and status["degraded"] == 1
        assert b.state(3) == ["in-sync"] and b.state(1) == [], status
        assert [m["path"] for m in status["missing"]] == [b.d[1]], status
        log = b.log_text()
        assert f"{b.d[1]} is not used: " in log, log[-2000:]
        told = log[log.index(f"{b.d[1]} is not used: "):].split("\n")[0]
        assert "the array ran on without it" in told, told
        assert "add it again" in told, told
        hint = b.get("status")["problems"][0]["hint"]
        assert "`dozoctl pool re-add` if it is the same" in hint, hint
        b.check(seed=1)
        b.ok("pool", "re-add", "tank", "--disk", b.d[1])
        until("rebuilt", lambda: b.status()["health"] == "healthy")
        b.check(seed=1)
        b.fault(0, "gone")                  # what it holds now is right
        b.check(seed=1)


def test_a_read_goes_round_a_member_that_stalls():
    with Disks() as b:
        b.fill()
        for i in range(4):
            b.fault(i, "stall", "--on", "read")
            for size in (4 * KIB, 64 * KIB, 512 * KIB):
                begun = time.time()
                status, data = b.read(0, size)
                assert status == 0, data.hex()
                assert data[:64 * KIB] == pattern(64 * KIB, 0)[:size]
                assert time.time() - begun < 10, (i, size)
            assert b.status()["degraded"] == 0
            b.fault(i, "clear")
            until("it answers", lambda: "answers again" in b.log_text())
        b.check()
        stalls = [m["stalls"] for m in b.get("stats")["pools"][0]["members"]]
        assert all(n > 0 for n in stalls), stalls
        assert b.status()["health"] == "healthy"


def test_a_write_waits_for_a_member_that_stalls_for_a_while():
    with Disks() as b:
        b.fill()
        b.fault(2, "delay", "--delay-ms", "1500", "--on", "write", "--count",
                "4")
        for lba in range(0, 2048, 128):
            assert b.write(lba, pattern(64 * KIB, lba)) == (0, b"")
        b.check()
        assert b.status()["health"] == "healthy"


def test_a_pool_with_a_bitmap_that_is_killed_degraded_is_refused():
    def notes(b):
        return {d["path"]: d.get("note", "") for d in b.get("disk", "list")
                if d["path"] in b.d}

    for policy in "bitmap", "resync", "ppl":
        with Disks() as b:
            b.ok("pool", "set", "tank", "--policy", policy)
            b.ok("disk", "fail", b.d[3])
            until("let go", lambda: b.state(3) in ([], ["faulty"]))
            assert b.write(0, pattern(64 * KIB, 0)) == (0, b"")
            b.kill()
            b.start()
            note = notes(b)
            if policy == "ppl":
                assert b.status()["health"] == "degraded", b.status()
                assert "which goes on without it" in note[b.d[3]], note
                assert note[b.d[0]] == "", note
                continue
            for path in b.d:
                assert "belongs to pool tank, which is not open: the array " \
                    "was not stopped cleanly" in note[path], note
            problem, = b.get("status")["problems"]
            assert problem["code"] == "pool-offline", problem


if __name__ == "__main__":
    run_tests(globals())
