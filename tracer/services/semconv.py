# SPDX-License-Identifier: Apache-2.0
"""Spans in the words of OpenTelemetry's semantic conventions (HTTP stable; RPC as of 1.39 and newer).

A request becomes a Report: its name, attributes, whether it failed, and the metric that its duration counts in. What
could have any number of values (a path) is never an attribute of a metric.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Any, Union

from tracer.services.check import STRING_SIZE
from tracer.services.engine import Span
from tracer.services.privacy import MASK, Privacy
from tracer.services.rules import SERVER

Attribute = Union[str, int, list[str]]

HTTP_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"})
OTHER = "_OTHER"
UNKNOWN_ROUTE = "/**"  # of metrics, where no framework named a route
HTTP_SERVER, HTTP_CLIENT = "http.server.request.duration", "http.client.request.duration"
RPC_SERVER, RPC_CLIENT = "rpc.server.call.duration", "rpc.client.call.duration"
# Seconds, as the conventions advise for durations of HTTP and RPC.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
METRICS = {
    HTTP_SERVER: "Duration of HTTP server requests.",
    HTTP_CLIENT: "Duration of HTTP client requests.",
    RPC_SERVER: "Measures the duration of an incoming Remote Procedure Call (RPC).",
    RPC_CLIENT: "Measures the duration of an outgoing Remote Procedure Call (RPC).",
}

GRPC_CODES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
# Of a server only these are its own failures (conventions for gRPC, "Span status").
GRPC_SERVER_ERRORS = frozenset(
    {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
)


@dataclass
class Report:
    span: Span
    name: str
    attributes: dict[str, Attribute]
    metric: str
    metric_attributes: dict[str, Attribute]
    error: str  # error.type; "" where it did not fail
    message: str = ""
    headers: dict[str, Attribute] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        return bool(self.error)


def report(span: Span, privacy: Privacy) -> Report:
    return _grpc(span, privacy) if span.rule.system == "grpc" else _http(span, privacy)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def split_address(text: str) -> tuple[str, int | None]:
    """ "[::1]:80" → ("::1", 80); "shop" → ("shop", None)."""
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.startswith("[")):
        return text.strip("[]"), None
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536):
        return text, None
    return host.strip("[]"), int(port)


def _put_address(attributes: dict[str, Attribute], prefix: str, host: str, port: int | None) -> None:
    if host:
        attributes[f"{prefix}.address"] = host
        if port is not None:
            attributes[f"{prefix}.port"] = port


def route_of(pattern: str) -> str:
    """The path of a ServeMux pattern ("GET example.com/a/{b}"), or gin's route as it is."""
    slash = pattern.find("/")
    return pattern[slash:] if slash >= 0 else ""


def _outcome_error(span: Span) -> str:
    return {"panic": "panic", "aborted": "aborted", "detached": ""}.get(span.outcome, "")


def _http(span: Span, privacy: Privacy) -> Report:
    f, server = span.fields, span.rule.kind == SERVER
    method = _text(f.get("method")) or "GET"  # "" means GET to net/http's client
    known = method if method in HTTP_METHODS else OTHER
    attributes: dict[str, Attribute] = {"http.request.method": known}
    metric: dict[str, Attribute] = {"http.request.method": known}
    if known == OTHER:
        attributes["http.request.method_original"] = method
    scheme = "https" if f.get("tls") else "http"
    if not server:
        scheme = _text(f.get("scheme")) or scheme
    status = _number(f.get("status"))
    if server and span.outcome == "" and not status:
        status = 200  # a handler that wrote nothing
    error = _outcome_error(span)
    if status:
        attributes["http.response.status_code"] = metric["http.response.status_code"] = status
        if status >= 500 or (not server and status >= 400):
            error = error or str(status)
    if not server and not status and not error:
        error = OTHER  # no response: which error it was is not read, since any type would have to be
    protocol = _text(f.get("protocol")).removeprefix("HTTP/")
    if protocol:
        attributes["network.protocol.version"] = metric["network.protocol.version"] = (
            protocol.removesuffix(".0") if protocol in ("2.0", "3.0") else protocol
        )
    path, query = _text(f.get("path")), privacy.query(_text(f.get("query")))
    host, port = split_address(_text(f.get("host")))
    route = ""
    if server:
        route = route_of(_text(f.get("route")))
        attributes["url.scheme"] = metric["url.scheme"] = scheme
        attributes["url.path"] = path
        if query:
            attributes["url.query"] = query
        _put_address(attributes, "network.peer", *split_address(_text(f.get("peer"))))
        if route:
            attributes["http.route"] = route
        metric["http.route"] = route or UNKNOWN_ROUTE
    else:
        attributes["url.full"] = f"{scheme}://{_text(f.get('host'))}{path}" + (f"?{query}" if query else "")
        port = port or {"http": 80, "https": 443}.get(scheme)
        metric["server.address"] = host
        if port:
            metric["server.port"] = port
    _put_address(attributes, "server", host, port)
    size = _number(f.get("response_size"))
    if size is not None and server:
        attributes["http.response.body.size"] = size
    _connection(attributes, f)
    if error:
        attributes["error.type"] = metric["error.type"] = error
    name = f"{'HTTP' if known == OTHER else known} {route}".strip()
    headers = _headers(f.get("headers"), "http.request.header", privacy)
    return Report(span, name, attributes, HTTP_SERVER if server else HTTP_CLIENT, metric, error, headers=headers)


