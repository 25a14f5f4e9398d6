# SPDX-License-Identifier: Apache-2.0
"""What is read on request: time in queue, parents, connections (also under TLS); HTTP/2 without TLS; reset streams."""

from __future__ import annotations

import collections
import socket
from collections.abc import Callable
from pathlib import Path

import go_modules
import pytest
from test_services import WEB, among, attached, ended, free_port, served, services, spans, talk, web
from test_services_grpc import built
from tracing import JSON, Program, Tracer, until


def with_parts(events: list[JSON], count: int) -> None:
    """So many server spans have their two parts, which make them up without a gap."""
    parts = collections.defaultdict(list)
    for span in spans(events, "internal"):
        parts[span["parent_id"]].append(span)
    assert len(parts) == count
    whole = {s["span_id"]: s for s in spans(events)}
    for parent, (queue, processing) in parts.items():
        span = whole[parent]
        assert (queue["name"], processing["name"]) == ("in queue", "processing")
        assert {queue["trace_id"], processing["trace_id"]} == {span["trace_id"]}
        assert queue["start"] == span["start"] <= processing["start"]
        assert queue["duration_ns"] + processing["duration_ns"] == span["duration_ns"]
        assert queue["duration_ns"] > 0


@pytest.mark.parametrize("version", among(["1.26"], ["1.19", "1.27"]))
def test_time_in_queue_and_parents(
    tracer: Tracer, go_program: Callable[..., Path], own_copy: Callable[[Path], Path], version: str
) -> None:
    server, address = web(tracer, own_copy(go_program(WEB / "main.go", version)))
    tracing = attached(services(tracer, "-p", server.pid, "--queue"))
    for _ in range(7):
        talk(address, b"GET /ok HTTP/1.0\r\n\r\n")  # a connection, and with it a goroutine, for each
    talk(address, b"GET /fan HTTP/1.0\r\n\r\n")
    until(lambda: tracing.count("span") >= 7 + 1 + 1 + 1 + 2 * 9, "the spans")
    events = ended(tracing)
    with_parts(events, 9)
    (fan,) = [s for s in spans(events) if s["attributes"]["url.path"] == "/fan"]
    # made by a goroutine that the handler made
    (client,) = spans(events, "client")
    assert (client["trace_id"], client["parent_id"]) == (fan["trace_id"], fan["span_id"])
    assert client["goid"] != fan["goid"]


def test_each_request_of_http2_was_in_queue(
    tracer: Tracer, go_program: Callable[..., Path], own_copy: Callable[[Path], Path]
) -> None:
    server, _ = web(tracer, own_copy(go_program(WEB, "1.26")), "-n", 23, "-workers", 3, "-http2")
    tracing = attached(services(tracer, "-p", server.pid, "--queue"))
    server.go()
    server.line()
    counts = served(server)
    until(lambda: tracing.count("span") >= 4 * 69, "the spans")
    events = ended(tracing)
    assert len(spans(events)) == sum(counts.values()) == 69
    with_parts(events, 69)


def tcp_socket(pid: int, fd: int) -> tuple[tuple[str, int], tuple[str, int]]:
    """(local, remote) of a descriptor, as the kernel tells."""
    inode = str(Path(f"/proc/{pid}/fd/{fd}").readlink()).removeprefix("socket:[").rstrip("]")
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] == inode:
                local, remote = (address(text) for text in fields[1:3])
                return local, remote
    raise AssertionError(f"descriptor {fd} of {pid} is no TCP socket")


def address(text: str) -> tuple[str, int]:
    """ "0100007F:1F90" → ("127.0.0.1", 8080)"""
    host, _, port = text.partition(":")
    return socket.inet_ntoa(bytes.fromhex(host[-8:])[::-1]), int(port, 16)


def connection(span: JSON) -> tuple[int, tuple[str, int], tuple[str, int]]:
    a = span["attributes"]
    local, peer = (
        (a[f"network.{side}.address"], a[f"network.{side}.port"]) for side in ("local", "peer")
    )  # fmt: skip
    return a["go.connection.fd"], local, peer


