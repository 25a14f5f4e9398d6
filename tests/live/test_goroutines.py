# SPDX-License-Identifier: Apache-2.0
"""The goroutine of each call, where a g serves one goroutine after another: against the id that the program prints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tracing import Tracer, check_accounting, of_type

GOROUTINES = Path(__file__).resolve().parent / "programs" / "goroutines"
N_GOROUTINES = 4001 * 5
N_CALLS = N_GOROUTINES * 5


@pytest.mark.parametrize("keep", ["0", "1"])
@pytest.mark.parametrize("version", ["1.15", "1.19", "1.26"])
def test_goroutine_ids(version: str, keep: str, go_program: Callable[..., Path], tracer: Tracer) -> None:
    program = go_program(GOROUTINES, version, "default")
    run = tracer(
        "-b",
        program,
        "--func",
        "main.hit",
        "--no-results",
        "-f",
        "jsonl",
        "--buffer",
        "64M",
        "--",
        program,
        env={"TRACER_KEEP_GOID": keep},
    )
    assert run.status == 0, run.stderr
    calls = of_type(run.events, "call")
    assert len(calls) == N_CALLS
    assert [c for c in calls if c["goid"] != c["args"]["id"]] == []
    assert len({c["goid"] for c in calls}) == N_GOROUTINES
    (summary,) = of_type(run.events, "summary")
    check_accounting(summary)
