#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes docs/kernels.md, and docs/kernels.json behind it, from what `make test-vm` found out: `make kernels-doc`.

    scripts/kernels_doc.py [--check]

With --check nothing is written: the exit status is 1 where a kernel allows other things than the page says.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "build" / "vm"
DATA = ROOT / "docs" / "kernels.json"
PAGE = ROOT / "docs" / "kernels.md"

# In the order of the columns; of the last two only the tests count.
COLUMNS = ("6.1", "6.12", "own", "newest")
REWRITING = "-rewriting"  # behind the name of a column: the run of the tests that change programs
MORE = {
    "rewriting": "rewriting",
    "stress": "rewriting, 60 s of each kind of stress",
    "zoo": "values of every kind",
}  # by what a run's name ends in
OTHERS = ("newest-preempt-full", "newest-stress", "newest-zoo", "6.1-zoo", "machine")

Run = dict[str, Any]

HEAD = """\
<!-- SPDX-License-Identifier: Apache-2.0 -->
# What works on which kernel

Made by `make kernels-doc` from the results of `make test-vm` ([tests/vm](../tests/vm)), which boots stock Debian
kernels in QEMU and runs the same tests there; the column *own* is the kernel of the machine on which that was done.
`gopherscope doctor` tells the same of the kernel it runs on, each by trying it: a test compares the two.
"""


def name_of(run: Run) -> str:
    """The kernel's version, without a distribution's or machine's additions."""
    found = re.match(r"\d+(\.\d+)*(-\d+)?", run["release"])
    return found[0] if found else run["release"]


def doctor(run: Run, check: str) -> bool:
    return any(c["name"] == check and c["ok"] for c in run["facts"]["doctor"]["checks"])


def yes(check: str) -> Callable[[Run], str]:
    return lambda run: "yes" if doctor(run, check) else "no"


def parts(run: Run) -> list[Run]:
    """A kernel's run, and the one of the tests that change programs, where that was done apart."""
    return [run, run["rewriting"]] if "rewriting" in run else [run]


def ended(run: Run, how: str, pattern: str) -> bool:
    return any(re.search(pattern, name) for part in parts(run) for name in part[how])


def passed(run: Run, *patterns: str) -> str:
    """Did all tests of a kind pass, some of each pattern? `–` where none of them is for this kernel."""
    if any(ended(run, "failed", pattern) for pattern in patterns):
        return "**fails**"
    found = [ended(run, "passed", pattern) for pattern in patterns]
    return "exact" if all(found) else "in part" if any(found) else "–"


def changed(*tests: str, version: str = r"1\.\d+", refused: str = "") -> Callable[[Run], str]:
    """The same of tests that change a program, where the kernel lets one; else, was that told beforehand?"""

    def show(run: Run) -> str:
        told = rf"rewriting::test_refused\[{refused}.*{version}\]"
        done = passed(run, *(rf"rewriting::test_{test}\[(.*-)?{version}[-\]]" for test in tests))
        return "refused" if done == "–" and passed(run, told) == "exact" else done

    return show


def fact(name: str, show: Callable[[Any], str], otherwise: str = "–") -> Callable[[Run], str]:
    return lambda run: show(run["facts"][name]) if name in run["facts"] else otherwise


def untouched(run: Run) -> str:
    found = {v for k, v in run["facts"].items() if re.fullmatch(r"untouched \w+ sleepable=1", k)}
    return ", ".join(f"`{v}`" if v.startswith("unreadable") else v for v in sorted(found))


def capabilities(run: Run) -> str:
    found = [run["facts"][f"capabilities of a {who}"]["status"] for who in ("root", "user")]
    return "yes" if found == [0, 0] else "no"


def per_probe(value: Any) -> str:
    return f"{value['seconds'] / value['probes']:.2f} s a probe"


def ratio(of: str) -> Callable[[Any], str]:
    return lambda value: f"{value['ns'] / value[of]:.2f}"


