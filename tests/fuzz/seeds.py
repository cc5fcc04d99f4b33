#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Write the first inputs of the fuzz targets: seeds.py CORPUS-DIRECTORY."""

import json
import os
import re
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "proto"))
from iscsi import rw10  # noqa: E402


def bhs(opcode, flags=0x80, data=b"", itt=1, w20=0xFFFFFFFF, cmd_sn=1,
        tail=b"", ahs=b"", lun=b"\0" * 8):
    head = struct.pack(">BBxxB3s8sIIII", opcode, flags, len(ahs) // 4,
                       len(data).to_bytes(3, "big"), lun, itt, w20, cmd_sn, 0)
    return head + tail.ljust(16, b"\0") + ahs + data + b"\0" * (-len(data) % 4)


def command(cdb, flags, edtl, data=b"", itt=1):
    return bhs(1, flags, data, itt, edtl, tail=cdb)


def data_out(itt, data, sn, off, ttt=0xFFFFFFFF, final=True):
    return bhs(5, 0x80 if final else 0, data, itt, ttt,
               tail=struct.pack(">4xIII", sn, off, 0))


LOGIN = (b"InitiatorName=iqn.i\0TargetName=iqn.t\0SessionType=Normal\0"
         b"AuthMethod=None\0")
KEYS = (b"HeaderDigest=None,CRC32C\0DataDigest=CRC32C,None\0InitialR2T=No\0"
        b"ImmediateData=Yes\0MaxBurstLength=262144\0FirstBurstLength=65536\0"
        b"MaxRecvDataSegmentLength=0x2000\0MaxConnections=1\0"
        b"DefaultTime2Wait=2\0ErrorRecoveryLevel=2\0MaxOutstandingR2T=8\0"
        b"iSCSIProtocolLevel=2\0TaskReporting=RFC3720\0IFMarker=No\0")
CHAP = (b"CHAP_A=8,7,6,5\0CHAP_N=user\0CHAP_R=0x0123456789abcdef\0"
        b"CHAP_I=7\0CHAP_C=0bq83vEjRWeJA=\0")

read = command(rw10(0x28, 0, 8), 0xC1, 4096)
write = command(rw10(0x2A, 0, 8), 0xA1, 4096, b"w" * 4096)
# R2T tags start at 0 for the first task of the pool.
write_r2t = (command(rw10(0x2A, 0, 8), 0xA1, 4096) +
             data_out(1, b"d" * 4096, 0, 0, 0))
unsolicited = (command(rw10(0x2A, 0, 16), 0x21, 8192, b"i" * 1024) +
               data_out(1, b"u" * 4096, 0, 1024, final=False) +
               data_out(1, b"u" * 3072, 1, 5120))
nop = bhs(0, data=b"ping")
text = bhs(4, data=b"SendTargets=All\0")
more = bhs(4, 0x40, b"SendTar") + bhs(4, 0x80, b"gets=All\0", w20=1)
logout = bhs(0x46, 0x80, w20=0)
tmf = [bhs(0x42, 0x80 | f, w20=1) for f in range(1, 13)]
abort = command(rw10(0x2A, 0, 8), 0xA1, 4096) + tmf[0] + read
secret = bhs(0x43, 0x81, LOGIN.replace(b"None", b"CHAP,None"))
inquiry = command(b"\x12\0\0\0\xff\0", 0xC1, 255)

