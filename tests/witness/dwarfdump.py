# SPDX-License-Identifier: Apache-2.0
"""Functions and types of a program as llvm-dwarfdump prints them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from subprograms import Location, Op, Parameter, Subprogram

DIE = re.compile(r"0x([0-9a-f]{8,16}):( +)(DW_TAG_\w+|NULL)$")
ATTRIBUTE = re.compile(r" +(DW_AT_\w+)\t\((.*)$")
RANGE = re.compile(r"\s*\[0x([0-9a-f]+), 0x([0-9a-f]+)\): ?(.*)$")
REFERENCE = re.compile(r'0x([0-9a-f]+)(?: "(.*)")?$', re.DOTALL)
TYPES = re.compile(r"DW_TAG_(\w+_type|typedef)$")
BATCH = 400  # names a run: the command line stays short, and the file is read few times


class Die:
    def __init__(self, offset: int, depth: int, tag: str) -> None:
        self.offset, self.depth, self.tag = offset, depth, tag
        self.attributes: dict[str, str] = {}

    def reference(self, name: str) -> tuple[int, str]:
        found = REFERENCE.fullmatch(self.attributes[name])
        assert found, self.attributes[name]
        return int(found[1], 16), found[2] or ""

    def number(self, name: str) -> int:
        return int(self.attributes.get(name, "0"), 16)

    def text(self, name: str) -> str:
        return unescaped(self.attributes.get(name, '""')[1:-1])


def unescaped(text: str) -> str:
    """Names of their own are printed with escapes (raw_ostream::write_escaped), those of references as they stand."""
    if "\\" not in text:
        return text
    raw = re.sub(rb"\\([0-7]{3}|.)", lambda m: bytes([int(m[1], 8)]) if len(m[1]) == 3 else m[1], text.encode())
    return raw.decode(errors="replace")


def parse(lines: Iterator[str]) -> Iterator[Die]:
    """DIEs in the order of the text; depth 0 is where a match begins."""
    die: Die | None = None
    last = ""
    for line in lines:
        line = line.rstrip("\n")
        begin = DIE.match(line)
        if begin:
            if die:
                yield closed(die)
            die, last = Die(int(begin[1], 16), (len(begin[2]) - 1) // 2, begin[3]), ""
            continue
        attribute = ATTRIBUTE.match(line)
        if die and attribute:
            last = attribute[1]
            die.attributes[last] = attribute[2]
        elif die and last and line.strip():
            die.attributes[last] += "\n" + line
    if die:
        yield closed(die)


def closed(die: Die) -> Die:
    for name, text in die.attributes.items():
        assert text.endswith(")"), (hex(die.offset), name, text)
        die.attributes[name] = text[:-1]
    return die


def run(path: Path, names: Collection[str], children: bool) -> Iterator[Die]:
    ordered = sorted(names)
    for i in range(0, len(ordered), BATCH):
        wanted = [f"--name={name}" for name in ordered[i : i + BATCH]]
        command = ["llvm-dwarfdump", "--debug-info", *(["--show-children"] if children else []), *wanted, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, errors="replace") as process:
            assert process.stdout
            yield from parse(process.stdout)
        assert process.returncode == 0, command


def operation(text: str) -> Op:
    name, _, rest = text.strip().removeprefix("DW_OP_").partition(" ")
    if re.fullmatch(r"reg\d+", name):
        return "reg", int(name[3:])
    if name == "regx":
        return "reg", int(rest.split()[0], 0)
    if re.fullmatch(r"lit\d+", name):
        return "const", int(name[3:])
    if name == "call_frame_cfa":
        return "cfa", 0
    if re.fullmatch(r"const(u|s|\d[us])", name):
        return "const", int(rest, 0)
    if name in ("addr", "addrx"):
        return "addr", int(rest.split()[-1], 0)
    return name, int(rest, 0) if rest else 0


def operations(text: str) -> tuple[Op, ...]:
    return tuple(operation(x) for x in text.split(", ")) if text else ()


def location(die: Die) -> Location:
    text = die.attributes.get("DW_AT_location")
    if text is None or text == "<empty>":
        return None
    if text.startswith("DW_OP_"):
        return ((None, None, operations(text)),)
    found = [RANGE.match(line) for line in text.split("\n")[1:]]
    return tuple((int(r[1], 16), int(r[2], 16), operations(r[3])) for r in found if r)


def parameter(die: Die) -> tuple[dict[str, Any], int | None]:
    """What this DIE says itself, and where its abstract instance is."""
    own: dict[str, Any] = {"offset": die.offset, "location": location(die)}
    origin = None
    if "DW_AT_abstract_origin" in die.attributes:
        origin, own["name"] = die.reference("DW_AT_abstract_origin")
    if "DW_AT_name" in die.attributes:
        own["name"] = die.text("DW_AT_name")
    if "DW_AT_variable_parameter" in die.attributes:
        own["result"] = die.number("DW_AT_variable_parameter") != 0
    if "DW_AT_type" in die.attributes:
        own["type_offset"] = die.reference("DW_AT_type")[0]
    return own, origin


def subprograms(path: Path, names: Collection[str]) -> dict[int, Subprogram]:
    """Functions with code that have one of these names, by their first address."""
    heads: list[tuple[Die, list[Die]]] = []
    taking = False
    for die in run(path, names, children=True):
        if die.depth == 0:
            taking = die.tag == "DW_TAG_subprogram"
            if taking:
                heads.append((die, []))
        elif taking and die.depth == 1 and die.tag == "DW_TAG_formal_parameter":
            heads[-1][1].append(die)
    abstract: dict[int, tuple[Parameter, ...]] = {}
    by_offset: dict[int, Parameter] = {}
    for head, children in heads:
        if "DW_AT_low_pc" in head.attributes:
            continue
        made = tuple(
            Parameter(c.offset, own.get("name", ""), own.get("result", False), own["type_offset"], None)
            for c, own in ((c, parameter(c)[0]) for c in children)
        )
        abstract[head.offset] = made
        by_offset.update({p.offset: p for p in made})
    found: dict[int, Subprogram] = {}
    for head, children in heads:
        if "DW_AT_low_pc" not in head.attributes:
            continue
        parameters = []
        for child in children:
            own, origin = parameter(child)
            base = by_offset.get(origin) if origin is not None else None
            parameters.append(
                Parameter(
                    child.offset,
                    own.get("name", base.name if base else ""),
                    own.get("result", base.result if base else False),
                    own.get("type_offset", base.type_offset if base else -1),
                    own["location"],
                    origin,
                )
            )
        low = head.number("DW_AT_low_pc")
        name, of = head.text("DW_AT_name"), ()
        if "DW_AT_abstract_origin" in head.attributes:
            at, name = head.reference("DW_AT_abstract_origin")
            of = abstract[at]
        found[low] = Subprogram(head.offset, name, low, head.number("DW_AT_high_pc"), tuple(parameters), of)
    return found


def types(path: Path, names: Collection[str]) -> dict[str, dict[int, int | None]]:
    """Name → offsets of the types of that name, each with its DW_AT_byte_size where it has one."""
    found: dict[str, dict[int, int | None]] = {}
    for die in run(path, names, children=False):
        if TYPES.match(die.tag):
            size = int(die.attributes["DW_AT_byte_size"], 16) if "DW_AT_byte_size" in die.attributes else None
            found.setdefault(die.text("DW_AT_name"), {})[die.offset] = size
    return found
