# SPDX-License-Identifier: Apache-2.0
"""The zoo in every Go version and build, as a table: `make matrix`.

python tests/matrix/run.py [--version V]… [--build B]… [-o docs/matrix.md]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent)]

from compare import Tally, report  # noqa: E402
from zoo import BUILDS, MINORS, VERSIONS, check  # noqa: E402

HEAD = """# Values in every Go version and build

Written by `make matrix`. The zoo (`tests/matrix/zoo`) calls one function of each shape with seeded values and writes
down its own arguments and results; `tests/matrix/compare.py` holds the tracer's lines against them, value by value.
A cell: values that are right · values not shown, with a remark that says why · **wrong**. Without debug information
(`-w`, `-s -w`) there are no values: counted are calls, returns and the goroutine of each.

"""
SPREAD = ("1.15 default", "1.19 default", "1.21 default", "1.24 PIE", "1.24 default", "1.26 -N -l", "1.26 default")


def ceiling(reason: str, most: int) -> int:
    """Go's maps have another order in each run, and so other entries among those shown."""
    return most * 11 // 10 + 20 if reason.startswith(("partial", "truncated", "depth", "unreadable: not")) else most


def expected() -> str:
    """What a spread of the matrix may leave out: expected.json, which test_matrix.py holds it to."""
    known = {}
    for entry in SPREAD:
        tallies = [check(*entry.split(" ", 1)) for _ in range(3)]
        reasons = sorted({reason for t in tallies for reason in t.honest})
        known[entry] = {
            "calls": tallies[0].calls,
            "right": min(t.right for t in tallies) * 97 // 100,
            "honest": {reason: ceiling(reason, max(t.honest[reason] for t in tallies)) for reason in reasons},
        }
    return json.dumps(known, indent=1, ensure_ascii=False) + "\n"


def cell(outcome: Tally | str) -> str:
    if isinstance(outcome, str):
        return outcome
    return f"{outcome.right} · {sum(outcome.honest.values())} · **{len(outcome.wrong)}**"


def floats(t: Tally) -> str:
    """The share of floats that are not shown: of the arguments, of the results."""
    kinds = ("args", "results")
    return " · ".join(f"{t.floats_null[k] / t.floats[k]:.0%} of {t.floats[k]}" if t.floats[k] else "–" for k in kinds)


def page(outcomes: dict[tuple[str, str], Tally | str], versions: list[str], builds: list[str]) -> str:
    rows = ["| Go | " + " | ".join(builds) + " |", "|---" * (len(builds) + 1) + "|"]
    for v in versions:
        rows.append(f"| {VERSIONS[v]} | " + " | ".join(cell(outcomes.get((v, b), "not run")) for b in builds) + " |")
    tallies = [t for t in outcomes.values() if isinstance(t, Tally)]
    honest: Counter[str] = sum((t.honest for t in tallies), Counter())
    lines = [HEAD + "\n".join(rows), "", "Builds: " + "; ".join(f"{b}: {BUILDS[b].said}" for b in builds) + ".", ""]
    wrong = sum(len(t.wrong) for t in tallies)
    counts = f"{len(tallies)} programs, {sum(t.calls for t in tallies)} calls, "
    right = sum(t.right for t in tallies)
    lines += [counts + f"values: {right} right, {sum(honest.values())} not shown, **{wrong} wrong**."]
    lines += ["", "## Not shown, and why", "", "| values | remark |", "|---|---|"]
    lines += [f"| {n} | {reason} |" for reason, n in honest.most_common()]
    lines += [
        "",
        "`truncated`, `partial` and `depth` are what the limits of the command line leave out "
        "(`-Z`, `--elements`, `--depth`). `text not given`: the value is shown, the form that people read is not.",
        "",
        "## Floats",
        "",
        "Floating-point registers are not part of what a probe is given: a float is shown where the code has put it",
        "into memory or a general register, or took it from there. Not shown, of the arguments · of the results:",
        "",
        "| Go | " + " | ".join(builds) + " |",
        "|---" * (len(builds) + 1) + "|",
    ]
    for v in versions:
        shares = []
        for b in builds:
            t = outcomes.get((v, b))
            shares.append(floats(t) if isinstance(t, Tally) and t.floats else "–")
        lines.append(f"| {VERSIONS[v]} | " + " | ".join(shares) + " |")
    lines += ["", "## Wrong", ""]
    found = [
        f"- Go {VERSIONS[v]}, {b}: `{w.function}` `{w.path}`: {w.why}: got `{w.got[:80]}`, want `{w.want[:80]}`"
        for (v, b), t in outcomes.items()
        if isinstance(t, Tally)
        for w in {(w.function, w.why): w for w in t.wrong}.values()
    ]
    return "\n".join(lines + (found or ["None."])) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", action="append", choices=MINORS)
    parser.add_argument("--build", action="append", choices=list(BUILDS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--expected", action="store_true", help="write expected.json")
    args = parser.parse_args()
    if args.expected:
        (Path(__file__).resolve().parent / "expected.json").write_text(expected())
        return 0
    versions, builds = args.version or MINORS, args.build or list(BUILDS)
    outcomes: dict[tuple[str, str], Tally | str] = {}
    failed = False
    for b in builds:
        for v in versions:
            begun = time.monotonic()
            try:
                outcome: Tally | str = check(v, b, args.seed)
            except Exception as error:  # the other cells are wanted all the same
                outcome = "failed"
                print(f"Go {v}, {b}: {type(error).__name__}: {error}", file=sys.stderr)
            outcomes[v, b] = outcome
            failed |= isinstance(outcome, str) or bool(outcome.wrong)
            print(f"Go {v:5} {b:13} {cell(outcome)}  {time.monotonic() - begun:.1f} s", flush=True)
            if isinstance(outcome, Tally) and outcome.floats:
                print(f"    floats not shown: {floats(outcome)}")
            if isinstance(outcome, Tally) and outcome.wrong:
                print("\n".join(line for line in report(outcome).splitlines() if line.startswith("WRONG")))
            if args.output:
                args.output.write_text(page(outcomes, versions, builds))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
