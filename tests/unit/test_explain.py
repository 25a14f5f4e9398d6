# SPDX-License-Identifier: Apache-2.0
"""`explain`: what it says of functions, against the symbol table, objdump and the source."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile

from tracer.options import TraceOptions
from tracer.plan import Program

ROOT = Path(__file__).resolve().parents[2]
INLINING = ROOT / "tests" / "live" / "programs" / "inlining"
PANICS = ROOT / "tests" / "live" / "programs" / "panics"
FLOATS = """package main

import "os"

//go:noinline
func half(n int, x float64) (float64, string) { return x / 2, "half" }

//go:noinline
func spin(p *int) {
	for *p == 0 {
	}
}

func main() {
	n := len(os.Args)
	spin(&n)
	println(half(n, 3))
}
"""
DEAR = "single-stepped by the kernel, some ten times as dear as an emulated one"

GoProgram = Callable[..., Path]


def explain(path: Path, *args: str, status: int = 0) -> str:
    command = [sys.executable, "-m", "tracer", "explain", "-b", str(path), *args]
    out = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (out.returncode, out.stderr) == (status, "")
    return out.stdout


def rows(path: Path, *args: str, status: int = 0) -> list[dict[str, Any]]:
    return [json.loads(line) for line in explain(path, *args, "-f", "jsonl", status=status).splitlines()]


def entry_of(path: Path, name: str) -> int:
    with path.open("rb") as file:
        [symbol] = ELFFile(file).get_section_by_name(".symtab").get_symbol_by_name(name)
        return int(symbol["st_value"])


def instructions(path: Path, name: str) -> dict[int, str]:
    """Mnemonics by link address, as objdump reads them."""
    out = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", f"--disassemble={name}", str(path)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return {int(a, 16): m for a, m in re.findall(r"^ +([0-9a-f]+):\t(\w+)", out, re.M)}


def line_of(text: str) -> int:
    lines = (INLINING / "main.go").read_text().split("\n")
    return next(i for i, line in enumerate(lines, 1) if text in line)


def test_text(go_program: GoProgram) -> None:
    path = go_program(INLINING)
    outer, file = entry_of(path, "main.outer"), "example.com/program/main.go"
    sites = {k: v for k, v in instructions(path, "main.outer").items() if v in ("jbe", "ret")}
    check = min(a for a, m in sites.items() if m == "jbe")
    rets = ", ".join(f"+{a - outer:#x}" for a, m in sites.items() if m == "ret")
    assert explain(path, "main.outer", "main.inner").splitlines() == [
        "main.outer(n int) (~r0 int)",
        f"  {file}:{line_of('func outer')}, ABIInternal, at {outer:#x}",
        f"  call   jbe at +{check - outer:#x}: emulated by the kernel, cheap; registers alone",
        "    n  int  rax",
        f"  return ret at {rets}: {DEAR}; registers alone",
        "    ~r0  int  rax",
        "",
        "main.inner",
        "  not probed: the compiler copied it into its callers: it has no code of its own (//go:noinline keeps it)",
        "  inlined: 3 copies",
        f"    in main.outer  {file}:{line_of('func middle')}",
        f"    in main.outer  {file}:{line_of('inner(101)')}",
        f"    in main.other  {file}:{line_of('func other')}",
    ]
    shortened = explain(path, "main.inner", "--copies", "1", status=3).splitlines()
    assert shortened[2:] == [
        "  inlined: 3 copies",
        f"    in main.outer  {file}:{line_of('func middle')}",
        "    … and 2 more (--copies)",
    ]


def test_what_cannot_be_read_and_why(go_program: GoProgram) -> None:
    path = go_program(FLOATS)
    [row] = rows(path, "main.half")
    entry, ret = row["sites"][0], row["sites"][-1]
    assert (entry["kind"], ret["kind"]) == ("entry", "return")
    # it has no frame and calls nothing: no instruction of it is emulated
    assert (entry["cost"], ret["cost"]) == ("single-stepped", "single-stepped")
    values = {v["name"]: v for v in (*entry["values"], *ret["values"])}
    assert values["n"] == {"name": "n", "type": "int", "places": ["rax"], "unreadable": []}
    assert values["x"] == {
        "name": "x",
        "type": "float64",
        "places": [],
        "unreadable": ["in xmm0, known at 1 direct call"],
    }
    assert values["~r0"]["unreadable"] == ["in xmm0"]
    assert values["~r1"] == {"name": "~r1", "type": "string", "places": ["rax", "rbx"], "unreadable": []}
    said = "    x  float64  <in xmm0, known at 1 direct call: not readable here>"
    assert said in explain(path, "main.half").splitlines()


def test_a_function_without_a_return(go_program: GoProgram) -> None:
    lines = explain(go_program(PANICS), "main.onlyPanics").splitlines()
    assert "  no return: calls end otherwise" in lines
    assert "  returns are not probed" in explain(go_program(PANICS), "main.passes", "--no-returns").splitlines()


def test_refused(go_program: GoProgram) -> None:
    """Without its returns a function that is one loop is not probed."""
    path = go_program(FLOATS)
    [row] = rows(path, "main.spin", "--no-results", status=3)
    assert row["sites"] == [] and row["refused"].startswith("its first instruction is a loop's head")
    [row] = rows(path, "main.spin")
    assert row["refused"] is None and [s["kind"] for s in row["sites"]] == ["entry", "return"]


@pytest.mark.parametrize("version", ["1.15", "1.17", "1.19", "1.21", "1.24", "1.26", "1.27"])
def test_sites_stand_on_instructions(go_program: GoProgram, version: str) -> None:
    path = go_program(INLINING, version)
    found = rows(path, "main.*")
    assert {r["name"] for r in found} == {f"main.{n}" for n in ("here", "inner", "main", "middle", "other", "outer")}
    for row in found:
        if row["address"] is None:
            assert row["refused"] and not row["sites"]
            continue
        assert int(row["address"], 16) == entry_of(path, row["name"])
        at = instructions(path, row["name"])
        for site in row["sites"]:
            assert int(site["address"], 16) == int(row["address"], 16) + site["offset"]
            assert at[int(site["address"], 16)] == site["instruction"]
            emulated = site["instruction"] in ("push", "jbe", "call", "nop", "jmp")
            assert site["cost"] == ("emulated" if emulated else "single-stepped")
        assert [s for s in row["sites"] if s["kind"] == "return"] == [
            s for s in row["sites"] if s["instruction"] == "ret"
        ]


def test_without_debug_information(go_program: GoProgram) -> None:
    path = go_program(INLINING, "1.26", "stripped")
    text = explain(path, "main.other").splitlines()
    assert text[0] == "main.other(…)"
    assert [line for line in text if line.startswith("  no values: ")] == [
        f"  no values: {path} has no debug information (built with -ldflags=-w, or stripped)"
    ]
    [row] = rows(path, "main.other")
    assert (row["params"], row["results"], row["sites"][0]["values"]) == (None, None, [])
    copies = rows(path, "main.inner", status=3)[0]["inlined_copies"]
    assert [c["into"] for c in copies] == ["main.outer", "main.outer", "main.other"]


def test_exclude(go_program: GoProgram) -> None:
    path = go_program(INLINING)
    found = rows(path, "main.*", "--exclude", "main.o*", "--exclude", "main.middle")
    assert [r["name"] for r in found] == ["main.here", "main.main", "main.inner"]


def test_expressions(go_program: GoProgram) -> None:
    path = go_program(ROOT / "examples" / "values")
    [row] = rows(path, "main.ship", "--args", "o.Items[:2].Name, len(stock)")
    assert [v["name"] for v in row["sites"][0]["values"]] == ["o.Items[:2].Name", "len(stock)"]


@pytest.mark.parametrize(
    ("args", "status", "error"),
    [
        (["main.nope"], 3, "error: function 'main.nope' not found in "),
        (["main.outer", "main.nope*"], 3, "error: no function matches 'main.nope*' in "),
        (["main.outer", "--args", "m"], 2, "error: "),
        (["main.outer", "--args", "n", "--no-args"], 2, "error: --args and --no-args exclude each other"),
        ([], 2, "error: the following arguments are required: PATTERN"),
    ],
)
def test_errors(go_program: GoProgram, args: list[str], status: int, error: str) -> None:
    command = [sys.executable, "-m", "tracer", "explain", "-b", str(go_program(INLINING)), *args]
    out = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (out.returncode, out.stdout) == (status, "")
    assert out.stderr.startswith(error)


@pytest.mark.parametrize("asked", [{"mode": "hist"}, {"sample_each": 2}, {"max_rate": 10}])
def test_refused_where_each_hit_counts(go_program: GoProgram, asked: dict[str, Any]) -> None:
    """A turn of its loop would be taken for a call."""
    path = go_program(FLOATS)
    for reading, refused in (
        (TraceOptions(binary=str(path)).reading, False),
        (TraceOptions(binary=str(path), **asked).reading, True),
    ):
        with Program(str(path)) as program, program.plan(["main.spin"], [], reading) as plan:
            (function,) = plan.functions()
            assert bool(function.refused) == refused
            assert not refused or "each turn would be summed or sampled as a call" in str(function.refused)
