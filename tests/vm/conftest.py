# SPDX-License-Identifier: Apache-2.0
"""These tests are run by scripts/test_vm.py (`make test-vm`); elsewhere they are not there.

GOPHERSCOPE_VM says where this is: a kernel's name inside a guest, `local` for the same tests on this very kernel,
`host` for those of the virtual machine itself.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

_WHERE = os.environ.get("GOPHERSCOPE_VM")
_HOST_TESTS = "test_machine.py"


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    if not collection_path.name.startswith("test_"):
        return None
    return True if not _WHERE or (_WHERE == "host") != (collection_path.name == _HOST_TESTS) else None


@pytest.fixture(scope="session", autouse=True)
def _programs() -> None:
    """In a guest, what was compiled ahead. The host's own cache is the tracer's."""
    if _WHERE not in (None, "host") and Path("/out").is_mount():
        import ahead

        ahead.put_in_place()
