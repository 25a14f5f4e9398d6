# SPDX-License-Identifier: Apache-2.0
"""hist --split: on a CPU, waiting for one, blocked, against the clocks of the program itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from tracing import JSON, Tracer, of_type, parse

PROGRAM = Path(__file__).resolve().parent / "programs" / "offcpu"
NAMES = ["spins", "sleeps", "waits", "reads", "crowds"]
FUNCTIONS = [a for name in NAMES for a in ("--func", f"main.{name}")]
ROUNDS = 7
SLACK_NS = 2_000_000 * ROUNDS  # between the tracer's clock and the program's: a busy machine may stop either in between
Build = Callable[..., Path]


class Said(NamedTuple):
    wall: int
    cpu: int  # -1: it does not know
    waited: int


def split(tracer: Tracer, program: Path, *options: object, env: dict[str, str] | None = None) -> list[JSON]:
    """Rows of hist --split of a whole run, each held against what the program printed."""
    out = tracer.folder / "hist.jsonl"
    run = tracer("hist", *FUNCTIONS, "--split", *options, "-f", "jsonl", "-o", out, "-q", "--", program, env=env)
    assert run.status == 0, run.stderr
    said = {f"main.{name}": Said(*map(int, rest)) for name, *rest in (line.split() for line in run.stdout.splitlines())}
    assert sorted(said) == sorted(f"main.{name}" for name in NAMES)
    events = parse(out.read_text())
    rows = of_type(events, "hist")
    for row in rows:
        parts = row["split"]
        assert sum(parts.values()) == row["total_ns"]
        assert all(ns >= 0 for ns in parts.values())
        assert row["total_ns"] <= said[row["func"]].wall
    (cost,) = of_type(events, "split_cost")
    assert cost["states"] >= 4 * ROUNDS and cost["switches"] >= 2 * ROUNDS
    (summary,) = of_type(events, "summary")
    assert summary["lost"] == 0
    check(rows, said)
    return rows


def check(rows: list[JSON], said: dict[str, Said]) -> None:
    found = {row["func"]: row for row in rows}
    for name, mine in said.items():
        if name not in found:
            continue
        row = found[name]
        parts = row["split"]
        assert row["count"] == (2 if name == "main.crowds" else ROUNDS)
        assert parts["unknown_ns"] == 0
        if mine.cpu >= 0:
            assert abs(parts["on_cpu_ns"] - mine.cpu) < SLACK_NS
            assert parts["blocked_ns"] < SLACK_NS
        if mine.waited:
            assert parts["blocked_ns"] > 0.8 * mine.waited
            assert parts["on_cpu_ns"] < 0.5 * row["total_ns"]
    crowds = found.get("main.crowds")
    if crowds:
        assert 0.3 * crowds["total_ns"] < crowds["split"]["runnable_ns"] < 0.9 * crowds["total_ns"]
        assert crowds["split"]["blocked_ns"] < SLACK_NS


@pytest.mark.parametrize(
    ("version", "mode"),
    [
        ("1.15", "stripped"),
        ("1.17", "default"),
        ("1.21", "pie"),
        ("1.26", "default"),
        ("1.27", "stripped-pie"),
    ],
)
def test_against_the_programs_clocks(
    version: str, mode: str, go_program: Build, own_copy: Callable[[Path], Path], tracer: Tracer
) -> None:
    rows = split(tracer, own_copy(go_program(PROGRAM, version, mode)))
    assert {row["func"] for row in rows} == {f"main.{name}" for name in NAMES}


@pytest.mark.parametrize("attach", ["multi", "perf"])
def test_with_a_condition(attach: str, go_program: Build, own_copy: Callable[[Path], Path], tracer: Tracer) -> None:
    rows = split(tracer, own_copy(go_program(PROGRAM)), "--where", "duration > 100us", env={"TRACER_ATTACH": attach})
    assert {row["func"] for row in rows} == {f"main.{name}" for name in NAMES}


def test_by_a_value(go_program: Build, own_copy: Callable[[Path], Path], tracer: Tracer) -> None:
    out = tracer.folder / "hist.jsonl"
    options = ("--func", "main.sleeps", "--split", "--by", "d", "-f", "jsonl", "-o", out, "-q")
    run = tracer("hist", *options, "--", own_copy(go_program(PROGRAM)))
    assert run.status == 0, run.stderr
    (row,) = of_type(parse(out.read_text()), "hist")
    assert (row["value"], row["count"]) == (3_000_000, ROUNDS)
    assert row["split"]["blocked_ns"] > 0.8 * 3_000_000 * ROUNDS
    assert sum(row["split"].values()) == row["total_ns"]


def test_text(go_program: Build, own_copy: Callable[[Path], Path], tracer: Tracer) -> None:
    run = tracer("hist", "--func", "main.sleeps", "--split", "-q", "--", own_copy(go_program(PROGRAM)))
    assert run.status == 0, run.stderr
    time = r"[\d.]+[mµn]?s \(\d+ %\)"
    assert re.search(rf"^  on-CPU {time}, runnable {time}, blocked {time}$", run.stdout, re.M), run.stdout
    assert re.search(
        r"^--split looked at \d+ changes of goroutines' states and \d+ switches of threads$", run.stdout, re.M
    )


def test_without_it_nothing_more_is_probed(tracee: Build, tracer: Tracer) -> None:
    """Not opted in: no other map, no other program."""
    flags = {}
    for options in ((), ("--split",)):
        run = tracer("hist", "-b", tracee(), "--func", "main.ebpfDemo", "--ebpf", *options)
        assert run.status == 0, run.stderr
        flags[options] = run.stdout.splitlines()[0]
    assert "SPLIT" not in flags[()]
    assert "-DWITH_SPLIT -DSTATUS_G=" in flags[("--split",)]
