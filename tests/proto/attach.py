# SPDX-License-Identifier: BSD-2-Clause
"""What ESXi and Windows ask of a disk when they attach it and use it."""

import os
import struct

from iscsi import F, RESPONSE, W, rw10
from persona import esxi, windows

ARGS = ("-l", 3, "-s", 64)


def ok(conn, cdb, length, **args):
    pdu, data = conn.scsi(cdb, length, **args)
    assert pdu.status == 0, (cdb.hex(), pdu.status, pdu.sense())
    return pdu, data


def inquiry(conn, page=None, length=255, **args):
    evpd = page is not None
    return ok(conn, bytes([0x12, evpd, page or 0, length >> 8, length & 255,
                           0]), length, **args)[1]


def designators(conn, **args):
    """[(association, type, value)] of VPD 83h."""
    data, found, at = inquiry(conn, 0x83, **args), [], 4
    while at < len(data):
        size = data[at + 3]
        found.append((data[at + 1] >> 4 & 3, data[at + 1] & 15,
                      bytes(data[at + 4:at + 4 + size])))
        at += 4 + size
    return found


def test_esxi_attaches(target):
    conn = esxi(target)[0].ready()
    other = esxi(target, 2)[0].ready()
    data = inquiry(conn, length=36)
    assert data[0] == 0 and data[2] >= 5 and data[3] & 0x10
    assert data[7] & 2                          # CmdQue
    product = data[16:32]
    pages = inquiry(conn, 0)[4:]
    assert list(pages) == sorted(pages)
    assert {0, 0x80, 0x83, 0x86, 0xB0, 0xB2} <= set(pages)
    for page in pages:
        assert inquiry(conn, page)[1] == page
    pdu, _ = conn.scsi(bytes([0x12, 1, 0xC7, 0, 255, 0]), 255)
    assert pdu.sense() == (5, 0x2400)
    seen = set()
    for lun in range(3):
        conn.ready(lun=lun)
        first = designators(conn, lun=lun)[0]
        assert first[:2] == (0, 3) and len(first[2]) == 16
        other.ready(lun=lun)
        assert first == designators(other, lun=lun)[0]
        seen.add(first[2])
        assert inquiry(conn, length=36, lun=lun)[16:32] == product
    assert len(seen) == 3
    _, data = ok(conn, b"\xa0" + b"\0" * 8 + b"\x10\0\0", 4096)
    assert struct.unpack(">I", data[:4])[0] == 24
    pdu, _ = conn.scsi(b"\0" * 6, lun=0x4C)
    assert pdu.sense() == (5, 0x2500)
    ok(conn, b"\x1a\0\x3f\0\xff\0", 255)
    ok(conn, b"\x1a\x08\x08\0\xc0\0", 192)
    pdu, _ = conn.scsi(b"\x1a\0\x1b\0\xff\0", 255)
    assert pdu.sense() == (5, 0x2400)
    _, data = ok(conn, b"\x9e\x10" + b"\0" * 11 + b"\x20\0\0", 32)
    assert struct.unpack(">I", data[8:12])[0] == 512
    assert data[13] & 15 in (0, 3)


def test_esxi_reserves_while_it_formats(target):
    conn = esxi(target)[0].ready()
    other = esxi(target, 2)[0].ready()
    assert conn.scsi(b"\x16\0\0\0\0\0")[0].status == 0
    assert other.write(0, b"r" * 512, immediate=512).status == 0x18
    assert other.scsi(b"\0" * 6)[0].status == 0x18
    assert conn.scsi(b"\x17\0\0\0\0\0")[0].status == 0
    other.ready()
    assert conn.scsi(b"\x16\0\0\0\0\0")[0].status == 0
    conn.close()                                # lost: released
    for _ in range(50):
        if other.scsi(b"\0" * 6)[0].status == 0:
            break
    other.ready()
    assert other.write(0, b"r" * 512, immediate=512).status == 0


