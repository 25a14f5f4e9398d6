# SPDX-License-Identifier: Apache-2.0
"""Results of optimised functions of Go 1.17, which a caller tells: against what the program itself says they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tracing import JSON, Tracer, check_accounting, of_type, parse

FUNCTIONS = ("array", "list", "cut")
PROGRAM = """package main

import (
	"encoding/json"
	"fmt"
)

var words [8]int

// What a function returned.
func say(name string, results ...interface{}) {
	line, err := json.Marshal(map[string]interface{}{"func": "main." + name, "results": results})
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
}

//go:noinline
func use(k int) int { return k }

//go:noinline
func array(k int) *[8]int { words[k]++; return &words }

//go:noinline
func list(k int) []int { return words[:use(k)] }

//go:noinline
func cut(k int) (int, string, error) {
	if k == 2 {
		return k, "", fmt.Errorf("it is %d", k)
	}
	return k, fmt.Sprint("rest ", k), nil
}

//go:noinline
func arrays(k int) int {
	xs := array(k)[:]
	sum := use(k)
	for _, x := range xs {
		sum += x
	}
	say("array", xs)
	return sum + len(xs)
}

//go:noinline
func lists(k int) int {
	xs := list(k)
	sum := use(k)
	for _, x := range xs {
		sum += x
	}
	say("list", xs)
	return sum
}

//go:noinline
func cuts(k int) string {
	n, s, err := cut(k)
	if err != nil {
		say("cut", n, s, err.Error())
		return ""
	}
	say("cut", n, s, nil)
	return s
}

func main() {
	for k := 1; k < 4; k++ {
		arrays(k)
		lists(k)
		cuts(k)
	}
}
"""


@pytest.fixture(scope="module")
def seen(
    go_program: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[list[Any], list[JSON], list[str]]]:
    """Of each function: what it returned, the returns that were seen, what was warned of it."""
    tracer = Tracer(tmp_path_factory.mktemp("inferred"))
    names = [text for name in FUNCTIONS for text in ("--func", f"main.{name}")]
    program = go_program(PROGRAM, "1.17")
    run = tracer(*names, "-f", "jsonl", "-o", tracer.folder / "events", "--", program)
    assert run.status == 0, run.stderr
    events = parse((tracer.folder / "events").read_text())
    check_accounting(events[-1])
    said = parse(run.stdout)
    return {
        name: (
            [one["results"] for one in said if one["func"] == f"main.{name}"],
            [event for event in of_type(events, "return") if event["func"] == f"main.{name}"],
            [line for line in run.stderr.splitlines() if f"main.{name}:" in line],
        )
        for name in FUNCTIONS
    }


def plain(value: Any) -> Any:
    """As the program says it: of an error its text."""
    return value["value"]["to"]["s"] if isinstance(value, dict) else value


@pytest.mark.parametrize(("name", "shown"), [("array", 0), ("list", 1), ("cut", 3)])
def test_results(name: str, shown: int, seen: dict[str, tuple[list[Any], list[JSON], list[str]]]) -> None:
    """What is shown is what was returned: a pointer of which its caller makes a slice is no slice."""
    said, returns, warned = seen[name]
    assert [[plain(v) for v in one["results"].values()] for one in returns] == [one[:shown] for one in said]
    assert len(said) == 3
    assert ("leaves the results out" in warned[0]) == (shown == 0)
    assert ("inferred from a caller" in warned[0]) == (shown > 0)
