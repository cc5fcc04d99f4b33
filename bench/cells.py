# SPDX-License-Identifier: BSD-2-Clause
"""What is measured: tables of cells, and what the numbers must reach."""
from collections import namedtuple

# unit: 'mb_s' or 'iops'; args: options of bench/load; fio: of fio, or None
Cell = namedtuple('Cell', 'name unit args fio')
# A target, with options of bench/load that all its cells get.
Column = namedtuple('Column', 'label target args')
# where: 'memory' or 'disk'
Table = namedtuple('Table', 'key title where columns cells')

# The six of the study's table, with a queue and without.
SIX = [
    Cell('seq read 1M Q1', 'mb_s', '--bs 1m', 'read 1m 1'),
    Cell('seq write 1M Q1', 'mb_s', '--bs 1m --read 0', 'write 1m 1'),
    Cell('seq read 1M Q8', 'mb_s', '--bs 1m --depth 8', 'read 1m 8'),
    Cell('seq write 1M Q8', 'mb_s', '--bs 1m --depth 8 --read 0',
         'write 1m 8'),
    Cell('rnd read 512K Q1', 'mb_s', '--bs 512k --random',
         'randread 512k 1'),
    Cell('rnd write 512K Q1', 'mb_s', '--bs 512k --random --read 0',
         'randwrite 512k 1'),
    Cell('4K read Q1', 'iops', '--random', 'randread 4k 1'),
    Cell('4K write Q1', 'iops', '--random --read 0', 'randwrite 4k 1'),
    Cell('4K read Q32', 'iops', '--random --depth 32', 'randread 4k 32'),
    Cell('4K write Q32', 'iops', '--random --depth 32 --read 0',
         'randwrite 4k 32'),
]

MORE = [
    Cell('4K read Q8', 'iops', '--random --depth 8', None),
    Cell('4K read Q128', 'iops', '--random --depth 128', None),
    Cell('4K write Q128', 'iops', '--random --depth 128 --read 0', None),
    Cell('4K read Q8 x 2 sessions', 'iops', '--random --depth 8 --conns 2',
         None),
    Cell('4K read Q8 x 4 sessions', 'iops', '--random --depth 8 --conns 4',
         None),
    Cell('4K read Q8 x 8 sessions', 'iops', '--random --depth 8 --conns 8',
         None),
    Cell('8K 70/30 Q16', 'iops', '--bs 8k --random --depth 16 --read 70',
         None),
    Cell('rnd write 512K Q8', 'mb_s', '--bs 512k --random --depth 8 --read 0',
         None),
    Cell('seq write 64K Q8', 'mb_s', '--bs 64k --depth 8 --read 0', None),
    Cell('seq write 768K Q1', 'mb_s', '--bs 768k --read 0', None),
]

CACHE = [c for c in SIX if 'Q8' in c.name or '4K' in c.name]
REBUILD = [c for c in SIX if 'Q8' in c.name or 'Q32' in c.name]


def plain(*targets):
    return [Column(t, t, '') for t in targets]


MAIN = plain('dozo-ppl', 'dozo', 'dozo-degraded', 'tgt', 'tgt-rdwr', 'istgt')

TABLES = [
    Table('main', 'Members in memory', 'memory', MAIN, SIX),
    Table('digests', 'Header and data digests', 'memory', [
        Column('dozo-ppl', 'dozo-ppl', '--digests'),
        Column('dozo-ppl, none', 'dozo-ppl', ''),
        Column('tgt', 'tgt', '--digests'),
        Column('istgt', 'istgt', '--digests')], SIX),
    Table('more', 'Other sizes, depths and sessions', 'memory',
          plain('dozo-ppl', 'tgt', 'istgt'), MORE),
    Table('cache', 'Cache: all fits, nothing fits, write-back', 'memory',
          plain('dozo-cache', 'dozo-ppl', 'dozo-miss', 'dozo-writeback',
                'tgt'), CACHE),
    Table('rebuild', 'While member after member is rebuilt', 'memory',
          plain('dozo-rebuild', 'dozo'), REBUILD),
    Table('disk', 'Members on disk', 'disk',
          plain('dozo-ppl', 'dozo', 'dozo-writeback', 'tgt'), SIX),
]

QUICK = [Table('main', 'Members in memory', 'memory',
               plain('dozo-ppl', 'tgt', 'istgt'), SIX)]


# All policies.
VERIFIED = ('dozo', 'dozo-ppl', 'dozo-bitmap', 'dozo-durable',
            'dozo-degraded', 'dozo-cache', 'dozo-writeback')

# Loads of --verify: sizes that do not fit rows, digests, several sessions.
VERIFY = [
    '--random --depth 32 --read 50',
    '--random --bs 20k --depth 16 --read 30 --digests',
    '--random --bs 64k --depth 8 --conns 3 --read 40',
    '--bs 1m --depth 4 --read 50',
    '--random --bs 512k --depth 2 --read 50 --digests',
    '--bs 64k --depth 8 --read 0',
    '--random --bs 512 --depth 64 --read 50 --size 8m',
]

# Against the better of tgt's back ends: table, column, cell, quantity, factor.
AGAINST_TGT = [('main', 'dozo-ppl') + row for row in [
    ('4K read Q32', 'iops', 4), ('4K read Q32', 'server_cpu_us_per_io', .25),
    ('4K write Q32', 'iops', 1.5),
    ('4K read Q1', 'p50_us', .7), ('4K write Q1', 'p50_us', .7),
    ('seq read 1M Q1', 'mb_s', 2.5), ('seq read 1M Q8', 'mb_s', 2.5),
    ('seq write 1M Q1', 'mb_s', 2), ('seq write 1M Q8', 'mb_s', 2),
    ('rnd read 512K Q1', 'mb_s', 2), ('rnd write 512K Q1', 'mb_s', 2),
]] + [('cache', 'dozo-cache', '4K read Q32', 'iops', 7),
      ('cache', 'dozo-writeback', '4K write Q32', 'iops', 5)]

# Writes that must fill their rows: table, cell, per cent that may not (the
# first and the last row of the volume never do).
FULL_ROWS = [
    ('main', 'seq write 1M Q8', 2), ('more', 'seq write 64K Q8', 2),
    ('more', 'seq write 768K Q1', 2),
]

# One of ours against another: table, cell, column, other column, ratio.
OURS = [
    ('main', '4K write Q32', 'dozo-ppl', 'dozo', .85),
    ('main', '4K read Q32', 'dozo-degraded', 'dozo', .5),
    ('main', 'seq read 1M Q8', 'dozo-degraded', 'dozo', .5),
] + [('digests', c.name, 'dozo-ppl', 'dozo-ppl, none', .9) for c in SIX]

# H. Nakanishi 2009, table 2, MB/s: the six cells, in this order.
STUDY_CELLS = ['seq read 1M Q1', 'seq write 1M Q1', 'rnd read 512K Q1',
               'rnd write 512K Q1', '4K read Q1', '4K write Q1']
STUDY = {
    'local disk': (104.90, 100.80, 41.45, 64.48, 0.517, 1.680),
    'Phenom II 940, 4 x 3 GHz': (102.90, 94.04, 40.56, 60.35, 0.537, 1.703),
    'Celeron 440, 2 GHz': (60.43, 86.80, 38.96, 45.65, 0.967, 0.636),
}
