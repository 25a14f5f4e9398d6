# SPDX-License-Identifier: Apache-2.0
"""Plans and records made by hand, for decode_harness.c: what test_decode.py and test_pairing.py share."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from c_programs import c_program

ROOT = Path(__file__).resolve().parent.parent.parent
OWN = (
    *(
        "decode",
        "decode_interface",
        "decode_runtime",
        "decode_map",
        "decode_way",
        "decode_caller",
        "mask",
        "error_text",
        "value_text",
        "net_text",
        "names",
    ),
    *("format", "json", "text", "pairing", "queue", "writer", "process", "summary", "collector", "recording"),
    *("frames", "chain", "held"),
)
OFFSETS = (
    "error",
    "json_out",
    "elf_data",
    "elf_file",
    "elf_symbol",
    "func_lines",
    "func_name",
    "func_table",
    "go_build",
    "inlines",
    "pclntab",
    "rtypes",
    "plan_io",
    "types",
)
SANITIZE = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]

# reflect.Kind
BOOL, INT, INT8, INT16, INT32, INT64, UINT, UINT8, UINT16, UINT32, UINT64, UINTPTR = range(1, 13)
FLOAT32, FLOAT64, COMPLEX64, COMPLEX128, ARRAY, CHAN, FUNC = range(13, 20)
INTERFACE, MAP, POINTER, SLICE, STRING, STRUCT, UNSAFE = range(20, 27)
REGISTER, CHUNK = 1, 3
# enum expr_op
FIELD, DEREF, INDEX, KEY, RANGE, EACH, ASSERT, LEN, CAP = range(2, 11)
OK, SHORT, FAULT, FULL = range(4)
SYSTEM_STACK, NO_G, NO_CURG, RECORD_FULL = 1, 2, 4, 8
G, HI = 0xC000002000, 0xC000101000


def compile_harness(folder: Path, flags: list[str]) -> Path:
    """decode_harness.c with the collector's files, without those that need the kernel."""
    sources = [ROOT / "tests/unit/decode_harness.c", *(ROOT / f"offsets/{name}.c" for name in OFFSETS)]
    sources += [ROOT / f"collector/{name}.c" for name in OWN]
    return c_program(folder, sources, flags, ["-pthread", "-lm", "-lelf", "-ldeflate"])


@pytest.fixture(scope="session")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_harness(tmp_path_factory.mktemp("harness"), SANITIZE)


