# SPDX-License-Identifier: Apache-2.0
"""What the compiler inlined, as the pclntab tells: against llvm-symbolizer, the source, and damaged files."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from tracer.plan import Program

ROOT = Path(__file__).resolve().parents[2]
INLINING = ROOT / "tests" / "live" / "programs" / "inlining"
VERSIONS = ["1.15", "1.17", "1.19", "1.21", "1.24", "1.26", "1.27"]
FRAMES_MAX = 64  # FUNC_FRAMES_MAX of offsets/inlines.h
ASKED = 251  # addresses of each kind

GoProgram = Callable[..., Path]


def run(*args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tracer", *map(str, args)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


def symbolized(path: Path, addresses: list[int]) -> dict[int, list[tuple[str, int]]]:
    """(function, line) of each frame, innermost first, as llvm-symbolizer has it from the debug information."""
    command = ["llvm-symbolizer", "--inlines", "--functions=linkage", "-e", str(path)]
    text = "".join(f"{a:#x}\n" for a in addresses)
    out = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
    found = {}
    for address, block in zip(addresses, out.strip("\n").split("\n\n")):
        lines = block.split("\n")
        names = [n[: -len(".abi0")] if n.endswith(".abi0") else n for n in lines[::2]]
        found[address] = list(zip(names, [int(line.rsplit(":", 2)[1]) for line in lines[1::2]]))
    return found


@pytest.mark.parametrize("mode", ["default", "pie"])
@pytest.mark.parametrize("version", VERSIONS)
def test_frames_are_those_of_llvm_symbolizer(go_program: GoProgram, version: str, mode: str) -> None:
    path = go_program(INLINING, version, mode)
    draw = random.Random(version + mode)
    with Program(str(path)) as program:
        functions = [f for f in program.functions() if f.size]
        copies = program.inlined()
        addresses = {draw.randrange(f.entry, f.entry + f.size) for f in draw.sample(functions, ASKED)}
        addresses |= {c.addr for c in draw.sample(copies, ASKED)}
        truth = symbolized(path, sorted(addresses))
        compared = inlined = 0
        for address, expected in truth.items():
            ours = [(f.function, f.line) for f in program.frames_at(address)]
            # it knows no padding between functions, and its debug information nothing of what is generated
            if expected[0][0] == "??" or ours[-1][1] in (0, 1):
                continue
            # of an instance of a generic function the pclntab of Go 1.18 to 1.20 has the abbreviated name
            assert [line for _, line in ours] == [line for _, line in expected]
            for (name, _), (full, _) in zip(ours, expected):
                assert name == full or "[...]" in name
            assert [f.inlined for f in program.frames_at(address)] == [True] * (len(ours) - 1) + [False]
            compared += 1
            inlined += len(ours) > 1
    assert compared > 1.5 * ASKED and inlined > ASKED // 2


@pytest.mark.parametrize("version", VERSIONS)
def test_stripped_files_tell_the_same(go_program: GoProgram, version: str) -> None:
    path, stripped = go_program(INLINING, version), go_program(INLINING, version, "stripped")
    with Program(str(path)) as whole, Program(str(stripped)) as twin:
        copies, same = whole.inlined(["main.*"]), twin.inlined(["main.*"])
        assert len(copies) == 4
        assert copies == same  # addresses too: stripping moves no code
        for copy in copies:
            assert whole.frames_at(copy.addr) == twin.frames_at(copy.addr)


def place(text: str, nth: int = 1) -> int:
    """The line of the source where a text stands for the nth time."""
    lines = [i for i, line in enumerate((INLINING / "main.go").read_text().split("\n"), 1) if text in line]
    return lines[nth - 1]


@pytest.mark.parametrize("mode", ["default", "pie", "stripped-pie"])
@pytest.mark.parametrize("version", VERSIONS)
def test_copies_are_those_of_the_source(go_program: GoProgram, version: str, mode: str) -> None:
    """inner is called in middle, which outer calls, in outer itself, and in other."""
    with Program(str(go_program(INLINING, version, mode))) as program:
        found = Counter((c.name, c.into, c.line) for c in program.inlined(["main.inner", "main.middle"]))
    assert found == {
        ("main.middle", "main.outer", place("return middle(100)")): 1,
        ("main.inner", "main.outer", place("return inner(n) + 1")): 1,
        ("main.inner", "main.outer", place("inner(101)")): 1,
        ("main.inner", "main.other", place("func other")): 1,
    }


def test_without_inlining(go_program: GoProgram) -> None:
    with Program(str(go_program(INLINING, "1.26", "nopt"))) as program:
        assert program.inlined(["main.*"]) == []
        assert {f.name for f in program.functions(["main.inner", "main.middle"])} == {"main.inner", "main.middle"}


# ---- list --long ------------------------------------------------------------------------------------------------


def test_list_long(go_program: GoProgram) -> None:
    out = run("list", "-b", go_program(INLINING), "--long", "main.*")
    assert (out.returncode, out.stderr) == (0, "")
    file = next(line for line in out.stdout.split("\n")).split("  ")[1].rsplit(":", 1)[0]
    assert Path(file).name == "main.go"
    assert out.stdout.splitlines() == [
        f"main.here(n int) (~r0 int)  {file}:{place('func here')}",
        f"main.main()  {file}:{place('func main')}",
        f"main.other(n int) (~r0 int)  {file}:{place('func other')}",
        f"main.outer(n int) (~r0 int)  {file}:{place('func outer')}",
        "main.inner  only 3 inlined",
        "main.middle  only 1 inlined",
    ]


def test_list_long_as_json(go_program: GoProgram) -> None:
    path = go_program(INLINING)
    out = run("list", "-b", path, "--long", "-f", "jsonl", "/^main\\.(inner|outer)$/")
    assert (out.returncode, out.stderr) == (0, "")
    outer, inner = map(json.loads, out.stdout.splitlines())
    with path.open("rb") as file:
        [symbol] = ELFFile(file).get_section_by_name(".symtab").get_symbol_by_name("main.outer")
    assert Path(outer.pop("file")).name == "main.go"
    assert outer == {
        "name": "main.outer",
        "address": f"{symbol['st_value']:#x}",
        "size": outer["size"],
        "line": place("func outer"),
        "params": [{"name": "n", "type": "int"}],
        "results": [{"name": "~r0", "type": "int"}],
        "inlined_copies": 0,
    }
    assert outer["size"] >= symbol["st_size"]
    assert (inner["name"], inner["address"], inner["params"], inner["inlined_copies"]) == ("main.inner", None, None, 3)


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("/^main\\.o/", ["main.other", "main.outer"]),
        ("/outer|here$/", ["main.here", "main.outer"]),
        ("/OUTER/", []),
        ("/main\\.(*Int)/", None),
        ("/a[/", None),
    ],
)
def test_regular_expressions(go_program: GoProgram, pattern: str, names: list[str] | None) -> None:
    out = run("list", "-b", go_program(INLINING), "--", pattern)
    if names is None:
        assert (out.returncode, out.stdout) == (2, "")
        assert out.stderr.startswith(f"error: '{pattern}' is no regular expression: ")
    elif not names:
        assert (out.returncode, out.stdout) == (3, "")
        assert out.stderr.startswith(f"error: function {pattern!r} not found in ")
    else:
        assert (out.returncode, out.stderr) == (0, "")
        assert [n for n in out.stdout.split() if n.startswith("main.")] == names


def test_regular_expression_as_what_is_traced(go_program: GoProgram) -> None:
    out = run("-b", go_program(INLINING), "--func", "/^main\\.o/", "--exclude", "/er$/", "--dry-run")
    assert (out.returncode, out.stdout.count("main.")) == (3, 0)
    assert out.stderr == "error: every function that matches is excluded\n"
    out = run("-b", go_program(INLINING), "--func", "/^main\\.o/", "--exclude", "/out/", "--dry-run")
    assert out.stdout.splitlines()[2] == "main.other(n int) (~r0 int)"


def test_100000_functions_are_too_many(go_program: GoProgram, tmp_path: Path) -> None:
    """Names alone can be listed; what needs a plan asks for a narrower pattern."""
    n = 100_003
    (tmp_path / "main.go").write_text("package main\n\nfunc all()\n\nfunc main() { all() }\n")
    uses = "".join(f"\tLEAQ ·f{i}(SB), AX\n" for i in range(n))
    bodies = "".join(f"TEXT ·f{i}(SB), 4, $0-0\n\tRET\n" for i in range(n))
    (tmp_path / "all.s").write_text(f"TEXT ·all(SB), 4, $0-0\n{uses}\tRET\n{bodies}")
    path = go_program(tmp_path)
    assert len(run("list", "-b", path, "main.f*").stdout.splitlines()) == n
    for args in (["list", "--long", "main.f*"], ["explain", "main.f*"], ["--func", "main.f*", "--dry-run"]):
        out = run(*args, "-b", path)
        assert (out.returncode, out.stdout) == (2, "")
        assert out.stderr == (
            f"error: {n} functions match, at most 100000 can be traced at once\nhint: ask for a narrower pattern\n"
        )
    out = run("list", "--long", "-b", path, "main.f99???")
    assert (out.returncode, len(out.stdout.splitlines())) == (0, 1000)


# ---- damaged tables ---------------------------------------------------------------------------------------------


def damaged(path: Path, target: Path, fill: bytes) -> Path:
    """A copy with its tables of inlined calls overwritten."""
    data = bytearray(path.read_bytes())
    with path.open("rb") as file:
        elf = ELFFile(file)
        [symbol] = elf.get_section_by_name(".symtab").get_symbol_by_name("go:func.*")
        [start] = elf.address_offsets(symbol["st_value"])
        size = symbol["st_size"]
    assert size > 1000
    data[start : start + size] = (fill * (size // len(fill) + 1))[:size]
    target.write_bytes(data)
    return target


def test_names_out_of_bounds(go_program: GoProgram, tmp_path: Path) -> None:
    path = go_program(INLINING)
    with Program(str(path)) as whole:
        addresses = [c.addr for c in whole.inlined(["main.*"])]
    with Program(str(damaged(path, tmp_path / "damaged", b"\xff"))) as program:
        assert program.inlined() == []
        for address in addresses:
            [frame] = program.frames_at(address)
            assert not frame.inlined and frame.function.startswith("main.")


def test_circles_end(go_program: GoProgram, tmp_path: Path) -> None:
    """Every call of a tree leads back to an instruction that belongs to an inlined call."""
    path = go_program(INLINING)
    with Program(str(path)) as whole:
        [outer] = whole.functions(["main.outer"])
        copy = next(c for c in whole.inlined(["main.middle"]))
    circle = (copy.addr - outer.entry).to_bytes(4, "little")
    entry = bytes(4) + bytes(4) + circle + bytes(4)
    with Program(str(damaged(path, tmp_path / "damaged", entry))) as program:
        frames = program.frames_at(copy.addr)
        assert len(frames) == FRAMES_MAX
        assert (frames[-1].function, frames[-1].inlined) == ("main.outer", False)


def test_trees_out_of_bounds(go_program: GoProgram, tmp_path: Path) -> None:
    """A tree that is said to be where the file has no bytes."""
    path = go_program(INLINING, "1.24")
    data = bytearray(path.read_bytes())
    with path.open("rb") as file:
        elf = ELFFile(file)
        section = elf.get_section_by_name(".symtab")
        index = next(i for i, s in enumerate(section.iter_symbols()) if s.name == "go:func.*")
        offset = section["sh_offset"] + index * section["sh_entsize"] + 8
        last = max(s["p_vaddr"] + s["p_filesz"] for s in elf.iter_segments() if s["p_type"] == "PT_LOAD")
    data[offset : offset + 8] = (last - 1).to_bytes(8, "little")
    target = tmp_path / "damaged"
    target.write_bytes(data)
    out = run("list", "-b", target, "--long", "main.*")
    assert (out.returncode, out.stdout) == (3, "")
    assert out.stderr.startswith(f"error: {target}: damaged Go function table: the inlined calls of ")
    assert out.stderr.endswith(" are out of bounds\n")
