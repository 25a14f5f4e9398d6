# SPDX-License-Identifier: Apache-2.0
"""Every call once, none lost unsaid: counts of the tracer against counts of the program itself."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from tracing import Tracer, check_accounting, of_type, parse

COUNTS = Path(__file__).resolve().parent / "programs" / "counts"
FUNC = ("--func", "main.target", "-f", "jsonl")

WAYS = [("multi", "ring"), ("multi", "perf"), ("perf", "ring"), ("perf", "perf")]


@pytest.fixture
def counts(go_program: Callable[..., Path], own_copy: Callable[[Path], Path]) -> Callable[..., Path]:
    def build(version: str = "1.26", mode: str = "default") -> Path:
        return own_copy(go_program(COUNTS, version, mode))

    return build


def said_calls(output: str) -> int:
    return int(output.splitlines()[-1].removeprefix("calls "))


def count_exactly(
    tracer: Tracer,
    program: Path,
    mode: str,
    n: int,
    options: tuple[str, ...],
    env: dict[str, str] | None = None,
) -> dict[str, int]:
    """Compare what was written and counted with what the program counted; the summary's row."""
    tracing = tracer.start("-b", program, *FUNC, *options, env=env).attached()
    target = tracer.program(program, "-mode", mode, "-n", n, "-wait=false")
    assert said_calls(target.finish(timeout=300)) == n
    run = tracing.stop(timeout=300)
    assert run.status == 0, run.stderr
    assert tracing.count("call") == n
    assert tracing.count("lost") == 0
    (summary,) = of_type(run.events[-1:], "summary")
    check_accounting(summary)
    assert summary["lost"] == 0
    (row,) = summary["functions"]
    assert row["calls_written"] == n
    assert row["entry_hits"] - row["duplicates"] == n
    return row


@pytest.mark.parametrize(("attach", "buffer"), WAYS, ids=["-".join(way) for way in WAYS])
@pytest.mark.parametrize("version", ["1.15", "1.19", "1.26"])
def test_growing_stacks(version: str, attach: str, buffer: str, counts: Callable[..., Path], tracer: Tracer) -> None:
    """Recursion in fresh goroutines: many calls go through morestack and back to the start."""
    env = {"TRACER_ATTACH": attach, "TRACER_BUFFER": buffer}
    count_exactly(tracer, counts(version), "grow", 100_003, ("--no-results", "--buffer", "64M"), env)


@pytest.mark.parametrize("version", ["1.15", "1.17", "1.21", "1.27"])
def test_returns_with_growing_stacks(version: str, counts: Callable[..., Path], tracer: Tracer) -> None:
    """Each call gets its own return although stacks move, functions recurse and goroutines change threads."""
    row = count_exactly(tracer, counts(version, "pie"), "grow", 20_011, ("--buffer", "64M"))
    assert (row["returns_written"], row["unpaired"], row["unwound"]) == (20_011, 0, 0)


def test_results_fit_their_calls(counts: Callable[..., Path], tracer: Tracer) -> None:
    """target(n, 1) returns n: a return that was given to another call would show another number."""
    tracing = tracer.start("-b", counts(), *FUNC, "--buffer", "64M").attached()
    tracer.program(counts(), "-mode", "goroutines", "-n", 2003, "-wait=false").finish()
    run = tracing.stop()
    called = {e["call"]: e for e in of_type(run.events, "call")}
    returned = of_type(run.events, "return")
    assert len(called) == len(returned) == 2003
    assert {e["args"]["n"] for e in called.values()} == set(range(2003))
    for event in returned:
        call = called[event["call"]]
        assert list(event["results"].values()) == [call["args"]["n"]]
        assert (event["pid"], event["goid"]) == (call["pid"], call["goid"])
        assert event["duration_ns"] == event["ts"] - call["ts"]
    assert len({e["goid"] for e in called.values()}) == 2003


