# SPDX-License-Identifier: Apache-2.0
"""Results of optimised functions of Go 1.17, which a caller tells: against what the program itself says they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tracing import JSON, Tracer, check_accounting, of_type, parse

FUNCTIONS = ("array", "list", "cut", "raw", "point", "signless")
PROGRAM = """package main

import (
	"encoding/json"
	"fmt"
	"unsafe"
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

type Point struct{ X, Y int }

type Other struct {
	P *int
	S string
}

var (
	points [8]Point
	other  Other
	big    uint64 = 1<<63 + 1
)

//go:noinline
func raw(k int) unsafe.Pointer {
	points[k].X++
	if use(k) == 2 {
		return unsafe.Pointer(&other)
	}
	return unsafe.Pointer(&points[k])
}

//go:noinline
func point(k int) *Point {
	points[k].X += 2
	return &points[use(k)]
}

//go:noinline
func signless(k int) uint64 { return big + uint64(use(k)) }

//go:noinline
func asPoint(k int) *Point {
	p := (*Point)(raw(k))
	q := point(k)
	use(k)
	say("raw", fmt.Sprintf("%p", p))
	say("point", *q)
	return p
}

//go:noinline
func asOther(k int) *Other {
	p := (*Other)(raw(k))
	use(k)
	say("raw", fmt.Sprintf("%p", p))
	return p
}

//go:noinline
func another(k int) int {
	p := point(k)
	use(k)
	say("point", *p)
	return p.X
}

//go:noinline
func asSigned(k int) int64 {
	n := int64(signless(k))
	use(k)
	say("signless", uint64(n))
	return n
}

func main() {
	for k := 1; k < 4; k++ {
		arrays(k)
		lists(k)
		cuts(k)
		if k == 2 {
			asOther(k)
		} else {
			asPoint(k)
		}
		another(k)
		asSigned(k)
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
    """As the program says it: of an error its text, of a pointer what it leads to, if it is shown."""
    if not isinstance(value, dict):
        return value
    return value["value"]["to"]["s"] if "value" in value else value.get("to", value.get("ptr"))


@pytest.mark.parametrize(("name", "shown"), [("array", 0), ("list", 1), ("cut", 3), ("raw", 1), ("point", 1)])
def test_results(name: str, shown: int, seen: dict[str, tuple[list[Any], list[JSON], list[str]]]) -> None:
    """What is shown is what was returned. A pointer is not followed where callers make it one to this and to that, and
    it is no slice where its caller makes a slice of it."""
    said, returns, warned = seen[name]
    assert [[plain(v) for v in one["results"].values()] for one in returns] == [one[:shown] for one in said]
    assert len(said) >= 3
    assert ("leaves the results out" in warned[0]) == (shown == 0)
    assert ("inferred from a caller" in warned[0]) == (shown > 0)


def test_sign(seen: dict[str, tuple[list[Any], list[JSON], list[str]]]) -> None:
    """The only caller has it as another type, which is all that is known: the words are right."""
    said, returns, warned = seen["signless"]
    shown = [value for one in returns for value in one["results"].values()]
    assert [[value % 2**64] for value in shown] == said
    assert all(value < 0 for value in shown)
    assert "names, named types and signs may differ" in warned[0]