def _grpc(span: Span, privacy: Privacy) -> Report:
    f, server = span.fields, span.rule.kind == SERVER
    method = _text(f.get("method")).lstrip("/") or OTHER
    attributes: dict[str, Attribute] = {"rpc.system.name": "grpc", "rpc.method": method}
    metric: dict[str, Attribute] = {"rpc.system.name": "grpc", "rpc.method": method}
    error = _outcome_error(span)
    code = _grpc_code(f, span.outcome)
    if server and code == "UNIMPLEMENTED":
        metric["rpc.method"] = OTHER  # whoever calls may invent any number of methods
    if code:
        attributes["rpc.response.status_code"] = metric["rpc.response.status_code"] = code
        if code != "OK" and (not server or code in GRPC_SERVER_ERRORS):
            error = error or code
    if server:
        _put_address(attributes, "network.peer", _ip(f.get("peer_ip")), _number(f.get("peer_port")))
    else:
        target = _text(f.get("host"))
        host, port = split_address(target.rpartition("/")[2] if "://" in target or ":///" in target else target)
        _put_address(attributes, "server", host, port)
        metric["server.address"] = host
        if port:
            metric["server.port"] = port
    _connection(attributes, f)
    if error:
        attributes["error.type"] = metric["error.type"] = error
    return Report(
        span,
        method,
        attributes,
        RPC_SERVER if server else RPC_CLIENT,
        metric,
        error,
        message=_text(f.get("message")) if error else "",
        headers=_headers(f.get("headers"), "rpc.request.metadata", privacy),
    )


def _grpc_code(f: dict[str, Any], outcome: str) -> str:
    """A status that is nil, and an error that is none, are OK. An error that made no stream is UNKNOWN without one."""
    if outcome:
        return ""
    status = _number(f.get("status"))
    if status is None:
        return "UNKNOWN" if "failed" in f else "OK"
    return GRPC_CODES[status] if 0 <= status < len(GRPC_CODES) else str(status)


def _ip(value: Any) -> str:
    if isinstance(value, dict):
        return _text(value.get("text"))
    if isinstance(value, list) and len(value) in (4, 16) and all(isinstance(b, int) for b in value):
        address = ipaddress.ip_address(bytes(value))
        mapped = getattr(address, "ipv4_mapped", None)
        return str(mapped or address)
    return ""


def _connection(attributes: dict[str, Attribute], f: dict[str, Any]) -> None:
    """What --connection asks for; go.* are this tracer's own."""
    _put_address(attributes, "network.local", _ip(f.get("local_ip")), _number(f.get("local_port")))
    for name, attribute in (("fd", "go.connection.fd"), ("stream", "go.http2.stream_id")):
        value = _number(f.get(name))
        if value is not None:
            attributes[attribute] = value


def _headers(value: Any, prefix: str, privacy: Privacy) -> dict[str, Attribute]:
    found: dict[str, Attribute] = {}
    for name, values in _pairs(value):
        if not isinstance(name, str) or not isinstance(values, list):
            continue
        cut = len(name.encode("utf-8", "replace")) >= STRING_SIZE  # what it is called is not known
        shown = [MASK if cut and not privacy.headers else privacy.header(name, _text(v)) for v in values]
        before = found.get(f"{prefix}.{name.lower()}")
        found[f"{prefix}.{name.lower()}"] = [*before, *shown] if isinstance(before, list) else shown
    return found


def _pairs(value: Any) -> list[tuple[Any, Any]]:
    """Of a map: an object, or a list of pairs where a key is not whole."""
    if isinstance(value, dict):
        return list(value.items())
    pairs = value if isinstance(value, list) else []
    return [(pair[0], pair[1]) for pair in pairs if isinstance(pair, list) and len(pair) == 2]
