# SPDX-License-Identifier: BSD-2-Clause
"""Initiators as they really log in and start: key order and values."""

import os
import struct
import time

from harness import TARGET, own, slow
from iscsi import (F, FULL, NONE, NOP_OUT, OP, R2T, RESPONSE, SEC, W, rw10)

ARGS = ("-l", 2, "-s", 64)

UNASKED = {"TargetAlias", "TargetPortalGroupTag", "TargetAddress",
           "MaxRecvDataSegmentLength"}

ESXI = [("HeaderDigest", "None"), ("DataDigest", "None"),
        ("DefaultTime2Wait", 2), ("DefaultTime2Retain", 0),
        ("IFMarker", "No"), ("OFMarker", "No"), ("ErrorRecoveryLevel", 0),
        ("InitialR2T", "No"), ("ImmediateData", "Yes"),
        ("MaxBurstLength", 262144), ("FirstBurstLength", 262144),
        ("MaxOutstandingR2T", 1), ("MaxConnections", 1),
        ("DataPDUInOrder", "Yes"), ("DataSequenceInOrder", "Yes"),
        ("MaxRecvDataSegmentLength", 131072)]
WINDOWS_DISCOVERY = [("HeaderDigest", "None,CRC32C"),
                     ("DataDigest", "None,CRC32C"),
                     ("MaxRecvDataSegmentLength", 65536),
                     ("DefaultTime2Wait", 0), ("DefaultTime2Retain", 60)]
WINDOWS = [("HeaderDigest", "None,CRC32C"), ("DataDigest", "None,CRC32C"),
           ("ErrorRecoveryLevel", 2), ("InitialR2T", "No"),
           ("ImmediateData", "Yes"), ("MaxRecvDataSegmentLength", 65536),
           ("MaxBurstLength", 262144), ("FirstBurstLength", 65536),
           ("MaxConnections", 32), ("MaxOutstandingR2T", 16),
           ("DefaultTime2Wait", 0), ("DefaultTime2Retain", 60)]
LINUX = [("HeaderDigest", "None"), ("DataDigest", "None"),
         ("DefaultTime2Wait", 2), ("DefaultTime2Retain", 0),
         ("IFMarker", "No"), ("OFMarker", "No"), ("ErrorRecoveryLevel", 0),
         ("InitialR2T", "No"), ("ImmediateData", "Yes"),
         ("MaxBurstLength", 16776192), ("FirstBurstLength", 262144),
         ("MaxOutstandingR2T", 1), ("MaxConnections", 1),
         ("DataPDUInOrder", "Yes"), ("DataSequenceInOrder", "Yes"),
         ("MaxRecvDataSegmentLength", 262144)]
IPXE = [("HeaderDigest", "None"), ("DataDigest", "None"),
        ("MaxConnections", 1), ("InitialR2T", "Yes"),
        ("ImmediateData", "No"), ("MaxRecvDataSegmentLength", 8192),
        ("MaxBurstLength", 262144), ("FirstBurstLength", 65536),
        ("DefaultTime2Wait", 0), ("DefaultTime2Retain", 0),
        ("MaxOutstandingR2T", 1), ("DataPDUInOrder", "Yes"),
        ("DataSequenceInOrder", "Yes"), ("ErrorRecoveryLevel", 0)]
FREEBSD = [("HeaderDigest", "None"), ("DataDigest", "None"),
           ("ImmediateData", "Yes"), ("MaxBurstLength", 131072),
           ("FirstBurstLength", 131072), ("InitialR2T", "Yes"),
           ("MaxRecvDataSegmentLength", 131072), ("DefaultTime2Wait", 0),
           ("DefaultTime2Retain", 0), ("ErrorRecoveryLevel", 0),
           ("MaxOutstandingR2T", 1)]


def checked(conn, pairs, csg, nsg, **args):
    """A round by the rules of the replays: all asked, nothing else."""
    status, keys, pdu = conn.round(pairs, csg, nsg, **args)
    assert status == 0, f"status {status:04x}"
    asked = {key for key, _ in pairs}
    extra = set(keys) - asked - UNASKED
    assert not extra, f"not asked for: {extra}"
    declared = {"InitiatorName", "TargetName", "SessionType",
                "InitiatorAlias"}
    missing = asked - set(keys) - declared
    assert not missing, f"not answered: {missing}"
    assert "Reject" not in keys.values(), keys
    final = pdu.flags & 0x83 == 0x83
    assert (pdu.lun[6:8] != b"\0\0") == final
    return keys, pdu


def names(initiator, order="ITS", session="Normal"):
    parts = {"I": ("InitiatorName", initiator), "T": ("TargetName", TARGET),
             "S": ("SessionType", session)}
    return [parts[c] for c in order]


def esxi(target, number=1, op_keys=None):
    conn = target.connect()
    conn.isid = bytes([0, 2, 0x3D, 0, 0, number])
    keys, pdu = checked(conn, names("iqn.1998-01.com.vmware:h1") +
                        [("AuthMethod", "None")], SEC, OP)
    assert keys["TargetPortalGroupTag"] == "1"
    keys, pdu = checked(conn, op_keys or ESXI, OP, FULL)
    return conn.enter(pdu), keys


