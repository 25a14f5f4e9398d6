# SPDX-License-Identifier: Apache-2.0
"""The quick reading of instructions (x86_outline.c) against Capstone, over every function of Go's compiler."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from c_programs import c_program

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Path:
    libraries = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "libelf", "libdw", "capstone", "libdeflate"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.split()
    sources = [p for p in sorted((ROOT / "offsets").glob("*.c")) if p.name != "main.c" and "cmd_" not in p.name]
    harness = ROOT / "tests/unit/outline_harness.c"
    options = ["-O2", "-g", f"-I{ROOT / 'offsets'}"]
    return c_program(tmp_path_factory.mktemp("outline"), [harness, *sources], options, libraries)


@pytest.mark.parametrize("tool", ["compile", "link"])
def test_every_instruction_of_a_large_program(harness: Path, tool: str) -> None:
    folder = subprocess.run(["go", "env", "GOTOOLDIR"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    lines = subprocess.run([harness, Path(folder) / tool], stdout=subprocess.PIPE, text=True, check=True).stdout
    *complaints, last = lines.splitlines()
    counts = {key: int(n) for key, n in re.findall(r"(\w+) (\d+)", last)}
    # Neither a difference nor a function that is refused; and next to nothing is left to Capstone.
    assert complaints == []
    assert counts["differ"] == 0
    assert counts["functions"] > 1000
    assert counts["same"] > 100_000
    assert counts["not_told"] < counts["same"] / 1000
