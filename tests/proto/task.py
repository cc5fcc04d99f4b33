# SPDX-License-Identifier: BSD-2-Clause
"""Task management, NOP, logout, reinstatement, live changes."""

import signal
import time

from harness import HOST, TARGET, own, slow
from iscsi import (ASYNC, COMMAND, DATA_IN, F, IMMEDIATE, LOGOUT, LOGOUT_RSP,
                   NONE, NOP_OUT, R, R2T, RESPONSE, TMF_RSP, W, Closed, rw10)

ARGS = ("-l", 2, "-t", 2)
ABORT, ABORT_SET, CLEAR_ACA, CLEAR_SET, LUN_RESET, WARM, COLD, REASSIGN = (
    1, 2, 3, 4, 5, 6, 7, 8)
QUERY, QUERY_SET, NEXUS_RESET, QUERY_EVENT = 9, 10, 11, 12


def answer(conn, *args, **more):
    conn.tmf(*args, **more)
    return conn.expect(TMF_RSP).b2


def test_abort_of_a_write_that_waits_for_data(target):
    conn = target.session(InitialR2T="Yes")
    before = conn.read(0, 128)
    sn = conn.cmd_sn
    itt = conn.command(rw10(0x2A, 0, 128), flags=W | F, edtl=65536)
    r2t = conn.expect(R2T)
    assert answer(conn, ABORT, itt, sn) == 0
    # The initiator may go on answering the R2T: thrown away, no fuss.
    conn.data_out(itt, b"L" * 65536, ttt=r2t.ttt)
    conn.silent()
    assert conn.read(0, 128) == before


def test_abort_of_a_write_in_the_middle_of_its_data(target):
    conn = target.session(InitialR2T="Yes")
    before = conn.read(0, 128)
    sn = conn.cmd_sn
    itt = conn.command(rw10(0x2A, 0, 128), flags=W | F, edtl=65536)
    r2t = conn.expect(R2T)
    conn.data_out(itt, b"L" * 32768, ttt=r2t.ttt, final=False)
    assert answer(conn, ABORT, itt, sn) == 0
    conn.data_out(itt, b"L" * 32768, offset=32768, data_sn=1, ttt=r2t.ttt)
    conn.silent()
    assert conn.read(0, 128) == before


def test_abort_of_finished_and_unknown_tasks(target):
    """ESXi alone is told that the abort is complete."""
    for name, want in ((HOST, 1), ("iqn.1998-01.com.vmware:h1", 0)):
        conn = target.session(initiator=name)
        sn = conn.cmd_sn
        itt = conn.command(b"\0" * 6)
        conn.expect(RESPONSE)
        assert answer(conn, ABORT, itt, sn) == want
        assert answer(conn, ABORT, 0x777777, conn.cmd_sn + 100000) == 1


@slow
def test_abort_of_stalled_io_is_answered_in_time(target):
    conn = target.session()
    target.stall()
    try:
        sn = conn.cmd_sn
        itt = conn.command(rw10(0x28, 0, 1), flags=R | F, edtl=512)
        time.sleep(0.1)         # until it stands at the disk
        start = time.monotonic()
        for _ in range(4):
            conn.tmf(ABORT, itt, sn)
        answers = [conn.expect(TMF_RSP).b2 for _ in range(4)]
        assert time.monotonic() - start < 5
        assert answers == [255] * 4, answers   # not ended: it would be a lie
        start = time.monotonic()
        assert answer(conn, LUN_RESET) == 255
        assert time.monotonic() - start < 5
        assert conn.nop(b"alive").data == b"alive"
    finally:
        target.stall()
    conn.silent()          # aborted: no status
    conn.ready()
    assert answer(conn, ABORT, itt, sn) == 1


