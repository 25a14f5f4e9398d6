# SPDX-License-Identifier: Apache-2.0
"""What `explain` says of functions: a plan in words, and the inlined copies, which no plan knows of."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TextIO

from tracer.errors import TracerError, printable
from tracer.plan import InlinedCopy, PlannedFunction, Program, ReadOptions, Site, Value, Variables
from tracer.report import plural, value_places

EMULATED, STEPPED = "emulated", "single-stepped"
COST_IN_WORDS = {
    EMULATED: "emulated by the kernel, cheap",
    STEPPED: "single-stepped by the kernel, some ten times as dear as an emulated one",
}
ONLY_INLINED = "the compiler copied it into its callers: it has no code of its own (//go:noinline keeps it)"


@dataclass(frozen=True)
class Explanation:
    """Of one function."""

    name: str
    planned: PlannedFunction | None  # None: it exists only as inlined copies
    copies: tuple[InlinedCopy, ...] | None  # None: the file does not tell

    @property
    def refused(self) -> str:
        """Why it is not probed; "" if it is."""
        if self.planned is None:
            return ONLY_INLINED
        return "" if self.planned.sites else self.planned.refused or "no site was found"


def explanations(
    program: Program, patterns: Sequence[str], excludes: Sequence[str], reading: ReadOptions
) -> tuple[list[Explanation], str]:
    """One for each function that matches, in order of address, then those that are only inlined.

    Also why no values are read at all; "" where they are.
    """
    copies = _copies(program, patterns, excludes)
    matching = [p for p in patterns if any(True for _ in program.functions([p]))]
    for p in patterns:
        if p not in matching and not (copies and program.inlined([p])):
            raise program.nothing_matches([p])
    found, why_no_values = [], ""
    if matching:
        with program.plan(matching, excludes, reading) as plan:
            if reading.args or reading.results:
                why_no_values = plan.no_dwarf
            for f in plan.functions():
                own = None if copies is None else tuple(copies.get(f.name, ()))
                found.append(Explanation(f.name, f, own))
    with_code = {e.name for e in found}
    rest = sorted(name for name in copies or {} if name not in with_code)
    found += [Explanation(name, None, tuple((copies or {})[name])) for name in rest]
    return found, why_no_values


def _copies(program: Program, patterns: Sequence[str], excludes: Sequence[str]) -> dict[str, list[InlinedCopy]] | None:
    """By name; None where the file does not tell."""
    by_name: dict[str, list[InlinedCopy]] = {}
    try:
        left_out = {c.name for c in program.inlined(excludes)} if excludes else set()
        for copy in program.inlined(patterns):
            if copy.name not in left_out:
                by_name.setdefault(copy.name, []).append(copy)
    except TracerError as e:
        if e.code != "not_found":
            raise
        return None
    return by_name


# ---- JSON -------------------------------------------------------------------------------------------------------


def show_json(found: Sequence[Explanation], out: TextIO) -> None:
    """One object a line (docs/design.md, "explain")."""
    for e in found:
        f = e.planned
        row = {
            "name": e.name,
            "address": f"{f.entry:#x}" if f else None,
            "file": (f.file or None) if f else None,
            "line": f.line if f and f.file else None,
            "abi": f.abi if f else None,
            "params": _variables(f.params) if f else None,
            "results": _variables(f.results) if f else None,
            "refused": e.refused or None,
            "warnings": list(f.warnings) if f else [],
            "sites": [_site(f, site) for site in f.sites] if f else [],
            "inlined_copies": None
            if e.copies is None
            else [
                {"into": c.into, "address": f"{c.addr:#x}", "file": c.file or None, "line": c.line or None}
                for c in e.copies
            ],
        }
        out.write(json.dumps(row, ensure_ascii=False) + "\n")


def _variables(v: Variables | None) -> list[dict[str, str]] | None:
    return None if v is None else [{"name": name, "type": type_} for name, type_ in v]


def _site(f: PlannedFunction, site: Site) -> dict[str, object]:
    return {
        "kind": "entry" if site.entry else "return",
        "address": f"{site.addr:#x}",
        "offset": site.addr - f.entry,
        "instruction": site.insn,
        "cost": EMULATED if site.emulated else STEPPED,
        "reads": site.n_steps,
        "lists": site.lists,
        "values": [
            {"name": v.name, "type": v.type, "places": list(v.places), "unreadable": list(v.unreadable)}
            for v in site.values
        ],
    }


# ---- text -------------------------------------------------------------------------------------------------------


def show_text(found: Sequence[Explanation], why_no_values: str, copies_max: int, out: TextIO) -> None:
    for i, e in enumerate(found):
        if i:
            out.write("\n")
        out.writelines(printable(line) + "\n" for line in _lines(e, why_no_values, copies_max))


def _lines(e: Explanation, why_no_values: str, copies_max: int) -> Iterator[str]:
    f = e.planned
    yield e.name + (f.signature if f else "")
    if f:
        yield "  " + (f"{f.file}:{f.line}, " if f.file else "") + f"{f.abi}, at {f.entry:#x}"
    if e.refused:
        yield f"  not probed: {e.refused}"
    if f and f.sites:
        for sites in _alike(f.sites):
            yield from _sites(f, sites)
        if not any(not s.entry for s in f.sites):
            yield "  no return: calls end otherwise" if f.never_returns else "  returns are not probed"
        if why_no_values and not any(s.values for s in f.sites):
            yield f"  no values: {why_no_values}"
    for warning in f.warnings if f else ():
        yield f"  warning: {warning}"
    if e.copies is None:
        yield "  inlined copies: the file does not tell"
    elif e.copies:
        seen = "" if e.refused else ", whose calls are not seen"
        yield f"  inlined: {plural(len(e.copies), 'copy') if len(e.copies) == 1 else f'{len(e.copies)} copies'}{seen}"
        for c in e.copies[:copies_max]:
            yield f"    in {c.into}" + (f"  {c.file}:{c.line}" if c.file else "")
        if len(e.copies) > copies_max:
            yield f"    … and {len(e.copies) - copies_max} more (--copies)"


def _alike(sites: Sequence[Site]) -> list[list[Site]]:
    """Sites of which the same is to be said stand together."""
    groups: dict[tuple[object, ...], list[Site]] = {}
    for s in sites:
        groups.setdefault((s.entry, s.insn, s.emulated, s.n_steps, s.lists, s.values), []).append(s)
    return list(groups.values())


def _sites(f: PlannedFunction, sites: Sequence[Site]) -> Iterator[str]:
    s = sites[0]
    places = ", ".join(f"+{site.addr - f.entry:#x}" for site in sites)
    reads = f"; {plural(s.n_steps, 'read')} of memory" if s.n_steps else "; registers alone" if s.values else ""
    lists = ", then what elements and interfaces lead to" if s.lists else ""
    yield (
        f"  {'call  ' if s.entry else 'return'} {s.insn} at {places}: "
        + COST_IN_WORDS[EMULATED if s.emulated else STEPPED]
        + reads
        + lists
    )
    names = max((len(v.name) for v in s.values), default=0)
    types = max((len(v.type) for v in s.values), default=0)
    for v in s.values:
        yield f"    {v.name:<{names}}  {v.type:<{types}}  {_readable(v)}"


def _readable(v: Value) -> str:
    if not v.unreadable:
        return value_places(v)
    return ("in part: " if v.places else "") + value_places(v)
