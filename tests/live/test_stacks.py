# SPDX-License-Identifier: Apache-2.0
"""Stacks, of `trace -s` and of `stack`, against runtime.Callers in the traced program itself."""

from __future__ import annotations

import csv
import io
import json
import struct
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from tracing import JSON, Tracer, check_accounting, check_error, of_type, parse

PROGRAM = Path(__file__).resolve().parent / "programs" / "inlining"
VERSIONS = ["1.15", "1.17", "1.19", "1.21", "1.24", "1.26", "1.27"]
ROUNDS = 23
Build = Callable[..., Path]
Frames = list[tuple[str, str, int]]


@pytest.fixture
def inlining(go_program: Build, own_copy: Callable[[Path], Path]) -> Build:
    def build(version: str = "1.26", mode: str = "default") -> Path:
        return own_copy(go_program(PROGRAM, version, mode))

    return build


def own_stacks(printed: str) -> list[Frames]:
    """What the program says of its own stack, at each call of main.here in its first round."""
    found: list[Frames] = [[]]
    for line in printed.splitlines():
        if not line:
            found.append([])
            continue
        name, place = line.split()
        file, number = place.rsplit(":", 1)
        found[-1].append((name, file, int(number)))
    return [stack for stack in found if stack]


def frames(stack: list[JSON]) -> Frames:
    return [(f["func"], Path(f["file"]).name, f["line"]) for f in stack]


def place(text: str) -> int:
    lines = (PROGRAM / "main.go").read_text().split("\n")
    return next(i for i, line in enumerate(lines, 1) if text in line)


WAYS = [{}, {"TRACER_ATTACH": "perf"}, {"TRACER_BUFFER": "perf"}]


@pytest.mark.parametrize("way", WAYS, ids=["default", "perf-events", "perf-buffer"])
@pytest.mark.parametrize("version", VERSIONS)
def test_each_line_has_its_stack(version: str, way: dict[str, str], inlining: Build, tracer: Tracer) -> None:
    """At entry sites of each kind, and at returns; recursion and inlined calls included."""
    out = tracer.folder / "trace.jsonl"
    run = tracer(
        *("--func", "main.here", "--func", "main.outer", "-s", "99", "-f", "jsonl", "-o", out, "-q"),
        *("--", inlining(version), ROUNDS),
        env=way,
    )
    assert run.status == 0, run.stderr
    events = parse(out.read_text())
    truth = own_stacks(run.stdout)
    assert len(truth) == 3
    here = [e for e in of_type(events, "call") if e["func"] == "main.here"]
    assert len(here) == 3 * ROUNDS
    for i, event in enumerate(here):
        # where the function itself is, differs: at its entry, and where it asks
        assert frames(event["stack"])[1:] == truth[i % 3][1:]
        assert frames(event["stack"])[0] == ("main.here", "main.go", place("func here"))
    returns = [e for e in of_type(events, "return") if e["func"] == "main.here"]
    assert len(returns) == 3 * ROUNDS
    for i, event in enumerate(returns):
        assert frames(event["stack"])[1:] == truth[i % 3][1:]
        lines = {place("return n + 1")} if i >= 3 else {place("fmt.Println()") + 1}
        assert {frames(event["stack"])[0][2]} == lines
    depths = [sum(f["func"] == "main.outer" for f in e["stack"]) for e in events if e.get("func") == "main.outer"]
    assert depths == [1, 2, 3, 4, 4, 3, 2, 1] * ROUNDS
    inlined = {f["func"] for e in here for f in e["stack"] if f.get("inlined")}
    assert inlined == {"main.inner", "main.middle"}
    (summary,) = of_type(events, "summary")
    assert summary["lost"] == 0
    check_accounting(summary)


@pytest.mark.parametrize("mode", ["pie", "stripped", "stripped-pie"])
def test_in_other_builds(mode: str, inlining: Build, tracer: Tracer) -> None:
    out = tracer.folder / "trace.jsonl"
    options = ("--func", "main.here", "--no-results", "--stack=20", "-f", "jsonl", "-o", out, "-q")
    run = tracer(*options, "--", inlining("1.26", mode))
    assert run.status == 0, run.stderr
    stacks = [frames(e["stack"])[1:] for e in of_type(parse(out.read_text()), "call")]
    assert stacks == [stack[1:] for stack in own_stacks(run.stdout)]


def test_with_values_of_many_steps(inlining: Build, go_program: Build, tracer: Tracer) -> None:
    """The stack stands before what the steps read: both are whole, in each variant of the program."""
    values = go_program(PROGRAM.parents[3] / "examples" / "values")
    out = tracer.folder / "trace.jsonl"
    for options in ([], ["--args", "o.Items[:2].Name"], ["--no-args"]):
        run = tracer("--func", "main.ship", "-s", "3", *options, "-f", "jsonl", "-o", out, "-q", "--", values)
        assert run.status == 0, run.stderr
        (call,) = of_type(parse(out.read_text()), "call")
        assert [f["func"] for f in call["stack"]] == ["main.ship", "main.main", "runtime.main"]
        if options == []:
            assert call["args"]["o"]["to"]["Items"][1] == {"Name": "tea", "Count": 4}
        elif options != ["--no-args"]:
            assert call["args"] == {"o.Items[:2].Name": ["cups", "tea"]}


