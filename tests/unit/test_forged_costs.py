# SPDX-License-Identifier: Apache-2.0
"""Files that are small and made to cost time or memory without bound: each is read, or refused in one line, at once."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from tracing import ROOT

AT_ONCE = 5  # seconds: what is bounded takes a tenth of one, what is not takes a minute at least

Offsets = Callable[..., "subprocess.CompletedProcess[str]"]
Tracee = Callable[..., Path]


def deflated(data: bytes) -> bytes:
    return struct.pack("<IIQQ", 1, 0, len(data), 1) + zlib.compress(data, 1)


class Rebuilt:
    """A copy of a program, sections of which are replaced."""

    def __init__(self, source: Path, copy: Path) -> None:
        self.data = bytearray(source.read_bytes())
        self.copy = copy
        with source.open("rb") as file:
            elf = ELFFile(file)
            self.headers, self.programs = elf["e_shoff"], elf["e_phoff"]
            self.names = [s.name for s in elf.iter_sections()]
            self.segments = [s["p_type"] for s in elf.iter_segments()]
            code = elf.get_section_by_name(".symtab").get_symbol_by_name("main.ebpfDemo")[0]
            self.code = (code["st_value"], code["st_value"] + code["st_size"])

    def section(self, name: str) -> tuple[int, ...]:
        return struct.unpack_from("<IIQQQQIIQQ", self.data, self.headers + 64 * self.names.index(name))

    def replace(self, name: str, data: bytes, compressed: bool = False) -> None:
        """compressed: the data are what deflated() gives."""
        at = self.headers + 64 * self.names.index(name)
        struct.pack_into("<Q", self.data, at + 8, 0x800 if compressed else 0)
        struct.pack_into("<QQ", self.data, at + 24, len(self.data), len(data))
        self.data += data

    def share(self, name: str, of: str) -> None:
        """Let a section have the bytes of another."""
        to, at = (self.headers + 64 * self.names.index(n) for n in (name, of))
        for offset, size in ((8, 8), (24, 16)):  # flags; offset and size
            self.data[to + offset : to + offset + size] = self.data[at + offset : at + offset + size]

    def rename(self, name: str, to: str) -> None:
        number = struct.unpack_from("<H", self.data, 62)[0]
        strings = struct.unpack_from("<IIQQQQIIQQ", self.data, self.headers + 64 * number)[4]
        at = strings + self.section(name)[0]
        assert len(to) <= len(name)
        self.data[at : at + len(to) + 1] = to.encode() + b"\0"
        self.names[self.names.index(name)] = to

    def segment(self, index: int, kind: int, flags: int, offset: int, address: int, size: int) -> None:
        header = struct.pack("<IIQQQQQQ", kind, flags, offset, address, 0, size, size, 4096)
        self.data[self.programs + 56 * index : self.programs + 56 * (index + 1)] = header

    def write(self) -> Path:
        self.copy.write_bytes(self.data)
        return self.copy


@pytest.fixture
def rebuilt(tracee: Tracee, tmp_path: Path) -> Rebuilt:
    return Rebuilt(tracee("1.26"), tmp_path / "forged")


# ---- debug information ------------------------------------------------------------------------------------------

NAME, SIZE, LOW, HIGH, LANGUAGE, TYPE, OFFSET, RESULT, KIND = 3, 0x0B, 0x11, 0x12, 0x13, 0x49, 0x38, 0x4B, 0x2900
FORM_ADDR, FORM_STRING, FORM_DATA1, FORM_FLAG, FORM_STRP, FORM_REF4 = 1, 8, 0x0B, 0x0C, 0x0E, 0x13
UNIT, FUNCTION, PARAMETER, STRUCT, FIELD, TYPEDEF, BASE = 1, 2, 3, 4, 5, 6, 7  # numbers of abbreviations


def uleb(n: int) -> bytes:
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes([*out, n])


def abbreviation(number: int, tag: int, children: bool, *attributes: tuple[int, int]) -> bytes:
    return b"".join(
        [uleb(number), uleb(tag), bytes([children]), *(uleb(n) for pair in attributes for n in pair), b"\0\0"]
    )


ABBREVIATIONS = [
    abbreviation(UNIT, 0x11, True, (LANGUAGE, FORM_DATA1), (NAME, FORM_STRING)),
    abbreviation(FUNCTION, 0x2E, True, (NAME, FORM_STRING), (LOW, FORM_ADDR), (HIGH, FORM_ADDR)),
    abbreviation(PARAMETER, 0x05, False, (NAME, FORM_STRING), (TYPE, FORM_REF4), (RESULT, FORM_FLAG)),
    abbreviation(STRUCT, 0x13, True, (NAME, FORM_STRING), (SIZE, FORM_DATA1), (KIND, FORM_DATA1)),
    abbreviation(FIELD, 0x0D, False, (NAME, FORM_STRING), (OFFSET, FORM_DATA1), (TYPE, FORM_REF4)),
    abbreviation(TYPEDEF, 0x16, False, (NAME, FORM_STRP)),
    abbreviation(BASE, 0x24, False, (NAME, FORM_STRING), (SIZE, FORM_DATA1), (KIND, FORM_DATA1)),
]
HEADER = 11  # bytes of a unit's header
MAIN = bytes([UNIT, 0x16]) + b"main\0"  # DW_LANG_Go


def describe(rebuilt: Rebuilt, entries: bytes, abbreviations: list[bytes] = ABBREVIATIONS) -> None:
    """Let the debug information be one unit of these entries."""
    unit = MAIN + entries + b"\0"
    rebuilt.replace(".debug_info", deflated(struct.pack("<IHIB", len(unit) + 7, 4, 0, 8) + unit), compressed=True)
    rebuilt.replace(".debug_abbrev", b"".join(abbreviations) + b"\0")


def demo(rebuilt: Rebuilt, parameter: int) -> bytes:
    function = bytes([FUNCTION]) + b"main.ebpfDemo\0" + struct.pack("<QQ", *rebuilt.code)
    return function + bytes([PARAMETER]) + b"x\0" + struct.pack("<IB", parameter, 0) + b"\0"


def field(offset_of_type: int) -> bytes:
    return bytes([FIELD]) + b"f\0\0" + struct.pack("<I", offset_of_type)


def nested(size: int, number: bool, width: int, n: int) -> tuple[bytes, int]:
    """int, then struct types, each of `width` fields of the one before, all at its start; and where the last is."""
    out = bytearray(bytes([BASE]) + b"int\0\x08\x02")
    at = HEADER + len(MAIN)
    for i in range(n):
        here = HEADER + len(MAIN) + len(out)
        out += bytes([STRUCT]) + b"T%d\0" % i + bytes([size, 25])
        out += field(at) * (width if i else number) + b"\0"
        at = here
    return bytes(out), at


@pytest.mark.parametrize(("size", "number", "width"), [(0, False, 2), (8, False, 2), (8, True, 30)])
def test_types_of_some_of_a_type_of_some(
    offsets_cmd: Offsets, rebuilt: Rebuilt, size: int, number: bool, width: int
) -> None:
    """n types have width^n ways down."""
    types, last = nested(size, number, width, 60)
    describe(rebuilt, types + demo(rebuilt, last))
    path = rebuilt.write()
    for command in ("params", "plan"):
        run = offsets_cmd(command, path, "main.ebpfDemo", timeout=AT_ONCE)
        assert (run.returncode, run.stderr) == (0, "")
    (f,) = json.loads(run.stdout)["functions"]
    assert f["types_known"] and [p["type"] for p in f["params"]] == ["T59"]


@pytest.mark.parametrize(("n", "size"), [(20_000, 8 << 20), (20_000, 60 << 10)])
def test_entries_that_share_a_long_name(offsets_cmd: Offsets, rebuilt: Rebuilt, n: int, size: int) -> None:
    rebuilt.rename(".debug_rnglists", ".debug_str")
    rebuilt.replace(".debug_str", deflated(b"a" * size + b"\0"), compressed=True)
    describe(rebuilt, (bytes([TYPEDEF]) + bytes(4)) * n)
    path = rebuilt.write()
    run = offsets_cmd("params", path, "main.ebpfDemo", timeout=AT_ONCE)
    assert (run.returncode, run.stdout) == (3, "")
    assert "strings that are too long" in run.stderr


def test_entries_of_many_attributes_of_no_bytes(offsets_cmd: Offsets, rebuilt: Rebuilt) -> None:
    flag = (0x2FFF, 0x19)  # DW_FORM_flag_present
    many = abbreviation(TYPEDEF, 0x16, False, *[flag] * 500_000)
    describe(rebuilt, bytes([TYPEDEF]) * 50_000, [*ABBREVIATIONS[:5], many])
    run = offsets_cmd("params", rebuilt.write(), "main.ebpfDemo", timeout=AT_ONCE)
    assert (run.returncode, run.stdout) == (3, "")
    assert ".debug_info+0: the abbreviations of this unit" in run.stderr


def test_units_of_one_long_table(offsets_cmd: Offsets, rebuilt: Rebuilt) -> None:
    """Each unit's table is read anew, up to the abbreviation that is asked for."""
    table = b"".join(abbreviation(n, 0x24, False, (NAME, FORM_STRING)) for n in range(100, 100_000))
    unit = bytes([UNIT, 0x16, 0])
    units = (struct.pack("<IHIB", len(unit) + 7, 4, 0, 8) + unit) * 200_000
    rebuilt.replace(".debug_info", deflated(units), compressed=True)
    rebuilt.replace(".debug_abbrev", table + ABBREVIATIONS[0] + b"\0")
    run = offsets_cmd("params", rebuilt.write(), "main.ebpfDemo", timeout=AT_ONCE)
    assert (run.returncode, run.stdout) == (3, "")
    assert "the abbreviations of its units are too many" in run.stderr


