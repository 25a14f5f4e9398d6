# SPDX-License-Identifier: Apache-2.0
"""Kinds of build, and calls that use up the registers: each value is what the program says, or null with a reason."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tracing import Tracer, check_accounting, of_type, parse

PROGRAMS = Path(__file__).resolve().parent / "programs"

# Its debug information leaves results out; those that callers show may be fewer.
NO_RESULTS = {"1.17"}


def run(tracer: Tracer, program: Path, tmp_path: Path, *args: str) -> tuple[list[Any], list[Any], list[Any]]:
    """(calls, returns, what the program says), each of one function after the other in the order of the calls."""
    events = tmp_path / "events"
    done = tracer("--func", "main.*", "--exclude", "main.main*", "-f", "jsonl", "-o", events, *args, "--", program)
    assert done.status == 0, done.stderr
    found = parse(events.read_text())
    (summary,) = of_type(found, "summary")
    check_accounting(summary)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    names = {s["func"] for s in said}
    calls = [c for c in of_type(found, "call") if c["func"] in names]
    by_call = {r["call"]: r for r in of_type(found, "return")}
    returns = [by_call[c["call"]] for c in calls]

    def order(events: list[Any]) -> list[Any]:
        return sorted(events, key=lambda e: str(e["func"]))

    return order(calls), order(returns), order(said)


HIDDEN = "unreadable: parameters before it are not in the debug information"


# Not used, so without a place, and a bool without a name would fit before it; only its slot on the stack is told, and
# as results are missing too, not where those slots begin, so that a struct without a name could stand before it.
MAYBE_MOVED = {("1.15", "main.mixed", "last"), ("1.17", "main.arrays", "b")}


def check(version: str, kind: str, saw: dict[str, Any], says: list[Any], nulls: Counter[str]) -> None:
    """Values by position; what is null must say why, and only floats may be."""
    values = list(saw[kind].items())
    assert len(values) >= len(says), (saw, says)
    for (name, value), right in zip(values, says):
        if value is None and right is not None:
            (remark,) = saw["notes"][name]
            if remark == HIDDEN and (version, saw["func"], name) in MAYBE_MOVED:
                continue
            assert remark.startswith("unreadable: in xmm"), saw
            assert isinstance(right, float) or (isinstance(right, int) and saw["func"] == "main.floats"), saw
            nulls[saw["func"] + " " + kind] += 1
        else:
            assert value == right, (name, saw, says)


@pytest.mark.parametrize(
    ("version", "mode", "cgo"),
    [
        *((version, "default", False) for version in ("1.15", "1.17", "1.19", "1.21", "1.24", "1.26", "1.27")),
        *((version, "nopt", False) for version in ("1.15", "1.19", "1.26")),
        *((version, "uncompressed", False) for version in ("1.15", "1.26")),
        ("1.19", "paths", False),
        ("1.26", "paths", False),
        ("1.26", "cover", False),
        ("1.19", "race", True),
        ("1.26", "race", True),
        ("1.27", "race", True),
        ("1.15", "external", True),
        ("1.26", "external", True),
        ("1.17", "external-pie", True),
        ("1.26", "external-pie", True),
    ],
)
def test_values(
    version: str, mode: str, cgo: bool, go_program: Callable[..., Path], tracer: Tracer, tmp_path: Path
) -> None:
    calls, returns, said = run(tracer, go_program(PROGRAMS / "builds", version, mode, cgo), tmp_path)
    assert [c["func"] for c in calls] == [s["func"] for s in said]
    assert len(calls) == 6 * 23
    nulls: Counter[str] = Counter()
    for call, ret, says in zip(calls, returns, said):
        if list(call["args"]) == ["one", "two", "b", "none"]:
            # Go 1.15 lists what lies at the same place in any order; here one is of no size
            assert version == "1.15"
            says["args"].append(says["args"].pop(2))
        check(version, "args", call, says["args"], nulls)
        assert ret["goid"] == call["goid"] == 1
        if says["func"] == "main.escapes":
            says["results"] = []  # a pointer
        if version not in NO_RESULTS:
            check(version, "results", ret, says["results"], nulls)
    print(f"null: {dict(nulls)}")
    # the two that do not fit the registers are always readable, and ABI0 has no registers
    assert nulls["main.floats args"] <= 15 * 23
    if version == "1.15":
        assert not nulls


@pytest.mark.parametrize(
    ("version", "mode"),
    [("1.15", "default"), ("1.19", "default"), ("1.26", "default"), ("1.26", "pie"), ("1.27", "external")],
)
def test_cgo(version: str, mode: str, go_program: Callable[..., Path], tracer: Tracer, tmp_path: Path) -> None:
    """Go called from C, and types of C; the debug information of C beside Go's."""
    calls, returns, said = run(tracer, go_program(PROGRAMS / "cgo", version, mode, True), tmp_path)
    assert [c["func"] for c in calls] == [s["func"] for s in said]
    assert len(calls) == 3 * 13
    for call, ret, says in zip(calls, returns, said):
        if says["func"] == "main.pass":
            n = says["args"][0]
            assert call["args"] == {"c": {"number": n, "letter": ord("q"), "part": call["args"]["c"]["part"]}, "n": n}
            record, m = ret["results"].values()
            assert [record["number"], m] == says["results"]
            continue
        assert list(call["args"].values())[:2] == says["args"]
        assert list(ret["results"].values()) == says["results"]
        if says["func"] == "main.goAdd":
            text = call["args"]["text"]
            assert text["to"] == ord("f")
            assert call["args"]["r"]["to"] == {"number": 7, "letter": ord("x"), "part": 2.5}


@pytest.mark.parametrize("version", ["1.26"])
def test_c_alone_has_debug_information(
    version: str, go_program: Callable[..., Path], tracer: Tracer, tmp_path: Path
) -> None:
    """-w takes Go's away; what the C compiler wrote may stay."""
    program = go_program(PROGRAMS / "cgo", version, "external-nodwarf", True)
    calls, returns, said = run(tracer, program, tmp_path)
    assert [c["func"] for c in calls] == [s["func"] for s in said]
    assert {str(c["args"]) for c in calls} == {str(r["results"]) for r in returns} == {"{}"}
    assert {c["goid"] for c in calls} == {1}
