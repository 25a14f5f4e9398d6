# SPDX-License-Identifier: Apache-2.0
"""Floats to the last bit, or null with the register they are in: against the bits that the program itself prints."""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tracing import Tracer, check_accounting, of_type

FLOATS = Path(__file__).resolve().parent / "programs" / "floats"
VALUES = 17
FUNCTIONS = (
    *("kept", "constant", "fromBits", "loaded", "field", "joined", "unlocked", "stored", "global", "recovered"),
    *("grown", "complexes", "many", "branched", "called", "looped", "squared", "unused"),
    *("bumped", "bumpedLater", "preempted"),
)
SPECIAL = {"NaN": float("nan"), "+Inf": float("inf"), "-Inf": float("-inf")}

# All that must be shown of optimised code, of every Go version since the register convention: (function, what).
SHOWN = {
    *(("kept", "args"), ("kept", "results"), ("constant", "results"), ("fromBits", "results"), ("loaded", "results")),
    *(("field", "results"), ("recovered", "args"), ("recovered", "results"), ("grown", "args"), ("grown", "results")),
    *(("many", "results"), ("complexes", "results")),
    # what the function itself puts nowhere, and its caller has
    *(("stored", "args"), ("branched", "args"), ("called", "args"), ("looped", "args"), ("squared", "args")),
    *(("unused", "args"), ("bumped", "args"), ("bumpedLater", "args")),
}
# What is nowhere but in its register.
NEVER = {("squared", "results")}


def check(want: Any, shown: Any, remarks: list[str], where: str) -> Counter[str]:
    """What the program says: bits in hexadecimal, an integer, or null for what is not about floats."""
    if want is None:
        return Counter()
    if isinstance(want, list):
        if shown is None:
            shown = [None, None]
        return check(want[0], shown[0], remarks, where) + check(want[1], shown[1], remarks, where)
    if shown is None:
        assert remarks and all(r.startswith(("unreadable: in xmm", "unreadable: its register")) for r in remarks), where
        return Counter(null=1)
    if isinstance(want, int):
        assert shown == want, where
        return Counter()
    number = SPECIAL[shown] if isinstance(shown, str) else float(shown)
    bits = bytes.fromhex(want)
    (right,) = struct.unpack(">d" if len(bits) == 8 else ">f", bits)
    if right != right:
        assert number != number, where
    else:
        assert struct.pack(">d" if len(bits) == 8 else ">f", number) == bits, (where, shown, right)
    return Counter(right=1)


@pytest.mark.parametrize(
    ("version", "mode"),
    [
        *((version, "default") for version in ("1.15", "1.17", "1.19", "1.21", "1.24", "1.26", "1.27")),
        *(("1.19", "nopt"), ("1.26", "nopt"), ("1.26", "pie"), ("1.27", "race")),
    ],
)
def test_floats(version: str, mode: str, go_program: Callable[..., Path], tracer: Tracer, tmp_path: Path) -> None:
    program = go_program(FLOATS, version, mode, mode == "race")
    events = tmp_path / "events"
    names = [text for name in FUNCTIONS for text in ("--func", f"main.{name}")]
    done = tracer(*names, "-f", "jsonl", "-o", events, "--buffer", "16M", "--", program)
    assert done.status == 0, done.stderr
    found = [json.loads(line, parse_int=float) for line in events.read_text().splitlines()]
    check_accounting(of_type(found, "summary")[0])
    returns = {e["call"]: e for e in of_type(found, "return")}
    calls: dict[str, list[Any]] = {name: [] for name in FUNCTIONS}
    for call in of_type(found, "call"):
        calls[call["func"].removeprefix("main.")].append(call)
    counts: Counter[tuple[str, str, str]] = Counter()
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(said) == VALUES * (len(FUNCTIONS) - 1)
    turn: Counter[str] = Counter()
    for says in said:
        name = says["func"].removeprefix("main.")
        call = calls[name][turn[name]]
        turn[name] += 1
        for kind, event in (("args", call), ("results", returns[call["call"]])):
            if kind == "results" and version == "1.17" and mode == "default":
                continue  # its debug information leaves them out
            shown = event[kind]
            assert len(shown) == len(says[kind] or ()), (says, event)
            for want, (param, value) in zip(says[kind] or (), shown.items()):
                if name.startswith("bumped") and param == "p":
                    value = value["to"]["X"]  # as it was at the call
                remarks = [r for at, rs in event["notes"].items() if at.startswith(param) for r in rs]
                for outcome, n in check(want, value, remarks, f"{name} {kind} {param}").items():
                    counts[name, kind, outcome] += n
    assert [turn[name] for name in FUNCTIONS[:-1]] == [VALUES] * (len(FUNCTIONS) - 1)
    assert len(calls["preempted"]) == 3 * 4001
    for call in calls["preempted"]:
        i = call["args"]["i"]
        assert call["args"]["a"] == i * 1.5
        if version != "1.17":
            assert list(returns[call["call"]]["results"].values()) == [i * 1.5]
    print({" ".join(key): n for key, n in sorted(counts.items())})
    shown = {(name, kind) for name, kind, _ in counts if not counts[name, kind, "null"]}
    if version == "1.15" or mode == "nopt":
        assert not [key for key in counts if key[2] == "null" and version == "1.15"]
        assert not [key for key in counts if key[2] == "null" and key[:2] != ("squared", "results")]
    else:
        wanted = {key for key in SHOWN if version != "1.17" or key[1] == "args"}
        assert wanted <= shown, wanted - shown
        assert not [key for key in NEVER if counts[key[0], key[1], "right"]]


EVERY_REGISTER = """package main

import "fmt"

var calls int

//go:noinline
func wide(a, b, c, d, e, f, g, h, i int, x0, x1, x2, x3, x4, x5, x6, x7, x8, x9, x10, x11,
	x12, x13, x14 float64) float64 {
	calls++
	if a > 0 {
		return 1 + wide(a-1, b, c, d, e, f, g, h, i, x0, x1, x2, x3, x4, x5, x6, x7, x8, x9, x10, x11, x12, x13, x14)
	}
	return x0 + x1 + x2 + x3 + x4 + x5 + x6 + x7 + x8 + x9 + x10 + x11 + x12 + x13 + x14 + float64(b+c+d+e+f+g+h+i)
}

func main() {
	done := make(chan float64)
	go func() { done <- wide(60, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24) }()
	fmt.Println(<-done, calls)
}
"""


@pytest.mark.parametrize("version", ["1.17", "1.26"])
def test_arguments_in_every_register(version: str, go_program: Callable[..., Path], tracer: Tracer) -> None:
    """A stack check saves them all before the stack grows: what comes back from there is no other call, and no loop."""
    done = tracer(
        *("--func", "main.wide", "--no-results", "-f", "jsonl", "-o", tracer.folder / "events"),
        *("--", go_program(EVERY_REGISTER, version)),
    )
    assert (done.status, done.stdout) == (0, f"{60 + sum(range(1, 9)) + sum(range(10, 25))} 61\n"), done.stderr
    found = [json.loads(line, parse_int=float) for line in (tracer.folder / "events").read_text().splitlines()]
    check_accounting(of_type(found, "summary")[0])
    calls = of_type(found, "call")
    assert [list(call["args"].values())[:9] for call in calls] == [[a, *range(1, 9)] for a in range(60, -1, -1)]
    floats = [list(call["args"].values())[9:] for call in calls]
    assert floats[0] == list(range(10, 25))  # its caller has constants
    assert all(x in (None, 10 + i) for values in floats for i, x in enumerate(values))
