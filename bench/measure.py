# SPDX-License-Identifier: BSD-2-Clause
"""Running loads: interleaved rounds, undisturbed ones preferred."""
import json
import os
import shutil
import statistics
import subprocess
import sys
import time

from targets import Dozo, cpu_ns, die

START_S = 0.5           # what a load takes besides its time: ramp, login


class Clock:
    """Decides whether there is time for another round."""

    def __init__(self, minutes):
        self.end = time.monotonic() + 60 * minutes
        self.due = 0.0          # seconds of rounds that are still to come

    def may_repeat(self, seconds):
        """One round more than was planned."""
        return time.monotonic() + self.due + seconds < self.end

    def late(self):
        """Time is not enough for the rounds that are planned."""
        return time.monotonic() + self.due > self.end


def load_argv(opts, target, args, seconds):
    argv = ['taskset', '-c', '1', opts.load, '--portal',
            f'127.0.0.1:{target.port}', '--target', target.iqn, '--lun',
            str(target.lun), '--pid', str(target.proc.pid), '--time',
            str(seconds), '--spin', str(opts.spin)] + args.split()
    if opts.nice and os.geteuid() == 0:
        argv = ['nice', '-n', '-20'] + argv
    return argv


def load(opts, target, args, seconds):
    argv = load_argv(opts, target, args, seconds)
    try:
        done = subprocess.run(argv, capture_output=True, text=True,
                              timeout=seconds + 60)
    except subprocess.TimeoutExpired:
        die(f'{target.name}: {args}: no end after {seconds + 60:g} s')
    if done.returncode != 0:
        die(f'{target.name}: {args}: {done.stderr.strip()}')
    return json.loads(done.stdout)


def one_round(opts, clock, target, args):
    """The least disturbed of a few tries."""
    target.thaw()
    target.pin()
    best = None
    for _ in range(opts.repeat):
        begun = target.begin()
        result = load(opts, target, args, opts.time)
        result.update(target.end(begun))
        if best is None or result['foreign_cpu'] < best['foreign_cpu']:
            best = result
        if best['foreign_cpu'] <= opts.foreign or \
                not clock.may_repeat(opts.time + START_S):
            break
    target.freeze()
    return best


def measure(opts, clock, columns, targets, cell):
    """All rounds of one cell; {label: [result, ...]}."""
    got = {c.label: [] for c in columns}
    each = len(columns) * (opts.time + START_S)
    for i in range(opts.rounds):
        late = clock.late()
        clock.due -= each
        if i > 0 and late:
            continue            # the machine is busy: one must do
        for c in columns:
            got[c.label].append(one_round(
                opts, clock, targets[c.target],
                f'{cell.args} {c.args}'.strip()))
    return got


def rounds_due(opts, tables):
    return sum(len(t.columns) * len(t.cells) for t in tables) * \
        opts.rounds * (opts.time + START_S)


def median(results, key):
    return statistics.median(r[key] for r in results)


def ceilings(opts):
    done = subprocess.run([opts.loopback, str(opts.time)],
                          capture_output=True, text=True)
    if done.returncode != 0:
        die('loopback: ' + done.stderr.strip())
    return json.loads(done.stdout)


def local_fio(opts, directory, cells):
    """The same cells on one file there, no network: {cell: value}."""
    if shutil.which('fio') is None:
        print('bench: fio is not installed, no local rows', file=sys.stderr)
        return {}
    path = os.path.join(directory, 'fio.img')
    out = {}
    for cell in cells:
        if cell.fio is None:
            continue
        rw, bs, depth = cell.fio.split()
        done = subprocess.run(
            ['taskset', '-c', '0', 'fio', '--name=x', '--filename=' + path,
             '--size=%d' % opts.size, '--rw=' + rw, '--bs=' + bs,
             '--iodepth=' + depth, '--ioengine=io_uring', '--direct=1',
             '--time_based', '--runtime=%g' % opts.time, '--overwrite=1',
             '--output-format=json'], capture_output=True, text=True)
        if done.returncode != 0:
            print('bench: fio: ' + done.stderr.strip(), file=sys.stderr)
            break
        job = json.loads(done.stdout)['jobs'][0]
        side = job['read' if 'read' in rw else 'write']
        out[cell.name] = side['iops'] if cell.unit == 'iops' else \
            side['bw_bytes'] / 1e6
    if os.path.exists(path):
        os.unlink(path)
    return out


def idle_cpu(targets):
    """CPUs that a Dozo uses while nobody asks for anything."""
    for target in targets:
        if not isinstance(target, Dozo):
            continue
        target.thaw()
        time.sleep(0.5)
        before = cpu_ns(target.proc.pid)
        time.sleep(2)
        used = (cpu_ns(target.proc.pid) - before) / 2e9
        target.freeze()
        return used
    return None
