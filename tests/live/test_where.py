# SPDX-License-Identifier: Apache-2.0
"""--where: which calls are shown, against what the program itself counted of its values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tracing import JSON, Tracer, check_accounting, of_type, parse

PROGRAM = Path(__file__).resolve().parent / "programs" / "where"
Build = Callable[..., Path]

# Function, what the program says of it, condition.
ON_ARGUMENTS = [
    ("ints", "ints int8", "a < -3"),
    ("ints", "ints int16", "b >= -1"),
    ("ints", "ints int32", "c == -5 || c > 30"),
    ("ints", "ints int64", "d <= -9223372036854775800"),
    ("ints", "ints uint8", "e > 200"),
    ("ints", "ints uint16", "f > 65500 && f != 65510"),
    ("ints", "ints uint32", "g >= 4294967290"),
    ("ints", "ints uint64", "h > 18446744073709551600"),
    ("ints", "ints mixed", "a > d && !(e < 150)"),
    ("texts", "texts bob", 'n > 10 && name == "bob" && !ok'),
    ("texts", "texts empty", 'other == ""'),
    ("texts", "texts same", "name == other"),
    ("texts", "texts long", 'other != "a string of more than eight bytes"'),
    ("texts", "texts len", "len(name) > 3"),
    ("texts", "texts letter", "name[1] == 'o'"),
    ("serve", "serve nil", "r == nil"),
    ("serve", "serve path", 'r.URL.Path == "/x"'),
    ("serve", "serve not", '!(r.URL.Path == "/x")'),
    ("serve", "serve or", 'r.URL.Path == "/x" || n > 280'),
    ("serve", "serve deep", "*r.URL.Deep < 0"),
    ("serve", "serve ratio", "r.Ratio > 1.5"),
    ("serve", "serve ratio below", "r.Ratio <= -0.25"),
    ("serve", "serve ratio zero", "r.Ratio == 0"),
    ("serve", "serve ratio not", "r.Ratio != 2"),
    ("serve", "serve small", "r.Small < 0.1"),
    ("serve", "serve tag", 'r.Tags[2] == "c"'),
    ("serve", "serve byte", "r.Bytes[3] == 7"),
    ("serve", "serve map", "len(r.Len) > 1"),
    ("serve", "serve chan", "len(r.Pipe) == 1 && cap(r.Pipe) == 3"),
    ("serve", "serve any", "r.Any != nil"),
    ("serve", "serve type", "r.Any.(*main.oops).Code == 3"),
    ("nap", "nap asked", "d >= 30ms"),
]
ON_RETURNS = [
    ("fail", "fail err", "err != nil"),
    ("fail", "fail none", "err == nil && n > 50"),
    ("fail", "fail code", "err.(*main.oops).Code == 3"),
    ("fail", "fail again", "err.(*main.oops).Again"),
    ("fail", "fail either", "n < 5 || err != nil"),
    ("fail", "fail less", "count < n"),
    ("fail", "fail same", "count == 4"),
    ("split", "split odd", 'name == "odd" && !ok'),
    ("nap", "nap long", "duration > 30ms"),
    ("boom", "boom returned", "m >= 0"),
]
EVERY = ON_ARGUMENTS + ON_RETURNS
# One of each kind, for other Go versions.
SOME = [EVERY[i] for i in (0, 9, 16, 22, 32, 40)]
# All of a request, or of an error, is so many reads that the kernel takes two seconds to verify them: with these
# conditions it is shown whole, with the others only this.
SHORT = {"serve": ("--args", "n"), "fail": ("--args", "n, count")}
WHOLE = {'r.URL.Path == "/x"', "r.Any.(*main.oops).Code == 3", "err.(*main.oops).Code == 3"}


def cases(several: list[tuple[str, str, str]]) -> list[Any]:
    """As parameters. Where the duration decides, another test could make a short nap long."""
    return [pytest.param(*c, id=c[2], marks=[pytest.mark.alone] if "duration" in c[2] else []) for c in several]


@pytest.fixture
def program(go_program: Build, own_copy: Callable[[Path], Path]) -> Build:
    return lambda version="1.26", mode="default": own_copy(go_program(PROGRAM, version, mode))


def traced(
    tracer: Tracer,
    verb: str,
    program: Path,
    function: str,
    where: str,
    *options: object,
    env: dict[str, str] | None = None,
) -> tuple[list[JSON], dict[str, int], str]:
    """Events of a whole run, what the program said, stderr."""
    out = tracer.folder / "out.jsonl"
    run = tracer(
        *(verb, "--func", f"main.{function}", "--where", where, "-f", "jsonl", "-o", out, *options, "--", program),
        env=env,
    )
    assert run.status == 0, run.stderr
    known = {key: int(n) for key, n in (line.rsplit(" ", 1) for line in run.stdout.splitlines())}
    return parse(out.read_text()), known, run.stderr


def shown(function: str, where: str) -> tuple[str, ...]:
    return () if where in WHOLE else SHORT.get(function, ())


def check_trace(events: list[JSON], known: dict[str, int], key: str) -> JSON:
    """As many calls as the program says, each with its return, and the others are accounted for."""
    (summary,) = of_type(events, "summary")
    check_accounting(summary)
    (row,) = summary["functions"]
    calls, returns = of_type(events, "call"), of_type(events, "return")
    assert len(calls) == row["calls_written"] == known[key]
    assert [e["call"] for e in sorted(returns, key=lambda e: e["call"])] == sorted(e["call"] for e in calls)
    assert not any("unwound" in e for e in returns)
    assert row["entry_hits"] - row["duplicates"] == row["calls_written"] + row["filtered"]
    assert row["return_hits"] == row["returns_written"] + row["filtered_returns"]
    assert (row["calls_lost"], row["returns_lost"], row["unpaired"], row["limited"]) == (0, 0, 0, 0)
    return dict(row)


@pytest.mark.parametrize(("function", "key", "where"), cases(EVERY))
def test_trace(function: str, key: str, where: str, program: Build, tracer: Tracer) -> None:
    events, known, _ = traced(tracer, "trace", program(), function, where, *shown(function, where))
    row = check_trace(events, known, key)
    assert events[0]["where"] == where
    assert row["undecidable"] == row["unfinished"] == 0
    if function != "boom":
        assert row["entry_hits"] - row["duplicates"] == known[key + " calls"]


@pytest.mark.parametrize(("attach", "buffer"), [("multi", "perf"), ("perf", "ring"), ("perf", "perf")])
def test_each_kind_of_attachment(attach: str, buffer: str, program: Build, tracer: Tracer) -> None:
    env = {"TRACER_ATTACH": attach, "TRACER_BUFFER": buffer}
    for function, key, where in (EVERY[9], EVERY[36]):
        events, known, _ = traced(tracer, "trace", program(), function, where, *shown(function, where), env=env)
        check_trace(events, known, key)


@pytest.mark.parametrize("version", ["1.15", "1.17", "1.27"])
@pytest.mark.parametrize(("function", "key", "where"), cases(SOME))
def test_go_versions(version: str, function: str, key: str, where: str, program: Build, tracer: Tracer) -> None:
    if version == "1.17" and (function, key, where) in ON_RETURNS and "duration" not in where:
        pytest.skip("Go 1.17 leaves results out of the debug information where no caller keeps them")
    events, known, _ = traced(tracer, "trace", program(version), function, where, *shown(function, where))
    check_trace(events, known, key)


def test_pie(program: Build, tracer: Tracer) -> None:
    """The type in an interface is told by its address, which the load bias moves."""
    events, known, _ = traced(tracer, "trace", program("1.26", "pie"), "fail", "err.(*main.oops).Code == 3")
    check_trace(events, known, "fail code")


def test_values_of_what_is_shown(program: Build, tracer: Tracer) -> None:
    """The right ones, not only the right number; calls that were held have their arguments."""
    events, _, _ = traced(tracer, "trace", program(), "fail", "n > 50 && err != nil && count < 6")
    shown = [e["args"]["n"] for e in of_type(events, "call")]
    assert shown == [n for n in range(51, 331) if (n % 7 == 0 or n % 11 == 0) and n % 13 < 6]
    assert [e["results"]["count"] for e in of_type(events, "return")] == [n % 13 for n in shown]
    lines = [e for e in events if e["type"] in ("call", "return")]
    for call, ret in zip(lines[::2], lines[1::2]):
        assert (call["type"], ret["type"], call["call"]) == ("call", "return", ret["call"])
        assert ret["duration_ns"] == ret["ts"] - call["ts"]


def test_what_cannot_be_read_is_counted(program: Build, tracer: Tracer) -> None:
    events, known, stderr = traced(tracer, "trace", program(), "far", "*p == -1")
    row = check_trace(events, known, "far good")
    assert row["undecidable"] == known["far bad"] == 30
    assert "11 calls, 11 returns; 30 filtered, 0 lost" in stderr
    assert "30 calls left out because what --where asks could not be read" in stderr
    # what decides without it is not held up by it, and no "not" turns it into a yes
    events, known, _ = traced(tracer, "trace", program(), "far", "*p == -1 || n == 5")
    assert len(of_type(events, "call")) == known["far good"] + 1
    events, known, _ = traced(tracer, "trace", program(), "far", "!(*p == 3) && n >= 0")
    assert len(of_type(events, "call")) == known["far good"]


def test_recursion(program: Build, tracer: Tracer) -> None:
    events, known, _ = traced(tracer, "trace", program(), "deep", "~r0 > n")
    check_trace(events, known, "deep result")


def test_calls_left_by_a_panic_have_no_result(program: Build, tracer: Tracer) -> None:
    events, known, _ = traced(tracer, "trace", program(), "boom", "m >= 0")
    row = check_trace(events, known, "boom returned")
    assert row["entry_hits"] - row["duplicates"] == 53
    assert row["filtered"] == 53 - 42


@pytest.mark.parametrize("where", ["n > 40", "~r0 > 41"])
def test_limits_count_what_is_wanted(where: str, program: Build, tracer: Tracer) -> None:
    out = tracer.folder / "out.jsonl"
    run = tracer("--func", "main.busy", "--where", where, "-M", 7, "-f", "jsonl", "-o", out, "--", program())
    assert run.status == 0, run.stderr
    events = parse(out.read_text())
    assert [e["args"]["n"] for e in of_type(events, "call")] == list(range(41, 48))
    assert [e["results"]["~r0"] for e in of_type(events, "return")] == list(range(42, 49))
    check_accounting(events[-1])


@pytest.mark.parametrize("where", ["n >= 7", "~r0 > 7"])
def test_sample_of_what_is_wanted(where: str, program: Build, tracer: Tracer) -> None:
    events, _, _ = traced(tracer, "trace", program(), "busy", where, "--sample", "1/1000")
    check_accounting(events[-1])
    (row,) = events[-1]["functions"]
    assert [e["args"]["n"] for e in of_type(events, "call")] == list(range(7, 10_007, 1000))
    assert (row["calls_written"], row["returns_written"]) == (10, 10)
    assert (row["sampled"], row["sampled_returns"]) == (9990, 9990)
    assert row["filtered"] == row["filtered_returns"] == 7


@pytest.mark.parametrize(("where", "n"), [("n >= 0", 100_003), ("n >= 0 && ~r0 >= 0", 50_021)])
@pytest.mark.parametrize("buffer", ["ring", "perf"])
def test_loss_takes_both_or_neither(where: str, n: int, buffer: str, go_program: Build, tracer: Tracer) -> None:
    """A buffer of one page: what is lost is accounted for, and where the return decides no call stands without it."""
    counts, out = go_program(PROGRAM.parent / "counts"), tracer.folder / "out.jsonl"
    late = "r0" in where
    options = ("--where", where, "--buffer", "4K", "-f", "jsonl", "-o", out, *(() if late else ("--no-results",)))
    env = {"TRACER_BUFFER": buffer}
    run = tracer("--func", "main.target", *options, "--", counts, "-n", n, "-wait=false", env=env)
    assert run.status == 0, run.stderr
    events = parse(out.read_text())
    check_accounting(events[-1])
    (row,) = events[-1]["functions"]
    assert row["calls_lost"] > 0
    assert row["entry_hits"] - row["duplicates"] == n
    if late:
        called = {e["call"] for e in of_type(events, "call")}
        assert called == {e["call"] for e in of_type(events, "return")}
        assert len(called) == row["calls_written"] == row["returns_written"]


def test_unfinished_calls_are_told(go_program: Build, own_copy: Callable[[Path], Path], tracer: Tracer) -> None:
    program = own_copy(go_program(PROGRAM.parent / "counts"))
    tracing = tracer.start("-b", program, "--func", "main.stuck", "--where", "duration > 1ns", "-f", "jsonl").attached()
    target = tracer.program(program, "-mode", "stuck", "-wait=false")
    assert target.line() == "stuck"
    run = tracer("-p", target.pid, "--func", "runtime.usleep", "-d", "100ms", "-q")
    assert run.status == 0, run.stderr
    ended = tracing.stop()
    (row,) = ended.events[-1]["functions"]
    check_accounting(ended.events[-1])
    assert (row["entry_hits"] - row["duplicates"], row["filtered"], row["unfinished"]) == (1, 1, 1)
    assert not of_type(ended.events, "call")
    assert "1 call left out that had not returned, for which --where waits" in ended.stderr


@pytest.mark.parametrize("verb", ["count", "hist", "stack"])
@pytest.mark.parametrize(("function", "key", "where"), cases([EVERY[9], EVERY[20], EVERY[36], EVERY[40]]))
def test_sums(verb: str, function: str, key: str, where: str, program: Build, tracer: Tracer) -> None:
    events, known, _ = traced(tracer, verb, program(), function, where)
    field = {"count": "calls", "hist": "count", "stack": "count"}[verb]
    assert sum(e[field] for e in of_type(events, verb)) == known[key]
    (summary,) = of_type(events, "summary")
    assert summary["counted"] == known[key]
    assert summary["entry_hits"] == summary["counted"] + summary["filtered"] + summary.get("duplicates", 0)
    if verb == "stack":
        frames = {f["func"] for e in of_type(events, verb) for f in e["frames"]}
        assert {f"main.{function}", "main.main.func1" if function == "nap" else "main.main"} <= frames
    if "duration" in where and verb == "hist":
        assert of_type(events, verb)[0]["classes"][0][0] >= 26_000_000  # a class is at most 1/8 wide


def test_recording_keeps_it(program: Build, tracer: Tracer) -> None:
    path, where = tracer.folder / "run.gscope", "n > 50 && err != nil"
    run = tracer("--func", "main.fail", "--where", where, *SHORT["fail"], "-o", path, "-q", "--", program())
    assert run.status == 0, run.stderr
    said = tracer("report", path, "-f", "jsonl")
    assert said.status == 0, said.stderr
    assert said.events[0]["where"] == where
    wanted = [n for n in range(51, 331) if n % 7 == 0 or n % 11 == 0]
    assert [e["args"]["n"] for e in of_type(said.events, "call")] == wanted
    check_accounting(said.events[-1])


def test_tree(program: Build, tracer: Tracer) -> None:
    run = tracer("tree", "--func", "main.deep", "--func", "main.survive", "--where", "n > 49", "-q", "--", program())
    assert run.status == 0, run.stderr
    shown = [line for line in run.stdout.splitlines() if "main." in line]
    roots = [line for line in shown if "main.deep" in line and "   main" not in line]
    assert sum("main.survive" in line for line in shown) == 3
    assert len(shown) - 3 == sum(1 for i in range(53) for k in range(i % 11 + 1) if i + k > 49)
    assert roots


def test_tree_of_what_returns_decide(program: Build, tracer: Tracer) -> None:
    """Calls come when they have returned, the inner ones first: the tree is that of the calls all the same."""
    run = tracer("tree", "--func", "main.deep", "--where", "~r0 > 50", "--no-args", "-q", "--", program())
    assert run.status == 0, run.stderr
    shown = [line[9:] for line in run.stdout.splitlines() if "main.deep" in line]
    # deep(i, i % 11) gives i + 2 * (i % 11), and each call within it one less
    trees = [(i, depth) for i in range(53) for depth in [i % 11] if i + 2 * depth > 50]
    expected = []
    for i, depth in trees:
        results = [i + 2 * depth - k for k in range(depth + 1)]
        expected += [f"{'  ' * (k + 1)}main.deep() → (~r0={r})" for k, r in enumerate(results) if r > 50]
    assert shown == expected


def test_python_api(program: Build, tracer: Tracer) -> None:
    import tracer as package

    with package.trace(func="main.fail", command=[str(program())], where="err != nil && n < 50") as t:
        calls = list(t)
    wanted = [n for n in range(50) if n % 7 == 0 or n % 11 == 0]
    assert [c.args["n"] for c in calls] == wanted
    assert t.summary.total["filtered"] == 331 - len(wanted)


def test_a_long_condition_loads(program: Build, tracer: Tracer) -> None:
    """The compiler's stack and the verifier's patience are enough for it."""
    parts = [f'r.URL.Path == "path number {i} of a long list"' for i in range(8)]
    parts += [f'r.Method == "M{i}"' for i in range(6)] + [f'r.Tags[{i}] == "t"' for i in range(4)]
    parts += [f"r.Ratio > {i + 2}.5" for i in range(4)] + [f"r.Any.(*main.oops).Code == {i}" for i in range(3)]
    events, known, _ = traced(tracer, "count", program(), "serve", " || ".join(parts))
    assert sum(e["calls"] for e in of_type(events, "count")) >= known["serve type"]
    where = " && ".join(f'(r.URL.Path != "/{i}" || n == {i})' for i in range(16))
    events, _, _ = traced(tracer, "trace", program(), "serve", where, "--no-args")
    assert len(of_type(events, "call")) == sum(1 for i in range(307) if i % 3 and i % 17 != 16)


def test_program_is_shown(program: Build, tracer: Tracer) -> None:
    run = tracer("-b", program(), "--func", "main.busy", "--where", "n > 4242", "--ebpf")
    assert run.status == 0, run.stderr
    assert " -DWHERE -DWHERE_TABLE" in run.stdout.splitlines()[0]
    assert "/* --where n > 4242 */" in run.stdout
    assert "(s64)(0x1092ull)" in run.stdout


@pytest.mark.parametrize("verb", ["trace", "count", "hist", "stack", "tree"])
def test_errors(verb: str, program: Build, tracer: Tracer) -> None:
    run = tracer(verb, "-b", program(), "--func", "main.busy", "--where", "n > 3 && m == 4")
    assert run.status == 2
    assert run.stderr.splitlines() == [
        "error: main.busy: there is no parameter or result 'm'",
        "  n > 3 && m == 4",
        "           ^",
        "hint: there is n, ~r0, duration, pid, goid",
    ]
