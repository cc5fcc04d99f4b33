# SPDX-License-Identifier: BSD-2-Clause
"""Tables as text, and bench/REPORT.md."""
import os
import subprocess
import time

from goals import goals, study
from measure import median
from targets import TOP


def show(value, unit):
    return f'{value / 1000:.1f}k' if unit == 'iops' else f'{value:.0f}'


def field(results, unit, base):
    """median (min-max) p50/p99 CPU, what is special; ratio of the base."""
    value = median(results, unit)
    text = '%s (%s-%s)' % (show(value, unit),
                           show(min(r[unit] for r in results), unit),
                           show(max(r[unit] for r in results), unit))
    text += ' %.0f/%.0f us' % (median(results, 'p50_us'),
                               median(results, 'p99_us'))
    if unit == 'iops':
        text += ' %.1f us' % median(results, 'server_cpu_us_per_io')
    else:
        text += ' %.2f s/GB' % median(results, 'server_cpu_s_per_gb')
    if 'rebuilds' in results[0]:
        text += ', %d rebuilds' % sum(r['rebuilds'] for r in results)
    if base is not None:
        text += ' **x%.2f**' % (base / value)
    return text


def row(cell, columns, got):
    base = median(got[columns[0].label], cell.unit)
    return [cell.name] + [
        field(got[c.label], cell.unit, None if i == 0 else base)
        for i, c in enumerate(columns)]


def table_text(table, results, local):
    columns = [c.label for c in table.columns]
    out = ['## ' + table.title, '',
           '| cell | ' + ' | '.join(columns) +
           (' | fio there |' if local else ' |'),
           '|---' * (len(columns) + 1 + bool(local)) + '|']
    for cell in table.cells:
        fields = row(cell, table.columns, results[cell.name])
        if local:
            fields.append(show(local[cell.name], cell.unit)
                          if cell.name in local else '-')
        out.append('| ' + ' | '.join(fields) + ' |')
    return out + ['']


def command(*argv):
    done = subprocess.run(argv, capture_output=True, text=True)
    return done.stdout.strip()


def machine():
    cpu = 'unknown CPU'
    with open('/proc/cpuinfo') as f:
        for line in f:
            if line.startswith('model name'):
                cpu = line.split(':')[1].strip()
                break
    return f'{os.cpu_count()} x {cpu}, Linux {os.uname().release}'


def report(opts, tables, results, local, tcp, idle, seconds):
    commit = command('git', '-C', TOP, 'describe', '--always', '--dirty',
                     '--exclude', '*')
    foreign = [r['foreign_cpu'] for table in results.values()
               for got in table.values() for rs in got.values() for r in rs]
    rounds = [len(rs) for table in results.values()
              for got in table.values() for rs in got.values()]
    out = [
        '# Dozo beside its peers', '',
        f'Made by `bench/run` from commit {commit}, '
        f'{time.strftime("%Y-%m-%d %H:%M", time.gmtime())} UTC, on '
        f'{machine()}, in {seconds / 60:.0f} minutes; other programs used '
        f'{sum(foreign) / len(foreign):.2f} CPUs on average.', '',
        f'{min(rounds)} to {max(rounds)} interleaved rounds of '
        f'{opts.time:g} s for each cell; server on CPU '
        '0, load generator on CPU 1 '
        f'(polling {opts.spin} us before it sleeps). Median (min-max), '
        'latency p50/p99, server CPU per I/O or per GB; **xN** is the first '
        'column against that one. Streams in MB/s, the rest in IOPS. '
        f'Dozo serves RAID5 over {opts.members} members in files, the peers '
        f'and fio one plain file. Memory is {opts.where}, disk is '
        f'{opts.disk}. Only ratios within one run mean anything.', '',
        '## Goals', '',
        'Dozo with PPL and `writethrough`, unless a row says otherwise.', '']
    out += goals(results, local, tcp, idle) + ['']
    if tcp:
        out += [f'One TCP stream on loopback, the same megabyte again and '
                f'again: {tcp["stream_mb_s"]:.0f} MB/s as the system is set '
                f'up, {tcp["cubic_mb_s"]:.0f} with cubic (Dozo takes cubic '
                'where bbr is the default); 4 KiB asked for and answered: '
                f'{tcp["read_4k_us"]:.0f} us.', '',
                'Writes on disk: with PPL a write is logged with FUA before '
                'its data moves, and the data is flushed before the log is '
                'used again; fio writes without either. `dozo` keeps no log '
                '(policy `resync`). `dozo-writeback` answers from memory, as '
                'the disk does to fio, and its cache holds all of the unit.',
                '']
    if local:
        out += ['## Table 2 of the study', ''] + study(results, local) + ['']
    for table in tables:
        if table.key in results:
            out += table_text(table, results[table.key],
                              local.get('memory' if table.key == 'main' else
                                        table.key, {}))
    return '\n'.join(out).rstrip() + '\n'