FEATURES: Sequence[tuple[str, Callable[[Run], str]]] = (
    ("calls and results of the demo, Go 1.15 and 1.26", lambda r: passed(r, "::test_demo")),
    ("100,003 calls with growing stacks, each once and with its own return", lambda r: passed(r, "::test_growing")),
    ("16 threads: accounting, texts and results", lambda r: passed(r, "sixteen")),
    ("many probes by one link (`uprobe_multi`)", yes("uprobe_multi")),
    ("one process's own link, in all its threads", yes("multi_pid")),
    ("probes through perf events, with cookies", yes("cookie_perf")),
    ("taking away the probes of one link", fact("detach multi", lambda v: f"{v['probes']} in {v['seconds']:.1f} s")),
    ("taking away those of perf events", fact("detach perf", per_probe)),
    ("BPF ring buffer", yes("ring_buffer")),
    ("perf buffer", yes("perf_buffer")),
    ("a RET is performed by the program (`context_write`)", yes("context_write")),
    ("… call and return then, to the single-stepped ones", fact("performed return", ratio("stepped_ns"))),
    ("programs that may sleep (`sleepable`)", yes("sleepable")),
    ("… a string literal that nothing has touched", untouched),
    ("… a call with a string, to the plain program's", fact("sleepable cost", ratio("plain_ns"))),
    ("a program's stack is its CPU's, and has to be guarded", fact("private stacks", lambda v: "yes" if v else "no")),
    ("CAP_BPF and CAP_PERFMON instead of root", capabilities),
    ("writing the program's memory (`probe_write_user`)", yes("probe_write_user")),
    (
        "`rewrite`: each of 100,003 calls is changed, once; Go 1.15 (stack)",
        changed("every_call", "every_result", version=r"1\.15"),
    ),
    ("`rewrite`: the same; Go 1.26 (registers)", changed("every_call", "every_result", version=r"1\.26")),
    (
        "`rewrite --where`: 50,021 of 100,003 calls are, the others keep theirs; Go 1.15",
        changed("every_call_that_is_wanted", "results_that_are_wanted", version=r"1\.15"),
    ),
    (
        "`rewrite --where`: the same; Go 1.26",
        changed("every_call_that_is_wanted", "results_that_are_wanted", version=r"1\.26"),
    ),
    (
        "`rewrite --skip`: a function that is skipped",
        changed("skipped", "skipped_where_wanted", refused="--skip"),
    ),
    ("`rewrite --fail`: one call of ten fails; Go 1.15", changed("one_of_ten_fails", version=r"1\.15")),
    ("`rewrite --fail`: the same; Go 1.26", changed("one_of_ten_fails", version=r"1\.26")),
    ("`rewrite`: values of each kind, also in position-independent programs", changed("kinds")),
    ("`rewrite`: behind pointers, strings in place", changed("behind_pointers", "strings_in_place")),
    ("`rewrite`: stacks that grow, collections, the race detector", changed("stacks_that_grow", "stress")),
    ("`rewrite`: pages that the kernel is moving", changed("pages_on_the_move")),
    ("`rewrite`: a tracer that is killed leaves the program its own values", changed("a_tracer_that_dies")),
    ("probes on kernel functions", yes("kprobe")),
    ("raw tracepoints", yes("raw_tracepoint")),
    ("the kernel's type information (BTF)", yes("btf")),
    ("maps beyond the limit of locked memory", yes("memlock")),
)

# What the next run must show again; the other rows are measured.
MEASURED = (re.compile(r"^(… call|… a call|taking away)"),)


def line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return line(head) + line(["---"] * len(head)) + "".join(map(line, rows))


def features(runs: Sequence[Run]) -> list[list[str]]:
    return [[title, *(show(run) for run in runs)] for title, show in FEATURES]


def variants(runs: Sequence[Run]) -> list[list[str]]:
    facts = [{name: value for part in parts(run) for name, value in part["facts"].items()} for run in runs]
    names = sorted({n for found in facts for n in found if n.startswith("verifier ")})

    def cell(found: dict[str, Any], name: str) -> str:
        numbers = found.get(name)
        return f"{numbers[0]:,} → {numbers[1]:,}" if numbers else "–"

    return [[f"`{name.split()[1]}`", *(cell(found, name) for found in facts)] for name in names]


def whys(runs: Sequence[Run]) -> list[str]:
    """In the kernels' words, what is refused."""
    lines = []
    for run in runs:
        for check in run["facts"]["doctor"]["checks"]:
            if not check["ok"]:
                lines.append(f"- **{heading(run)}**, `{check['name']}`: {check['detail']} → {check['follows']}\n")
    return lines