def test_a_million_calls_lose_none(counts: Callable[..., Path], tracer: Tracer) -> None:
    count_exactly(tracer, counts(), "tight", 1_000_003, ("--no-results", "--buffer", "256M"))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ten_million_calls_lose_none(counts: Callable[..., Path], tracer: Tracer, tmp_path: Path) -> None:
    """Each call of a tight loop is a line of the file, in its order, and everything adds up."""
    n, out = 10_000_019, tmp_path / "events.jsonl"
    tracing = tracer.start("-b", counts(), *FUNC, "--no-results", "--buffer", "1G", "-o", out).attached()
    target = tracer.program(counts(), "-mode", "tight", "-n", n, "-wait=false")
    assert said_calls(target.finish(timeout=300)) == n
    run = tracing.stop(timeout=300)
    assert run.status == 0, run.stderr
    argument, expected, last = re.compile(rb'"args":\{"n":(\d+),'), 0, b""
    with out.open("rb") as lines:
        for line in lines:
            last = line
            if line.startswith(b'{"type":"call",'):
                match = argument.search(line)
                assert match and int(match[1]) == expected, line
                expected += 1
    out.unlink()
    assert expected == n
    (summary,) = of_type(parse(last.decode()), "summary")
    check_accounting(summary)
    (row,) = summary["functions"]
    assert (row["calls_written"], row["entry_hits"] - row["duplicates"], summary["lost"]) == (n, n, 0)


@pytest.mark.parametrize(("attach", "buffer"), WAYS, ids=["-".join(way) for way in WAYS])
def test_loss_is_counted(attach: str, buffer: str, counts: Callable[..., Path], tracer: Tracer) -> None:
    """A buffer of one page cannot hold what comes: what is missing in the output stands in the accounting."""
    n = 200_003
    env = {"TRACER_ATTACH": attach, "TRACER_BUFFER": buffer}
    tracing = tracer.start("-b", counts(), *FUNC, "--no-results", "--buffer", "4K", env=env).attached()
    assert said_calls(tracer.program(counts(), "-n", n, "-wait=false").finish(timeout=300)) == n
    run = tracing.stop()
    assert run.status == 0, run.stderr
    (summary,) = of_type(run.events[-1:], "summary")
    check_accounting(summary)
    (row,) = summary["functions"]
    written = tracing.count("call")
    assert row["calls_lost"] > 0
    assert row["calls_written"] == written
    assert row["entry_hits"] - row["duplicates"] == n
    assert written + row["calls_lost"] == n
    assert summary["lost"] == n - written
    assert sum(e["count"] for e in of_type(run.events, "lost")) == n - written
    assert str(n - written) in run.stderr


LOSSES = Path(__file__).resolve().parent / "programs" / "losses"


@pytest.mark.parametrize("options", [("--no-results",), ()], ids=["calls", "calls-and-returns"])
def test_loss_is_counted_by_function(
    options: tuple[str, ...],
    go_program: Callable[..., Path],
    own_copy: Callable[[Path], Path],
    tracer: Tracer,
) -> None:
    """Calls of several functions on several threads, of which most find no room: each function's stand in its row."""
    out = tracer.folder / "events.jsonl"
    functions = [a for name in ("inner", "outer", "lonely") for a in ("--func", f"main.{name}")]
    program = own_copy(go_program(LOSSES))
    run = tracer(*functions, *options, "--buffer", "4K", "-f", "jsonl", "-o", out, "--", program)
    assert run.status == 0, run.stderr
    said = {f"main.{name}": int(n) for name, n in (line.split() for line in run.stdout.splitlines())}
    assert said == {"main.inner": 110063, "main.outer": 30021, "main.lonely": 50021}
    events = parse(out.read_text())
    (summary,) = of_type(events, "summary")
    check_accounting(summary)
    rows = {row["name"]: row for row in summary["functions"]}
    written = Counter(e["func"] for e in of_type(events, "call"))
    returned = Counter(e["func"] for e in of_type(events, "return") if "unwound" not in e)
    for name, calls in said.items():
        row = rows[name]
        assert row["calls_lost"] > 0
        assert row["calls_written"] == written[name]
        assert row["calls_written"] + row["calls_lost"] == row["entry_hits"] - row["duplicates"] == calls
        assert row["returns_written"] == returned[name]
        assert row["return_hits"] == (0 if options else calls)
        assert row["return_hits"] == row["returns_written"] + row["unpaired"] + row["returns_lost"]
    assert summary["lost"] == sum(row["calls_lost"] + row["returns_lost"] for row in rows.values())
    assert sum(e["count"] for e in of_type(events, "lost")) == summary["lost"]
    # No call is given the return of another one whose own record was lost.
    given = {e["call"]: e["args"]["n"] for e in of_type(events, "call")}
    results = {"main.inner": lambda n: n + 1, "main.outer": lambda n: 2 * n + 3, "main.lonely": lambda n: 1}
    for e in of_type(events, "return"):
        if "unwound" not in e:
            assert next(iter(e["results"].values())) == results[e["func"]](given[e["call"]]), e


