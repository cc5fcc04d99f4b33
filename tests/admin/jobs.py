#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Requests that take long become jobs: progress, cancel, Ctrl-C, a stop."""
import os
import signal
import sys
import time

sys.dont_write_bytecode = True
from box import Box, run_tests


def until(what, test, seconds=30):
    end = time.time() + seconds
    while not test():
        assert time.time() < end, what
        time.sleep(0.05)


def zeroing(b):
    """Data is zeroed slowly; what lies before it on the disks is not slow."""
    for disk in b.disks():
        b.ok("disk", "fault", disk, "--kind", "delay", "--delay-ms", 100,
             "--offset", 64 << 20)


def running(b, verb):
    return [j for j in b.get("job", "list")
            if j["verb"] == verb and j["state"] == "running"]


def test_a_volume_that_takes_long_is_a_job_that_can_be_cancelled():
    with Box(start=False) as b:
        b.options = ["--fault-injection"]
        b.start()
        b.pool(size="512M")
        free = b.get("pool", "status", "tank")["free"]
        b.ok("volume", "create", "tank/small", "1M")
        zeroing(b)
        for verb, name, size in (("volume.create", "big", "900M"),
                                 ("volume.grow", "small", "800M")):
            words = verb.split(".") + [f"tank/{name}", size]
            work = b.background(*words)
            until("a job", lambda: running(b, verb))
            job = running(b, verb)[0]
            assert job["object"] == f"tank/{name}", job
            until("a rate", lambda: running(b, verb)[0].get("eta_s"))
            job = running(b, verb)[0]
            assert 0 < job["percent"] < 100, job
            assert int(job["total_bytes"]) >= 799 << 20, job
            # Others may change what it does not use, and only that.
            b.ok("target", "create", "meanwhile")
            for refused in (["volume", "create", "tank/third", "1M"],
                            ["volume", "grow", "tank/small", "2M"],
                            ["volume", "rename", "tank/small", "x"],
                            ["volume", "delete", "tank/small"],
                            ["pool", "stop", "tank"],
                            ["pool", "export", "tank"],
                            ["pool", "delete", "tank", "--force"]):
                b.fails(4, f"job {job['id']}, {verb}", *refused)
            assert b.ok("job", "cancel", job["id"],
                        "--json").json()["changed"] is True
            work.wait(10)
            assert work.returncode == 5, work.returncode
            assert "cancelled" in work.stderr.read()
            after = b.get("job", "show", job["id"])
            assert after["state"] == "failed", after
            assert after["error"]["code"] == "cancelled", after
            assert b.ok("job", "cancel", job["id"],
                        "--json").json()["changed"] is False
            assert [v["size"] for v in b.get("volume", "list")] == \
                [str(1 << 20)]
        for disk in b.disks():
            b.ok("disk", "fault", disk, "--kind", "clear")
        b.ok("volume", "delete", "tank/small")
        assert b.get("pool", "status", "tank")["free"] == free


def long_create(b):
    b.options = ["--fault-injection"]
    b.start()
    b.pool(size="512M")
    zeroing(b)
    work = b.background("volume", "create", "tank/big", "900M")
    until("a job", lambda: running(b, "volume.create"))
    return work


def test_ctrl_c_ends_the_job_that_dozoctl_waits_for():
    with Box(start=False) as b:
        work = long_create(b)
        work.send_signal(signal.SIGINT)
        work.wait(10)
        assert work.returncode == 5, work.returncode
        said = work.stderr.read()
        assert "ending job" in said and "Nothing has changed" in said, said
        assert b.get("volume", "list") == []


def test_a_stop_does_not_wait_for_long_work():
    with Box(start=False) as b:
        work = long_create(b)
        b.stop(timeout=10)
        work.wait(10)
        assert work.returncode == 5, work.returncode
        b.start()
        assert b.get("volume", "list") == []


def test_making_a_pool_can_be_cancelled_and_leaves_nothing():
    with Box() as b:
        # So large that even making holes takes seconds.
        disks = [b.path(f"d{i}.img") for i in range(3)]
        try:
            for disk in disks:
                with open(disk, "wb") as f:
                    f.truncate(15 << 40)
        except OSError as e:
            return f"no files of 15 TiB here: {e.strerror}"
        reply = b.ok("pool", "create", "huge", "--disk", *disks, "--json")
        job = reply.json()["id"]
        until("a rate", lambda: b.get("job", "show", job).get("eta_s"))
        b.fails(4, "is being made", "pool", "stop", "huge")
        assert b.ok("job", "cancel", job, "--json").json()["changed"] is True
        until("ended", lambda: not running(b, "pool.create"))
        assert b.get("job", "show", job)["error"]["code"] == "cancelled"
        assert b.get("pool", "list") == []
        for disk in disks:
            assert b.get("disk", "show", disk)["contents"] == ""
        # Ctrl-C does the same, and so does a stop.
        words = ["pool", "create", "huge", "--disk", *disks, "--wait"]
        work = b.background(*words)
        until("a job", lambda: running(b, "pool.create"))
        work.send_signal(signal.SIGINT)
        work.wait(10)
        assert work.returncode == 5, work.returncode
        assert "was cancelled" in work.stderr.read()
        work = b.background(*words)
        until("a job", lambda: running(b, "pool.create"))
        b.stop(timeout=3)
        b.start()
        assert b.get("pool", "list") == []
        for disk in disks:
            assert b.get("disk", "show", disk)["contents"] == ""
            os.truncate(disk, 64 << 20)
        b.ok(*words)



def race(*words):
    """Another request has waited for the lock when the pool is there."""
    with Box(start=False) as b:
        b.options = ["--fault-injection"]
        b.start()
        b.pool(name="one", prefix="a")
        b.ok("volume", "create", "one/v", "1M")
        for disk in b.disks(3, "64M", "a"):
            b.ok("disk", "fault", disk, "--kind", "delay", "--delay-ms", 1500,
                 "--on", "write", "--count", 2)
        holder = b.background("volume", "rename", "one/v", "w")
        time.sleep(0.3)
        waiter = b.background(*words)
        time.sleep(0.2)
        maker = b.background("pool", "create", "two", "--level", "raid5",
                             "--disk", *b.disks(3, "64M", "b"), "--wait")
        for process in (holder, waiter, maker):
            process.communicate(timeout=30)
        assert b.alive(), b.log_text()[-800:]
        assert [p["name"] for p in b.get("pool", "list")] == ["one", "two"]


def test_a_new_pool_is_not_deleted_before_it_is_made():
    race("pool", "delete", "two", "--force")


def test_a_new_pool_is_not_stopped_before_it_is_made():
    race("pool", "stop", "two")


def test_a_new_pool_is_not_exported_before_it_is_made():
    race("pool", "export", "two")


if __name__ == "__main__":
    run_tests(globals())