@pytest.mark.parametrize("version", among(["1.26"], ["1.19", "1.27"]))
@pytest.mark.parametrize("how", among(["tls"], ["plain"]))
def test_the_connection_of_http(
    tracer: Tracer, go_program: Callable[..., Path], own_copy: Callable[[Path], Path], version: str, how: str
) -> None:
    """HTTP/1 over TCP, HTTP/2 over TLS; both stay open after the request, and are held against the kernel's tables."""
    server, _ = web(
        tracer, own_copy(go_program(WEB / "main.go", version)), "-n", 2, *(["-http2"] if how == "tls" else [])
    )
    tracing = attached(services(tracer, "-p", server.pid, "--connection"))
    server.go()
    server.line()
    until(lambda: tracing.count("span") >= 4, "the spans of both sides")
    found = {connection(s) for s in tracing.events() if s["type"] == "span" and s["kind"] == "server"}
    (one,) = found
    fd, local, peer = one
    assert tcp_socket(server.pid, fd) == (local, peer)
    streams = [s["attributes"].get("go.http2.stream_id") for s in spans(ended(tracing))]
    assert streams == ([1, 3] if how == "tls" else [None, None])


@pytest.mark.parametrize(("version", "go"), among(go_modules.GRPC[:1], go_modules.GRPC[1:]))
@pytest.mark.parametrize("how", among(["tls"], ["plain"]))
def test_the_connection_of_grpc(
    tracer: Tracer, own_copy: Callable[[Path], Path], version: str, go: str, how: str
) -> None:
    at = f"127.0.0.1:{free_port()}"
    both = tracer.program(
        own_copy(built(go_modules.health, version, go)), "-listen", at, "-call", at, "-n", 2, f"-tls={how == 'tls'}"
    )
    both.line()
    tracing = attached(services(tracer, "-p", both.pid, "--connection", "--queue"))
    both.go()
    until(lambda: tracing.count("span") >= 4 + 2 * 2, "the spans of both sides")
    (one,) = {connection(s) for s in tracing.events() if s["type"] == "span" and s["kind"] == "server"}
    fd, local, peer = one
    assert tcp_socket(both.pid, fd) == (local, peer)
    events = ended(tracing)
    assert [s["attributes"]["go.http2.stream_id"] for s in spans(events)] == [1, 3]
    with_parts(events, 2)


def handled(program: Program) -> dict[str, int]:
    program.go()
    counts = {}
    while (line := program.line()) != "done":
        path, _, number = line.partition(" ")
        counts[path] = int(number)
    return counts


@pytest.mark.parametrize(("net", "go"), among(go_modules.X_NET, go_modules.X_NET_MORE))
def test_http2_without_tls_and_streams_that_are_reset(
    tracer: Tracer, own_copy: Callable[[Path], Path], net: str, go: str
) -> None:
    native = net == "0.58.0"  # net/http's own
    program = own_copy(built(go_modules.h2c, net, go))
    server = tracer.program(program, "-n", 23, "-cancel", 7, f"-native={native}")
    server.line()
    tracing = attached(services(tracer, "-p", server.pid, "--connection"))
    server.go()
    assert server.line() == "sent"
    counts = handled(server)
    assert counts == {"/ok": 23, "/fail": 2, "/panic": 2, "/slow": 7}
    until(lambda: tracing.count("span") >= 34, "the spans")
    events = ended(tracing)
    seen = collections.Counter(
        (
            s["attributes"]["url.path"],
            s["attributes"].get("http.response.status_code"),
            s["attributes"].get("error.type"),
        )
        for s in spans(events)
    )
    assert seen == {
        ("/ok", 200, None): 23, ("/fail", 503, "503"): 2, ("/panic", None, "panic"): 2, ("/slow", 200, None): 7
    }  # fmt: skip
    for span in spans(events):
        a = span["attributes"]
        assert (a["network.protocol.version"], a["url.scheme"]) == ("2", "http")
        assert a.get("go.http2.stream_id", 1) % 2 == 1


def test_header_fields_that_are_no_text(
    tracer: Tracer, go_program: Callable[..., Path], own_copy: Callable[[Path], Path]
) -> None:
    server, address = web(tracer, own_copy(go_program(WEB, "1.26")))
    tracing = attached(services(tracer, "-p", server.pid, "--headers"))
    fields = b"X-Bytes: \xff\xfe\xe2\x80\xae\tx\r\nCookie: id=s3cret\r\nX-Long: " + b"y" * 5000 + b"\r\n"
    talk(address, b"GET /ok HTTP/1.0\r\n" + fields + b"\r\n")
    assert b" 400 " in talk(address, b"GET /ok HTTP/1.0\r\nX-Escape: \x1b[31m\r\n\r\n")  # no request to net/http
    until(lambda: tracing.count("span") >= 1, "the span")
    (span,) = spans(ended(tracing))
    headers = {k.removeprefix("http.request.header."): v for k, v in span["attributes"].items() if ".header." in k}
    assert headers == {"x-bytes": ["\ufffd\ufffd\u202e\tx"], "cookie": ["REDACTED"], "x-long": ["y" * 256]}