def test_fail_on_loss(counts: Callable[..., Path], tracer: Tracer) -> None:
    tracing = tracer.start("-b", counts(), *FUNC, "--no-results", "--buffer", "4K", "--fail-on-loss").attached()
    tracer.program(counts(), "-n", 200_003, "-wait=false").finish(timeout=300)
    assert tracing.stop().status == 1


@pytest.mark.parametrize("returns", [True, False])
def test_max_events(returns: bool, counts: Callable[..., Path], tracer: Tracer) -> None:
    """-M 101: exactly 101 calls and their returns; then the trace ends, and the program goes on."""
    options = () if returns else ("--no-results",)
    tracing = tracer.start("-b", counts(), *FUNC, "-M", 101, *options).attached()
    target = tracer.program(counts(), "-mode", "grow", "-n", 30_011, "-wait=false")
    run = tracing.finish()
    assert said_calls(target.finish()) == 30_011
    assert run.status == 0, run.stderr
    calls = {e["call"] for e in of_type(run.events, "call")}
    assert len(calls) == 101
    if returns:
        assert {e["call"] for e in of_type(run.events, "return")} == calls
    check_accounting(run.events[-1])


def test_many_goroutines(counts: Callable[..., Path], tracer: Tracer) -> None:
    row = count_exactly(tracer, counts(), "goroutines", 50_021, ("--buffer", "128M"))
    assert (row["returns_written"], row["unpaired"]) == (50_021, 0)


def test_two_processes_and_one_that_starts_later(counts: Callable[..., Path], tracer: Tracer) -> None:
    """-b without -p: every process of the file."""
    first = tracer.program(counts("1.26", "pie"), "-n", 101)
    assert first.line() == "ready"
    tracing = tracer.start("-b", counts("1.26", "pie"), *FUNC).attached()
    second = tracer.program(counts("1.26", "pie"), "-n", 211, "-wait=false")
    second.finish()
    first.go()
    first.finish()
    run = tracing.stop()
    assert Counter(e["pid"] for e in of_type(run.events, "call")) == {first.pid: 101, second.pid: 211}
    assert Counter(e["pid"] for e in of_type(run.events, "return")) == {first.pid: 101, second.pid: 211}
    assert {e["pid"] for e in of_type(run.events, "process") if e["event"] == "start"} == {
        first.pid,
        second.pid,
    }


@pytest.mark.parametrize("attach", ["multi", "perf"])
@pytest.mark.parametrize("binary", [True, False])
def test_pid(attach: str, binary: bool, counts: Callable[..., Path], tracer: Tracer) -> None:
    """-p: only that process, whichever of its threads calls; the trace ends with it."""
    wanted, other = (tracer.program(counts(), "-mode", "goroutines", "-n", n) for n in (503, 307))
    assert (wanted.line(), other.line()) == ("ready", "ready")
    options = ("-b", counts()) if binary else ()
    tracing = tracer.start(*options, "-p", wanted.pid, *FUNC, env={"TRACER_ATTACH": attach}).attached()
    other.go()
    other.finish()
    wanted.go()
    wanted.finish()
    run = tracing.finish()
    assert run.status == 0, run.stderr
    assert Counter(e["pid"] for e in of_type(run.events, "call")) == {wanted.pid: 503}
    check_accounting(run.events[-1])


