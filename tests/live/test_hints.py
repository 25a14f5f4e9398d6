# SPDX-License-Identifier: Apache-2.0
"""What is said beside the result: hints when a trace has ended, progress on a terminal. Never on standard output."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tracing import PATIENCE, Tracer, command, environment, hear_interrupts, of_type, parse

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(__file__).resolve().parent / "programs"
CALLS = 23

BOTH = f"""package main

import "strings"

// both is called through a variable, and copied into other, which calls it twice.
func both(n int) int {{ return n + 1 }}

//go:noinline
func other(n int) int {{ return both(n) * both(n+1) }}

//go:noinline
func show(long string, list []int, x float64) int {{ return len(long) + len(list) + int(x*0) }}

//go:noinline
func never() {{}}

var variable = both

func main() {{
	for i := 0; i < {CALLS}; i++ {{
		variable(i)
		other(i)
		show(strings.Repeat("x", 300), make([]int, 100), 1.5)
	}}
	if variable == nil {{
		never()
	}}
}}
"""

Build = Callable[..., Path]


@pytest.fixture
def both(go_program: Build, own_copy: Callable[[Path], Path]) -> Path:
    return own_copy(go_program(BOTH))


def hints(stderr: str) -> list[str]:
    return [line.removeprefix("hint: ") for line in stderr.splitlines() if line.startswith("hint: ")]


def test_what_was_shown_short(both: Path, tracer: Tracer) -> None:
    for format in ("text", "jsonl"):
        run = tracer("--func", "main.show", "-f", format, "--", both)
        assert run.status == 0
        strings, lists, *floats = hints(run.stderr)
        assert strings == f"{CALLS} strings were cut at 256 bytes: -Z 1024 shows more"
        assert lists == f"{CALLS} lists or maps were shown in part: --elements 256 may show more"
        assert floats in (
            [],
            [
                f"{CALLS} values were in a floating-point register, which a BPF program cannot read: a build with "
                "-gcflags='all=-N -l' has most of them in memory"
            ],
        )
        assert "hint" not in run.stdout
    # the hints help
    run = tracer("--func", "main.show", "-Z", "1024", "--elements", "256", "-f", "jsonl", "--", both)
    assert [h for h in hints(run.stderr) if "floating" not in h] == []
    call = of_type(run.events, "call")[0]
    assert (len(call["args"]["long"]), len(call["args"]["list"])) == (300, 100)


def test_what_was_not_seen(both: Path, tracer: Tracer) -> None:
    run = tracer("--func", "main.both", "--", both)
    assert f"{CALLS} calls, {CALLS} returns" in run.stderr
    assert hints(run.stderr) == [
        "main.both was also inlined, in 2 places, where its calls are not seen: `gopherscope explain` shows them; "
        "//go:noinline keeps a function"
    ]
    run = tracer("count", "--func", "main.never", "--", both)
    assert hints(run.stderr) == ["no call was seen: was the code run? `gopherscope list` shows what the program has"]


def test_quiet_is_quiet(both: Path, tracer: Tracer) -> None:
    run = tracer("--func", "main.show", "--func", "main.both", "-q", "--", both)
    assert (run.status, run.stderr) == (0, "")


def test_nothing_to_say(both: Path, tracer: Tracer) -> None:
    run = tracer("--func", "main.other", "--", both)
    assert hints(run.stderr) == []


@pytest.mark.parametrize(
    ("options", "name", "how"),
    [
        (("-f", "jsonl"), "run.jsonl", "jq . {}"),
        ((), "run.gscope", "gopherscope report {} [-f FORMAT]"),
        (("-f", "chrome"), "run.json", "open {} at https://ui.perfetto.dev or in chrome://tracing"),
        (("-f", "speedscope"), "run.json", "open {} at https://www.speedscope.app"),
        (("-f", "pprof"), "run.pb.gz", "go tool pprof -http=: {}"),
        (("-f", "folded"), "run.folded", "flamegraph.pl {} > flame.svg; speedscope opens it too"),
        (("-f", "csv"), "run.csv", "any spreadsheet opens {}; pandas: read_csv"),
    ],
)
def test_how_to_open(options: tuple[str, ...], name: str, how: str, both: Path, tracer: Tracer) -> None:
    out = tracer.folder / name
    run = tracer("--func", "main.other", *options, "-o", out, "--", both)
    assert run.stderr.splitlines()[-1] == f"{out}: {how.format(out)}"
    assert run.stdout == ""


# ---- progress ---------------------------------------------------------------------------------------------------


def on_a_terminal(*arguments: object, stdout: bool = False) -> tuple[str, str]:
    """(what a pipe got, what the terminal got): stderr is a terminal, stdout too where that is asked."""
    leader, follower = os.openpty()
    process = subprocess.Popen(
        command(*arguments),
        stdin=subprocess.DEVNULL,
        stdout=follower if stdout else subprocess.PIPE,
        stderr=follower,
        cwd=ROOT,
        env=environment(None),
        preexec_fn=hear_interrupts,
    )
    os.close(follower)
    shown = b""
    while True:
        try:
            data = os.read(leader, 65536)
        except OSError:  # the other end is closed
            break
        if not data:
            break
        shown += data
    os.close(leader)
    piped, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, shown
    return (piped or b"").decode(), shown.decode().replace("\r\n", "\n")


PACED = ("-mode", "paced", "-n", "503", "-pause", "5ms", "-wait=false")  # some three seconds


@pytest.fixture
def paced(go_program: Build, own_copy: Callable[[Path], Path]) -> Path:
    return own_copy(go_program(PROGRAMS / "counts", "1.26"))


@pytest.mark.parametrize("verb", ["trace", "tree", "count", "hist", "stack"])
def test_progress(verb: str, paced: Path, tmp_path: Path) -> None:
    """The number grows, the line is taken away at the end, and what is piped holds nothing of it."""
    out = tmp_path / "result"
    _, shown = on_a_terminal(verb, "--func", "main.target", "-o", out, "--", paced, *PACED)
    numbers = [int(n) for n in re.findall(r"\r(\d+) calls?, \d+ s\x1b\[K", shown)]
    assert len(numbers) >= 3 and numbers == sorted(numbers) and 0 < numbers[-1] <= 503
    assert "\r\x1b[K" in shown[shown.rindex(" s\x1b[K") :]
    assert "503 calls" in shown[shown.rindex("\r\x1b[K") :]
    assert "\x1b" not in out.read_text()


def test_no_progress(paced: Path, tmp_path: Path) -> None:
    """Not where events come to the same terminal, with -q, or where stderr is none."""
    _, shown = on_a_terminal("--func", "main.target", "--color", "never", "--", paced, *PACED, stdout=True)
    assert "\x1b" not in shown and shown.count("main.target(") == 503
    _, shown = on_a_terminal("count", "-q", "--func", "main.target", "-o", tmp_path / "n", "--", paced, *PACED)
    assert "\x1b" not in shown
    done = subprocess.run(
        command("count", "--func", "main.target", "-f", "jsonl", "-o", tmp_path / "n", "--", paced, *PACED),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment(None),
        timeout=PATIENCE,
    )
    assert "\r" not in done.stderr
    rows = parse((tmp_path / "n").read_text())
    assert [json.dumps(r["calls"]) for r in rows if r["type"] == "count"] == ["503"]
