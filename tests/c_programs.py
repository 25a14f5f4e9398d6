# SPDX-License-Identifier: Apache-2.0
"""Compiles C beside its test harness, and keeps the program: of the same text it is made once, not once a test file."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from go_versions import building, cache_dir
from tracing import ROOT

STRICT = ["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror"]
KEPT = 8  # of one name: with several flags, of several checkouts
HEADERS = ("offsets", "collector", "bpf_c", "tests/unit")


def _key(sources: Sequence[Path], options: Sequence[str]) -> str:
    """Of all that the compiler reads; the system's headers come with its version."""
    version = subprocess.run(["gcc", "--version"], capture_output=True, text=True, check=True).stdout
    digest = hashlib.sha256(repr((version, options)).encode())
    for path in [*sources, *(h for folder in HEADERS for h in sorted((ROOT / folder).glob("*.h")))]:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(ROOT)} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:20]


def c_program(folder: Path, sources: Sequence[Path], flags: Sequence[str], libraries: Sequence[str] = ()) -> Path:
    """The program that these files make, in this folder. The first of them names it."""
    name = sources[0].stem
    key = _key(sources, [*flags, *libraries])
    kept = cache_dir() / f"c-{name}-{key}"
    with building(key):
        if not kept.exists():
            made = folder / f"{name}.made"
            subprocess.run(["gcc", *STRICT, *flags, "-o", made, *sources, *libraries], check=True)
            with contextlib.suppress(FileNotFoundError):  # another process tidies up, too
                for old in sorted(cache_dir().glob(f"c-{name}-*"), key=lambda p: p.stat().st_mtime)[:-KEPT]:
                    old.unlink()
            shutil.copy(made, kept.with_suffix(".new"))
            kept.with_suffix(".new").rename(kept)
        return Path(shutil.copy(kept, folder / name))
