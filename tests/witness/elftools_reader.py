# SPDX-License-Identifier: Apache-2.0
"""Functions and types of a program as pyelftools reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from elftools.dwarf.descriptions import set_global_machine_arch
from elftools.dwarf.die import DIE
from elftools.dwarf.dwarf_expr import DWARFExprParser
from elftools.dwarf.locationlists import BaseAddressEntry, LocationEntry
from elftools.elf.elffile import ELFFile
from subprograms import Location, Op, Parameter, Subprogram

POINTER = 8
COMPLEX = 3  # DW_ATE_complex_float
TRANSPARENT = ("DW_TAG_typedef", "DW_TAG_const_type", "DW_TAG_volatile_type")
WORDS = ("DW_TAG_pointer_type", "DW_TAG_subroutine_type")


class Reader:
    def __init__(self, path: Path) -> None:
        set_global_machine_arch("x64")
        self.file = path.open("rb")
        self.elf = ELFFile(self.file)
        self.dwarf = self.elf.get_dwarf_info()
        lists = self.dwarf.location_lists()
        assert lists is not None
        self.lists = lists

    def close(self) -> None:
        self.file.close()

    # ---- functions

    def subprogram(self, offset: int) -> Subprogram:
        """The one whose DIE is at this offset of .debug_info."""
        die = self.dwarf.get_DIE_from_refaddr(offset)
        assert die.tag == "DW_TAG_subprogram", die
        low = self.address(die, "DW_AT_low_pc")
        high = die.attributes["DW_AT_high_pc"]
        end = self.address(die, "DW_AT_high_pc") if high.form.startswith("DW_FORM_addr") else low + high.value
        origin = self.origin(die)
        abstract = self.parameters(origin) if origin is not None else ()
        return Subprogram(offset, text(origin or die), low, end, self.parameters(die), abstract)

    @staticmethod
    def origin(die: DIE) -> DIE | None:
        if "DW_AT_abstract_origin" in die.attributes:
            return die.get_DIE_from_attribute("DW_AT_abstract_origin")
        return None

    def parameters(self, die: DIE) -> tuple[Parameter, ...]:
        return tuple(self.parameter(c) for c in die.iter_children() if c.tag == "DW_TAG_formal_parameter")

    def parameter(self, die: DIE) -> Parameter:
        origin = self.origin(die)

        def attribute(name: str) -> Any:
            return die.attributes.get(name) or (origin.attributes.get(name) if origin is not None else None)

        name, result = attribute("DW_AT_name"), attribute("DW_AT_variable_parameter")
        holder = die if "DW_AT_type" in die.attributes or origin is None else origin
        return Parameter(
            die.offset,
            name.value.decode(errors="replace") if name else "",
            bool(result and result.value),
            holder.get_DIE_from_attribute("DW_AT_type").offset,
            self.location(die),
            origin.offset if origin is not None else None,
        )

    def address(self, die: DIE, name: str) -> int:
        attribute = die.attributes[name]
        if attribute.form.startswith("DW_FORM_addrx") and attribute.value == attribute.raw_value:
            return int(self.dwarf.get_addr(die.cu, attribute.raw_value))
        return int(attribute.value)

    def location(self, die: DIE) -> Location:
        attribute = die.attributes.get("DW_AT_location")
        if attribute is None or attribute.value == []:
            return None
        if isinstance(attribute.value, list):
            return ((None, None, self.operations(die, attribute.value)),)
        found = []
        base = 0
        for entry in self.lists.get_location_list_at_offset(attribute.value, die):
            if isinstance(entry, BaseAddressEntry):
                base = entry.base_address
            elif isinstance(entry, LocationEntry):
                shift = 0 if entry.is_absolute else base
                ops = self.operations(die, entry.loc_expr)
                found.append((shift + entry.begin_offset, shift + entry.end_offset, ops))
        return tuple(found)

    def operations(self, die: DIE, expression: list[int]) -> tuple[Op, ...]:
        found: list[Op] = []
        for op in DWARFExprParser(die.cu.structs).parse_expr(expression):
            name = op.op_name.removeprefix("DW_OP_")
            if 0x50 <= op.op <= 0x6F:
                found.append(("reg", op.op - 0x50))
            elif name == "regx":
                found.append(("reg", op.args[0]))
            elif 0x30 <= op.op <= 0x4F:
                found.append(("const", op.op - 0x30))
            elif name == "call_frame_cfa":
                found.append(("cfa", 0))
            elif name.startswith("const"):
                found.append(("const", op.args[0]))
            elif name == "addrx":
                found.append(("addr", int(self.dwarf.get_addr(die.cu, op.args[0]))))
            else:
                found.append((name, op.args[0] if op.args else 0))
        return tuple(found)

    # ---- types

    def type(self, offset: int) -> DIE:
        return self.dwarf.get_DIE_from_refaddr(offset)

    def type_name(self, offset: int) -> str:
        """Its Go name. A typedef ".param0" is an entry of a dictionary: the name is that of what is behind it."""
        die = self.type(offset)
        while text(die).startswith(".param") or (not text(die) and "DW_AT_type" in die.attributes):
            die = die.get_DIE_from_attribute("DW_AT_type")
        return text(die)

    def layout(self, offset: int) -> DIE:
        die = self.type(offset)
        while die.tag in TRANSPARENT:
            die = die.get_DIE_from_attribute("DW_AT_type")
        return die

    def size(self, offset: int) -> int:
        die = self.layout(offset)
        if die.tag in WORDS:
            return POINTER
        return int(die.attributes["DW_AT_byte_size"].value)

    def align(self, offset: int) -> int:
        die = self.layout(offset)
        if die.tag in WORDS:
            return POINTER
        if die.tag == "DW_TAG_structure_type":
            members = [c for c in die.iter_children() if c.tag == "DW_TAG_member"]
            return max((self.align(m.get_DIE_from_attribute("DW_AT_type").offset) for m in members), default=1)
        if die.tag == "DW_TAG_array_type":
            return self.align(die.get_DIE_from_attribute("DW_AT_type").offset)
        encoding = die.attributes.get("DW_AT_encoding")
        if encoding and encoding.value == COMPLEX:
            return self.size(offset) // 2
        return self.size(offset)


def text(die: DIE) -> str:
    attribute = die.attributes.get("DW_AT_name")
    return attribute.value.decode(errors="replace") if attribute else ""


def functions(path: Path) -> list[tuple[int, int, str]]:
    """Address, size and name of each function of the symbol table."""
    with path.open("rb") as file:
        elf = ELFFile(file)
        section: Any = elf.get_section_by_name(".symtab")
        code: Any = elf.get_section_by_name(".text")
        found = set()
        for symbol in section.iter_symbols():
            at = symbol["st_value"]
            if symbol["st_info"]["type"] == "STT_FUNC" and symbol["st_size"]:
                if code["sh_addr"] <= at < code["sh_addr"] + code["sh_size"]:
                    found.add((at, symbol["st_size"], symbol.name))
    return sorted(found)
