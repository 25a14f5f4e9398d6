# SPDX-License-Identifier: Apache-2.0
"""What reading a program's file costs: `python bench/files.py [PROGRAM …]`. No root.

Processor time and peak memory of whole processes, the median of several runs. The time of `offsets params` is
given as a ratio to reading and inflating the sections that it reads, measured in turns with it; planning is timed
inside the process. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
OFFSETS = ROOT / "build" / "offsets"
ROUNDS = 9
FUNCTION = "fmt.(*pp).printArg"  # of nearly every program
DEBUG = (".debug_abbrev", ".debug_info", ".debug_str", ".debug_line_str", ".debug_str_offsets", ".debug_addr")
LOCATIONS = (".debug_loclists", ".debug_loc")
FUNCTIONS_MAX = 100_000  # that one plan takes (offsets/plan.h)
TABLES = (".gopclntab", ".symtab", ".strtab")


class Cost(NamedTuple):
    seconds: float
    peak: int  # bytes


def run(*command: str | Path) -> Cost:
    with tempfile.TemporaryFile() as out:
        child = subprocess.Popen(command, stdout=out)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"error: {' '.join(map(str, command))} ended with {child.returncode}")
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def median(costs: list[Cost]) -> Cost:
    return Cost(statistics.median(c.seconds for c in costs), max(c.peak for c in costs))


def in_turns(*commands: list[str | Path]) -> list[Cost]:
    costs: list[list[Cost]] = [[] for _ in commands]
    for _ in range(ROUNDS):
        for command, into in zip(commands, costs):
            into.append(run(*command))
    return [median(c) for c in costs]


def build_baseline(folder: Path) -> Path:
    program = folder / "read_sections"
    sources = [ROOT / "bench/programs/read_sections.c"]
    sources += [ROOT / "offsets" / name for name in ("elf_file.c", "elf_data.c", "error.c")]
    libraries = subprocess.check_output(["pkg-config", "--cflags", "--libs", "libelf", "libdeflate"], text=True)
    subprocess.run(["gcc", "-std=c11", "-D_GNU_SOURCE", "-O2", "-o", program, *sources, *libraries.split()], check=True)
    return program


def row(what: str, value: str, wanted: str = "") -> None:
    print(f"  {what:<52} {value:>34}" + (f"   asked: {wanted}" if wanted else ""), flush=True)


def measure(baseline: Path, program: Path) -> None:
    walk = json.loads(subprocess.check_output([OFFSETS, "walk", program]))
    print(f"{program} ({program.stat().st_size / 1e6:.0f} MB, {walk['functions']} functions)")
    debug, sections = [*DEBUG, *LOCATIONS], [*DEBUG, *LOCATIONS, *TABLES]
    size = int(subprocess.check_output([baseline, program, *debug], text=True))
    params, only_debug, all_read = in_turns(
        [OFFSETS, "params", program, FUNCTION], [baseline, program, *debug], [baseline, program, *sections]
    )
    row("params of one function", f"{params.seconds * 1000:.0f} ms, {params.peak / 1e6:.0f} MB")
    row("  to reading its sections", f"{params.seconds / all_read.seconds:.2f}x", "1.5x")
    row("  to reading those of the debug information alone", f"{params.seconds / only_debug.seconds:.2f}x")
    row("  memory to the debug sections inflated", f"{params.peak / size:.2f}x of {size / 1e6:.0f} MB", "3x")
    (walked,) = in_turns([OFFSETS, "walk", program])
    row("params of all functions", f"{walked.seconds:.2f} s, {walked.peak / 1e6:.0f} MB", "5 s, 500 MB (gopls)")
    plan_many(program, "*" if walk["functions"] < FUNCTIONS_MAX else "g*")


PLAN = """
import resource, sys, time
from tracer.binary import ReadOptions, open_binary
with open_binary(sys.argv[1], (), None) as binary:
    begin = time.process_time()
    with binary.planned([sys.argv[2]], [], ReadOptions()) as plan:
        print(time.process_time() - begin, plan.pointer.n_funcs)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def plan_many(program: Path, pattern: str) -> None:
    seconds = []
    for _ in range(ROUNDS):
        out = subprocess.check_output(
            [sys.executable, "-c", PLAN, program, pattern],
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "GOPHERSCOPE_CACHE": "off"},
        ).split()
        seconds.append(float(out[0]))
    functions, peak, taken = int(out[1]), int(out[2]) * 1024, statistics.median(seconds)
    row(f"plan of {functions} functions, with values", f"{taken:.2f} s, {peak / 1e6:.0f} MB")
    row("  for each 10,000", f"{taken / functions * 10_000:.2f} s", "1 s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "program", nargs="*", type=Path, help="Go programs with debug information; without: the example"
    )
    parser.add_argument(
        "--large", action="store_true", help="build Kubernetes' API server (minutes), and measure it too"
    )
    args = parser.parse_args()
    if args.large:
        sys.path.append(str(ROOT / "tests"))
        import go_modules

        args.program.append(go_modules.apiserver())
    with tempfile.TemporaryDirectory() as folder:
        baseline = build_baseline(Path(folder))
        for program in args.program or [ROOT / "examples/tracee/tracee"]:
            measure(baseline, program)
    return 0


if __name__ == "__main__":
    sys.exit(main())
