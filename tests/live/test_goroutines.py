# SPDX-License-Identifier: Apache-2.0
"""The goroutine of each call, where a g serves one goroutine after another: against the id that the program prints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tracing import Tracer, check_accounting, of_type

PROGRAMS = Path(__file__).resolve().parent / "programs"
N_GOROUTINES = 1009 * 5
N_CALLS = N_GOROUTINES * 5


@pytest.mark.parametrize(
    ("name", "version", "mode", "keep"),
    [("goroutines", version, "default", keep) for version in ("1.15", "1.19", "1.26") for keep in "01"]
    # layouts of runtime.g that are taken from a table
    + [("goroutines", version, "stripped", "1") for version in ("1.15", "1.17", "1.24", "1.26", "1.27")]
    # they end without runtime.goexit0
    + [("coroutines", version, "default", "1") for version in ("1.24", "1.26")],
)
def test_goroutine_ids(
    name: str, version: str, mode: str, keep: str, go_program: Callable[..., Path], tracer: Tracer
) -> None:
    program = go_program(PROGRAMS / name, version, mode)
    id_name = "id" if mode == "default" else "stack0" if version == "1.15" else "rax"
    run = tracer(
        "-b",
        program,
        "--func",
        "main.hit",
        "--no-results",
        "--raw-words",
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
    assert [c for c in calls if c["goid"] != c["args"][id_name]] == []
    assert len({c["goid"] for c in calls}) == N_GOROUTINES
    (summary,) = of_type(run.events, "summary")
    check_accounting(summary)
