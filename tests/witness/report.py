# SPDX-License-Identifier: Apache-2.0
"""`make witness`: 500 functions of each big program held against other tools; writes docs/witness.md.

Exit status 1 where a difference has no explanation; then nothing is written. Modules of tests/ must be on PYTHONPATH.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import explained
import go_versions
import many
import programs
import sites
from locations import Comparison, Report
from tracing import ROOT

FUNCTIONS = 500

WHAT = {
    "compile": "Go's compiler",
    "gopls": "gopls (" + programs.GOPLS.rpartition("@")[2] + ")",
    "greeter": "the gRPC server of grpc-go's hello world",
}

HEAD = f"""# What other tools say

Written by `make witness`. {FUNCTIONS} functions of each of three programs, drawn with a fixed seed from the symbol
table.

For each, names, types, sizes, which are results, and locations at the entry and at the entry's site as `offsets params`
shows them must be what llvm-dwarfdump ({{llvm}}) prints and what pyelftools reads. The calling convention's places
must be those of the location list wherever there is one at the entry. The sites must be instructions that {{objdump}}
sees too, the returns all of its `ret`, and the entry's site on the straight line from the entry, at or behind the
stack check, where no branch comes back to. `make test` does the same with fewer functions.
"""


def version(command: str, line: int) -> str:
    run = subprocess.run([command, "--version"], check=True, capture_output=True, text=True)
    return run.stdout.splitlines()[line].strip()


def table(rows: dict[str, dict[str, int]], columns: list[str]) -> list[str]:
    lines = ["| | " + " | ".join(columns) + " |", "|---|" + "---:|" * len(columns)]
    for what, by_program in rows.items():
        lines.append(f"| {what} | " + " | ".join(str(by_program.get(c, 0)) for c in columns) + " |")
    return lines


def look(name: str, program: Path) -> tuple[Report, Report]:
    path = programs.big(name)
    drawn = programs.draw(path, FUNCTIONS)
    return Comparison(path, program, drawn).run(), sites.Sites(path, program, drawn).run()


def counts(reports: dict[str, Report]) -> dict[str, dict[str, int]]:
    rows: dict[str, dict[str, int]] = {}
    for name, report in reports.items():
        for what, n in report.counts.items():
            rows.setdefault(what, {})[name] = n
    return rows


def differences(reports: list[dict[str, Report]]) -> list[str]:
    lines: list[str] = []
    for kind, why in {**explained.KINDS, **sites.KINDS}.items():
        found = {n: sorted(set(r[n].explained.get(kind, ()))) for r in reports for n in r if kind in r[n].explained}
        if not found:
            continue
        lines += ["", f"### {kind[0].upper()}{kind[1:]}", why, ""]
        for name, names in found.items():
            lines.append(f"- {name} ({len(names)}):")
            lines += [f"  - `{n}`" for n in names]
    return lines


def main() -> int:
    locations: dict[str, Report] = {}
    places: dict[str, Report] = {}
    with tempfile.TemporaryDirectory() as folder:
        program = many.build(Path(folder))
        for name in programs.BIG:
            locations[name], places[name] = look(name, program)
            print(
                f"{name}: {sum(locations[name].counts.values())} and {sum(places[name].counts.values())} things counted"
            )
    wrong = [w for reports in (locations, places) for r in reports.values() for w in r.wrong]
    for text in wrong:
        print(f"wrong: {text}", file=sys.stderr)
    if wrong:
        return 1
    columns = list(programs.BIG)
    lines = [HEAD.format(llvm=version("llvm-dwarfdump", 0), objdump=version("objdump", 0))]
    for name in columns:
        lines.append(f"- `{name}`: {WHAT[name]}, Go {go_versions.VERSIONS[programs.BIG[name][0]]}")
    lines += ["", "## Locations", "", *table(counts(locations), columns)]
    lines += ["", "## Sites", "", *table(counts(places), columns)]
    lines += ["", "## Differences", "", "Without an explanation: 0. The others, each checked to be of its kind:"]
    lines += differences([locations, places])
    (ROOT / "docs/witness.md").write_text("\n".join(lines) + "\n")
    print("docs/witness.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