def test_nothing_is_written_after_the_answer_to_an_abort(target):
    conn = target.session()
    before = conn.read(64, 8)
    target.stall()
    sn = conn.cmd_sn
    itt = conn.command(rw10(0x2A, 64, 8), flags=W | F, edtl=4096,
                       data=b"Z" * 4096)
    conn.tmf(ABORT, itt, sn)
    time.sleep(0.3)
    target.stall()
    assert conn.expect(TMF_RSP).b2 == 0
    now = conn.read(64, 8)
    assert now in (before, b"Z" * 4096)
    time.sleep(0.2)
    assert conn.read(64, 8) == now


def test_task_set_functions(target):
    conn, other = target.session(), target.session()
    for function in (ABORT_SET, CLEAR_SET, LUN_RESET, WARM, COLD):
        assert answer(conn, function) == 0, function
        conn.ready()
        other.ready()
        conn.read(0, 1)
        other.read(0, 1)
    assert answer(conn, LUN_RESET, lun=9) == 2
    assert answer(conn, CLEAR_ACA) == 5
    assert answer(conn, REASSIGN) == 4
    for function in (0, 13, 99):
        assert answer(conn, function) == 5


def test_rfc_7144_functions_need_the_protocol_level(target):
    conn = target.session()
    for function in (QUERY, QUERY_SET, NEXUS_RESET, QUERY_EVENT):
        assert answer(conn, function) == 5
    conn = target.session(iSCSIProtocolLevel=2)
    assert answer(conn, QUERY_SET) == 0
    target.stall()
    try:
        sn = conn.cmd_sn
        itt = conn.command(rw10(0x28, 0, 1), flags=R | F, edtl=512)
        assert answer(conn, QUERY, itt, sn) == 7
        assert answer(conn, QUERY_SET) == 7
        assert answer(conn, QUERY, itt + 1, conn.cmd_sn + 9999) == 1
    finally:
        target.stall()
    conn.expect(DATA_IN)
    assert answer(conn, QUERY, itt, sn) == 1
    assert answer(conn, NEXUS_RESET) == 0
    conn.ready()


def test_lun_reset_ends_writes_of_another_session(target):
    conn = target.session()
    other = target.session(InitialR2T="Yes")
    itt = other.command(rw10(0x2A, 0, 128), flags=W | F, edtl=65536)
    other.expect(R2T)
    assert answer(conn, LUN_RESET) == 0
    pdu = other.expect(RESPONSE)
    assert (pdu.itt, pdu.status) == (itt, 0x40)      # TASK ABORTED
    other.ready()


def test_lun_reset_does_not_touch_what_comes_after_it(target):
    conn = target.session()
    blob = b""
    for _ in range(3):
        blob += conn.build(1, flags=F | R | 1, w20=512,
                           cmd_sn=conn.next_cmd_sn(),
                           tail=rw10(0x28, 0, 1).ljust(16, b"\0"))
    blob += conn.build(2 | 0x40, flags=F | LUN_RESET, w20=NONE)
    after = conn.itt()
    blob += conn.build(1, flags=F | R | 1, w20=512, itt=after,
                       cmd_sn=conn.next_cmd_sn(),
                       tail=rw10(0x28, 0, 1).ljust(16, b"\0"))
    conn.raw(blob)
    seen = []
    while True:
        pdu = conn.recv()
        seen.append(pdu.opcode)
        if pdu.itt == after:
            break
    assert TMF_RSP in seen
    assert pdu.opcode == DATA_IN or pdu.status == 2      # data or UA


@slow
def test_flood_of_task_management(target):
    conn = target.session()
    target.stall()
    try:
        for _ in range(30):
            conn.tmf(LUN_RESET)
        answers = [conn.expect(TMF_RSP).b2 for _ in range(30)]
        assert set(answers) <= {0, 255}
    finally:
        target.stall()
    conn.ready()


# --- NOP ---

def test_nop_out_is_echoed(target):
    conn = target.session()
    for data in (b"", b"x", b"abc" * 111, b"n" * 262144):
        pdu = conn.nop(data)
        assert pdu.data == data and pdu.ttt == NONE
    itt = conn.itt()
    conn.send(NOP_OUT | 0x40, w20=NONE, itt=itt, data=b"now")
    pdu = conn.recv()
    assert pdu.itt == itt and pdu.data == b"now"


