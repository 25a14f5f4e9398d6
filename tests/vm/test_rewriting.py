# SPDX-License-Identifier: Apache-2.0
"""What a program believed while it was changed, by its own words: every call, once, and no other. On a kernel that does
not allow it, the refusal."""

from __future__ import annotations

import os
import re
import signal
from collections import Counter
from pathlib import Path

import guest
import pytest
from guest import LONG
from tracing import JSON, Run, Tracer, check_accounting, check_error, of_type, parse, until

pytestmark = pytest.mark.vm

N = 100_003
OTHERS = 101
STRESS_S = float(os.environ.get("GOPHERSCOPE_STRESS_S", 5))  # 60 in a run of its own (scripts/test_vm.py)
EOF_ERROR = "err=io.ErrUnexpectedEOF"

MEMORY = guest.allowed("probe_write_user")
REGISTERS = guest.allowed("context_write")
# Where the arguments are: on the stack up to Go 1.16, in registers from 1.17 on.
CAN = {"1.15": MEMORY, "1.26": REGISTERS}
ABLE = [version for version, can in CAN.items() if can]
WHY = "this kernel lets no program write"


def rewrite(
    tracer: Tracer,
    version: str,
    function: str,
    *options: object,
    mode: str = "calls",
    build: str = "default",
    **more: object,
) -> Run:
    """Rewrite a run of the program from its start to its end. Its own lines are the run's stdout."""
    program = guest.rewritten(version, build)
    words = [w for name, value in more.items() for w in (f"-{name}", str(value))]
    run = tracer(
        *("rewrite", "-v", "--func", f"main.{function}", "--yes", *options),
        *("--", program, "-mode", mode, *words),
        timeout=LONG,
    )
    for name, (_, followed, limit) in guest.note_verifier(run.stderr, "rewrite/").items():
        assert 0 < followed <= limit // 2, f"{name}: {followed} of {limit}"
    return run


def sum_to(n: int) -> int:
    return n * (n + 1) // 2


@pytest.mark.parametrize("version", [v for v in CAN if v not in ABLE])
@pytest.mark.parametrize(
    "what", [("--set", "n=2021"), ("--set-result", "r1=7"), ("--skip", "r1=7")], ids=lambda w: w[0]
)
def test_refused(what: tuple[str, str], version: str, tracer: Tracer) -> None:
    """Before the command is started, with the reason."""
    check_error(rewrite(tracer, version, "target", *what), 1, WHY)


@pytest.mark.parametrize("version", ABLE)
def test_every_call(version: str, tracer: Tracer, tmp_path: Path) -> None:
    """100,003 calls: each has the new value, each is told of once with its own old one; no other call is changed."""
    out = tmp_path / "events"
    options = ("--set", "n=2021", "-f", "jsonl", "-o", out, "--buffer", "64M")
    run = rewrite(tracer, version, "target", *options, n=N)
    assert run.status == 0, run.stderr
    assert run.stdout.splitlines() == [
        f"target: calls={N} changed={N} sum=0 kept={sum_to(N - 1)}",
        f"results={N * 2022}",
        f"other: calls={OTHERS} changed=0 sum={-sum_to(OTHERS)} kept={sum_to(OTHERS - 1)}",
    ]
    events = parse(out.read_text())
    changes = [c for e in of_type(events, "rewrite") for c in e["changes"]]
    assert Counter(c["old"] for c in changes) == Counter(range(-N, 0))
    assert {(c["name"], c["new"], c["written"]) for c in changes} == {("n", 2021, True)}
    check_accounting(events[-1])
    assert (events[-1]["totals"]["changed"], events[-1]["totals"]["unchanged"], events[-1]["lost"]) == (N, 0, 0)


def olds(events: list[JSON]) -> Counter[int]:
    """What stood where was written, and how often that is told."""
    return Counter(c["old"] for e in of_type(events, "rewrite") for c in e["changes"])


