#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Peers that misbehave on the iSCSI port: HOST PORT CASE.

Each case ends with status 0 if the daemon did with the connections what it
may do (answer or close, never hang) within its time limit.
"""
import random
import resource
import socket
import struct
import sys
import time

LOGIN = 0x43
HEADER = 48


def connect(address):
    sock = socket.create_connection(address, timeout=10)
    sock.settimeout(10)
    return sock


def closed(sock, more_may_come=False):
    """Read until the peer closes, after having said that no more comes; False
    if it does not within the limit."""
    try:
        if not more_may_come:
            sock.shutdown(socket.SHUT_WR)
        while sock.recv(65536):
            pass
    except socket.timeout:
        return False
    except OSError:
        pass
    return True


def send(sock, data):
    """Send what the peer still takes."""
    try:
        sock.sendall(data)
    except (ConnectionError, BrokenPipeError):
        pass


def login_header(length, flags=0x87, opcode=LOGIN):
    header = bytearray(HEADER)
    header[0], header[1] = opcode, flags
    header[5:8] = length.to_bytes(3, "big")
    header[8:14] = b"\x80\x12\x34\x56\x00\x00"
    struct.pack_into(">II", header, 24, 1, 0)
    return bytes(header)


def garbage(address):
    """Random bytes, many times."""
    rng = random.Random(5)
    good = True
    for length in (1, 47, 48, 49, 500, 100000):
        for _ in range(10):
            sock = connect(address)
            send(sock, rng.randbytes(length))
            good &= closed(sock)
            sock.close()
    return good


def truncated(address):
    """A login that stops in the middle, at every length."""
    text = b"InitiatorName=iqn.2026-01.test:x\0SessionType=Discovery\0"
    whole = login_header(len(text)) + text + b"\0" * (-len(text) % 4)
    good = True
    for length in range(1, len(whole)):
        sock = connect(address)
        send(sock, whole[:length])
        good &= closed(sock)
        sock.close()
    return good


def oversized(address):
    """Data segments and additional headers of absurd length."""
    good = True
    for length in (8193, 65536, 0xffffff):
        for ahs in (0, 255):
            header = bytearray(login_header(length))
            header[4] = ahs
            sock = connect(address)
            send(sock, bytes(header) + b"A" * min(length, 200000))
            good &= closed(sock)
            sock.close()
    return good


def opcodes(address):
    """Every opcode as the first PDU: only a login may begin."""
    good = True
    for opcode in range(64):
        if opcode == LOGIN & 0x3f:
            continue
        sock = connect(address)
        send(sock, login_header(0, opcode=opcode))
        good &= closed(sock, more_may_come=True)
        sock.close()
    return good


def half_open(address):
    """1000 connections that never say anything, held while we are told to."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    socks = []
    for _ in range(1000):
        try:
            socks.append(connect(address))
        except OSError:
            time.sleep(0.01)
    print(f"{len(socks)} open", flush=True)
    sys.stdin.readline()
    for sock in socks:
        sock.close()
    return True


CASES = {case.__name__: case for case in
         (garbage, truncated, oversized, opcodes, half_open)}


def main():
    host, port, name = sys.argv[1:]
    good = CASES[name]((host, int(port)))
    if not good:
        print(f"{name}: a connection was neither answered nor closed")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
