# SPDX-License-Identifier: Apache-2.0
"""What a call costs under each verb, as ratios to empty BPF programs at the same places; and that no call is lost."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import go_versions
from measure import (
    GO,
    LOOP,
    ROOT,
    Nanoseconds,
    at_most,
    cpu_seconds,
    empty_probe,
    last_line,
    loop,
    median,
    own_copy,
    row,
    sites,
    table,
    traced,
)
from tracing import Tracer, of_type, parse

COUNTS = ROOT / "tests" / "live" / "programs" / "counts"
CALLS = 300_007
FEW = 100_003  # of what costs 10 µs a call
BARE = 20_000_003
ROUNDS = 9
VERB_ROUNDS = 3


def cost(tracer: Tracer) -> None:
    version = go_versions.VERSIONS[GO]
    table(f"What a call costs ({CALLS} calls in a tight loop, median of {ROUNDS} rounds, Go {version})")
    program = own_copy(tracer, go_versions.go_program(LOOP, GO))
    for function, what, wanted in (
        ("ints", "two ints", 1.25),
        ("text", "two ints and a 16-byte string", 1.45),
        ("values", "a struct behind a pointer and a slice of 8", 2.2),
    ):
        places = sites(program, f"main.{function}")
        bare, empty, ours = [], [], []
        for _ in range(ROUNDS):
            bare.append(loop(tracer, program, function, BARE))
            with empty_probe(program, [places.entry]):
                empty.append(loop(tracer, program, function, CALLS))
            options = ("--func", f"main.{function}", "--no-results", "--buffer", "256M")
            ours.append(traced(tracer, program, options, lambda f=function: loop(tracer, program, f, CALLS)).ns)
        print(f"  {what}:")
        row(f"  no probe ({what})", f"{median([ns.cpu for ns in bare]):.1f} ns")
        row(f"  empty program at `{places.entry_insn}`", f"{median([ns.cpu for ns in empty]):.0f} ns")
        row("  arguments, goroutine, time (--no-results)", f"{median([ns.cpu for ns in ours]):.0f} ns")
        at_most("  ratio, CPU time of the calling thread", _ratio(ours, empty), wanted, "x")
        by_clock = median([o.clock / e.clock for o, e in zip(ours, empty)])
        row(f"  ratio by the clock ({os.cpu_count()} CPUs, shared with the tracer's threads)", f"{by_clock:.2f} x")


def _ratio(ours: list[Nanoseconds], empty: list[Nanoseconds]) -> float:
    """Of rounds that were measured in turns."""
    return median([o.cpu / e.cpu for o, e in zip(ours, empty)])


def kinds(tracer: Tracer) -> None:
    """An empty program at each kind of place: what any tracer pays there."""
    table("What an empty program costs, by the place (ns per call, all but the first with 1 probe)")
    program = own_copy(tracer, go_versions.go_program(LOOP, GO))
    places = sites(program, "main.ints")
    row("no probe", f"{loop(tracer, program, 'ints', BARE).cpu:.1f} ns")
    for what, offsets, calls in (
        ("the function's first instruction, `cmp` (single-stepped)", [places.first], FEW),
        (f"`{places.entry_insn}` behind it (emulated): where calls are probed", [places.entry], CALLS),
        (f"its `{places.return_insn}` (single-stepped)", places.returns, FEW),
        ("both where calls and where returns are probed", [places.entry, *places.returns], FEW),
    ):
        with empty_probe(program, offsets):
            row(what, f"{median([loop(tracer, program, 'ints', calls).cpu for _ in range(3)]):.0f} ns")


def verbs(tracer: Tracer) -> None:
    table(f"What a call costs under other verbs (ratios of CPU time in turns, median of {VERB_ROUNDS} rounds)")
    program = own_copy(tracer, go_versions.go_program(LOOP, GO))
    places = sites(program, "main.ints")
    both = [places.entry, *places.returns]
    func = ("--func", "main.ints")
    for what, options, offsets, calls, wanted in (
        ("count, to the empty program", ("count", *func), [places.entry], CALLS, 1.05),
        ("a call that --where leaves out", (*func, "--no-results", "--where", "a < 0"), [places.entry], CALLS, None),
        ("call and return with values, to two empty programs", (*func, "--buffer", "256M"), both, FEW, 1.1),
        ("hist, to two empty programs", ("hist", *func), both, FEW, 1.3),
        ("hist --by a < 5", ("hist", *func, "--by", "a < 5"), both, FEW, None),
        ("stack", ("stack", *func), [places.entry], CALLS, None),
        ("trace -s 8, with the stack of each call", (*func, "--no-results", "-s", "8", "--buffer", "256M"),
         [places.entry], FEW, None),
    ):  # fmt: skip
        empty, ours = [], []
        for _ in range(VERB_ROUNDS):
            with empty_probe(program, offsets):
                empty.append(loop(tracer, program, "ints", calls))
            ours.append(traced(tracer, program, options, lambda n=calls: loop(tracer, program, "ints", n)).ns)
        ratio, ns = _ratio(ours, empty), median([o.cpu for o in ours])
        value = f"{ratio:.2f} x ({ns:.0f} ns)"
        if wanted is None:
            row(what, value)
        else:
            row(what, value, f"at most {wanted} x", ratio <= wanted)


def counts(tracer: Tracer) -> None:
    table("Counting")
    program = own_copy(tracer, go_versions.go_program(COUNTS, GO))
    for what, mode, n, options in (
        ("growing stacks", "grow", 100_003, ("--buffer", "64M")),
        ("tight loop, --buffer 256M", "tight", 1_000_003, ("--buffer", "256M")),
    ):
        out = tracer.folder / "events"
        run = count_all(tracer, program, mode, n, out, options)
        row(what, f"{run.written} of {n}, {run.lost} lost", f"{n} of {n}, 0 lost", (run.written, run.lost) == (n, 0))


class Counted(NamedTuple):
    written: int
    lost: int
    reconciled: bool
    size: int  # bytes of the file
    ns: float  # of a call, by the program's clock
    cpus: float  # that the tracer used while the program called


def count_all(
    tracer: Tracer, program: Path, mode: str, n: int, out: Path, options: Sequence[str], patience: float = 600
) -> Counted:
    """Every call of a whole run of programs/counts as a line of `out`, which is taken away again."""
    tracing = tracer.start(
        *("-b", program, "--func", "main.target", "--no-results", "-f", "jsonl", "-q", "-o", out, *options)
    ).attached()
    before = cpu_seconds(tracing.process.pid)
    target = tracer.program(program, "-mode", mode, "-n", n, "-wait=false")
    said = dict(line.split() for line in target.finish(timeout=patience).splitlines())
    used = cpu_seconds(tracing.process.pid) - before
    assert int(said["calls"]) == n
    tracing.stop(timeout=patience)
    written, size = tracing.count("call"), out.stat().st_size
    (summary,) = of_type(parse(last_line(out)), "summary")
    out.unlink()
    ns = int(said["ns"])
    return Counted(written, int(summary["lost"]), bool(summary["reconciled"]), size, ns / n, used * 1e9 / ns)


MANY = 10_000_019


def millions(tracer: Tracer) -> None:
    """The file is on the disk: a gigabyte and a half may be more than the memory file system has."""
    table(f"{MANY} calls in a tight loop, each a line of JSON (--buffer 512M)")
    program = own_copy(tracer, go_versions.go_program(COUNTS, GO))
    with empty_probe(program, [sites(program, "main.target").entry]):
        target = tracer.program(program, "-mode", "tight", "-n", CALLS, "-wait=false")
        empty = int(target.finish().splitlines()[-2].split()[1]) / CALLS
    with tempfile.TemporaryDirectory() as folder:
        run = count_all(tracer, program, "tight", MANY, Path(folder) / "events", ("--buffer", "512M"))
    whole = (run.written, run.lost, run.reconciled) == (MANY, 0, True)
    row("calls in the file, and lost", f"{run.written}, {run.lost} lost", f"{MANY}, 0 lost", whole)
    row("size of the file", f"{run.size / 1e6:.0f} MB")
    row("a call, by the program's clock", f"{run.ns:.0f} ns")
    row("the same with an empty program alone", f"{empty:.0f} ns")
    at_most("CPUs that the tracer used meanwhile", run.cpus, 1, "CPU")
