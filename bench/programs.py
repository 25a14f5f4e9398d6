# SPDX-License-Identifier: Apache-2.0
"""Large programs to measure on: Go's own compiler with its debug information, and it again without optimisation."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import go_versions
from measure import GO


def _built(name: str, *flags: str) -> Path:
    target = go_versions.cache_dir() / f"{name}-{go_versions.VERSIONS[GO]}"
    if not target.exists():
        go = Path(go_versions.goroot(GO)) / "bin" / "go"
        half = target.with_name(f"{target.name}.{os.getpid()}")
        env = {**os.environ, "GOFLAGS": ""}
        subprocess.run([go, "build", *flags, "-o", half, "cmd/compile"], check=True, env=env)
        half.rename(target)
    return target


def go_compiler() -> Path:
    """The one in the toolchain has no debug information."""
    return _built("compile")


def biggest() -> Path:
    """BENCH_BIG names another."""
    own = os.environ.get("BENCH_BIG")
    return Path(own) if own else _built("compile-large", "-gcflags=all=-N -l", "-ldflags=-compressdwarf=false")
