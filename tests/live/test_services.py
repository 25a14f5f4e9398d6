# SPDX-License-Identifier: Apache-2.0
"""HTTP services on this kernel: every request has exactly one span, as the server's own handlers counted them."""

from __future__ import annotations

import collections
import contextlib
import re
import socket
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import go_modules
import pytest
from tracing import JSON, ROOT, Program, Tracer, Tracing, until

WEB = ROOT / "tests" / "live" / "programs" / "web"
VERSIONS = go_modules.NET_HTTP


def among(every_day: Sequence[Any], more: Sequence[Any]) -> list[Any]:
    """Values of a parameter: some every day, the others with `make test-all`."""
    return [
        pytest.param(*(one if isinstance(one, tuple) else (one,)), marks=[pytest.mark.slow] if one in more else [])
        for one in (*every_day, *more)
    ]


def services(tracer: Tracer, *args: object, env: dict[str, str] | None = None) -> Tracing:
    return tracer.start("services", "-f", "jsonl", *args, env=env)


def attached(tracing: Tracing) -> Tracing:
    """Wait until an executable has its probes."""

    def ready() -> bool:
        assert tracing.process.poll() is None, tracing.stderr
        return re.search(r" probes, after ", tracing.stderr) is not None

    until(ready, "the probes of a service")
    return tracing


def spans(events: list[JSON], kind: str = "server") -> list[JSON]:
    return [e for e in events if e["type"] == "span" and e["kind"] == kind]


def ended(tracing: Tracing) -> list[JSON]:
    """End the tracer; its events. Nothing may be lost."""
    run = tracing.stop()
    assert run.status == 0, run.stderr
    last = run.stderr.splitlines()[-1]
    assert not re.search(r"\d+ (lost|evicted|malformed|no goroutine)", last), last
    return run.events


def served(program: Program) -> dict[str, int]:
    """What the handlers of tests/live/programs/web counted."""
    counts = {}
    program.go()
    while (line := program.line()) != "done":
        name, _, number = line.rpartition(" ")
        counts[name] = int(number)
    return counts


def web(tracer: Tracer, program: Path, *args: object) -> tuple[Program, str]:
    """A server, and its address."""
    server = tracer.program(program, *args)
    return server, server.line()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])
def test_every_request_has_one_span(
    tracer: Tracer, go_program: Callable[..., Path], own_copy: Callable[[Path], Path], version: str, http2: bool
) -> None:
    minor = int(version.split(".")[1])
    # its go.mod is for the ServeMux of Go 1.22, which names the pattern from 1.23 on
    program = own_copy(go_program(WEB if minor >= 22 else WEB / "main.go", version))
    server, address = web(tracer, program, "-n", 101, "-workers", 5, *(["-http2"] if http2 else []))
    tracing = attached(services(tracer, "-p", server.pid))
    server.go()
    assert server.line().startswith("sent 505 in ")
    with contextlib.suppress(AssertionError):  # what is missing is told by the counts below
        until(lambda: tracing.count("span") >= 2 * 505, "the spans of both sides")
    counts = served(server)
    assert counts == {"GET /ok 200": 435, "GET /fail/ 503": 70}
    events = ended(tracing)
    seen = collections.Counter(
        (s["attributes"]["http.request.method"], s["attributes"]["url.path"].rstrip("0123456789"),
         s["attributes"]["http.response.status_code"]) for s in spans(events)
    )  # fmt: skip
    assert seen == {("GET", "/ok", 200): 435, ("GET", "/fail/", 503): 70}
    port = int(address.rpartition(":")[2])
    for span in spans(events):
        a = span["attributes"]
        assert a["network.protocol.version"] == ("2" if http2 else "1.1")
        assert a["url.scheme"] == ("https" if http2 else "http")
        assert (a["server.address"], a["server.port"], a["network.peer.address"]) == ("127.0.0.1", port, "127.0.0.1")
        assert a["url.query"] == "secret=REDACTED"
        assert span["service"] == program.name
        route = "/fail/" if a["url.path"].startswith("/fail") else "/ok"
        assert a.get("http.route") == (route if minor >= 23 else None)
        assert span["status"] == ("error" if a["http.response.status_code"] == 503 else "unset")
        assert 0 < span["duration_ns"] < 60e9
    clients = collections.Counter(s["attributes"]["http.response.status_code"] for s in spans(events, "client"))
    assert clients == {200: 435, 503: 70}
    assert {s["attributes"]["server.port"] for s in spans(events, "client")} == {port}


