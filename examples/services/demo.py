# SPDX-License-Identifier: Apache-2.0
"""`make demo-services`: a gRPC and an HTTP service, some requests, and what `gopherscope services` shows of them.

Everything listens on loopback, and ends with this script.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE_S = 120.0


def say(text: str) -> None:
    print(f"\n# {text}", flush=True)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


def built(folder: Path) -> Path:
    """The example's program. Its modules come from the Go module proxy, at the versions of its go.mod and go.sum."""
    program = folder / "services"
    run = subprocess.run(
        ["go", "build", "-buildvcs=false", "-o", program, "."], cwd=Path(__file__).resolve().parent, text=True
    )
    if run.returncode:
        sys.exit("the example's services cannot be built: is the Go module proxy in reach?")
    return program


def wait_for(what: str, path: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    """Until a text has come so often in a file."""
    end = time.monotonic() + PATIENCE_S
    while path.read_text(errors="replace").count(what) < count:
        if process.poll() is not None or time.monotonic() > end:
            sys.exit(f"waited in vain for {what!r}:\n{path.read_text(errors='replace')}")
        time.sleep(0.05)


def get(url: str) -> None:
    """A request that the demo makes; 404 is an answer too."""
    with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(url, timeout=30) as answer:
        answer.read()


def main() -> int:
    with tempfile.TemporaryDirectory() as text, contextlib.ExitStack() as stack:
        folder = Path(text)
        program = built(folder)
        grpc, web, metrics = free_port(), free_port(), free_port()
        out, errors = folder / "out", folder / "errors"
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        arguments = ["--port", f"{grpc},{web}", "--headers", "--prometheus", str(metrics), "-f", "text"]
        say("gopherscope services " + " ".join(arguments))
        tracer = subprocess.Popen(
            [sys.executable, "-m", "tracer", "services", *arguments],
            stdout=stack.enter_context(out.open("wb")),
            stderr=stack.enter_context(errors.open("wb")),
            env=environment,
        )
        stack.callback(tracer.kill)
        wait_for("poll every", errors, 1, tracer)
        for name, *rest in (("stock", f"127.0.0.1:{grpc}"), ("front", f"127.0.0.1:{web}", f"127.0.0.1:{grpc}")):
            shutil.copy(program, folder / name)  # executables of their own, as services have
            service = subprocess.Popen([folder / name, name, *rest], stdout=subprocess.DEVNULL)
            stack.callback(service.kill)
        wait_for(" probes, after ", errors, 2, tracer)
        for what in ("pencils", "pencils?colour=blue", "rubbers"):
            get(f"http://127.0.0.1:{web}/stock/{what}")
        wait_for("front  ← http", out, 3, tracer)
        page = urllib.request.urlopen(f"http://127.0.0.1:{metrics}/metrics", timeout=30).read().decode()
        tracer.send_signal(signal.SIGINT)
        tracer.wait(PATIENCE_S)
        print(errors.read_text(), end="")
        lines = out.read_text().splitlines()
        blocks = [line for line in lines if re.search(" headers (sent|received) by the ", line)]
        say("requests: HTTP by front, gRPC from front to stock")
        print("\n".join(sorted(line for line in lines if line not in blocks)))  # by when they began
        say("header fields of the first gRPC call, in both directions, on both sides")
        print("\n".join(sorted(line for line in blocks if "stream 1:" in line)))
        say(f"curl http://127.0.0.1:{metrics}/metrics  (its counts)")
        print(
            "\n".join(line for line in page.splitlines() if "_count{" in line or line.startswith("gopherscope_spans"))
        )
    return tracer.returncode


if __name__ == "__main__":
    sys.exit(main())