def test_text(inlining: Build, tracer: Tracer) -> None:
    out = tracer.folder / "trace.txt"
    options = ("--func", "main.here", "--no-results", "-s", "4", "-o", out, "-q", "-M", "1")
    run = tracer(*options, "--", inlining())
    lines = out.read_text().splitlines()
    file = "example.com/program/main.go"
    assert lines[0].endswith("  G1  main.here(n=100)")
    assert lines[1:] == [
        f"    main.here  {file}:{place('func here')}",
        f"    main.inner  {file}:{place('func inner')}  (inlined)",
        f"    main.middle  {file}:{place('func middle')}  (inlined)",
        f"    main.outer  {file}:{place('return middle(100)')}",
    ], run.stderr


def test_recorded(inlining: Build, tracer: Tracer) -> None:
    """A recording has the names with it: neither the program nor its file is needed to show them."""
    program, path = inlining(), tracer.folder / "run.gscope"
    run = tracer("--func", "main.here", "-s", "99", "-o", path, "--", program, ROUNDS)
    assert run.status == 0, run.stderr
    program.unlink()
    truth = own_stacks(run.stdout)
    events = tracer("report", path, "-f", "jsonl").events
    calls = of_type(events, "call")
    assert [frames(e["stack"])[1:] for e in calls] == [truth[i % 3][1:] for i in range(3 * ROUNDS)]
    # chrome: a frame names its caller's
    document = json.loads(tracer("report", path, "-f", "chrome").stdout)
    spans = [e for e in document["traceEvents"] if e["ph"] == "X"]
    assert len(spans) == 3 * ROUNDS
    for span, stack in zip(spans, [truth[i % 3] for i in range(3 * ROUNDS)]):
        at, names = span["sf"], []
        while at:
            frame = document["stackFrames"][at]
            names.append(frame["name"].split()[0])
            at = frame.get("parent")
        assert names == [name for name, _, _ in stack]
    # csv: a line a frame
    rows = list(csv.DictReader(io.StringIO(tracer("report", path, "-f", "csv").stdout)))
    assert len(rows) == 6 * ROUNDS
    assert [line.split()[0] for line in rows[0]["stack"].split("\n")] == [name for name, _, _ in truth[0]]


def test_damaged_names_in_a_recording(inlining: Build, tracer: Tracer) -> None:
    path, other = tracer.folder / "run.gscope", tracer.folder / "damaged.gscope"
    tracer("--func", "main.here", "-s", "99", "-o", path, "-q", "--", inlining())
    whole = path.read_bytes()
    at = whole.index(struct.pack("<I", 0x104), 100) - 4  # RECORDING_FRAMES
    (size,) = struct.unpack_from("<I", whole, at)
    for offset, value, said in (
        (8 + 12, struct.pack("<I", 65), "an address with more than 64 frames"),
        (8 + size - 1, b"x", "names of a stack do not end"),
    ):
        damaged = bytearray(whole)
        damaged[at + offset : at + offset + len(value)] = value
        other.write_bytes(damaged)
        check_error(tracer("report", other), 3, said)


@pytest.mark.parametrize("version", VERSIONS)
def test_stacks_of_a_function_that_calls_itself(version: str, inlining: Build, tracer: Tracer) -> None:
    """What the kernel's chain leaves out is put in once, also where the same address comes again."""
    out = tracer.folder / "stack.jsonl"
    tracer("stack", "--func", "main.outer", "-f", "jsonl", "-o", out, "-q", "--", inlining(version), ROUNDS)
    found: Counter[int] = Counter()
    for e in of_type(parse(out.read_text()), "stack"):
        names = [f["func"] for f in e["frames"]]
        depth = names.count("main.outer")
        assert names == ["main.outer"] * depth + ["main.main", "runtime.main", "runtime.goexit"]
        found[depth] += e["count"]
    assert found == {1: ROUNDS, 2: ROUNDS, 3: ROUNDS, 4: ROUNDS}


@pytest.mark.parametrize("version", VERSIONS)
def test_inlined_frames_of_stack(version: str, inlining: Build, tracer: Tracer) -> None:
    out = tracer.folder / "stack.jsonl"
    run = tracer("stack", "--func", "main.here", "-f", "jsonl", "-o", out, "-q", "--", inlining(version), ROUNDS)
    truth = Counter(tuple(stack[1:]) for stack in own_stacks(run.stdout))
    found = {tuple(frames(e["frames"])[1:]): e["count"] for e in of_type(parse(out.read_text()), "stack")}
    assert found == dict.fromkeys(truth, ROUNDS)


@pytest.mark.parametrize("n", ["0", "128", "x"])
def test_bad_depths(n: str, inlining: Build, tracer: Tracer) -> None:
    check_error(tracer("-b", inlining(), "--func", "main.here", "-s", n), 2, "between 1 and 127" if n != "x" else "x")


def test_from_python(inlining: Build) -> None:
    import tracer as package

    program = inlining()
    with package.trace(func="main.outer", command=[str(program), "23"], results=False, stack=2) as t:
        calls = sorted(t, key=lambda call: call.begin_ns)
    assert len(calls) == 4 * 23
    assert [[f["func"] for f in call.stack] for call in calls[:2]] == [
        ["main.outer", "main.main"],
        ["main.outer", "main.outer"],
    ]