def calls(which: str, tracer: Tracer, version: str, n: int, *options: object) -> tuple[Run, list[str]]:
    """Of a run with a condition: what the program says of `target`, where only the wanted ones were changed."""
    function, how = guest.WHERE[which]
    run = rewrite(tracer, version, function, *how, *options, n=n)
    assert run.status == 0, run.stderr
    lines = run.stdout.splitlines()
    assert lines[2] == f"other: calls={OTHERS} changed=0 sum={-sum_to(OTHERS)} kept={sum_to(OTHERS - 1)}"
    return run, lines[:2]


@pytest.mark.parametrize("version", ABLE)
def test_every_call_that_is_wanted(version: str, tracer: Tracer, tmp_path: Path) -> None:
    """50,021 of 100,003: each of them has the new value, the others keep theirs."""
    out = tmp_path / "events"
    _, lines = calls("call", tracer, version, N, "-f", "jsonl", "-o", out, "--buffer", "64M")
    wanted = range(25_003, 75_024)
    kept = sum_to(N) - sum(i + 1 for i in wanted)
    assert lines == [
        f"target: calls={N} changed={len(wanted)} sum={-kept} kept={sum_to(N - 1)}",
        f"results={len(wanted) * 2022 - (sum_to(N - 1) - sum(wanted))}",
    ]
    events = parse(out.read_text())
    assert olds(events) == Counter(-1 - i for i in wanted)
    check_accounting(events[-1])
    total = events[-1]["totals"]
    assert (total["changed"], total["unchanged"], total["filtered"]) == (len(wanted), 0, N - len(wanted))
    assert (events[-1]["lost"], total["undecidable"]) == (0, 0)


@pytest.mark.parametrize("version", ABLE)
@pytest.mark.parametrize(("which", "wanted"), [("return", range(901, 1008)), ("result", range(501, 902))])
def test_results_that_are_wanted(which: str, wanted: range, version: str, tracer: Tracer, tmp_path: Path) -> None:
    """By a condition on the arguments of the call, or on the results themselves."""
    out, n = tmp_path / "events", 1009
    run, lines = calls(which, tracer, version, n, "-f", "jsonl", "-o", out)
    assert lines == [
        f"target: calls={n} changed=0 sum={-sum_to(n)} kept={sum_to(n - 1)}",
        f"results={7 * len(wanted) - (sum_to(n - 1) - sum(wanted))}",
    ]
    events = parse(out.read_text())
    assert olds(events) == Counter(-i for i in wanted)
    check_accounting(events[-1])
    total = events[-1]["totals"]
    assert (total["return_hits"], total["returns_written"], total["filtered_returns"]) == (
        *(n, len(wanted)),
        n - len(wanted),
    )
    assert (total["calls_written"], total["unfinished"], events[-1]["lost"]) == (0, 0, 0)
    assert f"{n - len(wanted)} not wanted by --where" in run.stderr


@pytest.mark.parametrize("version", ABLE)
def test_both_of_a_call_that_is_wanted(version: str, tracer: Tracer) -> None:
    """The return of a call goes by what its arguments were, not by what they became."""
    n, wanted = 1009, range(500, 1009)
    run, lines = calls("both", tracer, version, n, "-o", "/dev/null")
    assert lines == [
        f"target: calls={n} changed={len(wanted)} sum={-sum_to(500)} kept={sum_to(n - 1)}",
        f"results={7 * len(wanted) - sum_to(499)}",
    ]
    assert re.search(rf"^{2 * len(wanted)} changes, 500 not wanted by --where", run.stderr, re.MULTILINE)


@pytest.mark.parametrize("version", ABLE)
def test_a_rate_of_what_is_wanted(version: str, tracer: Tracer) -> None:
    function, how = guest.WHERE["fail"]
    run = rewrite(tracer, version, function, *how, "--rate", "1/2", "-o", "/dev/null", mode="reads", n=1009)
    assert run.status == 0, run.stderr
    assert run.stdout.splitlines() == ["reads=1009 failed=106 empty=0 bodies=1009"]


