# SPDX-License-Identifier: BSD-2-Clause
"""Peers that misbehave: the damage ends at their own connection."""

import os
import random
import resource
import socket
import struct
import time

from harness import own, slow
from iscsi import (COMMAND, DATA_OUT, F, IMMEDIATE, LOGIN, NONE, NOP_OUT, R,
                   R2T, REJECT, TEXT, W, Closed, rw10)

ARGS = ("-l", 1)


def drain(conn, seconds=0.05):
    """Read what comes; closing is fine."""
    conn.sock.settimeout(seconds)
    try:
        while True:
            conn.recv()
    except (Closed, socket.timeout, AssertionError):
        pass


def test_garbage_instead_of_login(target):
    rng = random.Random(1)
    for size in (1, 47, 48, 49, 1000, 100000):
        for _ in range(5):
            conn = target.connect()
            try:
                conn.raw(rng.randbytes(size))
            except Closed:
                pass
            drain(conn)
            conn.close()
    target.alive()


def test_garbage_in_full_feature_phase(target):
    rng = random.Random(2)
    for _ in range(30):
        conn = target.session()
        try:
            conn.raw(rng.randbytes(rng.randrange(1, 5000)))
        except Closed:
            pass
        drain(conn)
        conn.close()
    target.alive()


def test_random_headers_with_known_opcodes(target):
    rng = random.Random(3)
    opcodes = [0, 1, 2, 3, 4, 5, 6, 0x10, 0x40, 0x41, 0x42, 0x44, 0x46]
    for _ in range(150):
        conn = target.session()
        for _ in range(10):
            size = rng.choice((0, 0, 0, 4, 100, 5000))
            bhs = bytearray(rng.randbytes(48))
            bhs[0] = rng.choice(opcodes)
            bhs[4] = rng.choice((0, 0, 0, 1, 5))
            bhs[5:8] = size.to_bytes(3, "big")
            if rng.random() < 0.7:
                bhs[24:28] = struct.pack(">I", conn.cmd_sn)
            if rng.random() < 0.5:
                bhs[16:20] = struct.pack(">I", rng.randrange(8))
            if rng.random() < 0.5:
                bhs[20:24] = b"\xff" * 4
            try:
                conn.raw(bytes(bhs) + rng.randbytes(bhs[4] * 4) +
                         rng.randbytes(size + -size % 4))
            except Closed:
                break
        drain(conn, 0.01)
        conn.close()
    target.alive()


def test_oversized_segment_closes(target):
    conn = target.session()
    conn.send(NOP_OUT | IMMEDIATE, length=0xFFFFFF)
    conn.expect_closed()
    conn = target.session()
    conn.command(rw10(0x2A, 0, 128), flags=W | F, edtl=1 << 24,
                 length=262148)
    conn.expect_closed()
    target.alive()


def test_truncated_pdus(target):
    for cut in (1, 20, 47):
        conn = target.session()
        conn.raw(conn.build(COMMAND, flags=F | R, w20=512)[:cut])
        conn.close()
    for opcode in (COMMAND, NOP_OUT, TEXT, DATA_OUT):
        conn = target.session()
        conn.send(opcode, flags=F | W if opcode == COMMAND else F,
                  w20=65536, length=65536, tail=rw10(0x2A, 0, 128)
                  .ljust(16, b"\0"))
        conn.sock.shutdown(socket.SHUT_WR)
        drain(conn)
        conn.close()
    target.alive()


def test_reset_in_every_phase_of_a_write(target):
    linger = struct.pack("ii", 1, 0)
    for phase in range(6):
        for _ in range(10):
            conn = target.session(InitialR2T="Yes")
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            if phase > 0:
                itt = conn.command(rw10(0x2A, 0, 512), flags=W | F,
                                   edtl=262144, data=b"i" * 4096)
            if phase > 1:
                r2t = conn.expect(R2T)
            if phase > 2:
                pdu = conn.build(DATA_OUT, data=b"d" * 131072, itt=itt,
                                 w20=r2t.ttt, flags=0, cmd_sn=0,
                                 tail=struct.pack(">4xIII", 0, 4096, 0))
                conn.raw(pdu[:(48, 10000, len(pdu))[phase - 3]])
            conn.close()
    target.alive()


