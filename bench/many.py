# SPDX-License-Identifier: Apache-2.0
"""Many functions at once: planning them, putting probes on them in one link, taking them away."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from measure import ROOT, median, own_copy, row, table
from peers import version
from programs import go_compiler
from tracing import Tracer

SIZES = (1, 100, 1000)
ALL = "cmd/compile/internal/*"  # 12,738 functions of Go 1.26.8
PLANNED = 10_000
ROUNDS = 3
PEER_FUNCTIONS = 100  # bpftrace up to 0.19 takes 0.1 s to take away each
SEED = 20261121

# Run by another process: FILE MODE NAMES. Prints seconds of each phase, and how many sites there were.
PROBE = """
import json, sys, time
from tracer import native
from tracer.binary import open_binary
from tracer.plan import ReadOptions
from tracer.program_cache import CachedCompiler
from tracer.collector import Collector
from tracer.options import TraceOptions
from tracer.session import PROGRAM_FILES

file, mode, names = sys.argv[1], sys.argv[2], json.loads(open(sys.argv[3]).read())
native.offsets(), native.collector()
values = mode == "trace"
options = TraceOptions(mode=mode, binary=file, functions=tuple(names), args=values, results=values, returns=values)
laps, last = {}, time.perf_counter()
def lap(name):
    global last
    now = time.perf_counter()
    laps[name], last = now - last, now
with open_binary(file, (), None) as binary, binary.planned(list(names), [], options.reading) as plan:
    lap("plan")
    laps["functions"], laps["sites"] = plan.counts()[0], sum(plan.counts()[1:3])
    collector = Collector(options, 1, False)
    collector.add_plan(plan, binary.fd)
    blob = CachedCompiler().program(PROGRAM_FILES[mode], collector.cflags())
    lap("compile")
    collector.load(blob)
    lap("load")
    collector.attach()
    lap("attach")
    collector.close()
    lap("detach")
print(json.dumps(laps))
"""


def functions(program: Path) -> list[str]:
    """Names of functions, in an order that is always the same."""
    out = subprocess.run(
        [ROOT / "build" / "offsets", "functions", program], capture_output=True, text=True, check=True
    ).stdout
    names = [f["name"] for f in json.loads(out)["functions"]]
    # what the tracer would refuse, or a pattern would take for something else
    names = sorted({n for n in names if n.startswith("cmd/") and not set(n) & set("[]*?/{} ") - {"/", "*"}})
    random.Random(SEED).shuffle(names)
    return names


def once(program: Path, mode: str, names: Path, kept: bool) -> dict[str, float]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "GOPHERSCOPE_CACHE": "" if kept else "off"}
    if kept:
        del env["GOPHERSCOPE_CACHE"]
    run = subprocess.run(
        [sys.executable, "-c", PROBE, program, mode, names], capture_output=True, text=True, env=env, check=True
    )
    found: dict[str, float] = json.loads(run.stdout)
    return found


def many(tracer: Tracer) -> None:
    program = own_copy(tracer, go_compiler())
    names = functions(program)
    table(f"Many functions ({program.stat().st_size / 1e6:.0f} MB, Go's compiler; seconds, median of {ROUNDS} rounds)")
    file = tracer.folder / "names"
    for patterns in (*(names[:size] for size in SIZES), [ALL]):
        file.write_text(json.dumps(patterns))
        all_of_them = patterns == [ALL]
        for mode, what in (("count", "entries only"), ("trace", "with values and returns")):
            laps = [once(program, mode, file, True) for _ in range(ROUNDS)]
            took = {key: median([lap[key] for lap in laps]) for key in laps[0]}
            n = int(took["functions"])
            row(
                f"{n} functions, {what} ({int(took['sites'])} sites): attach, detach",
                f"{took['attach']:.3f} s, {took['detach']:.3f} s",
                "at most 0.6 s together" if all_of_them else "",
                took["attach"] + took["detach"] <= 0.6 if all_of_them else None,
            )
            if all_of_them:
                anew = median([once(program, mode, file, False)["plan"] for _ in range(ROUNDS)]) * PLANNED / n
                row(f"  planning {PLANNED} of them", f"{anew:.2f} s", "at most 1 s", anew <= 1)
                row("  loading: maps, programs", f"{took['load']:.3f} s")
    peer(tracer, program, names)


def peer(tracer: Tracer, program: Path, names: list[str]) -> None:
    path = shutil.which("bpftrace")
    if not path:
        row("bpftrace", "absent")
        return
    plain = [n for n in names if re.fullmatch(r"[\w./]+", n)][:PEER_FUNCTIONS]
    script = tracer.folder / "many.bt"
    probes = ",\n".join(f'uprobe:{program}:"{n}"' for n in plain)
    script.write_text(probes + ' { @ = count(); }\nBEGIN { printf("ready\\n"); }\n')
    begin = time.monotonic()
    process = subprocess.Popen([path, str(script)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout
    for line in process.stdout:
        if b"ready" in line:
            break
    ready = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate()
    end = time.monotonic()
    name = f"bpftrace {version([path, '--version'])}"
    row(f"{name}, {len(plain)} functions: from exec to attached, end", f"{ready - begin:.2f} s, {end - ready:.2f} s")
