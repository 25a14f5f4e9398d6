# SPDX-License-Identifier: Apache-2.0
"""Returns at every kind of site, wanted or not: where the program performs them, the traced one goes on as if it was
not watched; and what a call that did not return has left is no other call's."""

from __future__ import annotations

import guest
import pytest
from guest import LONG
from tracing import JSON, Program, Tracer, Tracing, check_accounting, of_type

pytestmark = pytest.mark.vm

N = 101
OUTPUT = f"{sum(i * 1.5 for i in range(N)):g} [{-N} {2 * N} {21 * N}]"


@pytest.fixture
def target(tracer: Tracer) -> Program:
    program = tracer.program(guest.returns(), "-n", N)
    assert program.line() == "ready"
    return program


def ended(target: Program, *tracings: Tracing) -> list[list[JSON]]:
    """Let the program run, which must come to its right result; what each tracer says of it."""
    target.go()
    assert target.line() == OUTPUT
    target.finish(LONG)
    runs = [tracing.finish(LONG) for tracing in tracings]
    for run in runs:
        assert run.status == 0, run.stderr
        if "functions" in run.events[-1]:
            check_accounting(run.events[-1])
        assert run.events[-1]["lost"] == 0, run.stderr
    return [run.events for run in runs]


def begun(tracer: Tracer, target: Program, verb: str, function: str, options: tuple[str, ...] = ()) -> Tracing:
    return tracer.start(verb, "-p", target.pid, "--func", function, *options, "-f", "jsonl").attached()


def test_unwanted_returns_of_floats(tracer: Tracer, target: Program) -> None:
    """They are probed before their RET, where the stack pointer is not yet at the return address."""
    (events,) = ended(target, begun(tracer, target, *guest.CONDITIONED["float"]))
    assert [e["results"]["half"] for e in of_type(events, "return")] == [n * 1.5 for n in range(11, N)]


def test_durations_with_a_condition(tracer: Tracer, target: Program) -> None:
    """Of the calls that it lets through, at their own returns: the panics have none, and leave none to others."""
    (events,) = ended(target, begun(tracer, target, *guest.CONDITIONED["call"]))
    assert [row["count"] for row in of_type(events, "hist")] == [N]
    assert (events[-1]["counted"], events[-1]["filtered"]) == (2 * N, N)


def test_durations_by_a_value(tracer: Tracer, target: Program) -> None:
    (events,) = ended(target, begun(tracer, target, *guest.CONDITIONED["value"]))
    assert sorted((row["value"], row["count"]) for row in of_type(events, "hist")) == [(1, N), (20, N)]


def test_results_of_calls_that_panicked(tracer: Tracer, target: Program) -> None:
    """A condition on results is asked of a call's own return."""
    (events,) = ended(target, begun(tracer, target, *guest.CONDITIONED["result"]))
    assert sum(row["calls"] for row in of_type(events, "count")) == 0


def test_two_tracers_of_the_same_returns(tracer: Tracer, target: Program) -> None:
    """Each sees them all, whichever is asked first."""
    both = [begun(tracer, target, "trace", f) for f in guest.RETURNING]
    for events in ended(target, *both):
        returns = [e for e in of_type(events, "return") if "half" in e["results"]]
        assert [e["results"]["half"] for e in returns] == [n * 1.5 for n in range(N)]
