#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Care of the array under a pool: disks that fail, are added and come back,
scrub, progress, counters, warnings."""
import os
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from box import Box, run_tests


def members(b, pool="tank"):
    return {os.path.basename(m["path"]): m["state"]
            for m in b.get("pool", "status", pool)["members"] if m["path"]}


def expected(b, pool="tank"):
    doc = b.get("config", "export")
    return sorted(os.path.basename(m["path"]) for p in doc["pools"]
                  if p["name"] == pool for m in p["members"])


def until(what, test, seconds=30):
    end = time.time() + seconds
    while not test():
        assert time.time() < end, what
        time.sleep(0.05)


def healthy(b):
    return b.get("pool", "status", "tank")["health"] == "healthy"


def test_a_spare_is_kept_and_takes_the_place_of_a_failed_disk():
    with Box() as b:
        b.pool()
        d = b.disks(4)
        assert b.ok("pool", "add-spare", "tank", "--disk", d[3],
                    "--json").json()["changed"] is True
        assert b.ok("pool", "add-spare", "tank", "--disk", d[3],
                    "--json").json()["changed"] is False
        assert members(b)["d3.img"] == "spare", members(b)
        assert expected(b) == ["d0.img", "d1.img", "d2.img", "d3.img"]
        b.stop()
        b.start()
        assert members(b)["d3.img"] == "spare", members(b)
        b.ok("disk", "fail", d[0])
        until("rebuilt", lambda: healthy(b))
        assert members(b) == {"d1.img": "in-sync", "d2.img": "in-sync",
                              "d3.img": "in-sync"}, members(b)


def test_a_degraded_pool_is_rebuilt_on_the_disk_it_is_given():
    with Box() as b:
        b.pool()
        b.lun()
        d = b.disks(4)
        b.ok("disk", "fail", d[1])
        assert not healthy(b)
        b.ok("pool", "add-spare", "tank", "--disk", d[3])
        until("rebuilt", lambda: healthy(b))
        b.ok("pool", "add-spare", "tank", "--disk", b.disks(5)[4])
        assert expected(b) == ["d0.img", "d2.img", "d3.img", "d4.img"]
        b.stop()
        b.start()
        assert healthy(b) and b.get("status")["health"] == "healthy"


def test_what_cannot_be_added_is_refused_with_the_reason():
    with Box() as b:
        b.pool()
        b.pool("other", prefix="o")
        d = b.disks(4)
        add = ["pool", "add-spare", "tank", "--disk"]
        b.fails(3, "no pool none", "pool", "add-spare", "none", "--disk",
                d[3])
        reply = b.call("pool.add-spare", {"name": "tank", "disk": "d3.img"})
        assert "not an absolute path" in reply["error"]["text"], reply
        b.fails(3, "there is no disk", *add, "/nonexistent")
        b.fails(4, "belongs to pool other", *add, b.path("o0.img"))
        b.fails(2, "was not a member", "pool", "re-add", "tank", "--disk",
                d[3])
        small = b.disks(1, "1M", "small")[0]
        b.fails(5, "too small", *add, small)
        subprocess.run(["mkswap", d[3]], check=True, capture_output=True,
                       env=dict(os.environ, PATH=os.environ["PATH"] +
                                ":/usr/sbin:/sbin"))
        b.fails(4, "has something on it: swap", *add, d[3])
        assert "d3.img" not in members(b)
        b.ok(*add, d[3], "--force", "--dry-run")
        assert "d3.img" not in members(b)
        b.ok(*add, d[3], "--force")
        assert members(b)["d3.img"] == "spare"


def test_a_disk_of_a_forgotten_pool_needs_force():
    with Box() as b:
        b.pool()
        b.pool("other", prefix="o")
        b.ok("pool", "export", "other")
        b.fails(4, "has something on it", "pool", "add-spare", "tank",
                "--disk", b.path("o0.img"))
        b.ok("pool", "add-spare", "tank", "--disk", b.path("o0.img"),
             "--force")
        assert members(b)["o0.img"] == "spare"


def test_a_former_member_is_taken_back():
    with Box() as b:
        b.pool()
        d = b.disks()
        b.ok("disk", "fail", d[1])
        b.fails(4, "has failed as member 1", "pool", "re-add", "tank",
                "--disk", d[1])
        b.ok("pool", "stop", "tank")
        b.ok("pool", "start", "tank")
        assert not healthy(b)
        b.ok("pool", "re-add", "tank", "--disk", d[1])
        until("rebuilt", lambda: healthy(b))
        assert expected(b) == ["d0.img", "d1.img", "d2.img"]


def test_faults_are_injected_into_the_disk_that_replaced_another():
    with Box(start=False) as b:
        b.options = ["--fault-injection"]
        b.start()
        b.pool()
        d = b.disks(4)
        b.ok("disk", "fail", d[0])
        b.ok("pool", "add-spare", "tank", "--disk", d[3])
        until("rebuilt", lambda: healthy(b))
        b.fails(3, "not a member", "disk", "fault", d[0], "--kind", "clear")
        b.ok("disk", "fault", d[3], "--kind", "clear")
        b.ok("pool", "add-spare", "tank", "--disk", d[0])
        b.ok("disk", "fault", d[0], "--kind", "clear")
        b.stop()


if __name__ == "__main__":
    run_tests(globals())
