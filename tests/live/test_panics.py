# SPDX-License-Identifier: Apache-2.0
"""Calls that do not return, against what the program (programs/panics) says: how each ends, and when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from tracing import JSON, Tracer, check_accounting, of_type, parse

PROGRAM = Path(__file__).resolve().parent / "programs" / "panics"
FUNCTIONS = (
    "throws passes onlyPanics derefs indexes divides asserts stores turns guards recovers recoversLate deferred cleans "
    "panicsAgain againCaught replaces replaced nests climbs repeats deep uses grows quits quitsBelow quitsAtEnd "
    "quitsInPanic panicsInQuit panicsPastQuit throwsInQuit forever exits exitsInPanic speaks fails waits"
).split()
ENDS = ["exit", "return", "forever", "exit-in-panic", "panic", "panic-elsewhere", "deadlock", "goexit"]
# How the tracer's line ends where the process does.
LAST = {"panic": "exit status 2", "panic-elsewhere": "exit status 2", "deadlock": "exit status 2"}


@dataclass
class Call:
    """One call, as the program or the tracer has it. end: its first result (None: it has none), or how it ended."""

    function: str
    argument: int
    end: object | None = "open"


def said(log: str) -> dict[int, list[Call]]:
    """The calls of each goroutine, in their order, with their ends."""
    calls: dict[int, list[Call]] = defaultdict(list)
    stacks: dict[int, list[Call]] = defaultdict(list)
    gone: dict[int, str] = {}
    dies = ""

    def unwind(stack: list[Call], function: str, argument: int | None, how: str) -> None:
        """Those deeper than the innermost of that name."""
        while stack[-1].function != function or argument not in (None, stack[-1].argument):
            stack.pop().end = how

    for line in log.splitlines():
        verb, *words = line.split()
        if verb == "dies":
            dies = " ".join(words)
        elif verb == "gone":
            gone[int(words[0])] = words[1]
        elif verb == "call":
            call = Call(words[1], int(words[2]))
            calls[int(words[0])].append(call)
            stacks[int(words[0])].append(call)
        elif verb == "back":
            stack = stacks[int(words[0])]
            unwind(stack, words[1], int(words[2]), "panic")
            stack.pop().end = int(words[3])
        else:
            assert verb == "over", line
            stack = stacks[int(words[0])]
            unwind(stack, words[1], None, words[2])
            stack.pop().end = words[2]
    for goroutine, stack in stacks.items():
        for call in stack:
            call.end = gone.get(goroutine, "panic" if dies == f"panic {goroutine}" else "exit")
    return calls


def seen(events: list[JSON]) -> dict[int, list[Call]]:
    """The same from the tracer's lines. An end is that of the innermost call that is open: none comes late or early."""
    calls: dict[int, list[Call]] = defaultdict(list)
    stacks: dict[int, list[tuple[int, Call]]] = defaultdict(list)
    for event in events:
        if event["type"] == "call":
            first = next(iter(event["args"].values()))
            call = Call(event["func"].removeprefix("main."), first if isinstance(first, int) else 0)
            calls[event["goid"]].append(call)
            stacks[event["goid"]].append((event["call"], call))
        elif event["type"] == "return":
            number, call = stacks[event["goid"]].pop()
            assert number == event["call"], event
            assert ("unwound" in event) == (event["duration_ns"] is None) == ("results" not in event), event
            call.end = event["unwound"] if "unwound" in event else next(iter(event["results"].values()), None)
    assert not any(stacks.values()), stacks
    return calls


# Without a result, or with one that is no number of the log's; the argument is a pointer.
NO_RESULT, POINTER = {"turns"}, {"turns", "derefs"}


def check(log: str, events: list[JSON]) -> int:
    says, saw = said(log), seen(events)
    assert set(saw) <= set(says)
    for goroutine, calls in says.items():
        for call in calls:
            call.argument = 0 if call.function in POINTER else call.argument
            call.end = None if call.function in NO_RESULT and isinstance(call.end, int) else call.end
        assert saw[goroutine] == calls, f"goroutine {goroutine}"
    (summary,) = of_type(events, "summary")
    check_accounting(summary)
    assert (summary["lost"], summary["totals"]["unpaired"]) == (0, 0)
    return sum(len(calls) for calls in says.values())


def run(
    tracer: Tracer, program: Path, *arguments: object, functions: Sequence[str] = FUNCTIONS, **env: str
) -> tuple[str, list[JSON], str]:
    out = tracer.folder / "events"
    asked = [word for name in functions for word in ("--func", f"main.{name}")]
    done = tracer(
        *("-b", program, *asked, "-f", "jsonl", "-o", out, "--buffer", "64M", "--", program, *arguments), env=env
    )
    assert done.status == 0, done.stderr
    return done.stdout, parse(out.read_text()), done.stderr


@pytest.mark.parametrize("end", ENDS)
def test_ends_of_the_process(end: str, go_program: Callable[..., Path], tracer: Tracer) -> None:
    log, events, messages = run(tracer, go_program(PROGRAM), "-end", end)
    assert check(log, events) > 200
    assert LAST.get(end, "") in messages
    # what has no RET has an end as well
    (meta,) = of_type(events, "meta")
    assert all(f["returns"] for f in meta["functions"])


@pytest.mark.parametrize("mode", ["nopt", "pie", "stripped", "race"])
@pytest.mark.parametrize("version", ["1.15", "1.26"])
def test_builds(version: str, mode: str, go_program: Callable[..., Path], tracer: Tracer) -> None:
    program = go_program(PROGRAM, version, mode, cgo=mode == "race")
    if mode == "stripped":
        check_without_values(*run(tracer, program, "-end", "panic")[:2])
    else:
        log, events, _ = run(tracer, program, "-end", "panic", f"-turns={str(mode != 'race').lower()}")
        assert check(log, events) > 200


