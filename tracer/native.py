# SPDX-License-Identifier: Apache-2.0
"""The two extension modules, loaded when they are first needed.

A missing one is a set-up that was not finished; the error says what to run.
"""

from __future__ import annotations

import importlib
from typing import Any

from tracer.errors import TracerError


def _load(name: str) -> Any:
    try:
        return importlib.import_module(f"tracer.{name}")
    except ImportError as e:
        raise TracerError(
            f"the C part tracer.{name} cannot be loaded: {e}",
            hint="in a checkout run `make`; it builds the C parts for the Python that it sets up (.venv)",
        ) from None


def offsets() -> Any:
    """tracer._offsets: needs neither root nor a particular kernel."""
    return _load("_offsets")


def collector() -> Any:
    """tracer._collector: what talks to the kernel."""
    return _load("_collector")
