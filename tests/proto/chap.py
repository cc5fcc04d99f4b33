# SPDX-License-Identifier: BSD-2-Clause
"""CHAP: algorithms, encodings, mutual, and what must fail."""

import base64

from harness import HOST, TARGET, own
from iscsi import FULL, OP, SEC, chap_digest

ARGS = ("-c", "user:secret-of-host", "-m", "dozo:secret-of-target")
NAMES = [("InitiatorName", HOST), ("TargetName", TARGET),
         ("SessionType", "Normal")]
SECRET, MUTUAL = "secret-of-host", "secret-of-target"


def encode(data, how):
    if how == "hex":
        return "0x" + data.hex()
    if how == "HEX":
        return "0X" + data.hex().upper()
    return "0b" + base64.b64encode(data).decode()


def decode(value):
    assert value[:2] == "0x"
    return bytes.fromhex(value[2:])


def start(target, offer="5", methods="CHAP", transit=None, names=None):
    """Up to the challenge."""
    conn = target.connect()
    status, keys, pdu = conn.round((names or NAMES) +
                                   [("AuthMethod", methods)], SEC, transit)
    assert status == 0, f"status {status:04x}"
    assert keys["AuthMethod"] == "CHAP"
    assert pdu.flags & 0x80 == 0
    status, keys, pdu = conn.round([("CHAP_A", offer)], SEC, transit)
    return conn, status, keys


def answer(conn, keys, secret=SECRET, user="user", how="hex", mutual=None,
           nsg=OP, challenge=b"\x11" * 16):
    alg, ident = int(keys["CHAP_A"]), int(keys["CHAP_I"])
    digest = chap_digest(alg, ident, secret, decode(keys["CHAP_C"]))
    pairs = [("CHAP_N", user), ("CHAP_R", encode(digest, how))]
    if mutual is not None:
        pairs += [("CHAP_I", mutual), ("CHAP_C", encode(challenge, how))]
    return conn.round(pairs, SEC, nsg)


def full(conn):
    return conn.enter(conn.round([], OP, FULL)[2]).ready()


def test_every_algorithm_and_encoding(target):
    for alg in (5, 6, 7, 8):
        for how in ("hex", "HEX", "base64"):
            conn, status, keys = start(target, str(alg))
            assert status == 0 and keys["CHAP_A"] == str(alg)
            assert len(decode(keys["CHAP_C"])) >= 16
            status, _, pdu = answer(conn, keys, how=how)
            assert status == 0 and pdu.flags == 0x81, (alg, how)
            full(conn)
            conn.close()


def test_first_known_algorithm_of_the_list(target):
    for offer, want in (("8,7,6,5", "8"), ("99,6,5", "6"), ("5,7", "5")):
        _, _, keys = start(target, offer)
        assert keys["CHAP_A"] == want


def test_no_common_algorithm(target):
    _, status, _ = start(target, "4,99")
    assert status == 0x0201


@own(*ARGS, "-M")
def test_md5_can_be_forbidden(target):
    assert start(target, "5")[1] == 0x0201
    assert start(target, "5,7")[2]["CHAP_A"] == "7"


def test_mutual(target):
    for how in ("hex", "base64"):
        conn, _, keys = start(target, "7")
        status, back, _ = answer(conn, keys, how=how, mutual=200)
        assert status == 0
        assert back["CHAP_N"] == "dozo"
        assert decode(back["CHAP_R"]) == chap_digest(
            7, 200, MUTUAL, b"\x11" * 16)
        full(conn)


def test_wrong_secret(target):
    for how in ("hex", "base64"):
        conn, _, keys = start(target)
        assert answer(conn, keys, secret="wrong", how=how)[0] == 0x0201
        conn.expect_closed()


def test_wrong_user(target):
    conn, _, keys = start(target)
    assert answer(conn, keys, user="nobody")[0] == 0x0201


