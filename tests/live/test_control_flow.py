# SPDX-License-Identifier: Apache-2.0
"""Calls that end in every way that a call can end, against the program's own log."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tracing import Tracer, check_accounting, of_type, parse

PROGRAM = Path(__file__).resolve().parent / "programs" / "control_flow"
FUNCTIONS = (
    "deferred throws passes recovers nested recurses grows moves many large larger leaf (*inner).tail "
    "quits forever last"
)
# How a call ends that has no results.
UNWOUND = {"main.throws": "panic", "main.passes": "panic", "main.quits": "goexit"}
UNWOUND |= {"main.forever": "exit", "main.last": "exit"}
N_CALLS = 5 + 3 * 3 + 1 + 1001 + 3 * 2 + 59 + 4 + 3 + 1 + 2


@pytest.mark.parametrize("version", ["1.15", "1.17", "1.19", "1.21", "1.24", "1.26", "1.27"])
def test_endings_of_calls(version: str, go_program: Callable[..., Path], tracer: Tracer, tmp_path: Path) -> None:
    program = go_program(PROGRAM, version)
    names = [f"main.{name}" for name in FUNCTIONS.split()]
    events = tmp_path / "events"
    asked = [word for name in names for word in ("--func", name)]
    run = tracer("-b", program, *asked, "-f", "jsonl", "-o", events, "--buffer", "16M", "--", program)
    assert run.status == 0, run.stderr
    found = parse(events.read_text())
    calls, ends = of_type(found, "call"), {r["call"]: r for r in of_type(found, "return")}
    said = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(said) == len(calls) == N_CALLS
    # what has no RET has an end as well
    (meta,) = of_type(found, "meta")
    assert all(f["returns"] for f in meta["functions"])
    assert sorted(ends) == sorted(c["call"] for c in calls)
    for name in names:
        saw = []
        for call in (c for c in calls if c["func"] == name):
            end = ends[call["call"]]
            assert end["goid"] == call["goid"]
            assert ("unwound" in end) != ("results" in end), end
            assert end.get("unwound") in (None, UNWOUND.get(name)), end
            # 1.17's debug information may leave results out
            result = None if "unwound" in end else [*end["results"].values()]
            saw.append((call["args"]["n"], result))
        says = [(s["arg"], None if s["ending"] is None else [s["ending"]]) for s in said if s["func"] == name]
        if version == "1.17":
            assert [(n, r is None) for n, r in saw] == [(n, r is None) for n, r in says], name
            assert all(r in (None, [], s) for (_, r), (_, s) in zip(saw, says)), name
        else:
            assert saw == says, name
    (summary,) = of_type(found, "summary")
    check_accounting(summary)
    assert summary["totals"]["unpaired"] == 0
    assert summary["totals"]["calls_written"] == N_CALLS
