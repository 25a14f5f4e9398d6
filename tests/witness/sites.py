# SPDX-License-Identifier: Apache-2.0
"""Holds the sites of plans against the instructions that objdump sees."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import elftools_reader
import many
import objdump
from locations import Report
from objdump import Instruction

UNKNOWN = "an instruction that Capstone does not know"
CONDITIONAL = re.compile(r"j(?!mp)\w+|loop\w*")

KINDS = {
    UNKNOWN: "Capstone 4 does not decode this AVX-512 instruction (its first byte is an EVEX prefix), so the function "
    "is refused: what follows might hide a return.",
}


class Sites:
    def __init__(self, path: Path, program: Path, drawn: Sequence[tuple[int, int, str]]) -> None:
        self.path, self.program, self.drawn = path, program, drawn
        self.report = Report()
        self.morestack = {at for at, _, name in elftools_reader.functions(path) if name.startswith("runtime.morestack")}

    def run(self) -> Report:
        names = [symbol.removesuffix(".abi0") for _, _, symbol in self.drawn]
        plans = many.ask(self.program, self.path, [("plan", name) for name in names])
        chosen: list[tuple[str, dict[str, Any]]] = []
        for name, plan in zip(names, plans):
            self.report.counts["functions"] += 1
            for f in plan.get("functions", ()):
                chosen.append((name, f))
            if "error" in plan:
                # The linker's own symbols (runtime/cgo(.text)) are no functions.
                self.report.check(name.endswith("(.text)"), f"{name}: {plan['error']}")
                self.report.counts["symbols that are no functions"] += 1
        sizes = {at: size for at, size, _ in elftools_reader.functions(self.path)}
        entries = [int(f["entry"], 16) for _, f in chosen]
        decoded = objdump.decode(self.path, [(at, sizes[at]) for at in entries])
        for (name, f), instructions in zip(chosen, decoded):
            self.function(name, f, instructions)
        return self.report

    def function(self, name: str, f: dict[str, Any], instructions: list[Instruction]) -> None:
        report = self.report
        if f["refused"]:
            found = re.match(r"an unknown instruction at (0x[0-9a-f]+)", f["refused"])
            at = next((i for i in instructions if found and i.address == int(found[1], 16)), None)
            if report.check(at is not None and "(bad)" not in at.text, f"{name}: {f['refused']}") and at:
                # 0x62 in 64-bit code begins an EVEX prefix and nothing else (Intel's manual, volume 2, 2.7).
                first = objdump.bytes_at(self.path, at.address, 1)
                if report.check(first == b"\x62", f"{name}: {f['refused']}: {at.text}"):
                    report.explain(UNKNOWN, f"{name}: {at.mnemonic}")
            return
        by_address = {i.address: i for i in instructions}
        sites = [(int(s["addr"], 16), s) for s in f["sites"]]  # a function that only returns has two at one address
        for address, site in sites:
            there = by_address.get(address)
            if (
                not report.check(there is not None, f"{name}: {address:#x} is no instruction's beginning")
                or there is None
            ):
                return
            report.check(
                there.mnemonic.startswith(site["insn"]), f"{name}: {address:#x} {site['insn']}, not {there.text}"
            )
            report.counts["sites"] += 1
        returns = {a for a, s in sites if s["kind"] == "return"}
        seen = {i.address for i in instructions if i.mnemonic in ("ret", "retq", "lret", "iretq")}
        report.check(returns == seen, f"{name}: returns {sorted(map(hex, returns))}, not {sorted(map(hex, seen))}")
        report.counts["returns"] += len(seen)
        entries = [(a, s) for a, s in sites if s["kind"] == "entry"]
        if report.check(len(entries) == 1, f"{name}: {len(entries)} entry sites"):
            self.entry(name, instructions, *entries[0])

    def entry(self, name: str, instructions: list[Instruction], site: int, kind: dict[str, Any]) -> None:
        """It is passed once a call: on the straight line from the entry, where no branch comes back to."""
        report = self.report
        begin = instructions[0].address
        line = [i for i in instructions if i.address < site]
        by_address = {i.address: n for n, i in enumerate(instructions)}
        here = instructions[by_address[site]]
        loops = set()  # jumps back to the entry behind a call of morestack: not a turn of the function's own
        for n, i in enumerate(instructions):
            if i.target == begin and i.mnemonic == "jmp" and self.calls_morestack(instructions, n):
                loops.add(i.address)
        branches = [
            i
            for i in instructions
            if i.target is not None and not i.mnemonic.startswith("call") and i.address not in loops
        ]
        into = [i for i in branches if begin < (i.target or 0) <= site]
        report.check(not into, f"{name}: {[(hex(i.address), i.text) for i in into]} come to the way to {site:#x}")
        if any(i.target == begin for i in branches):
            report.counts["entries that are a loop's head"] += 1
        for i in line:
            left = CONDITIONAL.fullmatch(i.mnemonic) or i.mnemonic in ("jmp", "ret", "ud2", "call")
            check = CONDITIONAL.fullmatch(i.mnemonic) and self.leads_to_morestack(
                instructions, by_address.get(i.target or 0)
            )
            report.check(not left or bool(check), f"{name}: {i.address:#x} {i.text} may leave before {site:#x}")
        leads = self.leads_to_morestack(instructions, by_address.get(here.target or 0))
        report.check(
            kind["check_branch"] == (CONDITIONAL.fullmatch(here.mnemonic) is not None and leads), f"{name}: {here}"
        )
        if loops and not leads:
            # Behind the check, or it would be passed again after the stack has grown.
            last = [
                i
                for i in line
                if i.target is not None and self.leads_to_morestack(instructions, by_address.get(i.target))
            ]
            report.check(bool(last), f"{name}: {site:#x} is before the stack check")
        cheap = re.match(r"push +r\w+$|nop$|j\w+ |call +0x", here.text) is not None
        report.check(kind["emulated"] == cheap, f"{name}: {here.text}: emulated is {kind['emulated']}")
        report.counts[
            f"entry sites at {kind['insn'] if kind['emulated'] else 'an instruction that is single-stepped'}"
        ] += 1

    def calls_morestack(self, instructions: list[Instruction], jump: int) -> bool:
        """Whether the last call before this jump, on a straight line, is one of morestack."""
        for i in reversed(instructions[:jump]):
            if i.mnemonic.startswith("call"):
                return i.target in self.morestack
            if i.mnemonic in ("ret", "jmp") or CONDITIONAL.fullmatch(i.mnemonic):
                return False
        return False

    def leads_to_morestack(self, instructions: list[Instruction], at: int | None) -> bool:
        for i in instructions[at:] if at is not None else ():
            if i.mnemonic.startswith("call"):
                return i.target in self.morestack
            if i.mnemonic in ("ret", "jmp") or CONDITIONAL.fullmatch(i.mnemonic):
                return False
        return False
