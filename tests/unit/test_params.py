# SPDX-License-Identifier: Apache-2.0
"""`offsets params`: parameters, results and where DWARF says they are, held against pyelftools and known sources."""

from __future__ import annotations

import json
import random
import struct
import subprocess
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import go_versions
import pytest
from elftools.dwarf.descriptions import set_global_machine_arch
from elftools.dwarf.die import DIE
from elftools.dwarf.dwarf_expr import DWARFExprParser
from elftools.dwarf.locationlists import BaseAddressEntry, LocationEntry
from elftools.elf.elffile import ELFFile

Run = Callable[..., "subprocess.CompletedProcess[str]"]
VERSIONS = list(go_versions.VERSIONS)

# DWARF's numbers of amd64's registers (System V ABI, figure 3.36).
REGISTERS = dict(enumerate("rax rdx rcx rbx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15".split()))
REGISTERS.update({17 + i: f"xmm{i}" for i in range(16)})

PROGRAM = """package main

import "fmt"

type point struct {
	x int8
	y int64
}

type counter struct{ n int }

//go:noinline
func (c *counter) add(by int, name string) (int, error) {
	c.n += by
	fmt.Println(name)
	return c.n, nil
}

//go:noinline
func many(a int8, b []point, c map[string]int, d interface{}, e error, f [1]int, g [2]int, h complex128,
	i *point) (s string, ok bool) {
	fmt.Println(a, b, c, d, e, f, g, h, i)
	return "many", true
}

//go:noinline
func byValue(p point, q struct{}) point {
	fmt.Println(p, q)
	return p
}

//go:noinline
func unused(a int, b string) {}

func small(a int) int { return a + 1 }

func main() {
	c := &counter{}
	n, err := c.add(2, "c")
	s, ok := many(1, nil, nil, nil, nil, [1]int{}, [2]int{}, 1, nil)
	p := byValue(point{1, 2}, struct{}{})
	unused(1, "")
	fmt.Println(n, err, s, ok, p, small(n))
}
"""

GENERIC = """package main

import "fmt"

type list[T any] struct{ items []T }

//go:noinline
func (l *list[T]) push(x T, n int) (int, T) {
	l.items = append(l.items, x)
	fmt.Println(x, n)
	return len(l.items), x
}

//go:noinline
func sum[T int | string](xs []T, init T) (total T) {
	for _, x := range xs {
		total += x
	}
	fmt.Println(total)
	return total
}

func main() {
	(&list[int]{}).push(1, 2)
	fmt.Println(sum([]int{1}, 2), sum([]string{"a"}, "b"))
}
"""


def params(offsets_cmd: Run, *args: object) -> dict[str, Any]:
    run = offsets_cmd("params", *args)
    assert (run.returncode, run.stderr) == (0, "")
    result: dict[str, Any] = json.loads(run.stdout)
    return result


def signature(found: dict[str, Any]) -> list[tuple[str, str, str, int, bool]]:
    return [(p["name"], p["type"], p["kind"], p["size"], p["result"]) for p in found["params"]]


DEMO = [
    ("a1", "int", "int", 8, False),
    ("a2", "bool", "bool", 1, False),
    ("a3", "float32", "float32", 4, False),
    ("r1", "int64", "int64", 8, True),
    ("r2", "int32", "int32", 4, True),
    ("r3", "string", "string", 16, True),
]


@pytest.mark.parametrize("mode", ["default", "pie", "nopt"])
@pytest.mark.parametrize("version", VERSIONS)
def test_demo_signature(offsets_cmd: Run, tracee: Callable[..., Path], version: str, mode: str) -> None:
    found = params(offsets_cmd, tracee(version, mode), "main.ebpfDemo")
    assert signature(found) == DEMO
    assert found["optimized"] is (mode != "nopt")
    assert found["source_file"].endswith("main.go")
    assert found["results_missing"] is False
    # Go 1.17 left results out of optimised code; what is shown comes from the caller.
    assert found["results_inferred"] is (version == "1.17" and mode != "nopt")


