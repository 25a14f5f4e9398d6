# SPDX-License-Identifier: Apache-2.0
"""Where the run-time system tells that calls end which do not return: the addresses, against objdump."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[1] / "live" / "programs" / "panics"
Offsets = Callable[..., "subprocess.CompletedProcess[str]"]
GoProgram = Callable[..., Path]


def unwinds(offsets_cmd: Offsets, program: Path) -> dict[str, object]:
    run = offsets_cmd("plan", program, "main.main", "--no-values")
    assert run.returncode == 0, run.stderr
    found: dict[str, object] = json.loads(run.stdout)["unwinds"]
    return found


def instructions(program: Path, function: str) -> list[tuple[str, str]]:
    """(address, instruction) of a function."""
    text = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", f"--disassemble={function}", program],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [(f"0x{a}", code) for a, code in re.findall(r"^ *([0-9a-f]+):\s+(\S.*)$", text, re.MULTILINE)]


def calls(program: Path, function: str, callee: str) -> list[str]:
    wanted = re.compile(rf"call\s+[0-9a-f]+ <{re.escape(callee)}(\.abi0)?>")
    return [addr for addr, code in instructions(program, function) if wanted.search(code)]


@pytest.mark.parametrize("mode", ["default", "nopt", "pie"])
@pytest.mark.parametrize("version", ["1.15", "1.17", "1.19", "1.21", "1.24", "1.26", "1.27"])
def test_places(version: str, mode: str, offsets_cmd: Offsets, go_program: GoProgram) -> None:
    if not shutil.which("objdump"):
        pytest.skip("objdump is not installed")
    program = go_program(PROGRAM, version, mode)
    (recovery,) = calls(program, "runtime.recovery", "runtime.gogo")
    (goexit,) = calls(program, "runtime.Goexit", "runtime.goexit1")
    first, _ = instructions(program, "runtime.fatalpanic")[0]
    expected = {"recovery": recovery, "fatal_panic": first, "goexit": goexit, "why": None}
    assert unwinds(offsets_cmd, program) == expected


@pytest.mark.parametrize("version", ["1.15", "1.26"])
def test_stripped(version: str, offsets_cmd: Offsets, go_program: GoProgram) -> None:
    whole = unwinds(offsets_cmd, go_program(PROGRAM, version))
    assert unwinds(offsets_cmd, go_program(PROGRAM, version, "stripped")) == whole


def test_what_is_not_in_the_program(offsets_cmd: Offsets, tracee: Callable[..., Path]) -> None:
    """The linker leaves out what nothing calls: there is nothing to be told of it then."""
    found = unwinds(offsets_cmd, tracee())
    assert (found["goexit"], found["why"]) == (None, None)
    assert found["recovery"] and found["fatal_panic"]


def test_a_version_that_is_not_known(offsets_cmd: Offsets, go_program: GoProgram, tmp_path: Path) -> None:
    program = tmp_path / "program"
    data = go_program(PROGRAM, "1.26", "stripped").read_bytes()
    assert b"go1.26.8" in data
    program.write_bytes(data.replace(b"go1.26.8", b"go1.98.0"))
    found = unwinds(offsets_cmd, program)
    assert found["recovery"] is None
    assert found["why"] == "runtime.gobuf is unlike that of any known Go version"
    assert found["goexit"] and found["fatal_panic"]


def test_a_run_time_system_of_another_make(offsets_cmd: Offsets, go_program: GoProgram, tmp_path: Path) -> None:
    """Goexit no longer calls goexit1: nothing is probed by guess."""
    whole = go_program(PROGRAM, "1.26")
    (goexit,) = calls(whole, "runtime.Goexit", "runtime.goexit1")
    (at,) = (a for a, _ in instructions(whole, "runtime.Goexit") if a == goexit)
    from tracing import bytes_at

    code = bytes_at(whole, int(at, 16), 5)
    around = bytes_at(whole, int(at, 16) - 16, 21)
    data = whole.read_bytes()
    assert data.count(around) == 1 and code[0] == 0xE8
    program = tmp_path / "program"
    program.write_bytes(data.replace(around, around[:16] + b"\x0f\x1f\x44\x00\x00"))
    found = unwinds(offsets_cmd, program)
    assert found["goexit"] is None
    assert found["why"] == "runtime.Goexit does not call runtime.goexit1 as in the versions known"
