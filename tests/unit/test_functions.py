# SPDX-License-Identifier: Apache-2.0
"""`offsets functions`: names, addresses, files and lines, against the symbol table, the Go tools and stripped twins."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path
from typing import Any, Callable

import go_versions
import pytest
from elftools.elf.elffile import ELFFile

VERSIONS = ["1.15", "1.17", "1.19", "1.21", "1.24", "1.26", "1.27"]
ALL_BUILDS = [(version, mode) for version in VERSIONS for mode in ("default", "pie")]
TOOLS = "1.26"  # whose go command is the witness
LINES_ASKED = 211

Offsets = Callable[..., "subprocess.CompletedProcess[str]"]
Tracee = Callable[..., Path]
Program = Callable[..., Path]

# Marks that the linker sets into the code. The pclntab of Go 1.24 and later lists the first two.
MARKS = {"runtime.text", "runtime.etext", "go:textfipsstart", "go:textfipsend"}

GENERIC = """package main

import "fmt"

type List[T any] struct{ v []T }

//go:noinline
func (l *List[T]) Push(x T) { l.v = append(l.v, x) }

//go:noinline
func Map[A, B any](a []A, f func(A) B) (r []B) {
	for _, x := range a {
		r = append(r, f(x))
	}
	return
}

//go:noinline
func Mapper(a int) int { return a + 1 }

func main() {
	var l List[int]
	l.Push(Mapper(3))
	fmt.Println(Map(l.v, func(i int) string { return fmt.Sprint(i) }), Map(l.v, func(i int) float64 { return 1 }))
}
"""
GENERIC_MOD = "module example.com/generic\n\ngo 1.18\n"

CGO = """package main

// static __thread long own[9] = {1, 2, 3};
// int cadd(int a, int b) { own[1] += a; return a + b; }
import "C"
import "fmt"

