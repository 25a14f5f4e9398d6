# SPDX-License-Identifier: Apache-2.0
"""The Python interface against what the program knows of itself."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

import tracer
from tracer.errors import NothingToTraceError, TracerError

SUMS = Path(__file__).resolve().parent / "programs" / "sums"


@pytest.fixture
def sums(go_program: Callable[..., Path], own_copy: Callable[[Path], Path]) -> Path:
    return own_copy(go_program(SUMS))


def test_a_command(sums: Path) -> None:
    with tracer.trace(func=["main.le*", "main.deep"], command=[sums]) as t:
        calls = list(t)
    assert Counter(c.func for c in calls) == {"main.leaf": 115, "main.left": 73, "main.deep": 60}
    assert all(c.results and c.duration_ns and c.goid == 1 and not c.unwound for c in calls)
    lefts = [c for c in calls if c.func == "main.left"]
    assert [c.args["n"] for c in lefts] == list(range(73))
    # sink is 0 until main adds to it: left(n) = n*n + sink + 1
    assert lefts[0].results == {"~r0": 1}
    assert t.summary.reconciled
    assert t.summary.total["calls_written"] == 248


def test_without_returns(sums: Path) -> None:
    with tracer.trace(sums, func="main.leaf", results=False, returns=False) as t:
        subprocess.run([sums], check=True, stdout=subprocess.DEVNULL)
        t.stop()
        calls = list(t)
    assert len(calls) == 115
    assert {(c.duration_ns, c.unwound) for c in calls} == {(None, "")}


def test_leaving_early_ends_the_trace(sums: Path) -> None:
    with tracer.trace(sums, func="main.leaf") as t:
        subprocess.run([sums], check=True, stdout=subprocess.DEVNULL)
        assert next(iter(t)).func == "main.leaf"
    assert t.summary.total["entry_hits"] >= 115


def test_stop_from_another_thread(sums: Path) -> None:
    with tracer.trace(sums, func="main.leaf") as t:
        threading.Timer(0.2, t.stop).start()
        assert list(t) == []
    assert t.summary.lost == 0


def test_two_at_once(sums: Path) -> None:
    with tracer.trace(sums, func="main.left") as a, tracer.trace(sums, func="main.right") as b:
        subprocess.run([sums], check=True, stdout=subprocess.DEVNULL)
        a.stop()
        b.stop()
        assert (len(list(a)), len(list(b))) == (73, 37)


def test_a_recording(sums: Path, tmp_path: Path) -> None:
    path = tmp_path / "run.gscope"
    command = ["-q", "--func", "main.le*", "-o", path, "--", sums]
    subprocess.run([*_tracer(), *command], check=True, stdout=subprocess.DEVNULL)
    with tracer.open_recording(path) as t:
        for _ in range(2):
            assert Counter(c.func for c in t) == {"main.leaf": 115, "main.left": 73}
        assert t.summary.total["returns_written"] == 188


def _tracer() -> list[str]:
    return [sys.executable, "-m", "tracer"]


def test_errors(sums: Path, tmp_path: Path) -> None:
    with pytest.raises(NothingToTraceError, match=r"main\.nix"), tracer.trace(sums, func="main.nix"):
        pass
    with pytest.raises(TracerError, match="cannot open"), tracer.trace(tmp_path / "none", func="main.leaf"):
        pass
    with pytest.raises(TracerError, match="no recording"), tracer.open_recording(sums) as t:
        list(t)
    error = RuntimeError("the caller's own")
    with pytest.raises(RuntimeError, match="own"), tracer.trace(sums, func="main.leaf"):
        raise error