def talk(address: str, request: bytes, half_close: bool = False, wait: bool = True) -> bytes:
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=30) as s:
        s.sendall(request)
        if half_close:
            s.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionResetError):  # it closed with bytes of ours unread
            while wait and (part := s.recv(65536)):
                answer += part
        return answer


def test_requests_that_do_not_end_as_they_should(
    tracer: Tracer, go_program: Callable[..., Path], own_copy: Callable[[Path], Path]
) -> None:
    server, address = web(tracer, own_copy(go_program(WEB, "1.26")))
    tracing = attached(services(tracer, "-p", server.pid))
    end = b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    assert talk(address, b"GET /panic" + end) == b""
    assert talk(address, b"GET /hijack" + end).startswith(b"HTTP/1.1 101 ")
    assert b" 200 " in talk(address, b"GET /ok" + end, half_close=True)
    talk(address, b"GET /slow" + end, wait=False)  # aborted by the client
    # 1 MB of header fields, the most that net/http takes; of more it refuses before there is a request
    assert b" 404 " in talk(address, b"GET /big" + end[:-4] + b"\r\nX: " + b"x" * (1 << 20) + b"\r\n\r\n")
    assert b" 404 " not in talk(address, b"GET /bigger" + end[:-4] + b"\r\nX: " + b"x" * (1 << 21) + b"\r\n\r\n")
    assert b" 400 " in talk(address, b"GE\x01T /ok" + end)
    assert b" 404 " in talk(address, b"GET /%00%1b%5b31m%ff%0a" + end)
    long = b"/ok" + b"/x" * 4000
    assert b" 404 " in talk(address, b"GET " + long + end)
    until(lambda: tracing.count("span") >= 7, "the spans")
    by_path = {s["attributes"]["url.path"]: s for s in spans(ended(tracing))}
    assert set(by_path) == {"/big", "/panic", "/hijack", "/ok", "/slow", "/\x00\x1b[31m\ufffd\n", long.decode()[:256]}
    assert by_path["/panic"]["attributes"]["error.type"] == "panic"
    assert (by_path["/hijack"]["outcome"], by_path["/hijack"]["status"]) == ("hijacked", "unset")
    assert by_path["/ok"]["attributes"]["http.response.status_code"] == 200
    assert by_path["/slow"]["attributes"]["http.response.status_code"] == 200  # what its handler would have sent
    assert by_path["/\x00\x1b[31m\ufffd\n"]["attributes"]["http.response.status_code"] == 404


@pytest.mark.parametrize("version", VERSIONS)
def test_the_parent_that_the_caller_names(
    tracer: Tracer, go_program: Callable[..., Path], own_copy: Callable[[Path], Path], version: str
) -> None:
    """From the header field of W3C Trace Context, in maps of both layouts."""
    server, address = web(tracer, own_copy(go_program(WEB / "main.go", version)))
    tracing = attached(services(tracer, "-p", server.pid))
    trace_id, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    fields = f"X-A: 1\r\ntraceparent: 00-{trace_id}-{parent}-01\r\n" + "".join(f"X-{i}: {i}\r\n" for i in range(23))
    talk(address, f"GET /ok HTTP/1.0\r\n{fields}\r\n".encode())
    talk(address, b"GET /ok HTTP/1.0\r\ntraceparent: nonsense\r\n\r\n")
    until(lambda: tracing.count("span") >= 2, "the spans")
    with_parent, without = spans(ended(tracing))
    assert (with_parent["trace_id"], with_parent["parent_id"]) == (trace_id, parent)
    assert "parent_id" not in without and without["trace_id"] != trace_id


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


