#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The iSCSI protocol tests: run.py [PART-OF-NAME]."""

import attach
import chap
import data
import harness
import hostile
import login
import persona
import task
import text

harness.main([login, chap, text, data, task, hostile, persona, attach])