def again(run: Run) -> str:
    """How many of the tests that passed did so only when they were run once more."""
    if run.get("again") == ["all"]:
        return " (all at a second run)"
    return f" ({len(run['again'])} at a second run)" if run.get("again") else ""


def heading(run: Run) -> str:
    return f"{name_of(run)} (own)" if run["name"] == "own" else name_of(run)


def title(run: Run) -> str:
    """Of a row of the tests."""
    if run["name"] == "machine":
        return "QEMU and vm/run.py"
    more = MORE.get(run["name"].rpartition("-")[2], " ".join(run["append"]))
    return f"{heading(run)} {more}".strip()


def page(data: dict[str, Run]) -> str:
    runs = [data[name] for name in COLUMNS if name in data]
    heads = [heading(run) for run in runs]
    limit = max(run["facts"]["verifier call_many"][2] for run in runs)
    tests = [
        [
            title(run),
            "–" if run["boot_s"] is None else f"{run['boot_s']:.1f} s",
            str(len(run["passed"])) + again(run),
            *(str(len(run[kind])) for kind in ("failed", "skipped")),
            f"{run['total_s']:.0f} s",
        ]
        for whole in (data[name] for name in (*COLUMNS, *OTHERS) if name in data)
        for run in parts(whole)
    ]
    return "".join(
        (
            HEAD,
            "\n## Features\n",
            table(["", *heads], features(runs)),
            "\nRatios are medians of three rounds within one run, by software emulation in the stock kernels.\n",
            "\n## What the verifier makes of each program\n",
            f"Instructions of the largest variant → instructions that the verifier followed, of at most {limit:,}.\n\n",
            table(["program", *heads], variants(runs)),
            "\n## What is refused, in the kernel's words\n",
            *whys(runs),
            "\n## Tests\n",
            "Boot: from QEMU's start to the first command, by software emulation.\n\n",
            table(["run", "boot", "passed", "failed", "skipped", "in all"], tests),
        )
    )


def read_results() -> dict[str, Run]:
    """The runs that ended, by name. Exits where one that has a column is missing."""
    data = {}
    for name in (*COLUMNS, *OTHERS):
        path = RESULTS / f"{name}.json"
        if path.exists():
            data[name] = json.loads(path.read_text())
        changing = RESULTS / f"{name}{REWRITING}.json"
        if name in data and changing.exists():
            data[name]["rewriting"] = json.loads(changing.read_text())
    missing = [name for name in COLUMNS if "doctor" not in data.get(name, {}).get("facts", {})]
    missing += [f"{name}{REWRITING}" for name in COLUMNS if name != "own" and "rewriting" not in data.get(name, {})]
    if missing:
        sys.exit(f"error: no results of {', '.join(missing)} in {RESULTS}\nhint: make test-vm")
    return data


def differences(now: dict[str, Run], then: dict[str, Run]) -> list[str]:
    """Rows that are no measure and differ, by run."""
    found = []
    for name in COLUMNS:
        if name == "own" or name not in then:
            continue
        before = features([then[name]])
        for (title, is_now), (_, was) in zip(features([now[name]]), before):
            if is_now != was and not any(pattern.search(title) for pattern in MEASURED):
                found.append(f"{name}: {title}: {is_now}, the page says {was}")
    return found


def main(arguments: list[str]) -> int:
    data = read_results()
    if arguments == ["--check"]:
        found = differences(data, json.loads(DATA.read_text()))
        print("\n".join(found) if found else f"{PAGE.relative_to(ROOT)} tells what was found")
        return 1 if found else 0
    if arguments:
        sys.exit(__doc__)
    for run in (part for whole in data.values() for part in parts(whole)):
        run["release"] = name_of(run) if run["release"] else ""
        if "doctor" in run["facts"]:
            run["facts"]["doctor"] = {"checks": [c for c in run["facts"]["doctor"]["checks"] if c["tried"]]}
            for check in run["facts"]["doctor"]["checks"]:
                if check["ok"]:
                    check["detail"] = ""
    DATA.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n")
    PAGE.write_text(page(data))
    print(f"wrote {PAGE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
