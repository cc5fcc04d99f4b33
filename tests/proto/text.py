# SPDX-License-Identifier: BSD-2-Clause
"""Text requests: SendTargets, continuation, renegotiation."""

from harness import TARGET, own
from iscsi import TEXT_RSP, text


def addresses(pairs):
    """{target: [address, ...]}"""
    found, name = {}, None
    for key, value in pairs:
        if key == "TargetName":
            name = value
            assert name not in found
            found[name] = []
        elif key == "TargetAddress":
            found[name].append(value)
    return found


def test_send_targets_in_discovery(target):
    conn = target.login(discovery=True)
    here = f"127.0.0.1:{target.port},1"
    for value in ("All", TARGET):
        found = addresses(conn.text_all([("SendTargets", value)]))
        assert found == {TARGET: [here]}
    assert conn.text_all([("SendTargets", "iqn.unknown")]) == []
    assert conn.text_all([("SendTargets", "")]) == [
        ("SendTargets", "Reject")]
    assert conn.logout().b2 == 0
    conn.expect_closed()


def test_send_targets_in_a_normal_session(target):
    conn = target.session()
    for value in ("", TARGET, "All"):
        found = addresses(conn.text_all([("SendTargets", value)]))
        assert list(found) == [TARGET]
    conn.read(0, 1)


@own("-t", 40, "-P", "7:0")
def test_many_targets_in_small_pieces(target):
    conn = target.login(discovery=True, MaxRecvDataSegmentLength=512)
    conn.text_request([("SendTargets", "All")])
    data, pieces = b"", 0
    while True:
        pdu = conn.expect(TEXT_RSP)
        assert len(pdu.data) <= 512
        data += pdu.data
        pieces += 1
        if pdu.final:
            break
        assert pdu.flags == 0x40
        conn.text_request([], ttt=pdu.ttt)
    assert pieces > 4
    pairs = [tuple(p.split("=", 1)) for p in
             data.decode().split("\0") if p]
    found = addresses(pairs)
    assert len(found) == 40
    for where in found.values():
        assert where[0] == f"127.0.0.1:{target.port},1"
        assert len(where) == 2 and where[1].endswith(",7")


@own("-a", "0.0.0.0")
def test_portal_on_any_address_shows_the_one_in_use(target):
    for host in ("127.0.0.1", "127.0.0.5"):
        conn = target.connect(host=host).login(discovery=True)
        found = addresses(conn.text_all([("SendTargets", "All")]))
        assert found == {TARGET: [f"{host}:{target.port},1"]}


@own("-a", "::1")
def test_ipv6_portal(target):
    conn = target.connect(host="::1").login(discovery=True)
    found = addresses(conn.text_all([("SendTargets", "All")]))
    assert found == {TARGET: [f"[::1]:{target.port},1"]}
    conn = target.connect(host="::1").login().ready()
    conn.read(0, 8)


def test_renegotiating_the_segment_length(target):
    conn = target.session(MaxRecvDataSegmentLength=8192)
    assert conn.text_all([("MaxRecvDataSegmentLength", 512)]) == [
        ("MaxRecvDataSegmentLength", "262144")]
    itt = conn.command(b"\x28\0\0\0\0\0\0\0\4\0", flags=0xC0, edtl=2048)
    sizes = [len(conn.recv().data) for _ in range(4)]
    assert sizes == [512] * 4 and itt


def test_login_keys_are_rejected_later(target):
    conn = target.session()
    assert conn.text_all([("InitialR2T", "No"), ("X-y", "1")]) == [
        ("InitialR2T", "Reject"), ("X-y", "NotUnderstood")]


def test_text_in_pieces_from_the_initiator(target):
    conn = target.login(discovery=True)
    whole = text([("SendTargets", "All")])
    conn.text_request(whole[:7], flags=0x40)
    pdu = conn.expect(TEXT_RSP)
    assert not pdu.final and pdu.data == b""
    conn.text_request(whole[7:], ttt=pdu.ttt)
    pdu = conn.expect(TEXT_RSP)
    assert pdu.final and TARGET.encode() in pdu.data


def test_bad_text_closes_this_connection_only(target):
    other = target.session()
    for junk in (b"no equal sign\0", b"SendTargets=All", b"=x\0"):
        conn = target.login(discovery=True)
        conn.text_request(junk)
        conn.expect_closed()
    conn = target.login(discovery=True)
    try:
        for _ in range(100):
            conn.text_request(b"X-a=" + b"b" * 8000, flags=0x40)
            conn.recv()
        raise AssertionError("800 KB of text was taken")
    except Exception as error:  # pylint: disable=broad-except
        assert type(error).__name__ == "Closed", error
    other.read(0, 1)
