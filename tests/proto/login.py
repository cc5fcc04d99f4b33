# SPDX-License-Identifier: BSD-2-Clause
"""Login phase: stages, keys, status codes, sessions."""

import time

from harness import HOST, TARGET, own, refused, slow
from iscsi import (FULL, IMMEDIATE, LOGIN, NOP_OUT, NONE, OP, SEC, Closed,
                   text)

ARGS = ("-l", 2, "-t", 2)
NAMES = [("InitiatorName", HOST), ("TargetName", TARGET),
         ("SessionType", "Normal")]

# offer -> answer; None = no answer
MATRIX = [
    ("HeaderDigest", "None", "None"),
    ("HeaderDigest", "CRC32C,None", "CRC32C"),
    ("HeaderDigest", "None,CRC32C", "None"),
    ("HeaderDigest", "MD5", "Reject"),
    ("DataDigest", "MD5,CRC32C", "CRC32C"),
    ("MaxConnections", "32", "1"),
    ("MaxConnections", "0", "Reject"),
    ("InitialR2T", "No", "No"),
    ("InitialR2T", "Yes", "Yes"),
    ("InitialR2T", "Maybe", "Reject"),
    ("ImmediateData", "Yes", "Yes"),
    ("ImmediateData", "No", "No"),
    ("MaxRecvDataSegmentLength", "8192", "262144"),
    ("MaxRecvDataSegmentLength", "511", "Reject"),
    ("MaxRecvDataSegmentLength", "16777216", "Reject"),
    ("MaxBurstLength", "16776192", "1048576"),
    ("MaxBurstLength", "0x4000", "16384"),
    ("FirstBurstLength", "65536", "65536"),
    ("FirstBurstLength", "262145", "262144"),
    ("DefaultTime2Wait", "2", "2"),
    ("DefaultTime2Retain", "60", "0"),
    ("MaxOutstandingR2T", "16", "8"),
    ("MaxOutstandingR2T", "1", "1"),
    ("DataPDUInOrder", "No", "Yes"),
    ("DataSequenceInOrder", "No", "Yes"),
    ("ErrorRecoveryLevel", "2", "0"),
    ("ErrorRecoveryLevel", "3", "Reject"),
    ("iSCSIProtocolLevel", "2", "2"),
    ("iSCSIProtocolLevel", "1", "1"),
    ("TaskReporting", "FastAbort,RFC3720", "RFC3720"),
    ("IFMarker", "No", "No"),
    ("OFMarker", "Yes", "No"),
    ("IFMarkInt", "2048~8192", "Reject"),
    ("X-com.example.foo", "1", "NotUnderstood"),
    ("RDMAExtensions", "Yes", "NotUnderstood"),
    ("TargetAddress", "Irrelevant", None),
    ("MaxBurstLength", "Irrelevant", None),
    ("InitiatorAlias", "a host", None),
]


def test_every_key_gets_its_answer(target):
    for key, offer, answer in MATRIX:
        conn = target.connect()
        status, keys, pdu = conn.round(NAMES + [(key, offer)], OP, FULL)
        assert status == 0, f"{key}={offer}: status {status:04x}"
        assert keys.get(key) == answer, f"{key}={offer}: {keys.get(key)}"
        extra = set(keys) - {key, "TargetPortalGroupTag"}
        assert not extra, f"{key}: not asked for: {extra}"
        conn.enter(pdu)
        conn.close()


def test_discovery_session_makes_session_keys_irrelevant(target):
    conn = target.connect()
    status, keys, pdu = conn.round(
        [("InitiatorName", HOST), ("SessionType", "Discovery"),
         ("MaxConnections", 4), ("InitialR2T", "No"),
         ("MaxBurstLength", 65536), ("DefaultTime2Wait", 0),
         ("HeaderDigest", "None")], OP, FULL)
    assert status == 0
    conn.enter(pdu)
    assert keys == {"MaxConnections": "Irrelevant",
                    "InitialR2T": "Irrelevant",
                    "MaxBurstLength": "Irrelevant",
                    "DefaultTime2Wait": "0", "HeaderDigest": "None"}


