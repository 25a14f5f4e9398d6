# SPDX-License-Identifier: Apache-2.0
"""Discovery without a kernel part: ports, criteria, what changed between two looks, who is traced."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tracer.discover.attacher import Attacher
from tracer.discover.criteria import Criterion, first_match, from_environment, name_pattern, parse_file, parse_pids
from tracer.discover.kinds import Kind
from tracer.discover.ports import parse_ports
from tracer.discover.procfs import Look, Process, environment_of
from tracer.discover.watcher import CHANGED, CREATED, DELETED, Event, Match, Matcher, Watcher
from tracer.errors import TracerError, UsageError
from tracer.processes import FileIdentity, identity


def process(
    pid: int, *ports: int, exe: int = 7, path: str = "/srv/shop", start: int = 1, container: str = ""
) -> Process:
    return Process(pid, start, FileIdentity(1, exe), path, frozenset(ports), container)


# ---- ports ----------------------------------------------------------------------------------------------------------


def test_ports() -> None:
    ports = parse_ports("80, 443,8000-8999")
    assert [p for p in (79, 80, 443, 444, 7999, 8000, 8999, 9000) if p in ports] == [80, 443, 8000, 8999]
    assert str(ports) == "80,443,8000-8999"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "'' is no port"),
        ("80,", "'' is no port"),
        ("http", "'http' is no port"),
        ("0", "there is no port 0: they go from 1 to 65535"),
        ("65536", "there is no port 65536: they go from 1 to 65535"),
        ("1-99999", "there is no port 99999: they go from 1 to 65535"),
        ("9-8", "the range '9-8' ends before it begins"),
        ("8-", "'8-' is no port"),
        ("٨٠", "'٨٠' is no port"),
        (",".join(["80"] * 1025), "more than 1024 ranges of ports"),
    ],
)
def test_bad_ports(text: str, why: str) -> None:
    with pytest.raises(UsageError) as e:
        parse_ports(text)
    assert e.value.message == why


# ---- criteria -------------------------------------------------------------------------------------------------------


def test_all_of_a_criterion_must_hold() -> None:
    both = Criterion(parse_ports("80-81"), re.compile("shop"))
    assert both.matches(process(1, 81))
    assert not both.matches(process(1, 82))
    assert not both.matches(process(1))
    assert not both.matches(process(1, 81, path="/srv/other"))
    assert Criterion(pids=frozenset({3})).matches(process(3))
    assert not Criterion(pids=frozenset({3})).matches(process(4))
    inside = Criterion(containers=True)
    assert inside.matches(process(1, container="abc")) and not inside.matches(process(1))


def test_the_first_that_fits_wins() -> None:
    criteria = [Criterion(parse_ports("80"), name="web"), Criterion(executable=re.compile("shop"), name="shop")]
    assert [first_match(criteria, p) for p in (process(1, 80), process(1), process(1, path="/x"))] == [
        criteria[0],
        criteria[1],
        None,
    ]


def test_criteria_from_the_environment() -> None:
    found = from_environment(
        {"BEYLA_OPEN_PORT": "80,8000-8999", "BEYLA_EXECUTABLE_NAME": "shop$", "OTEL_SERVICE_NAME": "s"}
    )
    assert found == Criterion(parse_ports("80,8000-8999"), re.compile("shop$"), name="s")
    assert from_environment({"OTEL_SERVICE_NAME": "s"}) is None
    with pytest.raises(UsageError, match="no port 70000"):
        from_environment({"BEYLA_OPEN_PORT": "70000"})


def test_criteria_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "c.ini"
    file.write_text("[web]\nopen_port = 80,443\nexe_name = /shop$\n\n[all]\ncontainers = yes\nname = inside\n")
    assert parse_file(str(file)) == [
        Criterion(parse_ports("80,443"), re.compile("/shop$"), name="web"),
        Criterion(containers=True, name="inside"),
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"[web]\n", "section [web]: asks for nothing"),
        (b"[web]\nprot = 80\n", "section [web]: unknown key 'prot'"),
        (b"[web]\nopen_port = 0\n", "section [web]: there is no port 0: they go from 1 to 65535"),
        (b"[web]\nexe_name = (\n", "section [web]: the regular expression '(' does not compile: "),
        (b"[web]\ncontainers = perhaps\n", "section [web]: containers = 'perhaps': yes or no"),
        (b"[web]\npid = 1,x\n", "section [web]: 'x' is no process id"),
        (b"open_port = 80\n", "File contains no section headers."),
        (b"[web]\nopen_port=80\n[web]\nopen_port=81\n", "section 'web' already exists"),
        (b"[\xff]\n", "is no UTF-8 text"),
        (b"[a]\nopen_port = 80\n" * 100000, "has more than 1 MB"),
    ],
)
def test_bad_criteria_files(tmp_path: Path, text: bytes, why: str) -> None:
    file = tmp_path / "c.ini"
    file.write_bytes(text)
    with pytest.raises(UsageError, match=re.escape(why)):
        parse_file(str(file))


def test_bad_criteria() -> None:
    with pytest.raises(UsageError, match=r"^the regular expression '\[' does not compile: unterminated character set"):
        name_pattern("[")
    with pytest.raises(UsageError, match="No such file"):
        parse_file("/nowhere/c.ini")
    for text in ("0", "-1", "", "4194305", "1,,2"):
        with pytest.raises(UsageError, match="is no process id"):
            parse_pids(text)


# ---- watcher and matcher --------------------------------------------------------------------------------------------


def test_watcher_tells_what_changed() -> None:
    watcher = Watcher()
    a, b = process(1), process(2)
    assert watcher.see_all({1: a, 2: b}) == [Event(CREATED, a), Event(CREATED, b)]
    listening, executed = replace(a, ports=frozenset({80})), replace(b, exe=FileIdentity(1, 8))
    assert watcher.see_all({1: listening, 2: executed}) == [
        Event(CHANGED, listening),
        Event(DELETED, b),
        Event(CREATED, executed),
    ]
    again = replace(a, start=2)  # the id was given to another process
    assert watcher.see_all({1: again}) == [Event(DELETED, executed), Event(DELETED, listening), Event(CREATED, again)]
    assert watcher.see(1, None) == [Event(DELETED, again)]
    assert watcher.see(1, None) == []


def test_matcher_waits_for_the_port_and_then_keeps_the_process() -> None:
    web = Criterion(parse_ports("80"))
    matcher = Matcher([web])
    bound = process(1, 80)
    assert matcher.feed([Event(CREATED, process(1))]) == []
    assert matcher.feed([Event(CHANGED, bound)]) == [Match(bound, web)]
    assert matcher.feed([Event(CHANGED, process(1))]) == []  # it has closed its port
    assert matcher.feed([Event(DELETED, process(1))]) == [Match(process(1), None)]


def test_matcher_with_other_criteria() -> None:
    web, shop = Criterion(parse_ports("80")), Criterion(executable=re.compile("shop"))
    matcher = Matcher([web])
    a, b = process(1, 80, path="/x"), process(2)
    assert matcher.feed([Event(CREATED, a), Event(CREATED, b)]) == [Match(a, web)]
    assert matcher.replace([shop]) == [Match(a, None), Match(b, shop)]
    assert matcher.replace([shop]) == []


# ---- attacher -------------------------------------------------------------------------------------------------------


class FakeTracing:
    def __init__(self, log: list[str], name: str) -> None:
        self.log, self.name = log, name
        log.append(f"open {name}")

    def add(self, process: Process, criterion: Criterion) -> None:
        self.log.append(f"add {process.pid}")

    def remove(self, process: Process) -> None:
        self.log.append(f"remove {process.pid}")

    def close(self) -> None:
        self.log.append(f"close {self.name}")


def test_one_set_of_probes_for_each_executable() -> None:
    log: list[str] = []
    attacher = Attacher(
        lambda p: Kind("go", ""),
        lambda p, kind: FakeTracing(log, p.exe_path),
        traced=lambda tracing, p: log.append(f"traced {p.pid}"),
    )
    any_ = Criterion(executable=re.compile(""))
    attacher.feed([Match(process(1), any_), Match(process(2), any_), Match(process(3, exe=8, path="/b"), any_)])
    attacher.feed([Match(process(1), None), Match(process(1), None)])
    assert [(e.path, sorted(e.processes)) for e in attacher.executables] == [("/srv/shop", [2]), ("/b", [3])]
    attacher.feed([Match(process(2), None)])
    attacher.close()
    assert log == [
        "open /srv/shop", "add 1", "traced 1", "add 2", "open /b", "add 3", "traced 3",
        "remove 1", "remove 2", "close /srv/shop", "close /b",
    ]  # fmt: skip


def test_an_executable_that_cannot_be_traced_is_tried_once() -> None:
    tried, said = [], []

    def make(p: Process, kind: Kind) -> FakeTracing:
        tried.append(p.pid)
        raise TracerError("no rule fits")

    attacher = Attacher(lambda p: Kind("go", ""), make, said.append)
    any_ = Criterion(executable=re.compile(""))
    attacher.feed([Match(process(1), any_), Match(process(2), any_)])
    assert tried == [1]
    assert said == ["/srv/shop (process 1): not traced: no rule fits"]
    assert attacher.executables[0].why_not == "no rule fits"


@pytest.mark.parametrize("error", [MemoryError("no memory"), AssertionError("a defect"), OSError(5, "an error")])
@pytest.mark.parametrize("where", ["kind", "make"])
def test_what_fails_with_one_executable_ends_no_other(error: Exception, where: str) -> None:
    log: list[str] = []

    def fail(p: Process, at: str) -> None:
        if (p.pid, at) == (1, where):
            raise error

    def kind(p: Process) -> Kind:
        fail(p, "kind")
        return Kind("go", "")

    def make(p: Process, kind: Kind) -> FakeTracing:
        fail(p, "make")
        return FakeTracing(log, p.exe_path)

    attacher = Attacher(kind, make, log.append)
    any_ = Criterion(executable=re.compile(""))
    attacher.feed([Match(process(1), any_), Match(process(2, exe=8, path="/b"), any_), Match(process(1), None)])
    attacher.close()
    why = f"{type(error).__name__}: {error}"
    assert log == [f"/srv/shop (process 1): not traced: {why}", "open /b", "add 2", "close /b"]
    assert attacher.unexpected == 1


@pytest.mark.parametrize("method", ["add", "remove", "close"])
def test_what_fails_later(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def fail(self: FakeTracing, *args: object) -> None:
        raise MemoryError

    monkeypatch.setattr(FakeTracing, method, fail)
    attacher = Attacher(lambda p: Kind("go", ""), lambda p, kind: FakeTracing([], ""), said.append)
    any_ = Criterion(executable=re.compile(""))
    attacher.feed([Match(process(1), any_), Match(process(1), None)])
    what = "/srv/shop" if method == "close" else "process 1"
    assert said == [f"{what}: MemoryError", "/srv/shop: its last process has ended"]
    assert (attacher.unexpected, attacher.executables) == (1, [])


def test_executables_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are not traced take nobody's place, and one that goes makes room."""
    monkeypatch.setattr("tracer.discover.attacher.EXECUTABLES_MAX", 3)
    log: list[str] = []

    def make(p: Process, kind: Kind) -> FakeTracing | None:
        return FakeTracing(log, p.exe_path) if p.exe_path.startswith("go") else None

    attacher = Attacher(lambda p: Kind("go", ""), make, log.append)
    any_ = Criterion(executable=re.compile(""))
    every = [process(i, exe=i, path=f"other {i}") for i in range(1, 8)]
    every += [process(i, exe=i, path=f"go {i}") for i in range(8, 15)]
    attacher.feed([Match(p, any_) for p in every])
    attacher.feed([Match(process(20, exe=13, path="go 13"), any_)])  # another process of one that waits
    assert (len(attacher.executables), attacher.refused) == (10, 4)
    attacher.feed([Match(every[8], None), Match(every[10], None)])  # one ends that is traced, one that waits
    assert log == [
        "open go 8", "add 8", "open go 9", "add 9", "open go 10", "add 10",
        "more than 3 executables: the others wait until one of them has ended",
        "remove 9", "close go 9", "go 9: its last process has ended", "open go 12", "add 12",
    ]  # fmt: skip
    attacher.feed([Match(every[7], None)])
    assert log[-4:] == ["go 8: its last process has ended", "open go 13", "add 13", "add 20"]
    assert attacher.refused == 4


