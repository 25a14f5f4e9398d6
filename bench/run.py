# SPDX-License-Identifier: Apache-2.0
"""Measures the tracer on this machine: `make bench`. Root.

Absolute times differ between machines and from run to run, so what a call costs is given as a ratio to an
empty BPF program on the same instruction, both measured in this run, in turns; of several rounds the median
counts. Nothing is asserted: the figures asked for stand beside the ones measured.

Without options the quick groups run; `--all` runs all, `--only NAME` that one, and `--doc FILE` writes what came of it
(`make bench-doc`).
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import measure
from calls import cost, counts, kinds, millions, verbs
from growth import growth
from many import many
from measure import tracers
from peers import peers
from report import write_doc
from starts import first, plan, start

QUICK = {"cost": cost, "counts": counts, "start": start, "plan": plan, "peers": peers}
BENCHES = {
    **QUICK,
    "kinds": kinds,
    "verbs": verbs,
    "many": many,
    "first": first,
    "millions": millions,
    "growth": growth,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=sorted(BENCHES), help="only this one; again for more")
    parser.add_argument("--all", action="store_true", help="also those that take long: ten minutes in all")
    parser.add_argument(
        "--doc", type=Path, metavar="FILE", help="write the tables there too, as docs/performance.md has them"
    )
    args = parser.parse_args()
    if os.geteuid() != 0:
        print("error: the bench puts probes, which needs root: make bench", file=sys.stderr)
        return 1
    if not shutil.which("go"):
        print("error: no go on PATH: the programs to measure cannot be built", file=sys.stderr)
        return 1
    machine = f"Linux {platform.release()}, {os.cpu_count()} CPUs"
    print(machine)
    for name in args.only or (BENCHES if args.all else QUICK):
        measure.group = name
        with tracers() as tracer:
            BENCHES[name](tracer)
    if args.doc:
        write_doc(args.doc, machine)
    return 0


if __name__ == "__main__":
    sys.exit(main())