CONN = {
    "login": b"\0" + bhs(0x43, 0x81, LOGIN) + bhs(0x43, 0x87, KEYS),
    "login-direct": b"\0" + bhs(0x43, 0x87, LOGIN + KEYS),
    "login-continued": b"\0" + bhs(0x43, 0x44, LOGIN[:9]) +
    bhs(0x43, 0x87, LOGIN[9:]),
    "login-chap": b"\0" + secret + bhs(0x43, 0, CHAP),
    "login-discovery": b"\0" + bhs(
        0x43, 0x87, b"InitiatorName=iqn.i\0SessionType=Discovery\0") + text,
    "read": b"\x11" + read * 3, "read-raw": b"\x01" + read,
    "write": b"\x11" + write, "write-pieces": b"\x19" + write + read,
    "write-r2t": b"\x13" + write_r2t + read,
    "unsolicited": b"\x11" + unsolicited + read,
    "digest": b"\x15" + read + write + nop,
    "nop": b"\x11" + nop, "text": b"\x12" + text + more + logout,
    "text-normal": b"\x11" + text + logout,
    "tmf": b"\x11" + b"".join(tmf) + read, "abort": b"\x13" + abort,
    "inquiry": b"\x11" + inquiry * 2 + logout,
    "unknown": b"\x11" + bhs(0x1E) + bhs(0x10) + bhs(0x43) + read,
    "no-task": b"\x11" + data_out(9, b"x" * 512, 0, 0) + read,
}
TEXT = {"login": b"\0" + LOGIN + KEYS, "chap": b"\2" + CHAP,
        "discovery": b"\1" + KEYS, "full": b"\4" + KEYS,
        "odd": b"\0A=\0=b\0\0\0NoEquals\0"}
PDU = {"read": read, "write": write[:48], "nop": nop,
       "cdb32": bhs(1, 0xC1, tail=b"\x7f", ahs=struct.pack(">HBB", 17, 1, 0) +
                    b"\0" * 16),
       "bidi": bhs(1, 0xE1, ahs=struct.pack(">HBB", 5, 2, 0) + b"\0" * 4)}


HEAD = b"Host: 192.0.2.9\nCookie: @\nX-CSRF-Token: @\n"
OK = b"\0" + json.dumps({"ok": True, "result": [{"name": "a", "changed": True,
                                                 "etag": "e"}]}).encode()


def http(line, head=HEAD, body=b"", reply=b""):
    if body:
        head += b"Content-Type: application/json\n"
    return line + b"\n" + head + b"\n" + body + reply


def operations():
    """One request for each operation of the API's document."""
    path = os.path.join(os.path.dirname(__file__), "../../webui/openapi.json")
    with open(path) as f:
        doc = json.load(f)
    for path, item in doc["paths"].items():
        for method, op in item.items():
            line = f"{method.upper()} /api/v1" + re.sub(r"{\w+}", "a", path)
            query = [p["name"] + "=1" for p in op.get("parameters", [])
                     if p["in"] == "query"][:2]
            line += "?" + "&".join(query) if query else ""
            body = op.get("requestBody", {}).get("content", {})
            schema = body.get("application/json", {}).get("schema", {})
            values = {name: {"array": ["a"], "boolean": True, "integer": 1,
                             "object": {}}.get(p.get("type"), "a")
                      for name, p in schema.get("properties", {}).items()}
            yield "op-" + op["operationId"], http(
                line.encode(), body=json.dumps(values).encode()
                if body else b"", reply=OK)


