#!/usr/bin/env python3
"""Run cairn and a peer by turns, and print medians and ratios as a table.

usage: compare.py [--runs N] [--seconds S] [--dir DIR] import ACCOUNTS...
       compare.py [--runs N] [--seconds S] [--dir DIR] tutorial TUTORIAL [post mine chain sync start]...

import    against go-ethereum: signed transfers imported to disk. ACCOUNTS is how
          many there are, 1000 or 100000 for example.
tutorial  against the node of the tutorial that the five calls come from, a clone
          of https://github.com/gjain0/blockchain-python.

Each run is one of cairn and one of the peer, one after the other, so that what
else the machine does meets both. It needs Go; for "import" also a C compiler, for
"tutorial" also wrk, curl and a python3 with flask and requests ($PYTHON, by default
this one's).
"""
import argparse
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PYTHON = os.environ.get("PYTHON", sys.executable)
BLOCKS = 10_000  # of ten transactions, for chain and sync


class Table:
    """What was measured, by row and by who did it."""

    def __init__(self):
        self.rows = {}

    def add(self, row, unit, who, value):
        self.rows.setdefault((row, unit), {}).setdefault(who, []).append(value)

    def show(self, peer):
        print(f"| what | cairn | {peer} | cairn is | runs |\n|---|---|---|---|---|")
        for (row, unit), found in self.rows.items():
            ours, theirs = found["cairn"], found.get("peer")
            line = f"| {row} | {self.text(ours, unit)} | "
            if theirs:
                ratio = statistics.median(ours) / statistics.median(theirs)
                if unit in ("ms", "MiB"):
                    ratio = 1 / ratio
                line += f"{self.text(theirs, unit)} | {ratio:.2f} x | "
            else:
                line += "- | - | "
            print(f"{line}{len(ours)} |")

    @staticmethod
    def text(values, unit):
        digits = 0 if statistics.median(values) >= 100 else 1
        low, middle, high = (f"{v:,.{digits}f}" for v in (min(values), statistics.median(values), max(values)))
        return f"{middle} {unit} ({low} - {high})"


def build(target, name, directory, cgo="0"):
    subprocess.run(["go", "build", "-trimpath", "-ldflags", "-s -w", "-o", target, name], cwd=directory, check=True,
                   env={**os.environ, "CGO_ENABLED": cgo})
    return target


def compare_imports(options, scratch, cairn):
    # With cgo go-ethereum recovers senders in C, which is its fast way.
    geth = build(os.path.join(scratch, "geth"), ".", os.path.join(HERE, "geth"), cgo="1")
    table = Table()
    for accounts in options.arguments:
        for run in range(options.runs):
            note(f"import, {accounts} accounts, run {run + 1} of {options.runs}")
            out = subprocess.run([cairn, "bench", "--json", "--dir", scratch, "--accounts", accounts, "import"],
                                 check=True, capture_output=True).stdout
            rows = json.loads(out)["rows"]
            table.add(f"import, {accounts} accounts", "/s", "cairn", rows[0]["value"])
            table.add("the same for each second of a core", "/s", "cairn", rows[1]["value"])
            out = subprocess.run([geth, "-dir", scratch, "-accounts", accounts], check=True, capture_output=True).stdout
            theirs = json.loads(out)
            table.add(f"import, {accounts} accounts", "/s", "peer", theirs["transfers_per_second"])
            table.add("the same for each second of a core", "/s", "peer", theirs["transfers_per_core_second"])
        table.show("go-ethereum")
        table = Table()


