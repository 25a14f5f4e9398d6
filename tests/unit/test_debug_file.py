# SPDX-License-Identifier: Apache-2.0
"""Debug information in a file of its own: where it is found, that it is the same, and what is not taken for it."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile  # type: ignore[import-untyped,unused-ignore]

Offsets = Callable[..., "subprocess.CompletedProcess[str]"]
Tracee = Callable[..., Path]

FOLDER = "GOPHERSCOPE_DEBUG_FOLDER"
FUNCTION = "main.ebpfDemo"
HINT = "hint: build it without -ldflags=-w or -s, do not strip it, or name its debug file: --debug-file\n"


def objcopy(*args: object) -> None:
    subprocess.run(["objcopy", *map(str, args)], check=True, capture_output=True)


def split(program: Path, stripped: Path, debug: Path, link: bool = True, compress: str = "") -> None:
    """What a distribution does: the debug information in `debug`, the rest in `stripped`."""
    debug.parent.mkdir(parents=True, exist_ok=True)
    stripped.parent.mkdir(parents=True, exist_ok=True)
    compression = [f"--compress-debug-sections={compress}"] if compress else []
    objcopy("--only-keep-debug", *compression, program, debug)
    objcopy("--strip-all", *([f"--add-gnu-debuglink={debug}"] if link else []), program, stripped)


def build_id(program: Path) -> str:
    with program.open("rb") as f:
        for note in ELFFile(f).get_section_by_name(".note.gnu.build-id").iter_notes():
            return str(note["n_desc"])
    raise AssertionError("no build id")


def params(offsets_cmd: Offsets, *args: object) -> dict[str, Any]:
    run = offsets_cmd(*args)
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def check_same(offsets_cmd: Offsets, program: Path, stripped: Path, debug: Path | None, *named: object) -> None:
    """The stripped program has all that the whole one has: functions with full names, parameters, sites and plans."""
    for command in (["functions"], ["params", FUNCTION], ["plan", FUNCTION], ["type", "runtime.g"]):
        whole = params(offsets_cmd, command[0], program, *command[1:])
        found = params(offsets_cmd, *named, command[0], stripped, *command[1:])
        assert found.pop("debug_file", None) == (None if debug is None else str(debug))
        whole["file"] = found["file"]
        for f in whole["functions"] if command == ["functions"] else []:
            f["source"] = None
        for f in found["functions"] if command == ["functions"] else []:
            f["source"] = None
        assert found == whole


@pytest.mark.parametrize("mode", ["default", "pie"])
@pytest.mark.parametrize("version", ["1.15", "1.19", "1.26", "1.27"])
def test_beside_the_program(version: str, mode: str, offsets_cmd: Offsets, tracee: Tracee, tmp_path: Path) -> None:
    program = tracee(version, mode)
    split(program, tmp_path / "program", tmp_path / "program.debug")
    check_same(offsets_cmd, program, tmp_path / "program", tmp_path / "program.debug")


@pytest.mark.parametrize("compress", ["zlib-gabi", "zlib-gnu", "none"])
def test_compressed(compress: str, offsets_cmd: Offsets, tracee: Tracee, tmp_path: Path) -> None:
    split(tracee(), tmp_path / "program", tmp_path / "program.debug", compress=compress)
    check_same(offsets_cmd, tracee(), tmp_path / "program", tmp_path / "program.debug")


def test_in_the_folder_beside_it(offsets_cmd: Offsets, tracee: Tracee, tmp_path: Path) -> None:
    split(tracee(), tmp_path / "program", tmp_path / ".debug" / "program.debug")
    check_same(offsets_cmd, tracee(), tmp_path / "program", tmp_path / ".debug" / "program.debug")


def test_through_a_symbolic_link(offsets_cmd: Offsets, tracee: Tracee, tmp_path: Path) -> None:
    """The folder is that of the file, not that of its link."""
    split(tracee(), tmp_path / "real" / "program", tmp_path / "real" / "program.debug")
    (tmp_path / "link").symlink_to(tmp_path / "real" / "program")
    check_same(offsets_cmd, tracee(), tmp_path / "link", tmp_path / "real" / "program.debug")


def test_in_the_systems_folder(
    offsets_cmd: Offsets, tracee: Tracee, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = tmp_path / "system"
    monkeypatch.setenv(FOLDER, str(system))
    where = Path(f"{system}{tmp_path}/program.debug")
    split(tracee(), tmp_path / "program", where)
    check_same(offsets_cmd, tracee(), tmp_path / "program", where)


@pytest.mark.parametrize("mode", ["default", "pie"])
def test_by_build_id(
    mode: str, offsets_cmd: Offsets, tracee: Tracee, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tracee("1.26", mode)
    monkeypatch.setenv(FOLDER, str(tmp_path / "system"))
    name = build_id(program)
    where = tmp_path / "system" / ".build-id" / name[:2] / f"{name[2:]}.debug"
    split(program, tmp_path / "program", where, link=False)
    check_same(offsets_cmd, program, tmp_path / "program", where)


def test_named(offsets_cmd: Offsets, tracee: Tracee, tmp_path: Path) -> None:
    split(tracee(), tmp_path / "program", tmp_path / "elsewhere" / "debug", link=False)
    debug = tmp_path / "elsewhere" / "debug"
    check_same(offsets_cmd, tracee(), tmp_path / "program", debug, "--debug-file", debug)


def test_the_whole_program_serves_too(offsets_cmd: Offsets, tracee: Tracee, tmp_path: Path) -> None:
    """A copy that was not stripped, as developers have it."""
    split(tracee(), tmp_path / "program", tmp_path / "debug", link=False)
    check_same(offsets_cmd, tracee(), tmp_path / "program", tracee(), "--debug-file", tracee())


def test_own_debug_information_comes_first(offsets_cmd: Offsets, tracee: Tracee, tmp_path: Path) -> None:
    """A link is looked at only where it is needed."""
    shutil.copy(tracee(), tmp_path / "program")
    (tmp_path / "x.debug").write_bytes(b"no ELF file")
    objcopy(f"--add-gnu-debuglink={tmp_path / 'x.debug'}", tmp_path / "program")
    check_same(offsets_cmd, tracee(), tmp_path / "program", None)


# ---- what does not fit ------------------------------------------------------------------------------------------


def refused(offsets_cmd: Offsets, program: Path, reason: str) -> None:
    """No debug information, and why the file that was found is not taken."""
    run = offsets_cmd("params", program, FUNCTION)
    assert (run.returncode, run.stdout) == (3, "")
    assert run.stderr == (
        f"error: {program} has no debug information (built with -ldflags=-w, or stripped); {reason}\n{HINT}"
    )
    assert offsets_cmd("plan", program, FUNCTION, "--no-values").returncode == 0


def test_wrong_checksum(offsets_cmd: Offsets, tracee: Tracee, tmp_path: Path) -> None:
    program, debug = tmp_path / "program", tmp_path / "program.debug"
    split(tracee(), program, debug)
    right = zlib.crc32(debug.read_bytes())
    with debug.open("ab") as f:
        f.write(b"!")
    wrong = zlib.crc32(debug.read_bytes())
    refused(
        offsets_cmd,
        program,
        f"{debug} is not taken: its checksum {wrong:#x} is not that of the link, {right:#x}",
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="changes owners, which needs root")
def test_of_another_user(offsets_cmd: Offsets, tracee: Tracee, tmp_path: Path) -> None:
    """Anybody can put one into a folder like /tmp. That of the program's owner is taken, and one that is named."""
    program, debug = tmp_path / "program", tmp_path / "program.debug"
    split(tracee(), program, debug)
    os.chown(debug, 54321, 54321)
    refused(offsets_cmd, program, f"{debug} is not taken: it belongs to another user (uid 54321)")
    assert offsets_cmd("--debug-file", debug, "params", program, FUNCTION).returncode == 0
    os.chown(program, 54321, 54321)
    check_same(offsets_cmd, tracee(), program, debug)


