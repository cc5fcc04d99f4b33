# SPDX-License-Identifier: BSD-2-Clause
"""The servers that bench/run compares: Dozo in several shapes, and its peers.

Each is started once, pinned to CPU 0 and stopped with SIGSTOP while another
one is measured.
"""
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MIB = 1 << 20
IQN = 'iqn.2026-01.dozo.bench:'


def die(text):
    sys.exit('bench: ' + text)


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def wait_port(port, proc, log):
    for _ in range(300):
        if proc.poll() is not None:
            die(f'{proc.args[0]} ended by itself; see {log}')
        with socket.socket() as s:
            if s.connect_ex(('127.0.0.1', port)) == 0:
                return
        time.sleep(0.1)
    die(f'{proc.args[0]} does not listen on port {port}')


def cpu_ns(pid):
    """Nanoseconds of CPU of all threads."""
    total = 0
    for tid in os.listdir(f'/proc/{pid}/task'):
        with open(f'/proc/{pid}/task/{tid}/schedstat') as f:
            total += int(f.read().split()[0])
    return total


class Target:
    """A server that is started once and stopped while others work."""
    lun = 0
    warm = None         # a load that is not measured

    def __init__(self, opts, directory):
        self.opts = opts
        self.dir = directory
        self.port = free_port()
        self.iqn = IQN + self.name
        self.proc = None
        self.log = os.path.join(directory, self.name + '.log')

    def spawn(self, argv, **kw):
        with open(self.log, 'ab') as log:
            self.proc = subprocess.Popen(argv, stdout=log, stderr=log,
                                         stdin=subprocess.DEVNULL, **kw)

    def image(self, name, size):
        """A file whose blocks exist, so that no allocation is measured."""
        path = os.path.join(self.dir, name)
        with open(path, 'wb') as f:
            for _ in range(size // MIB):
                f.write(bytes(MIB))
            os.fsync(f.fileno())
        return path

    def hole(self, name, size):
        """A file that is filled through the server: a new volume makes holes
        anyhow, and blocks given out a second time lie in no order.
        """
        path = os.path.join(self.dir, name)
        with open(path, 'wb') as f:
            f.truncate(size)
        return path

    def pin(self):
        subprocess.run(['taskset', '-apc', '0', str(self.proc.pid)],
                       stdout=subprocess.DEVNULL, check=True)
        if self.opts.nice and os.geteuid() == 0:
            for tid in os.listdir(f'/proc/{self.proc.pid}/task'):
                os.setpriority(os.PRIO_PROCESS, int(tid), -20)

    def freeze(self):
        self.proc.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.proc.send_signal(signal.SIGCONT)

    def begin(self):
        """Called before a load starts; end() gets what it returned."""
        return None

    def end(self, begun):
        """Facts about the load that only the server knows."""
        return {}

    def stop(self):
        if self.proc is None or self.proc.poll() is not None:
            return
        self.thaw()
        self.proc.terminate()
        try:
            self.proc.wait(10)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()


class Dozo(Target):
    """RAID5 over members in files; subclasses change one thing."""
    name = 'dozo'
    policy = 'resync'
    write_policy = 'writethrough'
    degraded = False
    cache = '0'

    def ctl(self, *args, fine=(0,)):
        argv = [self.opts.dozoctl, '--socket',
                os.path.join(self.dir, self.name + '.sock')] + list(args)
        done = subprocess.run(argv, capture_output=True, text=True)
        if done.returncode not in fine:
            die(' '.join(argv) + ': ' + done.stderr.strip())
        return done.stdout

    def restart(self):
        self.spawn([self.opts.dozod, '-f', '-c', self.conf])
        wait_port(self.port, self.proc, self.log)

    def start(self):
        n = self.opts.members
        self.each = self.opts.size // (n - 1) // MIB * MIB + 32 * MIB
        self.members = [self.hole(f'{self.name}{i}.img', self.each)
                        for i in range(n)]
        state = os.path.join(self.dir, self.name + '.state')
        os.mkdir(state)
        self.conf = os.path.join(self.dir, self.name + '.conf')
        with open(self.conf, 'w') as f:
            f.write('state-directory = %s\ncontrol-socket = %s\n'
                    'listen = 127.0.0.1:%d\ncache-memory = %s\n' %
                    (state, os.path.join(self.dir, self.name + '.sock'),
                     self.port, self.cache))
        self.restart()
        create = ['pool', 'create', 'bench', '--level', 'raid5', '--chunk',
                  '64K', '--policy', self.policy, '--wait']
        for path in self.members:
            create += ['--disk', path]
        self.ctl(*create)
        self.ctl('volume', 'create', 'bench/v', str(self.opts.size - 8 * MIB),
                 '--write-policy', self.write_policy, '--wait')
        self.ctl('target', 'create', 'bench', '--iqn', self.iqn)
        self.ctl('map', 'bench/v', '--host', 'any', '--target', 'bench',
                 '--lun', str(self.lun))
        if self.degraded:
            self.ctl('disk', 'fail', self.members[1])

    def counters(self):
        pool = json.loads(self.ctl('stats', '--json'))['pools'][0]
        return {k: pool[k] for k in ('full_writes', 'rmw_writes',
                                     'rcw_writes', 'prereads')}

    def begin(self):
        return self.counters()

    def end(self, begun):
        now = self.counters()
        rows = {k: now[k] - begun[k] for k in now}
        partial = rows['rmw_writes'] + rows['rcw_writes']
        total = partial + rows['full_writes']
        return {'rows': total,
                'partial_rows': 100 * partial / total if total else 0}


class DozoPpl(Dozo):
    name = 'dozo-ppl'
    policy = 'ppl'


class DozoBitmap(Dozo):
    name = 'dozo-bitmap'
    policy = 'bitmap'


class DozoDegraded(Dozo):
    name = 'dozo-degraded'
    degraded = True


class DozoDurable(Dozo):
    name = 'dozo-durable'
    policy = 'ppl'
    write_policy = 'durable'


class DozoCache(Dozo):
    """All of the LUN fits: once read, it is in memory."""
    name = 'dozo-cache'
    policy = 'ppl'
    cache = '1G'
    warm = '--bs 128k --depth 4'


class DozoMiss(Dozo):
    """Almost nothing fits: what the cache costs."""
    name = 'dozo-miss'
    policy = 'ppl'
    cache = '4M'


class DozoWriteback(DozoCache):
    name = 'dozo-writeback'
    write_policy = 'writeback'


class DozoRebuild(Dozo):
    """While it is measured, member after member fails and is rebuilt."""
    name = 'dozo-rebuild'
    failure = None

    def start(self):
        super().start()
        self.spare = self.image(self.name + '-spare.img', self.each)
        self.ended = threading.Event()

    def begin(self):
        self.rebuilds = 0
        self.ended.clear()
        self.thread = threading.Thread(target=self.rebuild_on, daemon=True)
        self.thread.start()

    def rebuild_on(self):
        try:
            while not self.ended.is_set():
                self.rebuild_one()
        except SystemExit as failure:   # it would end this thread only
            self.failure = failure

    def rebuild_one(self):
        lost = self.members.pop(0)
        self.ctl('disk', 'fail', lost)
        self.ctl('pool', 'add-spare', 'bench', '--disk', self.spare,
                 '--force')
        while self.degraded_now():
            time.sleep(0.02)
        self.members.append(self.spare)
        self.spare = lost
        self.rebuilds += 1

    def degraded_now(self):
        pool = json.loads(self.ctl('pool', 'status', 'bench', '--json',
                                   fine=(0, 5)))    # 5: it is degraded
        return pool['degraded'] > 0

    def end(self, begun):
        self.ended.set()
        self.thread.join()
        if self.failure is not None:
            raise self.failure
        return {'rebuilds': self.rebuilds}


    def stop(self):
        self.ended.set()
        super().stop()


class Tgt(Target):
    """tgtd on a plain file; tuned as its documentation says."""
    name = 'tgt'
    bstype = 'aio'
    lun = 1
    keys = dict(MaxRecvDataSegmentLength=262144,
                MaxXmitDataSegmentLength=262144, FirstBurstLength=262144,
                MaxBurstLength=1048576, InitialR2T='No', ImmediateData='Yes',
                MaxOutstandingR2T=8, HeaderDigest='None,CRC32C',
                DataDigest='None,CRC32C')

    def adm(self, *args):
        subprocess.run(['tgtadm', '-C', str(self.control), '--lld', 'iscsi']
                       + list(args), check=True, env=self.env)

    def start(self):
        path = self.image(self.name + '.img', self.opts.size)
        self.control = self.port % 30000    # a signed 16-bit number
        self.env = dict(os.environ, TGT_IPC_SOCKET=os.path.join(
            self.dir, self.name + '.sock'))
        self.spawn(['tgtd', '-f', '-C', str(self.control), '--iscsi',
                    f'portal=127.0.0.1:{self.port}'], env=self.env)
        wait_port(self.port, self.proc, self.log)
        self.adm('--mode', 'target', '--op', 'new', '--tid', '1', '-T',
                 self.iqn)
        self.adm('--mode', 'logicalunit', '--op', 'new', '--tid', '1',
                 '--lun', '1', '-b', path, '--bstype', self.bstype)
        for key, value in self.keys.items():
            self.adm('--mode', 'target', '--op', 'update', '--tid', '1', '-n',
                     key, '-v', str(value))
        self.adm('--mode', 'target', '--op', 'bind', '--tid', '1', '-I', 'ALL')

    def stop(self):
        if self.proc is not None:      # it ignores SIGTERM while it has work
            self.proc.kill()
            self.proc.wait()


class TgtRdwr(Tgt):
    name = 'tgt-rdwr'
    bstype = 'rdwr'


class Istgt(Target):
    """istgt on a plain file; bench/istgt.conf.in."""
    name = 'istgt'

    def start(self):
        self.image('istgt.img', self.opts.size)
        with open(os.path.join(TOP, 'bench', 'istgt.conf.in')) as f:
            text = f.read()
        for key, value in (('DIR', self.dir), ('PORT', self.port),
                           ('CONTROL', free_port()),
                           ('SIZE', '%dMB' % (self.opts.size // MIB))):
            text = text.replace(f'@{key}@', str(value))
        conf = os.path.join(self.dir, 'istgt.conf')
        with open(conf, 'w') as f:
            f.write(text)
        auth = os.path.join(self.dir, 'istgt-auth.conf')
        with open(auth, 'w') as f:
            f.write('[AuthGroup1]\n')
        os.chmod(auth, 0o600)
        self.spawn(['istgt', '-D', '-c', conf])
        wait_port(self.port, self.proc, self.log)


KINDS = {c.name: c for c in (
    Dozo, DozoPpl, DozoBitmap, DozoDegraded, DozoDurable, DozoCache,
    DozoMiss, DozoWriteback, DozoRebuild, Tgt, TgtRdwr, Istgt)}
