# SPDX-License-Identifier: Apache-2.0
"""What a plan prepares for an interface to hold, held against the program's own type assertions."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import go_versions
import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]
VERSIONS = list(go_versions.VERSIONS)

# Prints for each of its values the address of its type, and which interfaces hold it.
PROGRAM = """package main

import (
	"fmt"
	"os"
	"unsafe"
)

type Doer interface{ Do(int) string }
type Two interface {
	Do(int) string
	Undo()
}
type hidden interface{ do() }

type Value int

func (Value) Do(int) string { return "" }

type Pointer struct{ s string }

func (*Pointer) Do(int) string { return "" }
func (*Pointer) Undo()         {}

type Other struct{ a, b int }

func (Other) Do(string) string { return "" }
func (Other) Undo()            {}

type More [3]int

func (More) Do(int, int) string { return "" }

type Embeds struct {
	*Pointer
	n int
}

type Hidden uint8

func (Hidden) do() {}

type None []string

// What is only converted, the debug information need not have.
//
//go:noinline
func size(n None) int { return len(n) }

//go:noinline
func takeDoer(x Doer) { fmt.Fprintln(os.Stderr, x != nil) }

//go:noinline
func takeTwo(x Two) { fmt.Fprintln(os.Stderr, x != nil) }

//go:noinline
func takeHidden(x hidden) { fmt.Fprintln(os.Stderr, x != nil) }

//go:noinline
func takeAny(x interface{}) { fmt.Fprintln(os.Stderr, x != nil) }

func main() {
	o, m := Other{}, More{}
	fmt.Fprintln(os.Stderr, o.Do(""), m.Do(1, 2), size(nil))
	for _, x := range []interface{}{Value(1), &Pointer{}, Pointer{}, o, &o, m, Embeds{}, &Embeds{}, Hidden(1), None{}} {
		d, isDoer := x.(Doer)
		t, isTwo := x.(Two)
		h, isHidden := x.(hidden)
		if isDoer {
			takeDoer(d)
			d.Do(1)
		}
		if isTwo {
			takeTwo(t)
			t.Undo()
		}
		if isHidden {
			takeHidden(h)
			h.do()
		}
		takeAny(x)
		fmt.Printf("%T %d %t %t %t\\n", x, *(*uintptr)(unsafe.Pointer(&x)), isDoer, isTwo, isHidden)
	}
}
"""


def plan(offsets_cmd: Run, path: Path, function: str, *options: str) -> dict[str, Any]:
    run = offsets_cmd("plan", path, function, *options)
    assert (run.returncode, run.stderr) == (0, ""), run.stderr
    answer: dict[str, Any] = json.loads(run.stdout)
    return answer


@pytest.mark.parametrize("version", VERSIONS)
def test_an_interface_is_prepared_for_the_types_that_it_can_hold(
    offsets_cmd: Run, go_program: Callable[..., Path], version: str
) -> None:
    path = go_program(PROGRAM, version)
    lines = subprocess.run([path], check=True, capture_output=True, text=True).stdout.splitlines()
    values = [(name, int(at), *(word == "true" for word in rest)) for name, at, *rest in (x.split() for x in lines)]
    assert len(values) == 10
    for index, (function, holds) in enumerate((("takeDoer", 4), ("takeTwo", 3), ("takeHidden", 1)), 2):
        answer = plan(offsets_cmd, path, f"main.{function}", "--interfaces")
        prepared = {int(i["type"], 16) for i in answer["interfaces"] if i["hops"] == 2}
        assert sum(bool(v[index]) for v in values) == holds
        assert {v[0]: v[1] in prepared for v in values} == {v[0]: v[index] for v in values}, function
    answer = plan(offsets_cmd, path, "main.takeAny", "--interfaces")
    assert {v[1] for v in values} <= {int(i["type"], 16) for i in answer["interfaces"]}


def test_lists_of_steps_are_kept_once(offsets_cmd: Run, go_program: Callable[..., Path]) -> None:
    answer = plan(offsets_cmd, go_program(PROGRAM), "main.takeAny", "--interfaces")
    lists = {x["list"]: json.dumps(x["steps"]) for x in answer["lists"]}
    assert sorted(lists) == list(range(len(lists)))
    assert len(set(lists.values())) == len(lists)
    pairs = [(i["type"], i["hops"]) for i in answer["interfaces"]]
    assert len(set(pairs)) == len(pairs) > 2 * len(lists)
    assert {i["list"] for i in answer["interfaces"]} <= set(lists)
    run = [s["list"] for x in answer["lists"] for s in x["steps"] if s["op"] == "each"]
    assert run and set(run) <= set(lists)


def test_lists_for_interfaces_are_printed_where_they_are_asked_for(
    offsets_cmd: Run, go_program: Callable[..., Path]
) -> None:
    path = go_program(PROGRAM)
    short, long = plan(offsets_cmd, path, "main.takeAny"), plan(offsets_cmd, path, "main.takeAny", "--interfaces")
    assert (short["interfaces"], short["lists"]) == (len(long["interfaces"]), [])
    assert short["functions"] == long["functions"]
