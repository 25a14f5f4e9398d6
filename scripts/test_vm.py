#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs tests/vm on each stock kernel in QEMU, and on this machine's own, and shows what came of it: `make test-vm`.

    scripts/test_vm.py [--jobs N] [--again] [--all | --spread] [RUN...] [-- PYTEST ARGUMENT...]

What each run found out is left in build/vm/RUN.json, from which scripts/kernels_doc.py makes docs/kernels.md; its
output is in build/vm/RUN/. With VM_KERNEL=FOLDER that kernel is the only one that is booted; `machine`, which is about
kernels that are fetched, is left out then. Exit status: 0 where every test passed everywhere; 1 else; 2 for wrong
usage; 3 where there is no kernel to be had, or no QEMU.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import children

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "build" / "vm"
sys.path[:0] = [str(ROOT / "vm"), str(ROOT / "tests"), str(ROOT / "tests" / "vm")]

TIMEOUT_S = 900  # of one run; an idle machine needs 300
TEST_TIMEOUT_S = 240
JOBS = min(2, os.cpu_count() or 1)  # each keeps one processor busy
RATIO_ASKED = 0.25  # of a return that the program performs to one that is single-stepped, each with its call
BOOT_ASKED_S = 12


@dataclass(frozen=True)
class Plan:
    """One run of the tests."""

    name: str
    where: str  # a kernel's name; "local": this machine's own, "host": the tests of the virtual machine itself
    append: tuple[str, ...] = ()
    select: str = ""  # as pytest's -k
    variables: tuple[str, ...] = ()  # NAME=VALUE
    long: bool = False  # only where it is named, or with --all
    spread: str | None = ""  # with --spread: what to select instead; "" for all the same, None to leave it out

    @property
    def in_guest(self) -> bool:
        return self.where not in ("local", "host")

    @property
    def folder(self) -> Path:
        return OUT / self.name


# The longest first: two can run beside each other.
PLANS = (
    Plan(
        "newest",
        "newest",
        (),
        "not rewriting and not zoo",
        spread="not rewriting and (not zoo or 1.26) and not compiled_here and not sleepable_program and not many_p"
        " and not capabilities",
    ),
    Plan(
        "6.1",
        "6.1",
        (),
        "not rewriting and not zoo",
        spread="not rewriting and not zoo and not compiled_here and not sleepable_program and not many_p",
    ),
    Plan("newest-rewriting", "newest", (), "rewriting", spread="rewriting and (1.26 or dies) and not move"),
    Plan(
        "6.12",
        "6.12",
        (),
        "not rewriting and not zoo",
        spread="sixteen and not texts or zoo and 1.24 or features and not sleepable_program and not capabilities",
    ),
    Plan("6.12-rewriting", "6.12", (), "rewriting", spread=None),
    Plan(
        "newest-preempt-full",
        "newest",
        ("preempt=full",),
        "sixteen or growing or fit",
        spread="sixteen and (ring or multi)",
    ),
    Plan("6.1-rewriting", "6.1", (), "rewriting", spread="every_call or dies or fails or refused or move"),
    Plan("newest-stress", "newest", (), "stress", ("GOPHERSCOPE_STRESS_S=60",), long=True),
    Plan("newest-zoo", "newest", (), "zoo", spread=None),
    Plan("6.1-zoo", "6.1", (), "zoo", spread=None),
    Plan("machine", "host"),
    Plan("own", "local", (), "not zoo"),
)


@dataclass
class Result:
    """What came of it."""

    name: str
    release: str = ""
    append: tuple[str, ...] = ()
    boot_s: float | None = None
    total_s: float = 0.0
    status: int = 0
    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)  # with the reason
    facts: dict[str, Any] = field(default_factory=dict)
    again: list[str] = field(default_factory=list)  # run once more, alone, as they had failed

    @property
    def problems(self) -> list[str]:
        """Why this run is not good; empty where it is."""
        found = [f"failed: {name}" for name in self.failed]
        if self.status and not found:
            found.append(f"the tests did not end well: exit status {self.status}")
        if not self.passed and not found:
            found.append("no test ran")
        return found


