# SPDX-License-Identifier: Apache-2.0
"""The formats that are made of events: handmade traces, and the rules of those who read the formats."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from readers import check_chrome, check_folded, check_speedscope, pprof_calls

from tracer import writers
from tracer.writers import tree
from tracer.writers.calls import Call, gather, walk

Event = dict[str, Any]

NAMES = ["main.a", "main.b", 'main.(*T).c"', "main.d[go.shape.int;x]"]


def meta(returns: bool = True) -> Event:
    functions = [
        {"fid": i, "name": n, "file": "main.go", "line": 10 + i, "params": [], "results": [], "returns": returns}
        for i, n in enumerate(NAMES)
    ]
    clock = {"monotonic_ns": 1000, "wall": "2026-01-02T03:04:05.000000500Z"}
    return {
        "type": "meta",
        "v": 1,
        "tracer": "0",
        "binary": "x",
        "go": "go1.26",
        "clock": clock,
        "functions": functions,
    }


def call(ts: int, number: int, fid: int, goid: int | None = 1, pid: int = 7, **more: Any) -> Event:
    who = {"pid": pid, "tid": 70, "goid": goid, "call": number, "fid": fid, "func": NAMES[fid]}
    return {"type": "call", "ts": ts, **who, "args": {"n": number}, "notes": {}, **more}


def ret(ts: int, number: int, fid: int, goid: int | None = 1, pid: int = 7, **more: Any) -> Event:
    who = {"pid": pid, "tid": 70, "goid": goid, "call": number, "fid": fid, "func": NAMES[fid]}
    return {"type": "return", "ts": ts, **who, "duration_ns": 1, "results": {"r": 1}, "notes": {}, **more}


SIMPLE = [
    meta(),
    call(1000, 1, 0),
    call(1100, 2, 1),
    call(1150, 3, 0, goid=2),
    ret(1300, 2, 1),
    call(1400, 4, 1),
    ret(1450, 3, 0, goid=2),
    ret(1900, 4, 1),
    ret(2000, 1, 0),
]


def made(name: str, events: list[Event]) -> bytes:
    out = io.BytesIO()
    writers.writer(name).write(iter(events), out)
    return out.getvalue()


def spans(roots: list[Call]) -> list[tuple[str, int, int, int]]:
    return [(c.name, d, c.begin, c.duration) for root in roots for c, d in walk(root)]


def test_nesting() -> None:
    whole = gather(iter(SIMPLE))
    by_goroutine = {track[1]: spans([root]) for track, root in whole.roots}
    assert by_goroutine == {
        1: [("main.a", 0, 1000, 1000), ("main.b", 1, 1100, 200), ("main.b", 1, 1400, 500)],
        2: [("main.a", 0, 1150, 300)],
    }


def test_what_was_left_otherwise() -> None:
    """A panic closes frames, and what was not seen to leave ends with its caller."""
    events = [
        meta(),
        call(1000, 1, 0),
        call(1100, 2, 1),
        call(1200, 3, 2),
        ret(1300, 2, 1, unwound="panic", duration_ns=None, results=None),
        ret(1400, 1, 0),
        call(1500, 4, 3),
    ]
    whole = gather(iter(events))
    a, b, c = (x for x, _ in walk(whole.roots[0][1]))
    assert (b.unwound, b.end, c.unwound, c.end, a.unwound, a.end) == ("panic", 1300, "unknown", 1300, "", 1400)
    assert whole.roots[1][1].unwound == "detached"


def test_chrome() -> None:
    document = json.loads(made("chrome", SIMPLE))
    check_chrome(document)
    rows = [(e["name"], e["tid"], e["ts"], e["dur"]) for e in document["traceEvents"] if e["ph"] == "X"]
    assert sorted(rows) == [
        ("main.a", 1, 1.0, 1.0),
        ("main.a", 2, 1.15, 0.3),
        ("main.b", 1, 1.1, 0.2),
        ("main.b", 1, 1.4, 0.5),
    ]
    assert {e["args"]["name"] for e in document["traceEvents"] if e["name"] == "thread_name"} == {"G1", "G2"}


def test_chrome_of_calls_without_returns() -> None:
    document = json.loads(made("chrome", [meta(returns=False), call(1000, 1, 0), call(1100, 2, 1, goid=None)]))
    assert [(e["ph"], e["ts"]) for e in document["traceEvents"] if e["ph"] != "M"] == [("i", 1.0), ("i", 1.1)]


def test_speedscope() -> None:
    document = json.loads(made("speedscope", SIMPLE))
    check_speedscope(document)
    assert [p["name"] for p in document["profiles"]] == ["G2 of process 7", "G1 of process 7"]
    assert {"name": "main.b", "file": "main.go", "line": 11} in document["shared"]["frames"]


def test_folded() -> None:
    assert made("folded", SIMPLE).decode().splitlines() == ["main.a 600", "main.a;main.b 700"]
    assert made("folded", [meta(), call(0, 1, 3), ret(5, 1, 3)]) == b"main.d[go.shape.int,x] 5\n"


HOSTILE = "main.\x1b[2J;a\nb 7\r\x9b"


def hostile() -> list[Event]:
    """Names are what a program's tables say."""
    events = [meta(), call(0, 1, 0, stack=[frame(HOSTILE), frame("x\ny")]), ret(5, 1, 0)]
    events[0]["functions"][0]["name"] = HOSTILE
    return [{**e, "func": HOSTILE} if "func" in e else e for e in events]


