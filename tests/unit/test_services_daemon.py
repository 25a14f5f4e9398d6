# SPDX-License-Identifier: Apache-2.0
"""`services` as it runs for long: what it does when something is short, and what others may ask of it."""

from __future__ import annotations

import io
import os
import resource
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tracer.discover.attacher import Attacher
from tracer.discover.criteria import Criterion
from tracer.discover.kinds import Kind
from tracer.discover.pipeline import Discovery
from tracer.discover.procfs import Look, Process
from tracer.errors import TracerError, UsageError
from tracer.processes import FileIdentity
from tracer.services.engine import Engine, Span
from tracer.services.lines import Lines
from tracer.services.metrics import Metrics
from tracer.services.privacy import Privacy
from tracer.services.probes import ServiceProbes, service_name
from tracer.services.rules import SERVER, Rule
from tracer.services.run import Service, ServiceOptions
from tracer.services.semconv import Report, report


def a_report(**fields: Any) -> Report:
    http = Rule("net/http server", "", SERVER, "http", "std", (1,), ())
    return report(Span(http, 1, 7, 10, 2_000_010, fields, "", 1, 2, 0, service="shop"), Privacy())


@contextmanager
def closing_ends(service: Service) -> Iterator[Service]:
    """Of one that is not run."""
    try:
        yield service
    finally:
        os.close(service._wake_read)
        os.close(service._wake_write)


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_without_descriptors_nothing_is_looked_at_and_nothing_is_gone() -> None:
    seen: list[Process] = []

    def kind(process: Process) -> Kind:
        seen.append(process)
        return Kind("go", "")

    said: list[str] = []
    attacher = Attacher(kind, lambda p, kind: None)
    discovery = Discovery([Criterion(pids=frozenset({os.getpid()}))], attacher, warn=said.append)
    with no_descriptor_left():
        discovery.poll()
    assert seen == []
    discovery.poll()
    with no_descriptor_left():
        discovery.poll()
        discovery.look_at(os.getpid())
    assert [sorted(e.processes) for e in attacher.executables] == [[os.getpid()]]
    assert discovery.looks_failed == 3
    assert said == ["cannot look at processes: Too many open files; the next poll tries again"]


def test_the_daemon_may_open_as_many_files_as_it_can() -> None:
    from tracer.services.run import _raise_file_limit

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (101, before[1]))
    try:
        _raise_file_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_who_connects_to_the_page_and_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("prometheus_client", reason="prometheus-client is not installed: make services")
    from tracer.services import prometheus

    monkeypatch.setattr(prometheus, "CONNECTIONS_MAX", 2)
    monkeypatch.setattr(prometheus._Handler, "timeout", 0.5)
    server = prometheus.PrometheusServer(0, Metrics(), lambda: {"spans": 23})
    address = ("127.0.0.1", server.port)
    try:
        with socket.create_connection(address, 5) as a, socket.create_connection(address, 5) as b:
            with socket.create_connection(address, 5) as c:
                assert c.recv(1) == b""  # at once: there is no room
            assert a.recv(1) == b.recv(1) == b""  # in time
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=5) as answer:
            assert b"gopherscope_spans_total 23.0\n" in answer.read()
    finally:
        server.close()


def test_metrics_are_sent_also_while_spans_come_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(
        "opentelemetry.exporter.otlp.proto.http", reason="OpenTelemetry is not installed: make services"
    )
    from tracer.services import otlp

    monkeypatch.setattr(otlp, "METRICS_EVERY_S", 0.05)
    monkeypatch.setattr(otlp, "SEND_EVERY_S", 0.01)
    metrics = Metrics()
    metrics.add(a_report(method="GET"))
    sender = otlp.Otlp("http://127.0.0.1:1", metrics)
    sent_metrics, goes_on, sizes = threading.Event(), threading.Event(), []
    goes_on.set()

    def export_spans(spans: list[Any]) -> Any:
        sizes.append(len(spans))
        if goes_on.is_set():
            sender.add(a_report(method="GET"))  # there is always one that waits
        return SimpleNamespace(name="SUCCESS")

    def export_metrics(data: Any) -> Any:
        sent_metrics.set()
        return SimpleNamespace(name="SUCCESS")

    sender._spans = SimpleNamespace(export=export_spans, shutdown=lambda: None)
    sender._metric_exporter = SimpleNamespace(export=export_metrics, shutdown=lambda: None)
    sender.add(a_report(method="GET"))
    try:
        assert sent_metrics.wait(5)
    finally:
        goes_on.clear()
        for _ in range(1009):
            sender.add(a_report(method="GET"))
        sender.close()
    assert (sender.sent, sender.dropped, sender.failed) == (sum(sizes), 0, 0)
    assert sum(sizes) > 1009 and max(sizes) == otlp.BATCH_MAX


