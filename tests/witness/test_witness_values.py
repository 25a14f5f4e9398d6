# SPDX-License-Identifier: Apache-2.0
"""The third witness: the same calls seen by gdb, stopped at the same sites, reading the variables by itself."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tracing import Tracer, of_type

pytestmark = pytest.mark.live

HERE = Path(__file__).resolve().parent
FUNCTIONS = ["integers", "many", "texts", "slices", "structs", "pointers", "floats", "(*shape).method"]


def without_addresses(value: Any) -> Any:
    """Pointers differ between two runs: what they point to remains."""
    if isinstance(value, dict):
        return {k: without_addresses(v) for k, v in value.items() if k != "ptr"}
    if isinstance(value, list):
        return [without_addresses(v) for v in value]
    return value


def seen_by_gdb(path: Path, sites: list[list[object]]) -> dict[str, dict[str, Any]]:
    command = ["gdb", "-batch", "-nx", "-x", str(HERE / "gdb_values.py"), str(path)]
    run = subprocess.run(
        command, env={**os.environ, "SITES": json.dumps(sites)}, capture_output=True, text=True, timeout=100
    )
    hits = [json.loads(line[4:]) for line in run.stdout.splitlines() if line.startswith("HIT ")]
    found: dict[str, dict[str, Any]] = {}
    for function, values in hits:
        # At the branch of the stack check a call is seen again when the stack has grown: the same values.
        assert found.setdefault(function, values) == values, (function, values, found[function])
    assert set(found) == {s[1] for s in sites}, (run.stdout[-2000:], run.stderr[-2000:])
    return found


@pytest.mark.parametrize("mode", ["default", "nopt"])
@pytest.mark.parametrize("version", ["1.15", "1.19", "1.21", "1.24", "1.26", "1.27"])
def test_values_agree_with_gdb(
    offsets_cmd: Callable[..., subprocess.CompletedProcess[str]],
    go_program: Callable[..., Path],
    own_copy: Callable[[Path], Path],
    tracer: Tracer,
    tool: Callable[[str], str],
    version: str,
    mode: str,
) -> None:
    tool("gdb")
    path = own_copy(go_program(HERE / "programs/values", version, mode))
    names = [f"main.{f}" for f in FUNCTIONS]
    sites: list[list[object]] = []
    for name in names:
        (function,) = json.loads(offsets_cmd("plan", path, name).stdout)["functions"]
        (entry,) = [int(s["addr"], 16) for s in function["sites"] if s["kind"] == "entry"]
        sites.append([entry, name, [p["name"] for p in function["params"]]])
    debugger = seen_by_gdb(path, sites)
    wanted = [word for name in names for word in ("--func", name)]
    run = tracer("-b", path, *wanted, "-f", "jsonl", "--", path)
    assert run.status == 0, run.stderr
    calls = {c["func"]: c for c in of_type(run.events, "call")}
    assert list(calls) == names
    compared = unavailable = 0
    for name in names:
        for parameter, own in calls[name]["args"].items():
            there = debugger[name][parameter]
            if isinstance(there, dict) and "unavailable" in there:
                unavailable += 1
                continue
            if parameter in calls[name]["notes"] and own is None:
                assert calls[name]["notes"][parameter][0].startswith("unreadable: in xmm"), calls[name]
                unavailable += 1
                continue
            assert without_addresses(own) == there, (name, parameter)
            compared += 1
    # Arguments of all functions: 8, 11, 3, 4, 3, 4, 4, 3.
    assert compared + unavailable == 40
    assert compared >= 36, (compared, unavailable)