def test_of_another_build_id(
    offsets_cmd: Offsets, tracee: Tracee, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, other = tracee("1.26"), tracee("1.26", "pie")
    monkeypatch.setenv(FOLDER, str(tmp_path / "system"))
    name = build_id(program)
    where = tmp_path / "system" / ".build-id" / name[:2] / f"{name[2:]}.debug"
    split(other, tmp_path / "other", where, link=False)
    split(program, tmp_path / "program", tmp_path / "unused", link=False)
    refused(
        offsets_cmd,
        tmp_path / "program",
        f"{where} is not taken: it does not fit: its build id is {build_id(other)}, the program's {name}",
    )


def without_ids(program: Path, target: Path) -> Path:
    objcopy("--remove-section=.note.gnu.build-id", "--remove-section=.note.go.buildid", program, target)
    return target


DIFFERS = (
    r"it has \S+ at 0x[0-9a-f]+, (where no function begins|the program \S+)"
    r"|its \S+ at 0x[0-9a-f]+ is longer than the program's"
)


@pytest.mark.parametrize("debug_of", [("1.26", "nopt"), ("1.27", "default"), ("1.26", "pie")])
def test_functions_differ(debug_of: tuple[str, str], offsets_cmd: Offsets, tracee: Tracee, tmp_path: Path) -> None:
    """Without ids it is the functions that tell."""
    program = without_ids(tracee("1.26"), tmp_path / "program")
    debug = without_ids(tracee(*debug_of), tmp_path / "debug")
    same = without_ids(tracee("1.26"), tmp_path / "same")
    objcopy("--strip-all", program)
    assert offsets_cmd("--debug-file", same, "params", program, FUNCTION).returncode == 0
    run = offsets_cmd("--debug-file", debug, "params", program, FUNCTION)
    assert (run.returncode, run.stdout) == (2, "")
    assert re.fullmatch(rf"error: the debug file {debug} does not fit {program}: ({DIFFERS})\n", run.stderr), run.stderr


def test_one_function_more(offsets_cmd: Offsets, go_program: Tracee, tmp_path: Path) -> None:
    """Programs that begin alike, as all of one Go version do, and differ only at their end."""
    text = "package main\n\n//go:noinline\nfunc a(i int) int { return i * %d }\n\nfunc main() { println(a(3)%s) }\n"
    one = without_ids(go_program(text % (5, ""), "1.26"), tmp_path / "one")
    two = without_ids(go_program(text % (5, ", a(7)"), "1.26"), tmp_path / "two")
    objcopy("--strip-all", one)
    run = offsets_cmd("--debug-file", two, "params", one, "main.a")
    assert run.returncode == 2
    assert run.stderr.startswith(f"error: the debug file {two} does not fit {one}: its main.main at 0x"), run.stderr


def test_named_and_bad(offsets_cmd: Offsets, tracee: Tracee, tmp_path: Path) -> None:
    program, debug, bad = tmp_path / "program", tmp_path / "debug", tmp_path / "bad"
    split(tracee(), program, debug, link=False)
    bad.write_bytes(b"#!/bin/sh\n")
    cut = tmp_path / "cut"
    cut.write_bytes(debug.read_bytes()[:100000])
    cases: list[tuple[Path, int, str]] = [
        (tmp_path / "none", 2, f"error: {tmp_path}/none: No such file or directory\n"),
        (tmp_path, 2, f"error: {tmp_path}: Is a directory\n"),
        (bad, 3, f"error: {bad}: not an ELF file: it is a script\n"),
        (program, 3, f"error: {program} has no debug information (built with -ldflags=-w, or stripped)\n"),
        (cut, 3, f"error: {cut} has no debug information "),  # its section headers stand at its end
    ]
    for file, status, message in cases:
        run = offsets_cmd("--debug-file", file, "params", program, FUNCTION)
        assert (run.returncode, run.stdout) == (status, ""), run
        assert run.stderr.startswith(message), run.stderr


def with_link(program: Path, target: Path, contents: bytes) -> Path:
    section = target.with_suffix(".section")
    section.write_bytes(contents)
    objcopy(
        "--strip-all",
        f"--add-section=.gnu_debuglink={section}",
        "--set-section-flags=.gnu_debuglink=readonly",
        program,
        target,
    )
    return target


@pytest.mark.parametrize(
    "contents",
    [
        b"\0",
        b"no end",
        b"../../../etc/passwd\0" + bytes(4),
        b"/etc/passwd\0" + bytes(4),
        b"name\0\0\0\0",  # no checksum
        b"name\0\0\0\0\1\2",
        b"a" * 5000 + b"\0\0\0\0" + bytes(4),
    ],
)
def test_hostile_links(contents: bytes, offsets_cmd: Offsets, tracee: Tracee, tmp_path: Path) -> None:
    program = with_link(tracee(), tmp_path / "program", contents)
    reason = f"its debug link is not taken: {program}: .gnu_debuglink names no file"
    refused(offsets_cmd, program, reason)


@pytest.mark.parametrize("kind", ["pipe", "folder", "loop", "itself", "nothing"])
def test_links_to_what_is_no_file(kind: str, offsets_cmd: Offsets, tracee: Tracee, tmp_path: Path) -> None:
    target = tmp_path / ("program" if kind == "itself" else "linked")
    program = with_link(
        tracee(), tmp_path / "program", target.name.encode() + b"\0" + struct.pack("<I", 7).rjust(8, b"\0")
    )
    reason = ""
    if kind == "pipe":
        os.mkfifo(target)
        reason = f"; {target} is not taken: {target}: not a regular file"
    elif kind == "folder":
        target.mkdir()
        reason = f"; {target} is not taken: {target}: Is a directory"
    elif kind == "loop":
        target.symlink_to(target)
    run = offsets_cmd("params", program, FUNCTION)
    assert run.returncode == 3
    assert run.stderr == (
        f"error: {program} has no debug information (built with -ldflags=-w, or stripped){reason}\n{HINT}"
    )