def test_portal_group_tag_in_the_first_response_only(target):
    conn = target.connect()
    _, keys, pdu = conn.round(NAMES + [("AuthMethod", "None")], SEC, OP)
    assert keys == {"AuthMethod": "None", "TargetPortalGroupTag": "1"}
    assert pdu.flags == 0x81 and pdu.lun[6:8] == b"\0\0"
    _, keys, pdu = conn.round([("HeaderDigest", "None")], OP)
    assert keys == {"HeaderDigest": "None"} and pdu.flags == 0x04
    assert pdu.lun[6:8] == b"\0\0"
    _, keys, pdu = conn.round([], OP, FULL)
    conn.enter(pdu)
    assert not keys


def test_security_stage_straight_to_full_feature(target):
    conn = target.connect()
    _, _, pdu = conn.round(NAMES + [("AuthMethod", "None")], SEC, FULL)
    conn.enter(pdu).ready()


def test_extra_empty_rounds_are_answered(target):
    conn = target.connect()
    conn.round(NAMES, OP)
    for _ in range(5):
        status, keys, pdu = conn.round([], OP)
        assert (status, keys, pdu.flags) == (0, {}, 4)
    conn.enter(conn.round([], OP, FULL)[2]).ready()


def test_endless_rounds_end(target):
    conn = target.connect()
    conn.round(NAMES, OP)
    for _ in range(100):
        if conn.round([], OP)[0] != 0:
            return
    raise AssertionError("100 empty rounds were taken")


def test_sequence_numbers_of_login(target):
    conn = target.connect()
    conn.cmd_sn = 0xFFFFFFFE
    _, _, first = conn.round(NAMES, OP)
    _, _, last = conn.round([], OP, FULL)
    assert last.stat_sn == (first.stat_sn + 1) & NONE
    for pdu in (first, last):
        assert pdu.exp_cmd_sn == 0xFFFFFFFE
        assert pdu.max_cmd_sn == (0xFFFFFFFE + 127) & NONE
    conn.enter(last).ready()
    conn.read(0, 1)
    assert conn.cmd_sn < 100       # wrapped, and still served


def test_continued_login_text(target):
    conn = target.connect()
    whole = text(NAMES + [("MaxBurstLength", 65536)])
    for part in (whole[:20], whole[20:70]):
        status, keys, pdu = conn.round(part, OP, flags=0x44)
        assert (status, keys, pdu.flags) == (0, {}, 4)
    _, keys, pdu = conn.round(whole[70:], OP, FULL)
    assert keys["MaxBurstLength"] == "65536"
    conn.enter(pdu).ready()


def test_text_beyond_64_kib_is_refused(target):
    conn = target.connect()
    for _ in range(20):
        status, _, _ = conn.round(b"X-a=" + b"b" * 8000, OP, flags=0x44)
        if status != 0:
            return
    raise AssertionError("160 KB of login text was taken")


def refuse_with(target, status, pairs, csg=OP, nsg=FULL, **args):
    conn = target.connect()
    got, _, _ = conn.round(pairs, csg, nsg, **args)
    assert got == status, f"status {got:04x}, wanted {status:04x}"
    conn.expect_closed()


def test_status_codes(target):
    refuse_with(target, 0x0207, [("TargetName", TARGET)])
    refuse_with(target, 0x0207, [("InitiatorName", HOST)])
    refuse_with(target, 0x0203, [("InitiatorName", HOST),
                                 ("TargetName", "iqn.none")])
    refuse_with(target, 0x0205, NAMES, version=1)
    refuse_with(target, 0x0209, NAMES[:2] + [("SessionType", "Odd")])
    refuse_with(target, 0x0200, NAMES + [("ImmediateData", "Yes"),
                                         ("ImmediateData", "Yes")])
    refuse_with(target, 0x0200, NAMES + [("InitiatorName", "iqn.other")])
    refuse_with(target, 0x0200, b"InitiatorName\0")
    refuse_with(target, 0x0200, b"InitiatorName=iqn.a")
    refuse_with(target, 0x0200, b"=b\0")
    refuse_with(target, 0x0200, [("X" * 64, "1")])
    refuse_with(target, 0x0200, NAMES, flags=0xC7)      # T and C
    refuse_with(target, 0x0200, NAMES, flags=0x86)      # NSG 2
    refuse_with(target, 0x0200, NAMES, flags=0x8C)      # CSG 3
    refuse_with(target, 0x0200, NAMES, flags=0x84)      # backwards


