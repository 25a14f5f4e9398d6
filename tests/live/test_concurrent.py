# SPDX-License-Identifier: Apache-2.0
"""A hundred goroutines that recurse, panic, recover and leave by Goexit: every format, by its readers' rules."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from readers import check_chrome, check_folded, check_speedscope, pprof_calls
from tracing import Tracer, check_accounting, of_type

PROGRAM = Path(__file__).resolve().parent / "programs" / "concurrent"
GOROUTINES = 101
FUNCTIONS = ("--func", "main.guard", "--func", "main.work", "--func", "main.leaf")


@pytest.mark.parametrize("version", ["1.15", "1.17", "1.21", "1.24", "1.26", "1.27"])
def test_every_format(
    version: str, go_program: Callable[..., Path], own_copy: Callable[[Path], Path], tracer: Tracer
) -> None:
    path = tracer.folder / "run.gscope"
    run = tracer(*FUNCTIONS, "-s", "9", "-o", path, "--", own_copy(go_program(PROGRAM, version)))
    assert run.status == 0, run.stderr
    said = {f"main.{n}": (int(c), int(r)) for n, c, r in re.findall(r"^(\w+) (\d+) (\d+)$", run.stdout, re.M)}
    calls = {name: c for name, (c, _) in said.items()}
    total = sum(calls.values())

    def report(format: str) -> str:
        return tracer("report", path, "-f", format, "-q").stdout

    events = [json.loads(line) for line in report("jsonl").splitlines()]
    assert Counter(e["func"] for e in of_type(events, "call")) == calls
    # leaf and work do return only where the program counted it; guard returns from each panic, too
    returned = Counter(e["func"] for e in of_type(events, "return") if "unwound" not in e)
    assert returned["main.leaf"] == said["main.leaf"][1] == calls["main.leaf"]
    assert returned["main.work"] == said["main.work"][1] < calls["main.work"]
    assert returned["main.guard"] == said["main.guard"][1] < calls["main.guard"]
    unwound = Counter(e["func"] for e in of_type(events, "return") if "unwound" in e)
    assert unwound == {name: c - r for name, (c, r) in said.items() if c != r}
    (summary,) = of_type(events, "summary")
    check_accounting(summary)
    assert summary["lost"] == 0

    document = json.loads(report("chrome"))
    check_chrome(document)
    spans = [e for e in document["traceEvents"] if e["ph"] == "X"]
    assert Counter(e["name"] for e in spans) == calls
    assert len({e["tid"] for e in spans}) == GOROUTINES
    assert all("sf" in e for e in spans)

    document = json.loads(report("speedscope"))
    check_speedscope(document)
    assert len(document["profiles"]) == GOROUTINES
    names = [f["name"] for f in document["shared"]["frames"]]
    opened = [names[e["frame"]] for p in document["profiles"] for e in p["events"] if e["type"] == "O"]
    assert {name: n for name, n in Counter(opened).items() if name in calls} == calls

    # callers that are not traced stand around the roots alone: from there on each call's caller is traced
    chains = [";".join(chain) for chain in check_folded(report("folded"))]
    whole = re.compile(r"runtime\.goexit(;main\.main\.[\w.]+)+(;main\.guard(;main\.work){0,11}(;main\.leaf)?)")
    found = [whole.fullmatch(chain) for chain in chains]
    assert all(found), chains
    assert max(match[2].count("main.") for match in found if match) == 1 + 11 + 1

    profile = tracer.folder / "run.pb.gz"
    tracer("report", path, "-f", "pprof", "-o", profile)
    assert {name: n for name, n in pprof_calls(profile).items() if n} == calls

    # tree: what is called is one level further in
    lines = [line for line in report("tree").splitlines() if "main." in line]
    assert len(lines) == total
    depth = 0
    for line in lines:
        at = (line.index("main.") - 11) // 2
        name = re.search(r"main\.\w+", line)
        assert name and 0 <= at <= depth + 1
        assert (at == 0) == (name[0] == "main.guard")
        depth = at