def test_hostile_names() -> None:
    escaped = r"main.\x1b[2J{}a\nb 7\r\x9b"
    assert made("folded", hostile()).decode() == r"x\ny;" + escaped.format(",") + " 5\n"
    rows = list(csv.DictReader(io.StringIO(made("csv", hostile()).decode(), newline="")))
    assert [row["func"] for row in rows] == 2 * [escaped.format(";")]
    assert rows[0]["stack"] == escaped.format(";") + " main.go:1\n" + r"x\ny main.go:1"


def frame(func: str, line: int = 1, **more: Any) -> dict[str, Any]:
    return {"func": func, "file": "main.go", "line": line, **more}


OUTER = [frame("main.main", 90), frame("runtime.main", 290)]
# b stands in a, called through main.mid, into which main.in was inlined; then, on its own, from main.main
STACKED = [
    meta(),
    call(1000, 1, 0, stack=[frame("main.a"), *OUTER]),
    call(
        1100,
        2,
        1,
        stack=[frame("main.b"), frame("main.in", 7, inlined=True), frame("main.mid", 8), frame("main.a", 5), *OUTER],
    ),
    ret(1300, 2, 1),
    ret(2000, 1, 0),
    call(3000, 3, 1, stack=[frame("main.b"), *OUTER]),
    ret(3007, 3, 1),
]


def test_folded_with_stacks() -> None:
    assert made("folded", STACKED).decode().splitlines() == [
        "runtime.main;main.main;main.a 800",
        "runtime.main;main.main;main.a;main.mid;main.in;main.b 200",
        "runtime.main;main.main;main.b 7",
    ]


def test_stacks_that_end_before_the_traced_caller() -> None:
    """-s 2: main.a is known to be above, and that something is between."""
    short = [{**e, "stack": e["stack"][:2]} if "stack" in e else e for e in STACKED]
    assert made("folded", short).decode().splitlines() == [
        "main.main;main.a 800",
        "main.main;main.a;…;main.in;main.b 200",
        "main.main;main.b 7",
    ]


def test_recursion_with_stacks() -> None:
    """The caller is the innermost call of its name, also where all are the same function."""
    events = [meta()]
    for n in range(3):
        stack = [
            frame("main.a"),
            *[f for _ in range(n) for f in (frame("main.x"), frame("main.a"))],
            frame("main.main"),
        ]
        events.append(call(1000 + n, n, 0, stack=stack))
    events += [ret(2000 - n, n, 0) for n in (2, 1, 0)]
    assert made("folded", events).decode().splitlines() == [
        "main.main;main.a 2",
        "main.main;main.a;main.x;main.a 2",
        "main.main;main.a;main.x;main.a;main.x;main.a 996",
    ]
    check_speedscope(json.loads(made("speedscope", events)))


def test_speedscope_with_stacks() -> None:
    document = json.loads(made("speedscope", STACKED))
    check_speedscope(document)
    names = [f["name"] for f in document["shared"]["frames"]]
    (profile,) = document["profiles"]
    assert [(e["type"], names[e["frame"]], e["at"]) for e in profile["events"]] == [
        *[("O", name, 1000) for name in ("runtime.main", "main.main", "main.a")],
        *[("O", name, 1100) for name in ("main.mid", "main.in (inlined)", "main.b")],
        *[("C", name, 1300) for name in ("main.b", "main.in (inlined)", "main.mid")],
        *[("C", name, 2000) for name in ("main.a", "main.main", "runtime.main")],
        *[("O", name, 3000) for name in ("runtime.main", "main.main", "main.b")],
        *[("C", name, 3007) for name in ("main.b", "main.main", "runtime.main")],
    ]


@pytest.mark.skipif(not shutil.which("go"), reason="no go on PATH")
def test_pprof_with_stacks_by_its_own_reader(tmp_path: Path) -> None:
    path = tmp_path / "p.pb.gz"
    path.write_bytes(made("pprof", STACKED))
    run = subprocess.run(
        ["go", "tool", "pprof", "-traces", "-sample_index=time", path], capture_output=True, text=True, check=True
    )
    traces = [" ".join(part.split()) for part in re.split(r"-{3,}\+-{3,}", run.stdout)[1:]]
    assert sorted(filter(None, traces)) == [
        "200ns main.b main.in (inline) main.mid main.a main.main runtime.main",
        "7ns main.b main.main runtime.main",
        "800ns main.a main.main runtime.main",
    ]


