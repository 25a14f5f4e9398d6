# SPDX-License-Identifier: Apache-2.0
"""What arrives where it is sent: a real Prometheus scrapes and is queried; OTLP is read back as its own messages."""

from __future__ import annotations

import collections
import contextlib
import http.server
import json
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from go_versions import cache_dir
from missing import missing
from test_services import WEB, attached, free_port, served, services, spans, web
from tracing import Tracer, check_error, until


def prometheus() -> Path:
    """Prometheus as Debian packages it, unpacked beside the tests' programs, or the one on PATH."""
    own = shutil.which("prometheus")
    if own:
        return Path(own)
    folder = cache_dir() / "prometheus"
    program = folder / "usr" / "bin" / "prometheus"
    if not program.exists():
        folder.mkdir(exist_ok=True)
        get = subprocess.run(["apt-get", "download", "prometheus"], cwd=folder, capture_output=True, text=True)
        packages = list(folder.glob("prometheus_*.deb"))
        if get.returncode or not packages:
            missing(f"Debian's package prometheus cannot be had: {get.stderr[-200:]}")
        subprocess.run(["dpkg", "-x", packages[0], folder], check=True)
    return program


def query(port: int, expression: str) -> list[dict[str, Any]]:
    url = f"http://127.0.0.1:{port}/api/v1/query?query={urllib.parse.quote(expression)}"
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
            return result
    except OSError:
        return []


