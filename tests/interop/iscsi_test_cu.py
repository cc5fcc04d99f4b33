#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Run libiscsi's iscsi-test-cu, one process per test, and judge the result.

One process for many tests is contaminated: the tool keeps state from one test
to the next.  Each URL given is one worker, so each must be a LUN of its own,
best in a target of its own: tests reserve, reset and log out.

The expectations file lists what may fail or be skipped, with the reason:

	fail SCSI.Suite.Test  why
	skip SCSI.Suite.Test  why

Anything else must pass, and what is listed must not: a line that is no longer
true is an error as well.  Exit status 0, 1, or 77 if the tool is missing.
"""
import argparse
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

TOOL = "iscsi-test-cu"
# These want a LUN that nobody has written: the first compares block 256 with
# zeroes, but has written only blocks 0 to 255 itself.
FRESH = ["SCSI.MultipathIO.CompareAndWrite"]


def list_tests(pattern):
    """All tests but the families that repeat them (ALL, LINUX)."""
    text = subprocess.run([TOOL, "--list"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True,
                          check=True).stdout
    names = re.findall(r"^((?:SCSI|iSCSI)\.[^.\s]+\.[^.\s]+)$", text, re.M)
    names = FRESH + [name for name in dict.fromkeys(names)
                     if name not in FRESH]
    return [name for name in names if re.search(pattern, name)]


def read_expectations(path):
    """{test: (outcome, reason)}"""
    expected = {}
    for number, line in enumerate(Path(path).read_text().splitlines(), 1):
        line = line.split("#", 1)[0].strip()
        if not line:
            continue
        words = line.split(None, 2)
        if len(words) != 3 or words[0] not in ("fail", "skip"):
            sys.exit(f"{path}:{number}: want 'fail|skip TEST reason'")
        expected[words[1]] = (words[0], words[2])
    return expected


def run_test(name, url, timeout):
    """(outcome, text of the tool)"""
    argv = [TOOL, "-d", "-S", "-A", "-t", name, url, url]
    try:
        done = subprocess.run(argv, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=timeout,
                              check=False)
    except subprocess.TimeoutExpired as late:
        text = (late.stdout or b"").decode(errors="replace")
        return "fail", f"{text}\nno end after {timeout} s"
    text = done.stdout.decode(errors="replace")
    ran = re.search(r"^\s*tests\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)", text, re.M)
    if done.returncode != 0 or not ran or int(ran.group(4)) > 0:
        return "fail", f"{text}\nexit status {done.returncode}"
    if int(ran.group(2)) != 1:
        return "fail", f"{text}\nthe test did not run"
    if "[SKIPPED]" in text:
        return "skip", text
    return "pass", text


def judge(name, outcome, text, expected):
    """What is wrong with this outcome, or None."""
    wanted, reason = expected.get(name, ("pass", ""))
    if outcome == wanted:
        return None
    if wanted == "pass":
        return f"unexpected {outcome}\n{indent(text)}"
    return f"{outcome}, but listed as {wanted} ({reason}): drop the line"


def indent(text):
    lines = [line for line in text.splitlines() if line.strip()
             and not re.search("CUnit - A unit|cunit.sourceforge", line)]
    return "\n".join("    " + line for line in lines[-15:])


class Run:
    """Workers, one per URL, empty one queue of tests."""

    def __init__(self, args, tests, expected):
        self.args = args
        self.expected = expected
        self.queue = queue.Queue()
        for test in tests:
            self.queue.put(test)
        self.lock = threading.Lock()
        self.outcomes = {}
        self.slow = []
        self.wrong = 0

    def work(self, url):
        while True:
            try:
                name = self.queue.get_nowait()
            except queue.Empty:
                return
            begin = time.monotonic()
            outcome, text = run_test(name, url, self.args.timeout)
            self.report(name, outcome, text, time.monotonic() - begin)

    def report(self, name, outcome, text, seconds):
        problem = judge(name, outcome, text, self.expected)
        with self.lock:
            self.outcomes[name] = outcome
            self.slow.append((seconds, name))
            if problem:
                self.wrong += 1
                print(f"FAIL {name}: {problem}", flush=True)
            elif self.args.verbose:
                print(f"{outcome.upper()} {name} {seconds:.2f} s", flush=True)
            if self.args.record and outcome != "pass":
                why = re.search(r"\[(?:SKIPPED|FAILED)\]\s*(.*)", text)
                self.args.record.write(
                    f"{outcome} {name}  {why.group(1) if why else '?'}\n")

    def run(self):
        threads = [threading.Thread(target=self.work, args=(url,))
                   for url in self.args.url]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--expect", metavar="FILE", required=True)
    parser.add_argument("--only", metavar="REGEX", default="")
    parser.add_argument("--timeout", type=float, default=60, metavar="S",
                        help="per test")
    parser.add_argument("--record", type=argparse.FileType("w"),
                        metavar="FILE", help="write what did not pass, with "
                        "the tool's reason, as raw material for --expect")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("url", nargs="+")
    args = parser.parse_args()
    if shutil.which(TOOL) is None:
        print(f"SKIP {TOOL}: not installed (apt install libiscsi-bin)")
        return 77
    tests = list_tests(args.only)
    expected = read_expectations(args.expect)
    if not args.only and set(expected) - set(tests):
        print("FAIL expectations: no such test:",
              *sorted(set(expected) - set(tests)))
        return 1
    run = Run(args, tests, expected)
    begin = time.monotonic()
    run.run()
    count = {kind: sum(1 for value in run.outcomes.values() if value == kind)
             for kind in ("pass", "fail", "skip")}
    if args.verbose:
        for seconds, name in sorted(run.slow)[:-6:-1]:
            print(f"# {seconds:.1f} s {name}")
    print(f"{TOOL}: {count['pass']} passed, {count['fail']} failed, "
          f"{count['skip']} skipped of {len(tests)} in "
          f"{time.monotonic() - begin:.0f} s; {run.wrong} not as expected")
    return 1 if run.wrong or not tests else 0


if __name__ == "__main__":
    sys.exit(main())
