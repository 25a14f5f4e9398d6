# SPDX-License-Identifier: Apache-2.0
"""Tracing a stripped program whose debug information is in a file of its own; and when that file comes and goes."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile  # type: ignore[import-untyped,unused-ignore]
from go_versions import TRACEE
from tracing import Tracer, of_type, parse

ARGS = {"a1": 100, "a2": True, "a3": 66.88}
RESULTS = {"r1": 100, "r2": 200, "r3": "test for ebpf"}


Values = list[dict[str, Any]]


def traced(tracer: Tracer, program: Path, events: Path, *args: object) -> tuple[Values, Values, str]:
    run = tracer(
        *("--func", "main.ebpfDemo", "-f", "jsonl", "-o", events, *args),
        *("--", program, "-n", 3, "-pause", "1ms"),
    )
    assert run.status == 0, run.stderr
    found = parse(events.read_text())
    assert [c["notes"] for c in of_type(found, "call")] == [{}, {}, {}]
    return [c["args"] for c in of_type(found, "call")], [r["results"] for r in of_type(found, "return")], run.stderr


@pytest.mark.parametrize(("version", "mode"), [("1.15", "default"), ("1.24", "nopt"), ("1.26", "nopt")])
def test_values_come_and_go_with_the_file(
    version: str, mode: str, tracee: Callable[..., Path], tracer: Tracer, tmp_path: Path
) -> None:
    """Also though plans are kept from one run to the next."""
    whole, program, debug = tracee(version, mode), tmp_path / "program", tmp_path / "program.debug"
    events = tmp_path / "events"
    subprocess.run(["objcopy", "--only-keep-debug", whole, debug], check=True)
    subprocess.run(["objcopy", "--strip-all", f"--add-gnu-debuglink={debug}", whole, program], check=True)
    hidden = tmp_path / "hidden"
    for _ in range(2):
        shutil.move(debug, hidden)
        calls, returns, stderr = traced(tracer, program, events)
        assert (calls, returns) == (3 * [{}], 3 * [{}])
        assert "warning: no arguments and results: " in stderr and "--debug-file" in stderr
        calls, returns, stderr = traced(tracer, program, events, "--debug-file", hidden)
        assert (calls, returns) == (3 * [ARGS], 3 * [RESULTS])
        assert "warning: no arguments" not in stderr
        shutil.move(hidden, debug)
        calls, returns, stderr = traced(tracer, program, events)
        assert (calls, returns) == (3 * [ARGS], 3 * [RESULTS])
    debug.write_bytes(debug.read_bytes() + b"!")
    calls, returns, stderr = traced(tracer, program, events)
    assert (calls, returns) == (3 * [{}], 3 * [{}])
    assert f"{debug} is not taken: its checksum " in stderr


@pytest.mark.parametrize(
    ("version", "mode"), [("1.15", "external-pie"), ("1.17", "external-pie"), ("1.26", "external-pie"), ("1.27", "pie")]
)
def test_without_a_section_for_the_function_table(
    version: str, mode: str, go_program: Callable[..., Path], tracer: Tracer, tmp_path: Path
) -> None:
    """The C linker may put the pclntab among other data; a tool that shortens files may drop the names of sections."""
    whole, program, events = go_program(TRACEE, version, mode, True), tmp_path / "program", tmp_path / "events"
    names = [f"--rename-section=.{prefix}gopclntab=.x" for prefix in ("", "data.rel.ro.")]
    subprocess.run(["objcopy", "--strip-all", *names, whole, program], check=True)
    with program.open("rb") as f:
        assert not [s.name for s in ELFFile(f).iter_sections() if "pclntab" in s.name or "symtab" in s.name]
    calls, returns, _ = traced(tracer, program, events, "--raw-words")
    first = "stack0" if version == "1.15" else "rax"
    assert [c[first] for c in calls] == 3 * [100]
    assert len(returns) == 3
    assert {c["goid"] for c in of_type(parse(events.read_text()), "call")} == {1}


def test_file_of_another_program(tracee: Callable[..., Path], tracer: Tracer, tmp_path: Path) -> None:
    run = tracer("-b", tracee("1.26", "stripped"), "--func", "main.ebpfDemo", "--debug-file", tracee("1.24"))
    assert (run.status, run.stdout) == (2, "")
    assert run.stderr.startswith(f"error: the debug file {tracee('1.24')} does not fit "), run.stderr
    assert "build id is" in run.stderr
    missing = tracer("-b", tracee(), "--func", "main.ebpfDemo", "--debug-file", tmp_path / "none")
    assert missing.status == 2
    assert missing.stderr.startswith(f"error: cannot open '{tmp_path}/none': No such file or directory"), missing.stderr
