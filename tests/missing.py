# SPDX-License-Identifier: Apache-2.0
"""What a test needs and this machine lacks."""

from __future__ import annotations

import os

import pytest

# In CI what is missing fails instead of being skipped; elsewhere one without network can still run the rest.
STRICT = bool(os.environ.get("CI"))


def missing(reason: str) -> None:
    if STRICT:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