func main() { fmt.Println(C.cadd(1, 2)) }
"""


def listing(offsets_cmd: Offsets, *args: object) -> dict[str, Any]:
    run = offsets_cmd("functions", *args)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.endswith("}\n") and run.stdout.count("\n") == 1
    result: dict[str, Any] = json.loads(run.stdout)
    return result


def names(result: dict[str, Any]) -> list[str]:
    return [f["name"] for f in result["functions"]]


def symbols(path: Path) -> dict[int, set[str]]:
    """Functions of the symbol table, by address."""
    found: dict[int, set[str]] = {}
    with path.open("rb") as file:
        for symbol in ELFFile(file).get_section_by_name(".symtab").iter_symbols():
            if symbol["st_info"]["type"] == "STT_FUNC" and symbol["st_shndx"] != "SHN_UNDEF":
                found.setdefault(symbol["st_value"], set()).add(symbol.name)
    return found


def go(*args: object, text: str = "") -> str:
    command = [f"{go_versions.goroot(TOOLS)}/bin/go", *map(str, args)]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def without_section_headers(path: Path, target: Path) -> Path:
    data = bytearray(path.read_bytes())
    data[0x28:0x30] = bytes(8)  # e_shoff
    data[0x3A:0x40] = bytes(6)  # e_shentsize, e_shnum, e_shstrndx
    target.write_bytes(data)
    return target


@pytest.mark.parametrize(("version", "mode"), ALL_BUILDS)
def test_names_are_those_of_the_symbol_table(offsets_cmd: Offsets, tracee: Tracee, version: str, mode: str) -> None:
    path = tracee(version, mode)
    result = listing(offsets_cmd, path)
    truth = symbols(path)
    listed = {int(f["entry"], 16): f for f in result["functions"]}
    assert len(listed) == len(result["functions"])
    assert list(listed) == sorted(listed)
    assert {a for a, n in truth.items() if not n <= MARKS} - set(listed) == set()
    assert {a for a in listed if a not in truth} == {a for a, f in listed.items() if f["source"] == ["pclntab"]} - {
        a for a, f in listed.items() if f["name"] in MARKS
    }
    for entry, func in listed.items():
        if func["name"] in MARKS:
            continue
        assert func["source"] == ["pclntab", "symtab"]
        assert func["name"] + (".abi0" if func["abi0"] else "") in truth[entry]


@pytest.mark.parametrize(("version", "mode"), ALL_BUILDS)
def test_ranges_are_in_order_and_apart(offsets_cmd: Offsets, tracee: Tracee, version: str, mode: str) -> None:
    functions = listing(offsets_cmd, tracee(version, mode))["functions"]
    for func, following in zip(functions, functions[1:]):
        assert int(func["entry"], 16) < int(func["end"], 16) <= int(following["entry"], 16)


@pytest.mark.parametrize(("version", "mode"), ALL_BUILDS)
def test_lines_are_those_of_addr2line(offsets_cmd: Offsets, tracee: Tracee, version: str, mode: str) -> None:
    path = tracee(version, mode)
    functions = [f for f in listing(offsets_cmd, path)["functions"] if f["name"] not in MARKS]
    asked = random.Random(version + mode).sample(functions, LINES_ASKED)
    answers = go("tool", "addr2line", path, text="".join(f["entry"] + "\n" for f in asked)).splitlines()
    assert [f"{f['file']}:{f['line']}" if f["file"] else "?:0" for f in asked] == answers[1::2]


@pytest.mark.parametrize(("version", "mode"), ALL_BUILDS)
def test_head_is_that_of_go_version(offsets_cmd: Offsets, tracee: Tracee, version: str, mode: str) -> None:
    path = tracee(version, mode)
    result = listing(offsets_cmd, path, "main.ebpfDemo")
    with path.open("rb") as file:
        elf = ELFFile(file)
        note = elf.get_section_by_name(".note.gnu.build-id")
        build_id = next(n["n_desc"] for n in note.iter_notes()) if note else None
    head = {key: value for key, value in result.items() if key != "functions"}
    assert head == {
        "file": str(path),
        "go": go("version", path).rpartition(": ")[2].strip(),
        "build_id": build_id,
        "pie": mode == "pie",
        "arch": "amd64",
    }
    assert names(result) == ["main.ebpfDemo"]
    lines = (go_versions.TRACEE / "main.go").read_text().splitlines()
    assert lines[result["functions"][0]["line"] - 1].startswith("func ebpfDemo(")
    assert result["functions"][0]["file"].endswith("/main.go")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("mode", ["stripped", "stripped-pie"])
def test_stripped_program_has_its_names(offsets_cmd: Offsets, tracee: Tracee, version: str, mode: str) -> None:
    whole = listing(offsets_cmd, tracee(version, "pie" if mode == "stripped-pie" else "default"))
    stripped = listing(offsets_cmd, tracee(version, mode))
    # ld spells the compiler's middle dot '.' and writes type arguments out in the symbol table alone.
    plain = [n.replace("·", ".") for n in names(stripped)]
    expected = names(whole)
    assert len(plain) == len(expected)
    assert [(a, b) for a, b in zip(plain, expected) if a != b and "[...]" not in a] == []
    assert {tuple(f["source"]) for f in stripped["functions"]} == {("pclntab",)}
    assert [(f["file"], f["line"]) for f in stripped["functions"]] == [
        (f["file"], f["line"]) for f in whole["functions"]
    ]


@pytest.mark.parametrize(("version", "mode"), ALL_BUILDS)
def test_without_section_headers(offsets_cmd: Offsets, tracee: Tracee, tmp_path: Path, version: str, mode: str) -> None:
    """The table is found by its magic, the start of the text through the module data."""
    path = tracee(version, mode)
    whole = listing(offsets_cmd, path)
    bare = listing(offsets_cmd, without_section_headers(path, tmp_path / "bare"))
    assert bare["go"] == whole["go"]
    where = [(f["entry"], f["end"], f["file"], f["line"]) for f in bare["functions"]]
    assert where == [(f["entry"], f["end"], f["file"], f["line"]) for f in whole["functions"]]


@pytest.mark.parametrize("version", ["1.15", "1.19", "1.26"])
@pytest.mark.parametrize("mode", ["default", "pie"])
def test_cgo(offsets_cmd: Offsets, go_program: Program, tmp_path: Path, version: str, mode: str) -> None:
    """The C linker leaves the pointers of a PIE to relocations, and C functions are no Go functions."""
    path = go_program(CGO, version, mode, cgo=True)
    functions = listing(offsets_cmd, path)["functions"]
    sources = {f["name"]: f["source"] for f in functions}
    assert sources["main.main"] == ["pclntab", "symtab"]
    assert sources["cadd"] == ["symtab"]
    assert offsets_cmd("functions", path, "cadd").returncode == 3
    bare = listing(offsets_cmd, without_section_headers(path, tmp_path / "bare"))
    go_functions = [f for f in functions if "pclntab" in f["source"]]
    assert [f["entry"] for f in bare["functions"]] == [f["entry"] for f in go_functions]
    truth = symbols(path)
    for func in go_functions:
        if func["name"] not in MARKS:
            assert func["name"] + (".abi0" if func["abi0"] else "") in truth[int(func["entry"], 16)]


@pytest.fixture(scope="session", params=["1.19", "1.21", "1.27"])
def generic(request: pytest.FixtureRequest, go_program: Program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generic")
    (folder / "main.go").write_text(GENERIC)
    (folder / "go.mod").write_text(GENERIC_MOD)
    return go_program(folder, request.param)


MAPS = ["main.Map[go.shape.int,go.shape.float64]", "main.Map[go.shape.int,go.shape.string]"]


def shapes(found: list[str]) -> list[str]:
    """Go 1.18 to 1.20 number the shapes: go.shape.int_0."""
    return sorted(n.replace("_0", "").replace("_1", "") for n in found)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("main.Map", MAPS),
        ("main.Map[...]", MAPS),
        ("main.Map[*", MAPS),
        ("main.Ma?", MAPS),
        ("main.Mapper", ["main.Mapper"]),
        ("main.Ma*", [*MAPS, "main.Mapper"]),
        ("main.(*List).Push", ["main.(*List[go.shape.int]).Push"]),
        ("main.(*List[...]).Push", ["main.(*List[go.shape.int]).Push"]),
        ("*.Push", ["main.(*List[go.shape.int]).Push"]),
    ],
)
def test_patterns_and_instances(offsets_cmd: Offsets, generic: Path, pattern: str, expected: list[str]) -> None:
    assert shapes(names(listing(offsets_cmd, generic, pattern))) == expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("main.*", ["main.ebpfDemo", "main.main"]),
        ("main.m???", ["main.main"]),
        ("main.main", ["main.main"]),
        ("*main", ["main.main", "runtime.main"]),
        # '*' of a receiver: the exact name wins over what else it would match as a pattern
        ("fmt.(*pp).free", ["fmt.(*pp).free"]),
        ("runtime.memmove", ["runtime.memmove"]),
    ],
)
def test_patterns(offsets_cmd: Offsets, tracee: Tracee, pattern: str, expected: list[str]) -> None:
    assert sorted(names(listing(offsets_cmd, tracee(), pattern))) == expected


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("main.ebpfdemo", "did you mean 'main.ebpfDemo'?"),
        ("ebpfDemo", "did you mean 'main.ebpfDemo'?"),
        ("main.ebpfDeno", "did you mean 'main.ebpfDemo'?"),
        ("main.epfDemo", "did you mean 'main.ebpfDemo'?"),
    ],
)
def test_suggestion(offsets_cmd: Offsets, tracee: Tracee, asked: str, hint: str) -> None:
    path = tracee()
    run = offsets_cmd("functions", path, asked)
    assert (run.returncode, run.stdout) == (3, "")
    assert run.stderr == f"error: no function '{asked}' in {path}\nhint: {hint}\n"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("example.com/nothing/like*this", "no function matches 'example.com/nothing/like*this'"),
        ("example.com/nothing/like.this", "no function 'example.com/nothing/like.this'"),
        ("\x1b[31m\n", "no function '\\x1b[31m\\x0a'"),
        ("[", "no function '['"),
        ("", "no function ''"),
    ],
)
def test_nothing_matches(offsets_cmd: Offsets, tracee: Tracee, asked: str, said: str) -> None:
    path = tracee()
    run = offsets_cmd("functions", path, asked)
    assert (run.returncode, run.stdout) == (3, "")
    assert run.stderr == f"error: {said} in {path}\n"


def test_two_bodies_of_one_name(offsets_cmd: Offsets, tracee: Tracee) -> None:
    """An assembly function and the wrapper that other packages call: two addresses, one name."""
    path = tracee("1.21")
    truth = symbols(path)
    pairs = [
        (entry, name.removesuffix(".abi0"))
        for entry, found in truth.items()
        for name in found
        if name.endswith(".abi0") and any(name.removesuffix(".abi0") in other for other in truth.values())
    ]
    assert pairs
    for entry, name in pairs:
        functions = listing(offsets_cmd, path, name)["functions"]
        assert {f["name"] for f in functions} == {name}
        assert [int(f["entry"], 16) for f in functions if f["abi0"]] == [entry]
        assert len(functions) == sum(bool({name, name + ".abi0"} & found) for found in truth.values())
