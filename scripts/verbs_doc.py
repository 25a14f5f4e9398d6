#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes docs/verbs.md: each verb with what it says of examples/shop, by running it. `make verbs-doc` (root).

Everything below `COMMANDS` is run as it is shown, in a folder with the program; tests/live/test_verbs_doc.py runs it
again and compares, but for times, durations and addresses.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
DOC = ROOT / "docs" / "verbs.md"

INTRO = """\
# The verbs, one by one

What each says of [examples/shop](../examples/shop/main.go), a shop with 23 customers. Written by `make verbs-doc`,
which runs what is shown here; a test runs it again and compares. `gopherscope VERB --help` and `man gopherscope` have
all options; [design.md](design.md) has the formats.
"""

# Heading, text, commands.
COMMANDS: list[tuple[str, str, list[str]]] = [
    (
        "list",
        """\
What the program has. Needs no root. `--long` adds parameters and results, the place in the source, and how often the
compiler has copied a function into its callers; a pattern between slashes is a regular expression.""",
        [
            "gopherscope list -b shop 'main.*'",
            "gopherscope list -b shop --long 'main.*'",
            "gopherscope list -b shop '/^time\\.(Sleep|After)/'",
        ],
    ),
    (
        "explain",
        """\
Where a function would be probed, at what cost, what could be read there, what not and why, and where its inlined
copies are. Needs no root, and has an answer for functions that cannot be traced.""",
        ["gopherscope explain -b shop main.pay main.tax"],
    ),
    (
        "trace",
        """\
Each call with its arguments, each return with its results and the duration. `-M 2` ends after two calls and their
returns.""",
        [
            "sudo gopherscope -q --func main.pay -M 2 -- ./shop",
            "sudo gopherscope -q --func main.pay --args 'o.Customer, len(o.Items), cents' -M 2 -- ./shop",
        ],
    ),
    (
        "trace -s",
        "With who called, as Go itself would say it: inlined calls and recursion included.",
        ["sudo gopherscope -q --func 'main.(*shelf).find' --args name --no-results -s 4 -M 2 -- ./shop"],
    ),
    (
        "--where",
        """\
In `trace`, `count`, `hist`, `stack` and `tree`: only calls of which a condition is true, on arguments, results,
`duration`, `pid`, `goid`. What is about arguments alone is decided in the kernel at the call.""",
        [
            "sudo gopherscope -q --func main.pay --args o.Customer --where 'err != nil' -M 2 -- ./shop",
            "sudo gopherscope count -q --func main.pay --where 'len(o.Items) == 3 && cents > 1500' -- ./shop",
            "sudo gopherscope count -q --func main.pay --where 'o.Itmes == nil' -- ./shop",
        ],
    ),
    (
        "count",
        "How often, counted in the kernel.",
        [
            "sudo gopherscope count -q --func 'main.*' -- ./shop",
            "sudo gopherscope count -q --func 'main.*' --top 1 -- ./shop",
        ],
    ),
    (
        "hist",
        "How long, in the kernel: a histogram and percentiles.",
        ["sudo gopherscope hist -q --func main.pay -- ./shop"],
    ),
    (
        "hist --by",
        "Apart for each value of an expression: an integer, a string, or whether a condition is true.",
        ["sudo gopherscope hist -q --func main.pay --by 'err != nil' -- ./shop"],
    ),
    (
        "hist --split",
        """\
Is it slow because it works, or because it waits? On a CPU, ready and waiting for one, blocked: by the states of its
goroutine and the switches of its thread, which are looked at only then; the last line says how many that were.""",
        ["sudo gopherscope hist -q --func main.pay --split -- ./shop"],
    ),
    (
        "stack",
        "Who calls: ways to a function, counted in the kernel.",
        ["sudo gopherscope stack -q --func 'main.(*shelf).find' --top 2 -- ./shop"],
    ),
    (
        "tree",
        "Calls of a set of functions, whole trees only, with durations.",
        [
            "sudo gopherscope tree -q --func 'main.*' --exclude main.main --no-args --no-results -- ./shop | head -n 6",
        ],
    ),
    (
        "services",
        """\
Requests of Go services as spans and metrics, without naming a function: [services.md](services.md). Which of its rules
fit a program it says without root; of one that serves nothing, none.""",
        ["gopherscope services --explain -b shop | head -n 3"],
    ),
    (
        "rewrite",
        """\
Change arguments and results of a running program: [examples/rewrite](../examples/rewrite/README.md). What it would
write, and where, needs no root.""",
        ["gopherscope rewrite -b shop --func main.pay --set 'cents=1' --set-result 'change=7' --dry-run | head -n 7"],
    ),
    (
        "report",
        """\
A recording (`-o FILE.gscope`) in any format, later, elsewhere, and without root. What opens the result is said when it
is written.""",
        [
            "sudo gopherscope --func main.serve --func main.pay -o run.gscope -- ./shop",
            "gopherscope report run.gscope -q | head -n 4",
            "gopherscope report run.gscope -f chrome -o run.json",
            "gopherscope report run.gscope -f pprof -o run.pb.gz -q",
            "go tool pprof -top -sample_index=calls run.pb.gz 2>/dev/null | tail -n 2",
            "sudo gopherscope --func main.price -s 9 -f folded -q -- ./shop",
        ],
    ),
    (
        "doctor",
        "What this kernel allows, each found out by trying it.",
        ["sudo gopherscope doctor | tail -n 1"],
    ),
]


def run(command: str, folder: Path) -> str:
    """What a terminal shows of it, the program's own output included. sudo is left out: this runs as root."""
    env = {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command.replace("sudo ", "")],
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    return done.stdout


def prepare(folder: Path) -> None:
    """A folder with the program, and `gopherscope` on PATH."""
    import go_versions

    shutil.copy(go_versions.go_program(ROOT / "examples" / "shop"), folder / "shop")
    tool = folder / "bin" / "gopherscope"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m tracer "$@"\n')
    tool.chmod(0o755)


def main() -> None:
    if os.geteuid() != 0:
        sys.exit("error: root is needed: what it shows puts probes")
    parts = [INTRO]
    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name))
        for heading, text, commands in COMMANDS:
            parts.append(f"\n## {heading}\n\n{text}\n\n```\n")
            for i, command in enumerate(commands):
                gap = "\n" if i else ""
                parts.append(f"{gap}$ {command}\n{run(command, Path(name)).rstrip()}".rstrip() + "\n")
            parts.append("```\n")
    DOC.write_text("".join(parts))


if __name__ == "__main__":
    main()