def test_esxi_discovery(target):
    conn = target.connect()
    conn.isid = bytes([0, 2, 0x3D, 0, 0, 0])
    checked(conn, names("iqn.1998-01.com.vmware:h1", "IS", "Discovery") +
            [("AuthMethod", "None")], SEC, OP)
    _, pdu = checked(conn, [("HeaderDigest", "None"), ("DataDigest", "None"),
                            ("MaxRecvDataSegmentLength", 32768)], OP, FULL)
    conn.enter(pdu)
    pairs = conn.text_all([("SendTargets", "All")])
    assert pairs == [("TargetName", TARGET),
                     ("TargetAddress", f"127.0.0.1:{target.port},1")]
    assert conn.logout().b2 == 0


def test_esxi_sessions(target):
    first, keys = esxi(target, 1)
    second, _ = esxi(target, 2)
    assert first.tsih != second.tsih
    assert keys["FirstBurstLength"] == "262144"
    assert keys["InitialR2T"] == "No"
    for digest in ("None,CRC32C", "CRC32C"):
        conn, keys = esxi(target, 3, [("HeaderDigest", digest),
                                      ("DataDigest", digest)] + ESXI[2:])
        conn.ready()
        conn.read(0, 128)
        conn.logout()
    # A unit attention once, then GOOD; TUR may ask for data.
    pdu, _ = first.scsi(b"\0" * 6)
    assert pdu.status == 2 and pdu.sense()[0] == 6, pdu.sense()
    pdu, _ = first.scsi(b"\0" * 6)
    assert pdu.status == 0
    pdu, _ = first.scsi(b"\0" * 6, 0x200)
    assert (pdu.status, pdu.residual()) == (0, -0x200)
    second.ready()


def test_esxi_write_with_and_without_immediate_data(target):
    conn, _ = esxi(target)
    conn.ready()
    data = os.urandom(0x4400)
    pdu = conn.write(0, data, immediate=0x2000, first=0x4400)
    assert (pdu.status, pdu.residual()) == (0, 0)
    assert conn.read(0, 0x22) == data


def test_esxi_ping_counts_status_once(target):
    conn, _ = esxi(target)
    conn.ready()
    last = conn.exp_stat_sn
    for _ in range(5):
        pdu = conn.nop(b"v" * 1000)
        assert pdu.stat_sn == last and len(pdu.data) == 1000
        last = last + 1 & NONE


def windows(target, nn=0, op_keys=None):
    conn = target.connect()
    conn.isid = bytes([0x40, 0, 1, 0x37, 0, nn])
    conn.cid = 1
    keys, _ = checked(conn, names("iqn.1991-05.com.microsoft:w", "IST") +
                      [("AuthMethod", "None")], SEC, OP)
    assert keys["TargetPortalGroupTag"] == "1"
    keys, pdu = checked(conn, op_keys or WINDOWS, OP, FULL)
    return conn.enter(pdu), keys


def test_windows_discovery(target):
    conn = target.connect()
    conn.isid, conn.cid = bytes([0x40, 0, 1, 0x37, 0, 0]), 1
    keys, pdu = checked(conn, names("iqn.1991-05.com.microsoft:w", "IS",
                                    "Discovery") + [("AuthMethod", "None")],
                        SEC, OP)
    assert pdu.flags == 0x81 and keys["AuthMethod"] == "None"
    keys, pdu = checked(conn, WINDOWS_DISCOVERY, OP, FULL)
    assert set(keys) <= {k for k, _ in WINDOWS_DISCOVERY}
    conn.enter(pdu)
    assert conn.text_all([("SendTargets", "All")])[1][1].endswith(",1")


def test_windows_sessions(target):
    conn, keys = windows(target)
    assert keys["ErrorRecoveryLevel"] == "0"
    assert keys["MaxConnections"] == "1"
    assert keys["FirstBurstLength"] == "65536"
    others = [windows(target, n)[0] for n in (1, 2, 3)]
    more = target.connect()
    more.isid, more.cid, more.tsih = conn.isid, 2, conn.tsih
    status, _, _ = more.round(names("iqn.1991-05.com.microsoft:w", "IST"),
                              OP, FULL)
    assert status == 0x0206
    for each in [conn] + others:
        each.ready()


