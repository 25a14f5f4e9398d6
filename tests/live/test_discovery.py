# SPDX-License-Identifier: Apache-2.0
"""Discovery on this kernel: processes that come, bind, listen, fork, execute another file, end; by events, by poll."""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from missing import missing
from tracing import Program, until

from tracer.discover.attacher import Attacher
from tracer.discover.criteria import Criterion
from tracer.discover.kernel_events import KernelEvents, open_kernel_events
from tracer.discover.kinds import Kind
from tracer.discover.pipeline import Discovery
from tracer.discover.ports import parse_ports
from tracer.discover.procfs import Process

# Binds, and listens when it is told to; forks when it is told to; becomes `sleep` when it is told to.
SERVER = """
import os, socket, sys
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1], flush=True)
for line in sys.stdin:
    word = line.strip()
    if word == "listen":
        s.listen()
    elif word == "fork":
        child = os.fork()
        if not child:
            import time
            time.sleep(600)
        print(child, flush=True)
    elif word == "exec":
        os.set_inheritable(s.fileno(), True)
        os.execv("/bin/sleep", ["sleep", "600"])
    print("done", flush=True)
"""


class Recorded:
    """Stands for probes: writes down what it is told."""

    def __init__(self, log: list[tuple[str, int]]) -> None:
        self.log = log

    def add(self, process: Process, criterion: Criterion) -> None:
        self.log.append(("add", process.pid))

    def remove(self, process: Process) -> None:
        self.log.append(("remove", process.pid))

    def close(self) -> None:
        self.log.append(("close", 0))


class Running:
    def __init__(self, criteria: list[Criterion], poll_s: float, events: KernelEvents | None) -> None:
        self.log: list[tuple[str, int]] = []
        attacher = Attacher(lambda p: Kind("go", ""), lambda p, kind: Recorded(self.log))
        self.discovery = Discovery(criteria, attacher, poll_s, events)
        self.discovery.poll()

    def until(self, *entry: tuple[str, int], within: float = 60.0) -> None:
        """Let discovery run until the log holds these, in this order at its end."""
        end = time.monotonic() + within
        while tuple(self.log[-len(entry) :]) != entry:
            assert time.monotonic() < end, f"{self.log} does not end with {entry}"
            self.discovery.step(0.05)


@pytest.fixture(params=["events", "poll"])
def running(request: pytest.FixtureRequest) -> Iterator[Callable[..., Running]]:
    """running(criteria): by events alone (a poll would come after the test), or by the poll alone."""
    made = []

    def make(*criteria: Criterion) -> Running:
        events = None
        if request.param == "events":
            events, why = open_kernel_events()
            if events is None:
                missing(f"this kernel tells of no processes: {why}")
        made.append(Running(list(criteria), 3600.0 if events else 0.1, events))
        return made[-1]

    yield make
    for one in made:
        one.discovery.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Callable[[], Program]]:
    """A server with an executable of its own, so that no other process counts."""
    copy = tmp_path / "server-python"
    shutil.copy(os.path.realpath(sys.executable), copy)
    started = []

    def start() -> Program:
        started.append(Program(copy, "-c", SERVER))
        return started[-1]

    yield start
    for program in started:
        program.end()


def tell(program: Program, word: str) -> str:
    assert program.process.stdin
    program.process.stdin.write(word + "\n")
    program.process.stdin.flush()
    return program.line()


def test_a_port_that_is_bound_before_it_listens(running: Callable[..., Running], server: Callable[[], Program]) -> None:
    program = server()
    port = int(program.line())
    run = running(Criterion(parse_ports(str(port))))
    for _ in range(3):
        run.discovery.step(0.05)
    assert run.log == []  # bound only
    tell(program, "listen")
    run.until(("add", program.pid))
    program.end()
    run.until(("remove", program.pid), ("close", 0))


def test_start_share_fork_exec_and_end(running: Callable[..., Running], server: Callable[[], Program]) -> None:
    run = running(Criterion(executable=re.compile("/server-python$")))
    first = server()
    first.line()
    run.until(("add", first.pid))
    second = server()
    second.line()
    run.until(("add", second.pid))  # no other executable: no close, no second set
    child = int(tell(first, "fork"))
    first.line()
    if run.discovery._events is not None:
        run.discovery.poll()  # a fork without exec is not told: the next poll sees it
    run.until(("add", child))
    os.kill(child, 9)
    assert second.process.stdin
    second.process.stdin.write("exec\n")
    second.process.stdin.flush()
    # the child's end may be seen with it, in either order
    until(lambda: (run.discovery.step(0.05), ("remove", second.pid) in run.log)[1], "the end of the second")
    first.end()  # reaps its child too
    if run.discovery._events is not None:
        until(lambda: not Path(f"/proc/{child}").exists(), "the child's end")
        run.discovery.poll()
    until(lambda: (run.discovery.step(0.05), ("remove", first.pid) in run.log)[1], "the end of the first")
    until(lambda: (run.discovery.step(0.05), run.log[-1] == ("close", 0))[1], "the end of the executable")
    assert sorted(run.log) == sorted(
        [(word, pid) for word in ("add", "remove") for pid in (first.pid, second.pid, child)] + [("close", 0)]
    )


def test_events_name_the_process(server: Callable[[], Program]) -> None:
    events, why = open_kernel_events()
    if events is None:
        missing(f"this kernel tells of no processes: {why}")
    assert events
    try:
        list(events.take())
        program = server()
        program.line()
        tell(program, "listen")
        program.end()
        seen: list[tuple[str, int]] = []
        until(
            lambda: (
                seen.extend((e.source, e.port) for e in events.take() if e.pid == program.pid),
                ("exit", 0) in seen,
            )[1],
            "the events of a process",
        )
        bind = [] if "bind" in events.missing else [("bind", 0)]  # any port was asked for
        assert seen == [("exec", 0), *bind, ("listen", 0), ("exit", 0)]
        assert events.lost() == 0
    finally:
        events.close()
