# SPDX-License-Identifier: Apache-2.0
"""gRPC and gin services, at several versions of the libraries, built through the Go module proxy."""

from __future__ import annotations

import collections
import contextlib
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import go_modules
import pytest
from go_versions import BuildError
from missing import missing
from test_services import among, attached, ended, free_port, services, spans, talk
from tracing import JSON, PATIENCE, Tracer, until


def built(make: Callable[..., Path], *args: Any) -> Path:
    try:
        return make(*args)
    except BuildError as e:
        missing(str(e))
        raise


def by_status(events: list[JSON], kind: str) -> dict[tuple[str, str], int]:
    return collections.Counter(
        (s["attributes"]["rpc.method"], s["attributes"]["rpc.response.status_code"]) for s in spans(events, kind)
    )


@pytest.mark.parametrize(("version", "go"), among(go_modules.GRPC, go_modules.GRPC_MORE))
def test_grpc_calls_and_their_status(tracer: Tracer, own_copy: Callable[[Path], Path], version: str, go: str) -> None:
    program = own_copy(built(go_modules.health, version, go))
    both = tracer.program(program, "-listen", f"127.0.0.1:{(port := free_port())}", "-call", f"127.0.0.1:{port}",
                          "-n", 101, "-workers", 5, "-watch", 7)  # fmt: skip
    address = both.line()
    tracing = attached(services(tracer, "-p", both.pid))
    both.go()
    printed = {}
    while (line := both.line()) != "done":
        name, _, number = line.rpartition(" ")
        printed[name] = int(number)
    assert printed == {"Check OK": 435, "Check NotFound": 70, "Watch Canceled": 7}
    until(lambda: tracing.count("span") >= 2 * 512, "the spans of both sides")
    events = ended(tracing)
    check, watch = "grpc.health.v1.Health/Check", "grpc.health.v1.Health/Watch"
    counts = {(check, "OK"): 435, (check, "NOT_FOUND"): 70, (watch, "CANCELLED"): 7}
    assert by_status(events, "server") == counts
    assert by_status(events, "client") == counts
    for span in spans(events):
        a = span["attributes"]
        assert (a["network.peer.address"], 0 < a["network.peer.port"] < 65536) == ("127.0.0.1", True)
        assert (span["name"], a["rpc.system.name"], span["status"]) == (a["rpc.method"], "grpc", "unset")
    for span in spans(events, "client"):
        assert (span["attributes"]["server.address"], span["attributes"]["server.port"]) == (
            "127.0.0.1",
            int(address.rpartition(":")[2]),
        )
        assert span["status"] == ("unset" if span["attributes"]["rpc.response.status_code"] == "OK" else "error")
    (unknown,) = {s.get("message") for s in spans(events, "client") if s["name"] == check and s["status"] == "error"}
    assert unknown == "unknown service"


@pytest.mark.parametrize(("version", "go"), among(go_modules.GRPC, go_modules.GRPC_MORE))
def test_grpc_headers_in_both_directions(
    tracer: Tracer, own_copy: Callable[[Path], Path], version: str, go: str
) -> None:
    program = own_copy(built(go_modules.health, version, go))
    address = f"127.0.0.1:{free_port()}"
    both = tracer.program(program, "-listen", address, "-call", address, "-n", 1)
    both.line()
    tracing = attached(services(tracer, "-p", both.pid, "--headers"))
    both.go()
    until(lambda: tracing.count("headers") >= 6 and tracing.count("span") >= 2, "the headers of a call")
    blocks = [e for e in ended(tracing) if e["type"] == "headers"]
    assert sorted((b["side"], b["direction"]) for b in blocks) == [
        ("client", "received"), ("client", "received"), ("client", "sent"),
        ("server", "received"), ("server", "sent"), ("server", "sent"),
    ]  # fmt: skip
    assert {b["stream"] for b in blocks} == {1}

    def fields(side: str, direction: str) -> list[dict[str, str]]:
        return [dict(map(tuple, b["fields"])) for b in blocks if (b["side"], b["direction"]) == (side, direction)]

    (sent,), (received,) = fields("client", "sent"), fields("server", "received")
    assert sent == received
    wanted = {":method": "POST", ":path": "/grpc.health.v1.Health/Check", ":authority": address, "x-worker": "0",
              "content-type": "application/grpc", "authorization": "REDACTED", "te": "trailers"}  # fmt: skip
    assert wanted.items() <= sent.items()
    answer, trailer = fields("client", "received")
    assert answer == {":status": "200", "content-type": "application/grpc"}
    assert trailer["grpc-status"] == "0"
    assert fields("server", "sent") == [answer, trailer]


@pytest.mark.parametrize(("version", "go"), among(go_modules.GRPC[:1], go_modules.GRPC[1:]))
def test_grpc_calls_that_find_no_server(
    tracer: Tracer, own_copy: Callable[[Path], Path], version: str, go: str
) -> None:
    """Each of them has one span, also those that never got a stream: held against what the client itself counts."""
    program = own_copy(built(go_modules.health, version, go))
    server = tracer.program(program, "-listen", f"127.0.0.1:{free_port()}")
    client = tracer.program(program, "-call", server.line(), "-n", 20011)
    tracing = attached(services(tracer, "-p", client.pid))
    client.go()
    until(lambda: tracing.count("span") >= 101, "spans of calls")
    server.process.kill()
    printed = {}
    while (line := client.line()) != "done":
        name, _, number = line.rpartition(" ")
        printed[name] = int(number)
    assert sum(printed.values()) == 20011 and printed["Check Unavailable"] > 1009
    with contextlib.suppress(AssertionError):  # what is missing is told by the counts below
        until(lambda: tracing.count("span") >= 20011, "the spans")
    found = spans(ended(tracing), "client")
    words = {"OK": "OK", "NOT_FOUND": "NotFound", "UNAVAILABLE": "Unavailable"}
    assert collections.Counter(f"Check {words[s['attributes']['rpc.response.status_code']]}" for s in found) == printed
    assert not any("parent_id" in s or "outcome" in s for s in found)


