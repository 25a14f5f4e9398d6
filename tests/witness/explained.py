# SPDX-License-Identifier: Apache-2.0
"""The differences that are known, each held to be exactly of its kind. What fits none is wrong."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from elftools_reader import Reader, text
from subprograms import Variable, bytes_of

if TYPE_CHECKING:
    from locations import Report

Answer = dict[str, Any]

ARGUMENTS = "rax rbx rcx rdi rsi r8 r9 r10 r11".split()  # integers, in the order of abi-internal.md

BODY = "another body of the same name"
DOT = "the name of a local type"
DICTIONARY = "the dictionary of a generic function"
TWICE = "a name listed twice"
SHAPE = "a type parameter"
PADDING = "padding without a piece"
RESLICED = "what the function makes of its argument"
LEFT_OUT = "a blank variable of a range over a function"
HOME = "the home of a parameter that is not kept"

# What docs/witness.md says of each.
KINDS = {
    BODY: "Assembly and the wrapper that the linker makes around it share a name. `offsets params` describes the body "
    "that Go code calls.",
    DOT: "DWARF writes `T·2` for a second local type T, the symbol table `T.2`. `offsets` goes by the address.",
    DICTIONARY: "DWARF lists `.dict` among the parameters. It is none in the source; its register is left free.",
    TWICE: "Optimised code can list a result once more. `offsets` has it once, with the location that DWARF gives one "
    "of the two.",
    SHAPE: "The type is an entry of the dictionary, a typedef `.paramN`. `offsets` names the shape behind it.",
    PADDING: "DWARF's pieces stand for the fields of a struct one after the other and leave padding out, so that those "
    "behind it seem to lie too low in the value. Taken in order they are the words of the calling convention, of the "
    "same sizes, in the same places.",
    RESLICED: "Two words of the value in one register: what `p = p[:len(p):len(p)]` at the function's beginning makes "
    "is described instead of what came in. The calling convention is believed.",
    LEFT_OUT: "The body of a loop over a function is a function, whose blank variables (`for _, m := range`) DWARF "
    "leaves out, so that those behind them stand further back than the calling convention says. DWARF is believed, "
    "and the plan carries a warning.",
    HOME: "For a parameter that is not used DWARF gives, at every pc, the stack slot that a caller leaves free for it "
    "(its spill space), into which nothing is ever written. By the calling convention it is in registers at the entry, "
    "and there it is read.",
}


def explain_type(
    report: Report, reader: Reader, where: str, shown: str, v: Variable, named: dict[str, dict[int, Any]]
) -> None:
    """The name of the type: llvm-dwarfdump must have a type of that name at the offset that the parameter refers to."""
    report.check(reader.type_name(v.type_offset) == shown, f"{where}: {shown}, not {reader.type_name(v.type_offset)}")
    if v.type_offset in named.get(shown, {}):
        return
    if report.check(
        text(reader.type(v.type_offset)).startswith(".param"), f"{where}: no type {shown} for llvm-dwarfdump"
    ):
        report.explain(SHAPE, where)


def explain_abi(
    report: Report, reader: Reader, function: str, shown: list[Answer], expected: list[Variable], warnings: list[str]
) -> None:
    """The calling convention against the location at the entry, byte by byte."""
    for i, (p, v) in enumerate(zip(shown, expected)):
        where = f"{function}: {p['name']}"
        if not report.check(p["abi"] is not None, f"{where}: not placed by the calling convention"):
            continue
        if p["result"]:
            continue
        if "location" not in p:
            report.counts["parameters without a location at the entry: the rule alone"] += 1
            continue
        rule, given = bytes_of(p["abi"]), bytes_of(p["location"])
        differ = [k for k in given if k in rule and given[k] != rule[k]]
        if not differ:
            report.counts["parameters where rule and location agree at the entry"] += 1
            continue
        if in_order(p["abi"], p["location"]) and sum(x["size"] for x in p["location"]) < p["size"]:
            report.explain(PADDING, where)
            continue
        registers = [x["reg"] for x in p["location"] if x["place"] == "reg"]
        repeated = {r for r in registers if registers.count(r) > 1}
        warned = any(
            w.startswith(f"{p['name']}: the calling convention and the debug information differ") for w in warnings
        )
        if repeated and {given[k][0] for k in differ} <= repeated and not warned:
            report.explain(RESLICED, where)
            continue
        if re.search(r"-range\d+$", function) and registers and warned and further_back(p["abi"], p["location"]):
            report.explain(LEFT_OUT, where)
            continue
        always = [x for x in v.locations if x is not None and x[0][0] is None]
        home = homes(reader, function, shown, expected)[i]
        alone = len(p["location"]) == 1 and p["location"][0]["place"] == "cfa" and p["location"][0]["value"] == home
        if report.check(
            bool(always) and alone, f"{where}: by the rule {p['abi']}, by DWARF {p['location']}, home {home}"
        ):
            report.explain(HOME, where)


def in_order(words: list[Answer], pieces: list[Answer]) -> bool:
    """Whether they are the same but for their offsets within the value."""
    return [{**w, "offset": 0} for w in words] == [{**p, "offset": 0} for p in pieces]


def further_back(words: list[Answer], pieces: list[Answer]) -> bool:
    """Whether the pieces are in integer registers that come later in the order of arguments than those of the rule."""
    if len(words) != len(pieces) or any(x.get("reg") not in ARGUMENTS for x in words + pieces):
        return False
    return all(ARGUMENTS.index(p["reg"]) > ARGUMENTS.index(w["reg"]) for w, p in zip(words, pieces))


def dictionary_place(function: str) -> int | None:
    """Before which parameter the dictionary of a shared instance stands (Go 1.20 and newer)."""
    rest = function.rpartition("]")[2]
    if ("[go.shape." not in function and "[...]" not in function) or function.startswith("type:"):
        return None
    if not rest:
        return 0
    return 1 if re.fullmatch(r"\)?\.(?!func\d|gowrap|deferwrap)\w+", rest) else None


def homes(reader: Reader, function: str, shown: list[Answer], expected: list[Variable]) -> list[int | None]:
    """Bytes from the CFA of the spill space of each parameter that comes in registers (abi-internal.md: behind the
    arguments and results on the stack, in order, each aligned as its type)."""
    stack = [w["value"] + w["size"] for p in shown for w in p["abi"] or () if w["place"] == "cfa"]
    at = -(-max(stack, default=0) // 8) * 8
    hidden = dictionary_place(function)
    found: list[int | None] = []
    for i, (p, v) in enumerate(zip(shown, expected)):
        if i == hidden:
            at += 8  # the dictionary's
        if p["result"] or not p["abi"] or p["abi"][0]["place"] != "reg":
            found.append(None)
            continue
        align = max(reader.align(v.type_offset), 1)
        at = -(-at // align) * align
        found.append(at)
        at += p["size"]
    return found
