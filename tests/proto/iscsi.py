# SPDX-License-Identifier: BSD-2-Clause
"""A small iSCSI initiator on a raw socket, for tests that must be able to do
everything wrong.  Nothing is checked or completed behind the caller's back:
a PDU goes out exactly as it is built."""

import hashlib
import os
import socket
import struct

NOP_OUT, COMMAND, TMF, LOGIN, TEXT, DATA_OUT, LOGOUT, SNACK = (
    0, 1, 2, 3, 4, 5, 6, 0x10)
NOP_IN, RESPONSE, TMF_RSP, LOGIN_RSP, TEXT_RSP, DATA_IN, LOGOUT_RSP = (
    0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26)
R2T, ASYNC, REJECT = 0x31, 0x32, 0x3F
IMMEDIATE = 0x40
NONE = 0xFFFFFFFF
F, R, W = 0x80, 0x40, 0x20
SEC, OP, FULL = 0, 1, 3

_table = []
for _n in range(256):
    for _ in range(8):
        _n = _n >> 1 ^ (0x82F63B78 if _n & 1 else 0)
    _table.append(_n)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return struct.pack("<I", crc ^ 0xFFFFFFFF)


def pad(data):
    return data + b"\0" * (-len(data) % 4)


def text(pairs):
    """Keys in the listed order; a str goes out as it is."""
    if isinstance(pairs, (bytes, bytearray)):
        return bytes(pairs)
    return b"".join(f"{k}={v}".encode() + b"\0" for k, v in pairs)


def parse_text(data):
    pairs = []
    for item in data.split(b"\0"):
        if item:
            key, _, value = item.decode().partition("=")
            pairs.append((key, value))
    return pairs


class Closed(Exception):
    """The target closed the connection."""


class Pdu:
    def __init__(self, bhs, data, ahs=b""):
        self.bhs, self.data, self.ahs = bhs, data, ahs
        self.opcode = bhs[0] & 0x3F
        self.flags, self.b2, self.b3 = bhs[1], bhs[2], bhs[3]
        self.lun = bhs[8:16]
        (self.itt, self.ttt, self.stat_sn, self.exp_cmd_sn, self.max_cmd_sn,
         self.w36, self.w40, self.w44) = struct.unpack(">8I", bhs[16:48])

    @property
    def status(self):
        return self.b3

    @property
    def final(self):
        return bool(self.flags & F)

    def sense(self):
        """(key, asc << 8 | ascq) of fixed or descriptor sense."""
        raw = self.data[2:]
        if not raw:
            return None
        if raw[0] & 0x7F in (0x72, 0x73):
            return raw[1] & 15, raw[2] << 8 | raw[3]
        return raw[2] & 15, raw[12] << 8 | raw[13]

    def residual(self):
        """Signed: overflow positive, underflow negative."""
        if self.flags & 4:
            return self.w44
        return -self.w44 if self.flags & 2 else 0


