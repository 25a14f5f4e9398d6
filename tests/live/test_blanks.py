# SPDX-License-Identifier: Apache-2.0
"""Parameters that the debug information leaves out: what stands behind them is right, or null with the reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tracing import Tracer, of_type, parse

BLANKS = Path(__file__).resolve().parent / "programs" / "blanks"
UNPLACED = "unreadable: parameters before it are not in the debug information"

# What the program passes and returns, by name; "_" is without one.
ARGS: dict[str, dict[str, Any]] = {
    "main.one": {"_0": 1, "b": 2, "c": "abc", "d": 4},
    "main.two": {"a": 1, "_1": 2, "b": 3, "s": [7, 8]},
    "main.T.three": {"_0": {"a": 11, "b": 12}, "x": 7, "_2": "aa", "y": "bbb"},
    "main.four": {"_0": 7, "_1": "aa"},
    "main.five": {"a": -3, "_1": True, "b": 5, "_3": [1, 2], "c": 6, "unused": 17},
}
RESULTS: dict[str, list[Any]] = {
    "main.one": [5],
    "main.two": [5, True],
    "main.T.three": ["bbb"],
    "main.four": [5, "x"],
    "main.five": [8],
}


@pytest.mark.parametrize("mode", ["default", "nopt"])
@pytest.mark.parametrize("version", ["1.15", "1.17", "1.19", "1.21", "1.22.12", "1.24", "1.26", "1.27"])
def test_values(version: str, mode: str, go_program: Callable[..., Path], tracer: Tracer, tmp_path: Path) -> None:
    program, events = go_program(BLANKS, version, mode), tmp_path / "events"
    run = tracer("--func", "main.*", "--exclude", "main.main", "-f", "jsonl", "-o", events, "--", program)
    assert run.status == 0, run.stderr
    found = parse(events.read_text())
    calls = {c["func"]: c for c in of_type(found, "call")}
    returns = {r["func"]: r for r in of_type(found, "return")}
    unplaced = []
    for name, right in ARGS.items():
        for key, value in calls[name]["args"].items():
            if value is None:
                assert calls[name]["notes"][key] == [UNPLACED], (name, key)
                unplaced.append(f"{name}.{key}")
            else:
                assert value == right[key], (name, key, calls[name])
        named = [key for key in right if not key.startswith("_")]
        assert [key for key in calls[name]["args"] if not key.startswith("_")] == named
        if (version, mode) != ("1.17", "default"):
            assert list(returns[name]["results"].values()) == RESULTS[name]
    minor = int(version.split(".")[1])
    if minor >= 22:  # all are listed
        assert {name: calls[name]["args"] for name in ARGS} == ARGS
    elif minor > 15:
        # one byte that is not used enough to have a place, behind one that is not listed
        assert unplaced == (["main.two.b", "main.five.b"] if (version, mode) == ("1.17", "default") else [])
    else:  # not used, so without a place, where something small that is not listed could stand before it
        assert set(unplaced) <= {"main.one.d", "main.two.a", "main.T.three.x", "main.five.unused"}


@pytest.mark.parametrize("version", ["1.19", "1.21", "1.24", "1.26", "1.27"])
def test_dictionaries(version: str, go_program: Callable[..., Path], tracer: Tracer, tmp_path: Path) -> None:
    """A generic function takes one; a closure in it does not, though its name says that it belongs to an instance."""
    program, events = go_program(BLANKS.parent / "dictionaries", version), tmp_path / "events"
    run = tracer("--func", "main.generic*", "-f", "jsonl", "-o", events, "--", program)
    assert run.status == 0, run.stderr
    found = parse(events.read_text())
    outer, inner = of_type(found, "call")
    assert outer["args"] == {"m": 1, "k": "key", "n": 3}
    assert inner["args"] == {"a": 100, "b": 200}
    assert list(of_type(found, "return")[1]["results"].values()) == [200]