def test_two_pids(counts: Callable[..., Path], tracer: Tracer) -> None:
    targets = [tracer.program(counts(), "-n", n) for n in (101, 103, 107)]
    assert [t.line() for t in targets] == ["ready"] * 3
    tracing = tracer.start("-p", targets[0].pid, "-p", targets[2].pid, *FUNC).attached()
    for target in targets:
        target.go()
        target.finish()
    run = tracing.finish()
    assert run.status == 0, run.stderr
    assert Counter(e["pid"] for e in of_type(run.events, "call")) == {
        targets[0].pid: 101,
        targets[2].pid: 107,
    }


def test_duration(counts: Callable[..., Path], tracer: Tracer) -> None:
    """-d ends the trace, not the program."""
    target = tracer.program(counts(), "-mode", "paced", "-n", 1_000_000, "-wait=false")
    tracing = tracer.start("-b", counts(), *FUNC, "-d", 1)
    run = tracing.finish()
    assert run.status == 0, run.stderr
    assert len(of_type(run.events, "call")) > 0
    assert target.process.poll() is None
    check_accounting(run.events[-1])


def test_command_is_traced_from_its_first_call(counts: Callable[..., Path], tracer: Tracer, tmp_path: Path) -> None:
    """-- COMMAND: no call is missed at its start, and no other process of the file is shown."""
    other = tracer.program(counts(), "-mode", "paced", "-n", 1_000_000, "-pause", "1ms", "-wait=false")
    out = tmp_path / "events"
    run = tracer(*FUNC, "-o", out, "--", counts(), "-n", 1009, "-wait=false")
    assert run.status == 0, run.stderr
    assert said_calls(run.stdout) == 1009
    text = out.read_text()
    assert text.count('{"type":"call",') == 1009
    assert f'"pid":{other.pid},' not in text
    assert out.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("options", [("--no-results",), ()], ids=["calls", "calls-and-returns"])
def test_sampling(options: tuple[str, ...], counts: Callable[..., Path], tracer: Tracer) -> None:
    """One call of seven, whole; the others are counted, and everything adds up."""
    program, n = counts(), 10_007
    tracing = tracer.start("-b", program, *FUNC, "--sample", "1/7", *options).attached()
    target = tracer.program(program, "-mode", "goroutines", "-n", n, "-wait=false")
    assert said_calls(target.finish(timeout=300)) == n
    run = tracing.stop()
    assert run.status == 0, run.stderr
    (row,) = of_type(run.events, "summary")[0]["functions"]
    check_accounting(of_type(run.events, "summary")[0])
    wanted = -(-n // 7)
    assert (row["calls_written"], row["sampled"]) == (wanted, n - wanted)
    if not options:
        assert (row["returns_written"], row["sampled_returns"], row["unpaired"]) == (wanted, n - wanted, 0)
        pairs = Counter(e["call"] for e in run.events if e["type"] in ("call", "return"))
        assert set(pairs.values()) == {2}


def test_rate_limit(counts: Callable[..., Path], tracer: Tracer) -> None:
    """At most so many in any second; a second that two CPUs begin at once may let a few more pass."""
    program, n = counts(), 300_007
    tracing = tracer.start("-b", program, *FUNC, "--max-rate", "500", "--no-results").attached()
    target = tracer.program(program, "-mode", "tight", "-n", n, "-wait=false")
    assert said_calls(target.finish(timeout=300)) == n
    run = tracing.stop()
    (summary,) = of_type(run.events, "summary")
    check_accounting(summary)
    (row,) = summary["functions"]
    times = [e["ts"] for e in of_type(run.events, "call")]
    assert 500 <= len(times) == row["calls_written"] < n
    assert row["limited"] == n - len(times)
    windows = (times[-1] - times[0]) // 10**9 + 2
    assert len(times) <= windows * 510