def test_nop_data_is_cut_to_what_the_initiator_takes(target):
    conn = target.session(MaxRecvDataSegmentLength=512)
    assert conn.nop(b"p" * 5000).data == b"p" * 512


def test_nop_out_without_tag_is_not_answered(target):
    conn = target.session()
    conn.send(NOP_OUT | 0x40, w20=NONE, itt=NONE)
    conn.silent()
    conn.read(0, 1)


@slow
@own()
def test_silent_initiator_is_pinged_and_not_dropped(target):
    """iPXE never answers a ping and must live on."""
    conn = target.session()
    conn.sock.settimeout(40)
    sn = conn.exp_stat_sn
    pings = [conn.recv() for _ in range(2)]
    for pdu in pings:
        assert pdu.itt == NONE and pdu.ttt != NONE and not pdu.data
        assert pdu.stat_sn == sn
    conn.send(NOP_OUT | 0x40, w20=pings[1].ttt, itt=NONE)
    conn.silent()
    conn.read(0, 1)


# --- logout ---

def test_logout_reasons(target):
    conn = target.session()
    assert conn.logout(reason=1, cid=77).b2 == 1     # no such CID
    assert conn.logout(reason=2).b2 == 2             # no recovery
    conn.send(6 | 0x40, flags=F | 3)
    assert conn.recv().b2 == 9
    conn.read(0, 1)
    assert conn.logout(reason=1, cid=0).b2 == 0
    assert conn.expect_closed() == []
    conn = target.session()
    assert conn.logout(reason=0, cid=99).b2 == 0
    conn.expect_closed()


def test_logout_waits_for_running_commands(target):
    conn = target.session()
    target.stall()
    itt = conn.command(rw10(0x28, 0, 1), flags=R | F, edtl=512)
    conn.send(6 | 0x40, flags=F)
    conn.silent()
    target.stall()
    assert conn.expect(DATA_IN).itt == itt
    assert conn.expect(LOGOUT_RSP).b2 == 0
    conn.expect_closed()


def test_logout_ends_writes_without_data(target):
    conn = target.session(InitialR2T="Yes")
    conn.command(rw10(0x2A, 0, 128), flags=W | F, edtl=65536)
    conn.expect(R2T)
    assert conn.logout().b2 == 0
    conn.expect_closed()


def test_bytes_behind_a_logout_do_no_harm(target):
    conn = target.session()
    try:
        conn.raw(conn.build(6 | 0x40) + noise())
        conn.expect_closed()    # the response may be lost in a TCP reset
    except Closed:
        pass
    target.alive()


def noise():
    return bytes(range(256)) * 4000


# --- reinstatement ---

def relogin(target, old):
    conn = target.connect()
    conn.isid = old.isid
    return conn.login()


def test_same_isid_replaces_the_session(target):
    old = target.session()
    new = relogin(target, old).ready()
    old.expect_closed()
    assert new.tsih != old.tsih
    new.read(0, 1)


def test_other_isid_target_or_name_does_not(target):
    old = target.session()
    target.session()
    conn = target.connect()
    conn.isid = old.isid
    conn.login(target=TARGET + "1").ready()
    conn = target.connect()
    conn.isid = old.isid
    conn.login(initiator=HOST + "-other").ready()
    old.read(0, 1)


