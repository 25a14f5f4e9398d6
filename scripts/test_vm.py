#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs tests/vm on each stock kernel in QEMU and shows what came of it: `make test-vm`.

    scripts/test_vm.py [KERNEL...] [-- PYTEST ARGUMENT...]

What each guest found out is left in build/vm/KERNEL/, all of it in build/vm/results.json, from which
scripts/kernels_doc.py makes docs/kernels.md. Exit status: 0 where every test passed on every kernel.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "build" / "vm"
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "vm")]

TIMEOUT_S = 480


@dataclass(frozen=True)
class Run:
    """One boot."""

    label: str
    kernel: str
    append: tuple[str, ...] = ()
    select: str = ""  # as pytest's -k


RUNS = (
    Run("6.1", "6.1"),
    Run("6.12", "6.12"),
    Run("newest", "newest"),
    Run("newest preempt=full", "newest", ("preempt=full",), "sixteen or growing or fit"),
)


@dataclass
class Result:
    """What came of it."""

    label: str
    release: str = ""
    boot_s: float | None = None
    total_s: float = 0.0
    status: int = 0
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    facts: dict[str, Any] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return self.status == 0 and self.failed == 0 and self.passed > 0


def run(one: Run, pytest_args: list[str]) -> Result:
    out = OUT / one.label.replace(" ", "-")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    command = [
        *("python3", str(ROOT / "vm" / "run.py"), "--kernel", one.kernel, "--timeout", str(TIMEOUT_S)),
        *("--out", str(out), "--console", str(out / "console"), "--env", "GOPHERSCOPE_VM_FACTS=/out/facts"),
        *(f"--append={a}" for a in one.append),
        *("--", str(ROOT / ".venv" / "bin" / "python"), "-B", "-m", "pytest", "-p", "no:cacheprovider", "-q"),
        *("-m", "vm", "tests/vm", "--timeout", "300", "--junitxml", "/out/junit.xml"),
        *(("-k", one.select) if one.select else ()),
        *pytest_args,
    ]
    # Both processors in one thread: QEMU's other way loses a race when the kernel patches its own code (vm/README.md),
    # which attaching does all the time.
    env = {"VM_ACCEL": "tcg-single", **os.environ}
    begun = time.monotonic()
    result = Result(one.label)
    with subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        for line in process.stderr:
            sys.stderr.write(line)
            if match := re.match(r"vm: Linux (\S+) .*booted in ([\d.]+) s", line):
                result.release, result.boot_s = match[1], float(match[2])
    result.status = process.returncode
    result.total_s = round(time.monotonic() - begun, 1)
    read_out(out, result)
    return result


def read_out(out: Path, result: Result) -> None:
    """What the guest left in its folder."""
    junit, facts = out / "junit.xml", out / "facts"
    if junit.exists():
        for case in ET.parse(junit).getroot().iter("testcase"):
            kinds = {child.tag for child in case}
            name = case.get("name", "?")
            if kinds & {"failure", "error"}:
                result.failed += 1
                result.failures.append(name)
            elif "skipped" in kinds:
                result.skipped += 1
            else:
                result.passed += 1
    else:
        result.failures.append("the tests did not end")
    if facts.exists():
        for line in facts.read_text().splitlines():
            fact = json.loads(line)
            name, value = fact["name"], fact["value"]
            if name.startswith("verifier "):  # the largest of several
                value = max(value, result.facts.get(name, [0, 0]))
            result.facts[name] = value


def table(results: list[Result]) -> str:
    head = (
        "kernel",
        "release",
        "boot s",
        "total s",
        "passed",
        "failed",
        "skipped",
        "instructions → followed by the verifier",
    )
    rows = [head]
    for r in results:
        verifier = sorted((name.split()[1], fact) for name, fact in r.facts.items() if name.startswith("verifier "))
        counts = ", ".join(f"{name} {size} → {followed}" for name, (size, followed) in verifier)
        rows.append(
            (
                r.label,
                r.release,
                str(r.boot_s),
                f"{r.total_s:.0f}",
                str(r.passed),
                str(r.failed),
                str(r.skipped),
                counts,
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def main(arguments: list[str]) -> int:
    split = arguments.index("--") if "--" in arguments else len(arguments)
    kernels, pytest_args = arguments[:split], arguments[split + 1 :]
    unknown = set(kernels) - {r.kernel for r in RUNS}
    if unknown:
        print(f"error: no such kernel: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    import guest

    guest.build_all()
    results = [run(one, pytest_args) for one in RUNS if not kernels or one.kernel in kernels]
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "results.json").write_text(json.dumps([asdict(r) for r in results], indent=1) + "\n")
    print(table(results))
    for r in results:
        if fact := r.facts.get("performed return"):
            print(
                f"{r.label}: call and return {fact['performed_ns']:.0f} ns performed by the program, "
                f"{fact['stepped_ns']:.0f} ns single-stepped: {fact['ratio']:.2f}"
            )
        for name in r.failures:
            print(f"FAILED on {r.label}: {name}")
    return 0 if results and all(r.ok for r in results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