class Node:
    """A running node of either kind."""

    def __init__(self, command):
        with socket.create_server(("127.0.0.1", 0)) as s:
            self.port = s.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        start = time.perf_counter()
        self.process = subprocess.Popen([w.replace("PORT", str(self.port)) for w in command],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not self.answers():
            if self.process.poll() is not None:
                sys.exit("it ended: " + " ".join(command))
            time.sleep(0.0005)
        self.start = time.perf_counter() - start

    def answers(self):
        """Any answer will do: the first shows that the node is there."""
        try:
            with socket.create_connection(("127.0.0.1", self.port)) as s:
                s.sendall(b"GET /nothing HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
                return s.recv(1) != b""
        except OSError:
            return False

    def memory(self, what="VmRSS"):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            return int(re.search(what + r":\s+(\d+) kB", f.read())[1]) / 1024

    def get(self, path):
        """Read an answer and return the seconds that it took."""
        out = subprocess.run(["curl", "-sf", "-o", os.devnull, "-w", "%{time_total}", self.url + path], check=True, capture_output=True)
        return float(out.stdout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def compare_tutorial(options, scratch, cairn):
    tutorial, rows = options.arguments[0], options.arguments[1:] or ["post", "mine", "chain", "sync", "start"]
    empty, filled = os.path.join(scratch, "empty"), os.path.join(scratch, "filled")
    if "chain" in rows or "sync" in rows:
        note(f"making a chain of {BLOCKS} blocks")
        subprocess.run(["go", "run", "./bench/fill", "ten-each", str(BLOCKS), filled], cwd=ROOT, check=True)
    fresh = {"cairn": [cairn, "-p", "PORT", "--data", empty], "peer": [PYTHON, os.path.join(HERE, "serve.py"), tutorial, "PORT"]}
    full = {"cairn": [cairn, "-p", "PORT", "--data", filled], "peer": fresh["peer"] + [str(BLOCKS)]}
    table = Table()
    for row in rows:
        for run in range(options.runs):
            note(f"{row}, run {run + 1} of {options.runs}")
            for who in ("cairn", "peer"):
                shutil.rmtree(empty, ignore_errors=True)
                MEASURES[row](table, who, fresh[who], full[who], options.seconds)
    table.show("tutorial")


def press(table, who, command, seconds, what, path, *more):
    """One load on one connection, and one on sixteen."""
    for connections in (1, 16):
        with Node(command) as node:
            out = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", *more, node.url + path],
                                 check=True, capture_output=True, text=True).stdout
        shutil.rmtree(command[-1] if who == "cairn" else "", ignore_errors=True)
        if "Non-2xx" in out or "Socket errors" in out:
            sys.exit(f"{who}: {out}")
        name = f"{what}, {connections} connection{'s' * (connections > 1)}"
        table.add(name, "/s", who, float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]))
        number, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)\b", out).groups()
        table.add(f"{name}, p99", "ms", who, float(number) * {"us": 1e-3, "ms": 1, "s": 1e3}[unit])


def measure_post(table, who, fresh, _, seconds):
    press(table, who, fresh, seconds, "POST /create-transaction", "/create-transaction", "-s", os.path.join(HERE, "post.lua"))


def measure_mine(table, who, fresh, _, seconds):
    press(table, who, fresh, seconds, "GET /mine", "/mine")


def measure_chain(table, who, _, full, __):
    with Node(full) as node:
        before = node.memory()
        took = [node.get("/chain") for _ in range(5)]
        table.add(f"GET /chain, {BLOCKS} blocks of 10", "ms", who, statistics.median(took) * 1e3)
        table.add("memory that it takes besides", "MiB", who, max(node.memory("VmHWM") - before, 0.1))


def measure_sync(table, who, fresh, full, _):
    with Node(full) as neighbour, Node(fresh) as node:
        body = json.dumps({"address": neighbour.url}).encode()
        urllib.request.urlopen(urllib.request.Request(node.url + "/register-node", body, {"Content-Type": "application/json"})).read()
        table.add(f"GET /sync-chain, {BLOCKS} blocks of 10", "ms", who, node.get("/sync-chain") * 1e3)


def measure_start(table, who, fresh, _, __):
    with Node(fresh) as node:
        table.add("start to first answer, new", "ms", who, node.start * 1e3)
        time.sleep(2)
        table.add("memory of an idle node, new", "MiB", who, node.memory())


MEASURES = {"post": measure_post, "mine": measure_mine, "chain": measure_chain, "sync": measure_sync, "start": measure_start}


def note(text):
    print(text, file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--dir", help="directory on the disk to measure")
    parser.add_argument("what", choices=["import", "tutorial"])
    parser.add_argument("arguments", nargs="+")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.dir, prefix="cairn-compare-") as scratch:
        cairn = build(os.path.join(scratch, "cairn"), "./cmd/cairn", ROOT)
        {"import": compare_imports, "tutorial": compare_tutorial}[options.what](options, scratch, cairn)


if __name__ == "__main__":
    main()
