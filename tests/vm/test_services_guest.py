# SPDX-License-Identifier: Apache-2.0
"""`services` on every kernel: its programs load, each request has its span; a bind is told where there are kprobes."""

from __future__ import annotations

import contextlib
import re
import socket
import sys

import guest
import pytest
from guest import LONG
from tracing import Program, Tracer, until

from tracer.discover.kernel_events import KernelEvents

pytestmark = pytest.mark.vm

# Binds to the port it is given, tells so, and waits for a line before it ends.
BINDER = """
import socket, sys
s = socket.socket(socket.AF_INET6 if sys.argv[1] == "6" else socket.AF_INET)
sys.stdin.readline()
s.bind(("::1" if sys.argv[1] == "6" else "127.0.0.1", int(sys.argv[2])))
print("bound", flush=True)
sys.stdin.readline()
"""


def free_port(family: socket.AddressFamily) -> int:
    with socket.socket(family) as s:
        s.bind(("", 0))
        port: int = s.getsockname()[1]
        return port


@pytest.mark.parametrize("version", ["4", "6"])
def test_a_bind_is_told(version: str) -> None:
    """With its port, before the process listens; by the kprobe, where the kernel has kprobes."""
    port = free_port(socket.AF_INET6 if version == "6" else socket.AF_INET)
    binder = Program(sys.executable, "-c", BINDER, version, port)
    events = KernelEvents()
    try:
        assert ("bind" not in events.missing) == guest.allowed("kprobe")
        guest.note("bind is told", "bind" not in events.missing)
        binder.go()
        assert binder.line() == "bound"
        binder.end()
        seen: list[tuple[str, int]] = []

        def ended() -> bool:
            seen.extend((e.source, e.port) for e in events.take() if e.pid == binder.pid and e.source != "exec")
            return ("exit", 0) in seen

        until(ended, "the end of the process")
        assert seen == ([("bind", port)] if guest.allowed("kprobe") else []) + [("exit", 0)]
    finally:
        events.close()
        binder.end()


@pytest.mark.timeout(3 * LONG)
def test_every_request_has_one_span(tracer: Tracer) -> None:
    server = tracer.program(guest.web(), "-n", 23, "-workers", 3)
    server.line()
    tracing = tracer.start("services", "-f", "jsonl", "-v", "-p", server.pid)
    until(lambda: " probes, after " in tracing.stderr, "the probes", 2 * LONG)
    server.go()
    assert server.line().startswith("sent 69 in ")
    with contextlib.suppress(AssertionError):  # what is missing is told by the counts below
        until(lambda: tracing.count("span") >= 2 * 69, "the spans of both sides", LONG / 2)
    run = tracing.stop()
    assert run.status == 0, run.stderr
    assert re.search(r"^138 spans; nothing lost$", run.stderr, re.MULTILINE), run.stderr
    found = [(e["kind"], e["attributes"]["http.response.status_code"]) for e in run.events if e["type"] == "span"]
    each = {("server", 200): 60, ("server", 503): 9, ("client", 200): 60, ("client", 503): 9}
    assert {one: found.count(one) for one in found} == each
    # a request leads through interfaces and slices: the whole program is what reads it
    assert "call_deep" in guest.note_verifier(run.stderr, "services/"), run.stderr
