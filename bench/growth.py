# SPDX-License-Identifier: Apache-2.0
"""How what a call costs grows: with arguments, what they lead to, depth, functions, threads."""

from __future__ import annotations

import go_versions
from measure import GO, ROOT, empty_probe, loop, median, own_copy, row, sites, table, traced
from tracing import Tracer

GROWTH = ROOT / "bench" / "programs" / "growth"
CALLS = 200_003
FEW = 50_021
ROUNDS = 2


def growth(tracer: Tracer) -> None:
    program = own_copy(tracer, go_versions.go_program(GROWTH, GO))

    def cost(function: str, options: tuple[object, ...], calls: int = CALLS, *arguments: object) -> float:
        asked = ("--func", f"main.{function}", "--buffer", "256M", *options)
        return median(
            [
                traced(tracer, program, asked, lambda: loop(tracer, program, function, calls, *arguments)).ns.cpu
                for _ in range(ROUNDS)
            ]
        )

    table(f"How the cost of a call grows (CPU time of the calling thread, median of {ROUNDS} rounds; Go {GO})")
    with empty_probe(program, [sites(program, "main.ints1").entry]):
        empty = median([loop(tracer, program, "ints1", CALLS).cpu for _ in range(ROUNDS)])
    row("an empty program", f"{empty:.0f} ns")

    def show(what: str, ns: float) -> None:
        row(what, f"{ns:.0f} ns, {ns / empty:.2f} x")

    for n, function in ((0, "none"), (1, "ints1"), (4, "ints4"), (9, "ints9")):
        show(f"{n} integers", cost(function, ("--no-results",)))
    for n, function in ((1, "strs1"), (2, "strs2"), (4, "strs4")):
        show(f"{n} strings of 16 bytes", cost(function, ("--no-results",)))
    for n in (1, 8, 64):
        show(f"a slice of {n} integers", cost("slice", ("--no-results",), CALLS, "-depth", n))
    for depth in (0, 1, 2, 4):
        show(f"a list of structs, --depth {depth}", cost("follow", ("--no-results", "--depth", depth)))
    for depth in (1, 10, 100):
        show(f"call and return, {depth} deep in recursion", cost("dive", (), FEW, "-depth", depth))
    for what, more in (
        ("1 function", ()),
        ("and net/http, none of it called", ("--func", "net/http.*")),
        ("and crypto, too", ("--func", "net/http.*", "--func", "crypto/*")),
    ):
        options = ("--no-results", "--no-args", *more)
        asked = ("--func", "main.ints1", "--buffer", "256M", *options)
        found = traced(tracer, program, asked, lambda: loop(tracer, program, "ints1", CALLS))
        rows = found.summary["functions"]
        assert isinstance(rows, list)
        show(f"{len(rows)} functions probed ({what}), --no-args", found.ns.cpu)
    bare = median([loop(tracer, program, "exchange", CALLS).clock for _ in range(ROUNDS)])
    row("a function in which two goroutines take turns, not traced", f"{bare:.0f} ns")
    for what, split in (("hist of it", ()), ("hist --split of it", ("--split",))):
        asked = ("hist", "--func", "main.exchange", *split)
        found = [
            traced(tracer, program, asked, lambda: loop(tracer, program, "exchange", FEW)).ns.clock
            for _ in range(ROUNDS)
        ]
        row(f"  {what}, by the clock", f"{median(found):.0f} ns")
    for threads in (1, 2, 4):
        show(
            f"count, {threads} thread{'s' if threads > 1 else ''} at once",
            median(
                [
                    traced(
                        tracer,
                        program,
                        ("count", "--func", "main.ints1"),
                        lambda n=threads: loop(tracer, program, "ints1", CALLS, "-threads", n),
                    ).ns.cpu
                    for _ in range(ROUNDS)
                ]
            ),
        )
        show(
            f"trace, {threads} thread{'s' if threads > 1 else ''} at once",
            cost("ints1", ("--no-results",), CALLS // threads, "-threads", threads),
        )