def test_prometheus_scrapes_it(
    tracer: Tracer, tmp_path: Path, go_program: Callable[..., Path], own_copy: Callable[[Path], Path]
) -> None:
    program = prometheus()
    server, _ = web(tracer, own_copy(go_program(WEB, "1.26")), "-n", 101, "-workers", 3)
    page, port = free_port(), free_port()
    tracing = attached(services(tracer, "-p", server.pid, "--prometheus", page))
    server.go()
    server.line()
    counts = served(server)
    until(lambda: tracing.count("span") >= 2 * 303, "the spans")
    (tmp_path / "p.yml").write_text(
        "global: {scrape_interval: 1s}\n"
        f"scrape_configs: [{{job_name: services, static_configs: [{{targets: ['127.0.0.1:{page}']}}]}}]\n"
    )
    with subprocess.Popen(
        [program, f"--config.file={tmp_path / 'p.yml'}", f"--storage.tsdb.path={tmp_path / 'data'}",
         f"--web.listen-address=127.0.0.1:{port}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            name = "http_server_request_duration_seconds"
            until(lambda: bool(query(port, f"{name}_count")), "what Prometheus has scraped")
            by = "service_name, http_request_method, http_route, http_response_status_code"
            labels = ("http_request_method", "http_route", "http_response_status_code")
            found = {
                tuple(r["metric"][label] for label in labels): int(float(r["value"][1]))
                for r in query(port, f"sum by ({by}) ({name}_count)")
            }
            inside = query(port, f'sum({name}_bucket{{le="+Inf"}}) == sum({name}_count)')
            lost = query(port, "gopherscope_lost_total")
        finally:
            process.terminate()
    assert counts == {"GET /ok 200": 261, "GET /fail/ 503": 42}
    assert found == {("GET", "/ok", "200"): 261, ("GET", "/fail/", "503"): 42}
    assert len(inside) == 1
    assert [r["value"][1] for r in lost] == ["0"]


class Receiver:
    """An OTLP/HTTP receiver on OpenTelemetry's own messages."""

    def __init__(self, hang: bool = False) -> None:
        self.traces: list[Any] = []
        self.metrics: list[Any] = []
        self.hang = threading.Event()
        if hang:
            self.hang.set()
        self.let_go = threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.take(self)

            def log_message(self, *args: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        import gzip

        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        if handler.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        if self.hang.is_set():
            self.let_go.wait(120)
        self.read(handler.path, body)
        handler.send_response(200)
        handler.send_header("Content-Type", "application/x-protobuf")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    def read(self, path: str, body: bytes) -> None:
        from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        if path == "/v1/traces":
            self.traces.append(ExportTraceServiceRequest.FromString(body))
        elif path == "/v1/metrics":
            self.metrics.append(ExportMetricsServiceRequest.FromString(body))

    def spans(self) -> list[tuple[str, Any]]:
        """(service, span)"""
        return [
            (next(a.value.string_value for a in r.resource.attributes if a.key == "service.name"), span)
            for request in list(self.traces) for r in request.resource_spans for s in r.scope_spans for span in s.spans
        ]  # fmt: skip


def attributes(message: Any) -> dict[str, Any]:
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in message.attributes}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    pytest.importorskip("opentelemetry.proto", reason="opentelemetry-proto is not installed: make services")
    one = Receiver()
    yield one
    one.let_go.set()
    one.server.shutdown()


def test_otlp(
    tracer: Tracer, receiver: Receiver, go_program: Callable[..., Path], own_copy: Callable[[Path], Path]
) -> None:
    server, _ = web(tracer, own_copy(go_program(WEB, "1.26")), "-n", 101, "-workers", 5)
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_SERVICE_NAME": "shop"}
    tracing = attached(services(tracer, "-p", server.pid, env=env))
    server.go()
    server.line()
    counts = served(server)
    until(lambda: tracing.count("span") >= 2 * 505, "the spans")
    run = tracing.stop()
    assert run.status == 0, run.stderr
    assert "otlp failed" not in run.stderr and "otlp dropped" not in run.stderr, run.stderr
    arrived = receiver.spans()
    assert len(arrived) == 1010
    assert {service for service, _ in arrived} == {"shop"}
    written = {e["span_id"]: e for e in run.events if e["type"] == "span"}
    assert {s.span_id.hex() for _, s in arrived} == set(written)
    for _, span in arrived:
        line = written[span.span_id.hex()]
        assert (span.trace_id.hex(), span.name) == (line["trace_id"], line["name"])
        assert span.end_time_unix_nano - span.start_time_unix_nano == line["duration_ns"]
        assert span.kind == {"server": 2, "client": 3}[line["kind"]]
        assert line["attributes"].items() <= attributes(span).items()
        assert span.status.code == (2 if line["status"] == "error" else 0)
    points = [
        (metric.name, attributes(point), point.count)
        for metric in (m for r in receiver.metrics[-1].resource_metrics for s in r.scope_metrics for m in s.metrics)
        for point in metric.histogram.data_points
    ]
    server_points = {(a["http.route"], a["http.response.status_code"]): n for name, a, n in points if "server." in name}
    assert server_points == {("/ok", 200): counts["GET /ok 200"], ("/fail/", 503): counts["GET /fail/ 503"]}
    assert {name for name, _, _ in points} == {"http.server.request.duration", "http.client.request.duration"}


@pytest.mark.parametrize("what", ["down", "hangs"])
def test_a_collector_that_does_not_answer_blocks_nothing(
    tracer: Tracer, receiver: Receiver, go_program: Callable[..., Path], own_copy: Callable[[Path], Path], what: str
) -> None:
    receiver.hang.set()
    # Bound, and nobody listens: a port that were merely free could be given to the server, or to the exporter itself.
    with socket.socket() as down:
        down.bind(("127.0.0.1", 0))
        url = receiver.url if what == "hangs" else f"http://127.0.0.1:{down.getsockname()[1]}"
        server, _ = web(tracer, own_copy(go_program(WEB, "1.26")), "-n", 101, "-workers", 5)
        tracing = attached(services(tracer, "-p", server.pid, "--otlp", url))
        server.go()
        server.line()
        counts = served(server)
        until(lambda: tracing.count("span") >= 2 * 505, "the spans, whatever the collector does")
        run = tracing.stop()
    assert run.status == 0
    seen = collections.Counter(s["attributes"]["http.response.status_code"] for s in spans(run.events))
    assert seen == {200: counts["GET /ok 200"], 503: counts["GET /fail/ 503"]}
    assert "warning: spans cannot be sent by OTLP" in run.stderr
    assert "otlp failed" in run.stderr or "otlp dropped" in run.stderr


def test_bad_requests_of_the_command_line(tracer: Tracer, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        check_error(
            tracer("services", "-p", 1, "--prometheus", port),
            1,
            rf"cannot serve metrics on 127\.0\.0\.1:{port}: Address",
        )
    for args, why in [
        ([], "which services"),
        (["--port", "70000"], "there is no port 70000"),
        (["--port", "80-"], "'80-' is no port"),
        (["--executable", "("], "does not compile"),
        (["--port", "80", "--otlp", "nowhere"], "is no URL of a collector"),
        (["--port", "80", "--otlp", "http://a:99999"], "the port is no number up to 65535"),
        (["--port", "80", "-f", "otlp"], "needs --otlp URL"),
        (["--config", tmp_path / "none"], "No such file"),
        (["--port", "80", "--poll", "0"], "longer than nothing"),
        (["--explain"], "--explain needs -b FILE"),
    ]:
        check_error(tracer("services", *args), 2, why)
    check_error(tracer("services", env={"BEYLA_OPEN_PORT": "8x"}), 2, "'8x' is no port")
    check_error(tracer("services", "--port", 80, env={"BEYLA_PROMETHEUS_PORT": "99999"}), 2, "up to 65535")


@pytest.mark.alone
def test_a_fixed_load_loses_nothing(
    tracer: Tracer, go_program: Callable[..., Path], own_copy: Callable[[Path], Path]
) -> None:
    """5,000 requests a second for two seconds; in their middle the tracer is stopped for one. The client is another
    process, of another file, and not traced."""
    program = go_program(WEB, "1.26")
    server, address = web(tracer, own_copy(program))
    client, _ = web(tracer, program, "-n", 500, "-workers", 20, "-rate", 5000, "-to", address)
    tracing = attached(services(tracer, "-p", server.pid))
    server.go()  # it sends nothing itself
    server.line()
    client.go()
    time.sleep(0.5)
    tracing.process.send_signal(signal.SIGSTOP)
    time.sleep(1)
    tracing.process.send_signal(signal.SIGCONT)
    assert client.line().startswith("sent 10000 in ")
    counts = served(server)
    assert sum(counts.values()) == 10000
    with contextlib.suppress(AssertionError):  # what is missing is told by the counts below
        until(lambda: tracing.count("span") >= 10000, "the spans", 20)
    tracing.process.send_signal(signal.SIGTERM)
    run = tracing.finish()
    assert "10000 spans; nothing lost" in run.stderr
    seen = collections.Counter(s["attributes"]["http.response.status_code"] for s in spans(run.events))
    assert seen == {200: counts["GET /ok 200"], 503: counts["GET /fail/ 503"]}
