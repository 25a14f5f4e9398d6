# SPDX-License-Identifier: Apache-2.0
"""Events → spans → words: without a kernel, by events as the collector writes them."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from tracer.services import engine as engine_module
from tracer.services.check import FittedHook, parse_version
from tracer.services.engine import Counters, Engine, Span, Target, remote_parent
from tracer.services.lines import Lines, duration_text
from tracer.services.metrics import Histogram, Metrics
from tracer.services.privacy import Privacy
from tracer.services.probes import ServiceNames
from tracer.services.rules import (
    ANNOTATE,
    CHILD,
    CLIENT,
    END,
    FAILED,
    GONE,
    NONE,
    PANIC,
    SERVER,
    START,
    Field,
    Hook,
    Rule,
)
from tracer.services.semconv import report, route_of, split_address
from tracer.services.table import Table, class_end, duration_class

# One function for each role; ids as the collector would give them.
ROLES = {0: START, 1: END, 2: PANIC, 3: GONE, 4: ANNOTATE, 5: CHILD}


def rule(
    kind: str = SERVER, system: str = "http", name: str = "test", ignore: tuple[tuple[str, str], ...] = ()
) -> Rule:
    return Rule(name, "", kind, system, "std", (1,), (), ignore=ignore)


def fitted(role: str, *fields: str, at_return: bool = False, key: str = "goroutine") -> FittedHook:
    hook = Hook(role, ("f",), tuple(Field(f, (f,)) for f in fields), at_return=at_return, key=key)
    return FittedHook(hook, "f", tuple((f, f) for f in fields), ())


HTTP = rule()
NAMES = ("method", "path", "query", "host", "peer", "protocol", "traceparent")


def http_engine(spans: list[Span]) -> Engine:
    extra = rule(NONE, "go", "runtime")
    calls = {
        0: Target([(HTTP, fitted(START, *NAMES))]),
        1: Target([(HTTP, fitted(END, "status", "route", "hijacked"))]),
        2: Target([(HTTP, fitted(PANIC))]),
        3: Target([(extra, fitted(GONE))]),
        4: Target([(rule(NONE, "http", "gin"), fitted(ANNOTATE, "route"))]),
        6: Target([(rule(CLIENT, "http", "client"), fitted(START, "method", "host"))]),
        7: Target([(rule(SERVER, "http", "other"), fitted(START, "method"))]),
    }
    returns = {
        5: Target([(extra, fitted(CHILD, "child", at_return=True))]),
        6: Target([(rule(CLIENT, "http", "client"), fitted(END, "status", at_return=True))]),
    }
    return Engine(calls, returns, spans.append)


def call(fid: int, ts: int, goid: int | None = 7, pid: int = 1, **args: Any) -> dict[str, Any]:
    return {"type": "call", "ts": ts, "pid": pid, "tid": pid, "goid": goid, "call": ts, "fid": fid, "args": args}


def returned(fid: int, ts: int, goid: int | None = 7, **results: Any) -> dict[str, Any]:
    event = call(fid, ts, goid)
    del event["args"]
    return {**event, "type": "return", "duration_ns": 1, "results": results}


def feed(*events: dict[str, Any]) -> tuple[list[Span], Engine]:
    spans: list[Span] = []
    engine = http_engine(spans)
    for event in events:
        engine.feed(event)
    return spans, engine


def test_a_request() -> None:
    spans, engine = feed(call(0, 100, method="GET", path="/a", query="k=v"), call(1, 350, status=200, route="GET /{x}"))
    (span,) = spans
    assert (span.start, span.duration_ns, span.outcome, span.goid) == (100, 250, "", 7)
    assert span.fields == {"method": "GET", "path": "/a", "query": "k=v", "status": 200, "route": "GET /{x}"}
    assert engine.counters.as_dict() == {**dict.fromkeys(engine.counters.as_dict(), 0), "spans": 1}
    assert engine.open_spans == 0


def test_two_requests_of_a_connection_and_two_goroutines() -> None:
    spans, _ = feed(
        call(0, 1, 7, path="a"), call(0, 2, 8, path="b"), call(1, 3, 8), call(1, 4, 7), call(0, 5, 7, path="c"),
        call(1, 9, 7),
    )  # fmt: skip
    assert [(s.fields["path"], s.duration_ns) for s in spans] == [("b", 1), ("a", 3), ("c", 4)]
    assert len({s.trace_id for s in spans}) == len({s.span_id for s in spans}) == 3


def test_the_same_goroutine_id_in_two_processes() -> None:
    spans, _ = feed(call(0, 1, pid=1, path="a"), call(0, 2, pid=2, path="b"), call(1, 3, pid=1))
    assert [s.fields["path"] for s in spans] == ["a"]


def test_a_panic_that_is_recovered_and_one_that_is_not() -> None:
    spans, engine = feed(call(0, 1, path="a"), call(2, 2), call(1, 5, status=500))
    assert [(s.outcome, s.end) for s in spans] == [("", 5)]
    spans, engine = feed(call(0, 1, path="a"), call(2, 3))
    assert spans == []
    engine.tick(3 + engine_module.PANIC_WAIT_NS)
    assert [(s.outcome, s.end) for s in spans] == [("panic", 3)]
    engine.feed(call(2, 9))  # of nothing that is open
    assert engine.open_spans == 0


def test_a_request_without_end() -> None:
    spans, engine = feed(call(0, 1, path="a"), call(0, 9, path="b"))
    assert [(s.fields["path"], s.outcome, s.end) for s in spans] == [("a", "aborted", 9)]
    engine.feed(call(3, 12))
    assert [(s.fields["path"], s.outcome, s.end) for s in spans[1:]] == [("b", "aborted", 12)]
    spans, engine = feed(call(0, 1), {"type": "process", "event": "end", "pid": 1, "binary_id": 0, "ts": 4})
    assert [(s.outcome, s.end) for s in spans] == [("aborted", 4)]


def test_an_end_without_a_request_and_an_unknown_goroutine() -> None:
    spans, engine = feed(call(1, 1), call(0, 2, goid=None))
    assert spans == []
    assert (engine.counters.unmatched, engine.counters.no_goroutine) == (1, 1)


def test_a_server_within_a_server_is_one_request() -> None:
    spans, engine = feed(call(7, 1, method="GET"), call(0, 2, path="a"), call(1, 3), call(3, 4))
    assert [(s.rule.name, s.outcome) for s in spans] == [("other", "aborted")]
    assert (engine.counters.nested, engine.counters.unmatched) == (1, 0)
    engine.feed(call(1, 5))
    assert engine.counters.unmatched == 1


def test_a_request_that_comes_through_two_functions_and_one_that_is_none() -> None:
    one = rule(name="two ways", ignore=(("method", "PRI"),))
    outer = FittedHook(Hook(START, ("g",)), "g", (("method", "method"),), ())
    calls = {0: Target([(one, outer)]), 1: Target([(one, fitted(START, "method"))]), 2: Target([(one, fitted(END))])}
    spans: list[Span] = []
    engine = Engine(calls, {}, spans.append)
    for event in (call(0, 1, method="GET"), call(1, 2, method="GET"), call(2, 3)):
        engine.feed(event)
    for event in (call(1, 4, method="PRI"), call(2, 5), call(1, 6, method="PUT"), call(2, 7)):
        engine.feed(event)
    assert [(s.start, s.end, s.fields) for s in spans] == [
        (1, 3, {"method": "GET"}),
        (6, 7, {"method": "PUT"}),
    ]
    assert engine.counters.as_dict() == {**dict.fromkeys(engine.counters.as_dict(), 0), "spans": 2}


def grpc_client_engine(spans: list[Span]) -> Engine:
    client = rule(CLIENT, "grpc", "gRPC client")
    calls = {
        0: Target([(client, fitted(START, "cs", "method", "first_attempt", key="cs"))]),
        1: Target([(client, fitted(END, "cs", "status", key="cs"))]),
        3: Target([(HTTP, fitted(START, "method"))]),
        4: Target([(HTTP, fitted(END, "status"))]),
    }
    returns = {2: Target([(client, fitted(FAILED, "failed", "status", at_return=True))])}
    return Engine(calls, returns, spans.append)


def test_a_grpc_call_that_never_got_a_stream() -> None:
    spans: list[Span] = []
    engine = grpc_client_engine(spans)
    for event in (
        call(0, 1, cs={"ptr": "0xa"}, method="/Watch", first_attempt=True),
        {**returned(2, 2, failed=None), "duration_ns": 2},  # that stream stays open
        call(0, 11, cs={"ptr": "0xb"}, method="/Check", first_attempt=True),
        {**returned(2, 15, failed="refused", status=14), "duration_ns": 5},
        {**returned(2, 25, failed="no such service"), "duration_ns": 5},  # began nothing
        call(0, 31, cs={"ptr": "0xb"}, method="/Check", first_attempt=True),
        call(0, 32, cs={"ptr": "0xb"}, method="/Check", first_attempt=False),
        {**returned(2, 35, failed="not a status"), "duration_ns": 5},
    ):
        engine.feed(event)
    assert [(s.start, s.end, report(s, Privacy()).error) for s in spans] == [
        (11, 15, "UNAVAILABLE"),
        (31, 35, "UNKNOWN"),
    ]
    assert engine.open_spans == 1
    assert engine.counters.as_dict() == {**dict.fromkeys(engine.counters.as_dict(), 0), "spans": 2}


def test_the_address_of_a_call_whose_end_was_not_seen_is_used_again() -> None:
    spans: list[Span] = []
    engine = grpc_client_engine(spans)
    for event in (
        call(0, 1, 7, cs={"ptr": "0xa"}, first_attempt=True),
        call(0, 3, 9, cs={"ptr": "0xa"}, first_attempt=False),  # a stream's retry, by who receives
        call(0, 100, 8, cs={"ptr": "0xa"}, first_attempt=True),
        call(1, 107, 8, cs={"ptr": "0xa"}),
    ):
        engine.feed(event)
    assert [(s.start, s.end, s.goid, s.outcome) for s in spans] == [(1, 100, 7, "aborted"), (100, 107, 8, "")]
    assert (engine.open_spans, engine._by_goroutine) == (0, {})


def test_a_server_is_no_child_of_an_open_call_of_its_goroutine() -> None:
    spans: list[Span] = []
    engine = grpc_client_engine(spans)
    for event in (call(0, 1, cs={"ptr": "0xa"}), call(3, 2, method="GET"), call(4, 4)):
        engine.feed(event)
    (server,) = spans
    assert (server.rule.name, server.parent_id) == ("test", 0)


def test_what_is_open_when_tracing_ends() -> None:
    spans, engine = feed(call(0, 1, 7, path="a"), call(2, 3, 7), call(0, 4, 8))
    engine.finish()
    assert [(s.outcome, s.end) for s in spans] == [("panic", 3)]
    assert engine.counters.unfinished == 1


def test_a_client_is_the_child_of_the_request_around_it() -> None:
    spans, _ = feed(call(0, 1, 7), call(6, 2, 7, host="b"), returned(6, 3, 7, status=200), call(1, 4, 7))
    client, server = spans
    assert (client.trace_id, client.parent_id) == (server.trace_id, server.span_id)
    assert server.parent_id == 0


def test_a_client_in_a_goroutine_that_the_request_made() -> None:
    spans, _ = feed(
        call(0, 1, 7), returned(5, 2, 7, child=9), call(6, 3, 9, host="b"), returned(6, 4, 9, status=200), call(1, 5, 7)
    )
    assert spans[0].parent_id == spans[1].span_id


def test_time_in_queue() -> None:
    spans, _ = feed(returned(5, 2, 1, child=7), call(0, 10, 7), call(1, 15, 7), call(0, 20, 7), call(1, 23, 7))
    first, second = spans
    assert (first.began, first.start, first.end, first.duration_ns) == (2, 10, 15, 5)
    assert [(p.name, p.start, p.end) for p in first.parts] == [("in queue", 2, 10), ("processing", 10, 15)]
    assert len({first.span_id, *(p.span_id for p in first.parts), 0}) == 4
    # another request of the same goroutine was in no queue
    assert (second.began, second.start, second.parts) == (20, 20, [])


def test_the_parts_of_a_span_as_lines() -> None:
    spans, _ = feed(returned(5, 2, 1, child=7), call(0, 10_002, 7, method="GET", path="/a"), call(1, 15_002, 7))
    out = io.StringIO()
    Lines(out, True, Privacy()).span(report(spans[0], Privacy()))
    whole, queue, processing = map(json.loads, out.getvalue().splitlines())
    assert [(s["name"], s["kind"], s["duration_ns"]) for s in (whole, queue, processing)] == [
        ("GET", "server", 15_000),
        ("in queue", "internal", 10_000),
        ("processing", "internal", 5_000),
    ]
    assert queue["start"] == whole["start"] != processing["start"]
    assert {s["trace_id"] for s in (queue, processing)} == {whole["trace_id"]}
    assert {s["parent_id"] for s in (queue, processing)} == {whole["span_id"]}
    out = io.StringIO()
    Lines(out, False, Privacy()).span(report(spans[0], Privacy()))
    assert "GET /a  5µs after 10µs in queue" in out.getvalue()


def test_traceparent() -> None:
    value = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    spans, _ = feed(call(0, 1, traceparent=[value]), call(1, 2))
    assert (spans[0].trace_id, spans[0].parent_id) == (0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331)


@pytest.mark.parametrize(
    "value",
    [
        None, "", "00", [], ["a", "b"], 7,
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
        "00-0af7651916cd43dd8448eb211c80319 -b7ad6b7169203331-01x",
        "00-0xf7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ],
)  # fmt: skip
def test_bad_traceparent(value: Any) -> None:
    assert remote_parent(value) == (0, 0)


def test_a_framework_names_the_route() -> None:
    spans, _ = feed(call(0, 1, path="/u/7"), call(4, 2, route="/u/:id"), call(4, 3, route=""), call(1, 4, route=""))
    assert spans[0].fields["route"] == "/u/:id"


def test_names_of_processes_that_have_ended_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracer.services.probes.ENDED_MAX", 3)
    names = ServiceNames()
    names.add(1, "stays")
    for pid in range(2, 101):
        names.add(pid, f"p{pid}")
        names.remove(pid)
        assert names.of(pid) == f"p{pid}"  # what it sent comes later
    assert (len(names), names.of(1), names.of(97)) == (4, "stays", "")
    names.add(98, "again")  # the number was given again
    for pid in (101, 102, 103):
        names.remove(pid)
    assert (names.of(98), names.of(99)) == ("again", "")


def test_open_requests_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "OPEN_MAX", 23)
    monkeypatch.setattr(engine_module, "GOROUTINES_MAX", 23)
    events = [call(0, i, goid=i) for i in range(1, 102)] + [returned(5, i, 1, child=i) for i in range(1, 102)]
    spans, engine = feed(*events)
    assert (spans, engine.open_spans, engine.counters.evicted) == ([], 23, 78)
    assert engine.counters.goroutines_evicted == 78
    assert len(engine._by_goroutine) == 23 and len(engine._made) == 23


# ---- words ----------------------------------------------------------------------------------------------------------


def span(kind: str = SERVER, system: str = "http", outcome: str = "", **fields: Any) -> Span:
    return Span(rule(kind, system), 1, 7, 10, 2_000_010, fields, outcome, 1, 2, 0, service="shop")


def words(made: Span, privacy: Privacy = Privacy()) -> tuple[str, dict[str, Any], dict[str, Any], str]:  # noqa: B008
    r = report(made, privacy)
    return r.name, r.attributes, r.metric_attributes, r.error


def test_http_server() -> None:
    name, attributes, metric, error = words(
        span(method="GET", path="/u/7", query="a=1", host="shop:8080", peer="[::1]:5", protocol="HTTP/1.1", status=404,
             route="GET shop/u/{id}", response_size=19)
    )  # fmt: skip
    assert (name, error) == ("GET /u/{id}", "")
    assert attributes == {
        "http.request.method": "GET",
        "http.response.status_code": 404,
        "http.route": "/u/{id}",
        "http.response.body.size": 19,
        "network.protocol.version": "1.1",
        "network.peer.address": "::1",
        "network.peer.port": 5,
        "server.address": "shop",
        "server.port": 8080,
        "url.path": "/u/7",
        "url.query": "a=REDACTED",
        "url.scheme": "http",
    }
    assert metric == {
        "http.request.method": "GET",
        "http.response.status_code": 404,
        "http.route": "/u/{id}",
        "network.protocol.version": "1.1",
        "url.scheme": "http",
    }


@pytest.mark.parametrize(
    ("fields", "status", "error"),
    [
        ({}, 200, ""),
        ({"status": 0}, 200, ""),
        ({"status": 503}, 503, "503"),
        ({"outcome": "panic"}, None, "panic"),
        ({"outcome": "hijacked"}, None, ""),
        ({"outcome": "aborted"}, None, "aborted"),
    ],
)
def test_http_status(fields: dict[str, Any], status: int | None, error: str) -> None:
    _, attributes, metric, found = words(span(method="GET", path="/", **fields))
    assert (attributes.get("http.response.status_code"), metric.get("http.response.status_code"), found) == (
        status,
        status,
        error,
    )
    assert attributes.get("error.type", "") == error


def test_http_low_cardinality() -> None:
    name, attributes, metric, _ = words(span(method="BREW", path="/u/1234"))
    assert (name, attributes["http.request.method"], attributes["http.request.method_original"]) == (
        "HTTP",
        "_OTHER",
        "BREW",
    )
    assert metric["http.route"] == "/**" and "http.route" not in attributes
    assert "1234" not in str(metric)


def test_http_client() -> None:
    name, attributes, metric, error = words(
        span(CLIENT, host="b:81", scheme="http", path="/x", query="t=1", status=404, protocol="HTTP/2.0")
    )
    assert (name, error, attributes["url.full"]) == ("GET", "404", "http://b:81/x?t=REDACTED")
    assert metric == {
        "http.request.method": "GET",
        "http.response.status_code": 404,
        "network.protocol.version": "2",
        "server.address": "b",
        "server.port": 81,
        "error.type": "404",
    }
    refused = span(CLIENT, host="b", scheme="https", path="/")
    assert words(refused)[1]["error.type"] == "_OTHER"
    assert words(refused)[1]["server.port"] == 443


@pytest.mark.parametrize(
    ("kind", "fields", "code", "error"),
    [
        (SERVER, {}, "OK", ""),
        (SERVER, {"status": 5}, "NOT_FOUND", ""),
        (SERVER, {"status": 13, "message": "m"}, "INTERNAL", "INTERNAL"),
        (SERVER, {"outcome": "aborted"}, None, "aborted"),
        (CLIENT, {}, "OK", ""),
        (CLIENT, {"status": 5}, "NOT_FOUND", "NOT_FOUND"),
        (CLIENT, {"status": 99}, "99", "99"),
    ],
)
def test_grpc(kind: str, fields: dict[str, Any], code: str | None, error: str) -> None:
    name, attributes, metric, found = words(span(kind, "grpc", method="/a.B/C", **fields))
    assert (name, attributes["rpc.method"], attributes["rpc.system.name"]) == ("a.B/C", "a.B/C", "grpc")
    assert (attributes.get("rpc.response.status_code"), found) == (code, error)
    assert metric["rpc.method"] == "a.B/C"


def test_methods_that_a_server_does_not_have_are_one_series() -> None:
    metrics = Metrics()
    for i in range(101):
        metrics.add(report(span(SERVER, "grpc", method=f"/a.B/C{i}", status=12), Privacy()))
    (series,) = metrics.snapshot().values()
    assert [(dict(key)["rpc.method"], h.count) for (_, key), h in series.items()] == [("_OTHER", 101)]
    name, attributes, _, _ = words(span(SERVER, "grpc", method="/a.B/C1", status=12))
    assert (name, attributes["rpc.method"]) == ("a.B/C1", "a.B/C1")
    assert words(span(CLIENT, "grpc", method="/a.B/C1", status=12))[2]["rpc.method"] == "a.B/C1"


def test_names_are_those_of_the_conventions() -> None:
    pytest.importorskip("opentelemetry.semconv", reason="OpenTelemetry's conventions are not installed")
    from opentelemetry.semconv import attributes as stable
    from opentelemetry.semconv._incubating.attributes import http_attributes, network_attributes, rpc_attributes
    from opentelemetry.semconv._incubating.metrics import http_metrics, rpc_metrics

    from tracer.services import semconv

    assert (semconv.HTTP_SERVER, semconv.HTTP_CLIENT) == (
        http_metrics.HTTP_SERVER_REQUEST_DURATION if hasattr(http_metrics, "HTTP_SERVER_REQUEST_DURATION") else
        "http.server.request.duration",
        "http.client.request.duration",
    )  # fmt: skip
    assert (semconv.RPC_SERVER, semconv.RPC_CLIENT) == (
        rpc_metrics.RPC_SERVER_CALL_DURATION,
        rpc_metrics.RPC_CLIENT_CALL_DURATION,
    )
    assert rpc_attributes.RPC_SYSTEM_NAME == "rpc.system.name"
    assert rpc_attributes.RPC_RESPONSE_STATUS_CODE == "rpc.response.status_code"
    known = set()
    for module in (stable, http_attributes, network_attributes, rpc_attributes):
        known |= {v for k, v in vars(module).items() if k.isupper() and isinstance(v, str)}
    for name in ("http_attributes", "url_attributes", "server_attributes", "network_attributes", "error_attributes"):
        module = __import__(f"opentelemetry.semconv.attributes.{name}", fromlist=["x"])
        known |= {v for k, v in vars(module).items() if k.isupper() and isinstance(v, str)}
    all_of_it = {"method": "X", "path": "/", "query": "q", "host": "h:1", "peer": "p:2", "status": 500, "route": "/r"}
    _, server, _, _ = words(span(protocol="HTTP/2.0", response_size=1, **all_of_it))
    _, client, _, _ = words(span(CLIENT, host="b"))
    _, rpc, _, _ = words(span(SERVER, "grpc", method="/a.B/C", status=13))
    assert {*server, *client, *rpc} <= known


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a:80", ("a", 80)), ("a", ("a", None)), ("[::1]:80", ("::1", 80)), ("::1", ("::1", None)),
        ("a:99999", ("a:99999", None)), ("", ("", None)), (":80", ("", 80)), ("a:x", ("a:x", None)),
    ],
)  # fmt: skip
def test_addresses(text: str, parts: tuple[str, int | None]) -> None:
    assert split_address(text) == parts


def test_routes() -> None:
    assert [route_of(p) for p in ("/a", "GET /a/{b}", "POST x.org/a/", "", "nothing")] == [
        "/a",
        "/a/{b}",
        "/a/",
        "",
        "",
    ]


def test_the_page_says_what_its_own_metrics_are() -> None:
    pytest.importorskip("prometheus_client", reason="prometheus-client is not installed: make services")
    from tracer.services.prometheus import OWN_METRICS, Page

    every = {*Counters().as_dict(), "open_spans", "series_overflowed", "unexpected_failures", "rows_evicted"}
    every |= {"executables_refused", "looks_failed", "looks_skipped"}
    assert every <= OWN_METRICS.keys()
    families = list(Page(Metrics(), lambda: dict.fromkeys(every, 3)).collect())
    assert {f.name: f.type for f in families} == {
        f"gopherscope_{name}": "gauge" if name == "open_spans" else "counter" for name in every
    }
    assert all(f.documentation.endswith(".") for f in families)


# ---- privacy --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", ""),
        ("a=1&token=s3cret", "a=REDACTED&token=REDACTED"),
        ("flag", "REDACTED"),
        ("hunter2&a=1", "REDACTED&a=REDACTED"),
        ("c2VjcmV0cw==", "REDACTED"),
        ("c2VjcmV0MTE=", "REDACTED"),
        ("a=b==", "a=REDACTED"),
        ("&a=1&", "&a=REDACTED&"),
        ("token=s3;cret&b=2;c3Vy=4", "token=REDACTED&b=REDACTED"),
        ("a=", "a="),
        ("eyJhbGciOiJIUzI1NiJ9.x", "REDACTED"),
        ("s%20ecret=1;b=2", "REDACTED=REDACTED"),
        ("&".join(f"k{i}=v" for i in range(40)), "&".join(f"k{i}=REDACTED" for i in range(32)) + "&…"),
    ],
)
def test_queries_are_masked(query: str, shown: str) -> None:
    assert Privacy().query(query) == shown
    assert Privacy(queries=True).query(query) == query


def test_secret_headers_are_masked() -> None:
    hide = Privacy()
    for name in (
        "Authorization",
        "proxy-authorization",
        "Cookie",
        "set-cookie",
        "X-Api-Key",
        "x-auth-token",
        "my-password",
        "API_KEY",
        "x_auth",
        "X-Access-Key",
        "private_key",
        "secret-key",
        "x-jwt",
        "client-assertion",
        "passphrase",
        "x-otp",
        "X-Pin",
        "bearer",
        "Sec-WebSocket-Protocol",
    ):
        assert hide.header(name, "s3cret") == "REDACTED"
        assert Privacy(headers=True).header(name, "s3cret") == "s3cret"
    assert hide.header("content-type", "application/grpc") == "application/grpc"
    assert hide.header(":path", "/a?token=1") == "/a?token=REDACTED"
    assert (hide.header("x-spin", "1"), hide.header("Sec-CH-UA-Mobile", "?0")) == ("1", "?0")
    made = report(span(method="GET", path="/", headers={"Authorization": ["s3cret"], "Accept": ["*/*"]}), hide)
    assert made.headers == {"http.request.header.authorization": ["REDACTED"], "http.request.header.accept": ["*/*"]}


def test_headers_of_which_a_name_was_cut() -> None:
    long = "x" * 256
    pairs = [["Accept", ["*/*"]], [long, ["s3cret"]], [long, ["another"]], ["Cookie", ["s3cret"]], ["odd"], 7]
    made = report(span(method="GET", path="/", headers=pairs), Privacy())
    assert made.headers == {
        "http.request.header.accept": ["*/*"],
        f"http.request.header.{long}": ["REDACTED", "REDACTED"],
        "http.request.header.cookie": ["REDACTED"],
    }


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("https://bob:hunter2@shop/a?token=s3cret", "https://REDACTED@shop/a?token=REDACTED"),
        ("https://s3cret@shop", "https://REDACTED@shop"),
        ("https://bob:p?s3@shop/", "https://REDACTED@shop/"),
        ("/cb?code=s3cret&state=x#top", "/cb?code=REDACTED&state=REDACTED#REDACTED"),
        ("https://app/cb#access_token=s3cret", "https://app/cb#REDACTED"),
        ("/a?s3cret", "/a?REDACTED"),
        ("<https://a/b?t=1,2>; rel=next, <https://a/c?t=3>", "<https://a/b?t=REDACTED>; rel=next, <https://a/c?t=REDACTED>"),
        ("Bot/2.1 (+http://example.com/bot.html)", "Bot/2.1 (+http://example.com/bot.html)"),
        ("text/html; q=0.9, */*", "text/html; q=0.9, */*"),
    ],
)  # fmt: skip
def test_addresses_in_headers_are_masked(value: str, shown: str) -> None:
    for name in ("Referer", "location", "X-Original-Uri", ":path", "x-other"):
        assert Privacy().header(name, value) == shown
        assert Privacy(True, True).header(name, value) == value


def test_what_is_read_on_request_is_in_the_lines() -> None:
    out = io.StringIO()
    one = span(
        method="GET", path="/a", peer="9.9.9.9:5", fd=7, local_ip={"text": "10.0.0.1"}, local_port=80, stream=3,
        headers={"Accept": ["a", "b"], "Cookie": ["s3cret"]},
    )  # fmt: skip
    Lines(out, False, Privacy()).span(report(one, Privacy()))
    assert out.getvalue().endswith(
        "GET /a  2ms  9.9.9.9:5  descriptor 7  at 10.0.0.1:80  stream 3  headers accept: a; b, cookie: REDACTED\n"
    )


def test_lines_are_safe_for_a_terminal() -> None:
    out = io.StringIO()
    evil = span(method="GET", path="/\x1b[31m\n\u202e\ufffd", host="a", status=200)
    Lines(out, False, Privacy()).span(report(evil, Privacy()))
    assert out.getvalue().count("\n") == 1 and "\x1b" not in out.getvalue() and "\u202e" not in out.getvalue()
    assert r"/\x1b[31m\n\u202e" in out.getvalue()
    out = io.StringIO()
    Lines(out, True, Privacy()).span(report(evil, Privacy()))
    assert json.loads(out.getvalue())["attributes"]["url.path"] == "/\x1b[31m\n\u202e\ufffd"


# ---- sums -----------------------------------------------------------------------------------------------------------


def test_histogram() -> None:
    h = Histogram()
    for seconds in (0.001, 0.005, 0.0051, 99.0):
        h.add(seconds)
    assert (h.counts[0], h.counts[1], h.counts[-1], h.count, h.min, h.max) == (2, 1, 1, 4, 0.001, 99.0)


def test_series_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracer.services.metrics.SERIES_MAX", 23)
    metrics = Metrics()
    for i in range(101):
        metrics.add(report(span(method="GET", path="/", route=f"/r{i}"), Privacy()))
    series = metrics.snapshot()["http.server.request.duration"]
    assert (len(series), metrics.overflowed) == (24, 78)
    assert series[("", (("otel.metric.overflow", "true"),))].count == 78
    assert sum(h.count for h in series.values()) == 101


def test_durations_of_the_table() -> None:
    for ns in (*range(70), 1000, 123457, 10**9, 10**12 + 1):
        index = duration_class(ns)
        assert class_end(index - 1) < ns <= class_end(index) if ns else index == 0
        assert class_end(index) <= ns * 9 / 8 + 1
    assert [duration_text(ns) for ns in (7, 1500, 2_340_000, 10**9)] == ["7ns", "1.5µs", "2.34ms", "1s"]


def test_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracer.services.table.ROWS_MAX", 3)
    table = Table(io.StringIO())
    for i in range(5):
        table.add(report(span(method="GET", path="/", route=f"/r{i}", status=500), Privacy()))
    lines = table.text(200)
    assert len(lines) == 4 and table.evicted == 2
    assert lines[0].split() == ["SERVICE", "ROUTE", "REQ/S", "TOTAL", "ERRORS", "P50", "P99"]
    assert {line.split()[2] for line in lines[1:]} == {"/r2", "/r3", "/r4"}
    assert all(line.split()[4:6] == ["1", "1"] for line in lines[1:])


@pytest.mark.parametrize(
    ("text", "version"),
    [("v1.64.0", (1, 64, 0)), ("v0.0.0-2024-x", (0, 0, 0)), ("(devel)", ()), ("", ()), ("1.26rc1", (1, 26))],
)
def test_versions(text: str, version: tuple[int, ...]) -> None:
    assert parse_version(text) == version
