# SPDX-License-Identifier: Apache-2.0
"""What `make install` installs is whole: it traces from any folder, without the checkout."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tracing import PATIENCE, ROOT, of_type, parse

pytestmark = pytest.mark.timeout(6 * PATIENCE)  # it compiles
SYSTEM_PYTHON = "/usr/bin/python3"
SUMS = Path(__file__).resolve().parent / "programs" / "sums"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    done = subprocess.run(
        [ROOT / "scripts" / "install.sh", "install"],
        # All of the C is compiled: as it comes, since nobody waits for what it does.
        env={**os.environ, "TARGET": str(folder), "PYTHON": SYSTEM_PYTHON, "CFLAGS": "-O0"},
        capture_output=True,
        text=True,
        timeout=4 * PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    return folder


def gopherscope(installed: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SYSTEM_PYTHON, "-m", "tracer", *map(str, arguments)],
        cwd="/",
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def test_it_is_whole(installed: Path) -> None:
    """Each module of the checkout and each BPF source is there."""

    def names(folder: Path, *patterns: str) -> set[Path]:
        return {path.relative_to(folder) for pattern in patterns for path in folder.rglob(pattern)}

    assert names(ROOT / "tracer", "*.py", "py.typed") <= names(installed / "tracer", "*.py", "py.typed")
    assert names(ROOT / "bpf_c", "*.c", "*.h") == names(installed / "tracer" / "bpf_c", "*.c", "*.h")


def test_manual_and_completion(installed: Path) -> None:
    """Where man and the shells look; what is in them tests/unit/test_manual.py tells."""
    share = installed / "share"
    assert {str(p.relative_to(share)) for p in share.rglob("*") if p.is_file()} == {
        "man/man1/gopherscope.1",
        "bash-completion/completions/gopherscope",
        "zsh/site-functions/_gopherscope",
        "fish/vendor_completions.d/gopherscope.fish",
    }
    for path in share.rglob("*"):
        if path.is_file():
            assert "Made of the parser" in path.read_text()[:200]


def test_it_traces(installed: Path, go_program: Callable[..., Path]) -> None:
    program = go_program(SUMS)
    done = gopherscope(installed, "--func", "main.leaf", "-f", "jsonl", "--", program)
    assert done.returncode == 0, done.stderr
    assert len(of_type(parse("\n".join(line for line in done.stdout.splitlines() if line[:1] == "{")), "call")) == 115
