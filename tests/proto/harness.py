# SPDX-License-Identifier: BSD-2-Clause
"""Start target_ram, run functions named test_*, count."""

import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback

import iscsi

TARGET = "iqn.2026-01.org.dozo:ram"
HOST = "iqn.2026-01.org.test:one"


class Target:
    """A running target_ram; args as on its command line."""

    def __init__(self, *args):
        self.log = tempfile.TemporaryFile()
        program = os.environ.get("TARGET_RAM", "./target_ram")
        self.process = subprocess.Popen(
            [program, *map(str, args)], stdout=subprocess.PIPE,
            stderr=self.log, text=True)
        line = self.process.stdout.readline().split()
        assert line[:1] == ["port"], "target_ram did not start"
        self.port = int(line[1])

    def connect(self, **args):
        return iscsi.Conn(self.port, **args)

    def login(self, **args):
        return self.connect().login(**args)

    def session(self, **args):
        return self.login(**args).ready()

    def signal(self, signo):
        self.process.send_signal(signo)
        time.sleep(0.15)

    def stall(self):
        """The disks stop, or go on again."""
        self.signal(signal.SIGUSR1)

    def unmap(self):
        self.signal(signal.SIGUSR2)

    def rss_kib(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            for line in status:
                if line.startswith("VmRSS"):
                    return int(line.split()[1])
        return 0

    def alive(self):
        """Still there, and serving."""
        assert self.process.poll() is None, "the target has died"
        conn = self.session()
        conn.read(0, 1)
        conn.logout()
        return True

    def stop(self):
        """Stop it and say whether it ended well."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = "no end after SIGTERM"
        self.process.stdout.close()
        self.log.seek(0)
        self.text = self.log.read().decode(errors="replace")
        self.log.close()
        return status


def refused(status, function, *args):
    """function gives a login that is refused with this status."""
    got = function(*args)[0]
    assert got == status, f"login status {got:04x}, wanted {status:04x}"


def run(modules, pattern=""):
    passed = failed = skipped = 0
    for module in modules:
        tests = [(n, f) for n, f in vars(module).items()
                 if n.startswith("test_") and pattern in n]
        if not tests:
            continue
        target = Target(*getattr(module, "ARGS", ()))
        for name, function in tests:
            if os.environ.get("QUICK") and hasattr(function, "slow"):
                skipped += 1
                continue
            what = f"{module.__name__}.{name[5:]}"
            start = time.monotonic()
            try:
                own = getattr(function, "own", None)
                if own is not None:
                    with_own(function, own)
                else:
                    function(target)
                    assert target.process.poll() is None, "target died"
                passed += 1
                took = time.monotonic() - start
                print(f"ok   {what}" + (f" ({took:.1f} s)" if took > 1
                                        else ""), flush=True)
            except Exception as error:  # pylint: disable=broad-except
                failed += 1
                print(f"FAIL {what}: {type(error).__name__} {error}",
                      flush=True)
                if os.environ.get("VERBOSE"):
                    traceback.print_exc()
                if target.process.poll() is not None:
                    print(report(target), flush=True)
                    target = Target(*getattr(module, "ARGS", ()))
        status = target.stop()
        if status != 0:
            failed += 1
            print(f"FAIL {module.__name__}: target_ram ended with {status}")
            print(target.text[-2000:])
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


def report(target):
    status = target.stop()
    return f"target_ram ended with {status}\n{target.text[-3000:]}"


def with_own(function, args):
    """The test has a target of its own."""
    target = Target(*args)
    try:
        function(target)
    except Exception:
        print(report(target)[-1500:])
        raise
    status = target.stop()
    assert status == 0, f"target_ram ended with {status}: " \
        f"{target.text[-1500:]}"


def own(*args):
    """Decorator: run with a fresh target_ram with these arguments."""
    def mark(function):
        function.own = args
        return function
    return mark


def slow(function):
    """Decorator: takes long; left out when QUICK is set."""
    function.slow = True
    return function


def main(modules):
    sys.exit(run(modules, sys.argv[1] if len(sys.argv) > 1 else ""))