def pytest_command(select: str, junit: str, more: list[str]) -> list[str]:
    return [
        *(sys.executable, "-B", "-m", "pytest", "-p", "no:cacheprovider", "-q", "-m", "vm"),
        *(() if any("::" in word for word in more) else ("tests/vm",)),
        *("--timeout", str(TEST_TIMEOUT_S), "--junitxml", junit),
        *(("-k", select) if select else ()),
        *more,
    ]


def shared_folders() -> list[Path]:
    """What the guest needs of the host and would not see, as it has a /tmp of its own."""
    import go_versions
    import machine

    return [path for path in (ROOT, go_versions.cache_dir().resolve()) if machine.hidden_in_guest(path, [])]


def in_guest(plan: Plan, more: list[str], timeout: int) -> tuple[list[str], dict[str, str]]:
    """The command and its environment for a stock kernel."""
    command = [
        *(sys.executable, str(ROOT / "vm" / "run.py"), "--timeout", str(timeout)),
        *(() if os.environ.get("VM_KERNEL") else ("--kernel", plan.where)),
        *("--out", str(plan.folder), "--console", str(plan.folder / "console")),
        *(
            "--env",
            f"GOPHERSCOPE_TEST_PATIENCE={TEST_TIMEOUT_S}",
            "--env",
            "GOPHERSCOPE_VM_FACTS=/out/facts",
            "--env",
            "XDG_CACHE_HOME",
            "--env",
            "GOPHERSCOPE_TEST_CACHE",
        ),
        *(f"--copy={folder}" for folder in shared_folders()),
        *(word for variable in plan.variables for word in ("--env", variable)),
        *(f"--append={parameter}" for parameter in plan.append),
        *("--", *pytest_command(plan.select, "/out/junit.xml", more)),
    ]
    # Both processors in one thread: QEMU's other way loses a race when the kernel patches its own code (vm/README.md),
    # which attaching does all the time.
    return command, {"VM_ACCEL": "tcg-single", **os.environ}


def on_host(plan: Plan, more: list[str]) -> tuple[list[str], dict[str, str]]:
    """The same for this machine: probes take root."""
    own = {"GOPHERSCOPE_VM": plan.where, "GOPHERSCOPE_VM_FACTS": str(plan.folder / "facts")}
    command = pytest_command(plan.select, str(plan.folder / "junit.xml"), more)
    if plan.where == "local" and os.geteuid() != 0:
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        command = ["sudo", "env", *(f"{name}={value}" for name, value in {**kept, **own}.items()), *command]
    return command, {**os.environ, **own}


def run(plan: Plan, more: list[str], timeout: int) -> Result:
    if children.ending():
        raise SystemExit(1)
    shutil.rmtree(plan.folder, ignore_errors=True)
    plan.folder.mkdir(parents=True)
    result = Result(plan.name, append=plan.append)
    if plan.where == "local":
        result.release = platform.release()
    command, environment = in_guest(plan, more, timeout) if plan.in_guest else on_host(plan, more)
    output = plan.folder / "output"
    say(f"{plan.name}: begins, output in {output.relative_to(ROOT)}")
    begun = time.monotonic()
    with output.open("wb") as file:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT)
        # vm/run.py has a limit of its own, so this one is for the tests on the host
        result.status = children.wait(process, timeout + 60)
    result.total_s = round(time.monotonic() - begun, 1)
    said = re.search(r"^vm: Linux (\S+) .*booted in ([\d.]+) s$", output.read_text(errors="replace"), re.MULTILINE)
    if said:
        result.release, result.boot_s = said[1], float(said[2])
    read_junit(plan.folder / "junit.xml", result)
    read_facts(plan.folder / "facts", result)
    (OUT / f"{plan.name}.json").write_text(json.dumps(asdict(result), indent=1, ensure_ascii=False) + "\n")
    say(f"{plan.name}: {len(result.passed)} passed, {len(result.failed)} failed in {result.total_s:.0f} s")
    if result.problems:
        sys.stderr.write(output.read_text(errors="replace") + "".join(f"{plan.name}: {p}\n" for p in result.problems))
    return result