HTTP = dict(operations())
HTTP.update({
    "page": http(b"GET /", b"Host: localhost\nAccept-Encoding: gzip\n"),
    "asset": http(b"GET /app.js?v=1", b"Host: box.local\nIf-None-Match: x\n"),
    "healthz": http(b"HEAD /healthz"), "metrics": http(
        b"GET /metrics", b"Host: [::1]:8443\nAuthorization: @\n",
        reply=b'\0{"ok":true,"result":{"health":"healthy","pools":[{"name":"a'
        b'\\"b","size":"5"}],"volumes":3}}'),
    "stranger": http(b"GET /api/v1/status", b"Host: evil.example\n"),
    "nobody": http(b"GET /api/v1/users", b"Host: localhost\n"),
    "viewer": http(b"DELETE /api/v1/pools/a?force=true",
                   b"Host: localhost\nCookie: @viewer\nX-CSRF-Token: @viewer"
                   b"\nIf-Match: \"x\"\n"),
    "foreign": http(b"POST /api/v1/targets", HEAD +
                    b"Origin: https://evil.example\n"
                    b"Sec-Fetch-Site: cross-site\n", b'{"name":"a"}'),
    "token": http(b"POST /api/v1/pools?dry_run=true",
                  b"Host: localhost\nAuthorization: @\n", b'{"name":"a"}',
                  b'\0{"ok":true,"job":{"id":7}}'),
    "login": http(b"POST /api/v1/session", b"Host: localhost\n",
                  b'{"user":"admin","password":"good"}'),
    "login-full": http(b"POST /api/v1/session", b"Host: localhost\n",
                       b'{"user":"admin","password":"full"}'),
    "setup": http(b"POST /api/v1/setup", b"Host: localhost\n",
                  b'{"token":"abcde fghij","name":"a","password":"0123456789ab'
                  b'"}'),
    "stream": http(b"GET /api/v1/events", HEAD +
                   b"Accept: text/event-stream\nLast-Event-ID: 5\n",
                   reply=b'\0{"ok":true,"result":[{"seq":6,"event":"x"}]}'),
    "escapes": http(b"GET /api/v1/pools/%61%2f%00%ff?limit=%31&offset=-1"),
    "page-of-list": http(b"GET /api/v1/pools?limit=1&offset=1", reply=b'\0{'
                         b'"ok":true,"result":[{"a":1},{"b":2},{"c":3}]}'),
    "problem": http(b"DELETE /api/v1/hosts/a", reply=b'\0{"ok":false,"error":'
                    b'{"code":"busy","text":"t","hint":"h"}}'),
    "json": http(b"POST /api/v1/targets", body=b'{"a":{"b":[1,2,{"c":null}]},'
                 b'"name":"\\u0041\\ud800"}'),
    "certificate": http(b"PUT /api/v1/certificate", body=b'{"certificate":"---'
                        b'--BEGIN CERTIFICATE-----\\nMII=\\n-----END '
                        b'CERTIFICATE-----","key":"x"}'),
})


def md(which, data, fix=0x80):
    return bytes([which | fix]) + data


def superblock(features=0, log=0, roles=(0, 1, 2), **more):
    field = dict(level=5, layout=2, size=2048, chunk=32, disks=3, offset=4096,
                 data_size=4096, super_offset=8, recovery=0, dev=0, bb_shift=0,
                 bb_size=8, bb_offset=2056, events=7, resync=(1 << 64) - 1)
    field.update(more)
    v = list(field.values())
    head = struct.pack("<IIII16s32sQiIQIII", 0xa92b4efc, 1, features, 0,
                       b"array of a fuzz", b"dozo:fuzz", 1, *v[:5], log)
    head += struct.pack("<IQiIIi", 0, 0, 0, 0, 0, 0)
    head += struct.pack("<QQQQII16sBBHiQQQIII28x", *v[5:10], 0, b"device",
                        0, *v[10:13], 1 << 40 | 1, *v[13:], 0, 128, 0)
    table = list(roles) + [0xffff] * (128 - len(roles))
    return head + struct.pack("<128H", *table)


BITMAP = struct.pack("<II16sQQQIIIII184x", 0x6d746962, 4, b"array of a fuzz",
                     7, 7, 2048, 0, 65536, 5, 0, 0) + b"\x05"
ENTRY = struct.pack("<QIIII", 128, 4096, 8192, 1, 0)
PPL = b"\0" * 516 + struct.pack("<IQIIxxxx", 0, 3, 2, 0)[:20] + ENTRY * 2
BBLOG = struct.pack("<QQQ", 4096 << 10 | 8, 4200 << 10 | 512, (1 << 64) - 1)
DOUBT = b"\0" * 24 + struct.pack("<QIIIIQ", 5, 2, 0, 0, 0, 0) + \
    struct.pack("<QQQQ", 0, 4096, 65536, 131072)
