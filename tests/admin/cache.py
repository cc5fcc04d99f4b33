#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The cache as its users see it: policies, what a stop, a kill and a change
of policy keep, memory."""
import os
import struct
import sys

sys.dont_write_bytecode = True
from box import Box, Session, run_tests

BLOCKS = 16


def pattern(seed):
    return bytes([seed]) * (512 * BLOCKS)


def write(s, lba, seed):
    status, sense = s.command([0x2A, 0] + list(struct.pack(">I", lba)) +
                              [0, 0, BLOCKS, 0], out=pattern(seed))
    assert status == 0, sense.hex()


def read(s, lba):
    status, data = s.command([0x28, 0] + list(struct.pack(">I", lba)) +
                             [0, 0, BLOCKS, 0], length=512 * BLOCKS)
    assert status == 0, data.hex()
    return data


def sync(s):
    status, sense = s.command([0x35], length=0)
    assert status == 0, sense.hex()


def wce(s):
    """The WCE bit of the caching mode page."""
    status, data = s.command([0x1A, 8, 8, 0, 64, 0], length=64)
    assert status == 0 and data[4] & 0x3F == 8, data.hex()
    return data[6] >> 2 & 1


def session(b):
    s = Session(b)
    assert s.status == 0 and s.capacity() > 0
    return s


def served(policy="writeback", options=(), **conf):
    b = Box(start=False, **conf)
    b.options = list(options)
    b.start()
    b.pool()
    b.lun()
    b.ok("volume", "set", "tank/v", "--write-policy", policy)
    return b


def test_mode_sense_follows_the_policy():
    with served("durable") as b, session(b) as s:
        for policy, bit in (("durable", 0), ("writethrough", 1),
                            ("writeback", 1), ("durable", 0)):
            b.ok("volume", "set", "tank/v", "--write-policy", policy)
            assert s.alive() and wce(s) == bit, policy
            assert b.get("volume", "show", "tank/v")["write_policy"] == policy


def test_a_stop_writes_what_is_in_memory():
    with served() as b:
        with session(b) as s:
            for i in range(40):
                write(s, i * 64, i + 1)
        b.stop()
        b.start()
        with session(b) as s:
            for i in range(40):
                assert read(s, i * 64) == pattern(i + 1), i


def test_synchronize_cache_survives_a_kill():
    with served() as b:
        with session(b) as s:
            write(s, 0, 1)
            sync(s)
            write(s, 0, 2)      # in memory only
            assert read(s, 0) == pattern(2)
        b.kill()
        b.start()
        with session(b) as s:
            assert read(s, 0) in (pattern(1), pattern(2))


def test_the_new_policy_holds_for_old_data():
    with served() as b:
        with session(b) as s:
            write(s, 8, 3)
            b.ok("volume", "set", "tank/v", "--write-policy", "durable")
        b.kill()
        b.start()
        with session(b) as s:
            assert read(s, 8) == pattern(3)


def test_pool_stop_writes_what_is_in_memory():
    with served() as b:
        with session(b) as s:
            write(s, 0, 4)
        b.ok("pool", "stop", "tank", "--force")
        b.kill()
        b.start()
        b.ctl("pool", "start", "tank")
        with session(b) as s:
            assert read(s, 0) == pattern(4)


def test_a_volume_with_dirty_data_can_go_and_grow():
    with served() as b:
        with session(b) as s:
            write(s, 0, 5)
            b.ok("volume", "grow", "tank/v", "20M")
            assert s.capacity() == 20 << 20
            write(s, (18 << 20) // 512, 6)
            assert read(s, 0) == pattern(5)
        b.ok("unmap", "tank/v", "--host", "any", "--target", "t")
        b.ok("volume", "delete", "tank/v")
        b.ok("volume", "create", "tank/v", "20M")
        b.ok("map", "tank/v", "--host", "any", "--target", "t")
        with session(b) as s:
            assert read(s, 0) == bytes(512 * BLOCKS)


def test_without_a_cache_write_back_is_write_through():
    with served(cache_memory="0") as b:
        with session(b) as s:
            write(s, 0, 7)
            assert wce(s) == 1
        b.kill()
        b.start()
        with session(b) as s:
            assert read(s, 0) == pattern(7)


def test_without_a_cache_memory_is_small():
    with served(cache_memory="0") as b:
        with open(f"/proc/{b.proc.pid}/status") as f:
            rss = [int(line.split()[1]) for line in f
                   if line.startswith("VmRSS")][0]
        assert rss <= 64 << 10 or "ASAN_OPTIONS" in os.environ, rss


def test_counters_tell_of_memory():
    with served(cache_memory="8M") as b, session(b) as s:
        before = b.get("stats")["cache"]
        assert before["size"] == before["limit"] == str(8 << 20)
        write(s, 0, 8)
        read(s, 0)
        stats = b.get("stats")
        for cache in (stats["cache"], stats["volumes"][0]["cache"]):
            assert cache["dirty"] == str(512 * BLOCKS), cache
            assert cache["hits"] > 0
        sync(s)
        cache = b.get("stats")["cache"]
        assert cache["dirty"] == "0"
        assert cache["written_back"] == str(512 * BLOCKS)


def test_data_that_cannot_be_written_is_told():
    with served(options=["--fault-injection"]) as b, session(b) as s:
        write(s, 0, 9)
        for disk in ("d0.img", "d1.img"):
            b.ok("disk", "fault", b.path(disk), "--kind", "error", "--on",
                 "write")
        status, sense = s.command([0x35], length=0)
        assert status == 2 and sense[2] & 15 == 2, sense.hex()
        assert "cannot be stored" in b.ctl("status").out
        status, sense = s.command([0x2A] + [0] * 7 + [BLOCKS, 0],
                                  out=pattern(1))
        assert status == 2, "memory acknowledged what nobody stores"
        assert read(s, 0) == pattern(9)


def test_sizes_that_make_no_sense_are_refused():
    with Box(start=False) as b:
        for size, why in (("1M", "less than 4 MiB"), ("-1", "not a size"),
                          ("much", "not a size"), ("", "not a size")):
            b.write_conf(cache_memory=size)
            assert why in b.refuse(), size


if __name__ == "__main__":
    run_tests(globals())