def test_response_of_wrong_length(target):
    conn, _, keys = start(target)
    status, _, _ = conn.round([("CHAP_N", "user"), ("CHAP_R", "0x00")],
                              SEC, OP)
    assert status == 0x0201
    conn, _, keys = start(target)
    status, _, _ = conn.round([("CHAP_N", "user"), ("CHAP_R", "0b!!")],
                              SEC, OP)
    assert status == 0x0201


def test_own_challenge_reflected_is_refused(target):
    conn, _, keys = start(target)
    assert answer(conn, keys, mutual=1,
                  challenge=decode(keys["CHAP_C"]))[0] == 0x0201


def test_challenges_are_fresh(target):
    seen = {start(target)[2]["CHAP_C"] for _ in range(5)}
    assert len(seen) == 5


def test_transit_bit_on_every_step(target):
    """iPXE sets T from the first step on."""
    conn, _, keys = start(target, transit=OP)
    status, _, pdu = answer(conn, keys)
    assert status == 0 and pdu.flags == 0x81
    full(conn)


def test_auth_method_behind_names(target):
    """FreeBSD sends AuthMethod first of all keys."""
    conn = target.connect()
    status, keys, _ = conn.round([("AuthMethod", "CHAP")] + NAMES, SEC)
    assert status == 0 and keys["AuthMethod"] == "CHAP"


def test_without_chap_there_is_no_way_in(target):
    for pairs, csg, nsg in (
            (NAMES, OP, FULL), (NAMES, SEC, OP), (NAMES, SEC, FULL),
            (NAMES + [("AuthMethod", "None")], SEC, OP),
            (NAMES + [("AuthMethod", "KRB5")], SEC, OP)):
        conn = target.connect()
        assert conn.round(pairs, csg, nsg)[0] == 0x0201, (pairs, csg)
    # Agree on CHAP, then leave the stage without doing it.
    conn = target.connect()
    conn.round(NAMES + [("AuthMethod", "CHAP")], SEC)
    status, _, pdu = conn.round([], SEC, OP)
    assert status != 0 or pdu.flags & 0x80 == 0
    conn = target.connect()
    conn.round(NAMES + [("AuthMethod", "CHAP")], SEC)
    assert conn.round([], OP, FULL)[0] != 0
    # A response without a challenge.
    conn = target.connect()
    conn.round(NAMES + [("AuthMethod", "CHAP")], SEC)
    assert conn.round([("CHAP_N", "user"), ("CHAP_R", "0x" + "00" * 16)],
                      SEC, OP)[0] != 0


def test_algorithm_cannot_be_chosen_twice(target):
    conn, _, _ = start(target)
    assert conn.round([("CHAP_A", "7")], SEC)[0] == 0x0200


def test_chap_is_preferred_where_both_are_offered(target):
    start(target, methods="None,CHAP")
    start(target, methods="CHAP,None")


def test_discovery_needs_no_secret(target):
    conn = target.connect()
    status, keys, pdu = conn.round(
        [("InitiatorName", HOST), ("SessionType", "Discovery"),
         ("AuthMethod", "CHAP,None")], SEC, FULL)
    assert status == 0 and keys["AuthMethod"] == "None"
    conn.enter(pdu)
    assert ("TargetName", TARGET) in conn.text_all([("SendTargets", "All")])


def test_discovery_with_chap_only(target):
    conn, _, keys = start(target, names=[("InitiatorName", HOST),
                                         ("SessionType", "Discovery")])
    status, _, pdu = answer(conn, keys, nsg=FULL)
    assert status == 0
    conn.enter(pdu)


@own()
def test_open_host_takes_none_whatever_the_order(target):
    for methods in ("None,CHAP", "CHAP,None", "None"):
        conn = target.connect()
        status, keys, _ = conn.round(NAMES + [("AuthMethod", methods)],
                                     SEC, OP)
        assert status == 0 and keys["AuthMethod"] == "None"
    conn = target.connect()
    assert conn.round(NAMES + [("AuthMethod", "CHAP")], SEC)[0] == 0x0201


@own("-c", "user:secret-of-host")
def test_mutual_without_a_mutual_secret_fails(target):
    conn, _, keys = start(target)
    assert answer(conn, keys, mutual=7)[0] == 0x0201