# ---- tables of names --------------------------------------------------------------------------------------------


def test_symbols_that_share_a_long_name(offsets_cmd: Offsets, rebuilt: Rebuilt) -> None:
    symbol = struct.pack("<IBBHQQ", 1, 0x12, 0, 1, rebuilt.code[0], 1)
    rebuilt.replace(".symtab", deflated(bytes(24) + symbol * 50_000), compressed=True)
    rebuilt.replace(".strtab", deflated(b"\0" + b"a" * (32 << 20) + b"\0"), compressed=True)
    path = rebuilt.write()
    run = offsets_cmd("functions", path, timeout=AT_ONCE)
    assert (run.returncode, run.stdout) == (3, "")
    assert run.stderr.startswith(f"error: {path}: damaged symbol table: its names overlap\n")


NAMES, CU_FILES, RECORDS = 8 + 8 * 3, 8 + 8 * 4, 8 + 8 * 7  # words of the header of a pclntab of Go 1.18 and later


def words(data: bytes, at: int) -> int:
    return int(struct.unpack_from("<Q", data, at)[0])


@pytest.mark.parametrize(("size", "says"), [(32 << 20, "[]"), (60 << 10, "its trees of inlined calls overlap")])
def test_inlined_calls_of_one_long_name(rebuilt: Rebuilt, size: int, says: str) -> None:
    """The table of functions and the trees are moved behind all else, with a long name behind the others."""
    header = rebuilt.headers + 64 * rebuilt.names.index(".gopclntab")
    start, length = rebuilt.section(".gopclntab")[4:6]
    table = bytearray(rebuilt.data[start : start + length])
    names = table[words(table, NAMES) : words(table, CU_FILES)]
    struct.pack_into("<Q", table, NAMES, len(table))
    table += names + b"a" * size + b"\0"
    table += bytes(-len(table) % 16)
    trees = struct.pack("<I", len(names)) * (1 << 18)
    address = 0x10000000
    rebuilt.data += bytes(-len(rebuilt.data) % 4096)
    struct.pack_into("<QQQ", rebuilt.data, header + 16, address, len(rebuilt.data), len(table))
    rebuilt.segment(rebuilt.segments.index("PT_NOTE"), 1, 4, len(rebuilt.data), address, len(table) + len(trees))
    symbols, strings = rebuilt.section(".symtab"), rebuilt.section(".strtab")
    name = rebuilt.data.index(b"\0go:func.*\0", strings[4]) + 1 - strings[4]
    for at in range(symbols[4], symbols[4] + symbols[5], 24):
        if struct.unpack_from("<I", rebuilt.data, at)[0] == name:
            struct.pack_into("<Q", rebuilt.data, at + 8, address + len(table))
    rebuilt.data += table + trees
    program = "import sys; from tracer.plan import Program; print(Program(sys.argv[1]).inlined(sys.argv[2]))"
    command = [sys.executable, "-c", program, rebuilt.write(), "main.nothing"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=AT_ONCE)
    assert says in (run.stdout or run.stderr)