def test_names_of_services_can_be_sent_and_are_bounded() -> None:
    pytest.importorskip("prometheus_client", reason="prometheus-client is not installed: make services")
    from prometheus_client import CollectorRegistry, generate_latest

    from tracer.services.prometheus import Page

    env = {"OTEL_SERVICE_NAME": "shop" * 10007}
    with subprocess.Popen(["/bin/cat"], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin and child.stdout
        child.stdin.write(b"\n")
        child.stdin.flush()
        child.stdout.read(1)  # it runs its own file by now
        told = Process(child.pid, 1, FileIdentity(1, 7), "/bin/cat", frozenset(), "")
        assert service_name(told, Criterion()) == "shop" * 64
        child.stdin.close()
    by_file = Process(0, 1, FileIdentity(1, 7), os.fsdecode(b"/srv/sh\xffop"), frozenset(), "")
    made = a_report(method="GET")
    made.span.service = service_name(by_file, Criterion())
    assert made.span.service == "sh\ufffdop"
    assert service_name(by_file, Criterion(name=os.fsdecode(b"\xe9"))) == "\ufffd"
    metrics = Metrics()
    metrics.add(made)
    registry = CollectorRegistry()
    registry.register(Page(metrics, dict))
    assert 'service_name="sh\ufffdop"'.encode() in generate_latest(registry)


def test_the_clock_is_set_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    wall, monotonic = 1_700_000_000_000_000_000, 5_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: wall)
    monkeypatch.setattr(time, "monotonic_ns", lambda: monotonic)
    with closing_ends(Service(ServiceOptions(criteria=list))) as service:
        service._lines = Lines(io.StringIO(), True, Privacy())
        clock = service._lines.clock
        began = clock.ns(monotonic)
        assert began == wall
        wall += 10_000_000  # noise
        service._tick()
        assert clock.ns(monotonic) == began
        wall += 3_600_000_000_000
        service._tick()
        assert clock.ns(monotonic) == wall


def test_a_failed_look_at_an_executable_is_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Kind] = [Kind("generic", "want of memory", failed=True), Kind("go", "1"), Kind("rust", "2")]
    monkeypatch.setattr("tracer.services.run.kind_of", lambda path, maps, usable: looks.pop(0))
    with closing_ends(Service(ServiceOptions(criteria=list))) as service:
        copy = tmp_path / "cat"
        shutil.copy("/bin/cat", copy)
        with subprocess.Popen([copy], stdin=subprocess.PIPE) as child:
            assert child.stdin
            one = Look().process(child.pid)
            assert one is not None
            assert [service._kind(one).name for _ in range(3)] == ["generic", "go", "go"]
            os.utime(copy, (1, 1))  # another build in the same inode
            assert service._kind(one).name == "rust"
            with pytest.raises(TracerError, match="runs another file by now"):
                service._kind(replace(one, exe=FileIdentity(one.exe.dev, one.exe.ino + 1)))
            child.stdin.close()
        with pytest.raises(UsageError, match="cannot open the executable"):
            service._kind(one)
        assert {kind.name for kind in service._kinds.values()} == {"go", "rust"}


def test_what_fails_at_one_event_ends_no_other() -> None:
    said: list[str] = []
    fed: list[Any] = []

    def feed(event: Any) -> None:
        fed.append(event)
        if event == {"n": 2} or event == {"n": 3}:
            raise KeyError("fid")

    probes = ServiceProbes.__new__(ServiceProbes)
    probes.path, probes._warn, probes._lock = "/srv/shop", said.append, threading.Lock()
    probes.engine = Engine({}, {}, lambda span: None)
    probes.engine.feed = feed  # type: ignore[method-assign]
    probes._read(io.BytesIO(b'{"n":1}\n{"n":2}\n{"n":3}\nno event\n{"n":4}\n'))
    assert fed == [{"n": n} for n in (1, 2, 3, 4)]
    assert (probes.engine.counters.failed, probes.engine.counters.malformed) == (2, 1)
    assert said == ["/srv/shop: an event failed: KeyError: 'fid'"]
