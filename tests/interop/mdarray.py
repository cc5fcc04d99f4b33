#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Read a stopped Linux md 1.2 RAID5 array from images of its members.

A second opinion for the tests, made from the description of the format alone
and slow on purpose: nothing here is shared with the engine.

	mdarray.py read OUT IMAGE...	array content (one member may be absent)
	mdarray.py check IMAGE...	count rows whose parity is wrong
	mdarray.py show IMAGE...	one line per member
"""
import struct
import sys
from pathlib import Path

SECTOR = 512
SUPERBLOCK_AT = 4096
MAGIC = 0xa92b4efc
CLEAN = 2 ** 64 - 1
LEFT_ASYMMETRIC, RIGHT_ASYMMETRIC, LEFT_SYMMETRIC, RIGHT_SYMMETRIC = range(4)
PARITY_FIRST, PARITY_LAST = 4, 5


class Member:
    """One image and what its superblock says."""

    def __init__(self, path):
        self.path = path
        with open(path, "rb") as image:
            image.seek(SUPERBLOCK_AT)
            raw = image.read(4096)
        magic, major, self.features = struct.unpack_from("<III", raw)
        if magic != MAGIC or major != 1:
            raise ValueError(f"{path}: no md superblock")
        self.uuid = raw[16:32]
        self.level, self.layout = struct.unpack_from("<iI", raw, 72)
        self.size, self.chunk, self.disks = struct.unpack_from("<QII", raw, 80)
        self.data_offset, _, super_offset = struct.unpack_from("<QQQ", raw, 128)
        self.dev_number, = struct.unpack_from("<I", raw, 160)
        self.events, self.resync_offset = struct.unpack_from("<QQ", raw, 200)
        checksum, self.max_dev = struct.unpack_from("<II", raw, 216)
        if super_offset * SECTOR != SUPERBLOCK_AT:
            raise ValueError(f"{path}: superblock is not where it says")
        length = 256 + 2 * self.max_dev
        body = raw[:216] + bytes(4) + raw[220:length]
        total = sum(struct.unpack(f"<{length // 4}I", body[:length // 4 * 4]))
        if length % 4:
            total += struct.unpack("<H", body[-2:])[0]
        if ((total & 0xffffffff) + (total >> 32)) & 0xffffffff != checksum:
            raise ValueError(f"{path}: wrong superblock checksum")
        self.roles = struct.unpack_from(f"<{self.max_dev}H", raw, 256)
        self.role = self.roles[self.dev_number]


class Array:
    """Members in role order, None for the one that is absent."""

    def __init__(self, paths):
        members = [Member(path) for path in paths]
        newest = max(members, key=lambda member: member.events)
        if newest.level != 5 or newest.layout > PARITY_LAST:
            raise ValueError(f"level {newest.level} layout {newest.layout}: "
                             "not known here")
        self.disks, self.layout = newest.disks, newest.layout
        self.chunk = newest.chunk * SECTOR
        self.stripes = newest.size * SECTOR // self.chunk
        self.clean = newest.resync_offset == CLEAN
        self.members = [None] * self.disks
        for member in members:
            role = newest.roles[member.dev_number]
            if member.uuid != newest.uuid:
                raise ValueError(f"{member.path}: of another array")
            if role < self.disks and member.events >= newest.events - 1:
                self.members[role] = member
        if self.members.count(None) > 1:
            raise ValueError("more than one member is absent or stale")

    def parity_disk(self, stripe):
        if self.layout in (LEFT_ASYMMETRIC, LEFT_SYMMETRIC):
            return self.disks - 1 - stripe % self.disks
        if self.layout in (RIGHT_ASYMMETRIC, RIGHT_SYMMETRIC):
            return stripe % self.disks
        return 0 if self.layout == PARITY_FIRST else self.disks - 1

    def data_disk(self, index, parity):
        if self.layout in (LEFT_SYMMETRIC, RIGHT_SYMMETRIC):
            return (parity + 1 + index) % self.disks
        return index + (index >= parity)

    def rows(self):
        """(parity disk, [chunk of each role]), absent ones reconstructed."""
        files = [member and open(member.path, "rb") for member in self.members]
        for role, member in enumerate(self.members):
            if member:
                files[role].seek(member.data_offset * SECTOR)
        for stripe in range(self.stripes):
            row = [file and file.read(self.chunk) for file in files]
            if None in row:
                row[row.index(None)] = xor(self.chunk,
                                           [data for data in row if data])
            yield self.parity_disk(stripe), row
        for file in files:
            if file:
                file.close()


def xor(length, chunks):
    total = 0
    for chunk in chunks:
        if len(chunk) != length:
            raise ValueError("a member image is cut short")
        total ^= int.from_bytes(chunk, "little")
    return total.to_bytes(length, "little")


def read(array, out):
    with open(out, "wb") as target:
        for parity, row in array.rows():
            for index in range(array.disks - 1):
                data = row[array.data_disk(index, parity)]
                if data.count(0) == len(data):
                    target.seek(len(data), 1)
                else:
                    target.write(data)
        target.truncate(array.stripes * array.chunk * (array.disks - 1))


def check(array):
    if None in array.members:
        print("a member is absent: no parity to check")
        return 0
    wrong = [number for number, (_, row) in enumerate(array.rows())
             if any(xor(array.chunk, row))]
    print(f"{len(wrong)} of {array.stripes} stripes have wrong parity"
          + (f", the first is {wrong[0]}" if wrong else ""))
    return 1 if wrong else 0


def main():
    verb, *rest = sys.argv[1:] or [""]
    try:
        if verb == "read" and len(rest) > 1:
            read(Array(rest[1:]), Path(rest[0]))
        elif verb == "check" and rest:
            return check(Array(rest))
        elif verb == "show" and rest:
            array = Array(rest)
            for role, member in enumerate(array.members):
                print(role, member.path if member else "absent",
                      f"events {member.events}" if member else "")
            print(f"{array.disks} disks, chunk {array.chunk}, layout "
                  f"{array.layout}, {'clean' if array.clean else 'dirty'}")
        else:
            print(__doc__.strip(), file=sys.stderr)
            return 2
    except (OSError, ValueError, struct.error) as error:
        print(f"mdarray: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
