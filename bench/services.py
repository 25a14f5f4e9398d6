# SPDX-License-Identifier: Apache-2.0
"""What `services` costs: CPU time for each request of a server at a fixed load, of the server and of the tracer.

    sudo .venv/bin/python bench/services.py [--only http|grpc] [--rate 5000] [--seconds 4]

The same load three times: before there are probes; on a process of the same executable that the tracer does not follow,
so that each hit ends at once (probes × what a hit costs at their sites: what cannot be avoided); and on the one that it
follows. The client is another executable. Measures and asserts nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import go_modules  # noqa: E402
import go_versions  # noqa: E402

WORKERS = 20
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass
class Kind:
    title: str
    server: Path
    client: Path
    hits: str  # of a request, in the server


def kinds() -> dict[str, Kind]:
    web = go_versions.go_program(ROOT / "tests" / "live" / "programs" / "web", "1.26")
    grpc, go = go_modules.EXAMPLES[0]
    return {
        "http": Kind("net/http, HTTP/1", web, web, "ServeHTTP, finishRequest: 2 hits, both at a cheap entry"),
        "grpc": Kind(
            f"grpc-go {grpc}, helloworld",
            go_modules.grpc_example("helloworld/greeter_server", grpc, go),
            go_modules.greetings(grpc, go),
            "handleStream, writeStatus: 2 hits, both at a cheap entry",
        ),
    }


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and what it has waited for (fields 14 to 17 of /proc/PID/stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return sum(map(int, fields[11:15])) * TICK_S


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


class Server:
    def __init__(self, name: str, program: Path) -> None:
        self.port = free_port()
        where = ["-port", str(self.port)] if name == "grpc" else ["-addr", f"127.0.0.1:{self.port}"]
        self.process = subprocess.Popen(
            [program, *where], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while socket.socket().connect_ex(("127.0.0.1", self.port)):
            time.sleep(0.01)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


def load(kind: Kind, server: Server, requests: int, rate: int) -> float:
    """Send it; the server's CPU seconds."""
    client = subprocess.Popen(
        [kind.client, "-to", f"127.0.0.1:{server.port}", "-n", str(requests // WORKERS), "-workers", str(WORKERS),
         "-rate", str(rate)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert client.stdin and client.stdout
    client.stdout.readline()
    before = cpu_seconds(server.process.pid)
    client.stdin.write("\n")
    client.stdin.flush()
    client.stdout.readline()
    cost = cpu_seconds(server.process.pid) - before
    client.kill()
    client.wait()
    return cost


def measure(name: str, kind: Kind, requests: int, rate: int, folder: Path) -> None:
    program = folder / f"{name}-server"
    shutil.copy(kind.server, program)
    followed, other = Server(name, program), Server(name, program)
    plain = load(kind, followed, requests, rate)
    out, errors = folder / "out", folder / "errors"
    with out.open("wb") as o, errors.open("wb") as e:
        tracer = subprocess.Popen(
            [sys.executable, "-m", "tracer", "services", "-p", str(followed.process.pid), "-f", "jsonl"],
            stdout=o, stderr=e, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        while " probes, after " not in errors.read_text():
            if tracer.poll() is not None:
                sys.exit(errors.read_text())
            time.sleep(0.05)
        hits = load(kind, other, requests, rate)
        before = cpu_seconds(tracer.pid)
        traced = load(kind, followed, requests, rate)
        time.sleep(1)
        own = cpu_seconds(tracer.pid) - before
        tracer.send_signal(signal.SIGINT)
        tracer.wait()
    followed.end()
    other.end()
    spans = sum(json.loads(line)["kind"] == "server" for line in out.read_text().splitlines())
    each = 1e6 / requests
    print(f"{kind.title}: {requests} requests, {rate} a second")
    print(f"  CPU of a request, no probes          {each * plain:8.1f} µs")
    print(f"  … with probes that tell nothing      {each * hits:8.1f} µs   ({hits / plain:.2f} times)   {kind.hits}")
    print(f"  … traced                             {each * traced:8.1f} µs   ({traced / plain:.2f} times)")
    print(f"  CPU of the tracer, for each request  {each * own:8.1f} µs")
    print(f"  spans {spans} of {requests}; {errors.read_text().splitlines()[-1]}")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", choices=("http", "grpc"))
    parser.add_argument("--rate", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=4.0)
    args = parser.parse_args()
    requests = int(args.rate * args.seconds) // WORKERS * WORKERS
    with tempfile.TemporaryDirectory() as text:
        for name, kind in kinds().items():
            if args.only in (None, name):
                measure(name, kind, requests, args.rate, Path(text))
    return 0


if __name__ == "__main__":
    sys.exit(main())
