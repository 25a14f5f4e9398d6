# SPDX-License-Identifier: Apache-2.0
"""The queue between the collector's threads, under ThreadSanitizer: every block whole, in order, none lost."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from decode_script import compile_harness


@pytest.fixture(scope="module")
def threads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_harness(tmp_path_factory.mktemp("threads"), ["-g", "-O1", "-fsanitize=thread"])


@pytest.mark.parametrize(
    ("size", "slow"),
    [
        (1 << 12, 0),  # full nearly always: the putter waits
        (1 << 12, 101),
        (1 << 20, 0),  # the usual case
        (1 << 20, 10007),
    ],
)
def test_blocks_come_whole_and_in_order(threads: Path, size: int, slow: int) -> None:
    command = f"queue {size} 100003 {slow}\n"
    result = subprocess.run([threads], input=command, capture_output=True, text=True, timeout=100)
    assert (result.returncode, result.stdout, result.stderr) == (0, "100003\n", "")
