# SPDX-License-Identifier: Apache-2.0
"""What func values captured, against what the program itself says (programs/closures)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tracing import JSON, Tracer, check_accounting, of_type, parse

CLOSURES = Path(__file__).resolve().parent / "programs" / "closures"
FUNCTIONS = ("one", "fields", "chain", "mapper")
Trace = Callable[..., tuple[list[Any], list[JSON]]]


@pytest.fixture
def trace(go_program: Callable[..., Path], own_copy: Callable[[Path], Path], tracer: Tracer) -> Trace:
    """trace(version, mode, options …) → (what the program said, the calls that were seen)."""

    def run(version: str, mode: str = "default", *options: str) -> tuple[list[Any], list[JSON]]:
        program = own_copy(go_program(CLOSURES, version, mode))
        out = program.parent / "events"
        functions = [text for name in FUNCTIONS for text in ("--func", f"main.{name}")]
        result = tracer(*functions, "--no-results", *options, "-f", "jsonl", "-o", out, "--", program)
        assert result.status == 0, result.stderr
        events = parse(out.read_text())
        check_accounting(events[-1])
        return [json.loads(line) for line in result.stdout.splitlines()], of_type(events, "call")

    return run


def func_values(args: Any) -> list[JSON]:
    """All func values of a call, from the outside to the inside, but not those that others captured."""
    if isinstance(args, dict):
        if "captured" in args:
            return [args]
        return [f for value in args.values() for f in func_values(value)]
    return [f for value in args for f in func_values(value)] if isinstance(args, list) else []


def plain(value: Any) -> Any:
    """As the program says it: what pointers and interfaces lead to, of a func value what it captured."""
    if not isinstance(value, dict):
        return [plain(v) for v in value] if isinstance(value, list) else value
    for inner in ("captured", "to", "value"):
        if inner in value:
            return plain(value[inner])
    return {name: plain(v) for name, v in value.items()}


def compare(said: list[Any], call: JSON) -> list[int]:
    """How many captured variables there are, how many are shown: what is shown is right, what is missing is said."""
    shown = func_values(call["args"])
    remarks = [remark for list_ in call["notes"].values() for remark in list_]
    there = seen = 0
    assert len(shown) == len(said)
    for want, value in zip(said, shown):
        got = plain(value)
        there += len(want)
        if got is None:
            assert any("captured variables" in remark for remark in remarks)
            continue
        for name, is_ in got.items():
            if name == "&self":  # it captured itself
                assert "cycle: captured variables" in remarks
            elif is_ is None:  # another func value, of which nothing is known
                assert "not decoded: captured variables" in remarks
            else:
                assert is_ == want[name], (want, call)
                seen += 1
        if len(got) < len(want):
            assert "partial: captured variables that the debug information has" in remarks
    return [there, seen]


@pytest.mark.parametrize(
    ("version", "mode", "least"),
    [
        # up to Go 1.22 the debug information has the receivers of method values alone
        ("1.15", "default", 9),
        ("1.17", "default", 9),
        ("1.21", "default", 9),
        ("1.23.12", "default", 54),
        ("1.24", "default", 54),
        ("1.26", "default", 54),
        ("1.26", "nopt", 68),
        ("1.26", "pie", 54),
        ("1.27", "default", 54),
    ],
)
def test_captured(version: str, mode: str, least: int, trace: Trace) -> None:
    said, calls = trace(version, mode, "--depth", "4")
    assert len(said) == len(calls) >= 54
    there, seen = (sum(n) for n in zip(*(compare(one, call) for one, call in zip(said, calls))))
    assert there in (72, 78)  # without and with generic functions
    assert least <= seen <= there


def test_depth(trace: Trace) -> None:
    """What is captured is a hop away."""
    _, calls = trace("1.26", "nopt", "--depth", "0")
    assert (calls[0]["args"]["f"]["captured"], calls[0]["notes"]) == (None, {"f": ["not decoded: captured variables"]})
    _, calls = trace("1.26", "nopt", "--depth", "1")
    inner = calls[7]["args"]["f"]["captured"]["inner"]
    assert (inner["captured"], calls[7]["notes"]) == (None, {"f.inner": ["depth: captured variables"]})


@pytest.mark.parametrize(
    ("version", "mode"), [("1.23.12", "default"), ("1.26", "default"), ("1.26", "nopt"), ("1.27", "pie")]
)
def test_captured_variables_by_name(
    version: str, mode: str, go_program: Callable[..., Path], own_copy: Callable[[Path], Path], tracer: Tracer
) -> None:
    """Within --args they are names as parameters are; one that is shared stands for what it is now."""
    program = own_copy(go_program(CLOSURES, version, mode))
    for function, line, texts in (
        ("main.calls.func2", 1, {"s": "s", "list[1]": "b", "len(list)": 2, "k": 1}),
        ("main.calls.func3", 2, {"p.Y": 9, 'm["a"]': "m", "*p": "p"}),
        ("main.calls.func5", 4, {"counter": "&counter", "name": "&name", "name[:3]": "bef", "n": "n", "k": 1}),
    ):
        out = program.parent / "events"
        own = ("--func", function, "--no-results", "--args", ", ".join(texts), "-f", "jsonl", "-o", out)
        result = tracer(*own, "--", program)
        assert result.status == 0, result.stderr
        said = [json.loads(text)[0] for text in result.stdout.splitlines()][line:54:18]
        calls = of_type(parse(out.read_text()), "call")
        assert len(calls) == len(said) == 3
        for call, captured in zip(calls, said):
            want = {text: captured.get(value, value) for text, value in texts.items()}
            if 'm["a"]' in want:
                want['m["a"]'] = captured["m"]["a"]
            assert (call["args"], call["notes"]) == (want, {})


def test_a_name_that_is_not_captured(go_program: Callable[..., Path], tracer: Tracer) -> None:
    run = tracer("-b", go_program(CLOSURES, "1.26"), "--func", "main.calls.func5", "--args", "countr")
    assert (run.status, run.stdout) == (2, "")
    assert run.stderr == (
        "error: main.calls.func5: there is no parameter or result 'countr'\n  countr\n  ^\n"
        "hint: did you mean 'counter'?\n"
    )


WRITES = """package main