@pytest.mark.parametrize("events", [True, False], ids=["events", "poll"])
def test_found_by_its_port_as_it_starts(
    tracer: Tracer, go_program: Callable[..., Path], own_copy: Callable[[Path], Path], events: bool
) -> None:
    port, metrics = free_port(), free_port()
    env = {"BEYLA_OPEN_PORT": f"{port},1-2", "BEYLA_PROMETHEUS_PORT": str(metrics), "BEYLA_SERVICE_NAME": "shop"}
    how = ["--poll", "3600"] if events else ["--poll", "100ms", "--no-events"]
    tracing = services(tracer, *how, env=env)
    until(lambda: "poll every" in tracing.stderr or tracing.process.poll() is not None, "the start line")
    server, address = web(tracer, own_copy(go_program(WEB, "1.26")), "-addr", f"127.0.0.1:{port}")
    attached(tracing)
    for _ in range(23):
        assert talk(address, b"GET /ok HTTP/1.0\r\n\r\n")
    until(lambda: tracing.count("span") == 23, "the spans")
    with urllib.request.urlopen(f"http://127.0.0.1:{metrics}/metrics", timeout=30) as page:
        lines = page.read().decode().splitlines()
    wanted = {"service_name": "shop", "http_route": "/ok", "http_response_status_code": "200"}
    (count,) = [
        line for line in lines
        if line.startswith("http_server_request_duration_seconds_count{")
    ]  # fmt: skip
    assert count.endswith(" 23.0") and all(f'{k}="{v}"' in count for k, v in wanted.items())
    server.end()
    until(lambda: "its last process has ended" in tracing.stderr, "the end of the service")
    assert {s["service"] for s in spans(ended(tracing))} == {"shop"}


def test_a_shared_executable_and_only_one_of_its_processes(
    tracer: Tracer, go_program: Callable[..., Path], own_copy: Callable[[Path], Path]
) -> None:
    program = own_copy(go_program(WEB, "1.26"))
    (one, first), (two, second), (_, third) = (web(tracer, program) for _ in range(3))
    config = tracer.folder / "c.ini"
    config.write_text(f"[one]\npid = {one.pid}\n\n[two]\npid = {two.pid}\n")
    tracing = attached(services(tracer, "--config", config))
    for address in (first, second, third):
        talk(address, b"GET /ok HTTP/1.0\r\n\r\n")
    until(lambda: tracing.count("span") >= 2, "the spans")
    config.write_text(f"[one]\npid = {one.pid}\n")
    tracing.process.send_signal(1)
    until(lambda: "SIGHUP" in tracing.stderr, "the file to be read again")
    for address in (first, second, third):
        talk(address, b"GET /fail/ HTTP/1.0\r\n\r\n")
    until(lambda: tracing.count("span") >= 3, "the span after the reload")
    config.write_text("[one]\npid = x\n")
    tracing.process.send_signal(1)
    until(lambda: "what was asked for before stays" in tracing.stderr, "the complaint about the file")
    talk(first, b"GET /none HTTP/1.0\r\n\r\n")
    until(lambda: tracing.count("span") >= 4, "the span after that")
    assert [(s["service"], s["pid"], s["attributes"]["url.path"]) for s in spans(ended(tracing))] == [
        ("one", one.pid, "/ok"),
        ("two", two.pid, "/ok"),
        ("one", one.pid, "/fail/"),
        ("one", one.pid, "/none"),
    ]
    assert tracing.stderr.count(" probes, after ") == 1


def test_a_process_that_is_killed_while_it_answers(
    tracer: Tracer, go_program: Callable[..., Path], own_copy: Callable[[Path], Path]
) -> None:
    program = own_copy(go_program(WEB, "1.26"))
    (one, first), (_, second) = (web(tracer, program) for _ in range(2))
    tracing = attached(services(tracer, "--executable", f"^{re.escape(str(program))}$"))
    host, _, port = first.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=30) as s:
        s.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        talk(first, b"GET /ok HTTP/1.0\r\n\r\n")
        until(lambda: tracing.count("span") >= 1, "the span of another request, so that this one has begun")
        one.process.kill()
        until(lambda: tracing.count("span") >= 2, "the span of the request that nobody answers any more")
    talk(second, b"GET /ok HTTP/1.0\r\n\r\n")
    until(lambda: tracing.count("span") >= 3, "the span of the process that is left")
    assert [(s["attributes"]["url.path"], s.get("outcome")) for s in spans(ended(tracing))] == [
        ("/ok", None), ("/slow", "aborted"), ("/ok", None),
    ]  # fmt: skip


def test_a_program_that_no_rule_fits_is_told(
    tracer: Tracer, go_program: Callable[..., Path], own_copy: Callable[[Path], Path]
) -> None:
    stripped = own_copy(go_program(WEB, "1.26", mode="stripped"))
    server, _ = web(tracer, stripped)
    tracing = services(tracer, "-p", server.pid)
    until(lambda: "not traced" in tracing.stderr, "the reason")
    run = tracing.stop()
    assert re.search(r"not traced: no rule fits \(net/http server: .*no debug information", run.stderr), run.stderr
    assert run.events == []