def run_again(plan: Plan, more: list[str], timeout: int) -> Result:
    """Only what failed the last time, or all where the run did not end; the results of both are put together, and it
    is told which tests those were. The first run's output stays beside the folder."""
    path = OUT / f"{plan.name}.json"
    if not path.exists():
        return run(plan, more, timeout)
    last = Result(**json.loads(path.read_text()))
    if not last.problems:
        return last
    (plan.folder / "output").replace(OUT / f"{plan.name}.failed")  # run() begins with an empty folder
    if not last.failed:
        result = run(plan, more, timeout)
        result.again = ["all"]
        path.write_text(json.dumps(asdict(result), indent=1, ensure_ascii=False) + "\n")
        return result
    tests = [f"tests/vm/{module}.py::{test}" for module, test in (name.split("::", 1) for name in last.failed)]
    result = run(plan, [*tests, *more], timeout)
    result.again = sorted({*last.again, *last.failed})
    result.passed = last.passed + result.passed
    result.skipped = {**last.skipped, **result.skipped}
    result.boot_s, result.total_s = last.boot_s, round(last.total_s + result.total_s, 1)
    for name, value in last.facts.items():
        now = result.facts.setdefault(name, value)
        if name.startswith("verifier ") and value[1] > now[1]:
            result.facts[name] = value
    path.write_text(json.dumps(asdict(result), indent=1, ensure_ascii=False) + "\n")
    return result


def say(text: str) -> None:
    print(f"test-vm: {text}", file=sys.stderr, flush=True)


def read_junit(path: Path, result: Result) -> None:
    """Each test and how it ended. A file that is not there or torn means that pytest did not end: the status tells."""
    try:
        cases = list(ET.parse(path).getroot().iter("testcase"))
    except (OSError, ET.ParseError):
        return
    for case in cases:
        name = f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name', '?')}"
        parts = {child.tag: child for child in case}
        if parts.keys() & {"failure", "error"}:
            result.failed.append(name)
        elif "skipped" in parts:
            result.skipped[name] = parts["skipped"].get("message", "")
        else:
            result.passed.append(name)