# ---- /proc ----------------------------------------------------------------------------------------------------------


def test_a_look_sees_ports_of_this_process(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as four, socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # bound, and does not listen: no server yet
        me = Look().process(os.getpid())
        assert me is not None
        assert four.getsockname()[1] in me.ports
        assert bound.getsockname()[1] not in me.ports
        bound.listen()
        again = Look().process(os.getpid())
        assert again is not None and bound.getsockname()[1] in again.ports
    assert me.exe == identity("/proc/self/exe")
    assert me.exe_path == os.path.realpath(sys.executable)
    assert Look(with_ports=False).processes()[os.getpid()].ports == frozenset()
    assert Look().process(0) is None


def test_environment_of_a_process() -> None:
    env = {"OTEL_SERVICE_NAME": "shop=1", "SECRET": "x"}
    with subprocess.Popen(
        ["/bin/sh", "-c", "echo; read x"], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout and child.stdout.readline()
        try:
            assert environment_of(child.pid, ("OTEL_SERVICE_NAME", "NOT_SET")) == {"OTEL_SERVICE_NAME": "shop=1"}
        finally:
            child.kill()


@pytest.mark.parametrize(
    ("cgroup", "found"),
    [
        (f"0::/system.slice/docker-{'ab' * 32}.scope\n", "ab" * 32),
        (f"0::/kubepods/burstable/pod1/{'0c' * 32}\n", "0c" * 32),
        (f"12:cpu:/a\n0::/kubepods.slice/cri-containerd-{'1d' * 32}.scope\n", "1d" * 32),
        ("0::/user.slice\n", ""),
        (f"0::/x/{'AB' * 32}\n", ""),
    ],
)
def test_containers(tmp_path: Path, cgroup: str, found: str) -> None:
    (tmp_path / "5").mkdir()
    (tmp_path / "5" / "exe").symlink_to(sys.executable)
    (tmp_path / "5" / "stat").write_text("5 (a ) b) S " + " ".join(str(i) for i in range(4, 53)))
    (tmp_path / "5" / "cgroup").write_text(cgroup)
    seen = Look(str(tmp_path)).process(5)
    assert seen is not None
    assert (seen.container, seen.start) == (found, 22)
