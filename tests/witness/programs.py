# SPDX-License-Identifier: Apache-2.0
"""The three big programs, pinned and kept, and which of their functions are looked at."""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import elftools_reader
import go_versions

HERE = Path(__file__).resolve().parent
SEED = 20260131
GOPLS = "golang.org/x/tools/gopls@v0.20.0"
GREETER = "google.golang.org/grpc/examples/helloworld/greeter_server"  # its version: programs/greeter/go.mod


def _environment(root: str, **own: str) -> dict[str, str]:
    return {
        **os.environ,
        "GOROOT": root,
        "GOTOOLCHAIN": "local",
        "GO111MODULE": "on",
        "GOFLAGS": "-trimpath -buildvcs=false",
        "CGO_ENABLED": "0",
        **own,
    }


def _run(command: list[str], cwd: Path, env: dict[str, str]) -> None:
    run = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    if run.returncode:
        raise go_versions.BuildError(f"{' '.join(command)}: {run.stderr.strip()[-2000:]}")


def _compile(root: str, folder: Path) -> Path:
    _run([f"{root}/bin/go", "build", "-o", str(folder / "program"), "cmd/compile"], folder, _environment(root))
    return folder / "program"


def _gopls(root: str, folder: Path) -> Path:
    _run([f"{root}/bin/go", "install", GOPLS], folder, _environment(root, GOBIN=str(folder)))
    return folder / "gopls"


def _greeter(root: str, folder: Path) -> Path:
    for name in ("go.mod", "go.sum"):
        shutil.copy(HERE / "programs/greeter" / name, folder)
    _run([f"{root}/bin/go", "build", "-o", str(folder / "program"), GREETER], folder, _environment(root))
    return folder / "program"


# Each with another Go: DWARF 5, DWARF 4, the newest.
BIG: dict[str, tuple[str, Callable[[str, Path], Path]]] = {
    "compile": ("1.26", _compile),
    "gopls": ("1.24", _gopls),
    "greeter": ("1.27", _greeter),
}


def big(name: str) -> Path:
    """The path of a big program, built when it is not in the cache. Raises BuildError."""
    version, build = BIG[name]
    cache = go_versions.cache_dir()
    target = cache / f"witness-{name}-{go_versions.VERSIONS[version]}"
    with (cache / f"lock-{name}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            with tempfile.TemporaryDirectory(dir=cache) as folder:
                build(go_versions.goroot(version), Path(folder)).rename(target)
    return target


def draw(path: Path, n: int) -> list[tuple[int, int, str]]:
    """Address, size, symbol of n functions. A smaller draw is the beginning of a larger one."""
    everything = elftools_reader.functions(path)
    random.Random(SEED).shuffle(everything)
    return everything[:n]
