# SPDX-License-Identifier: Apache-2.0
"""`offsets type`: Go's types, held against what the program itself says (reflect) and against pyelftools."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import go_versions
import pytest
from elftools.dwarf.die import DIE
from elftools.elf.elffile import ELFFile

Run = Callable[..., "subprocess.CompletedProcess[str]"]
VERSIONS = list(go_versions.VERSIONS)

# Prints each of its types as reflect sees it, so that the program is the witness.
PROGRAM = """package main

import (
	"encoding/json"
	"fmt"
	"reflect"
	"sync"
	"time"
	"unsafe"
)

type Inner struct {
	A int8
	B int64
}

type Celsius float64
type Name string
type Names []Name
type Index map[Name][]Inner
type Grid [3][2]Inner
type Ref *Inner
type Call func(int, string) error
type Feed chan<- Inner
type Doer interface{ Do(int) string }
type Empty struct{}

type Node struct {
	Next *Node
	Kids []Node
	By   map[string]*Node
	Val  interface{}
}

type Big struct {
	Inner
	*Node
	Flag  bool
	I     int
	I8    int8
	I16   int16
	I32   int32
	I64   int64
	U     uint
	U8    uint8
	U16   uint16
	U32   uint32
	U64   uint64
	Up    uintptr
	F32   float32
	F64   float64
	C64   complex64
	Odd   byte
	C128  complex128
	S     string
	Sl    []string
	Arr   [3]Inner
	None  [0]int64
	M     map[string]int
	C     chan bool
	F     func(int) string
	E     error
	Any   interface{}
	P     unsafe.Pointer
	T     Celsius
	N     Names
	X     Index
	G     Grid
	R     Ref
	K     Call
	D     Feed
	O     Doer
	_     int16
	Z     Empty
	Mu    sync.Mutex
	When  time.Time
	Long  time.Duration
	Last  struct{ a, b uint8 }
}

type field struct {
	Name, Kind   string
	Offset, Size uintptr
	Embedded     bool
}

type seen struct {
	Type, Kind  string
	Size        uintptr
	Align, Len  int
	Elem, Key   string
	Fields      []field
}

func see(t reflect.Type) seen {
	s := seen{Type: t.String(), Kind: t.Kind().String(), Size: t.Size(), Align: t.Align()}
	switch t.Kind() {
	case reflect.Array:
		s.Len = t.Len()
		s.Elem = t.Elem().String()
	case reflect.Chan, reflect.Ptr, reflect.Slice:
		s.Elem = t.Elem().String()
	case reflect.Map:
		s.Elem = t.Elem().String()
		s.Key = t.Key().String()
	case reflect.Struct:
		for i := 0; i < t.NumField(); i++ {
			f := t.Field(i)
			s.Fields = append(s.Fields, field{f.Name, f.Type.Kind().String(), f.Offset, f.Type.Size(), f.Anonymous})
		}
	}
	return s
}

