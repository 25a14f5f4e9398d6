# SPDX-License-Identifier: Apache-2.0
"""Functions written in assembly: their body is traced, not the wrapper around it; against the program's own log."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tracing import Tracer, check_accounting, of_type, parse

ASSEMBLY = Path(__file__).resolve().parent / "programs" / "assembly"
FUNCTIONS = ("main.sum", "main.deep", "main.up", "main.fromAssembly")


def run(tracer: Tracer, program: Path, tmp_path: Path, *args: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(what the tracer saw, what the program says): one entry a call, in order of function and goroutine."""
    events = tmp_path / "events"
    names = [word for name in FUNCTIONS for word in ("--func", name)]
    done = tracer(*names, "-f", "jsonl", "-o", events, *args, "--", program)
    assert done.status == 0, done.stderr
    found = parse(events.read_text())
    (summary,) = of_type(found, "summary")
    check_accounting(summary)
    returns = {r["call"]: r for r in of_type(found, "return")}
    seen = [{**c, "results": returns[c["call"]]["results"]} for c in of_type(found, "call")]
    assert {r["goid"] - c["goid"] for c in of_type(found, "call") for r in [returns[c["call"]]]} == {0}
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(said) == 7 * 5
    order = {name: i for i, name in enumerate(FUNCTIONS)}
    return (
        sorted(seen, key=lambda c: (order[c["func"]], c["goid"], c["ts"])),
        sorted(said, key=lambda c: (order[c["func"]], c["goid"])),
    )


@pytest.mark.parametrize(
    ("version", "mode"),
    [(version, "default") for version in ("1.15", "1.17", "1.19", "1.21", "1.26", "1.27")]
    # where the C linker decides at which offset of the thread pointer g is kept
    + [("1.15", "external"), ("1.17", "external-pie"), ("1.26", "external"), ("1.26", "external-pie"), ("1.27", "pie")],
)
def test_values(version: str, mode: str, go_program: Callable[..., Path], tracer: Tracer, tmp_path: Path) -> None:
    seen, said = run(tracer, go_program(ASSEMBLY, version, mode, "external" in mode), tmp_path)
    assert [(c["func"], c["goid"]) for c in seen] == [(c["func"], c["goid"]) for c in said]
    for saw, says in zip(seen, said):
        # 1.15 has no wrappers, and so no debug information that tells the types; 1.17 leaves results out of it
        known = saw["func"] == "main.fromAssembly" or (saw["func"] == "main.sum" and version != "1.15")
        assert list(saw["args"].values()) == (says["args"] if known else []), saw
        if version != "1.17":
            assert list(saw["results"].values()) == (says["results"] if known else []), saw
        assert saw["notes"] == {}


@pytest.mark.parametrize("mode", ["default", "stripped", "stripped-pie"])
@pytest.mark.parametrize("version", ["1.15", "1.17", "1.26"])
def test_raw_words(version: str, mode: str, go_program: Callable[..., Path], tracer: Tracer, tmp_path: Path) -> None:
    """Without types: the words of the caller's frame, from which arguments and results can be taken."""
    seen, said = run(tracer, go_program(ASSEMBLY, version, mode), tmp_path, "--raw-words")
    assert [(c["func"], c["goid"]) for c in seen] == [(c["func"], c["goid"]) for c in said]
    for saw, says in zip(seen, said):
        args, results = list(saw["args"].values()), list(saw["results"].values())
        if saw["func"] in ("main.deep", "main.up"):
            assert list(saw["args"]) == list(saw["results"]) == ["stack0", "stack8"]
            assert (args[0], results[1]) == (says["args"][0], says["results"][0])
        elif saw["func"] == "main.sum" and mode != "default":
            assert list(saw["args"]) == [f"stack{8 * i}" for i in range(6)]
            assert (args[0], args[1] & 0xFF, args[3]) == (
                says["args"][0] % 2**64,
                says["args"][1],
                len(says["args"][2]),
            )
            assert (results[4], results[5] & 0xFF) == (says["results"][0] % 2**64, 1)
