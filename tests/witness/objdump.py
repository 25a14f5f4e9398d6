# SPDX-License-Identifier: Apache-2.0
"""The instructions of functions as GNU objdump decodes them, which shares no code with Capstone."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tracing import bytes_at

LINE = re.compile(r"\s*([0-9a-f]+):\t(?:[0-9a-f]{2} )+\s*(?:\t(.*))?$")
GAP = 64  # bytes of INT3 between functions: more than an instruction cut off at a function's end could swallow


@dataclass(frozen=True)
class Instruction:
    address: int
    text: str  # "jbe    0x1234": the mnemonic with prefixes, then operands

    @property
    def mnemonic(self) -> str:
        words = [
            w for w in self.text.split() if w not in ("rep", "repz", "bnd", "lock", "notrack", "cs", "ds", "data16")
        ]
        return words[0] if words else ""

    @property
    def target(self) -> int | None:
        """Of a direct branch or call."""
        found = re.search(r"\s0x([0-9a-f]+)$", self.text)
        if found and (self.mnemonic.startswith(("j", "call", "loop", "xbegin"))):
            return int(found[1], 16)
        return None


def decode(path: Path, ranges: Sequence[tuple[int, int]]) -> list[list[Instruction]]:
    """One list for each (address, size), padding at its end left out.

    Each is given to objdump as bytes of its own, so that nothing of the file but its segments is believed.
    """
    found: list[list[Instruction]] = [[] for _ in ranges]
    flat = bytearray()
    places: list[tuple[int, int]] = []
    for address, size in ranges:
        places.append((len(flat), address))
        flat += bytes_at(path, address, size) + b"\xcc" * GAP
    with tempfile.NamedTemporaryFile() as file:
        file.write(flat)
        file.flush()
        command = ["objdump", "-D", "-b", "binary", "-m", "i386:x86-64", "-M", "intel", "-w", "-z", file.name]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    at = 0
    for line in text.splitlines():
        match = LINE.match(line)
        if not match:
            continue
        offset = int(match[1], 16)
        while at + 1 < len(places) and offset >= places[at + 1][0]:
            at += 1
        begin, address = places[at]
        if offset - begin < ranges[at][1]:
            moved = address - begin
            found[at].append(Instruction(offset + moved, relocated(match[2] or "", moved)))
    for instructions in found:
        while len(instructions) > 1 and instructions[-1].text == "int3":
            instructions.pop()
    return found


def relocated(text: str, moved: int) -> str:
    """Targets of branches as they are where the function lies."""
    text = text.split("#")[0].strip()
    branch = re.fullmatch(r"((?:\S+ +)*(?:j\w+|call\w*|loop\w*|xbegin)\S* +)0x([0-9a-f]+)", text)
    if not branch:
        return text
    return f"{branch[1]}{(int(branch[2], 16) + moved) % 2**64:#x}"