class Conn:
    """One TCP connection and what is known about its session."""

    def __init__(self, port, host="127.0.0.1", timeout=10):
        self.sock = socket.create_connection((host, port), timeout=timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.host, self.port = host, port
        self.isid = b"\x80" + os.urandom(3) + b"\0\0"
        self.cid, self.tsih = 0, 0
        self.cmd_sn, self.exp_stat_sn, self.next_itt = 1, 0, 1
        self.max_cmd_sn = 1
        self.header_digest = self.data_digest = False
        self.keys = {}
        self.buf = b""

    # --- bytes and PDUs ---

    def close(self):
        self.sock.close()

    def raw(self, data):
        try:
            self.sock.sendall(data)
        except (ConnectionError, BrokenPipeError):
            raise Closed() from None

    def _read(self, n):
        while len(self.buf) < n:
            try:
                got = self.sock.recv(1 << 18)
            except ConnectionError:
                got = b""
            if not got:
                raise Closed()
            self.buf += got
        out, self.buf = self.buf[:n], self.buf[n:]
        return out

    def recv(self):
        bhs = self._read(48)
        ahs = self._read(bhs[4] * 4)
        if self.header_digest:
            assert self._read(4) == crc32c(bhs + ahs), "header digest"
        length = int.from_bytes(bhs[5:8], "big")
        data = self._read(length)
        padding = self._read(-length % 4)
        assert padding == b"\0" * len(padding), "padding is not zero"
        if self.data_digest and length:
            assert self._read(4) == crc32c(data + padding), "data digest"
        pdu = Pdu(bhs, data, ahs)
        if pdu.opcode != DATA_IN or pdu.flags & 1:
            if pdu.opcode == R2T or pdu.opcode == NOP_IN and pdu.itt == NONE:
                pass
            else:
                self.exp_stat_sn = (pdu.stat_sn + 1) & NONE
        self.max_cmd_sn = pdu.max_cmd_sn
        return pdu

    def expect(self, opcode):
        pdu = self.recv()
        assert pdu.opcode == opcode, (
            f"got opcode {pdu.opcode:02x} (b2 {pdu.b2:02x} b3 {pdu.b3:02x}), "
            f"wanted {opcode:02x}")
        return pdu

    def expect_closed(self, timeout=10):
        """Read until the target closes; returns the PDUs seen before."""
        seen = []
        self.sock.settimeout(timeout)
        try:
            while True:
                seen.append(self.recv())
        except Closed:
            return seen
        except socket.timeout:
            raise AssertionError("the target did not close") from None

    def silent(self, seconds=0.3):
        """Nothing comes for so long."""
        old = self.sock.gettimeout()
        self.sock.settimeout(seconds)
        try:
            pdu = self.recv()
        except socket.timeout:
            return
        finally:
            self.sock.settimeout(old)
        raise AssertionError(f"unexpected opcode {pdu.opcode:02x}")

    def build(self, opcode, flags=F, data=b"", b2=0, b3=0, lun=b"\0" * 8,
              itt=None, w20=0, cmd_sn=None, tail=b"\0" * 16, ahs=b"",
              length=None, bad_header=False, bad_data=False):
        """The bytes of a request; everything can be overridden."""
        length = len(data) if length is None else length
        bhs = struct.pack(
            ">BBBBB3s8sIIII", opcode, flags, b2, b3, len(ahs) // 4,
            length.to_bytes(3, "big"), lun,
            self.itt() if itt is None else itt, w20,
            self.cmd_sn if cmd_sn is None else cmd_sn & NONE,
            self.exp_stat_sn)
        out = bhs + tail + ahs
        if self.header_digest:
            crc = crc32c(out)
            out += bytes([crc[0] ^ bad_header]) + crc[1:]
        body = pad(data)
        out += body
        if self.data_digest and data:
            crc = crc32c(body)
            out += bytes([crc[0] ^ bad_data]) + crc[1:]
        return out

    def send(self, opcode, **args):
        self.raw(self.build(opcode, **args))

    def itt(self):
        self.next_itt = (self.next_itt + 1) & 0x7FFFFFFF
        return self.next_itt

    # --- login ---

    def login_request(self, pairs, csg, nsg=None, flags=None, version=0,
                      **args):
        if flags is None:
            flags = csg << 2
            if nsg is not None:
                flags |= 0x80 | nsg
        lun = self.isid + struct.pack(">H", self.tsih)
        args.setdefault("itt", 1)
        self.send(LOGIN | IMMEDIATE, flags=flags, data=text(pairs), lun=lun,
                  b3=version, w20=self.cid << 16, **args)

    def login_response(self):
        pdu = self.expect(LOGIN_RSP)
        self.last = pdu
        pairs = parse_text(pdu.data)
        self.keys.update(pairs)
        return pdu.w36 >> 16, dict(pairs), pdu

    def round(self, pairs, csg, nsg=None, **args):
        """One request and its answer: (status, keys, pdu)."""
        self.login_request(pairs, csg, nsg, **args)
        return self.login_response()

    def enter(self, pdu):
        """Full feature phase: take over what was negotiated."""
        assert pdu.flags & 0x83 == 0x83, f"not in full feature: {pdu.flags:x}"
        self.tsih = int.from_bytes(pdu.lun[6:8], "big")
        assert self.tsih != 0, "TSIH 0 in the final response"
        self.header_digest = self.keys.get("HeaderDigest") == "CRC32C"
        self.data_digest = self.keys.get("DataDigest") == "CRC32C"
        return self

    def names(self, target, initiator, discovery=False):
        pairs = [("InitiatorName", initiator)]
        if discovery:
            return pairs + [("SessionType", "Discovery")]
        return pairs + [("TargetName", target), ("SessionType", "Normal")]

    def login(self, target="iqn.2026-01.org.dozo:ram",
              initiator="iqn.2026-01.org.test:one", discovery=False,
              **keys):
        """Straight to full feature phase without authentication."""
        pairs = self.names(target, initiator, discovery)
        pairs += list((keys or {"MaxRecvDataSegmentLength": 262144}).items())
        status, _, pdu = self.round(pairs, OP, FULL)
        assert status == 0, f"login status {status:04x}"
        return self.enter(pdu)

    # --- full feature phase ---

    def next_cmd_sn(self):
        sn = self.cmd_sn
        self.cmd_sn = (self.cmd_sn + 1) & NONE
        return sn

    def command(self, cdb, lun=0, flags=F, edtl=0, data=b"", immediate=False,
                **args):
        """Send a SCSI command; returns its ITT."""
        itt = args.pop("itt", None)
        itt = self.itt() if itt is None else itt
        if "cmd_sn" not in args:
            args["cmd_sn"] = self.cmd_sn if immediate else self.next_cmd_sn()
        self.send(COMMAND | (IMMEDIATE if immediate else 0), flags=flags | 1,
                  lun=struct.pack(">BB6x", lun >> 8, lun & 255), itt=itt,
                  w20=edtl, tail=bytes(cdb[:16]).ljust(16, b"\0"),
                  data=data, **args)
        return itt

    def data_out(self, itt, data, offset=0, data_sn=0, ttt=NONE, final=True,
                 **args):
        self.send(DATA_OUT, flags=F if final else 0, data=data, itt=itt,
                  w20=ttt, cmd_sn=0,
                  tail=struct.pack(">4xIII", data_sn, offset, 0), **args)

    def finish(self, itt):
        """Collect Data-In and status of one command: (status PDU, data)."""
        data, sn = bytearray(), 0
        while True:
            pdu = self.recv()
            if pdu.opcode == REJECT:
                return pdu, bytes(data)
            assert pdu.itt == itt, f"answer for {pdu.itt:x}, want {itt:x}"
            if pdu.opcode == RESPONSE:
                return pdu, bytes(data)
            assert pdu.opcode == DATA_IN, f"opcode {pdu.opcode:02x}"
            assert pdu.w40 == len(data), "Data-In offset"
            assert pdu.w36 == sn, "DataSN"
            sn += 1
            data += pdu.data
            if pdu.flags & 1:
                assert pdu.final, "S without F"
                return pdu, bytes(data)

    def scsi(self, cdb, length=0, **args):
        """A command that reads: (PDU, data)."""
        flags = F | R if length else F
        return self.finish(self.command(cdb, flags=flags, edtl=length,
                                        **args))

    def read(self, lba, blocks, lun=0):
        pdu, data = self.scsi(rw10(0x28, lba, blocks), 512 * blocks, lun=lun)
        assert pdu.status == 0, f"READ: status {pdu.status} {pdu.sense()}"
        return data

    def write(self, lba, data, lun=0, immediate=0, first=0):
        """WRITE(10): immediate bytes, unsolicited bytes, R2Ts for the rest."""
        more = len(data) > immediate and first > immediate
        itt = self.command(rw10(0x2A, lba, len(data) // 512), lun=lun,
                           flags=W | (0 if more else F), edtl=len(data),
                           data=data[:immediate])
        if more:
            self.data_out(itt, data[immediate:first], offset=immediate)
        return self.answer_r2ts(itt, data)

    def answer_r2ts(self, itt, data, segment=262144, order=None):
        """Serve R2Ts until the status comes; returns it."""
        while True:
            pdu = self.recv()
            if pdu.opcode != R2T:
                return pdu
            assert pdu.flags == F, "R2T byte 1 is not 80h"
            end, off, sn = pdu.w40 + pdu.w44, pdu.w40, 0
            while off < end:
                n = min(segment, end - off)
                self.data_out(itt, data[off:off + n], offset=off, data_sn=sn,
                              ttt=pdu.ttt, final=off + n == end)
                off, sn = off + n, sn + 1

    def nop(self, data=b"", **args):
        args.setdefault("cmd_sn", self.next_cmd_sn())
        self.send(NOP_OUT, data=data, w20=NONE, **args)
        return self.expect(NOP_IN)

    def tmf(self, function, ref_itt=NONE, ref_cmd_sn=0, lun=0):
        self.send(TMF | IMMEDIATE, flags=F | function, w20=ref_itt,
                  lun=struct.pack(">BB6x", lun >> 8, lun & 255),
                  tail=struct.pack(">I12x", ref_cmd_sn))

    def text_request(self, pairs, flags=F, ttt=NONE):
        self.send(TEXT, flags=flags, data=text(pairs), w20=ttt,
                  cmd_sn=self.next_cmd_sn())

    def text_all(self, pairs):
        """A text exchange with continuation: all pairs of the answer."""
        self.text_request(pairs)
        data = b""
        while True:
            pdu = self.expect(TEXT_RSP)
            data += pdu.data
            if pdu.final:
                assert pdu.ttt == NONE
                return parse_text(data)
            assert pdu.ttt != NONE
            self.text_request([], ttt=pdu.ttt)

    def logout(self, reason=0, cid=0):
        self.send(LOGOUT | IMMEDIATE, flags=F | reason, w20=cid << 16)
        return self.expect(LOGOUT_RSP)

    def ready(self, lun=0):
        """Swallow unit attentions."""
        for _ in range(10):
            pdu, _ = self.scsi(b"\0" * 6, lun=lun)
            if pdu.status == 0:
                return self
        raise AssertionError("TEST UNIT READY never GOOD")


def rw10(opcode, lba, blocks):
    return struct.pack(">BBIBHB", opcode, 0, lba, 0, blocks, 0)


ALGS = {5: "md5", 6: "sha1", 7: "sha256", 8: "sha3_256"}


def chap_digest(alg, ident, secret, challenge):
    return hashlib.new(ALGS[alg], bytes([ident]) + secret.encode() +
                       challenge).digest()
