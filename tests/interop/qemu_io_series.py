#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Print a random series of qemu-io commands: SEED COUNT SIZE.

Writes of one sector to two MiB at any sector, zeroes, discards (written again
at once, as what a discarded block reads is the device's to choose), flushes,
reads, and reads that check a pattern written just before.
"""
import random
import sys

SECTOR = 512


def extent(rng, size):
    longest = rng.choice([1, 8, 64, 128, 129, 512, 4096])
    length = rng.randint(1, longest) * SECTOR
    align = rng.choice([SECTOR, SECTOR, 4096, 65536])
    start = rng.randrange(0, size - length) // align * align
    return start, length


def main():
    seed, count, size = map(int, sys.argv[1:])
    rng = random.Random(seed)
    for _ in range(count):
        start, length = extent(rng, size)
        pattern = rng.randint(1, 255)
        kind = rng.choice(["write"] * 6 + ["check"] * 3 + ["read", "zero",
                          "discard", "flush", "fua"])
        if kind == "write":
            print(f"write -P {pattern} {start} {length}")
        elif kind == "check":
            print(f"write -P {pattern} {start} {length}")
            print(f"read -P {pattern} {start} {length}")
        elif kind == "fua":
            print(f"write -f -P {pattern} {start} {length}")
        elif kind == "read":
            print(f"read {start} {length}")
        elif kind == "zero":
            print(f"write -z {start} {length}")
            print(f"read -P 0 {start} {length}")
        elif kind == "discard":
            print(f"discard {start} {length}")
            print(f"write -P {pattern} {start} {length}")
        else:
            print("flush")


if __name__ == "__main__":
    main()
