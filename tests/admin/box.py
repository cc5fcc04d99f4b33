# SPDX-License-Identifier: BSD-2-Clause
"""A dozod of one's own for the tests of the administration."""
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

BUILD = os.path.abspath(os.environ.get("DOZO_BUILD", "."))
DOZOD = os.path.join(BUILD, "dozod")
DOZOCTL = os.path.join(BUILD, "dozoctl")
ENV = dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin:/sbin")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Reply:
    def __init__(self, done):
        self.status = done.returncode
        self.out = done.stdout
        self.err = done.stderr

    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"status {self.status}\n{self.out}{self.err}"


class Box:
    """Directory, configuration and process; usable with `with`."""

    def __init__(self, start=True, **conf):
        self.dir = tempfile.mkdtemp(prefix="dozo-admin-")
        self.port = free_port()
        self.socket = self.path("control.sock")
        self.conf = self.path("dozo.conf")
        self.log = self.path("log")
        self.proc = None
        self.options = []
        self.env = {}
        self.write_conf(**conf)
        if start:
            self.start()

    def path(self, name):
        return os.path.join(self.dir, name)

    def write_conf(self, text=None, **conf):
        keys = {
            "state-directory": self.path("state"),
            "control-socket": self.socket,
            "listen": f"127.0.0.1:{self.port}",
            "page-port": "0",
        }
        keys.update({k.replace("_", "-"): v for k, v in conf.items()})
        with open(self.conf, "w") as f:
            f.write(text or "".join(f"{k} = {v}\n" for k, v in keys.items()))

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.kill()
        if os.environ.get("KEEP"):
            print("# kept:", self.dir)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)

    # --- the daemon ---

    def launch(self, **kwargs):
        with open(self.log, "ab") as log:
            self.proc = subprocess.Popen(
                [DOZOD, "-f", "-c", self.conf] + self.options,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=dict(ENV, **self.env), **kwargs)

    def start(self):
        self.launch()
        end = time.time() + 15
        while self.ctl("version").status != 0:
            if self.proc.poll() is not None or time.time() > end:
                raise AssertionError("dozod does not start: " +
                                     self.log_text()[-2000:])
            time.sleep(0.02)

    def refuse(self, **kwargs):
        """Start a daemon that must not start; what it said."""
        done = subprocess.run([DOZOD, "-f", "-c", self.conf] + self.options,
                              stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=20,
                              env=dict(ENV, **self.env), **kwargs)
        assert done.returncode == 1, done
        return done.stderr

    def stop(self, timeout=5):
        self.proc.send_signal(signal.SIGTERM)
        status = self.proc.wait(timeout)
        self.proc = None
        assert status == 0, f"exit status {status}: {self.log_text()[-800:]}"

    def kill(self):
        if self.proc is not None and self.proc.poll() is None:
            self.proc.kill()
        if self.proc is not None:
            self.proc.wait()
        self.proc = None

    def alive(self):
        return self.proc.poll() is None

    def log_text(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    # --- dozoctl and the bare protocol ---

    def ctl(self, *words, stdin=""):
        return Reply(subprocess.run(
            [DOZOCTL, "--socket", self.socket] + [str(w) for w in words],
            input=stdin, capture_output=True, text=True, timeout=60,
            env=ENV, cwd=self.dir))

    def background(self, *words):
        """dozoctl that goes on; its process."""
        return subprocess.Popen(
            [DOZOCTL, "--socket", self.socket] + [str(w) for w in words],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env=ENV, cwd=self.dir)

    def ok(self, *words, **kwargs):
        reply = self.ctl(*words, **kwargs)
        assert reply.status == 0, f"{words}: {reply}"
        return reply

    def get(self, *words):
        """The JSON of a read verb."""
        return json.loads(self.ctl(*words, "--json").out)

    def fails(self, status, text, *words, **kwargs):
        reply = self.ctl(*words, **kwargs)
        assert reply.status == status, f"{words}: {reply}"
        assert text in reply.err, f"{words}: no \"{text}\" in: {reply.err}"
        return reply

    def connect(self):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(20)
        s.connect(self.socket)
        return s

    def call(self, verb, args=None, **more):
        with self.connect() as s:
            return request(s, verb, args, **more)

    # --- storage ---

    def disks(self, n=3, size="64M", prefix="d"):
        paths = [self.path(f"{prefix}{i}.img") for i in range(n)]
        for p in paths:
            if not os.path.exists(p):
                subprocess.run(["truncate", "-s", size, p], check=True)
        return paths

    def pool(self, name="tank", n=3, size="64M", prefix="d"):
        return self.ok("pool", "create", name, "--level", "raid5", "--disk",
                       *self.disks(n, size, prefix), "--wait")

    def lun(self, volume="tank/v", size="16M", target="t", host="any"):
        self.ok("volume", "create", volume, size)
        self.ok("target", "create", target)
        self.ok("map", volume, "--host", host, "--target", target)


def request(s, verb, args=None, **more):
    line = dict({"id": 7, "verb": verb, "args": args or {}}, **more)
    s.sendall(json.dumps(line).encode() + b"\n")
    return receive(s)


def receive(s):
    data = b""
    while not data.endswith(b"\n"):
        chunk = s.recv(65536)
        if not chunk:
            return None
        data += chunk
    return json.loads(data)


class Session:
    """A normal iSCSI session that logs in and answers pings when asked."""

    def __init__(self, box, target="iqn.2026-01.org.dozo:t",
                 name="iqn.2026-01.test:initiator"):
        self.s = socket.create_connection(("127.0.0.1", box.port), 10)
        keys = (f"InitiatorName={name}\0TargetName={target}\0"
                "SessionType=Normal\0"
                "HeaderDigest=None\0DataDigest=None\0").encode()
        head = struct.pack(">BBBBI6sHIHHII16x", 0x43, 0x87, 0, 0, len(keys),
                           b"\x00\x02\x3d\x00\x00\x01", 0, 1, 0, 0, 1, 0)
        self.s.sendall(head + keys + b"\0" * (-len(keys) % 4))
        answer, _ = self.receive()
        self.status = answer[36]
        self.cmdsn = 1

    def receive(self):
        head = self.exact(48)
        size = int.from_bytes(head[5:8], "big")
        return head, self.exact(size + -size % 4)[:size]

    def exact(self, n):
        data = b""
        while len(data) < n:
            chunk = self.s.recv(n - len(data))
            if not chunk:
                raise EOFError("the target closed the connection")
            data += chunk
        return data

    def command(self, cdb, lun=0, length=512, out=b""):
        """A reading command, or one with `out`; (status, data or sense)."""
        self.s.sendall(struct.pack(
            ">BBHI8sIIII16s", 0x01, 0xA0 if out else 0xC0, 0, len(out),
            bytes([0, lun]) + bytes(6), self.cmdsn,
            len(out) if out else length, self.cmdsn, 0,
            bytes(cdb).ljust(16, b"\0")) + out)
        self.cmdsn += 1
        got = b""
        while True:
            head, data = self.receive()
            if head[0] & 0x3F == 0x21:
                return head[3], data[2:] if data else got
            if head[0] & 0x3F == 0x25:
                got += data
                if head[1] & 0x01:
                    return head[3], got

    def capacity(self, lun=0):
        """Bytes by READ CAPACITY(16), past unit attentions."""
        for _ in range(10):
            status, data = self.command(
                [0x9E, 0x10] + [0] * 8 + [0, 0, 0, 32, 0, 0], lun, 32)
            if status == 0:
                last, block = struct.unpack(">QI", data[:12])
                return (last + 1) * block
        raise AssertionError(f"status {status}, {data.hex()}")

    def alive(self, lun=0):
        return self.capacity(lun) > 0

    def close(self):
        self.s.close()

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.close()


def run_tests(names):
    """Run each test_* function; PASS/FAIL lines, then the count."""
    import sys
    import traceback
    passed = failed = skipped = 0
    only = sys.argv[1:]
    for name, fn in list(names.items()):
        if not name.startswith("test_") or (only and name not in only):
            continue
        title = name[5:].replace("_", " ")
        try:
            why = fn()
        except Exception:
            failed += 1
            print(f"FAIL {title}")
            print("".join("#  " + line + "\n" for line in
                          traceback.format_exc().splitlines()[-12:]), end="")
        else:
            if why:
                skipped += 1
                print(f"SKIP {title}: {why}")
            else:
                passed += 1
                if os.environ.get("VERBOSE"):
                    print(f"PASS {title}")
        sys.stdout.flush()
    print(f"{os.path.basename(sys.argv[0])}: {passed} passed, {failed} "
          f"failed, {skipped} skipped")
    sys.exit(1 if failed or not passed else 0)
