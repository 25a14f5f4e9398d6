# SPDX-License-Identifier: Apache-2.0
"""Files that are no Go program, damaged ones, and wrong usage: one clear line and the exit code of the design."""

from __future__ import annotations

import json
import os
import random
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Callable

import pytest
from elftools.elf.elffile import ELFFile

Offsets = Callable[..., "subprocess.CompletedProcess[str]"]
Tracee = Callable[..., Path]

FLIPS = 307
CUTS = 97
GO_HINT = "hint: FILE is the executable that 'go build' makes\n"
COPY_HINT = "hint: was FILE copied completely? build or copy it again\n"


def refused(offsets_cmd: Offsets, path: object, code: int, stderr: str) -> None:
    run = offsets_cmd("functions", path)
    assert (run.returncode, run.stdout, run.stderr) == (code, "", stderr)


def survives(offsets_cmd: Offsets, path: Path, *args: str) -> int:
    """A damaged file gives an answer or an error, and nothing else: no signal, no half answer."""
    run = offsets_cmd("functions", path, *args, timeout=20)
    if run.returncode == 0:
        assert run.stderr == ""
        json.loads(run.stdout)
    else:
        assert run.returncode == 3, (run.returncode, run.stderr)
        assert run.stdout == ""
        lines = run.stderr.splitlines()
        assert lines[0].startswith("error: ") and len(lines[0]) > len("error: ")
        assert len(lines) <= 2 and all(line.startswith("hint: ") for line in lines[1:])
        assert run.stderr.isprintable() or all(c.isprintable() or c == "\n" for c in run.stderr)
    return run.returncode


def test_no_such_file(offsets_cmd: Offsets, tmp_path: Path) -> None:
    path = tmp_path / "none"
    refused(offsets_cmd, path, 2, f"error: {path}: No such file or directory\n")


def test_folder(offsets_cmd: Offsets, tmp_path: Path) -> None:
    refused(offsets_cmd, tmp_path, 2, f"error: {tmp_path}: Is a directory\n")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_unreadable(offsets_cmd: Offsets, tmp_path: Path) -> None:
    path = tmp_path / "closed"
    path.touch(mode=0)
    refused(offsets_cmd, path, 2, f"error: {path}: Permission denied\n")