class Script:
    """What the harness is told: types and functions first, then begin(), then records."""

    def __init__(self, program: Path) -> None:
        self.program = program
        self.lines = ["binary /srv/tracee go1.26.8"]
        self.types: dict[str, int] = {}
        self.sites = 0
        self.json = True

    def type(self, name: str, kind: int, size: int, elem: str = "", count: int = 0, complete: bool = True) -> str:
        self.types[name] = len(self.types)
        # a type may point to itself, so its own index is known first
        elem_index = self.types[elem] if elem else 0xFFFFFFFF
        self.lines.append(f"type {name} {kind} {size} {elem_index} {count} {int(complete)}")
        return name

    def struct(self, name: str, size: int, *fields: tuple[str, str, int]) -> str:
        """A field's type may come later: it is named by its place ("+1": the next type made)."""
        own = len(self.types)
        self.type(name, STRUCT, size)
        for field, of, offset in fields:
            index = own + int(of) if of[0] == "+" else self.types[of]
            self.lines.append(f"field {field} {index} {offset}")
        return name

    def basics(self) -> Script:
        for name, kind, size in (("int", INT, 8), ("string", STRING, 16), ("bool", BOOL, 1), ("uint8", UINT8, 1)):
            self.type(name, kind, size)
        return self

    def func(self, name: str, once: bool = False) -> None:
        self.lines.append(f"func {name} {int(once)}")

    def site(self, kind: int = 0, frame: int = 0, addr: int = 0x401000) -> int:
        self.lines.append(f"site {kind} {addr} {frame}")
        self.sites += 1
        return self.sites - 1

    def step(self, op: int, length: int, most: int) -> None:
        self.lines.append(f"step {op} {length} {most}")

    def value(self, name: str, of: str, *pieces: tuple[int, ...]) -> None:
        """pieces: (offset, size, location, index, at, reason, detail, came in)"""
        self.lines.append(f"value {name} {self.types[of]}")
        for piece in pieces:
            self.lines.append("piece " + " ".join(str(n) for n in (*piece, 0, 0, 0, 0, 0)[:8]))

    def caller(self, ret: int, reg: int, size: int, *place: int, constant: int = 0) -> None:
        """place: (location, index, at)"""
        self.lines.append(" ".join(map(str, ["caller", ret, reg, size, *place, constant])))

    def way(self, op: int, of: str, lo: int = 0, hi: int = 0, name: str = "-") -> None:
        """Of the last value: enum expr_op (offsets/expression.h), the type that it leads to."""
        self.lines.append(f"way {op} {self.types[of]} {lo} {hi} {name} 0 0 0")

    def key(self, of: str, key: str | int) -> None:
        """As way(), of a map's element."""
        kind, name = (STRING, key) if isinstance(key, str) else (INT, "-")
        number = 0 if isinstance(key, str) else key
        self.lines.append(f"way {KEY} {self.types[of]} 0 0 {name} {kind} {int(number < 0)} {abs(number)}")

    def words(self, name: str, of: str, first: int, n: int = 1) -> None:
        """A value in n registers, in order."""
        self.value(name, of, *((8 * i, 8, REGISTER, first + i) for i in range(n)))

    def begin(
        self,
        output: str = "json",
        color: bool = False,
        max_calls: int = 0,
        string: int = 256,
        depth: int = 2,
        elements: int = 64,
        no_args: bool = False,
        no_results: bool = False,
    ) -> None:
        self.json = output == "json"
        numbers = (int(self.json), int(color), max_calls, string, depth, elements, int(no_args), int(no_results))
        self.lines.append("begin " + " ".join(map(str, numbers)))

    def record(
        self,
        site: int = 0,
        ts: int = 1000,
        pid: int = 7,
        tid: int = 8,
        depth: int = 0x100,
        g: int = G,
        goid: int = 18,
        hi: int = HI,
        flags: int = 0,
        bias: int = 0,
        regs: tuple[int, ...] = (),
        chunks: tuple[tuple[int, int, int, bytes], ...] = (),
    ) -> None:
        """chunks: (step, status, address, bytes)"""
        sp = (hi - depth) % 2**64
        words = [site, ts, pid, tid, sp, g, goid, hi, flags, bias, *regs, *([0] * (10 - len(regs)))]
        data = [f"{step},{status},{addr:x},0,{payload.hex()}" for step, status, addr, payload in chunks]
        self.lines.append(" ".join(["record", *map(str, words), *data]))

    def run(self) -> list[str]:
        """Lines of output, the meta line and what the start of the process says left out."""
        text = "\n".join([*self.lines, ""])
        result = subprocess.run([self.program], input=text.encode(), capture_output=True, timeout=300)
        assert result.returncode == 0, result.stderr.decode()
        lines = result.stdout.decode().splitlines()
        if self.json:
            assert json.loads(lines[0])["type"] == "meta"
            lines = [line for line in lines[1:] if '"event":"start"' not in line]
        return lines


@pytest.fixture
def script(harness: Path) -> Script:
    return Script(harness).basics()


def without_time(lines: list[str]) -> list[str]:
    for line in lines:
        if not line.startswith("-- "):
            assert re.match(r"(\033\[2m)?\d\d:\d\d:\d\d\.\d{6}", line), line
    return [re.sub(r"\d\d:\d\d:\d\d\.\d{6}", "TIME", line, count=1) for line in lines]
