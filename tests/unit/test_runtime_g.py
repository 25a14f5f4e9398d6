# SPDX-License-Identifier: Apache-2.0
"""Where goroutines are kept, for files without debug information: against pyelftools on files that have it."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
from collections.abc import Callable
from pathlib import Path

import go_versions
import pytest

ROOT = Path(__file__).resolve().parents[2]
read_with_pyelftools = runpy.run_path(str(ROOT / "scripts" / "runtime_offsets.py"))["offsets"]
Offsets = Callable[..., "subprocess.CompletedProcess[str]"]
Tracee = Callable[..., Path]

TABLE = (ROOT / "offsets" / "runtime_g_table.h").read_text()
ROWS = {
    int(minor): tuple(map(int, values.split(",")))
    for minor, values in re.findall(r"^ROW\((\d+), 0, ([\d, ]+)\)", TABLE, re.MULTILINE)
}
# Besides the pinned versions those at which the layout changed.
VERSIONS = [*go_versions.VERSIONS, "1.23.12", "1.25.14"]


def goroutine(offsets_cmd: Offsets, program: Path, *args: str) -> dict[str, object]:
    run = offsets_cmd("plan", program, "main.main", *args)
    assert run.returncode == 0, run.stderr
    found: dict[str, object] = json.loads(run.stdout)["goroutine"]
    return found


def test_every_promised_version_has_a_row() -> None:
    assert sorted(ROWS) == list(range(13, 28))


@pytest.mark.parametrize("version", VERSIONS)
def test_table_agrees_with_the_debug_information(version: str, offsets_cmd: Offsets, tracee: Tracee) -> None:
    minor = int(version.split(".")[1])
    stack_hi, m, goid, curg, *gobuf = read_with_pyelftools(tracee(version, "default"))
    assert ROWS[minor] == (stack_hi, m, goid, curg, *gobuf)
    expected = {"known": True, "why": None, "goid": goid, "m": m, "curg": curg, "tls": -8}
    assert goroutine(offsets_cmd, tracee(version, "default")) == expected
    assert goroutine(offsets_cmd, tracee(version, "nodwarf"), "--no-values") == expected
    assert goroutine(offsets_cmd, tracee(version, "stripped"), "--no-values") == expected


def altered(program: Path, target: Path, old: bytes, new: bytes) -> Path:
    """The program with another Go version in its build information (of the same length)."""
    data = program.read_bytes()
    assert len(old) == len(new) and old in data
    target.write_bytes(data.replace(old, new))
    return target


@pytest.mark.parametrize(
    ("version", "known"),
    [
        ("go1.26.9", True),  # a patch release later than any that was built
        ("go1.98.0", False),
        ("go1.26r2", False),
        ("go2.26.8", False),
        ("go1.12.8", False),
        ("go1.26-x", False),
        ("go1.26 X", True),  # built with experiments
    ],
)
def test_what_is_no_known_release(
    version: str, known: bool, offsets_cmd: Offsets, tracee: Tracee, tmp_path: Path
) -> None:
    program = altered(tracee("1.26", "stripped"), tmp_path / "program", b"go1.26.8", version.encode())
    found = goroutine(offsets_cmd, program, "--no-values")
    if known:
        assert found == {"known": True, "why": None, "goid": 152, "m": 48, "curg": 184, "tls": -8}
    else:
        why = f"there is no debug information, and {version} is not among the releases that are known without it"
        assert found == {"known": False, "why": why, "goid": 0, "m": 0, "curg": 0, "tls": -8}


def test_version_in_the_debug_information_does_not_matter(offsets_cmd: Offsets, tracee: Tracee, tmp_path: Path) -> None:
    program = altered(tracee("1.26", "default"), tmp_path / "program", b"go1.26.8", b"go1.98.0")
    found = goroutine(offsets_cmd, program)
    assert found == {"known": True, "why": None, "goid": 152, "m": 48, "curg": 184, "tls": -8}