@pytest.mark.skipif(not shutil.which("go"), reason="no go on PATH")
def test_pprof_of_calls_without_returns(tmp_path: Path) -> None:
    """They have no time, and are counted by who called."""
    path = tmp_path / "p.pb.gz"
    stacks = [[frame("main.a"), *OUTER], [frame("main.a"), frame("main.x"), *OUTER]]
    path.write_bytes(made("pprof", [meta(returns=False), *(call(n, n, 0, stack=stacks[n % 2]) for n in range(5))]))
    assert pprof_calls(path) == {"main.a": 5, "main.x": 0, "main.main": 0}


def test_csv() -> None:
    rows = list(csv.DictReader(io.StringIO(made("csv", SIMPLE).decode())))
    assert len(rows) == 8
    assert rows[0]["func"] == "main.a"
    assert json.loads(rows[0]["values"]) == {"n": 1}
    assert rows[-1]["type"] == "return"


@pytest.mark.skipif(not shutil.which("go"), reason="no go on PATH")
def test_pprof_by_its_own_reader(tmp_path: Path) -> None:
    """Times of the two goroutines' a, and of what b took inside one of them, as pprof sums them."""
    path = tmp_path / "p.pb.gz"
    path.write_bytes(made("pprof", SIMPLE))

    def top(index: str, unit: str) -> str:
        command = ["go", "tool", "pprof", "-top", "-nodefraction=0", f"-sample_index={index}", f"-unit={unit}", path]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    times = {line.split()[-1]: line.split() for line in top("time", "ns").splitlines()[5:]}
    assert (times["main.a"][0], times["main.a"][3]) == ("600ns", "1300ns")
    assert (times["main.b"][0], times["main.b"][3]) == ("700ns", "700ns")
    counts = {line.split()[-1]: line.split()[0] for line in top("calls", "count").splitlines() if "main." in line}
    assert counts == {"main.a": "2", "main.b": "2"}


def test_tree() -> None:
    out = io.StringIO()
    tree.write_text(iter(SIMPLE), out)
    assert out.getvalue().splitlines() == [
        "G2 of process 7",
        "    300ns  main.a(n=3) → (r=1)",
        "",
        "G1 of process 7",
        "      1µs  main.a(n=1) → (r=1)",
        "    200ns    main.b(n=2) → (r=1)",
        "    500ns    main.b(n=4) → (r=1)",
        "",
    ]


def test_tree_escapes() -> None:
    out = io.StringIO()
    event = call(1, 1, 0)
    event["args"] = {"s": "\x1b[2J\r"}
    tree.write_text(iter([meta(), event, ret(2, 1, 0)]), out)
    assert "\x1b" not in out.getvalue()
    assert "\r" not in out.getvalue()


@st.composite
def traces(draw: st.DrawFn) -> list[Event]:
    """Any order of calls and returns, also such as cannot be: events are lost, clocks of CPUs differ a little."""
    events, ts, open_calls = [meta()], 1000, []
    for number in range(draw(st.integers(0, 40))):
        ts = max(0, ts + draw(st.integers(-3, 50)))
        if open_calls and draw(st.booleans()):
            fid, goid, n = open_calls.pop(draw(st.integers(0, len(open_calls) - 1)))
            events.append(ret(ts, n, fid, goid=goid))
        else:
            fid, goid = draw(st.integers(0, 3)), draw(st.sampled_from([1, 2, None]))
            open_calls.append((fid, goid, number))
            events.append(call(ts, number, fid, goid=goid))
    return events


@settings(max_examples=150, deadline=None)
@given(traces())
def test_every_format_keeps_its_rules(events: list[Event]) -> None:
    check_chrome(json.loads(made("chrome", events)))
    check_speedscope(json.loads(made("speedscope", events)))
    calls = sum(e["type"] == "call" for e in events)
    spans_shown = [e for e in json.loads(made("chrome", events))["traceEvents"] if e["ph"] == "X"]
    assert len(spans_shown) == calls
    check_folded(made("folded", events).decode())
    made("pprof", events)
    tree.write_text(iter(events), io.StringIO())


def test_every_format_takes_nothing() -> None:
    for name in writers.FORMATS:
        assert isinstance(made(name, []), bytes)


def test_registry_is_complete() -> None:
    def modules() -> Iterator[str]:
        for path in Path(writers.__file__).parent.glob("*.py"):
            if "def write(events" in path.read_text():
                yield path.stem

    assert set(modules()) == set(writers.FORMATS)
    for name in writers.FORMATS:
        assert "{}" in writers.writer(name).HOW_TO_OPEN
