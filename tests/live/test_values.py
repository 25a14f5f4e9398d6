# SPDX-License-Identifier: Apache-2.0
"""Values of every kind against what the traced program itself prints of them (programs/values)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tracing import JSON, Tracer, check_accounting, of_type

VALUES = Path(__file__).resolve().parent / "programs" / "values"
FUNCTIONS = (
    *("channels", "functions", "others", "maps", "nested", "pairs", "sized", "anything", "shapes", "inside"),
    *("fails", "errno", "durations", "times", "addresses"),
)
# What their Error methods do is not known to the tracer: no text is right, a guessed one would not be.
OWN_ERRORS = {"*main.stackError", "runtime.boundsError"}


@pytest.fixture
def trace(
    go_program: Callable[..., Path], own_copy: Callable[[Path], Path], tracer: Tracer
) -> Callable[..., tuple[list[JSON], list[JSON]]]:
    """trace(version, mode) → (what the program said, the calls that were seen)."""

    def run(version: str, mode: str = "default", *options: str) -> tuple[list[JSON], list[JSON]]:
        program = own_copy(go_program(VALUES, version, mode))
        functions = [text for name in FUNCTIONS for text in ("--func", f"main.{name}")]
        output = program.parent / "events"
        result = tracer("-b", program, *functions, "--no-results", *options, "-f", "jsonl", "-o", output, "--", program)
        assert result.status == 0, result.stderr
        events = [json.loads(line) for line in output.read_text().splitlines()]
        (summary,) = of_type(events, "summary")
        check_accounting(summary)
        said = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
        return said, of_type(events, "call")

    return run


def compare(said: JSON, call: JSON) -> None:
    assert said["func"] == call["func"]
    name, args, notes = said["func"].removeprefix("main."), said["args"], call["notes"]
    shown: Any = call["args"]
    if name == "fails":
        assert list(shown) == ["err"]
        error = shown["err"]
        assert error["type"] == args["err"]["type"]
        if error["type"] in OWN_ERRORS:
            assert "text" not in error
        else:
            assert error.get("text") == args["err"]["text"], (said, call)
    elif name == "times":
        assert shown["t"]["text"] == args["t"], (said, call)
    elif name == "others":
        assert shown.pop("m")["to"]
        if shown["c"] is None:  # a float register is not given to a probe
            assert notes.pop("c")[0].startswith("unreadable: in xmm")
            args.pop("c"), shown.pop("c")
        assert shown == args
        assert notes == {}
    elif name == "functions":
        # what they captured: test_closures.py
        receiver, captured = (shown[f]["captured"] for f in ("method", "closure"))
        assert receiver["receiver"]["to"] == {"Side": 3}
        assert captured in (None, {"n": 3}, {"k": 3})
        assert notes == ({} if captured else {"closure": ["not decoded: captured variables"]})
        shown["method"]["captured"] = shown["closure"]["captured"] = None
        assert shown == args, notes
    elif name == "sized":
        compare_sized(args, shown, notes)
    else:
        assert shown == args, (said, call)
        assert notes == {}, (said, call)


def compare_sized(args: Any, shown: Any, notes: Any) -> None:
    """Maps up to a bound are whole; of larger ones each entry that is shown is one, and what is left out is said."""
    for name in ("m", "s"):
        whole, part = args[name], shown[name]
        assert {k: part[k] for k in part} == {k: whole[k] for k in part}
        if len(part) == len(whole):
            assert not any(path == name for path in notes)
        else:
            assert notes[name] == [f"partial: {len(part)} of {len(whole)}"]
            assert args["n"] > 13 and len(part) >= 13


@pytest.mark.parametrize(
    ("version", "mode"),
    [
        *((version, "default") for version in ("1.15", "1.17", "1.19", "1.21", "1.23.12", "1.24", "1.26", "1.27")),
        *(("1.19", "nopt"), ("1.26", "nopt"), ("1.15", "pie"), ("1.26", "pie"), ("1.27", "pie")),
    ],
)
def test_values(version: str, mode: str, trace: Callable[..., tuple[list[JSON], list[JSON]]]) -> None:
    said, calls = trace(version, mode)
    assert len(said) == len(calls) > 200
    for one, call in zip(said, calls):
        compare(one, call)