func main() {
	var b Big
	t := reflect.TypeOf(b)
	all := []seen{see(t), see(reflect.TypeOf(&b)), see(reflect.TypeOf(Node{}))}
	for i := 0; i < t.NumField(); i++ {
		if t.Field(i).Type.Name() != "" || t.Field(i).Type.Kind() != reflect.Struct {
			all = append(all, see(t.Field(i).Type))
		}
	}
	text, _ := json.Marshal(all)
	fmt.Println(string(text))
}
"""

KINDS = {"ptr": "pointer", "unsafe.Pointer": "unsafe_pointer"}


def type_of(offsets_cmd: Run, path: Path, name: str) -> dict[str, Any]:
    run = offsets_cmd("type", path, name)
    assert (run.returncode, run.stderr) == (0, "")
    found: dict[str, Any] = json.loads(run.stdout)
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_types_agree_with_reflect(offsets_cmd: Run, go_program: Callable[..., Path], version: str) -> None:
    path = go_program(PROGRAM, version)
    witness = json.loads(subprocess.run([path], capture_output=True, text=True, check=True).stdout)
    assert len(witness) == 45
    for w in witness:
        found = type_of(offsets_cmd, path, w["Type"])
        kind = KINDS.get(w["Kind"], w["Kind"])
        assert (found["type"], found["kind"], found["size"], found["align"]) == (w["Type"], kind, w["Size"], w["Align"])
        assert found["count"] == (w["Len"] if kind == "array" else None)
        assert found["elem"] == (w["Elem"] or None) or kind == "unsafe_pointer"
        assert found["key"] == (w["Key"] or None)
        assert found["foreign"] is False
        if kind == "struct":
            assert [(f["name"], f["kind"], f["offset"], f["size"], f["embedded"]) for f in found["fields"]] == [
                (f["Name"], KINDS.get(f["Kind"], f["Kind"]), f["Offset"], f["Size"], f["Embedded"])
                for f in w["Fields"] or []
            ]


@pytest.mark.parametrize("version", VERSIONS)
def test_words_of_slices_and_interfaces(offsets_cmd: Run, tracee: Callable[..., Path], version: str) -> None:
    def words(name: str) -> list[tuple[str, int]]:
        return [(f["name"], f["offset"]) for f in type_of(offsets_cmd, tracee(version), name)["fields"]]

    assert words("string") == [("str", 0), ("len", 8)]
    assert words("[]string") == [("array", 0), ("len", 8), ("cap", 16)]
    assert words("error") == [("tab", 0), ("data", 8)]
    assert words("interface {}") == [("_type", 0), ("data", 8)]
    assert type_of(offsets_cmd, tracee(version), "interface {}")["empty_interface"] is True
    assert type_of(offsets_cmd, tracee(version), "error")["empty_interface"] is False


def struct_fields(path: Path, name: str) -> list[tuple[str, int]]:
    """Names and offsets of a struct's fields as pyelftools reads them."""
    with path.open("rb") as file:
        for unit in ELFFile(file).get_dwarf_info().iter_CUs():
            for die in unit.get_top_DIE().iter_children():
                attribute = die.attributes.get("DW_AT_name")
                if die.tag == "DW_TAG_structure_type" and attribute and attribute.value == name.encode():
                    return [
                        (member.attributes["DW_AT_name"].value.decode(), offset_of(member))
                        for member in die.iter_children()
                        if member.tag == "DW_TAG_member"
                    ]
    raise KeyError(name)


def offset_of(member: DIE) -> int:
    return int(member.attributes["DW_AT_data_member_location"].value)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["runtime.g", "runtime.m", "runtime.stack"])
def test_run_time_structs(offsets_cmd: Run, tracee: Callable[..., Path], version: str, name: str) -> None:
    path = tracee(version)
    found = type_of(offsets_cmd, path, name)
    assert [(f["name"], f["offset"]) for f in found["fields"]] == struct_fields(path, name)
    names = {f["name"] for f in found["fields"]}
    assert names >= {"runtime.g": {"goid", "m", "stack"}, "runtime.m": {"curg", "g0"}, "runtime.stack": {"hi"}}[name]


CGO = """package main

/*
union u { int a; double d; };
struct pt { int x; long y[3]; union u v; struct pt *next; char name[8]; };
static int first(struct pt *p) { return p->x; }
int twice(int x) { return 2 * x; }
*/
import "C"
import "fmt"

func main() {
	var p C.struct_pt
	fmt.Println(C.first(&p), C.twice(4))
}
"""


def test_types_of_c(offsets_cmd: Run, go_program: Callable[..., Path]) -> None:
    path = go_program(CGO, "1.26", cgo=True)
    ours = type_of(offsets_cmd, path, "main._Ctype_struct_pt")
    assert (ours["foreign"], ours["size"]) == (False, 56)
    theirs = type_of(offsets_cmd, path, "pt")
    assert (theirs["foreign"], theirs["kind"], theirs["size"]) == (True, "struct", 56)
    assert [(f["name"], f["offset"], f["size"]) for f in theirs["fields"]] == [
        ("x", 0, 4),
        ("y", 8, 24),
        ("v", 32, 8),
        ("next", 40, 8),
        ("name", 48, 8),
    ]


def test_unknown_type(offsets_cmd: Run, tracee: Callable[..., Path]) -> None:
    path = tracee()
    run = offsets_cmd("type", path, "no.such")
    assert (run.returncode, run.stdout) == (3, "")
    assert run.stderr.splitlines()[0] == f"error: {path}: the debug information has no type 'no.such'"


def test_function_is_no_type(offsets_cmd: Run, tracee: Callable[..., Path]) -> None:
    assert offsets_cmd("type", tracee(), "main.ebpfDemo").returncode == 3


@pytest.mark.parametrize("args", [[], ["int", "string"]])
def test_usage(offsets_cmd: Run, tracee: Callable[..., Path], args: list[str]) -> None:
    run = offsets_cmd("type", tracee(), *args)
    assert (run.returncode, run.stdout) == (2, "")