def test_a_wrapper_of_most_of_the_code(offsets_cmd: Offsets, rebuilt: Rebuilt) -> None:
    """And many functions of its name, in assembly: each would ask whether it leads there."""
    functions = json.loads(offsets_cmd("functions", rebuilt.write()).stdout)["functions"]
    generated = next(f["name"] for f in functions if f["file"] == "<autogenerated>")
    assembly = next(f["name"] for f in functions if f["file"] and f["file"].endswith(".s"))
    start = rebuilt.section(".gopclntab")[4]
    names, table = (start + words(rebuilt.data, start + word) for word in (NAMES, RECORDS))
    n = words(rebuilt.data, start + 8)
    entries = [struct.unpack_from("<II", rebuilt.data, table + 8 * i) for i in range(n)]

    def record(i: int) -> int:
        return table + entries[i][1]

    def called(i: int) -> str:
        at = names + struct.unpack_from("<I", rebuilt.data, record(i) + 4)[0]
        return rebuilt.data[at : rebuilt.data.index(b"\0", at)].decode()

    def become(i: int, like: int) -> None:
        struct.pack_into("<I", rebuilt.data, record(i) + 4, shared)
        for word in (20, 32):  # the table of files, and what its numbers count from
            rebuilt.data[record(i) + word : record(i) + word + 4] = originals[like][word : word + 4]

    wrapper, body = (next(i for i in range(n) if called(i) == name) for name in (generated, assembly))
    originals = {i: bytes(rebuilt.data[record(i) : record(i) + 36]) for i in (wrapper, body)}
    shared = struct.unpack_from("<I", rebuilt.data, record(body) + 4)[0]
    large, first = 10, n - 400
    for i in range(large + 1, first):
        struct.pack_into("<I", rebuilt.data, table + 8 * i, entries[first][0])
    become(large, wrapper)
    for i in range(first, n):
        become(i, body)
    run = offsets_cmd("plan", rebuilt.write(), assembly, timeout=AT_ONCE)
    assert (run.returncode, run.stderr) == (0, "")
    files = [f["file"] for f in json.loads(run.stdout)["functions"]]
    # that it leads to some of them is not seen: it is no wrapper
    assert files.count("<autogenerated>") == 1 and sum(file.endswith(".s") for file in files) > 300


