#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Compare a volume with what guest_md_power.sh said: NAME ACKS VOLUME.

Every block must hold the write that was acknowledged last for it, or the one
that its writer was at when the power went.
"""
import re
import sys

BLOCK = 4096


def block_index(writer, number):
    return number * 37 % 1000 * 4 + writer


def expected(name, text):
    """{block: [contents it may have]}"""
    last, blocks = {}, {}
    for writer, number in re.findall(rf"^ACK {name} (\d) (\d+)$", text, re.M):
        writer, number = int(writer), int(number)
        last[writer] = number
        blocks[block_index(writer, number)] = [content(name, writer, number)]
    for writer, number in last.items():
        under_way = block_index(writer, number + 1)
        blocks.setdefault(under_way, [None]).append(
            content(name, writer, number + 1))
    return blocks


def content(name, writer, number):
    line = f"{name} writer {writer} write {number}\n".encode()
    return (line * (BLOCK // len(line) + 1))[:BLOCK]


def main():
    name, acks, volume = sys.argv[1:]
    with open(acks, encoding="utf-8", errors="replace") as file:
        blocks = expected(name, file.read())
    wrong = []
    with open(volume, "rb") as file:
        for index, contents in sorted(blocks.items()):
            if None in contents:
                continue
            file.seek(index * BLOCK)
            data = file.read(BLOCK)
            if data not in contents:
                wrong.append((index, contents[0][:40], data[:40]))
    for index, want, got in wrong[:10]:
        print(f"block {index}: want {want!r}, got {got!r}")
    print(f"{len(blocks)} blocks acknowledged, {len(wrong)} wrong")
    return 1 if wrong or not blocks else 0


if __name__ == "__main__":
    sys.exit(main())