def listens(port: int) -> bool:
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def server_at(tracer: Tracer, program: Path, *args: object, port: int) -> Any:
    server = tracer.program(program, *args)

    def ready() -> bool:
        assert server.process.poll() is None
        return listens(port)

    until(ready, "the server")
    return server


@pytest.mark.parametrize(
    ("version", "go"), among(go_modules.EXAMPLES[:1], (*go_modules.EXAMPLES[1:], *go_modules.EXAMPLES_MORE))
)
def test_helloworld(tracer: Tracer, tmp_path: Path, version: str, go: str) -> None:
    server_file, client = (
        built(go_modules.grpc_example, f"helloworld/greeter_{x}", version, go) for x in ("server", "client")
    )
    shutil.copy(server_file, tmp_path / "greeter")
    port = free_port()
    server = server_at(tracer, tmp_path / "greeter", "-port", port, port=port)
    tracing = attached(services(tracer, "--port", port))
    for _ in range(23):
        subprocess.run([client, "-addr", f"127.0.0.1:{port}"], check=True, capture_output=True, timeout=PATIENCE)
    until(lambda: tracing.count("span") >= 23, "the spans")
    events = ended(tracing)
    assert by_status(events, "server") == {("helloworld.Greeter/SayHello", "OK"): 23}
    assert {s["pid"] for s in spans(events)} == {server.pid}


@pytest.mark.parametrize(
    ("version", "go"), among(go_modules.EXAMPLES[:1], go_modules.EXAMPLES[1:] + go_modules.EXAMPLES_MORE)
)
def test_helloworld_under_load(tracer: Tracer, tmp_path: Path, version: str, go: str) -> None:
    """5,000 calls a second, held against what the server itself logs."""
    shutil.copy(built(go_modules.grpc_example, "helloworld/greeter_server", version, go), tmp_path / "greeter")
    load = built(go_modules.greetings, version, go)
    port = free_port()
    log = tmp_path / "log"
    run = 'exec "$0" -port "$1" 2>"$2"'
    server = server_at(tracer, Path("/bin/sh"), "-c", run, tmp_path / "greeter", port, log, port=port)
    client = tracer.program(load, "-to", f"127.0.0.1:{port}", "-n", 500, "-workers", 20, "-rate", 5000)
    assert client.line() == "connected"
    tracing = attached(services(tracer, "-p", server.pid))
    client.go()
    assert client.line().startswith("answered 10000 of 10000 in ")
    assert log.read_text().count("Received: ") == 10000
    with contextlib.suppress(AssertionError):  # what is missing is told by the counts below
        until(lambda: tracing.count("span") >= 10000, "the spans", 20)
    assert by_status(ended(tracing), "server") == {("helloworld.Greeter/SayHello", "OK"): 10000}


@pytest.mark.parametrize(("version", "go"), among(go_modules.EXAMPLES, go_modules.EXAMPLES_MORE))
def test_route_guide(tracer: Tracer, tmp_path: Path, version: str, go: str) -> None:
    server_file, client = (
        built(go_modules.grpc_example, f"route_guide/{x}", version, go) for x in ("server", "client")
    )
    shutil.copy(server_file, tmp_path / "guide-server")
    shutil.copy(client, tmp_path / "guide-client")
    port = free_port()
    server_at(tracer, tmp_path / "guide-server", "-port", port, port=port)
    tracing = attached(services(tracer, "--executable", f"^{tmp_path}/guide-(server|client)$"))
    subprocess.run(
        [tmp_path / "guide-client", "-addr", f"127.0.0.1:{port}"], check=True, capture_output=True, timeout=PATIENCE
    )
    methods = {("routeguide.RouteGuide/GetFeature", "OK"): 2}
    methods |= {(f"routeguide.RouteGuide/{m}", "OK"): 1 for m in ("ListFeatures", "RecordRoute", "RouteChat")}
    until(lambda: tracing.count("span") >= 5, "the spans")
    assert by_status(ended(tracing), "server") == methods


@pytest.mark.parametrize(("version", "go"), among(go_modules.GIN, go_modules.GIN_MORE))
def test_gin_names_the_route(tracer: Tracer, own_copy: Callable[[Path], Path], version: str, go: str) -> None:
    server = tracer.program(own_copy(built(go_modules.gin, version, go)))
    address = server.line()
    tracing = attached(services(tracer, "-p", server.pid))
    for request in (b"GET /api/users/7", b"POST /api/users", b"GET /api/panic", b"GET /none"):
        talk(address, request + b" HTTP/1.0\r\n\r\n")
    until(lambda: tracing.count("span") >= 4, "the spans")
    found = [
        (s["name"], s["attributes"].get("http.route"), s["attributes"]["http.response.status_code"])
        for s in spans(ended(tracing))
    ]
    assert found == [
        ("GET /api/users/:id", "/api/users/:id", 200),
        ("POST /api/users", "/api/users", 201),
        ("GET /api/panic", "/api/panic", 500),
        ("GET", None, 404),
    ]
