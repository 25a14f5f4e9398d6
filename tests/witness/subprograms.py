# SPDX-License-Identifier: Apache-2.0
"""A function as an outside reader of DWARF has it, and what `offsets params` must then say of it.

Both readers (dwarfdump.py, elftools_reader.py) fill in the same records: what follows from them stands here once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

# DWARF's numbers of amd64's registers (System V ABI, figure 3.36).
REGISTERS = dict(enumerate("rax rdx rcx rbx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15".split()))
REGISTERS.update({17 + i: f"xmm{i}" for i in range(16)})

Op = tuple[str, int]  # ("reg", 0) · ("fbreg", -8) · ("cfa", 0) · ("piece", 8) · ("addr", 0x…)
Ops = tuple[Op, ...]
# None: no location at all. An entry without bounds holds at every pc.
Location = Optional[tuple[tuple[Optional[int], Optional[int], Ops], ...]]


@dataclass(frozen=True)
class Parameter:
    """A DW_TAG_formal_parameter, with what its abstract instance adds."""

    offset: int
    name: str
    result: bool
    type_offset: int
    location: Location
    origin: int | None = None


@dataclass(frozen=True)
class Subprogram:
    offset: int
    name: str
    low: int
    high: int
    parameters: tuple[Parameter, ...]
    abstract: tuple[Parameter, ...] = ()


@dataclass
class Variable:
    """A parameter or result of the Go function: what several DIEs of one thing say together."""

    name: str
    result: bool
    type_offset: int
    locations: list[Location] = field(default_factory=list)
    doubled: bool = False


def variables(subprogram: Subprogram) -> list[Variable]:
    """In the order of the signature, which the abstract instance has whole; the concrete one may lack some."""
    found: list[Variable] = []
    by_origin: dict[int, Variable] = {}
    for p in subprogram.abstract:
        if p.name != ".dict":
            v = Variable(p.name, p.result, p.type_offset)
            by_origin[p.offset] = v
            found.append(v)
    for p in subprogram.parameters:
        if p.name == ".dict":
            continue
        known = by_origin.get(p.origin) if p.origin is not None else None
        if known is None and p.name not in ("", "_"):
            known = next((v for v in found if (v.name, v.result) == (p.name, p.result)), None)
            if known is not None:
                known.doubled = True
        if known is None:
            known = Variable(p.name, p.result, p.type_offset)
            found.append(known)
        known.locations.append(p.location)
    return found


def has_dictionary(subprogram: Subprogram) -> bool:
    return any(p.name == ".dict" for p in subprogram.parameters + subprogram.abstract)


def ops_at(location: Location, pc: int) -> Ops | None:
    for low, high, ops in location or ():
        if low is None or high is None or low <= pc < high:
            return ops
    return None


def pieces(ops: Ops, size: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    place: dict[str, Any] = {"place": "none"}
    offset = 0
    for name, argument in ops:
        if name == "piece":
            found.append({"offset": offset, "size": argument, **place})
            offset += argument
            place = {"place": "none"}
        elif name == "reg":
            place = {"place": "reg", "reg": REGISTERS[argument]}
        elif name in ("fbreg", "cfa"):
            place = {"place": "cfa", "value": argument}
        elif name == "addr":
            place = {"place": "addr", "value": hex(argument)}
        elif name == "const":  # what follows must be DW_OP_stack_value
            place = {"place": "value", "value": argument}
        elif name != "stack_value":
            raise ValueError(f"operation {name}")
    return found or [{"offset": 0, "size": size, **place}]


def shown(location: Location, pc: int, size: int) -> object:
    """What `offsets params` shows for this location: pieces, or a status."""
    if location is None:
        return "no location"
    ops = ops_at(location, pc)
    if ops is None or not ops:
        return "no location at this pc"
    if ("deref", 0) in ops:
        return "unsupported"
    found = pieces(ops, size)
    return found if any(p["place"] != "none" for p in found) else "optimised out"


def acceptable(variable: Variable, pc: int, size: int) -> list[object]:
    """What may be shown. One answer, but for a name that DWARF lists twice: then that of any DIE with a location."""
    given = [x for x in variable.locations if x is not None] or [None]
    return [shown(x, pc, size) for x in given]


def bytes_of(places: Sequence[dict[str, Any]]) -> dict[int, tuple[str, int]]:
    """Byte of the value → the register and the byte in it, or the byte's distance from the CFA."""
    found: dict[int, tuple[str, int]] = {}
    for p in places:
        for i in range(p["size"]):
            if p["place"] == "reg":
                found[p["offset"] + i] = (p["reg"], i)
            elif p["place"] == "cfa":
                found[p["offset"] + i] = ("cfa", p["value"] + i)
    return found