def test_reset_during_login(target):
    linger = struct.pack("ii", 1, 0)
    for cut in (0, 1, 48, 100, 1000):
        for _ in range(20):
            conn = target.connect()
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            pdu = conn.build(LOGIN | IMMEDIATE, flags=0x87,
                             data=b"InitiatorName=iqn.a\0TargetName="
                             b"iqn.2026-01.org.dozo:ram\0")
            conn.raw(pdu[:cut])
            conn.close()
    target.alive()


def test_peer_that_does_not_read(target):
    """Requests without end, answers never read: bounded, others served."""
    conn = target.session()
    conn.sock.settimeout(1)
    before = target.rss_kib()
    try:
        for _ in range(2000):
            conn.send(NOP_OUT | IMMEDIATE, w20=NONE, data=b"x" * 65536)
    except (socket.timeout, Closed):
        pass
    grown = target.rss_kib() - before
    assert grown < 16384, f"{grown} KiB more"
    target.alive()
    conn.close()


def test_reader_that_stops_in_the_middle(target):
    conns = []
    for _ in range(8):
        conn = target.session()
        for _ in range(64):
            conn.command(rw10(0x28, 0, 2048), flags=R | F, edtl=1 << 20)
        conns.append(conn)
    time.sleep(0.3)
    target.alive()
    for conn in conns:
        conn.close()
    target.alive()


@own("-l", 1)
def test_1000_half_open_connections(target):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    served = target.session()
    before = target.rss_kib()
    socks = []
    try:
        for i in range(1000):
            conn = target.connect()
            if i % 3 == 1:
                conn.raw(b"\x43\x87\0\0")
            elif i % 3 == 2:
                conn.raw(conn.build(LOGIN | IMMEDIATE, flags=0x87,
                                    data=b"x" * 8192)[:5000])
            socks.append(conn)
        served.read(0, 1)
        target.alive()
        grown = target.rss_kib() - before
        print(f"# 1000 half-open connections cost {grown} KiB")
        assert grown < 24576, f"{grown} KiB more"
    finally:
        for conn in socks:
            conn.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    target.alive()


@own("-l", 1)
def test_300_sessions_of_one_initiator(target):
    start = time.monotonic()
    before = target.rss_kib()
    conns = [target.session() for _ in range(300)]
    assert time.monotonic() - start < 10
    each = (target.rss_kib() - before) // 300
    print(f"# an idle session costs {each} KiB")
    assert each < 256
    for conn in conns:
        conn.read(0, 1)
    for conn in conns:
        conn.close()
    target.alive()


def test_write_flood_without_data(target):
    """Every place of the window waits for R2T data that never comes."""
    conn = target.session(InitialR2T="Yes")
    other = target.session()
    for _ in range(128):
        conn.command(rw10(0x2A, 0, 1), flags=W | F, edtl=512)
    for _ in range(128):
        conn.expect(R2T)
    assert other.nop(os.urandom(8)).opcode == 0x20
    other.read(0, 1)
    conn.close()
    target.alive()


@slow
@own("-l", 1)
def test_writes_without_data_do_not_starve_others(target):
    idle = []
    for _ in range(12):
        conn = target.session(InitialR2T="Yes")
        for _ in range(8):
            conn.command(rw10(0x2A, 0, 2048), flags=W | F, edtl=1 << 20)
        idle.append(conn)
    conn = target.session()
    conn.sock.settimeout(30)
    start = time.monotonic()
    assert conn.write(0, b"s" * (1 << 20), immediate=65536).status == 0
    took = time.monotonic() - start
    print(f"# a write among 96 idle ones took {took:.1f} s")
    assert took < 15
    for each in idle:
        each.close()


def test_reject_carries_the_header(target):
    conn = target.session()
    pdu = conn.build(0x1E, flags=0x80, data=b"????")
    conn.raw(pdu)
    got = conn.expect(REJECT)
    assert got.data == pdu[:48] and got.b2 == 5