# ---- segments, relocations, sections -----------------------------------------------------------------------------


def test_segments_that_are_the_same_bytes(offsets_cmd: Offsets, rebuilt: Rebuilt) -> None:
    """Each would be searched."""
    n = 2000
    rebuilt.rename(".gopclntab", ".nothing")
    rebuilt.rename(".go.buildinfo", ".nothing")
    size = 64 << 20
    headers = len(rebuilt.data)
    struct.pack_into("<Q", rebuilt.data, 32, headers)
    struct.pack_into("<H", rebuilt.data, 56, n)
    for i in range(n):
        rebuilt.data += struct.pack("<IIQQQQQQ", 1, 6, 1 << 20, (1 + i) << 30, 0, size, size, 4096)
    path = rebuilt.write()
    with path.open("r+b") as file:
        file.truncate(1 << 27)
    run = offsets_cmd("functions", path, timeout=AT_ONCE)
    assert (run.returncode, run.stdout) == (3, "")
    said = "damaged ELF file: two loaded segments share 0x4000000 bytes at offset 0x100000"
    assert run.stderr.startswith(f"error: {path}: {said}\n")


def test_relocations_of_one_word(offsets_cmd: Offsets, tracee: Tracee, tmp_path: Path) -> None:
    """Each says that the word points to the table of functions: each time it would be read with all of them."""
    n, address = 200_000, 0x10000000
    rebuilt = Rebuilt(tracee("1.26", "pie"), tmp_path / "forged")
    table = next(rebuilt.section(name)[3] for name in rebuilt.names if name.endswith(".gopclntab"))
    dynamic, data = rebuilt.section(".dynamic"), rebuilt.section(".data")[3]
    for at in range(dynamic[4], dynamic[4] + dynamic[5], 16):
        tag = struct.unpack_from("<Q", rebuilt.data, at)[0]
        if tag in (7, 8):  # DT_RELA, DT_RELASZ
            struct.pack_into("<Q", rebuilt.data, at + 8, address if tag == 7 else 24 * n)
    rebuilt.data += bytes(-len(rebuilt.data) % 4096)
    rebuilt.segment(rebuilt.segments.index("PT_NOTE"), 1, 4, len(rebuilt.data), address, 24 * n)
    rebuilt.data += struct.pack("<QQQ", data, 8, table) * n
    run = offsets_cmd("functions", rebuilt.write(), "main.ebpfDemo", timeout=AT_ONCE)
    assert (run.returncode, run.stderr) == (0, "")
    assert [f["name"] for f in json.loads(run.stdout)["functions"]] == ["main.ebpfDemo"]


