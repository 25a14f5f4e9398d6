# SPDX-License-Identifier: Apache-2.0
"""Holds `offsets params` against llvm-dwarfdump and pyelftools, function by function."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dwarfdump
import elftools_reader
import many
from explained import BODY, DICTIONARY, DOT, TWICE, explain_abi, explain_type
from subprograms import Subprogram, Variable, acceptable, has_dictionary, variables

Answer = dict[str, Any]


@dataclass
class Report:
    """What one program's functions gave."""

    counts: Counter[str] = field(default_factory=Counter)
    explained: dict[str, list[str]] = field(default_factory=dict)  # kind → "function: parameter"
    wrong: list[str] = field(default_factory=list)  # what no explanation fits

    def check(self, ok: bool, what: str) -> bool:
        if not ok:
            self.wrong.append(what)
        return ok

    def explain(self, kind: str, where: str) -> None:
        self.explained.setdefault(kind, []).append(where)


class Comparison:
    def __init__(self, path: Path, program: Path, drawn: Sequence[tuple[int, int, str]]) -> None:
        self.path, self.program, self.drawn = path, program, drawn
        self.report = Report()
        self.reader = elftools_reader.Reader(path)
        self.at: dict[int, set[str]] = {}  # names by address
        for at, _, symbol in elftools_reader.functions(path):
            self.at.setdefault(at, set()).add(symbol.removesuffix(".abi0"))

    def run(self) -> Report:
        names = [symbol.removesuffix(".abi0") for _, _, symbol in self.drawn]
        llvm = dwarfdump.subprograms(self.path, {x for name in names for x in (name, source_name(name))})
        answers = many.ask(self.program, self.path, [("params", name) for name in names])
        plans = many.ask(self.program, self.path, [("plan", name) for name in names])
        found = {}
        for (at, _, symbol), name, answer in zip(self.drawn, names, answers):
            subprogram = self.function(at, symbol, name, answer, llvm)
            if subprogram is not None:
                found[name] = (answer, subprogram)
        sites = {
            name: pc for name, plan in zip(names, plans) if name in found and (pc := entry_site(plan, found[name]))
        }
        self.report.counts["entry sites"] = len(sites)
        there = many.ask(self.program, self.path, [("params", name, "--pc", pc) for name, pc in sites.items()])
        seen = [(name, answer, subprogram) for name, (answer, subprogram) in found.items()]
        seen += [(name, answer, found[name][1]) for name, answer in zip(sites, there)]
        named = dwarfdump.types(self.path, {p["type"] for _, a, _ in seen for p in a["params"]})
        for name, answer, subprogram in seen:
            self.compare(name, answer, subprogram, named)
        planned = dict(zip(names, plans))
        for (name, (answer, subprogram)), plan in zip(found.items(), (planned[name] for name in found)):
            self.convention(name, answer, subprogram, plan)
        self.reader.close()
        return self.report

    def function(
        self, at: int, symbol: str, name: str, answer: Answer, llvm: dict[int, Subprogram]
    ) -> Subprogram | None:
        """The function that `offsets` answered about, as llvm-dwarfdump has it; None where both have none."""
        report = self.report
        report.counts["functions"] += 1
        if "error" in answer:
            has_one = at in llvm and llvm[at].name == name
            if report.check(not has_one, f"{name}: {answer['error']}, and llvm-dwarfdump has it at {at:#x}"):
                report.counts["functions without debug information, both agree"] += 1
            return None
        entry = int(answer["entry"], 16)
        if entry != at:
            if not report.check(name in self.at.get(entry, ()), f"{symbol}: another function, at {entry:#x}"):
                return None
            report.explain(BODY, symbol)
        found = llvm.get(entry)
        if not report.check(found is not None, f"{name}: not in llvm-dwarfdump at {entry:#x}") or found is None:
            return None
        other = self.reader.subprogram(found.offset)
        report.check(found.name in (name, source_name(name)), f"{name}: llvm-dwarfdump calls it {found.name}")
        if found.name != name:
            report.explain(DOT, name)
        report.check(found == other, f"{name}: the witnesses differ: {found} {other}")
        report.check(int(answer["end"], 16) == found.high, f"{name}: ends at {answer['end']}, not {found.high:#x}")
        report.check(answer["dictionary"] == has_dictionary(found), f"{name}: dictionary")
        if answer["dictionary"]:
            report.explain(DICTIONARY, name)
        return found

    def compare(self, where: str, answer: Answer, subprogram: Subprogram, named: dict[str, dict[int, Any]]) -> None:
        report = self.report
        expected = variables(subprogram)
        shown = answer["params"]
        names = [(v.name, v.result) for v in expected]
        if not report.check([(p["name"], p["result"]) for p in shown] == names, f"{where}: {shown} is not {names}"):
            return
        for p, v in zip(shown, expected):
            self.variable(f"{where}: {p['name']}", p, v, int(p["at"], 16), named)

    def convention(self, name: str, answer: Answer, subprogram: Subprogram, plan: Answer) -> None:
        self.report.counts["parameters and results"] += len(answer["params"])
        warnings = [w for f in plan.get("functions", ()) if f["entry"] == answer["entry"] for w in f["warnings"]]
        explain_abi(self.report, self.reader, name, answer["params"], variables(subprogram), warnings)

    def variable(self, where: str, p: Answer, v: Variable, pc: int, named: dict[str, dict[int, Any]]) -> None:
        report = self.report
        size = self.reader.size(v.type_offset)
        report.check(p["size"] == size, f"{where}: {p['size']} bytes, not {size}")
        explain_type(report, self.reader, where, p["type"], v, named)
        fits = acceptable(v, pc, size)
        given = p.get("location", p.get("status"))
        report.check(given in fits, f"{where}: at {pc:#x} {given}, not {' or '.join(map(str, fits))}")
        if v.doubled:
            report.explain(TWICE, where)
        report.counts["locations with an answer" if isinstance(given, list) else "locations without"] += 1


def source_name(symbol: str) -> str:
    """The symbol table has a dot where DWARF has a middle dot, before the number of a local type."""
    return re.sub(r"\.(\d+)$", r"·\1", symbol)


def entry_site(plan: Answer, found: tuple[Answer, Subprogram]) -> str | None:
    for f in plan.get("functions", ()):
        if f["entry"] == found[0]["entry"]:
            return next((s["addr"] for s in f["sites"] if s["kind"] == "entry"), None)
    return None
