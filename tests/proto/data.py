# SPDX-License-Identifier: BSD-2-Clause
"""Commands and their data, both ways; digests; sequence numbers."""

import os
import struct

from harness import own
from iscsi import (COMMAND, DATA_IN, F, NONE, NOP_IN, NOP_OUT, R, R2T, REJECT,
                   RESPONSE, W, rw10)

ARGS = ("-l", 2, "-s", 64)


def keys(**more):
    base = {"MaxRecvDataSegmentLength": 262144, "InitialR2T": "No",
            "ImmediateData": "Yes", "FirstBurstLength": 262144,
            "MaxBurstLength": 1048576, "MaxOutstandingR2T": 8}
    base.update(more)
    return base


def round_trip(conn, lba, size, immediate, first):
    data = os.urandom(size)
    pdu = conn.write(lba, data, immediate=immediate, first=first)
    assert (pdu.opcode, pdu.status) == (RESPONSE, 0), pdu.sense()
    assert pdu.residual() == 0
    assert conn.read(lba, size // 512) == data, (size, immediate, first)


def test_all_ways_to_send_write_data(target):
    conn = target.session(**keys())
    for size in (512, 4096, 65536, 262144, 1048576, 4194304):
        for immediate in (0, 512, 8192, 262144):
            for first in (0, 65536, 262144):
                if immediate <= size:
                    round_trip(conn, 64, size, immediate,
                               min(first, size))


def test_digests_on_all_ways(target):
    for digests in ({"HeaderDigest": "CRC32C"}, {"DataDigest": "CRC32C"},
                    {"HeaderDigest": "CRC32C", "DataDigest": "CRC32C"}):
        conn = target.session(**keys(**digests))
        round_trip(conn, 8, 4096, 4096, 4096)
        round_trip(conn, 8, 65536, 512, 8192)
        assert conn.nop(b"abc").data == b"abc"


def test_initial_r2t_yes_immediate_no(target):
    conn = target.session(**keys(InitialR2T="Yes", ImmediateData="No",
                                 MaxOutstandingR2T=1))
    round_trip(conn, 0, 65536, 0, 0)
    data = b"x" * 512
    for args in ({"flags": W | F, "data": data}, {"flags": W}):
        conn.command(rw10(0x2A, 0, 1), edtl=512, **args)
        pdu = conn.recv()
        assert (pdu.opcode, pdu.b2) == (REJECT, 4)
    conn.read(0, 1)


def test_several_r2ts_are_outstanding(target):
    conn = target.session(**keys(MaxBurstLength=65536))
    data = os.urandom(1 << 20)
    itt = conn.command(rw10(0x2A, 0, 2048), flags=W | F, edtl=len(data))
    r2ts = [conn.expect(R2T) for _ in range(8)]
    conn.silent()
    assert [r.w36 for r in r2ts] == list(range(8))
    assert [r.w40 for r in r2ts] == [i * 65536 for i in range(8)]
    assert len({r.ttt for r in r2ts}) == 8
    for r in r2ts:
        conn.data_out(itt, data[r.w40:r.w40 + r.w44], offset=r.w40,
                      ttt=r.ttt)
    status = conn.answer_r2ts(itt, data)
    assert status.status == 0
    assert conn.read(0, 2048) == data


def test_max_outstanding_r2t_is_respected(target):
    conn = target.session(**keys(MaxBurstLength=65536, MaxOutstandingR2T=2))
    data = os.urandom(1 << 18)
    itt = conn.command(rw10(0x2A, 0, 512), flags=W | F, edtl=len(data))
    first, second = conn.expect(R2T), conn.expect(R2T)
    conn.silent()
    conn.data_out(itt, data[:65536], ttt=first.ttt)
    third = conn.expect(R2T)
    conn.silent()
    for r in (second, third):
        conn.data_out(itt, data[r.w40:r.w40 + r.w44], offset=r.w40,
                      ttt=r.ttt)
    assert conn.answer_r2ts(itt, data).status == 0
    assert conn.read(0, 512) == data


def test_data_out_lun_is_not_looked_at(target):
    """Windows may leave it 0 or wrong."""
    conn = target.session(**keys(InitialR2T="Yes", ImmediateData="No"))
    conn.ready(lun=1)
    itt = conn.command(rw10(0x2A, 0, 1), lun=1, flags=W | F, edtl=512)
    r2t = conn.expect(R2T)
    conn.data_out(itt, b"w" * 512, ttt=r2t.ttt, lun=b"\0\7" + b"\0" * 6)
    assert conn.expect(RESPONSE).status == 0


def test_data_in_obeys_segment_and_burst(target):
    conn = target.session(MaxRecvDataSegmentLength=8192,
                          MaxBurstLength=65536)
    itt = conn.command(rw10(0x28, 0, 512), flags=R | F, edtl=262144)
    total = 0
    while True:
        pdu = conn.expect(DATA_IN)
        assert len(pdu.data) <= 8192 and pdu.w40 == total
        assert pdu.itt == itt and pdu.ttt == NONE
        total += len(pdu.data)
        assert pdu.final == (total % 65536 == 0)
        if pdu.flags & 1:
            break
        assert pdu.stat_sn == 0
    assert total == 262144 and pdu.residual() == 0


def test_residuals(target):
    conn = target.session(**keys())
    pdu, data = conn.scsi(rw10(0x28, 0, 2), 4096)        # underflow
    assert (pdu.residual(), len(data)) == (-3072, 1024)
    pdu, data = conn.scsi(rw10(0x28, 0, 8), 1024)        # overflow
    assert (pdu.residual(), len(data)) == (3072, 1024)
    pdu, data = conn.scsi(b"\0" * 6, 0x200)              # TUR with R
    assert (pdu.status, pdu.residual(), data) == (0, -512, b"")
    pdu, data = conn.scsi(rw10(0x28, 0, 2))              # no EDTL at all
    assert pdu.residual() == 1024
    itt = conn.command(rw10(0x2A, 0, 1), flags=W | F, edtl=1024,
                       data=b"u" * 1024)
    pdu = conn.expect(RESPONSE)
    assert (pdu.itt, pdu.status, pdu.residual()) == (itt, 0, -512)
    pdu, data = conn.scsi(b"\x12\0\0\0\xff\0", 255)      # INQUIRY, short
    assert pdu.residual() == len(data) - 255


def test_status_comes_with_the_last_data(target):
    conn = target.session()
    conn.command(rw10(0x28, 0, 8), flags=R | F, edtl=4096)
    pdu = conn.expect(DATA_IN)
    assert pdu.flags & 0x81 == 0x81 and pdu.status == 0
    conn.silent()


def test_sense_data_is_sent(target):
    conn = target.session()
    pdu, _ = conn.scsi(b"\xfe" + b"\0" * 15, 512)
    assert (pdu.opcode, pdu.status) == (RESPONSE, 2)
    assert pdu.sense() == (5, 0x2000)
    assert len(pdu.data) == 2 + int.from_bytes(pdu.data[:2], "big")


# --- Data-Out that is wrong ---

def write_64k(conn):
    itt = conn.command(rw10(0x2A, 0, 128), flags=W | F, edtl=65536)
    return itt, conn.expect(R2T)


def test_wrong_data_out_fails_the_command_only(target):
    conn = target.session(**keys(InitialR2T="Yes"))
    wrong = ({"data_sn": 1}, {"data_sn": NONE}, {"offset": 512},
             {"offset": 1 << 22}, {"data": b"x" * 66048},
             {"data": b"x" * 512, "final": True})
    for args in wrong:
        itt, r2t = write_64k(conn)
        args = dict({"data": b"x" * 65536, "ttt": r2t.ttt}, **args)
        conn.data_out(itt, args.pop("data"), **args)
        pdu = conn.expect(RESPONSE)
        assert (pdu.itt, pdu.status) == (itt, 2), args
        assert pdu.sense() == (0x0B, 0x0C0D), (args, pdu.sense())
    conn.read(0, 1)


def test_swapped_data_sn_is_refused(target):
    conn = target.session(**keys(InitialR2T="Yes"))
    itt, r2t = write_64k(conn)
    conn.data_out(itt, b"x" * 32768, data_sn=1, ttt=r2t.ttt, final=False)
    conn.data_out(itt, b"x" * 32768, data_sn=0, offset=32768, ttt=r2t.ttt)
    pdu = conn.expect(RESPONSE)
    assert pdu.status == 2
    conn.read(0, 1)


def test_data_for_no_task_is_rejected(target):
    conn = target.session(**keys())
    conn.data_out(0x1234567, b"z" * 1000)
    pdu = conn.expect(REJECT)
    assert pdu.b2 == 9 and pdu.itt == NONE
    assert pdu.data[0] == 5 and pdu.data[16:20] == b"\1\x23\x45\x67"
    conn.read(0, 1)


def test_wrong_ttt_is_rejected_and_the_right_one_still_works(target):
    conn = target.session(**keys(InitialR2T="Yes"))
    itt, r2t = write_64k(conn)
    conn.data_out(itt, b"x" * 65536, ttt=r2t.ttt ^ 0x10000)
    assert conn.expect(REJECT).b2 == 9
    conn.data_out(itt, b"y" * 65536, ttt=r2t.ttt)
    assert conn.expect(RESPONSE).status == 0
    assert conn.read(0, 128) == b"y" * 65536


def test_too_much_unsolicited_data(target):
    conn = target.session(**keys(FirstBurstLength=8192))
    itt = conn.command(rw10(0x2A, 0, 128), flags=W, edtl=65536)
    conn.data_out(itt, b"x" * 8704, final=True)
    pdu = conn.expect(RESPONSE)
    assert pdu.status == 2 and pdu.sense() == (0x0B, 0x0C0C)
    conn.command(rw10(0x2A, 0, 128), flags=W | F, edtl=65536,
                 data=b"x" * 8704)
    assert conn.expect(REJECT).b2 == 4
    conn.command(rw10(0x2A, 0, 1), flags=W | F, edtl=512, data=b"x" * 1024)
    assert conn.expect(REJECT).b2 == 4
    conn.read(0, 1)


def test_command_that_fails_swallows_its_data(target):
    """The response waits until the unsolicited data is through."""
    conn = target.session(**keys())
    itt = conn.command(b"\xfe" + b"\0" * 15, flags=W, edtl=65536,
                       data=b"a" * 8192)
    conn.silent()
    conn.data_out(itt, b"b" * 57344, offset=8192)
    pdu = conn.expect(RESPONSE)
    assert (pdu.itt, pdu.status) == (itt, 2)
    conn.read(0, 1)


# --- digests that are wrong ---

def test_bad_header_digest_closes(target):
    conn = target.session(HeaderDigest="CRC32C")
    conn.send(NOP_OUT, w20=NONE, bad_header=True)
    assert not conn.expect_closed()


def test_bad_data_digest_fails_the_command_only(target):
    conn = target.session(**keys(DataDigest="CRC32C"))
    good = b"g" * 4096
    assert conn.write(0, good, immediate=4096).status == 0
    itt = conn.command(rw10(0x2A, 0, 8), flags=W | F, edtl=4096,
                       data=b"b" * 4096, bad_data=True)
    assert conn.expect(REJECT).b2 == 2
    pdu = conn.expect(RESPONSE)
    assert pdu.itt == itt and pdu.sense() == (0x0B, 0x4705)
    itt = conn.command(rw10(0x2A, 0, 8), flags=W | F, edtl=4096)
    r2t = conn.expect(R2T)
    conn.data_out(itt, b"c" * 4096, ttt=r2t.ttt, bad_data=True)
    assert conn.expect(REJECT).b2 == 2
    assert conn.expect(RESPONSE).sense() == (0x0B, 0x4705)
    assert conn.read(0, 8) == good, "bad data was written"
    conn.send(NOP_OUT, w20=NONE, data=b"q" * 8, bad_data=True,
              cmd_sn=conn.cmd_sn)
    assert conn.expect(REJECT).b2 == 2
    conn.read(0, 1)


# --- sequence numbers ---

def test_commands_outside_the_window_are_ignored(target):
    conn = target.session()
    for sn in (conn.cmd_sn - 1, conn.cmd_sn - 1000, conn.max_cmd_sn + 1,
               conn.cmd_sn + 5000):
        conn.command(b"\0" * 6, cmd_sn=sn)
        conn.send(NOP_OUT, w20=NONE, cmd_sn=sn)
    conn.silent()
    conn.read(0, 1)
    itt = conn.command(rw10(0x2A, 0, 1), flags=W | F, edtl=512,
                       data=b"d" * 512, cmd_sn=conn.cmd_sn + 5000)
    conn.silent()
    assert itt and conn.read(0, 1) != b"d" * 512


def test_skipped_cmd_sn_closes(target):
    conn = target.session()
    conn.command(b"\0" * 6, cmd_sn=conn.cmd_sn + 1)
    conn.expect_closed()


def test_window_holds_and_opens_again(target):
    conn = target.session()
    depth = conn.max_cmd_sn - conn.cmd_sn + 1 & NONE
    assert depth == 128
    for _ in range(3):
        for _ in range(depth):
            conn.command(rw10(0x28, 0, 1), flags=R | F, edtl=512)
        for _ in range(depth):
            conn.expect(DATA_IN)
        assert conn.max_cmd_sn == conn.cmd_sn + depth - 1 & NONE


def test_stalled_commands_close_the_window_and_no_more(target):
    conn = target.session()
    target.stall()
    try:
        depth = conn.max_cmd_sn - conn.cmd_sn + 1
        for _ in range(depth):
            conn.command(rw10(0x28, 0, 1), flags=R | F, edtl=512)
        conn.send(NOP_OUT | 0x40, w20=NONE)
        pdu = conn.expect(NOP_IN)
        assert pdu.exp_cmd_sn == pdu.max_cmd_sn + 1 == conn.cmd_sn
        conn.command(b"\0" * 6, cmd_sn=conn.cmd_sn)   # outside: ignored
        conn.silent()
    finally:
        target.stall()
    for _ in range(depth):
        conn.expect(DATA_IN)
    conn.read(0, 1)


def test_immediate_flood_is_rejected(target):
    conn = target.session()
    target.stall()
    try:
        for _ in range(40):
            conn.command(rw10(0x28, 0, 1), flags=R | F, edtl=512,
                         immediate=True)
        rejected = [conn.recv() for _ in range(24)]
        assert {(p.opcode, p.b2) for p in rejected} == {(REJECT, 6)}
        conn.silent()
    finally:
        target.stall()
    for _ in range(16):
        conn.expect(DATA_IN)
    conn.read(0, 1)


def test_stat_sn_counts_each_status_once(target):
    conn = target.session()
    _, last = None, conn.exp_stat_sn
    for pdu in (conn.nop(b"a"), conn.scsi(b"\0" * 6)[0],
                conn.scsi(rw10(0x28, 0, 1), 512)[0], conn.nop()):
        assert pdu.stat_sn == last, (pdu.stat_sn, last)
        last = pdu.stat_sn + 1 & NONE
    itt = conn.command(rw10(0x2A, 0, 1), flags=W | F, edtl=512)
    r2t = conn.expect(R2T)
    assert r2t.stat_sn == last           # the next one, not used up
    conn.data_out(itt, b"s" * 512, ttt=r2t.ttt)
    assert conn.expect(RESPONSE).stat_sn == last


# --- odd commands ---

def test_tag_in_use_is_rejected(target):
    conn = target.session()
    target.stall()
    try:
        itt = conn.command(rw10(0x28, 0, 1), flags=R | F, edtl=512)
        conn.command(rw10(0x28, 0, 1), flags=R | F, edtl=512, itt=itt)
        assert conn.expect(REJECT).b2 == 7
    finally:
        target.stall()
    conn.expect(DATA_IN)
    conn.read(0, 1)


def test_bidirectional_is_rejected(target):
    conn = target.session()
    conn.command(b"\0" * 6, flags=R | W | F, edtl=512)
    assert conn.expect(REJECT).b2 == 5
    conn.read(0, 1)


def test_additional_header_segments(target):
    conn = target.session(HeaderDigest="CRC32C")
    # Extended CDB: 32 bytes in all; opcode 7Fh with a bad service action.
    ahs = struct.pack(">HBB", 17, 1, 0) + b"\0" * 16
    itt = conn.command(b"\x7f\0\0\0\0\0\0\x18\xff\xff" + b"\0" * 6, ahs=ahs)
    pdu = conn.expect(RESPONSE)
    assert (pdu.itt, pdu.status) == (itt, 2)
    for bad in (struct.pack(">HBB", 5, 2, 0) + b"\0" * 4,   # bidi length
                struct.pack(">HBB", 900, 1, 0),             # too long
                struct.pack(">HBB", 0, 1, 0),
                b"\xff" * 1020, b"\0" * 4):
        conn.command(b"\0" * 6, ahs=bad)
        assert conn.expect(REJECT).b2 == 9
    conn.read(0, 1)


def test_unknown_opcodes_are_rejected(target):
    conn = target.session()
    for opcode in (0x07, 0x0F, 0x11, 0x1C, 0x21, 0x3F):
        conn.send(opcode, data=b"abcde")
        assert conn.expect(REJECT).b2 == 5
    conn.send(0x10)
    assert conn.expect(REJECT).b2 == 3         # SNACK
    conn.read(0, 1)


def test_commands_in_discovery_are_rejected(target):
    conn = target.login(discovery=True)
    conn.command(b"\0" * 6)
    assert conn.expect(REJECT).b2 == 5
    conn.tmf(5)
    assert conn.expect(REJECT).b2 == 5
    conn.data_out(1, b"x" * 512)
    assert conn.expect(REJECT).b2 == 5
    assert conn.nop(b"still here").data == b"still here"


def test_many_small_pdus_in_one_segment(target):
    conn = target.session()
    blob = b""
    for _ in range(100):
        blob += conn.build(COMMAND, flags=F | R | 1, w20=512,
                           cmd_sn=conn.next_cmd_sn(),
                           tail=rw10(0x28, 0, 1).ljust(16, b"\0"))
    conn.raw(blob)
    for _ in range(100):
        conn.expect(DATA_IN)


def test_bytes_one_by_one(target):
    conn = target.session(**keys(HeaderDigest="CRC32C", DataDigest="CRC32C"))
    pdu = conn.build(COMMAND, flags=F | W | 1, w20=512, data=b"1" * 512,
                     cmd_sn=conn.next_cmd_sn(),
                     tail=rw10(0x2A, 5, 1).ljust(16, b"\0"))
    for byte in pdu:
        conn.raw(bytes([byte]))
    assert conn.expect(RESPONSE).status == 0
    assert conn.read(5, 1) == b"1" * 512


def test_cut_at_every_place(target):
    """One PDU in two pieces, cut at each of its bytes."""
    conn = target.session(**keys(DataDigest="CRC32C"))
    for cut in range(1, 48 + 516, 7):
        fill = bytes([cut & 255]) * 512
        pdu = conn.build(COMMAND, flags=F | W | 1, w20=512, data=fill,
                         cmd_sn=conn.next_cmd_sn(),
                         tail=rw10(0x2A, 9, 1).ljust(16, b"\0"))
        conn.raw(pdu[:cut])
        conn.raw(pdu[cut:])
        assert conn.expect(RESPONSE).status == 0
        assert conn.read(9, 1) == fill


@own("-L", 64, "-s", 64)
def test_buffers_run_short_and_everything_still_ends(target):
    """64 writes of 1 MiB want 16 times the buffers there are."""
    conn = target.session(**keys())
    conn.sock.settimeout(60)
    data = os.urandom(1 << 20)
    tags, done, busy = {}, 0, 0
    waiting = [i for i in range(40)]
    again = []
    for i in waiting:
        tags[conn.command(rw10(0x2A, i * 2048, 2048), flags=W | F,
                          edtl=1 << 20, data=data[:65536])] = i
    while tags:
        pdu = conn.recv()
        if pdu.opcode == R2T:
            conn.data_out(pdu.itt, data[pdu.w40:pdu.w40 + 262144],
                          offset=pdu.w40, ttt=pdu.ttt,
                          final=pdu.w44 <= 262144)
            sn, off = 1, pdu.w40 + 262144
            while off < pdu.w40 + pdu.w44:
                n = min(262144, pdu.w40 + pdu.w44 - off)
                conn.data_out(pdu.itt, data[off:off + n], offset=off,
                              data_sn=sn, ttt=pdu.ttt,
                              final=off + n == pdu.w40 + pdu.w44)
                off, sn = off + n, sn + 1
            continue
        assert pdu.opcode == RESPONSE
        i = tags.pop(pdu.itt)
        if pdu.status == 0x28:          # TASK SET FULL
            busy += 1
            again.append(i)
        else:
            assert pdu.status == 0, pdu.sense()
            done += 1
    assert done > 0
    for i in again:
        assert conn.write(i * 2048, data, immediate=65536).status == 0
    for i in range(40):
        if i * 2048 + 2048 <= 64 * 2048:
            assert conn.read(i * 2048, 2048) == data
