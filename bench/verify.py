# SPDX-License-Identifier: BSD-2-Clause
"""Are the data right under the loads that are measured, and after kill -9?"""
import json
import subprocess
import time

from cells import VERIFY
from measure import load, load_argv
from targets import Dozo, die


def verify(opts, kinds, directory):
    """All data checked, under load and read back; then through kill -9."""
    for kind in kinds:
        target = kind(opts, directory)
        try:
            target.start()
            for args in VERIFY:
                size = '' if '--size' in args else ' --size 96m'
                got = load(opts, target, '--verify ' + args + size, opts.time)
                print(f'{target.name}: {args}: {got["ios"]} verified',
                      flush=True)
            if isinstance(target, Dozo) and not target.degraded:
                verify_kill(opts, target)
        finally:
            target.stop()


def verify_kill(opts, target):
    """What the policy calls durable must be there after kill -9."""
    fua = ' --fua' if target.write_policy == 'writeback' else ''
    argv = load_argv(opts, target, '--verify --survive --random --bs 12k '
                     '--depth 16 --read 30 --size 64m' + fua, 4)
    argv[argv.index('--pid') + 1] = '0'     # it will not stay the same
    proc = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    for _ in range(2):
        time.sleep(1.5)
        target.proc.kill()
        target.proc.wait()
        target.restart()
    out, _ = proc.communicate(timeout=120)
    if proc.returncode != 0:
        die(f'{target.name}: data after kill -9: see above')
    got = json.loads(out)
    if got['reconnects'] == 0:
        die(f'{target.name}: the load did not see the kill')
    print(f'{target.name}: kill -9 twice: {got["ios"]} verified, '
          f'{got["reconnects"]} reconnects', flush=True)
