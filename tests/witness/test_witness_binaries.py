# SPDX-License-Identifier: Apache-2.0
"""Locations and sites of own programs and of three big ones, against llvm-dwarfdump, pyelftools and objdump.

`make witness` looks at 500 functions of each big program; here it is a beginning of the same draw.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import elftools_reader
import go_versions
import programs
import pytest
from locations import Comparison, Report
from sites import Sites
from tracing import ROOT

SPREAD = 60
# Own programs: every function of package main. What older versions get wrong (words listed twice, results left out)
# has tests of its own in tests/unit/test_params.py.
SMALL = [v for v in go_versions.VERSIONS if v not in ("1.15", "1.17", "1.19", "1.21")]


def check(report: Report, at_least: dict[str, int]) -> None:
    assert not report.wrong, "\n".join(report.wrong[:20])
    for what, n in at_least.items():
        assert report.counts[what] >= n, (what, report.counts)


def own(path: Path) -> list[tuple[int, int, str]]:
    return [f for f in elftools_reader.functions(path) if f[2].startswith("main.")]


@pytest.mark.parametrize("source", ["examples/tracee", "tests/live/programs/counts", "tests/live/programs/sums"])
@pytest.mark.parametrize("version", SMALL)
def test_own_programs(
    go_program: Callable[..., Path], many_program: Path, tool: Callable[[str], str], version: str, source: str
) -> None:
    tool("llvm-dwarfdump")
    path = go_program(ROOT / source, version)
    functions = own(path)
    assert functions
    check(Comparison(path, many_program, functions).run(), {"functions": len(functions)})
    check(Sites(path, many_program, functions).run(), {"functions": len(functions), "sites": len(functions)})


@pytest.mark.timeout(1200)  # the first time they are built
@pytest.mark.parametrize("name", list(programs.BIG))
def test_locations_of_a_big_program(
    big_program: Callable[[str], Path], many_program: Path, tool: Callable[[str], str], name: str
) -> None:
    tool("llvm-dwarfdump")
    path = big_program(name)
    report = Comparison(path, many_program, programs.draw(path, SPREAD)).run()
    check(report, {"functions": SPREAD, "entry sites": SPREAD - 10})
    check(report, {"parameters where rule and location agree at the entry": SPREAD})


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", list(programs.BIG))
def test_sites_of_a_big_program(big_program: Callable[[str], Path], many_program: Path, name: str) -> None:
    path = big_program(name)
    check(Sites(path, many_program, programs.draw(path, SPREAD)).run(), {"functions": SPREAD, "sites": SPREAD})


SPIN = (
    """#include "textflag.h"

TEXT ·spin(SB), NOSPLIT, $0-0
	RET
"""
    + "\tBYTE $0x90\n" * 49
    + """	BYTE $0xeb
	BYTE $0xcc
"""
)


def test_a_jump_that_ends_like_padding(
    offsets_cmd: Callable[..., subprocess.CompletedProcess[str]], go_program: Callable[..., Path], tmp_path: Path
) -> None:
    """Its last byte is that of INT3: the function was cut off there, and refused."""
    (tmp_path / "main.go").write_text("package main\n\nfunc spin()\n\nfunc main() { spin() }\n")
    (tmp_path / "spin_amd64.s").write_text(SPIN)
    path = go_program(tmp_path, "1.26")
    run = offsets_cmd("sites", path, "main.spin")
    assert run.returncode == 0, run.stderr
    assert '"instructions":51' in run.stdout, run.stdout


DICTIONARY = """package main

import "fmt"

type list[T comparable] struct{ items [2]T }

//go:noinline
func (l *list[T]) push(x T, n int) int {
	f := func(i int, y T) int {
		l.items[i&1] = y
		return n
	}
	return each(f, n, x)
}

//go:noinline
func each[T any](f func(int, T) int, n int, x T) int { return f(n, x) + f(n+1, x) }

func main() {
	a, b := &list[string]{}, &list[string]{}
	fmt.Println(a.push("x", 2), any(*a) == any(*b))
}
"""


@pytest.mark.parametrize("version", ["1.21", "1.24", "1.26", "1.27"])
def test_who_takes_a_dictionary(
    offsets_cmd: Callable[..., subprocess.CompletedProcess[str]],
    go_program: Callable[..., Path],
    many_program: Path,
    tool: Callable[[str], str],
    tmp_path: Path,
    version: str,
) -> None:
    """Functions and methods do; closures in them and the equality functions of generic types do not."""
    tool("llvm-dwarfdump")
    (tmp_path / "main.go").write_text(DICTIONARY)
    (tmp_path / "go.mod").write_text("module example.com/generic\n\ngo 1.18\n")
    path = go_program(tmp_path, version)
    functions = [f for f in elftools_reader.functions(path) if f[2].startswith(("main.", "type:.eq.main."))]
    shared = [f for f in functions if "[go.shape." in f[2]]
    assert any(f[2].endswith(".func1") for f in shared) and any(f[2].endswith("]") for f in shared), shared
    check(Comparison(path, many_program, shared).run(), {"functions": len(shared)})
