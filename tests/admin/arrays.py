#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Care of the array under a pool: disks that fail, are added and come back,
scrub, progress, counters, warnings."""
import os
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from box import Box, Session, run_tests


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
        # What status advises is what works.
        assert "`pool stop`, `pool start`" in b.ctl("status").out
        b.ok("pool", "stop", "tank")
        b.ok("pool", "start", "tank")
        assert not healthy(b)
        status = b.ctl("status").out
        assert "re-add" in status and "stop" not in status, status
        b.ok("pool", "re-add", "tank", "--disk", d[1])
        until("rebuilt", lambda: healthy(b))
        assert expected(b) == ["d0.img", "d1.img", "d2.img"]


def test_a_member_is_replaced_by_copy():
    with Box() as b:
        b.pool()
        b.lun()
        d = b.disks(5)
        old = ["pool", "replace", "tank", d[1], "--disk"]
        b.fails(3, "no member of pool tank", "pool", "replace", "tank", d[3],
                "--disk", d[4])
        b.fails(4, "is member 2 of pool tank", *old, d[2])
        b.ok(*old, d[3], "--dry-run")
        assert "d3.img" not in members(b)
        assert b.ok(*old, d[3], "--json").json()["changed"] is True
        until("replaced", lambda: members(b) == {
            "d0.img": "in-sync", "d3.img": "in-sync", "d2.img": "in-sync"})
        assert healthy(b)
        # The old disk is forgotten, and free for something else.
        until("forgotten", lambda: expected(b) ==
              ["d0.img", "d2.img", "d3.img"])
        # A spare does it as well, and a number names a member.
        b.ok("pool", "add-spare", "tank", "--disk", d[4])
        b.ok("pool", "replace", "tank", "0", "--disk", d[4])
        until("replaced", lambda: members(b) == {
            "d4.img": "in-sync", "d3.img": "in-sync", "d2.img": "in-sync"})
        until("forgotten", lambda: expected(b) ==
              ["d2.img", "d3.img", "d4.img"])
        b.stop()
        b.start()
        assert healthy(b) and "is not used" not in open(b.log).read()


def test_a_missing_member_is_replaced_by_a_rebuild():
    with Box() as b:
        b.pool()
        d = b.disks(4)
        b.stop()
        os.rename(d[1], d[1] + ".gone")
        b.start()
        assert not healthy(b)
        b.ok("pool", "replace", "tank", d[1], "--disk", d[3])
        until("rebuilt", lambda: healthy(b))
        assert members(b) == {"d0.img": "in-sync", "d3.img": "in-sync",
                              "d2.img": "in-sync"}, members(b)


def test_a_replacement_is_cancelled_and_survives_a_kill():
    with Box(start=False) as b:
        b.options = ["--fault-injection"]
        b.start()
        b.pool()
        d = b.disks(4)
        b.ok("disk", "fault", d[1], "--kind", "delay", "--on", "read",
             "--delay-ms", "300")
        b.ok("pool", "replace", "tank", d[1], "--disk", d[3])
        until("begun", lambda: members(b).get("d3.img") == "replacing")
        assert b.get("pool", "status", "tank")["task"]["task"] == "replace"
        assert b.get("pool", "status", "tank")["health"] == "healthy"
        b.fails(4, "is replacing member 1 already", "pool", "replace",
                "tank", d[0], "--disk", b.disks(5)[4])
        b.kill()
        b.start()
        b.ok("disk", "fault", d[1], "--kind", "delay", "--on", "read",
             "--delay-ms", "300")
        if members(b).get("d3.img") == "replacing":
            job = [j for j in b.get("job", "list") if j["verb"] == "replace"]
            b.ok("job", "cancel", str(job[0]["id"]))
            until("a spare", lambda: members(b).get("d3.img") == "spare")
        assert members(b)["d1.img"] == "in-sync" or healthy(b)


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


def test_a_disk_with_many_bad_sectors_is_a_problem_until_replaced():
    def told(b):
        return [p["path"] for p in b.get("status")["problems"]
                if p["code"] == "bad-sectors"]

    with Box(start=False) as b:
        b.options = ["--fault-injection"]
        b.start()
        b.pool()
        d = b.disks(4)
        # Two tries fail, of the row and of the block; then it is rewritten.
        for i in range(20):
            assert told(b) == []
            b.ok("disk", "fault", d[0], "--kind", "error", "--on", "read",
                 "--offset", (16 + i) << 20, "--length", 512, "--count", 2)
        b.ok("pool", "scrub", "tank")
        until("told", lambda: told(b))
        until("checked", lambda: scrubbed(b))
        assert told(b) == [d[0]], told(b)
        status = b.ctl("status")
        assert status.status == 5 and "many bad sectors" in status.out
        lines = b.ok("pool", "status", "tank").out.splitlines()
        assert any(" CORRECTED " in line for line in lines), lines
        # The disk that takes its place has none of that.
        b.ok("disk", "fail", d[0])
        b.ok("pool", "add-spare", "tank", "--disk", d[3])
        until("rebuilt", lambda: healthy(b))
        assert told(b) == []
        b.ok("status")


# --- scrub, progress ---

def scrubbed(b):
    return "task" not in b.get("pool", "status", "tank")


def slow(b, disk):
    b.ok("disk", "fault", disk, "--kind", "delay", "--delay-ms", "150")


def fast(b, disk):
    b.ok("disk", "fault", disk, "--kind", "clear")


def test_the_consistency_policy_of_a_pool_in_use_is_changed():
    def changes(b, policy, *more):
        return b.ok("pool", "set", "tank", "--policy", policy, "--json",
                    *more).json()["changed"]

    def policy_of(b):
        return b.get("pool", "status", "tank")["policy"]

    with Box() as b:
        b.pool()
        d = b.disks()
        assert policy_of(b) == "ppl"
        b.fails(2, "no consistency policy", "pool", "set", "tank",
                "--policy", "journal")
        assert changes(b, "bitmap", "--dry-run")
        assert policy_of(b) == "ppl"
        for policy in ("bitmap", "resync", "ppl", "bitmap"):
            assert changes(b, policy)
            assert policy_of(b) == policy
            assert not changes(b, policy)
        b.ok("pool", "stop", "tank")
        b.fails(4, "not open", "pool", "set", "tank", "--policy", "ppl")
        b.ok("pool", "start", "tank")
        assert policy_of(b) == "bitmap"
        b.ok("disk", "fail", d[1])
        for more in ([], ["--dry-run"]):
            b.fails(4, "member 1 of array dozo:tank is", "pool", "set", "tank",
                    "--policy", "ppl", *more)


def test_a_scrub_finds_lists_and_repairs_wrong_parity():
    with Box() as b:
        b.pool()
        b.ok("volume", "create", "tank/v", "80M")
        d = b.disks()
        assert "scrub" not in b.get("pool", "status", "tank")
        b.ok("pool", "scrub", "tank")
        until("checked", lambda: scrubbed(b))
        status = b.get("pool", "status", "tank")
        scrub = status["scrub"]
        assert scrub["task"] == "check" and scrub["mismatches"] == "0", scrub
        assert scrub["state"] == "finished", scrub
        assert scrub["start_s"] <= scrub["end_s"] <= time.time(), scrub
        assert scrub["done_bytes"] == scrub["total_bytes"], scrub
        assert scrub["unread_bytes"] == "0", scrub
        assert status["mismatch_list"] == []
        for at in (30 << 20, 40 << 20):
            with open(d[0], "r+b") as f:
                f.seek(at)
                f.write(b"x" * 4096)
        b.ok("pool", "scrub", "tank")
        until("checked", lambda: scrubbed(b))
        status = b.get("pool", "status", "tank")
        assert status["scrub"]["mismatches"] == "2", status
        found = status["mismatch_list"]
        assert int(found[1]["member_offset"]) - \
            int(found[0]["member_offset"]) == 10 << 20, found
        assert found[0]["volumes"][0]["name"] == "v", found
        text = b.ok("pool", "status", "tank").out
        assert f"in volume v, LBA {found[0]['volumes'][0]['lba']} of" in text
        assert "last scrub (check): 2 blocks with wrong parity" in text, text
        assert f"byte {found[0]['offset']} of the array" in text, text
        problem = b.get("status")["problems"][0]
        assert "parity of 2 blocks differs from their data, in volume v" \
            in problem["text"], problem
        at = int(found[1]["volumes"][0]["lba"])
        assert f": volume v LBA {at}" in b.log_text()
        b.ok("pool", "scrub", "tank", "--repair")
        until("repaired", lambda: scrubbed(b))
        scrub = b.get("pool", "status", "tank")["scrub"]
        assert scrub["task"] == "repair" and scrub["mismatches"] == "2", scrub
        assert b.get("status")["problems"] == []
        b.ok("pool", "scrub", "tank")
        until("checked", lambda: scrubbed(b))
        assert b.get("pool", "status", "tank")["scrub"]["mismatches"] == "0"


def test_a_scrub_shows_progress_as_a_job_and_can_be_cancelled():
    with Box(start=False) as b:
        b.options = ["--fault-injection"]
        b.start()
        b.pool(size="256M")
        d = b.disks()
        first = 0
        for how in ("pool", "job"):
            slow(b, d[0])
            b.ok("pool", "scrub", "tank")
            until("begun", lambda: b.get("job", "list")[-1]["state"] ==
                  "running")
            job = b.get("job", "list")[-1]
            assert job["verb"] == "check" and job["object"] == "tank", job
            assert job["id"] > first, (job, first)
            first = job["id"]
            assert b.get("job", "show", first)["id"] == first
            task = b.get("pool", "status", "tank")["task"]
            assert task["task"] == "check" and task["percent"] < 100, task
            assert "check: " in b.ok("pool", "status", "tank").out
            assert "check of tank at " in b.ok("status", "--short").out
            again = b.ok("pool", "scrub", "tank", "--json").json()
            assert again["changed"] is False
            b.fails(4, "busy", "pool", "scrub", "tank", "--repair")
            words = ["pool", "scrub", "tank", "--cancel"] if how == "pool" \
                else ["job", "cancel", first]
            assert b.ok(*words, "--json").json()["changed"] is True
            fast(b, d[0])
            until("cancelled", lambda: scrubbed(b))
            assert b.ok(*words, "--json").json()["changed"] is False
            b.fails(3, "no job", "job", "show", first)
        slow(b, d[0])
        b.ok("pool", "scrub", "tank")
        b.stop()
        b.start()
        assert healthy(b)


def test_a_rebuild_shows_progress_and_is_a_problem_until_it_is_done():
    with Box(start=False) as b:
        b.options = ["--fault-injection"]
        b.start()
        b.pool(size="256M")
        d = b.disks(4, size="256M")
        b.ok("disk", "fail", d[0])
        b.fails(4, "not complete", "pool", "scrub", "tank")
        slow(b, d[1])
        b.ok("pool", "add-spare", "tank", "--disk", d[3])
        until("begun", lambda: b.get("pool", "status", "tank").get("task"))
        task = b.get("pool", "status", "tank")["task"]
        assert task["task"] == "rebuild", task
        status = b.get("status")
        assert status["health"] == "degraded"
        assert "is being rebuilt" in status["problems"][0]["text"], status
        job = b.get("job", "list")[-1]
        assert job["verb"] == "rebuild", job
        b.ok("job", "cancel", job["id"])
        fast(b, d[1])
        until("paused", lambda: scrubbed(b))
        assert "does not go on" in b.get("status")["problems"][0]["hint"]
        assert b.get("pool", "status", "tank")["paused"] is True
        words = ["pool", "start", "tank", "--json"]
        assert b.ok(*words, "--dry-run").json()["changed"] is True
        assert b.get("pool", "status", "tank")["paused"] is True
        assert b.ok(*words).json()["changed"] is True
        until("rebuilt", lambda: healthy(b))
        assert "paused" not in b.get("pool", "status", "tank")
        assert b.ok(*words).json()["changed"] is False


# --- counters ---

def test_counters_of_the_array_are_told():
    with Box(start=False) as b:
        b.options = ["--fault-injection"]
        b.start()
        b.pool()
        b.lun()
        d = b.disks()
        with Session(b) as s:
            s.alive()
            for lba in range(0, 1024, 128):     # WRITE(10): one block each
                status, _ = s.command(
                    [0x2A, 0] + list(lba.to_bytes(4, "big")) + [0, 0, 1, 0],
                    out=b"a" * 512)
                assert status == 0, status
        pool = b.get("stats")["pools"][0]
        assert pool["rmw_writes"] + pool["rcw_writes"] > 0, pool
        assert pool["ppl_headers"] > 0, pool
        assert pool["ppl_depth"] == pool["ppl_entries"] / \
            pool["ppl_headers"], pool
        assert pool["merged_writes"] >= 0 and pool["events"] > 0
        assert pool["prereads"] > 0 and pool["full_writes"] >= 0, pool
        for m in pool["members"]:
            for what in ("read", "write"):
                assert len(m[f"{what}_latency_log2_us"]) == 28, m
                assert m[f"{what}_us"] >= 0, m
        assert sum(sum(m["read_latency_log2_us"])
                   for m in pool["members"]) > 0, pool
        # An error that the disk gives is counted.
        b.ok("disk", "fault", d[0], "--kind", "error", "--on", "read",
             "--count", "1")
        b.ok("pool", "scrub", "tank")
        until("checked", lambda: scrubbed(b))
        first = b.get("stats")["pools"][0]["members"][0]
        assert first["read_errors"] == 1, first
        assert first["corrected_errors"] >= 0 and first["stalls"] >= 0
        assert first["bad_bytes"] == 0, first
        assert sum(first["write_latency_log2_us"]) > 0, first


# --- space ---

def test_space_that_runs_out_is_told_in_three_steps():
    with Box() as b:
        b.pool()
        size = int(b.get("pool", "status", "tank")["size"])
        told = []
        for percent in (70, 78, 88, 97):
            used = int(b.get("pool", "status", "tank")["used"])
            more = (size * percent // 100 - used) >> 20
            b.ok("volume", "create", f"tank/v{percent}", f"{more}M")
            status = b.get("status")
            assert status["health"] == "healthy", status
            told.append([p["severity"] for p in status["problems"]])
        assert told == [[], ["notice"], ["warning"], ["critical"]], told
        assert " % full" in b.ok("status").out


if __name__ == "__main__":
    run_tests(globals())