@pytest.mark.skipif(not REGISTERS, reason="the kernel lets no program write registers")
@pytest.mark.parametrize("version", [v for v in CAN if v != "1.15" or MEMORY])
def test_skipped_where_wanted(version: str, tracer: Tracer) -> None:
    function, how = guest.WHERE["skip"]
    run = rewrite(tracer, version, function, *how, "-o", "/dev/null", mode="reads", n=1009)
    assert run.status == 0, run.stderr
    assert run.stdout.splitlines() == ["reads=1009 failed=101 empty=101 bodies=908"]


@pytest.mark.parametrize("version", ABLE)
def test_every_result(version: str, tracer: Tracer) -> None:
    run = rewrite(tracer, version, "target", "--set-result", "r1=7", "-o", "/dev/null", n=1009)
    assert run.status == 0, run.stderr
    assert run.stdout.splitlines()[:2] == [
        f"target: calls=1009 changed=0 sum={-sum_to(1009)} kept={sum_to(1008)}",
        "results=7063",
    ]


@pytest.mark.parametrize("version", ABLE)
def test_max_changes(version: str, tracer: Tracer) -> None:
    """The first 101 of them, and not one more."""
    run = rewrite(tracer, version, "target", "--set", "n=2021", "-M", 101, "-o", "/dev/null", n=1009)
    assert run.status == 0, run.stderr
    line = run.stdout.splitlines()[0]
    assert line == f"target: calls=1009 changed=101 sum={sum_to(101) - sum_to(1009)} kept={sum_to(1008)}"
    assert re.search(r"^101 changes", run.stderr, re.MULTILINE)


@pytest.mark.parametrize("build", ["default", "pie"])
@pytest.mark.parametrize("version", ABLE)
def test_kinds(version: str, build: str, tracer: Tracer) -> None:
    """Integers of each width, a bool, a nil, an error, a constant string: what the function then prints. The last two
    are found by their addresses, which are others in each process of a position-independent program."""
    more = ", e=io.EOF" if MEMORY else ""  # in registers there is no room for it any more
    run = rewrite(tracer, version, "kinds", "--set", guest.KINDS + more, "-o", "/dev/null", mode="values", build=build)
    assert run.status == 0, run.stderr
    error = "EOF" if MEMORY else "it is full"
    assert run.stdout.splitlines()[0] == f'b=false i8=-128 u16=65535 c=9 i64=-1 f=1.5 s="literal of" p=nil e={error}'


@pytest.mark.skipif(not MEMORY, reason="the kernel lets no program write a process's memory")
@pytest.mark.parametrize("version", CAN)
def test_behind_pointers(version: str, tracer: Tracer) -> None:
    run = rewrite(tracer, version, "handle", "--set", guest.PLACES, "-o", "/dev/null", mode="values")
    assert run.status == 0, run.stderr
    assert run.stdout.splitlines()[-1] == (
        'method="PUT" retries=-1 price=0.5 inner=1,7 item=22 next=1 xs=[4 5 77] in=8,9'
    )


@pytest.mark.parametrize("version", [v for v in ABLE if MEMORY])
def test_strings_in_place(version: str, tracer: Tracer, tmp_path: Path) -> None:
    """The bytes of a string in memory; those of a literal take no write, and a shorter one has no room: both are said,
    and change nothing."""
    out = tmp_path / "events"
    run = rewrite(tracer, version, "text", "--set", 's="new!"', "-f", "jsonl", "-o", out, mode="values")
    assert run.status == 1
    assert "error: 2 of 3 changes could not be written; the events say why" in run.stderr
    assert run.stdout.splitlines()[1:7] == [
        *('s="new!"', "len=4"),
        *('s="a literal of the program"', "len=24"),
        *('s=""', "len=0"),
    ]
    changes = [e["changes"][0] for e in of_type(parse(out.read_text()), "rewrite")]
    assert [(c["old"], c["written"], c.get("why", "")) for c in changes] == [
        ("heap string", True, ""),
        (
            "a literal of the program",
            False,
            "the memory is read-only (a constant), or its page is shared or being moved",
        ),
        ("", False, "the string there is shorter than the new one"),
    ]