def test_sections_that_inflate_beyond_all_others(offsets_cmd: Offsets, rebuilt: Rebuilt) -> None:
    """Each alone is still small enough."""
    rebuilt.rename(".debug_rnglists", ".debug_str")
    rebuilt.rename(".debug_gdb_scripts", ".debug_line_str")
    rebuilt.replace(".debug_info", deflated(bytes(64 << 20)), compressed=True)
    for name in (".debug_abbrev", ".debug_str", ".debug_line_str", ".debug_addr"):
        rebuilt.share(name, ".debug_info")
    run = offsets_cmd("params", rebuilt.write(), "main.ebpfDemo", timeout=AT_ONCE)
    assert (run.returncode, run.stdout) == (3, "")
    assert "0x4000000 bytes beside the" in run.stderr and "of other sections, at most" in run.stderr


def test_a_section_larger_than_memory(offsets_cmd: Offsets, rebuilt: Rebuilt) -> None:
    at = rebuilt.headers + 64 * rebuilt.names.index(".debug_info")
    size = 1 << 40
    struct.pack_into("<QQQ", rebuilt.data, at + 24, 0, size, 0)
    struct.pack_into("<Q", rebuilt.data, at + 8, 0)
    path = rebuilt.write()
    with path.open("r+b") as file:
        file.truncate(size)
    run = offsets_cmd("params", path, "main.ebpfDemo", timeout=AT_ONCE)
    assert (run.returncode, run.stdout) == (3, "")
    assert "0x10000000000 bytes, at most 0x100000000 are read" in run.stderr
