# SPDX-License-Identifier: Apache-2.0
"""What an OpenTelemetry Collector receives: built of its own modules, with its OTLP receiver and its debug exporter."""

from __future__ import annotations

import collections
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import go_modules
import pytest
from test_services import WEB, attached, free_port, served, services, web
from test_services_grpc import built, listens
from tracing import Tracer, until

pytestmark = pytest.mark.slow  # to build it takes minutes

CONFIG = """
receivers: {{otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{port}"}}}}}}}}
exporters: {{debug: {{verbosity: detailed, use_internal_logger: false}}}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [debug]}}
    metrics: {{receivers: [otlp], exporters: [debug]}}
"""


@dataclass
class Item:
    """A span, or a point of a metric, as the debug exporter shows it."""

    fields: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, str] = field(default_factory=dict)


def items(text: str) -> Iterator[tuple[str, Item]]:
    """("Span" or "HistogramDataPoints", …). A point has its metric's fields; all have their resource's attributes."""
    kind, now, metric, resource = "", Item(), Item(), Item()
    for line in [*text.splitlines(), "ResourceSpans #0"]:
        if begun := re.match(r"(Resource\w+|Span|Metric|HistogramDataPoints) #\d+", line):
            if kind in ("Span", "HistogramDataPoints"):
                yield kind, now
            kind, now = begun[1], Item()
            if kind == "Metric":
                metric = now
            elif kind.startswith("Resource"):
                resource = now
            else:
                now.attributes.update(resource.attributes)
                now.fields.update(metric.fields if kind == "HistogramDataPoints" else {})
        elif value := re.match(r"     -> (\S+): (\w+)\((.*)\)$", line):
            now.attributes[value[1]] = value[3]
        elif value := re.match(r"(?:     -> |    )?(\w[\w ]*?)\s*: ?(.*)", line):
            now.fields[value[1]] = value[2]


def test_a_collector_receives_all_of_it(
    tracer: Tracer, tmp_path: Path, go_program: Callable[..., Path], own_copy: Callable[[Path], Path]
) -> None:
    program, port, log = built(go_modules.otel_collector), free_port(), tmp_path / "received"
    (tmp_path / "config.yaml").write_text(CONFIG.format(port=port))
    with log.open("wb") as out, subprocess.Popen(
        [program, "--config", f"file:{tmp_path / 'config.yaml'}"], stdout=out, stderr=subprocess.STDOUT
    ) as collector:  # fmt: skip
        try:
            until(lambda: listens(port) or collector.poll() is not None, "the collector")
            assert collector.poll() is None, log.read_text()
            server, _ = web(tracer, own_copy(go_program(WEB, "1.26")), "-n", 23, "-workers", 3, "-http2")
            url = f"http://127.0.0.1:{port}"
            tracing = attached(services(tracer, "-p", server.pid, "--queue", "--otlp", url, "--name", "shop"))
            server.go()
            server.line()
            counts = served(server)
            until(lambda: tracing.count("span") >= 4 * 69, "the spans")
            run = tracing.stop()
        finally:
            collector.terminate()
    assert run.status == 0, run.stderr
    assert "138 otlp sent" in run.stderr and "otlp failed" not in run.stderr, run.stderr
    received = list(items(log.read_text()))
    found = [item for kind, item in received if kind == "Span"]
    assert {item.attributes["service.name"] for item in found} == {"shop"}
    ids = {item.fields["ID"]: item for item in found}
    written = {e["span_id"]: e for e in run.events if e["type"] == "span"}
    assert len(found) == len(ids) == 4 * 69 and ids.keys() == written.keys()
    for span_id, item in ids.items():
        line = written[span_id]
        assert item.fields["Name"] == line["name"]
        assert item.fields["Kind"] == line["kind"].capitalize()
        assert item.fields["Trace ID"] == line["trace_id"]
        assert item.fields["Parent ID"] == line.get("parent_id", "")
        assert item.fields["Status code"] == line["status"].capitalize()
        for name, value in line["attributes"].items():
            assert item.attributes[name] == str(value)
    status = collections.Counter(
        i.attributes["http.response.status_code"] for i in found if i.fields["Kind"] == "Server"
    )
    assert status == {"200": counts["GET /ok 200"], "503": counts["GET /fail/ 503"]} == {"200": 60, "503": 9}
    points = {
        (item.fields["Name"], item.attributes.get("http.route"), item.attributes["http.response.status_code"]): item
        for kind, item in received
        if kind == "HistogramDataPoints"
    }  # cumulative: the last ones stay
    server_points = {key[1:]: int(i.fields["Count"]) for key, i in points.items() if "server" in key[0]}
    assert server_points == {("/ok", "200"): 60, ("/fail/", "503"): 9}
    assert {key[0] for key in points} == {"http.server.request.duration", "http.client.request.duration"}
    assert {i.fields["Unit"] for i in points.values()} == {"s"}
