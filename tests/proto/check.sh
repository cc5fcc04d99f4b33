#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The iSCSI protocol tests without those that wait for long timers; the make
# target check-proto runs all.
command -v python3 >/dev/null || { echo "SKIP: no python3"; exit 77; }
PYTHONDONTWRITEBYTECODE=1 QUICK=1 TARGET_RAM=./target_ram \
    exec python3 "${srcdir:-.}/tests/proto/run.py"