import "fmt"

//go:noinline
func makes(start int) (counts func(int) int, shows func(float64), now func() (int, int)) {
	n, m := start, 10*start
	counts = func(k int) int {
		n++
		if k > 2 {
			return 1
		}
		return k * 7
	}
	shows = func(x float64) {
		m += 2
		fmt.Println(x)
	}
	return counts, shows, func() (int, int) { return n, m }
}

func main() {
	counts, shows, now := makes(5)
	for k := 0; k < 5; k++ {
		n, m := now()
		fmt.Println(k, n, m)
		counts(k)
		shows(float64(k) + 0.5)
	}
}
"""


@pytest.mark.parametrize("version", ["1.23.12", "1.27"])
@pytest.mark.parametrize(("function", "args"), [("func1", "k, n"), ("func2", "m, x")])
def test_captured_variables_that_the_function_writes(
    function: str,
    args: str,
    version: str,
    go_program: Callable[..., Path],
    own_copy: Callable[[Path], Path],
    tracer: Tracer,
) -> None:
    """They are what they were at the call, also where more could be read behind the first store, or cheaper."""
    own = ("--func", f"main.makes.{function}", "--no-results", "--args", args, "-f", "jsonl", "-o", tracer.folder / "x")
    result = tracer(*own, "--", own_copy(go_program(WRITES, version)))
    assert result.status == 0, result.stderr
    said = [[float(word) for word in line.split()] for line in result.stdout.splitlines()]
    calls = of_type(parse((tracer.folder / "x").read_text()), "call")
    assert len(calls) == 5
    for call, (k, n, m), (x,) in zip(calls, said[::2], said[1::2]):
        want = {"k": k, "n": n, "m": m, "x": x}
        remarks = [remark for list_ in call["notes"].values() for remark in list_]
        for name, is_ in call["args"].items():
            # what its caller put into a register and the function nowhere before it writes
            assert is_ == want[name] or (name == "x" and is_ is None and remarks[0].startswith("unreadable: in xmm"))