def test_windows_writes(target):
    conn, _ = windows(target)
    conn.ready()
    for size in (65536, 262144, 4194304):
        data = os.urandom(size)
        itt = conn.command(rw10(0x2A, 0, size // 512), edtl=size,
                           flags=W | F, data=data[:8192])
        off = 8192
        while off < size:
            r2t = conn.expect(R2T)
            assert r2t.flags == 0x80 and r2t.w40 == off
            assert r2t.w44 <= 262144
            conn.data_out(itt, data[off:off + r2t.w44], offset=off,
                          ttt=r2t.ttt, lun=b"\0" * 8)
            off += r2t.w44
        pdu = conn.expect(RESPONSE)
        assert (pdu.status, pdu.residual()) == (0, 0)
        assert conn.read(0, size // 512) == data


def test_linux_login_with_a_second_round(target):
    conn = target.connect()
    conn.isid = bytes([0, 2, 0x3D, 1, 2, 3])
    first = [("InitiatorName", "iqn.1993-08.org.debian:01:abc"),
             ("InitiatorAlias", "box"), ("TargetName", TARGET),
             ("SessionType", "Normal"), ("AuthMethod", "None")]
    checked(conn, first, SEC, OP)
    keys, pdu = checked(conn, LINUX, OP, None)
    assert keys["MaxBurstLength"] == "1048576"
    status, keys, pdu = conn.round([("TargetAlias", "Irrelevant")], OP, FULL)
    assert status == 0 and not keys
    conn.enter(pdu).ready()
    conn.read(0, 512)


def test_linux_discovery_both_ways(target):
    for op_keys, csg in (([], SEC), ([("MaxRecvDataSegmentLength", 32768)],
                                     OP)):
        conn = target.connect()
        first = names("iqn.1993-08.org.debian:01:abc", "IS", "Discovery")
        if csg == SEC:
            _, pdu = checked(conn, first + [("AuthMethod", "None")], SEC,
                             FULL)
        else:
            checked(conn, first + [("AuthMethod", "None")], SEC, OP)
            _, pdu = checked(conn, op_keys, OP, FULL)
        conn.enter(pdu)
        assert len(conn.text_all([("SendTargets", "All")])) == 2


def test_libiscsi_with_random_cmd_sn_near_the_wrap(target):
    conn = target.connect()
    conn.cmd_sn = 0xFFFFFFF0
    conn.login(HeaderDigest="None,CRC32C", DataDigest="None",
               InitialR2T="No", ImmediateData="Yes",
               MaxBurstLength=262144, FirstBurstLength=262144,
               MaxRecvDataSegmentLength=262144).ready()
    for i in range(64):
        assert len(conn.read(i, 8)) == 4096
    assert conn.cmd_sn < 0x100


def ipxe(target):
    conn = target.connect()
    conn.isid = bytes([0x40, 0, 0x27, 0x23]) + os.urandom(2)
    _, pdu = checked(conn, names("iqn.2010-04.org.ipxe:x") +
                     [("AuthMethod", "None")], SEC, OP)
    keys, pdu = checked(conn, IPXE, OP, FULL)
    assert keys["FirstBurstLength"] == "65536"
    return conn.enter(pdu)


def test_ipxe_boots(target):
    conn = ipxe(target)
    conn.ready()
    pdu, data = conn.scsi(b"\x25" + b"\0" * 9, 8)
    assert pdu.status == 0
    last, block = struct.unpack(">II", data)
    assert (last, block) == (64 * 2048 - 1, 512)
    assert len(conn.read(0, 128)) == 65536


def test_gpxe_leaves_keys_out(target):
    conn = target.connect()
    checked(conn, names("iqn.2000-09.org.etherboot:x") +
            [("AuthMethod", "None")], SEC, OP)
    keep = [p for p in IPXE if p[0] not in (
        "ImmediateData", "MaxConnections", "FirstBurstLength")]
    _, pdu = checked(conn, keep, OP, FULL)
    conn.enter(pdu).ready()
    conn.read(0, 16)


def test_system_boots_beside_the_half_open_ipxe_session(target):
    boot = ipxe(target)
    boot.ready()
    conn, _ = esxi(target, 9)
    conn.ready()
    conn.read(0, 8)
    boot.read(0, 8)


def test_freebsd_login(target):
    conn = target.connect()
    checked(conn, [("AuthMethod", "None")] + [
        ("InitiatorName", "iqn.1994-09.org.freebsd:h"),
        ("InitiatorAlias", "h"), ("SessionType", "Normal"),
        ("TargetName", TARGET)], SEC, OP)
    _, pdu = checked(conn, FREEBSD, OP, FULL)
    assert pdu.flags == 0x87
    conn.enter(pdu).ready()
    data = os.urandom(131072)
    assert conn.write(0, data, immediate=65536).status == 0
    assert conn.read(0, 256) == data


@slow
@own()
def test_boot_prompt_survives_pings_without_answer(target):
    """A minute of unanswered pings; the full two take too long here."""
    conn = ipxe(target)
    conn.ready()
    conn.sock.settimeout(1)
    start, pings = time.monotonic(), 0
    while time.monotonic() - start < float(os.environ.get("IDLE", "35")):
        try:
            pdu = conn.recv()
            assert pdu.opcode == 0x20 and pdu.itt == NONE
            pings += 1
        except TimeoutError:
            pass
    assert pings > 0
    conn.sock.settimeout(10)
    conn.read(0, 8)
    conn.send(NOP_OUT | 0x40, w20=NONE)
    conn.recv()