@pytest.mark.parametrize("version", ABLE)
def test_one_of_ten_fails(version: str, tracer: Tracer) -> None:
    run = rewrite(
        tracer, version, "read", "--fail", EOF_ERROR, "--rate", "1/10", "-o", "/dev/null", mode="reads", n=1009
    )
    assert run.status == 0, run.stderr
    assert run.stdout.splitlines() == ["reads=1009 failed=101 empty=0 bodies=1009"]


@pytest.mark.parametrize("version", ABLE)
def test_a_nil_variable(version: str, tracer: Tracer) -> None:
    run = rewrite(tracer, version, "read", "--fail", "err=main.ErrUnset", "-o", "/dev/null", mode="reads", n=3)
    assert run.status == 1
    assert "error: 3 of 3 changes could not be written" in run.stderr
    assert run.stdout.splitlines() == ["reads=3 failed=0 empty=0 bodies=3"]


@pytest.mark.parametrize("version", ABLE)
def test_a_nil_variable_of_a_process(version: str, tracer: Tracer) -> None:
    """Of a process that runs it is known beforehand."""
    target = tracer.program(guest.rewritten(version, "pie"), "-mode", "ticks")
    assert target.line() == "tick -1"
    run = tracer("rewrite", "-p", target.pid, "--func", "main.read", "--fail", "err=main.ErrUnset", "--yes")
    check_error(run, 1, r"main\.ErrUnset is nil in process \d+: err cannot be set to it")


@pytest.mark.skipif(not REGISTERS, reason="the kernel lets no program write registers")
@pytest.mark.parametrize("version", [v for v in CAN if v != "1.15" or MEMORY])
def test_skipped(version: str, tracer: Tracer) -> None:
    """The body runs for nine of ten; the tenth returns what was asked for, and zero for the rest."""
    run = rewrite(
        tracer, version, "read", "--skip", EOF_ERROR, "--rate", "1/10", "-o", "/dev/null", mode="reads", n=1009
    )
    assert run.status == 0, run.stderr
    assert run.stdout.splitlines() == ["reads=1009 failed=101 empty=101 bodies=908"]


@pytest.mark.parametrize("version", ABLE)
def test_stacks_that_grow(version: str, tracer: Tracer) -> None:
    """Each of 307 goroutines calls itself 101 deep, its stack growing: every call is changed, none twice."""
    run = rewrite(tracer, version, "deep", "--set", "n=2021", "-o", "/dev/null", mode="grow", n=307)
    assert run.status == 0, run.stderr
    assert run.stdout.splitlines() == ["grow=307 bad=0"]
    assert re.search(rf"^{307 * 101} changes;", run.stderr, re.MULTILINE)


@pytest.mark.parametrize("version", ABLE)
def test_a_tracer_that_dies(version: str, tracer: Tracer, tmp_path: Path) -> None:
    """From then on the program has its own values again."""
    program = guest.rewritten(version)
    target = tracer.program(program, "-mode", "ticks")
    assert target.line() == "tick -1"
    running = tracer.start(
        *("rewrite", "-p", target.pid, "--func", "main.tick", "--set", "n=2021", "--yes", "-f", "jsonl")
    ).attached()
    until(lambda: target.line() == "tick 2021", "a changed value", LONG)
    running.process.send_signal(signal.SIGKILL)
    running.process.wait()
    until(lambda: target.line() != "tick 2021", "its own value", LONG)
    assert all(target.line().startswith("tick -") for _ in range(101))


@pytest.mark.parametrize("version", [v for v in ABLE if MEMORY])
def test_across_a_page_border(version: str, tracer: Tracer, tmp_path: Path) -> None:
    """Where one side takes no write: of a string's bytes the first ones are written, or none, and which is told."""
    out = tmp_path / "events"
    run = rewrite(tracer, version, "edge", "--set", guest.EDGES, "-f", "jsonl", "-o", out, mode="edges")
    assert (run.status, run.stdout) == (1, 'method="abcdefgh"\nmethod="1234efgh"\n')
    assert "error: 2 of 2 changes could not be written" in run.stderr
    first, second = (e["changes"][0] for e in of_type(parse(out.read_text()), "rewrite"))
    assert (first["written"], first["why"][:23]) == (False, "the memory is read-only")
    assert (second["written"], second["why"][:15]) == (False, "written in part")