def test_old_writes_never_land_after_the_new_login(target):
    """32 writes stand at a stalled disk; the new session has to wait."""
    old = target.session()
    for i in range(32):
        old.command(rw10(0x2A, 8 * i, 8), flags=W | F, edtl=4096,
                    data=b"old!" * 1024)
    old.command(rw10(0x2A, 512, 128), flags=W | F, edtl=65536)
    target.stall()
    for i in range(32):
        old.command(rw10(0x2A, 8 * i, 8), flags=W | F, edtl=4096,
                    data=b"late" * 1024)
    new = target.connect()
    new.isid = old.isid
    pairs = new.names(TARGET, HOST)
    new.login_request(pairs, 1, 3)
    new.silent(0.5)               # not before the old commands have ended
    target.stall()
    status, _, pdu = new.login_response()
    assert status == 0
    new.enter(pdu).ready()
    image = new.read(0, 256)
    for i in range(32):
        assert new.write(8 * i, b"new!" * 1024, immediate=4096).status == 0
    time.sleep(0.3)
    assert new.read(0, 256) == b"new!" * 32768
    assert image


def test_cut_connection_frees_everything(target):
    for _ in range(50):
        conn = target.session(InitialR2T="Yes")
        conn.command(rw10(0x2A, 0, 128), flags=W | F, edtl=65536)
        conn.command(rw10(0x28, 0, 2048), flags=R | F, edtl=1 << 20)
        conn.close()
    target.alive()


# --- live changes ---

@own("-l", 2)
def test_unmapping_keeps_the_session(target):
    conn = target.session()
    target.unmap()
    pdu, _ = conn.scsi(rw10(0x28, 0, 1), 512)
    assert pdu.status == 2 and pdu.sense() == (5, 0x2500), pdu.sense()
    assert target.connect().round(conn.names(TARGET, HOST), 1, 3)[0] == 0x202
    target.unmap()
    conn.ready()
    conn.read(0, 1)


@own("-l", 1)
def test_configuration_may_change_during_a_login(target):
    for stage in (0, 1):
        conn = target.connect()
        pairs = conn.names(TARGET, HOST)
        assert conn.round(pairs, stage)[0] == 0
        target.unmap()
        assert conn.round([], stage, 3)[0] == 0x0202
        target.unmap()
        conn = target.connect()
        assert conn.round(pairs, stage)[0] == 0
        target.unmap()
        target.unmap()
        status, _, pdu = conn.round([], stage, 3)
        assert status == 0
        conn.enter(pdu).ready().read(0, 1)


def test_logout_right_behind_a_write_that_owes_data(target):
    conn = target.session(InitialR2T="Yes", ImmediateData="No")
    write = conn.build(COMMAND, flags=W | F | 1, itt=77, w20=65536,
                       cmd_sn=conn.next_cmd_sn(),
                       tail=bytes(rw10(0x2A, 0, 128)).ljust(16, b"\0"))
    conn.raw(write + conn.build(LOGOUT | IMMEDIATE, flags=F))
    while conn.recv().opcode != LOGOUT_RSP:
        pass
    conn.expect_closed()


def test_data_of_a_write_that_another_host_reset(target):
    conn = target.session(InitialR2T="Yes", ImmediateData="No")
    other = target.session(initiator=HOST + "2")
    itt = conn.command(rw10(0x2A, 0, 128), flags=W | F, edtl=65536)
    r2t = conn.expect(R2T)
    other.tmf(LUN_RESET, lun=0)
    other.expect(TMF_RSP)
    assert conn.expect(RESPONSE).status == 0x40
    conn.data_out(itt, bytes(65536), ttt=r2t.ttt)   # it was on its way
    conn.silent()


@own()
def test_stop_asks_for_logout_first(target):
    conn = target.session()
    target.process.send_signal(signal.SIGTERM)
    pdu = conn.expect(ASYNC)
    assert pdu.w36 >> 24 == 1 and pdu.itt == NONE
    conn.read(0, 1)              # still served
    assert conn.logout().b2 == 0
    conn.expect_closed()
    assert target.process.wait(timeout=2) == 0


@own()
def test_stop_does_not_wait_for_ever(target):
    conn = target.session()
    target.process.send_signal(signal.SIGTERM)
    start = time.monotonic()
    conn.expect_closed()
    assert target.process.wait(timeout=5) == 0
    assert 2 < time.monotonic() - start < 5