def cfa(offset: int, size: int) -> list[dict[str, Any]]:
    return [{"offset": 0, "size": size, "place": "cfa", "value": offset}]


def reg(name: str, size: int) -> list[dict[str, Any]]:
    return [{"offset": 0, "size": size, "place": "reg", "reg": name}]


@pytest.mark.parametrize("version", VERSIONS)
def test_demo_locations_at_the_entry(offsets_cmd: Run, tracee: Callable[..., Path], version: str) -> None:
    found = params(offsets_cmd, tracee(version), "main.ebpfDemo")
    expected = {
        "1.15": [cfa(0, 8), cfa(8, 1), cfa(12, 4)],
        "1.17": [reg("rax", 8), cfa(8, 1), reg("xmm0", 4)],  # the compiler's word for a2; it is in rbx
    }.get(version, [reg("rax", 8), reg("rbx", 1), reg("xmm0", 4)])
    assert [p["location"] for p in found["params"][:3]] == expected
    assert {p["at"] for p in found["params"]} == {found["entry"]}
    statuses = {p["status"] for p in found["params"][3:]}
    assert statuses == ({"no location at this pc"} if version == "1.15" else {"no location"})


# ---- against pyelftools ----------------------------------------------------------------------------------------


class Truth:
    """Functions of one package as pyelftools reads them."""

    def __init__(self, path: Path) -> None:
        set_global_machine_arch("x64")
        self.file = path.open("rb")
        self.dwarf = ELFFile(self.file).get_dwarf_info()
        lists = self.dwarf.location_lists()
        assert lists is not None
        self.lists = lists

    def functions(self, package: str | None) -> Iterator[tuple[str, int, int, DIE]]:
        """Of one package, or all."""
        for unit in self.dwarf.iter_CUs():
            top = unit.get_top_DIE()
            if package is not None and self.text(top) != package:
                continue
            for die in top.iter_children():
                if die.tag == "DW_TAG_subprogram" and "DW_AT_low_pc" in die.attributes:
                    low = self.address(die, "DW_AT_low_pc")
                    high = die.attributes["DW_AT_high_pc"]
                    end = high.value if high.form == "DW_FORM_addr" else low + high.value
                    yield self.text(self.origin(die)), low, end, die

    def address(self, die: DIE, name: str) -> int:
        attribute = die.attributes[name]
        if attribute.form == "DW_FORM_addrx" and attribute.value == attribute.raw_value:
            return int(self.dwarf.get_addr(die.cu, attribute.raw_value))
        return int(attribute.value)

    @staticmethod
    def text(die: DIE) -> str:
        attribute = die.attributes.get("DW_AT_name")
        return attribute.value.decode() if attribute else ""

    @staticmethod
    def origin(die: DIE) -> DIE:
        if "DW_AT_abstract_origin" in die.attributes:
            return die.get_DIE_from_attribute("DW_AT_abstract_origin")
        return die

    def location(self, die: DIE, pc: int, size: int) -> object:
        """What `offsets` shows at this pc: a list of pieces, or a status."""
        attribute = die.attributes.get("DW_AT_location")
        if attribute is None or attribute.value == []:
            return "no location"
        if attribute.form != "DW_FORM_sec_offset":
            return self.pieces(die, attribute.value, size)
        base = 0
        for entry in self.lists.get_location_list_at_offset(attribute.value, die):
            if isinstance(entry, BaseAddressEntry):
                base = entry.base_address
            elif isinstance(entry, LocationEntry):
                shift = 0 if entry.is_absolute else base
                if shift + entry.begin_offset <= pc < shift + entry.end_offset:
                    return self.pieces(die, entry.loc_expr, size)
        return "no location at this pc"

    def pieces(self, die: DIE, expression: list[int], size: int) -> object:
        found: list[dict[str, Any]] = []
        place: dict[str, Any] = {"place": "none"}
        offset = 0
        for op in DWARFExprParser(die.cu.structs).parse_expr(expression):
            if op.op_name == "DW_OP_piece":
                found.append({"offset": offset, "size": op.args[0], **place})
                offset += op.args[0]
                place = {"place": "none"}
            elif op.op_name.startswith("DW_OP_reg"):
                place = {"place": "reg", "reg": REGISTERS[op.op - 0x50]}
            elif op.op_name == "DW_OP_fbreg":
                place = {"place": "cfa", "value": op.args[0]}
            elif op.op_name == "DW_OP_deref":
                place = {"place": "deref", "value": place["value"]}
            else:
                assert op.op_name == "DW_OP_call_frame_cfa", op
                place = {"place": "cfa", "value": 0}
        found = found or [{"offset": 0, "size": size, **place}]
        return found if any(p["place"] != "none" for p in found) else "optimised out"


