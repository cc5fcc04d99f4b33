#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What must be refused with a clear text while the service goes on:
configuration files, taken ports, foreign disks, hostile requests."""
import json
import os
import shutil
import socket
import subprocess
import sys

sys.dont_write_bytecode = True
from box import DOZOCTL, ENV, Box, Session, receive, request, run_tests


# --- dozo.conf ---

def refused_conf(text, *wanted):
    with Box(start=False) as b:
        b.write_conf(text=text)
        said = b.refuse()
        for want in wanted:
            assert want in said, f"no \"{want}\" in: {said}"


def test_an_unknown_key_is_named_with_line_and_neighbour():
    refused_conf("# a comment\nstate-dir = /tmp/x\n", "dozo.conf:2:",
                 'unknown key "state-dir"', '"state-directory"')


def test_a_key_like_nothing_points_to_the_manual():
    refused_conf("xyzzy = 1\n", "dozo.conf:1:", "dozo.conf(5)")


def test_a_syntax_error_is_named_with_its_line():
    refused_conf("log-level = info\nwhat is this\n", "dozo.conf:2:",
                 'not "key = value"')


def test_a_section_is_refused():
    refused_conf("[iscsi]\nlisten = *\n", "there are no sections: [iscsi]")


def test_bad_values_are_refused():
    refused_conf("listen = 300.1.1.1\n", "dozo.conf:1:", "not an IP address")
    refused_conf("listen = 127.0.0.1:99999\n", "not a port number")
    refused_conf("listen =\n", "no address given")
    refused_conf("log-level = loud\n", "none of error, warning, info, debug")
    refused_conf("state-directory = relative\n", "not an absolute path")
    refused_conf("page-port = -1\n", "not a port number")


def test_a_missing_configuration_is_said():
    with Box(start=False) as b:
        b.conf = b.path("none.conf")
        assert "cannot read" in b.refuse()


# --- ports, directories, two daemons ---

def test_a_port_in_use_is_named():
    with Box(start=False) as b, socket.socket() as s:
        s.bind(("127.0.0.1", b.port))
        s.listen()
        said = b.refuse()
        assert str(b.port) in said and "in use" in said, said
        assert "ss -ltnp" in said or "Stop what listens" in said, said


def test_a_state_directory_without_permission_is_named():
    with Box(start=False) as b:
        os.chmod(b.dir, 0o755)
        os.mkdir(b.path("state"), 0o700)
        if os.getuid() == 0:
            said = b.refuse(user=65534, group=65534, extra_groups=[])
        else:
            os.chmod(b.path("state"), 0)
            said = b.refuse()
        assert b.path("state") in said and "ermission denied" in said, said
        assert "state-directory" in said, said


def test_a_state_directory_that_is_a_file_is_named():
    with Box(start=False) as b:
        open(b.path("state"), "w").close()
        assert "ot a directory" in b.refuse()


def test_two_daemons_on_one_state_are_refused():
    with Box() as b:
        said = b.refuse()
        assert f"pid {b.proc.pid}" in said, said
        b.ok("status")


def test_two_daemons_on_the_same_disks_are_refused():
    with Box() as a, Box() as b:
        a.pool()
        a.lun()
        disks = a.disks()
        b.fails(4, "has something on it", "pool", "create", "other",
                "--disk", *disks, "--wait")
        b.fails(4, "in use", "pool", "create", "other", "--disk", *disks,
                "--force", "--wait")
        b.fails(3, "in use", "pool", "import", "--disk", *disks)
        assert b.get("pool", "list") == []
        assert Session(a).alive()


def test_a_broken_document_is_refused_and_history_named():
    with Box() as b:
        b.ok("target", "create", "t")
        b.stop()
        with open(b.path("state/config.json"), "w") as f:
            f.write('{"format": 1,')
        said = b.refuse()
        assert "configuration: line 1" in said and "history" in said, said


# --- disks ---

def test_a_disk_with_something_on_it_is_refused():
    if shutil.which("mkfs.ext4", path=ENV["PATH"]) is None:
        return "mkfs.ext4 is not installed"
    with Box() as b:
        disks = b.disks()
        subprocess.run(["mkfs.ext4", "-q", "-F", "-L", "family", disks[1]],
                       check=True, env=ENV)
        before = open(disks[1], "rb").read(1 << 20)
        reply = b.fails(4, "has something on it: ext4 family", "pool",
                        "create", "tank", "--disk", *disks, "--wait")
        assert disks[1] in reply.err and "--force" in reply.err
        assert open(disks[1], "rb").read(1 << 20) == before
        assert b.get("pool", "list") == []
        shown = b.get("disk", "show", disks[1])
        assert shown["contents"] == "ext4 family", shown
        b.ok("pool", "create", "tank", "--disk", *disks, "--force", "--wait")


def test_a_partition_table_is_refused():
    with Box() as b:
        disks = b.disks()
        mbr = bytearray(512)
        mbr[446:462] = bytes([0, 0, 2, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 80, 0,
                              0])
        mbr[510:512] = b"\x55\xaa"
        with open(disks[0], "r+b") as f:
            f.write(mbr)
        b.fails(4, "dos partition table", "pool", "create", "tank", "--disk",
                *disks, "--wait")


def test_members_of_a_pool_are_refused():
    with Box() as b:
        b.pool()
        other = b.disks(2, prefix="x")
        b.fails(4, "belongs to pool tank", "pool", "create", "two", "--disk",
                b.path("d0.img"), *other, "--force", "--wait")
        b.ok("pool", "export", "tank")
        b.fails(4, "linux_raid_member dozo:tank", "pool", "create", "two",
                "--disk", b.path("d0.img"), *other, "--wait")


def test_one_disk_under_two_names_is_refused():
    with Box() as b:
        disks = b.disks()
        os.symlink(disks[0], b.path("alias"))
        b.fails(2, "are the same disk", "pool", "create", "tank", "--disk",
                *disks, b.path("alias"), "--wait")
        b.fails(2, "is given twice", "pool", "create", "tank", "--disk",
                *disks, disks[0], "--wait")


def test_bad_pools_are_refused():
    with Box() as b:
        disks = b.disks()
        b.fails(2, "needs 3 to 16 disks", "pool", "create", "tank", "--disk",
                *disks[:2])
        b.fails(3, "no disk or image file", "pool", "create", "tank",
                "--disk", *disks[:2], "/dev/none")
        b.fails(3, "no disk or image file", "pool", "create", "tank",
                "--disk", *disks[:2], "/dev/null")
        b.fails(2, "power of two", "pool", "create", "tank", "--disk",
                *disks, "--chunk", "48K")
        b.fails(5, "is not known", "pool", "create", "tank", "--disk",
                *disks, "--level", "raid9")
        b.fails(2, "no consistency policy", "pool", "create", "tank",
                "--disk", *disks, "--policy", "hope")
        assert b.get("pool", "list") == []


def test_a_member_cut_short_is_left_out_loudly():
    with Box() as b:
        b.pool()
        b.lun()
        b.stop()
        os.truncate(b.path("d1.img"), 1 << 20)
        b.start()
        status = b.ctl("status")
        assert status.status == 5 and "degraded" in status.out, status
        assert "d1.img" in b.log_text()
        assert Session(b).alive()


def test_a_missing_member_starts_degraded_and_says_so():
    with Box() as b:
        b.pool()
        b.lun()
        b.stop()
        os.rename(b.path("d2.img"), b.path("away"))
        b.start()
        assert "d2.img" in b.ctl("pool", "status", "tank").out
        assert b.ctl("status").status == 5
        assert Session(b).alive()


def test_a_missing_pool_keeps_no_other_from_being_served():
    with Box() as b:
        b.pool()
        b.pool("other", prefix="o")
        b.lun()
        b.lun("other/v", target="o")
        b.stop()
        for i in range(3):
            os.rename(b.path(f"o{i}.img"), b.path(f"away{i}"))
        b.start()
        status = b.ctl("status")
        assert status.status == 5
        assert "pool other is not served" in status.out, status.out
        assert Session(b).alive()
        b.fails(5, "is not open", "volume", "create", "other/v", "1M")
        # An initiator is asked to try again, not turned away for good.
        assert Session(b, target="iqn.2026-01.org.dozo:o").status == 3
        for i in range(3):
            os.rename(b.path(f"away{i}"), b.path(f"o{i}.img"))
        b.ok("pool", "start", "other")
        b.ok("status")
        assert Session(b, target="iqn.2026-01.org.dozo:o").alive()


def test_faults_are_injected_only_if_allowed():
    with Box() as b:
        b.pool()
        b.fails(5, "--fault-injection", "disk", "fault", b.path("d0.img"),
                "--kind", "error")
    with Box(start=False) as b:
        b.options = ["--fault-injection"]
        b.start()
        b.pool()
        b.lun()
        s = Session(b)
        b.fails(2, "no fault", "disk", "fault", b.path("d0.img"), "--kind",
                "smoke")
        b.ok("disk", "fault", b.path("d0.img"), "--kind", "error")
        for lba in range(0, 2048, 128):
            status, _ = s.command([0x88, 0, 0, 0, 0, 0, 0, 0, lba >> 8,
                                   lba & 255, 0, 0, 0, 1, 0, 0])
            assert status in (0, 2)
        member = b.get("pool", "status", "tank")["members"][0]
        assert member["read_errors"] > 0 or member["state"] == "faulty", \
            member
        b.ok("disk", "fault", b.path("d0.img"), "--kind", "clear")


# --- the control socket ---

def test_garbage_gets_an_error_and_the_connection_goes_on():
    with Box() as b, b.connect() as s:
        for line in (b"garbage", b"[]", b"17", b'"x"', b"{", b"{}}",
                     b'{"verb": 7}', b'{"verb": "no.such"}', b"\xff\xfe\x00",
                     b'{"verb":"status","verb":"ops"}',
                     b'{"verb":"status","args":[]}',
                     b'{"verb":"status","args":{"x":1}}',
                     b'{"verb":"target.create","args":{"name":"a\\u0000b"}}',
                     b'{"verb":"status","dry_run":"yes"}',
                     b"[" * 100000, b'{"a":' * 50000):
            s.sendall(line + b"\n")
            answer = receive(s)
            assert answer["ok"] is False, (line[:40], answer)
            assert answer["error"]["code"] == "invalid", answer
            assert answer["error"]["text"]
        s.sendall(b"\n\n")
        assert request(s, "version")["ok"]


def test_an_endless_line_closes_only_its_connection():
    with Box() as b, b.connect() as other:
        with b.connect() as s:
            try:
                for _ in range(80):
                    s.sendall(b"x" * 65536)
            except OSError:
                pass
            try:
                answer = receive(s)
            except OSError:
                answer = None
            assert answer is None or answer["ok"] is False
        assert request(other, "version")["ok"]


def test_wrong_types_never_get_through():
    values = [None, 7, -7, 1.5, True, "", "x" * 5000, "a/b/c", "../..", [],
              {}, [1], ["x"] * 65, [[]], {"a": {}}, 2 ** 60, "\x01\x7f"]
    with Box() as b, b.connect() as s:
        b.pool()
        b.lun()
        before = b.get("config", "export")
        verbs = subprocess.run([DOZOCTL, "--help"], capture_output=True,
                               text=True).stdout
        names = [line[2:20].strip().replace(" ", ".")
                 for line in verbs.splitlines() if line.startswith("  ")]
        args = ["name", "volume", "size", "disk", "path", "host", "target",
                "lun", "iqn", "id", "force", "document", "pool", "chunk",
                "network", "address", "tag", "kind", "write_policy", "since",
                "generation", "device", "level", "policy", "read_only"]
        sent = 0
        for name in names:
            if name == "events":
                continue
            for value in values:
                answer = request(s, name, {a: value for a in args},
                                 dry_run=True)
                assert "ok" in answer, answer
                for arg in args:
                    answer = request(s, name, {arg: value}, dry_run=True)
                    sent += 1
                    assert "ok" in answer or "job" in answer
        assert sent > 10000
        assert b.get("config", "export") == before
        assert b.alive() and Session(b).alive()


def test_connections_beyond_the_limit_are_refused_and_service_goes_on():
    with Box() as b:
        conns = [b.connect() for _ in range(100)]
        closed = 0
        for s in conns:
            try:
                s.settimeout(5)
                if request(s, "version") is None:
                    closed += 1
            except OSError:
                closed += 1
        assert 30 <= closed <= 40, closed
        for s in conns:
            s.close()
        b.ok("version")


def test_half_a_line_and_a_hang_up_are_harmless():
    with Box() as b:
        for line in (b"", b'{"verb":', b'{"verb":"status"}\n'):
            with b.connect() as s:
                s.sendall(line)
        with b.connect() as s:
            s.sendall(b'{"verb":"version"}\n')
            s.shutdown(socket.SHUT_WR)
            assert receive(s)["ok"]
        b.ok("version")


def test_a_client_that_does_not_read_is_closed():
    with Box() as b, b.connect() as s:
        line = json.dumps({"verb": "config.export"}).encode() + b"\n"
        s.settimeout(1)
        try:
            for _ in range(200000):
                s.sendall(line)
        except OSError:
            pass
        b.ok("version")


if __name__ == "__main__":
    run_tests(globals())
