# SPDX-License-Identifier: BSD-2-Clause
"""The goals, each met or not, from what was measured."""
from cells import AGAINST_TGT, FULL_ROWS, OURS, SIX, STUDY, STUDY_CELLS
from measure import median

UNIT = {c.name: c.unit for c in SIX}
CACHED = ('dozo-cache', 'dozo-writeback')
WORDS = {'iops': 'IOPS', 'mb_s': 'MB/s', 'p50_us': 'p50',
         'server_cpu_us_per_io': 'CPU per I/O'}


def line(what, have, wanted, more_is_better):
    met = have >= wanted if more_is_better else have <= wanted
    return '| %s | %.2f | %s %g | %s |' % (
        what, have, '>=' if more_is_better else '<=', wanted,
        'met' if met else '**not met**')


def against_tgt(results):
    for table, column, cell, key, factor in AGAINST_TGT:
        got = results.get(table, {}).get(cell, {})
        peers = [median(got[n], key) for n in got if n.startswith('tgt')]
        if not peers or column not in got:
            continue
        more = key in ('iops', 'mb_s')
        best = max(peers) if more else min(peers)
        who = '' if column == 'dozo-ppl' else column + ' '
        yield line(f'{cell}, {WORDS[key]} {who}against the best tgt',
                   median(got[column], key) / best, factor, more)


def against_tcp(results, tcp):
    for cell in ('seq read 1M Q1', 'seq read 1M Q8'):
        got = results.get('main', {}).get(cell, {})
        if tcp and 'dozo-ppl' in got:
            yield line(f'{cell} against one TCP stream', median(
                got['dozo-ppl'], 'mb_s') / tcp['stream_mb_s'], .8, True)


def full_rows(results):
    for table, cell, percent in FULL_ROWS:
        got = results.get(table, {}).get(cell, {}).get('dozo-ppl')
        if got:
            yield line(f'{cell}, % of rows that were read for',
                       median(got, 'partial_rows'), percent, False)


def ours(results):
    for table, cell, one, other, factor in OURS:
        got = results.get(table, {}).get(cell, {})
        if one in got and other in got:
            key = UNIT[cell]
            what = 'digests on / off' if table == 'digests' else \
                f'{one} / {other}'
            yield line(f'{cell}, {what}', median(got[one], key) /
                       median(got[other], key), factor, True)


def ceiling(cell, local, tcp):
    """What fio reaches, if its data had to go through one TCP stream."""
    if cell == '4K read Q1' or cell == '4K write Q1':
        return 1e6 / (1e6 / local + tcp['read_4k_us'])
    if UNIT[cell] == 'iops':
        return min(local, tcp['cubic_mb_s'] * 1e6 / 4096)
    return min(local, tcp['cubic_mb_s'])


def against_disk(results, local, tcp):
    for cell, value in local.get('disk', {}).items():
        for name, got in results.get('disk', {}).get(cell, {}).items():
            if cell in STUDY_CELLS and name.startswith('dozo') and tcp:
                yield line(
                    f'{cell} on disk, {name} against fio behind TCP',
                    median(got, UNIT[cell]) / ceiling(cell, value, tcp),
                    .9, True)


def resources(results, idle):
    rss = [r['server_rss_kib'] / 1024 for table in results.values()
           for got in table.values() for n in got
           if n.startswith('dozo') and n not in CACHED for r in got[n]]
    if rss:
        yield line('largest RSS of dozod, at most 4 MiB cache, MiB',
                   max(rss), 64, False)
    if idle is not None:
        yield line('idle dozod, CPU %', idle * 100, .5, False)


def goals(results, local, tcp, idle):
    out = ['| goal | have | wanted | |', '|---|---|---|---|']
    for rows in (against_tgt(results), against_tcp(results, tcp),
                 full_rows(results), ours(results),
                 against_disk(results, local, tcp), resources(results, idle)):
        out += list(rows)
    return out


def study(results, local):
    """The study's table 2 as ratios to a local disk, with ours below."""
    out = ['| share of the local disk | ' + ' | '.join(STUDY_CELLS) + ' |',
           '|---' * (len(STUDY_CELLS) + 1) + '|']
    disk = STUDY['local disk']
    for name, values in STUDY.items():
        if values is not disk:
            out.append('| the study, %s | ' % name + ' | '.join(
                '%.2f' % (v / d) for v, d in zip(values, disk)) + ' |')
    for table, name, where in (
            ('disk', 'dozo-ppl', 'members on disk'),
            ('disk', 'dozo-writeback', 'members on disk, `writeback`'),
            ('main', 'dozo-ppl', 'members in memory')):
        fields = []
        for cell in STUDY_CELLS:
            got = results.get(table, {}).get(cell, {}).get(name)
            base = local.get('memory' if table == 'main' else table, {})
            fields.append('%.2f' % (median(got, UNIT[cell]) / base[cell])
                          if got and cell in base else '-')
        if fields.count('-') < len(fields):
            out.append(f'| Dozo, {where} | ' + ' | '.join(fields) + ' |')
    return out
