# SPDX-License-Identifier: Apache-2.0
"""What the tests in the guest share with the script that boots it: programs, what the kernel allows, facts found."""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import Any

import go_versions

COUNTS = Path(__file__).resolve().parent.parent / "live" / "programs" / "counts"
UNTOUCHED = Path(__file__).resolve().parent / "programs" / "untouched" / "main.go"

# A text in which every eight bytes tell where they stand.
CONSTANT = "".join(f"{i:07d} " for i in range(1 << 19))
UNTOUCHED_BYTES = 23


def demo(version: str) -> Path:
    return go_versions.go_program(go_versions.TRACEE, version)


def counts() -> Path:
    return go_versions.go_program(COUNTS)


def untouched() -> Path:
    source = UNTOUCHED.read_text() + f'\nconst constant = "{CONSTANT}"\n'
    return go_versions.go_program(source)


def untouched_text() -> str:
    at = len(CONSTANT) // 2
    return CONSTANT[at : at + UNTOUCHED_BYTES]


DEMO_VERSIONS = ("1.15", "1.26")


def build_all() -> None:
    """On the host, where there are compilers and room for them."""
    for version in DEMO_VERSIONS:
        demo(version)
    counts()
    untouched()


@functools.cache
def allowed(check: str) -> bool:
    """What `doctor` finds out, without its other checks."""
    from tracer import native

    module = native.collector()
    err = module.lib.doctor_try(getattr(module.lib, "DOCTOR_" + check.upper()))
    if err:
        module.lib.err_destroy(err)
    return not err


def ways() -> list[tuple[str, str]]:
    """How probes can be attached here, and how events can arrive."""
    attach = ["multi"] * allowed("cookie_multi") + ["perf"] * allowed("cookie_perf")
    buffers = ["ring"] * allowed("ring_buffer") + ["perf"] * allowed("perf_buffer")
    return [(a, b) for a in attach for b in buffers]


def note(name: str, value: Any) -> None:
    """Keep a fact for the table and docs/kernels.md."""
    out = os.environ.get("GOPHERSCOPE_VM_FACTS")
    if out:
        with Path(out).open("a") as file:
            file.write(json.dumps({"name": name, "value": value}) + "\n")
