# SPDX-License-Identifier: Apache-2.0
"""Witnesses from outside: what `offsets` says, held against programs that share no code with it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import go_versions
import many
import programs
import pytest
from missing import missing


@pytest.fixture(scope="session")
def many_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return many.build(tmp_path_factory.mktemp("many"))


@pytest.fixture(scope="session")
def big_program() -> Callable[[str], Path]:
    def build(name: str) -> Path:
        try:
            return programs.big(name)
        except go_versions.BuildError as error:
            missing(str(error))
            raise

    return build


@pytest.fixture(scope="session")
def tool() -> Callable[[str], str]:
    """tool("gdb"): skip, or fail in CI, where it is not installed."""

    def find(name: str) -> str:
        found = shutil.which(name)
        if not found:
            missing(f"{name} is not installed: make test installs it")
            raise FileNotFoundError(name)
        return found

    return find
