# SPDX-License-Identifier: Apache-2.0
"""Which return belongs to which call, processes, losses, the summary: from records made by hand (decode_harness.c)."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from decode_script import NO_G, SYSTEM_STACK, G, Script, harness, script, without_time

__all__ = ["harness", "script"]


@pytest.fixture
def pairs(script: Script) -> Script:
    """Sites 0, 1: main.f (entry 16 bytes into its frame); 2, 3: main.g; 4, 5: main.loop, hit again and again."""
    for name in ("f", "g", "loop"):
        script.func(f"main.{name}", once=name == "loop")
        script.site(0, frame=16 if name == "f" else 0)
        script.site(1)
    return script


def told(script: Script) -> list[str]:
    """ "f1(" for call 1 of main.f, "f1)" for its return, "f1 unknown" for one that was made up."""
    out = []
    for line in script.run():
        event = json.loads(line)
        name = event.get("func", event["type"])[5:] + str(event.get("call", ""))
        out.append(name + ("(" if event["type"] == "call" else f" {event['unwound']}" if "unwound" in event else ")"))
    return out


def call(script: Script, site: int, depth: int, **other: Any) -> None:
    script.record(site, depth=depth + (16 if site == 0 else 0), **other)


def test_recursion(pairs: Script) -> None:
    pairs.begin()
    for depth in (0x100, 0x140, 0x180):
        call(pairs, 0, depth)
    for depth in (0x180, 0x140, 0x100):
        call(pairs, 1, depth)
    assert told(pairs) == ["f1(", "f2(", "f3(", "f3)", "f2)", "f1)"]


def test_stack_growth_between_call_and_return(pairs: Script) -> None:
    pairs.begin()
    call(pairs, 0, 0x100, ts=1000)
    call(pairs, 1, 0x100, ts=1500, hi=0xC000800000, tid=99)
    lines = [json.loads(line) for line in pairs.run()]
    assert [line["tid"] for line in lines] == [8, 99]
    assert lines[1]["duration_ns"] == 500


def test_goroutines_and_processes_are_kept_apart(pairs: Script) -> None:
    pairs.begin()
    call(pairs, 0, 0x100)
    call(pairs, 0, 0x100, g=G + 512, goid=19)
    call(pairs, 0, 0x100, pid=9)
    call(pairs, 1, 0x100, pid=9)
    call(pairs, 1, 0x100)
    call(pairs, 1, 0x100, g=G + 512, goid=19)
    assert told(pairs) == ["f1(", "f2(", "f3(", "f3)", "f1)", "f2)"]


def test_an_entry_closes_what_it_shows_to_be_over(pairs: Script) -> None:
    pairs.begin()
    call(pairs, 0, 0x100)
    call(pairs, 2, 0x140)
    call(pairs, 0, 0x180)
    call(pairs, 2, 0x140)
    call(pairs, 1, 0x100)
    assert told(pairs) == ["f1(", "g2(", "f3(", "f3 unknown", "g2 unknown", "g4(", "g4 unknown", "f1)"]


def test_a_return_without_its_call(pairs: Script) -> None:
    pairs.begin()
    call(pairs, 1, 0x100)
    call(pairs, 0, 0x100)
    call(pairs, 3, 0x100)  # of another function, at that depth
    call(pairs, 3, 0x80)
    pairs.lines += ["kernel 0 1 1", "kernel 1 0 2", "stop", "summary"]
    lines = pairs.run()
    summary = json.loads(lines[-1])
    assert [json.loads(line).get("unwound") for line in lines[:-1]] == [None, "unknown"]
    assert [f["unpaired"] for f in summary["functions"]] == [1, 2, 0]
    assert summary["reconciled"] is True


def test_another_goroutine_on_the_same_g(pairs: Script) -> None:
    pairs.begin()
    call(pairs, 0, 0x100)
    call(pairs, 2, 0x180, goid=19)
    assert told(pairs) == ["f1(", "f1 unknown", "g2("]


RECOVERY, FATAL_PANIC, GOEXIT = range(3)  # as sites behind those of the plan


def unwind(script: Script, kind: int, depth: int = 0x100, **other: Any) -> None:
    script.record(script.sites + kind, depth=depth, **other)


def test_a_panic_is_recovered(pairs: Script) -> None:
    """What is deeper than the function that recovers ends at that moment; the function itself returns."""
    pairs.begin()
    call(pairs, 2, 0x80)
    call(pairs, 0, 0x100)
    call(pairs, 2, 0x140)
    call(pairs, 0, 0x180)
    call(pairs, 0, 0x180, g=G + 512, goid=19)
    call(pairs, 0, 0x180, pid=9)
    unwind(pairs, RECOVERY, 0x138)  # its frame reaches down to here
    call(pairs, 1, 0x100)
    call(pairs, 3, 0x80)
    call(pairs, 1, 0x180, g=G + 512, goid=19)
    call(pairs, 1, 0x180, pid=9)
    ends = ["f4 panic", "g3 panic", "f2)", "g1)", "f5)", "f6)"]
    assert told(pairs) == ["g1(", "f2(", "g3(", "f4(", "f5(", "f6(", *ends]


def test_the_moment_of_an_unwinding_is_its_own(pairs: Script) -> None:
    pairs.begin()
    call(pairs, 0, 0x100, ts=1000)
    unwind(pairs, RECOVERY, 0x80, ts=2000)
    call(pairs, 2, 0x100, ts=3000)
    assert [json.loads(line)["ts"] for line in pairs.run()] == [1000, 2000, 3000]


@pytest.mark.parametrize(("kind", "how"), [(FATAL_PANIC, "panic"), (GOEXIT, "goexit")])
def test_a_goroutine_ends(kind: int, how: str, pairs: Script) -> None:
    pairs.begin()
    call(pairs, 0, 0x100)
    call(pairs, 2, 0x140)
    call(pairs, 0, 0x100, g=G + 512, goid=19)
    unwind(pairs, kind, 0x400)
    pairs.lines += ["exit 7", "stop"]
    assert told(pairs)[:6] == ["f1(", "g2(", "f3(", f"g2 {how}", f"f1 {how}", "f3 exit"]


@pytest.mark.parametrize(("depth", "hi"), [(0, 0), (-0x100, 0x1000), (0xC000101000, 0xC000101000)])
def test_a_recovery_that_could_not_be_read(depth: int, hi: int, pairs: Script) -> None:
    """It closes nothing by guess; what comes then shows what is over."""
    pairs.begin()
    call(pairs, 0, 0x100)
    call(pairs, 2, 0x140)
    unwind(pairs, RECOVERY, depth, hi=hi)
    call(pairs, 1, 0x100)
    assert told(pairs) == ["f1(", "g2(", "g2 unknown", "f1)"]


def test_unwinding_of_what_is_not_known(pairs: Script) -> None:
    pairs.begin()
    for kind in (RECOVERY, FATAL_PANIC, GOEXIT):
        unwind(pairs, kind, 0x80)
    call(pairs, 0, 0x100)
    unwind(pairs, FATAL_PANIC, goid=19)  # the goroutine that called is gone
    unwind(pairs, FATAL_PANIC + 2)  # no such site
    assert told(pairs) == ["f1(", "f1 unknown"]


def test_a_call_after_a_panic_is_no_duplicate(pairs: Script) -> None:
    pairs.begin()
    for _ in range(3):
        call(pairs, 4, 0x100)
        call(pairs, 4, 0x100)
        unwind(pairs, RECOVERY, 0xC0)
    call(pairs, 4, 0x100)
    call(pairs, 5, 0x100)
    calls = [f"loop{n}{end}" for n in (1, 2, 3) for end in ("(", " panic")]
    assert told(pairs) == [*calls, "loop4(", "loop4)"]


def test_the_id_on_the_system_stack_says_nothing(pairs: Script) -> None:
    pairs.begin()
    call(pairs, 0, 0x100, goid=18, flags=SYSTEM_STACK)
    call(pairs, 2, 0x180, goid=19, flags=SYSTEM_STACK)
    call(pairs, 3, 0x180, goid=20, flags=SYSTEM_STACK)
    call(pairs, 1, 0x100, goid=0, flags=SYSTEM_STACK)
    assert told(pairs) == ["f1(", "g2(", "g2)", "f1)"]


def test_without_g_the_thread_stands_for_it(pairs: Script) -> None:
    pairs.begin()
    for tid in (8, 9):
        call(pairs, 0, 0x100, g=0, hi=0, goid=0, flags=NO_G, tid=tid)
    for tid in (8, 9):
        call(pairs, 1, 0x100, g=0, hi=0, goid=0, flags=NO_G, tid=tid)
    assert told(pairs) == ["f1(", "f2(", "f1)", "f2)"]


def test_end_of_a_process_and_of_the_trace(pairs: Script) -> None:
    pairs.begin()
    call(pairs, 0, 0x100, bias=0x555000)
    call(pairs, 2, 0x140, bias=0x555000)
    call(pairs, 0, 0x100, pid=9)
    pairs.lines += ["exit 7", "stop"]
    lines = pairs.run()
    assert [json.loads(line).get("unwound") for line in lines] == [None, None, None, "exit", "exit", None, "detached"]
    assert lines[5] == '{"type":"process","event":"end","pid":7,"binary_id":0,"bias":"0x555000"}'


def test_start_of_processes(pairs: Script) -> None:
    pairs.begin()
    call(pairs, 0, 0x100)
    call(pairs, 0, 0x100, pid=9, bias=0x7F0000)
    call(pairs, 0, 0x100, pid=9, bias=0x6F0000)  # it has exec'ed
    text = "\n".join([*pairs.lines, ""])
    output = subprocess.run([pairs.program], input=text, capture_output=True, text=True, check=True).stdout
    events = [json.loads(line) for line in output.splitlines()]
    assert [(e["event"], e["pid"], e["bias"]) for e in events if e["type"] == "process"] == [
        ("start", 7, "0x0"),
        ("start", 9, "0x7f0000"),
        ("end", 9, "0x7f0000"),
        ("start", 9, "0x6f0000"),
    ]


def test_a_hit_that_comes_again_is_no_call(pairs: Script) -> None:
    pairs.begin()
    for _ in range(23):
        call(pairs, 4, 0x100)
    call(pairs, 5, 0x100)
    call(pairs, 4, 0x100)
    pairs.lines += ["kernel 2 24 1", "stop", "summary"]
    lines = pairs.run()
    summary = json.loads(lines[-1])
    assert len(lines) == 5
    assert (summary["totals"]["duplicates"], summary["totals"]["calls_written"], summary["reconciled"]) == (22, 2, True)


def test_returns_past_the_limit(pairs: Script) -> None:
    pairs.begin(max_calls=1)
    call(pairs, 0, 0x100)
    call(pairs, 3, 0x180)
    call(pairs, 1, 0x100)
    pairs.lines += ["kernel 0 1 1", "kernel 1 0 1", "stop", "summary"]
    summary = json.loads(pairs.run()[-1])
    assert (summary["totals"]["limited_returns"], summary["totals"]["unpaired"], summary["reconciled"]) == (1, 0, True)


def test_unwound_line(pairs: Script) -> None:
    kept = list(pairs.lines)
    pairs.begin()
    call(pairs, 0, 0x100, ts=1000)
    call(pairs, 0, 0x100, ts=2000)
    assert pairs.run()[1] == (
        '{"type":"return","ts":2000,"pid":7,"tid":8,"goid":18,"call":1,"fid":0,"func":"main.f",'
        '"duration_ns":null,"unwound":"unknown","notes":{}}'
    )
    pairs.lines = kept
    pairs.begin("text")
    call(pairs, 0, 0x100, ts=1000)
    call(pairs, 0, 0x100, ts=2000)
    assert without_time(pairs.run())[1] == "TIME  G18  main.f ⇠ unwound: unknown"


def test_many_goroutines(pairs: Script) -> None:
    """More than the first table holds, each with one open call, then all return."""
    pairs.begin()
    for i in range(5003):
        call(pairs, 0, 0x100, g=G + 512 * i, goid=i + 1)
    for i in range(5003):
        call(pairs, 1, 0x100, g=G + 512 * i, goid=i + 1)
    events = told(pairs)
    assert events[:5003] == [f"f{i + 1}(" for i in range(5003)]
    assert events[5003:] == [f"f{i + 1})" for i in range(5003)]


# ---- the other lines -----------------------------------------------------------------------------------------


def test_lost(pairs: Script) -> None:
    kept = list(pairs.lines)
    pairs.begin()
    pairs.lines.append("lost 5 3")
    assert pairs.run() == ['{"type":"lost","ts":5,"count":3}']
    pairs.lines = kept
    pairs.begin("text")
    pairs.lines += ["lost 5 3", "lost 6 1"]
    assert pairs.run() == ["-- lost 3 events --", "-- lost 1 event --"]


def test_summary(script: Script) -> None:
    script.func("main.f")
    script.site()
    script.begin()
    script.record()
    script.lines += ["kernel 0 2 0", "stop", "summary"]
    counts = (
        '"entry_hits":2,"duplicates":0,"calls_written":1,"filtered":0,"sampled":0,"limited":0,"calls_lost":0,'
        '"return_hits":0,"returns_written":0,"unpaired":0,"filtered_returns":0,"sampled_returns":0,'
        '"limited_returns":0,"returns_lost":0,"unwound":0,"read_failures":0,"undecidable":0,"unfinished":0'
    )
    assert script.run()[-1] == (
        '{"type":"summary","lost":0,"duration_s":2,"functions":[{"fid":0,"name":"main.f",' + counts + '}],"totals":{'
        "" + counts + '},"misses":0,"reconciled":false,"buffer":"ring","attach":"multi",'
        '"telemetry":[{"file":"location.h","line":97,"error":-14,"count":3}]}'
    )


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0ns"),
        (999, "999ns"),
        (1000, "1.00µs"),
        (1234, "1.23µs"),
        (9994, "9.99µs"),
        (9996, "10.0µs"),
        (99_960, "100µs"),
        (37_100, "37.1µs"),
        (999_600, "1.00ms"),
        (123_456_789, "123ms"),
        (1_500_000_000, "1.50s"),
        (1_234_567_000_000, "1235s"),
    ],
)
def test_durations(pairs: Script, ns: int, text: str) -> None:
    pairs.begin("text")
    call(pairs, 0, 0x100, ts=1000)
    call(pairs, 1, 0x100, ts=1000 + ns)
    assert without_time(pairs.run())[1] == f"TIME  G18  main.f → ()  {text}"