def check_without_values(log: str, events: list[JSON]) -> None:
    """Only how calls end."""
    ends = {"return": None}
    for says in (calls := said(log)).values():
        for call in says:
            call.argument = 0
            call.end = ends["return"] if isinstance(call.end, int) else call.end
    for event in events:
        if event["type"] == "call":
            event["args"] = {"none": None}
    assert seen(events) == calls


@pytest.mark.parametrize("version", ["1.15", "1.19", "1.22.12", "1.24", "1.27"])
def test_versions(version: str, go_program: Callable[..., Path], tracer: Tracer) -> None:
    log, events, _ = run(tracer, go_program(PROGRAM, version), "-end", "exit-in-panic")
    assert check(log, events) > 200


@pytest.mark.parametrize("buffer", ["ring", "perf"])
@pytest.mark.parametrize("attach", ["multi", "perf"])
def test_many_at_once(attach: str, buffer: str, go_program: Callable[..., Path], tracer: Tracer) -> None:
    few = "guards passes throws recovers nests repeats cleans fails speaks waits".split()
    env = {"TRACER_ATTACH": attach, "TRACER_BUFFER": buffer}
    program, arguments = go_program(PROGRAM), ("-many", 23, "-turns=false", "-end", "panic")
    log, events, _ = run(tracer, program, *arguments, functions=few, **env)
    assert check(log, events) == 23 * (1 + 13 * 3 + 6) + 4


@pytest.mark.parametrize("version", ["1.15", "1.26"])
def test_through_c(version: str, go_program: Callable[..., Path], tracer: Tracer) -> None:
    program = go_program(PROGRAM.parent / "cgo_panics", version, "external", cgo=True)
    log, events, _ = run(tracer, program, functions=["outside", "inside", "throws"])
    assert check(log, events) == 2 * 3 * 23


def test_from_a_recording(go_program: Callable[..., Path], tracer: Tracer) -> None:
    """What was recorded says the same as what was traced."""
    program, recording = go_program(PROGRAM), tracer.folder / "events.gscope"
    asked = [word for name in FUNCTIONS for word in ("--func", f"main.{name}")]
    done = tracer("-b", program, *asked, "-o", recording, "--buffer", "16M", "--", program, "-end", "goexit")
    assert done.status == 0, done.stderr
    told = tracer("report", recording, "-f", "jsonl")
    assert told.status == 0, told.stderr
    assert check(done.stdout, told.events) > 200


@pytest.mark.parametrize("version", ["1.15", "1.19", "1.22.12", "1.26", "1.27"])
def test_on_the_system_stack(version: str, go_program: Callable[..., Path], tracer: Tracer) -> None:
    """runtime.newproc1 runs on the system stack, for the goroutine that has said `go`: each call returns."""
    program, out = go_program(PROGRAM.parent / "starts", version), tracer.folder / "events"
    asked = ("--func", "runtime.newproc1", "--args", "callergp.goid, ~r0.goid")
    done = tracer("-b", program, *asked, "-f", "jsonl", "-o", out, "--", program)
    assert done.status == 0, done.stderr
    started = sorted(tuple(map(int, line.split())) for line in done.stdout.splitlines())
    assert len(started) == 23 * (1 + 3 * (1 + 2 * (1 + 1)))
    events = parse(out.read_text())
    ends = {event["call"]: event for event in of_type(events, "return")}
    calls = [call for call in of_type(events, "call") if call["args"]["callergp.goid"] in {by for by, _ in started}]
    by = sorted(by for by, _ in started)
    # besides those of the program the run-time system has started some of its own, for the first goroutine
    own = sum(call["args"]["callergp.goid"] == 1 for call in calls) - by.count(1)
    assert own >= 0
    assert sorted(call["args"]["callergp.goid"] for call in calls)[own:] == by
    for call in calls:
        end = ends[call["call"]]
        assert "unwound" not in end
        assert call["goid"] == end["goid"] == call["args"]["callergp.goid"]
        assert any(remark.startswith("on the system stack") for remark in call["notes"][""])
    assert set(started) <= {(call["goid"], ends[call["call"]]["results"]["~r0.goid"]) for call in calls}
    (summary,) = of_type(events, "summary")
    check_accounting(summary)
    assert (summary["lost"], summary["totals"]["unpaired"], summary["totals"]["unwound"]) == (0, 0, 0)


def test_a_version_that_is_not_known(go_program: Callable[..., Path], tracer: Tracer) -> None:
    """Where a panic was recovered cannot be read there: it is said, and the calls end as unknown; the rest is told."""
    data = go_program(PROGRAM, "1.26", "stripped").read_bytes()
    program, out = tracer.folder / "program", tracer.folder / "events"
    program.write_bytes(data.replace(b"go1.26.8", b"go1.98.0"))
    program.chmod(0o755)
    asked = ("--func", "main.throws", "--func", "main.recovers", "--func", "main.quits")
    done = tracer("-b", program, *asked, "-f", "jsonl", "-o", out, "--", program, "-end", "exit")
    assert done.status == 0, done.stderr
    why = "runtime.gobuf is unlike that of any known Go version"
    assert f"warning: some calls that do not return end as unknown: {why}\n" in done.stderr
    ends = defaultdict(set)
    for event in of_type(parse(out.read_text()), "return"):
        ends[event["func"]].add(event.get("unwound"))
    assert ends["main.recovers"] == {None}
    assert ends["main.quits"] == {"goexit"}
    # what nothing after it shows to be over is taken for open until its goroutine or the process ends
    assert {None, "unknown"} <= ends["main.throws"] <= {None, "unknown", "goexit", "exit"}