MD = {"sb": md(0, superblock()), "sb-ppl": md(0, superblock(1024, 0x8000008)),
      "sb-bitmap": md(0, superblock(1, 8)), "sb-bad": md(0, superblock(8)),
      "sb-torn": md(0, superblock(), 0), "sb-recovery": md(0, superblock(2)),
      "sb-reshape": md(0, superblock(4)), "sb-level": md(0, superblock(
          level=6)), "sb-size": md(0, superblock(size=1 << 60)),
      "sb-places": md(0, superblock(bb_offset=16, offset=100)),
      "bitmap": md(1, BITMAP), "bitmap-foreign": md(1, BITMAP, 0),
      "ppl": md(2, PPL), "ppl-bad": md(2, PPL, 0), "bblog": md(3, BBLOG),
      "bblog-full": md(3, b"\x01\x80" * 2048), "doubt": md(4, DOUBT),
      "doubt-bad": md(4, DOUBT, 0)}


def put(disk, area, off, data):
    return struct.pack("<BBHB", disk, area, off, len(data)) + data


def le(value, size=4):
    return value.to_bytes(size, "little")


CHANGES = {
    "none": b"", "events": put(1, 0, 200, le(1)), "newer": put(0, 0, 200,
                                                               le(99)),
    "features": b"".join(put(i, 0, 8, le(1 << i)) for i in range(3)),
    "bitmap-all": b"".join(put(i, 0, 8, le(1)) + put(i, 0, 96, le(8))
                           for i in range(3)),
    "ppl-some": put(0, 0, 8, le(1024)) + put(0, 0, 96, le(0x8000008)),
    "ppl-all": b"".join(put(i, 0, 8, le(2048)) + put(i, 0, 96, le(0x1100008))
                        for i in range(3)),
    "recovery": put(2, 0, 8, le(2)) + put(2, 0, 152, le(64)),
    "replacement": put(2, 0, 8, le(18)) + put(2, 0, 160, le(3)) +
    b"".join(put(i, 0, 262, le(1, 2)) for i in range(3)),
    "bad-blocks": put(1, 0, 8, le(8)) + put(1, 2, 0, BBLOG),
    "bad-in-data": put(1, 0, 8, le(8)) + put(1, 2, 0, le(4096 << 10 | 64, 8) +
                                             b"\xff" * 8),
    "resync": b"".join(put(i, 0, 208, le(100, 8)) for i in range(3)),
    "dirty": b"".join(put(i, 0, 208, le(0, 8)) for i in range(3)),
    "roles": b"".join(put(i, 0, 256, le(2, 2)) for i in range(3)),
    "clone": put(1, 0, 168, b"x" * 16) + put(2, 0, 168, b"x" * 16),
    "size": b"".join(put(i, 0, 80, le(8, 8)) for i in range(3)),
    "chunk": b"".join(put(i, 0, 88, le(2048)) for i in range(3)),
    "log": put(0, 1, 528, le(148)) + put(0, 1, 536, ENTRY * 9),
    "bits": b"".join(put(i, 1, 256, b"\xff" * 8) for i in range(3)),
    "private": put(0, 3, 0, BITMAP), "record": put(0, 4, 0, DOUBT),
    "data": put(1, 6, 100, b"rot" * 20), "places": put(1, 0, 184, b"\0\x09" +
                                                      le(8, 2) + le(16)),
}
ARRAY = {f"{name}-{kind}": bytes([kind]) + data
         for name, data in CHANGES.items() for kind in (*range(6), 132)
         if kind in (0, 5) or name in ("dirty", "ppl-some", "bits", "log")}


def main():
    for name, seeds in (("md", MD), ("array", ARRAY),
                        ("conn", CONN), ("text", TEXT), ("pdu", PDU),
                        ("http", HTTP)):
        for seed, data in seeds.items():
            path = os.path.join(sys.argv[1], name, seed)
            with open(path, "wb") as file:
                file.write(data)


main()
