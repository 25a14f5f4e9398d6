# SPDX-License-Identifier: Apache-2.0
"""`count`, `hist` and `stack`: the kernel's sums against what the programs know of themselves."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tracing import JSON, Tracer, check_error, of_type, parse

PROGRAMS = Path(__file__).resolve().parent / "programs"
VERSIONS = ["1.15", "1.17", "1.19", "1.21", "1.24", "1.26", "1.27"]
Build = Callable[..., Path]


@pytest.fixture
def sums(go_program: Build, own_copy: Callable[[Path], Path]) -> Build:
    def build(version: str = "1.26", mode: str = "default") -> Path:
        return own_copy(go_program(PROGRAMS / "sums", version, mode))

    return build


def run(tracer: Tracer, verb: str, program: Path, *options: object, env: dict[str, str] | None = None) -> list[JSON]:
    """The JSON lines of one whole run of the program."""
    out = tracer.folder / f"{verb}.jsonl"
    ended = tracer(verb, *options, "-f", "jsonl", "-o", out, "-q", "--", program, env=env)
    assert ended.status == 0, ended.stderr
    return parse(out.read_text())


def calls(events: list[JSON]) -> dict[str, int]:
    return {e["func"].removeprefix("main."): e["calls"] for e in of_type(events, "count")}


@pytest.mark.parametrize("attach", ["multi", "perf"])
@pytest.mark.parametrize("version", VERSIONS)
def test_count(version: str, attach: str, sums: Build, tracer: Tracer) -> None:
    env = {"TRACER_ATTACH": attach}
    functions = [a for f in ("leaf", "left", "right", "deep", "nap", "never") for a in ("--func", f"main.{f}")]
    events = run(tracer, "count", sums(version), *functions, env=env)
    assert calls(events) == {"leaf": 115, "left": 73, "right": 37, "deep": 60, "nap": 53}
    (summary,) = of_type(events, "summary")
    assert summary["lost"] == 0
    assert summary["entry_hits"] == summary["counted"] + summary.get("duplicates", 0)
    assert summary["counted"] == 115 + 73 + 37 + 60 + 53


def test_count_zeros_and_top(sums: Build, tracer: Tracer) -> None:
    program = sums()
    every = calls(run(tracer, "count", program, "--func", "main.*", "--exclude", "main.main", "--zeros"))
    assert every["never"] == 0
    ended = tracer("count", "--func", "main.leaf", "--func", "main.nap", "--top", "1", "-q", "--", program)
    lines = [line for line in ended.stdout.splitlines() if not line.startswith("inside")]
    assert lines == ["  115  main.leaf", "  … and 1 more function, 53 calls"]


@pytest.mark.parametrize("version", ["1.15", "1.19", "1.26"])
def test_count_growing_stacks(
    version: str, go_program: Build, own_copy: Callable[[Path], Path], tracer: Tracer
) -> None:
    """Calls that come again after their stack has grown are duplicates, and not counted."""
    program = own_copy(go_program(PROGRAMS / "counts", version))
    out = tracer.folder / "count.jsonl"
    ended = tracer(
        *("count", "--func", "main.target", "-f", "jsonl", "-o", out, "--", program),
        *("-mode", "grow", "-n", "100003", "-wait=false"),
    )
    assert "calls 100003" in ended.stdout.splitlines()
    assert calls(parse(out.read_text())) == {"target": 100003}


def test_count_in_intervals(go_program: Build, own_copy: Callable[[Path], Path], tracer: Tracer) -> None:
    """What the intervals show adds up to at most the whole, which is exact."""
    program = own_copy(go_program(PROGRAMS / "counts", "1.26"))
    out = tracer.folder / "count.jsonl"
    tracer(
        *("count", "--func", "main.target", "-i", "100ms", "-f", "jsonl", "-o", out, "--", program),
        *("-mode", "paced", "-n", "101", "-wait=false"),
    )
    events = parse(out.read_text())
    parts = [e["calls"] for e in of_type(events, "interval")]
    assert len(parts) >= 3
    assert sum(parts) <= 101
    assert calls(events) == {"target": 101}


@pytest.mark.parametrize("version", VERSIONS)
def test_hist(version: str, sums: Build, tracer: Tracer) -> None:
    """Between what the program measures inside the function and around its call."""
    program = sums(version)
    out = tracer.folder / "hist.jsonl"
    ended = tracer("hist", "--func", "main.nap", "-f", "jsonl", "-o", out, "--", program)
    events = parse(out.read_text())
    said = dict(re.findall(r"(inside|outside|longest) (\d+)", ended.stdout))
    (row,) = of_type(events, "hist")
    assert row["count"] == 53
    assert int(said["inside"]) <= row["total_ns"] <= int(said["outside"])
    assert row["max_ns"] >= int(said["longest"])
    assert sum(n for _, _, n in row["classes"]) == 53
    assert all(low < high for low, high, _ in row["classes"])
    # naps of 0.2, 0.4 … 10.6 ms, and what sleeping is late
    assert row["p50_ns"] >= 27 * 200_000 * 7 / 8
    assert row["p50_ns"] <= row["p90_ns"] <= row["p99_ns"] <= row["max_ns"]
    (summary,) = of_type(events, "summary")
    assert summary["counted"] == summary["counted_returns"] == 53


def test_hist_of_recursion(sums: Build, tracer: Tracer) -> None:
    """Each return is its own call's, however deep."""
    events = run(tracer, "hist", sums(), "--func", "main.deep", "--func", "main.leaf")
    rows = {e["func"]: e for e in of_type(events, "hist")}
    assert rows["main.deep"]["count"] == 60
    assert rows["main.leaf"]["count"] == 115
    (summary,) = of_type(events, "summary")
    assert summary.get("unpaired", 0) == 0


