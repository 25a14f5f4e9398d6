#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Changes running programs on stock kernels in QEMU, and shows what they believed: `make demo-rewrite`.

    scripts/demo_rewrite.py

Go 1.15 has its arguments on the stack, which Linux 6.12 lets a program write; Go 1.26 has them in registers, which the
newest kernel does. Each program runs twice in the guest: alone, and while it is changed. Exit status: 0 where every
program believed what it was to believe.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts"), str(ROOT / "vm"), str(ROOT / "tests"), str(ROOT / "tests" / "vm")]
STORE = ROOT / "examples" / "rewrite"
TIMEOUT_S = 600
WIDTH = 58


@dataclass(frozen=True)
class Case:
    """One program that is changed, and a line that it must print then."""

    title: str
    kernel: str
    version: str
    program: str  # "tracee" or "store"
    arguments: tuple[str, ...]
    options: tuple[str, ...]
    expected: str


TRACEE = ("-n", "1")
SET = ("--func", "main.ebpfDemo", "--set", "a1=2021, a2=false")
CASES = (
    Case(
        "arguments on the stack (Go 1.15), by writing memory",
        *("6.12", "1.15", "tracee", TRACEE, SET),
        expected="ebpfDemo:: a1=2021, a2=false a3=66.88",
    ),
    Case(
        "arguments in registers (Go 1.26), by writing registers",
        *("newest", "1.26", "tracee", TRACEE, SET),
        expected="ebpfDemo:: a1=2021, a2=false a3=66.88",
    ),
    Case(
        "a function that is skipped: nothing is charged",
        *("newest", "1.26", "store", ("-n", "3"), ("--func", "main.charge", "--skip", "receipt=7, err=nil")),
        expected="charged: 0 cents",
    ),
    Case(
        "one call of two fails with an error of the program",
        *("newest", "1.26", "store", ("-n", "4")),
        options=("--func", "main.load", "--fail", "err=io.ErrUnexpectedEOF", "--rate", "1/2"),
        expected="buy 1: 500 cannot load: unexpected EOF",
    ),
)


def program(case: Case) -> Path:
    import go_versions

    return go_versions.go_program(go_versions.TRACEE if case.program == "tracee" else STORE, case.version)


# ---- in the guest -----------------------------------------------------------------------------------------------


def lines_of(command: list[str]) -> list[str]:
    done = subprocess.run(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, cwd=ROOT)
    lines = done.stdout.splitlines()
    return lines if done.returncode == 0 else [*lines, f"(exit status {done.returncode})"]


def inside(kernel: str, out: Path) -> None:
    """Each case of this kernel, alone and changed; what both printed goes into a file."""
    import ahead

    ahead.put_in_place()
    results = []
    for case in CASES:
        if case.kernel != kernel:
            continue
        path = str(program(case))
        events = out.with_suffix(".events")
        events.unlink(missing_ok=True)
        alone = lines_of([path, *case.arguments])
        rewrite = [sys.executable, "-m", "tracer", "rewrite", "-q", "--yes", "-o", str(events), *case.options]
        changed = lines_of([*rewrite, "--", path, *case.arguments])
        told = events.read_text().splitlines() if events.exists() else []
        results.append({"alone": alone, "changed": changed, "events": told})
    out.write_text(json.dumps(results))


# ---- on the host ------------------------------------------------------------------------------------------------


def boot(kernel: str, out: Path) -> list[dict[str, list[str]]]:
    import children
    import needs
    import test_vm

    results = out / "results.json"
    results.unlink(missing_ok=True)
    command = [
        *(sys.executable, str(ROOT / "vm" / "run.py"), "--kernel", kernel, "--timeout", str(TIMEOUT_S)),
        *("--out", str(out), "--env", "XDG_CACHE_HOME", "--env", "GOPHERSCOPE_TEST_CACHE"),
        *(f"--copy={folder}" for folder in test_vm.shared_folders()),
        *("--", sys.executable, "-B", str(Path(__file__).resolve()), "--inside", kernel),
    ]
    process = subprocess.Popen(
        command, env={"VM_ACCEL": "tcg-single", **os.environ}, preexec_fn=needs.die_with_parent()
    )
    status = children.wait(process, TIMEOUT_S + 60)
    if status or not results.exists():
        raise SystemExit(f"demo-rewrite: the machine with kernel {kernel} ended with status {status}")
    found: list[dict[str, list[str]]] = json.loads(results.read_text())
    return found


def side_by_side(case: Case, result: dict[str, list[str]]) -> Iterator[str]:
    yield f"\n== {case.title}  [Linux {case.kernel}]"
    words = " ".join(f"'{w}'" if " " in w or "=" in w else w for w in case.options)
    yield f"   gopherscope rewrite {words} -- ./{case.program} {' '.join(case.arguments)}"
    yield f"   {'alone':<{WIDTH}}  while it was changed"
    left, right = result["alone"], result["changed"]
    for i in range(max(len(left), len(right))):
        a, b = (x[i] if i < len(x) else "" for x in (left, right))
        yield f"   {a:<{WIDTH}}  {b}"
    yield "   what was told:"
    yield from (f"   {line}" for line in result["events"])


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--inside"] and len(arguments) == 2:
        inside(arguments[1], Path("/out/results.json"))
        return 0
    if arguments:
        print(__doc__, file=sys.stderr)
        return 2
    import ahead
    import children
    import kernels

    children.take_signals()
    wanted = [("-b", str(program(case)), *case.options) for case in CASES]
    ahead.compile_all(ahead.rewriting_programs(wanted))
    wrong = []
    for kernel in dict.fromkeys(case.kernel for case in CASES):
        with kernels.use(kernel):
            pass
        folder = ROOT / "build" / "vm" / f"demo-{kernel}"
        folder.mkdir(parents=True, exist_ok=True)
        cases = [case for case in CASES if case.kernel == kernel]
        for case, result in zip(cases, boot(kernel, folder)):
            print("\n".join(side_by_side(case, result)), flush=True)
            if case.expected not in result["changed"] or case.expected in result["alone"]:
                wrong.append(f"{case.title}: {case.expected!r} was not printed: {json.dumps(asdict(case))}")
    print("\n" + ("\n".join(wrong) if wrong else "every program believed what it was to believe"))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
