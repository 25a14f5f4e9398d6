# SPDX-License-Identifier: Apache-2.0
"""What `services` costs: CPU time for each request of a net/http server at a fixed load, without and with tracing, and
the tracer's own; beside it how many probes a request runs into (`make bench` has what a hit costs).

    sudo .venv/bin/python bench/services.py [--rate 2000] [--seconds 4]

Measures and asserts nothing. The load comes from the client of the same program, which is traced too.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import go_versions  # noqa: E402

WORKERS = 8
# net/http's server: ServeHTTP, finishRequest; its client: roundTrip and its return, which is single-stepped
HITS = "3 at cheap entries, 1 at a return"
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and what it has waited for (fields 14 to 17 of /proc/PID/stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return sum(map(int, fields[11:15])) * TICK_S


class Web:
    def __init__(self, program: Path, n: int, rate: int) -> None:
        self.process = subprocess.Popen(
            [program, "-n", str(n), "-workers", str(WORKERS), "-rate", str(rate)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout and self.process.stdin
        self.process.stdout.readline()

    def run(self) -> float:
        """Send the load; CPU seconds of server and client together."""
        assert self.process.stdout and self.process.stdin
        before = cpu_seconds(self.process.pid)
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.process.stdout.readline()
        return cpu_seconds(self.process.pid) - before

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


def traced(program: Path, n: int, rate: int) -> tuple[float, float, int, str]:
    """(CPU of the program, CPU of the tracer, spans, its last line)."""
    web = Web(program, n, rate)
    with tempfile.TemporaryDirectory() as folder:
        out, errors = Path(folder) / "out", Path(folder) / "errors"
        with out.open("wb") as o, errors.open("wb") as e:
            tracer = subprocess.Popen(
                [sys.executable, "-m", "tracer", "services", "-p", str(web.process.pid), "-f", "jsonl"],
                stdout=o, stderr=e, env={**os.environ, "PYTHONPATH": str(ROOT)},
            )  # fmt: skip
            while " probes, after " not in errors.read_text():
                if tracer.poll() is not None:
                    sys.exit(errors.read_text())
                time.sleep(0.05)
            before = cpu_seconds(tracer.pid)
            cost = web.run()
            time.sleep(1)
            own = cpu_seconds(tracer.pid) - before
            tracer.send_signal(signal.SIGINT)
            tracer.wait()
        spans = sum(json.loads(line)["kind"] == "server" for line in out.read_text().splitlines())
        last = errors.read_text().splitlines()[-1]
    web.end()
    return cost, own, spans, last


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rate", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=4.0)
    args = parser.parse_args()
    program = go_versions.go_program(ROOT / "tests" / "live" / "programs" / "web", "1.26")
    n = int(args.rate * args.seconds) // WORKERS
    requests = n * WORKERS
    web = Web(program, n, args.rate)
    plain = web.run()
    web.end()
    cost, own, spans, last = traced(program, n, args.rate)
    print(f"{requests} requests, {args.rate} a second, HTTP/1, server and client in one process, both traced")
    print(f"CPU of a request, not traced   {1e6 * plain / requests:8.1f} µs")
    print(f"CPU of a request, traced       {1e6 * cost / requests:8.1f} µs   ({cost / plain:.2f} times)")
    print(f"CPU of the tracer, per request {1e6 * own / requests:8.1f} µs")
    print(f"probe hits of a request: {HITS}; {1e6 * (cost - plain) / requests / 4:.1f} µs for each of the four")
    print(f"server spans {spans} of {requests}; {last}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
