#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Objects of the control protocol: create, list, change, delete; what is
idempotent, refused, dry, live."""
import json
import os
import re
import sys

sys.dont_write_bytecode = True
from box import Box, Session, run_tests


def test_create_twice_is_one_object_and_says_so():
    with Box() as b:
        b.pool()
        for words in (["volume", "create", "tank/v", "16M"],
                      ["target", "create", "t"],
                      ["host", "create", "h", "--iqn", "iqn.2026-01.x:a"],
                      ["map", "tank/v", "--host", "h", "--target", "t"],
                      ["portal", "add", f"127.0.0.2:{b.port}"]):
            assert b.ok(*words, "--json").json()["changed"] is True, words
            assert b.ok(*words, "--json").json()["changed"] is False, words
        again = b.ok("pool", "create", "tank", "--disk", *b.disks(), "--json",
                     "--wait").json()
        assert again["changed"] is False
        assert len(b.get("volume", "list")) == 1


def test_create_with_other_parameters_is_a_conflict():
    with Box() as b:
        b.pool()
        b.lun()
        b.ok("host", "create", "h", "--iqn", "iqn.2026-01.x:a")
        b.fails(4, "exists and has 16 MiB", "volume", "create", "tank/v",
                "17M")
        b.fails(4, "exists and has the IQN", "target", "create", "t",
                "--iqn", "iqn.2026-01.x:other")
        b.fails(4, "exists and is different", "host", "create", "h",
                "--iqn", "iqn.2026-01.x:b")
        b.fails(4, "as LUN 0 already", "map", "tank/v", "--host", "any",
                "--target", "t", "--lun", "5")
        b.fails(4, "exists and has other disks", "pool", "create", "tank",
                "--disk", *b.disks(3, prefix="x"))
        again = ("pool", "create", "tank", "--disk", *b.disks())
        b.fails(4, "has chunks of 64 KiB", *again, "--chunk", "128K")
        b.fails(4, "has extents of 1 MiB", *again, "--extent", "512K")
        b.fails(4, "has the consistency policy ppl", *again, "--policy",
                "bitmap")
        b.ok("pool", "set", "tank", "--policy", "resync")
        b.fails(4, "has the consistency policy resync", *again, "--policy",
                "ppl")
        for more in ([], ["--level", "raid5", "--chunk", "64K", "--extent",
                          "1M", "--policy", "resync"]):
            assert "changed: no" in b.ok(*again, *more).out, more


def test_delete_of_what_is_absent_is_fine():
    with Box() as b:
        b.pool()
        for words in (["volume", "delete", "tank/none"],
                      ["volume", "delete", "none/none"],
                      ["target", "delete", "none"],
                      ["host", "delete", "none"],
                      ["portal", "remove", "127.0.0.9:3299"],
                      ["unmap", "tank/none", "--host", "any", "--target",
                       "none"],
                      ["pool", "delete", "none"], ["pool", "export", "none"]):
            assert b.ok(*words, "--json").json()["changed"] is False, words


def test_names_are_checked():
    with Box() as b:
        b.pool()
        for name in ("", "UPPER", "a_b", "a" * 64, "ä", "a b", "../x"):
            b.fails(2, "cannot name a", "target", "create", name)
        b.ok("target", "create", "a" * 63)
        b.fails(2, "POOL/NAME", "volume", "create", "v", "1M")
        b.fails(2, "cannot name a", "volume", "create", "tank/V", "1M")


def test_sizes_are_checked():
    with Box() as b:
        b.pool()
        for size in ("0", "-1", "1X", "ten", "1.5", "99999999999T"):
            assert b.ctl("volume", "create", "tank/v", size).status == 2, size
        b.fails(5, "", "volume", "create", "tank/v", "100T")
        b.ok("volume", "create", "tank/v", "1.5M")
        assert b.get("volume", "show", "tank/v")["size"] == str(3 << 19)


def test_luns_are_the_lowest_free_and_unique_per_host_and_target():
    with Box() as b:
        b.pool()
        b.ok("target", "create", "t")
        b.ok("target", "create", "u")
        for v in "abc":
            b.ok("volume", "create", f"tank/{v}", "1M")
            b.ok("map", f"tank/{v}", "--host", "any", "--target", "t")
        luns = {m["volume"]: m["lun"] for m in b.get("map", "list")}
        assert luns == {"a": 0, "b": 1, "c": 2}, luns
        b.ok("unmap", "tank/b", "--host", "any", "--target", "t")
        b.ok("volume", "create", "tank/d", "1M")
        b.ok("map", "tank/d", "--host", "any", "--target", "t")
        assert {m["volume"]: m["lun"] for m in b.get("map", "list")}["d"] == 1
        reply = b.fails(4, "is tank/a", "map", "tank/b", "--host", "any",
                        "--target", "t", "--lun", "0")
        assert "lowest free one is 3" in reply.err
        b.ok("map", "tank/b", "--host", "any", "--target", "u", "--lun", "0")
        b.fails(2, "a LUN is 0 to 255", "map", "tank/d", "--host", "any",
                "--target", "u", "--lun", "256")


def test_map_names_what_is_missing():
    with Box() as b:
        b.pool()
        b.ok("volume", "create", "tank/v", "1M")
        b.fails(3, "no target t", "map", "tank/v", "--host", "any",
                "--target", "t")
        b.ok("target", "create", "t")
        b.fails(3, "no host h", "map", "tank/v", "--host", "h", "--target",
                "t")
        b.fails(3, "no volume tank/w", "map", "tank/w", "--host", "any",
                "--target", "t")
        b.fails(3, "no pool none", "map", "none/w", "--host", "any",
                "--target", "t")


def test_a_mapped_volume_is_not_deleted():
    with Box() as b:
        b.pool()
        b.lun()
        reply = b.fails(4, "mapped to host any on target t as LUN 0",
                        "volume", "delete", "tank/v")
        assert "dozoctl unmap tank/v --host any --target t" in reply.err
        b.ok("unmap", "tank/v", "--host", "any", "--target", "t")
        b.ok("volume", "delete", "tank/v")
        assert b.get("volume", "list") == []


def test_etag_guards_a_change():
    with Box() as b:
        b.pool()
        b.lun()
        tag = b.get("target", "list")[0]["etag"]
        b.fails(4, "changed meanwhile", "target", "delete", "t",
                "--if-match", "0" * 16)
        b.ok("target", "delete", "t", "--if-match", tag)
        old = b.get("volume", "show", "tank/v")["etag"]
        b.ok("volume", "grow", "tank/v", "20M", "--if-match", old)
        b.fails(4, "changed meanwhile", "volume", "grow", "tank/v", "24M",
                "--if-match", old)


def test_a_dry_run_changes_nothing():
    with Box() as b:
        b.pool()
        b.lun()
        b.ok("volume", "create", "tank/w", "1M")
        b.ok("host", "create", "h", "--iqn", "iqn.2026-01.x:a")
        before = b.get("config", "export"), b.get("volume", "list")
        for words in (["volume", "create", "tank/x", "1M"],
                      ["volume", "grow", "tank/v", "20M"],
                      ["volume", "rename", "tank/v", "y"],
                      ["volume", "set", "tank/v", "--write-policy",
                       "durable"],
                      ["volume", "delete", "tank/w"],
                      ["target", "create", "u"],
                      ["target", "delete", "t"],
                      ["host", "create", "i", "--network", "192.0.2.0/24"],
                      ["host", "delete", "h"],
                      ["map", "tank/w", "--host", "any", "--target", "t"],
                      ["unmap", "tank/v", "--host", "any", "--target", "t"],
                      ["portal", "add", "127.0.0.2:3999"],
                      ["pool", "create", "two", "--disk",
                       *b.disks(3, prefix="x")],
                      ["pool", "stop", "tank"],
                      ["disk", "fail", b.path("d0.img")]):
            b.ok(*words, "--dry-run")
            assert (b.get("config", "export"),
                    b.get("volume", "list")) == before, words
        b.fails(5, "", "volume", "create", "tank/x", "100T", "--dry-run")
        b.fails(4, "mapped", "volume", "delete", "tank/v", "--dry-run")


def test_changes_leave_other_sessions_alone():
    with Box() as b:
        b.pool()
        b.lun()
        with_session = Session(b)
        assert with_session.status == 0 and with_session.alive()
        b.ok("volume", "create", "tank/w", "8M")
        b.ok("target", "create", "u")
        b.ok("host", "create", "h", "--iqn", "iqn.2026-01.x:a")
        b.ok("map", "tank/w", "--host", "h", "--target", "u")
        b.ok("map", "tank/w", "--host", "any", "--target", "t")
        assert with_session.alive(0) and with_session.alive(1)
        b.ok("portal", "add", f"127.0.0.2:{b.port}")
        b.ok("portal", "remove", f"127.0.0.2:{b.port}")
        b.ok("volume", "rename", "tank/w", "x")
        b.ok("volume", "set", "tank/x", "--write-policy", "durable")
        b.ok("target", "delete", "u")
        b.ok("host", "delete", "h")
        b.ok("unmap", "tank/x", "--host", "any", "--target", "t")
        b.ok("volume", "delete", "tank/x")
        assert with_session.alive()
        assert len(b.get("sessions")) == 1


def test_growing_is_seen_by_a_session():
    with Box() as b:
        b.pool()
        b.lun()
        s = Session(b)
        assert s.capacity() == 16 << 20
        b.ok("volume", "grow", "tank/v", "24M")
        assert s.capacity() == 24 << 20
        b.fails(2, "cannot shrink", "volume", "grow", "tank/v", "8M")
        b.ok("volume", "grow", "tank/v", "24M")


def test_a_target_in_use_is_deleted_by_force_only():
    with Box() as b:
        b.pool()
        b.lun()
        s = Session(b)
        reply = b.fails(4, "1 session uses target t", "target", "delete", "t")
        assert "iqn.2026-01.test:initiator" in reply.err
        assert s.alive()
        b.ok("target", "delete", "t", "--force")
        try:
            s.alive()
            raise AssertionError("the session goes on")
        except (EOFError, ConnectionError):
            pass
        assert b.get("map", "list") == []


def test_a_session_is_dropped():
    with Box() as b:
        b.pool()
        b.lun()
        s = Session(b)
        number = b.get("sessions")[0]["id"]
        b.ok("session", "drop", number)
        try:
            s.alive()
            raise AssertionError("the session goes on")
        except (EOFError, ConnectionError):
            pass
        assert b.ok("session", "drop", 4711,
                    "--json").json()["changed"] is False


def test_hosts_decide_who_gets_in():
    with Box() as b:
        b.pool()
        b.ok("host", "create", "h", "--iqn", "iqn.2026-01.test:good*")
        b.lun(host="h")
        assert Session(b, name="iqn.2026-01.test:good-1").status == 0
        assert Session(b, name="iqn.2026-01.test:bad").status == 2
        knocks = b.get("knocks")
        assert knocks[0]["initiator"] == "iqn.2026-01.test:bad", knocks
        b.ok("map", "tank/v", "--host", "any", "--target", "t")
        assert Session(b, name="iqn.2026-01.test:bad").status == 0


def test_secrets_go_in_and_never_come_out():
    with Box() as b:
        with open(b.path("secret"), "w") as f:
            f.write("file-secret-0123\n")
        b.ok("host", "create", "f", "--iqn", "iqn.2026-01.x:f", "--chap-user",
             "u", "--chap-secret-file", b.path("secret"))
        b.ok("host", "create", "s", "--iqn", "iqn.2026-01.x:s", "--chap-user",
             "u", "--chap-secret-file", "-", "--mutual-user", "m",
             "--mutual-secret", "mutual-secret-01", stdin="stdin-secret-01\n")
        shown = (b.ok("host", "list").out + json.dumps(b.get("host", "list")) +
                 json.dumps(b.get("config", "export")) + b.log_text() +
                 json.dumps(b.get("events")))
        assert "secret-0" not in shown
        hosts = b.get("config", "export", "--secrets")["hosts"]
        secrets = [h["chap"]["secret"] for h in hosts]
        assert secrets == ["file-secret-0123", "stdin-secret-01"], secrets
        assert os.stat(b.path("state/config.json")).st_mode & 0o77 == 0
        b.ok("host", "create", "f", "--iqn", "iqn.2026-01.x:f", "--chap-user",
             "u", "--chap-secret", "file-secret-0123")
        b.fails(4, "is different", "host", "create", "f", "--iqn",
                "iqn.2026-01.x:f", "--chap-user", "u", "--chap-secret",
                "other-secret-0123")


def test_the_support_bundle_has_all_but_secrets():
    secrets = ["in-secret-0123", "out-secret-012", "password-of-mine"]
    with Box() as b:
        b.pool()
        b.lun()
        b.ok("host", "create", "h", "--iqn", "iqn.2026-01.x:a", "--chap-user",
             "u", "--chap-secret", secrets[0], "--mutual-user", "m",
             "--mutual-secret", secrets[1])
        b.ok("user", "create", "me", "--role", "admin", "--password",
             secrets[2])
        secrets.append(b.ok("token", "create", "t", "--role", "viewer",
                            "--json").json()["token"])
        doc = b.get("config", "export", "--secrets")
        secrets += [doc["users"][0]["hash"], doc["tokens"][0]["hash"]]
        text = b.ok("support-bundle").out
        for secret in secrets:
            assert len(secret) > 12 and secret not in text, secret
        bundle = json.loads(text)
        assert bundle["config"]["hosts"][0]["name"] == "h"
        assert bundle["status"]["health"] == "healthy"
        assert [d["pool"] for d in bundle["disks"] if d["kind"] == "file"
                and d["present"]] == ["tank"] * 3, bundle["disks"]
        assert all(bundle[key] is not None for key in bundle), bundle.keys()
        assert any("serves" in x["text"] for x in bundle["log"])
        assert len(b.get("log", "--lines", "1")) == 1


def test_a_host_is_changed_while_others_stay():
    with Box() as b:
        b.pool()
        b.ok("host", "create", "h", "--iqn", "iqn.2026-01.test:old")
        b.lun(host="h")
        with Session(b, name="iqn.2026-01.test:old") as old:
            assert old.alive()
            dry = b.ok("host", "set", "h", "--iqn", "iqn.2026-01.test:new",
                       "--dry-run", "--json").json()
            assert dry["changed"] is True and old.alive()
            b.ok("host", "set", "h", "--preset", "vmware")
            assert old.alive()
        b.ok("host", "set", "h", "--iqn", "iqn.2026-01.test:new")
        assert Session(b, name="iqn.2026-01.test:old").status == 2
        assert Session(b, name="iqn.2026-01.test:new").status == 0
        host = b.get("host", "list")[0]
        assert host["preset"] == "vmware", host
        b.ok("host", "set", "h", "--chap-user", "u", "--chap-secret",
             "0123456789ab")
        assert Session(b, name="iqn.2026-01.test:new").status != 0
        b.ok("host", "set", "h", "--chap-user", "other")
        secrets = b.get("config", "export", "--secrets")["hosts"][0]["chap"]
        assert secrets == {"user": "other", "secret": "0123456789ab"}
        assert b.ok("host", "set", "h", "--chap-user", "other",
                    "--json").json()["changed"] is False
        b.ok("host", "set", "h", "--no-chap")
        assert Session(b, name="iqn.2026-01.test:new").status == 0
        etag = b.get("host", "list")[0]["etag"]
        b.ok("host", "set", "h", "--preset", "linux", "--if-match", etag)
        b.fails(4, "changed", "host", "set", "h", "--preset", "windows",
                "--if-match", etag)
        b.fails(3, "no host none", "host", "set", "none", "--preset", "linux")
        b.fails(3, "can be changed", "host", "set", "any", "--preset",
                "linux")
        b.fails(2, "no preset", "host", "set", "h", "--preset", "amiga")
        assert b.call("host.set", {"name": "h", "iqn": []})["error"][
            "text"].endswith("would be every initiator")


def test_any_beside_chap_is_warned_of():
    with Box() as b:
        b.pool()
        b.ok("host", "create", "h", "--iqn", "iqn.2026-01.x:a", "--chap-user",
             "u", "--chap-secret", "0123456789ab")
        b.ok("host", "create", "open", "--iqn", "iqn.2026-01.x:b")
        b.lun(host="open")
        assert "warning" not in b.ok("map", "tank/v", "--host", "h",
                                     "--target", "t").out
        assert "although host h needs CHAP" in b.ok(
            "map", "tank/v", "--host", "any", "--target", "t").out
        b.ok("unmap", "tank/v", "--host", "h", "--target", "t")
        assert "warning" in b.ok("map", "tank/v", "--host", "h", "--target",
                                 "t", "--json").json()


def test_a_member_that_was_left_out_says_why_it_is_not_free():
    with Box() as b:
        b.pool(n=4)
        lost = b.path("d1.img")
        b.ok("disk", "fail", lost)
        b.ok("pool", "stop", "tank")
        b.ok("pool", "start", "tank")
        disk = b.ok("disk", "show", lost, "--json").json()
        assert "pool" not in disk, disk
        assert f"pool re-add tank --disk {lost}" in disk["note"], disk
        assert "note" not in b.ok("disk", "show", b.path("d0.img"),
                                  "--json").json()


def test_the_last_hour_is_shown():
    with Box() as b:
        b.pool()
        b.lun()
        assert b.get("history")[-1]["time_s"] > 0
        assert b.ok("history").out.startswith("TIME")
        b.fails(3, "no history of tank/none", "history", "tank/none")


def test_hosts_are_checked():
    with Box() as b:
        b.fails(2, "would be every initiator", "host", "create", "h")
        b.fails(2, "is not an iSCSI name", "host", "create", "h", "--iqn",
                "bob")
        b.fails(2, "is not a network", "host", "create", "h", "--network",
                "10.0.0.0/33")
        b.fails(2, "has 5 characters", "host", "create", "h", "--iqn",
                "iqn.2026-01.x:a", "--chap-user", "u", "--chap-secret",
                "short")
        b.fails(2, "both a user and a secret", "host", "create", "h",
                "--iqn", "iqn.2026-01.x:a", "--chap-user", "u")
        b.fails(2, "both CHAP secrets are the same", "host", "create", "h",
                "--iqn", "iqn.2026-01.x:a", "--chap-user", "u",
                "--chap-secret", "0123456789ab", "--mutual-user", "m",
                "--mutual-secret", "0123456789ab")
        b.fails(2, "no preset", "host", "create", "h", "--iqn",
                "iqn.2026-01.x:a", "--preset", "amiga")
        b.ok("host", "create", "any")
        b.fails(4, "built in", "host", "create", "any", "--network",
                "10.0.0.0/8")
        b.fails(4, "built in", "host", "delete", "any")


def test_portals_come_and_go():
    with Box() as b:
        b.ok("portal", "add", f"127.0.0.2:{b.port}")
        names = [p["portal"] for p in b.get("portal", "list")]
        assert f"127.0.0.2:{b.port}" in names and len(names) == 2
        b.fails(4, "portal is in", "portal", "remove", f"127.0.0.1:{b.port}")
        b.ok("portal", "remove", f"127.0.0.2:{b.port}")
        assert len(b.get("portal", "list")) == 1
        b.fails(2, "not an IP address", "portal", "add", "example.com")
        # An address that cannot be had is not kept.
        assert b.ctl("portal", "add", f"203.0.113.7:{b.port}").status != 0
        assert len(b.get("portal", "list")) == 1


def test_configuration_is_exported_and_imported():
    with Box() as b:
        b.pool()
        b.lun()
        b.ok("host", "create", "h", "--iqn", "iqn.2026-01.x:a", "--chap-user",
             "u", "--chap-secret", "0123456789ab")
        saved = b.ok("config", "export").out
        full = b.ok("config", "export", "--secrets").out
        b.ok("target", "create", "u")
        b.ok("host", "delete", "h")
        reply = b.ok("config", "import", "-", "--dry-run", stdin=full)
        assert "remove target u" in reply.out, reply
        assert "add host h" in reply.out, reply
        assert len(b.get("target", "list")) == 2
        # The secret was not exported and is gone: refused, not emptied.
        b.fails(2, "secret is missing", "config", "import", "-", stdin=saved)
        b.ok("config", "import", "-", stdin=full)
        assert [t["name"] for t in b.get("target", "list")] == ["t"]
        # The secret is still known, and so is the volume: no warning.
        assert b.ok("config", "import", "-", "--dry-run",
                    stdin=saved).out == "nothing changes\n"


def test_a_bad_document_is_refused_with_its_place():
    with Box() as b:
        b.pool()
        b.lun()
        good = b.get("config", "export")

        def refused(text, **change):
            doc = dict(good, **change)
            b.fails(2, text, "config", "import", "-", stdin=json.dumps(doc))
        refused("colour", colour="red")
        refused("targets[0].iqn", targets=[{"name": "t", "uuid":
                good["targets"][0]["uuid"], "iqn": 7}])
        refused("not an iSCSI name", targets=[{"name": "t", "uuid":
                good["targets"][0]["uuid"], "iqn": "bob"}])
        refused("which does not exist", targets=[])
        refused("is not a list", mappings={})
        refused("mappings[0].lun", mappings=[dict(good["mappings"][0],
                                                  lun=999)])
        refused("mappings[0].volume_uuid", mappings=[dict(
            good["mappings"][0], volume_uuid="x")])
        b.fails(5, "reads format 1", "config", "import", "-",
                stdin=json.dumps(dict(good, format=9)))
        b.fails(2, "-:2:2:", "config", "import", "-", stdin="{\n}}")
        assert b.get("config", "export") == good


def test_orphans_are_told_not_fatal():
    with Box() as b:
        b.pool()
        b.lun()
        doc = b.get("config", "export")
        doc["mappings"].append(dict(
            doc["mappings"][0], volume="gone", lun=1,
            volume_uuid="00000000-0000-4000-8000-000000000001"))
        b.ok("config", "import", "-", stdin=json.dumps(doc))
        status = b.ctl("status")
        assert status.status == 5 and "tank/gone is mapped" in status.out
        assert Session(b).alive()
        b.stop()
        b.start()
        assert Session(b).alive()
        b.ok("unmap", "tank/gone", "--host", "any", "--target", "t")
        b.ok("status")


def test_orphans_of_a_name_go_with_its_mapping():
    with Box() as b:
        b.pool()
        b.lun()
        doc = b.ok("config", "export").out
        where = ("tank/v", "--host", "any", "--target", "t")
        b.ok("unmap", *where)
        b.ok("volume", "delete", "tank/v")
        b.ok("volume", "create", "tank/v", "16M")
        # The document is older than the volume that has the name now.
        for more in (["--dry-run"], []):
            assert "warning: LUN 0 of host any on target t is not served" in \
                b.ok("config", "import", "-", *more, stdin=doc).out
        status = b.ctl("status").out
        assert "LUN 0 of host any on target t is a volume tank/v that does " \
            "not exist: the one of this name is another" in status, status
        b.ok("map", *where)
        assert [(m["lun"], m["orphan"]) for m in b.get("map", "list")] == \
            [(0, True), (1, False)]
        # With an ETag it is the one that is meant.
        args = dict(volume="tank/v", host="any", target="t")
        etags = [m["etag"] for m in b.get("map", "list")]
        reply = b.call("unmap", args, if_match="0" * 16)
        assert not reply["ok"] and reply["error"]["code"] == "changed"
        assert b.call("unmap", args, if_match=etags[0])["ok"]
        assert [m["etag"] for m in b.get("map", "list")] == etags[1:]
        b.ok("status")
        b.ok("config", "import", "-", stdin=doc)
        b.ok("map", *where)
        assert "changed: yes" in b.ok("unmap", *where).out
        assert b.get("map", "list") == []
        assert "changed: no" in b.ok("unmap", *where).out
        b.ok("status")


def test_history_keeps_thirty_documents():
    with Box() as b:
        for i in range(33):
            b.ok("target", "create", f"t{i}")
        history = b.get("config", "history")
        assert len(history) == 31 and history[-1]["current"] is True
        assert all(h["written_s"] > 0 for h in history), history
        kept = history[0]["generation"]
        old = b.get("config", "export", "--generation", kept)
        assert len(old["targets"]) == kept
        b.fails(3, "is not kept", "config", "export", "--generation", 1)


def test_what_never_was_or_will_be_has_no_date():
    with Box() as b:
        assert re.search(r"^0 +- +yes$", b.ok("config", "history").out, re.M)
        for name, days in (("a", []), ("b", ["--days", 0]),
                           ("c", ["--days", 9])):
            b.ok("token", "create", name, "--role", "viewer", *days)
        rows = [r.split()[:3] for r in
                b.ok("token", "list").out.splitlines()]
        assert [r[2] for r in rows[1:3]] == ["never", "never"], rows
        assert rows[3][2] > "2026" and rows[3][2] != "never", rows


def test_rescue_prints_device_mapper_tables():
    with Box() as b:
        b.pool()
        b.ok("volume", "create", "tank/v", "4M")
        table = b.get("rescue", "tank", "--device", "/dev/md7")[0]["table"]
        rows = [line.split() for line in table.splitlines()]
        assert all(r[2] == "linear" and r[3] == "/dev/md7" for r in rows)
        assert sum(int(r[1]) for r in rows) * 512 == 4 << 20


def test_rescue_says_that_a_pool_is_not_open():
    with Box() as b:
        assert b.get("rescue") == []
        b.pool()
        b.pool("other", prefix="o")
        b.ok("volume", "create", "tank/v", "4M")
        b.ok("volume", "create", "other/v", "4M")
        b.ok("pool", "stop", "tank")
        b.fails(5, "pool tank is not open", "rescue", "tank")
        some = b.ok("rescue")
        assert "# other/v" in some.out and "tank" not in some.out, some
        assert "pool tank is not open" in some.err, some
        b.ok("rescue", "other")
        b.ok("pool", "stop", "other")
        for words in ((), ("other",)):
            none = b.fails(5, "Keep the last ones", "rescue", *words)
            assert none.out == "", none
        rescue = b.get("support-bundle")["rescue"]
        assert "is not open" in rescue[0]["error"]["text"], rescue


def test_events_follow_changes():
    with Box() as b:
        with b.connect() as s:
            import box
            assert box.request(s, "events", {"follow": True})["ok"]
            b.ok("target", "create", "t")
            event = box.receive(s)
            assert event["event"] == "change" and \
                event["data"]["verb"] == "target.create", event
        seen = b.get("events")
        assert b.get("events", "--since", seen[-1]["seq"]) == []


def test_every_verb_has_help_and_a_table_or_page():
    with Box() as b:
        b.pool()
        b.lun()
        usage = b.ok("--help").out
        verbs = re.findall(r"^  ([a-z.]+(?: [a-z]+)?)  ", usage, re.M)
        assert len(verbs) > 40, verbs
        for verb in verbs:
            words = verb.split()
            assert "usage: dozoctl " + verb in b.ok(*words, "--help").out
        assert "1 volume, 1 target, 1 mapping, 0 sessions\n" in \
            b.ok("status").out
        for words in (["status"], ["status", "--short"], ["version"],
                      ["ops"], ["sessions"], ["knocks"], ["stats"],
                      ["events"], ["disk", "list"], ["pool", "list"],
                      ["pool", "status", "tank"], ["volume", "list"],
                      ["volume", "show", "tank/v"], ["target", "list"],
                      ["portal", "list"], ["host", "list"], ["map", "list"],
                      ["config", "history"], ["config", "export"],
                      ["rescue"], ["job", "list"], ["job", "show", "1"],
                      ["disk", "show", b.path("d0.img")]):
            assert b.ok(*words).out.strip(), words
            json.loads(b.ok(*words, "--json").out) if words[-1] != \
                "--short" else None


def test_events_name_the_object():
    with Box() as b:
        b.ok("target", "create", "store")
        b.fails(2, "is not an IP address", "portal", "add", "1.2.3")
        changes = [(e["data"]["verb"], e["data"]["object"], e["data"]["ok"])
                   for e in b.get("events") if e["event"] == "change"]
        assert ("target.create", "store", True) in changes, changes
        assert ("portal.add", "1.2.3", False) in changes, changes


def test_words_that_mean_nothing_get_a_hint():
    with Box() as b:
        b.fails(2, "dozoctl target list", "target", "lits")
        b.fails(2, "unknown option --nam", "target", "create", "x", "--nam")
        b.fails(2, "one argument too many", "target", "create", "x", "y")
        b.fails(2, "needs \"name\"", "target", "create")
        b.fails(2, "needs a value", "target", "create", "x", "--iqn")


def test_a_daemon_that_is_not_there_is_said():
    with Box(start=False) as b:
        b.fails(5, "cannot reach dozod", "status")


if __name__ == "__main__":
    run_tests(globals())
