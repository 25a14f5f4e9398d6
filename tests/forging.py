# SPDX-License-Identifier: Apache-2.0
"""Changes single attributes of a program's debug information, and bytes of its run-time types."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from elftools.dwarf.die import DIE
from elftools.elf.elffile import ELFFile

PROGRAM = """package main

import "fmt"

type Inner struct{ A, B int }
type Outer struct {
	In   Inner
	Next *Outer
}
type Number int
type Grid [3]Inner
type Doer interface{ Do(int) string }
type Thing struct{ s string }

func (t *Thing) Do(n int) string { return t.s }

// What Go allows of types that contain themselves.
type Self *Self
type List []List
type Tree map[string]Tree
type Chain struct {
	next *Chain
	all  []Chain
	by   map[string]Chain
	f    func(Chain) Chain
	i    interface{ Do(Chain) Chain }
}

//go:noinline
func takeOuter(o Outer, n int) int { return o.In.A + n }

//go:noinline
func takeNumber(n Number, s string) int { return int(n) + len(s) }

//go:noinline
func takeGrid(g *Grid, n int) int { return g[1].A + n }

//go:noinline
func takeDoer(d Doer, n int) string { return d.Do(n) }

//go:noinline
func takeSelves(s Self, l List, t Tree, c Chain) int { return len(l) + len(t) + len(c.all) }

func main() {
	var g Grid
	fmt.Println(takeOuter(Outer{}, 1), takeNumber(2, "x"), takeGrid(&g, 3), takeDoer(&Thing{"y"}, 4))
	fmt.Println(takeSelves(nil, nil, nil, Chain{}))
}
"""


class Forger:
    """A copy of a program, in which attributes are overwritten where they stand."""

    def __init__(self, path: Path) -> None:
        self.original = path.read_bytes()
        self.file = path.open("rb")
        self.elf = ELFFile(self.file)
        self.dwarf = self.elf.get_dwarf_info()
        self.top: dict[str, DIE] = {}
        for unit in self.dwarf.iter_CUs():
            for die in unit.get_top_DIE().iter_children():
                name = die.attributes.get("DW_AT_name")
                if name is not None:
                    self.top.setdefault(name.value.decode(), die)

    def begin(self, copy: Path) -> Forger:
        self.copy, self.data = copy, bytearray(self.original)
        return self

    def die(self, name: str) -> DIE:
        """A type's or function's, with its layout: behind the typedefs of its name."""
        die = self.top[name]
        while die.tag == "DW_TAG_typedef":
            die = die.get_DIE_from_attribute("DW_AT_type")
        return die

    @staticmethod
    def child(die: DIE, name: str) -> DIE:
        return next(
            c
            for c in die.iter_children()
            if c.attributes.get("DW_AT_name") and c.attributes["DW_AT_name"].value == name.encode()
        )

    def section(self, name: str) -> Any:
        return self.elf.get_section_by_name(name)

    def put(self, section: str, offset: int, data: bytes) -> None:
        at = self.section(section)["sh_offset"] + offset
        self.data[at : at + len(data)] = data

    def set(self, die: DIE, attribute: str | int, value: int) -> None:
        """Overwrite an attribute by one of the same size."""
        a = die.attributes[attribute]
        if a.form == "DW_FORM_addrx":
            base = die.cu.get_top_DIE().attributes["DW_AT_addr_base"].value
            self.put(".debug_addr", base + 8 * a.raw_value, struct.pack("<Q", value))
            return
        size = {
            "DW_FORM_ref_addr": 4,
            "DW_FORM_ref4": 4,
            "DW_FORM_data1": 1,
            "DW_FORM_data2": 2,
            "DW_FORM_data4": 4,
            "DW_FORM_addr": 8,
            "DW_FORM_data8": 8,
        }.get(a.form)
        if size is None:
            assert a.form == "DW_FORM_udata", a.form
            n = max(1, -(-a.raw_value.bit_length() // 7))
            assert value < 1 << 7 * n
            self.put(".debug_info", a.offset, bytes(value >> 7 * i & 0x7F | 0x80 * (i < n - 1) for i in range(n)))
            return
        self.put(".debug_info", a.offset, value.to_bytes(size, "little"))

    def refer(self, die: DIE, to: DIE) -> None:
        """Let DW_AT_type name another entry."""
        a = die.attributes["DW_AT_type"]
        offset = to.offset - (die.cu.cu_offset if a.form != "DW_FORM_ref_addr" else 0)
        self.set(die, "DW_AT_type", offset)

    def symbol(self, name: str) -> int:
        (symbol,) = self.section(".symtab").get_symbol_by_name(name)
        return int(symbol["st_value"])

    def put_at(self, address: int, data: bytes) -> None:
        """At a link address."""
        (segment,) = (s for s in self.elf.iter_segments("PT_LOAD") if 0 <= address - s["p_vaddr"] < s["p_filesz"])
        at = segment["p_offset"] + address - segment["p_vaddr"]
        self.data[at : at + len(data)] = data

    def write(self) -> Path:
        self.copy.write_bytes(self.data)
        self.copy.chmod(0o755)
        return self.copy
