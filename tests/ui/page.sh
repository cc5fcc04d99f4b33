#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
exec "${srcdir:-.}/tests/ui/run.sh" page