@pytest.mark.parametrize("version", ABLE)
def test_two_words_on_two_pages(version: str, tracer: Tracer) -> None:
    """On the stack ABI an interface is on each place of a page in turn, its words on two pages once in 512."""
    run = rewrite(
        tracer, version, "down", "--set", "err=io.EOF", "--buffer", "64M", "-o", "/dev/null", mode="down", n=1024
    )
    assert (run.status, run.stdout) == (0, "others: 0\n"), run.stderr


@pytest.mark.skipif(not REGISTERS, reason="the kernel lets no program write registers")
@pytest.mark.parametrize("version", [v for v in CAN if v != "1.15" or MEMORY])
def test_not_skipped(version: str, tracer: Tracer, tmp_path: Path) -> None:
    """All of a call's results, or none: where the variable is nil the body runs, and nothing is said to be written."""
    out = tmp_path / "events"
    run = rewrite(tracer, version, "read", "--skip", "err=main.ErrUnset", "-o", out, mode="reads", n=3)
    assert (run.status, run.stdout) == (1, "reads=3 failed=0 empty=0 bodies=3\n")
    lines = out.read_text().splitlines()
    assert len(lines) == 3
    for line in lines:
        assert " not skipped → (" in line and line.count("<not written: ") == line.count("=") - 1, line


@pytest.mark.parametrize("sleepable", ["1", "0"])
@pytest.mark.parametrize("version", ABLE)
def test_pages_on_the_move(version: str, sleepable: str, tracer: Tracer, tmp_path: Path) -> None:
    """A page that the kernel is moving takes no write: it is waited for where a program may sleep, else each call that
    kept its value is told."""
    out = tmp_path / "events"
    run = tracer(
        *("rewrite", "--func", "main.look", "--set", "n=2021", "--yes", "-f", "jsonl", "-o", out, "--buffer", "64M"),
        *("--", guest.rewritten(version), "-mode", "moved", "-seconds", 5),
        env={"TRACER_SLEEPABLE": sleepable},
        timeout=LONG,
    )
    said = re.fullmatch(r"moved: wrong=(\d+) moves=(\d+)\n", run.stdout)
    assert said and int(said[2]) > 3, (run.status, run.stdout, run.stderr)
    events = parse(out.read_text())
    why = Counter(c["why"] for e in of_type(events, "rewrite") for c in e["changes"] if not c["written"])
    guest.note(f"pages on the move {version} sleepable={sleepable}", {"moves": int(said[2]), **why})
    check_accounting(events[-1])
    assert events[-1]["lost"] == 0
    assert sum(n for what, n in why.items() if what.startswith("the memory is read-only")) == int(said[1])
    assert run.status == (1 if why else 0), run.stderr
    if sleepable == "1":
        assert (why, events[-1]["totals"]["read_failures"]) == ({}, 0)
        assert all(e.get("goid") for e in of_type(events, "rewrite"))


@pytest.mark.parametrize("mode", ["default", "race"])
@pytest.mark.parametrize("version", ABLE)
def test_stress(version: str, mode: str, tracer: Tracer) -> None:
    """Collections, growing stacks, eight goroutines, also with the race detector: what the program checks is whole."""
    program = guest.rewritten(version, mode)
    run = tracer(
        *("rewrite", "-q", "--func", "main.look", "--set", "n=2021", "--yes", "-f", "jsonl", "-o", "/dev/null"),
        *("--buffer", "64M", "--", program, "-mode", "stress", "-seconds", STRESS_S),
        timeout=LONG,
    )
    assert run.stdout.splitlines() == ["stress: calls=true broken=0 wrong=0"], (run.status, run.stderr)
    assert run.status == 0 or "events lost: the changes were made" in run.stderr, run.stderr