def test_longest_names_and_keys_are_taken(target):
    long_name = "iqn.2026-01.org.test:" + "x" * 202
    conn = target.connect()
    _, keys, pdu = conn.round(
        [("InitiatorName", long_name), ("TargetName", TARGET),
         ("X" * 63, "v" * 255)], OP, FULL)
    assert keys["X" * 63] == "NotUnderstood"
    conn.enter(pdu).ready()
    refuse_with(target, 0x0200, [("InitiatorName", long_name + "y"),
                                 ("TargetName", TARGET)])


def test_changing_isid_is_refused(target):
    conn = target.connect()
    conn.round(NAMES, OP)
    conn.isid = b"\x80zzzzz"
    assert conn.round([], OP, FULL)[0] == 0x020B


def test_unknown_tsih(target):
    conn = target.connect()
    conn.tsih = 0x7777
    assert conn.round(NAMES, OP, FULL)[0] == 0x020A


def test_second_connection_of_a_session(target):
    conn = target.session()
    for cid, status in ((2, 0x0206), (0, 0x0208)):
        more = target.connect()
        more.isid, more.tsih, more.cid = conn.isid, conn.tsih, cid
        assert more.round(NAMES, OP, FULL)[0] == status
    conn.read(0, 1)


def test_tsih_differs_between_sessions(target):
    a, b = target.session(), target.session()
    assert a.tsih != b.tsih
    a.read(0, 1)
    b.read(0, 1)


def test_first_pdu_that_is_no_login(target):
    for opcode in (NOP_OUT | IMMEDIATE, 1, 2, 4, 5, 6, 0x10, 0x3F, 0x20):
        conn = target.connect()
        conn.send(opcode)
        assert not conn.expect_closed()


def test_login_pdu_with_ahs_or_too_much_data(target):
    conn = target.connect()
    conn.send(LOGIN | IMMEDIATE, flags=0x87, ahs=b"\0\1\2\0")
    conn.expect_closed()
    conn = target.connect()
    conn.send(LOGIN | IMMEDIATE, flags=0x87, length=0xFFFFFF)
    conn.expect_closed()


def test_login_inside_full_feature_is_rejected(target):
    conn = target.session()
    conn.login_request([], OP, FULL)
    pdu = conn.recv()
    assert (pdu.opcode, pdu.b2) == (0x3F, 4)
    conn.read(0, 1)


@own("-i", "iqn.2026-01.org.test:*")
def test_initiator_pattern(target):
    target.session(initiator="iqn.2026-01.org.test:anything")
    target.session(initiator="IQN.2026-01.ORG.TEST:UPPER")
    conn = target.connect()
    refused(0x0202, conn.round, [("InitiatorName", "iqn.evil"),
                                 ("TargetName", TARGET)], OP, FULL)


@own("-n", "192.0.2.0/24")
def test_other_network_is_forbidden(target):
    refused(0x0202, target.connect().round, NAMES, OP, FULL)


@own("-n", "127.0.0.0/8")
def test_own_network_is_let_in(target):
    target.session()


@slow
@own()
def test_slow_login_is_cut_off_after_15_s(target):
    conn = target.connect(timeout=30)
    start = time.monotonic()
    conn.raw(b"\x43\x87")
    try:
        conn.recv()
    except Closed:
        pass
    took = time.monotonic() - start
    assert 13 < took < 18, f"{took:.1f} s"