@pytest.mark.parametrize("version", VERSIONS)
def test_locations_agree_with_pyelftools(offsets_cmd: Run, go_program: Callable[..., Path], version: str) -> None:
    path = go_program(PROGRAM, version)
    truth = Truth(path)
    compared = 0
    for name, low, high, die in truth.functions("main"):
        dies = {truth.text(truth.origin(c)): c for c in die.iter_children() if c.tag == "DW_TAG_formal_parameter"}
        for pc in sorted({low + (high - low) * i // 7 for i in range(7)}):
            found = params(offsets_cmd, path, name, "--pc", hex(pc))
            assert (found["entry"], found["end"]) == (hex(low), hex(high))
            for p in found["params"]:
                if p["result"] and found["results_inferred"]:
                    continue
                expected = truth.location(dies[p["name"]], pc, p["size"])
                if isinstance(expected, list) and sum(x["size"] for x in expected) > p["size"]:
                    continue  # Go 1.17 to 1.21 list some words twice; test_words_listed_twice
                assert p.get("location", p.get("status")) == expected, (name, p["name"], hex(pc))
                compared += 1
    assert compared > 100


@pytest.mark.parametrize("mode", ["default", "nopt"])
def test_moved_to_the_heap(mode: str, offsets_cmd: Run, go_program: Callable[..., Path]) -> None:
    """A result that outlives its call lies where a word of the frame points: pyelftools, and the name of that word."""
    program = go_program(Path(__file__).resolve().parents[1] / "live" / "programs" / "builds", "1.26", mode)
    truth = Truth(program)
    ((_, low, _, die),) = [f for f in truth.functions("main") if f[0] == "main.moved"]
    dies = {truth.text(truth.origin(c)): c for c in die.iter_children() if "DW_AT_location" in c.attributes}
    (found,) = [p for p in params(offsets_cmd, program, "main.moved")["params"] if p["name"] == "r"]
    assert found["location"] == truth.location(dies["r"], low, 8)
    assert found["location"] == [{"offset": 0, "size": 8, "place": "deref", "value": found["location"][0]["value"]}]
    if mode == "nopt":
        assert truth.location(dies["&r"], low, 8) == [{**found["location"][0], "place": "cfa"}]


def test_words_listed_twice(offsets_cmd: Run, go_program: Callable[..., Path]) -> None:
    """Go 1.17 describes the two words of this string as rcx, rcx, rdi, rdi, or the like."""
    path = go_program(PROGRAM, "1.17")
    truth = Truth(path)
    doubled = 0
    for name, low, _, die in truth.functions("fmt"):
        for child in die.iter_children():
            if child.tag != "DW_TAG_formal_parameter":
                continue
            parameter = truth.text(truth.origin(child))
            found = [p for p in params(offsets_cmd, path, name)["params"] if p["name"] == parameter and not p["result"]]
            if not found:
                continue
            raw = truth.location(child, low, found[0]["size"])
            if not isinstance(raw, list) or sum(x["size"] for x in raw) <= found[0]["size"]:
                continue
            kept = [x for i, x in enumerate(raw) if not i or {**x, "offset": 0} != {**raw[i - 1], "offset": 0}]
            if sum(x["size"] for x in kept) != found[0]["size"]:
                continue
            doubled += 1
            offset = 0
            for x in kept:
                x["offset"] = offset
                offset += x["size"]
            assert found[0]["location"] == kept, (name, parameter)
        if doubled >= 3:
            break
    assert doubled


# ---- signatures ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_methods_and_all_kinds(offsets_cmd: Run, go_program: Callable[..., Path], version: str) -> None:
    path = go_program(PROGRAM, version)
    assert signature(params(offsets_cmd, path, "main.many"))[:9] == [
        ("a", "int8", "int8", 1, False),
        ("b", "[]main.point", "slice", 24, False),
        ("c", "map[string]int", "map", 8, False),
        ("d", "interface {}", "interface", 16, False),
        ("e", "error", "interface", 16, False),
        ("f", "[1]int", "array", 8, False),
        ("g", "[2]int", "array", 16, False),
        ("h", "complex128", "complex128", 16, False),
        ("i", "*main.point", "pointer", 8, False),
    ]
    assert signature(params(offsets_cmd, path, "main.(*counter).add"))[:3] == [
        ("c", "*main.counter", "pointer", 8, False),
        ("by", "int", "int", 8, False),
        ("name", "string", "string", 16, False),
    ]


@pytest.mark.parametrize("version", [v for v in VERSIONS if v not in ("1.17",)])
def test_results(offsets_cmd: Run, go_program: Callable[..., Path], version: str) -> None:
    path = go_program(PROGRAM, version)
    found = signature(params(offsets_cmd, path, "main.many"))[9:]
    assert found == [("s", "string", "string", 16, True), ("ok", "bool", "bool", 1, True)]
    add = signature(params(offsets_cmd, path, "main.(*counter).add"))[3:]
    assert [x[1:] for x in add] == [("int", "int", 8, True), ("error", "interface", 16, True)]


def test_results_of_1_17_from_the_caller(offsets_cmd: Run, go_program: Callable[..., Path]) -> None:
    path = go_program(PROGRAM, "1.17")
    found = params(offsets_cmd, path, "main.(*counter).add")
    assert (found["results_inferred"], found["results_missing"]) == (True, False)
    assert signature(found)[3:] == [("n", "int", "int", 8, True), ("err", "error", "interface", 16, True)]
    # No caller keeps a result of a function that has none: it is not known, and nothing is made up.
    none = params(offsets_cmd, path, "main.unused")
    assert (none["results_inferred"], none["results_missing"]) == (False, True)
    assert signature(none) == [("a", "int", "int", 8, False), ("b", "string", "string", 16, False)]


@pytest.mark.parametrize("version", ["1.19", "1.21", "1.24", "1.26", "1.27"])
def test_generic(offsets_cmd: Run, go_program: Callable[..., Path], tmp_path: Path, version: str) -> None:
    (tmp_path / "main.go").write_text(GENERIC)
    (tmp_path / "go.mod").write_text("module example.com/generic\n\ngo 1.18\n")
    path = go_program(tmp_path, version)
    tail = "_0" if version == "1.19" else ""  # shapes were numbered
    shape = f"go.shape.int{tail}"
    found = params(offsets_cmd, path, f"main.(*list[{shape}]).push")
    assert [(p["name"], p["type"], p["kind"], p["result"]) for p in found["params"]] == [
        ("l", f"*main.list[{shape}]", "pointer", False),
        ("x", shape, "int", False),
        ("n", "int", "int", False),
        ("~r0", "int", "int", True),
        ("~r1", shape, "int", True),
    ]
    assert found["dictionary"] is (version == "1.27")  # listed from then on; it is no parameter


# ---- what is not there -----------------------------------------------------------------------------------------


def refused(run: subprocess.CompletedProcess[str], code: int) -> str:
    assert (run.returncode, run.stdout) == (code, "")
    return run.stderr


def test_unknown_function(offsets_cmd: Run, tracee: Callable[..., Path]) -> None:
    err = refused(offsets_cmd("params", tracee(), "main.ebpfdemo"), 3)
    assert "'main.ebpfdemo'" in err and "main.ebpfDemo" in err.splitlines()[1]


def test_inlined_function(offsets_cmd: Run, go_program: Callable[..., Path]) -> None:
    path = go_program(PROGRAM, "1.26")
    err = refused(offsets_cmd("params", path, "main.small"), 3)
    assert err.splitlines()[0] == f"error: function 'main.small' exists in {path} only as inlined copies"


def test_no_debug_information(offsets_cmd: Run, tracee: Callable[..., Path]) -> None:
    path = tracee("1.26", "nodwarf")
    err = refused(offsets_cmd("params", path, "main.ebpfDemo"), 3)
    assert err.splitlines()[0].startswith(f"error: {path} has no debug information")


@pytest.mark.parametrize("args", [[], ["main.main", "--pc"], ["main.main", "--at", "1"], ["main.main", "--pc", "x"]])
def test_usage(offsets_cmd: Run, tracee: Callable[..., Path], args: list[str]) -> None:
    assert refused(offsets_cmd("params", tracee(), *args), 2).startswith("error: ")


def test_pc_of_another_function(offsets_cmd: Run, tracee: Callable[..., Path]) -> None:
    err = refused(offsets_cmd("params", tracee(), "main.ebpfDemo", "--pc", "0x1"), 2)
    assert "0x1 does not lie in main.ebpfDemo" in err


# ---- damaged files ---------------------------------------------------------------------------------------------


def inflated(path: Path) -> tuple[bytearray, list[tuple[int, int]]]:
    """The file with its debug sections inflated at its end, and where they are now."""
    data = bytearray(path.read_bytes())
    places = []
    with path.open("rb") as file:
        elf = ELFFile(file)
        for i, section in enumerate(elf.iter_sections()):
            if not section.name.startswith(".debug_") or not section.compressed:
                continue
            raw = zlib.decompress(data[section["sh_offset"] + 24 : section["sh_offset"] + section["sh_size"]])
            header = elf["e_shoff"] + i * elf["e_shentsize"]
            struct.pack_into("<Q", data, header + 8, section["sh_flags"] & ~0x800)
            struct.pack_into("<QQ", data, header + 24, len(data), len(raw))
            places.append((len(data), len(raw)))
            data += raw
    return data, places


@pytest.mark.parametrize("version", ["1.24", "1.27"])
def test_damaged_debug_information(offsets_cmd: Run, tracee: Callable[..., Path], tmp_path: Path, version: str) -> None:
    whole, places = inflated(tracee(version))
    path = tmp_path / "damaged"
    path.write_bytes(whole)
    assert signature(params(offsets_cmd, path, "main.ebpfDemo")) == DEMO
    for seed in range(60):
        chance = random.Random(seed)
        data = bytearray(whole)
        for _ in range(300):
            start, size = chance.choice(places)
            data[start + chance.randrange(size)] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        for run in (
            offsets_cmd("params", path, "main.ebpfDemo", timeout=20),
            offsets_cmd("type", path, "runtime.g", timeout=20),
        ):
            if run.returncode == 0:
                json.loads(run.stdout)
            else:
                assert run.returncode == 3 and run.stderr.startswith("error: "), (seed, run)
                assert run.stdout == ""


@pytest.mark.parametrize("version", ["1.15", "1.26"])
def test_walk_counts_what_pyelftools_counts(offsets_cmd: Run, go_program: Callable[..., Path], version: str) -> None:
    path = go_program(PROGRAM, version)
    truth = Truth(path)
    functions = sum(1 for name, low, end, _ in truth.functions(None) if name and end > low)
    walk = json.loads(offsets_cmd("walk", path).stdout)
    assert walk["functions"] == functions
    assert walk["malformed"] == 0
    values = walk["params"] + walk["results"]
    assert walk["located"] + walk["unlocated"] + walk["unsupported"] == values > 1000