def test_fifo_is_not_waited_for(offsets_cmd: Offsets, tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    refused(offsets_cmd, path, 2, f"error: {path}: not a regular file\n")


def test_device(offsets_cmd: Offsets) -> None:
    refused(offsets_cmd, "/dev/zero", 2, "error: /dev/zero: not a regular file\n")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not an ELF file: it is empty"),
        (b"#!/bin/sh\necho hello\n", "not an ELF file: it is a script"),
        (b"hello\n", "not an ELF file"),
        (b"MZ" + bytes(200), "not an ELF file"),
        (b"!<arch>\n" + bytes(200), "not an ELF file"),
    ],
)
def test_not_elf(offsets_cmd: Offsets, tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    refused(offsets_cmd, path, 3, f"error: {path}: {said}\n{GO_HINT}")


def elf_header(
    elf_class: int = 2, order: int = 1, kind: int = 2, machine: int = 62, phnum: int = 0, shnum: int = 0
) -> bytes:
    ident = b"\x7fELF" + bytes([elf_class, order, 1]) + bytes(9)
    pack = "<" if order == 1 else ">"
    return ident + struct.pack(
        pack + "HHIQQQIHHHHHH", kind, machine, 1, 0x401000, 64 if phnum else 0, 0, 0, 64, 56, phnum, 64, shnum, 0
    )


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (elf_header(elf_class=1), "32-bit ELF file: only 64-bit programs for amd64 are handled"),
        (elf_header(order=2), "big-endian ELF file: only programs for amd64 are handled"),
        (elf_header(machine=183), "ELF file for arm64: only amd64 is handled"),
        (elf_header(machine=243), "ELF file for riscv64: only amd64 is handled"),
        (elf_header(machine=4711), "ELF file for machine 4711: only amd64 is handled"),
        (elf_header(kind=1), "not a program but an object file"),
        (elf_header(kind=4), "not a program but a core dump"),
    ],
)
def test_elf_of_another_kind(offsets_cmd: Offsets, tmp_path: Path, header: bytes, said: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(header)
    refused(offsets_cmd, path, 3, f"error: {path}: {said}\n")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x7fELF", "damaged ELF file: its header is cut off after 4 bytes"),
        (elf_header()[:63], "damaged ELF file: its header is cut off after 63 bytes"),
        (elf_header(elf_class=3), "damaged ELF file: class 3 in its header"),
        (elf_header(order=3), "damaged ELF file: byte order 3 in its header"),
        (elf_header(kind=77), "damaged ELF file: type 77 in its header"),
        (elf_header(), "damaged ELF file: no segment is loaded"),
        (
            elf_header(phnum=1) + struct.pack("<IIQQQQQQ", 1, 5, 0, 0x400000, 0, 0x1000, 0x1000, 0x1000),
            "damaged ELF file: segment 0 (offset 0, 0x1000 bytes) goes past the end of the file (0x78 bytes):"
            " is it cut off?",
        ),
        (
            elf_header(phnum=1) + struct.pack("<IIQQQQQQ", 1, 5, 0, 0x400000, 0, 0x78, 0x10, 0x1000),
            "damaged ELF file: segment 0 has 0x78 bytes in the file and 0x10 in memory at 0x400000",
        ),
    ],
)
def test_damaged_header(offsets_cmd: Offsets, tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    refused(offsets_cmd, path, 3, f"error: {path}: {said}\n{COPY_HINT}")


def test_c_program(offsets_cmd: Offsets) -> None:
    path = shutil.which("ls")
    said = "not a Go program: it has neither Go's build information nor its function table"
    refused(offsets_cmd, path, 3, f"error: {path}: {said}\n{GO_HINT}")


def test_names_in_messages_are_escaped(offsets_cmd: Offsets, tmp_path: Path) -> None:
    path = tmp_path / "a\x1b[31m\nb\u202e"
    path.write_bytes(b"hello")
    escaped = f"{tmp_path}/a\\x1b[31m\\x0ab\\xe2\\x80\\xae"
    refused(offsets_cmd, path, 3, f"error: {escaped}: not an ELF file\n{GO_HINT}")


@pytest.mark.parametrize("version", ["1.15", "1.19", "1.27"])
def test_cut_off(offsets_cmd: Offsets, tracee: Tracee, tmp_path: Path, version: str) -> None:
    data = tracee(version).read_bytes()
    rng = random.Random(version)
    lengths = [0, 1, 15, 16, 63, 64, 65, 4096, len(data) - 1] + [rng.randrange(len(data)) for _ in range(CUTS)]
    path = tmp_path / "cut"
    for length in lengths:
        path.write_bytes(data[:length])
        assert survives(offsets_cmd, path) == 3, length


def interesting_ranges(path: Path, data: bytes) -> list[tuple[int, int]]:
    """Where a flipped bit does something: headers, tables, strings; and anywhere."""
    ranges = [(0, 64), (64, 64 + 56 * 10), (0, len(data))]
    with path.open("rb") as file:
        elf = ELFFile(file)
        ranges.append((elf["e_shoff"], elf["e_shoff"] + elf["e_shnum"] * elf["e_shentsize"]))
        for section in elf.iter_sections():
            start, size = section["sh_offset"], section["sh_size"]
            if section.name in (".gopclntab", ".data.rel.ro.gopclntab"):
                ranges += [(start, start + 80), (start, start + size)]
            elif section.name in (".go.buildinfo", ".dynamic", ".rela", ".symtab", ".strtab", ".shstrtab") and size:
                ranges.append((start, start + size))
    return ranges


@pytest.mark.parametrize(("version", "mode"), [("1.15", "default"), ("1.19", "pie"), ("1.26", "default")])
def test_flipped_bits(offsets_cmd: Offsets, tracee: Tracee, tmp_path: Path, version: str, mode: str) -> None:
    source = tracee(version, mode)
    data = source.read_bytes()
    ranges = interesting_ranges(source, data)
    rng = random.Random(version + mode)
    path = tmp_path / "flipped"
    for _ in range(FLIPS // 3 + 1):
        damaged = bytearray(data)
        for _ in range(rng.choice([1, 1, 2, 8])):
            start, end = rng.choice(ranges)
            damaged[rng.randrange(start, end)] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        survives(offsets_cmd, path, *rng.choice([[], ["main.*"], ["main.ebpfDem"]]))


def pclntab_offset(path: Path) -> int:
    with path.open("rb") as file:
        return int(ELFFile(file).get_section_by_name(".gopclntab")["sh_offset"])


@pytest.mark.parametrize(
    ("version", "at", "value", "said"),
    [
        ("1.15", 8, 1 << 40, "it is shorter than its count of functions says"),
        ("1.17", 8, 1 << 62, "it is shorter than its count of functions says"),
        ("1.27", 8, 0xFFFFFFFF, "it is shorter than its count of functions says"),
        ("1.27", 8 + 3 * 8, 1 << 40, "an offset in its header is out of bounds"),
        ("1.17", 8 + 6 * 8, 0xFFFFFFFFFFFFFFFF, "an offset in its header is out of bounds"),
    ],
)
def test_damaged_function_table(
    offsets_cmd: Offsets, tracee: Tracee, tmp_path: Path, version: str, at: int, value: int, said: str
) -> None:
    source = tracee(version)
    data = bytearray(source.read_bytes())
    struct.pack_into("<Q", data, pclntab_offset(source) + at, value)
    path = tmp_path / "damaged"
    path.write_bytes(data)
    refused(offsets_cmd, path, 3, f"error: {path}: damaged Go function table: {said}\n{COPY_HINT}")


def test_function_table_removed(offsets_cmd: Offsets, tracee: Tracee, tmp_path: Path) -> None:
    source = tracee("1.27")
    data = bytearray(source.read_bytes())
    start = pclntab_offset(source)
    data[start : start + 8] = bytes(8)
    path = tmp_path / "removed"
    path.write_bytes(data)
    said = "not a Go program, or its function table was removed"
    refused(offsets_cmd, path, 3, f"error: {path}: {said}\n{GO_HINT}")


def test_build_information_removed(offsets_cmd: Offsets, tracee: Tracee, tmp_path: Path) -> None:
    """Names still list; the version is then that of runtime.buildVersion, where there are symbols."""
    for mode, version in (("default", "go1.26.8"), ("stripped", None)):
        source = tracee("1.26", mode)
        data = bytearray(source.read_bytes())
        with source.open("rb") as file:
            section = ELFFile(file).get_section_by_name(".go.buildinfo")
            start, size = section["sh_offset"], section["sh_size"]
        data[start : start + size] = bytes(size)
        data = data.replace(b".go.buildinfo\0", b".go.nothinghe\0")
        path = tmp_path / mode
        path.write_bytes(data)
        run = offsets_cmd("functions", path, "main.main")
        assert (run.returncode, run.stderr) == (0, "")
        assert json.loads(run.stdout)["go"] == version


def test_no_module_information(offsets_cmd: Offsets, tracee: Tracee, tmp_path: Path) -> None:
    """What `go build main.go` makes up to Go 1.17: its variable for it has no bytes in the file."""
    source = tracee("1.15")
    data = bytearray(source.read_bytes())
    with source.open("rb") as file:
        elf = ELFFile(file)
        start = elf.get_section_by_name(".go.buildinfo")["sh_offset"]
        bss = elf.get_section_by_name(".bss")["sh_addr"]
    data[start + 24 : start + 32] = bss.to_bytes(8, "little")
    path = tmp_path / "plain"
    path.write_bytes(data)
    run = offsets_cmd("functions", path, "main.main")
    assert (run.returncode, run.stderr) == (0, "")
    assert json.loads(run.stdout)["go"] == "go1.15.15"


def test_damaged_build_information(offsets_cmd: Offsets, tracee: Tracee, tmp_path: Path) -> None:
    source = tracee("1.26")
    data = bytearray(source.read_bytes())
    with source.open("rb") as file:
        start = ELFFile(file).get_section_by_name(".go.buildinfo")["sh_offset"]
    data[start + 32 : start + 37] = b"\xff\xff\xff\xff\x0f"  # length of the version: 4 GiB
    path = tmp_path / "damaged"
    path.write_bytes(data)
    refused(offsets_cmd, path, 3, f"error: {path}: damaged Go build information: a string is too long\n{COPY_HINT}")


def test_lying_size_of_compressed_section(offsets_cmd: Offsets, tracee: Tracee, tmp_path: Path) -> None:
    """No memory is set aside on the word of a header that promises more than any zlib stream holds."""
    source = tracee("1.27")
    data = bytearray(source.read_bytes())
    with source.open("rb") as file:
        section = ELFFile(file).get_section_by_name(".debug_info")
        assert section.compressed
        start = section.header["sh_offset"]
    struct.pack_into("<Q", data, start + 8, (4 << 30) - 1)
    path = tmp_path / "lying"
    path.write_bytes(data)
    run = offsets_cmd("params", path, "main.ebpfDemo")
    assert (run.returncode, run.stdout) == (3, "")
    assert f"{path}: section .debug_info (offset {start:#x}): said to inflate from" in run.stderr
    assert "which no zlib stream does" in run.stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["nothing"], "error: no command 'nothing'\nhint: offsets --help lists them\n"),
        (["functions"], "error: FILE is missing\nhint: offsets functions FILE [PATTERN]\n"),
        (["sites"], "error: FILE is missing\nhint: offsets sites FILE FUNC\n"),
    ],
)
def test_usage(offsets_cmd: Offsets, args: list[str], said: str) -> None:
    run = offsets_cmd(*args)
    assert (run.returncode, run.stdout, run.stderr) == (2, "", said)


def test_too_many_arguments(offsets_cmd: Offsets, tracee: Tracee) -> None:
    run = offsets_cmd("functions", tracee(), "a", "b")
    assert (run.returncode, run.stdout, run.stderr) == (2, "", "error: functions: one PATTERN at most\n")


def test_no_arguments(offsets_cmd: Offsets) -> None:
    run = offsets_cmd()
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("usage: offsets COMMAND FILE")


def test_help(offsets_cmd: Offsets) -> None:
    run = offsets_cmd("--help")
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith("usage: offsets COMMAND FILE")


def test_output_that_cannot_be_written(offsets_cmd: Offsets, tracee: Tracee) -> None:
    from tracing import ROOT

    with Path("/dev/full").open("w") as full:
        run = subprocess.run(
            [ROOT / "build" / "offsets", "functions", tracee()], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert (run.returncode, run.stderr) == (1, "error: write: No space left on device\n")
