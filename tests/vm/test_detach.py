# SPDX-License-Identifier: Apache-2.0
"""Taking probes away: at once by one link, one by one by perf events, which is said before and must be asked for."""

from __future__ import annotations

import re
import time

import guest
import pytest
from guest import LONG
from tracing import Tracer, check_accounting, check_error, of_type, until

pytestmark = pytest.mark.vm

ENTRIES = ("--no-args", "--no-results", "-f", "jsonl")


def test_many_perf_probes_must_be_asked_for(tracer: Tracer) -> None:
    """More than 200: one line with the number and what it costs, and nothing is attached."""
    run = tracer("-b", guest.counts(), "--func", "runtime.*", *ENTRIES, env={"TRACER_ATTACH": "perf"}, timeout=LONG)
    check_error(run, 1, r"^error: .*\d{3,} probes: this kernel takes them away one by one, which needs up to \d+ s")
    assert re.search(r"^hint: .*--force", run.stderr, re.MULTILINE)


@pytest.mark.skipif(not guest.allowed("cookie_multi"), reason="this kernel has no uprobe_multi")
def test_many_probes_of_one_link(tracer: Tracer) -> None:
    """As many are no matter of time where one link holds them."""
    tracing = tracer.start("-b", guest.counts(), "--func", "runtime.*", *ENTRIES, env={"TRACER_ATTACH": "multi"})
    tracing.attached()
    functions = len(of_type(tracing.events(), "meta")[0]["functions"])
    begun = time.monotonic()
    run = tracing.stop(LONG)
    assert run.status == 0, run.stderr
    assert functions > 200
    assert "one by one" not in run.stderr
    guest.note("detach multi", {"probes": functions, "seconds": round(time.monotonic() - begun, 2)})


def test_the_start_line_tells_what_detaching_costs(tracer: Tracer) -> None:
    """And after the first Ctrl-C nothing is written any more, though the probes are still there."""
    target = tracer.program(guest.counts(), "-mode", "paced", "-n", 1_000_003, "-pause", "1ms", "-wait=false")
    tracing = tracer.start(
        *("-p", target.pid, "--func", "internal/strconv.*", "--func", "main.target", *ENTRIES),
        env={"TRACER_ATTACH": "perf"},
    ).attached()
    functions = len(of_type(tracing.events(), "meta")[0]["functions"])
    assert functions > 20
    said = re.search(r"takes up to (\d+) s then: this kernel takes probes away one by one", tracing.stderr)
    assert said, tracing.stderr
    until(lambda: tracing.count("call") > 0, "a call", LONG)
    begun = time.monotonic()
    tracing.interrupt()
    run = tracing.finish(LONG)
    seconds = time.monotonic() - begun
    assert run.status == 0, run.stderr
    # goroutine_exit has a probe as well
    assert int(said[1]) == round((functions + 1) / 10)
    last = max(e["ts"] for e in of_type(run.events, "call"))
    assert last / 1e9 - begun < 2
    check_accounting(run.events[-1])
    assert target.process.poll() is None, "the program goes on"
    guest.note("detach perf", {"probes": functions + 1, "seconds": round(seconds, 2)})


@pytest.mark.skipif(guest.allowed("cookie_multi"), reason="only where there are perf events alone: half a minute")
def test_force(tracer: Tracer) -> None:
    """--force puts more than 200 in place by perf events; what it costs to take them away is kept."""
    target = tracer.program(guest.counts(), "-n", 23)
    assert target.line() == "ready"
    tracing = tracer.start(
        *("-p", target.pid, "--force", "--func", "main.target", "--func", "fmt.*", "--func", "reflect.*"),
        *("--func", "sync.*", "--func", "syscall.*", "--func", "internal/strconv.*", *ENTRIES),
        env={"TRACER_ATTACH": "perf"},
    ).attached()
    functions = len(of_type(tracing.events(), "meta")[0]["functions"])
    assert functions > 200
    target.go()
    target.finish(LONG)
    begun = time.monotonic()
    run = tracing.finish(LONG)
    assert run.status == 0, run.stderr
    names = {f["fid"]: f["name"] for f in of_type(run.events, "meta")[0]["functions"]}
    assert sum(names[e["fid"]] == "main.target" for e in of_type(run.events, "call")) == 23
    guest.note("detach forced", {"probes": functions, "seconds": round(time.monotonic() - begun, 2)})
