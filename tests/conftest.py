# SPDX-License-Identifier: Apache-2.0
"""What tests share: Go programs of any version, the `offsets` command, the tracer as a user runs it."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import go_versions
from missing import missing as _missing
from tracing import ROOT, Tracer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "live" in Path(str(item.fspath)).parts:
            item.add_marker(pytest.mark.live)
        if item.get_closest_marker("slow") and not os.environ.get("GOPHERSCOPE_TEST_SLOW"):
            item.add_marker(pytest.mark.skip(reason="takes long: make test-all"))
    if os.geteuid() != 0:
        for item in items:
            if item.get_closest_marker("live"):
                item.add_marker(pytest.mark.skip(reason="live tests put probes, which needs root: make test"))


@pytest.fixture(scope="session")
def _run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of this run of pytest: that of all its processes."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(autouse=True)
def _together(request: pytest.FixtureRequest, _run_folder: Path) -> Iterator[None]:
    """A test that is marked `alone` has no other beside it; those that come next wait for it."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        yield
        return
    alone = request.node.get_closest_marker("alone") is not None
    with (_run_folder / "next").open("w") as entrance, (_run_folder / "running").open("w") as running:
        fcntl.flock(entrance, fcntl.LOCK_EX)  # nobody overtakes one that waits to be alone
        fcntl.flock(running, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(entrance, fcntl.LOCK_UN)
        yield


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Every skip with its reason, also without -rs: CI prints the list."""
    skipped = terminalreporter.stats.get("skipped", [])
    if not skipped:
        terminalreporter.write_line("skipped: none")
        return
    terminalreporter.section("skipped, and why")
    for report in skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        terminalreporter.write_line(f"{report.nodeid}: {reason.removeprefix('Skipped: ')}")


@pytest.fixture(scope="session")
def offsets_cmd() -> Callable[..., subprocess.CompletedProcess[str]]:
    """offsets_cmd("sites", FILE, FUNC): build/offsets run with these arguments."""
    command = ROOT / "build" / "offsets"

    def run(*args: object, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        if not command.exists():
            _missing(f"{command} is not built: make build")
        return subprocess.run([command, *map(str, args)], capture_output=True, text=True, timeout=timeout)

    return run


@pytest.fixture(scope="session")
def go_program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Path]]:
    """go_program(folder, file or text of main.go, version="1.26", mode="default"): path of the program.

    It is this process's own copy: what other processes of pytest trace meanwhile is another file.
    """
    folder = tmp_path_factory.mktemp("programs")

    def build(
        source: Path | str, version: str = "1.26", mode: str = "default", cgo: bool = False, experiment: str = ""
    ) -> Path:
        try:
            kept = go_versions.go_program(source, version, mode, cgo, experiment)
        except go_versions.BuildError as error:
            _missing(str(error))
            raise
        own = folder / kept.parent.name / kept.name
        if not own.exists():
            own.parent.mkdir()
            shutil.copy(kept, own)
        return own

    yield build
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def tracee(go_program: Callable[..., Path]) -> Callable[..., Path]:
    """tracee(version="1.26", mode="default"): path of examples/tracee built so."""

    def build(version: str = "1.26", mode: str = "default") -> Path:
        return go_program(go_versions.TRACEE, version, mode)

    return build


@pytest.fixture
def own_copy(tmp_path: Path) -> Callable[[Path], Path]:
    """own_copy(program): for this test alone. A trace shows every process of its file, those of other tests too."""

    def copy(program: Path) -> Path:
        target = tmp_path / f"{program.parent.name}"
        if not target.exists():
            shutil.copy(program, target)
        return target

    return copy


@pytest.fixture
def tracer(tmp_path: Path) -> Iterator[Tracer]:
    """tracer("-b", FILE, …) → Run; tracer.start(…) → a running trace. Ends what a test leaves behind."""
    own = Tracer(tmp_path)
    yield own
    own.end_all()