def test_esxi_compares_and_writes(target):
    conn = esxi(target)[0].ready()
    old, new = os.urandom(512), os.urandom(512)
    assert conn.write(100, old, immediate=512).status == 0
    cdb = b"\x89\0" + struct.pack(">Q4B2x", 100, 0, 0, 0, 1)
    itt = conn.command(cdb, flags=W | F, edtl=1024, data=old + new)
    pdu = conn.expect(RESPONSE)
    assert (pdu.itt, pdu.status, pdu.residual()) == (itt, 0, 0)
    assert conn.read(100, 1) == new
    wrong = new[:77] + bytes([new[77] ^ 1]) + new[78:]
    conn.command(cdb, flags=W | F, edtl=1024, data=wrong + old)
    pdu = conn.expect(RESPONSE)
    assert pdu.sense() == (0x0E, 0x1D00)
    assert conn.read(100, 1) == new
    # Blocks that were never written compare as zeroes.
    cdb = b"\x89\0" + struct.pack(">Q4B2x", 90000, 0, 0, 0, 1)
    conn.command(cdb, flags=W | F, edtl=1024, data=b"\0" * 512 + new)
    assert conn.expect(RESPONSE).status == 0


def test_esxi_zeroes_and_unmaps(target):
    conn = esxi(target)[0].ready()
    assert conn.write(2048, b"z" * 65536, immediate=65536).status == 0
    cdb = b"\x93\0" + struct.pack(">QI2x", 2048, 0x80)
    itt = conn.command(cdb, flags=W | F, edtl=512, data=b"\0" * 512)
    assert conn.finish(itt)[0].status == 0
    assert conn.read(2048, 128) == b"\0" * 65536
    listed = struct.pack(">HH4xQI4x", 22, 16, 2048, 0x80)
    itt = conn.command(b"\x42" + b"\0" * 6 + b"\0\x18\0", flags=W | F,
                       edtl=24, data=listed)
    assert conn.finish(itt)[0].status == 0


def test_windows_attaches(target):
    conn = windows(target)[0].ready()
    full = ok(conn, b"\xa0" + b"\0" * 7 + b"\0\x10\0\0", 16)[1]
    size = struct.unpack(">I", full[:4])[0] + 8
    pdu, data = ok(conn, b"\xa0" + b"\0" * 5 +
                   struct.pack(">I", size) + b"\0\0", size)
    assert len(data) == size and pdu.residual() == 0
    kinds = {(a, t) for a, t, _ in designators(conn)}
    assert (0, 3) in kinds
    names = [v for a, t, v in designators(conn) if t == 8]
    assert any(v.startswith(b"iqn.2026-01.org.dozo:ram") for v in names)
    for length in (12, 32):
        pdu, data = ok(conn, b"\x9e\x10" + b"\0" * 8 +
                       struct.pack(">I", length) + b"\0\0", length)
        assert (len(data), pdu.residual()) == (length, 0)
    pdu, data = ok(conn, b"\x9e\x10" + b"\0" * 14, 0)
    assert (data, pdu.residual()) == (b"", 0)
    for cdb in (b"\x1a\0\x08\0\xc0\0", b"\x1a\0\x3f\0\xc0\0"):
        ok(conn, cdb, 192)
    assert inquiry(conn, 0xB0)[3] == 0x3C


def test_windows_formats(target):
    conn = windows(target)[0].ready()
    assert conn.write(0, b"f" * 4096, immediate=4096).status == 0
    assert conn.scsi(rw10(0x2F, 0, 8))[0].status == 0
    itt = conn.command(b"\x2f\x02" + rw10(0x2F, 0, 8)[2:], flags=W | F,
                       edtl=4096, data=b"f" * 4096)
    assert conn.finish(itt)[0].status == 0
    itt = conn.command(b"\x2f\x02" + rw10(0x2F, 0, 8)[2:], flags=W | F,
                       edtl=4096, data=b"e" * 4096)
    assert conn.finish(itt)[0].sense() == (0x0E, 0x1D00)
    assert conn.scsi(b"\x35" + b"\0" * 9)[0].status == 0


def test_windows_reads_the_last_offset_right(target):
    """Eight reads at a time; the status PDU keeps its buffer offset."""
    conn = windows(target)[0].ready()
    tags = [conn.command(rw10(0x28, 512 * i, 512), flags=F | 0x40,
                         edtl=262144) for i in range(8)]
    for itt in tags:
        pdu, data = conn.finish(itt)
        assert len(data) == 262144 and pdu.w40 + len(pdu.data) == 262144