def chains(events: list[JSON], frames: int) -> Counter[tuple[str, ...]]:
    found: Counter[tuple[str, ...]] = Counter()
    for e in of_type(events, "stack"):
        names = [f.get("func", f.get("addr")).removeprefix("main.") for f in e["frames"]]
        found[tuple(names[:frames])] += e["count"]
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_stack(version: str, sums: Build, tracer: Tracer) -> None:
    """The direct caller is there, at each kind of entry site, and nothing is there twice."""
    events = run(tracer, "stack", sums(version), "--func", "main.leaf")
    assert chains(events, 3) == {
        ("leaf", "left", "main"): 73,
        ("leaf", "right", "main"): 37,
        ("leaf", "deep", "deep"): 5,
    }
    whole = chains(events, 99)
    assert ("leaf", *["deep"] * 12, "main", "runtime.main", "runtime.goexit") in whole, whole
    assert all(e["frames"][1]["line"] for e in of_type(events, "stack"))


def test_stack_folded(sums: Build, tracer: Tracer) -> None:
    out = tracer.folder / "folded"
    tracer("stack", "--func", "main.leaf", "-f", "folded", "-o", out, "-q", "--", sums())
    lines = out.read_text().splitlines()
    assert "runtime.goexit;runtime.main;main.main;main.left;main.leaf 73" in lines
    assert sum(int(line.rsplit(" ", 1)[1]) for line in lines) == 115


@pytest.mark.parametrize("verb", ["count", "hist", "stack"])
def test_a_script_can_wait_for_the_meta_line(verb: str, sums: Build, tracer: Tracer) -> None:
    program = sums()
    tracing = tracer.start(verb, "-b", program, "--func", "main.leaf", "-f", "jsonl").attached()
    tracer.program(program).finish()
    ended = tracing.stop()
    assert ended.status == 0, ended.stderr
    assert next(e["type"] for e in ended.events) == "meta"
    meta: Any = json.loads(ended.stdout.splitlines()[0])
    assert [f["name"] for f in meta["functions"]] == ["main.leaf"]


@pytest.mark.parametrize("verb", ["count", "hist", "stack"])
def test_bad_input(verb: str, sums: Build, tracer: Tracer) -> None:
    program = sums()
    check_error(tracer(verb, "-b", program), 2, "--func")
    check_error(tracer(verb, "-b", program, "--func", "main.leef"), 3, "main.leef")
    check_error(tracer(verb, "-b", "/none", "--func", "main.leaf"), 2, "/none")