def read_facts(path: Path, result: Result) -> None:
    """What the tests noted. Of a program's counts the largest stay."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        fact = json.loads(line)
        name, value = fact["name"], fact["value"]
        if name.startswith("verifier "):
            value = max(value, result.facts.get(name, value), key=lambda numbers: numbers[1])
        result.facts[name] = value


def table(results: list[Result]) -> str:
    """For people: a row for each run."""
    rows = [("run", "kernel", "boot s", "total s", "passed", "failed", "skipped", "verifier: instructions followed")]
    for r in results:
        counts = sorted((name.split()[1], fact) for name, fact in r.facts.items() if name.startswith("verifier "))
        numbers = (r.boot_s, r.total_s, len(r.passed), len(r.failed), len(r.skipped))
        rows.append(
            (
                *(r.name, r.release or "-"),
                *("-" if n is None else f"{n:g}" for n in numbers),
                " ".join(f"{name} {followed}" for name, (_, followed, _) in counts) or "-",
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def figures(results: list[Result]) -> list[str]:
    lines = []
    for r in results:
        if r.boot_s is not None and r.boot_s > BOOT_ASKED_S:
            lines.append(f"{r.name}: booted in {r.boot_s} s; asked: at most {BOOT_ASKED_S} s (an idle machine)")
        if fact := r.facts.get("performed return"):
            lines.append(
                f"{r.name}: call and return {fact['ns']:.0f} ns performed by the program, {fact['stepped_ns']:.0f} ns "
                f"single-stepped: {fact['ns'] / fact['stepped_ns']:.3f}; asked: at most {RATIO_ASKED}"
            )
        if fact := r.facts.get("sleepable cost"):
            lines.append(
                f"{r.name}: a call with a string {fact['ns']:.0f} ns by a program that may sleep, "
                f"{fact['plain_ns']:.0f} ns by a plain one: {fact['ns'] / fact['plain_ns']:.3f}"
            )
    return lines


def chosen(runs: list[str], long: bool, spread: bool, own_kernel: bool) -> list[Plan]:
    plans = [p for p in PLANS if p.name in runs or (not runs and (long or not p.long))]
    if spread:
        plans = [replace(p, select=p.spread or p.select) for p in plans if p.spread is not None]
    if own_kernel:
        plans = [Plan("folder", "folder")] + [p for p in plans if p.where == "local"]
    return plans


def require(plans: list[Plan], own_kernel: bool) -> None:
    """Fetches the kernels. Raises VmError where one cannot be had, or no machine."""
    import kernels
    from needs import require_tools

    if any(plan.where != "local" for plan in plans):
        require_tools()
    if own_kernel:
        kernels.from_environment()
    for name in dict.fromkeys(plan.where for plan in plans if plan.in_guest and not own_kernel):
        with kernels.use(name):
            pass


def main(arguments: list[str]) -> int:
    split = arguments.index("--") if "--" in arguments else len(arguments)
    parser = argparse.ArgumentParser(prog="scripts/test_vm.py", allow_abbrev=False)
    names = [plan.name for plan in PLANS]
    parser.add_argument(
        "runs",
        metavar="RUN",
        nargs="*",
        help=f"{', '.join(names)}; default: all but {', '.join(p.name for p in PLANS if p.long)}",
    )
    parser.add_argument("--all", action="store_true", help="these too")
    parser.add_argument("--spread", action="store_true", help="of each kernel what others do not show: half the time")
    parser.add_argument("--timeout", type=int, default=TIMEOUT_S, help=f"seconds for a run; default: {TIMEOUT_S}")
    parser.add_argument("--last-failed", action="store_true", help="only the tests that failed the last time")
    parser.add_argument("--again", action="store_true", help="what fails is run once more, alone, and that is told")
    parser.add_argument("--jobs", type=int, default=JOBS, help=f"guests at once; default: {JOBS}")
    options = parser.parse_args(arguments[:split])
    for name in options.runs:
        if name not in names:
            parser.error(f"no run {name!r}: there are {', '.join(names)}")
    own_kernel = bool(os.environ.get("VM_KERNEL"))
    plans = chosen(options.runs, options.all, options.spread, own_kernel)

    import ahead
    import guest
    from needs import VmError

    children.take_signals()
    # Before the clock of a run begins, and with its own words where it fails.
    try:
        require(plans, own_kernel)
    except VmError as error:
        print(error.report(), file=sys.stderr)
        return 3
    guest.build_all()
    ahead.compile_all()
    one = run_again if options.last_failed else run
    # What this machine's own kernel does, and QEMU itself, is tried when nothing else runs; in CI beside guests.
    alone = [] if options.spread else [plan for plan in plans if not plan.in_guest]
    groups = [[plan for plan in plans if plan not in alone], *([plan] for plan in alone)]
    results: list[Result] = []
    for together in groups:
        with ThreadPoolExecutor(max(1, options.jobs)) as pool:
            results += pool.map(lambda plan: one(plan, arguments[split + 1 :], options.timeout), together)
    if options.again:
        for i, plan in enumerate(plan for together in groups for plan in together):
            if results[i].problems:
                results[i] = run_again(plan, arguments[split + 1 :], options.timeout)
    print(table(results))
    print("\n".join(figures(results)))
    problems = [f"{r.name}: {problem}" for r in results for problem in r.problems]
    print("\n".join(problems) if problems else "all passed")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
