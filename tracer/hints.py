# SPDX-License-Identifier: Apache-2.0
"""What is said when a trace has ended: what was not seen or not shown, and what would help; how to open a file."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tracer.errors import TracerError, printable
from tracer.summary import Summary

# The bounds of the options (tracer/cli/options.py).
STRING_SIZE_MAX, DEPTH_MAX, ELEMENTS_MAX = 4096, 16, 4096
FUNCTIONS_MAX = 20  # traced ones whose inlined copies are looked for
FILE_MAX = 64 << 20  # bytes: looking through a larger program takes noticeably long

HOW_TO_OPEN = {
    "gscope": "gopherscope report {0} [-f FORMAT]",
    "jsonl": "jq . {0}",
    "folded": "flamegraph.pl {0} > flame.svg; speedscope opens it too",
}


@dataclass(frozen=True)
class Bounds:
    """What was asked for."""

    string_size: int
    depth: int
    elements: int


def several(n: int, one: str, more: str) -> str:
    """ "1 string was", "7 strings were"."""
    return f"{n} {one if n == 1 else more}"


def of_values(summary: Summary, bounds: Bounds) -> Iterator[str]:
    """Of values that were shown short, or not at all."""
    short = summary.short
    if (n := short["cut_strings"]) and bounds.string_size < STRING_SIZE_MAX:
        more = min(STRING_SIZE_MAX, max(2 * bounds.string_size, 1024))
        yield f"{several(n, 'string was', 'strings were')} cut at {bounds.string_size} bytes: -Z {more} shows more"
    if (n := short["cut_lists"]) and bounds.elements < ELEMENTS_MAX:
        more = min(ELEMENTS_MAX, max(4 * bounds.elements, 64))
        yield f"{several(n, 'list or map was', 'lists or maps were')} shown in part: --elements {more} may show more"
    if (n := short["cut_pointers"]) and bounds.depth < DEPTH_MAX:
        yield f"{several(n, 'pointer was', 'pointers were')} not followed: --depth {min(DEPTH_MAX, bounds.depth + 2)}"
    if n := short["record_full"]:
        yield (
            f"{several(n, 'value', 'values')} did not fit into a record: --args EXPR reads only what is asked for, a "
            "smaller --elements or --depth leaves room"
        )
    if n := short["in_float"]:
        yield (
            f"{several(n, 'value was', 'values were')} in a floating-point register, which a BPF program cannot read: "
            "a build with -gcflags='all=-N -l' has most of them in memory"
        )


def of_calls(summary: Summary, path: str, functions: Sequence[str], debug_file: str | None) -> Iterator[str]:
    """Of calls that were not seen. functions: those that were traced."""
    copies = _inlined(path, functions, debug_file, bool(summary.total["entry_hits"]))
    for name, n in copies.items():
        yield (
            f"{printable(name)} was also inlined, in {several(n, 'place', 'places')}, where its calls are not seen: "
            "`gopherscope explain` shows them; //go:noinline keeps a function"
        )
    if not summary.total["entry_hits"] and not copies:
        yield "no call was seen: was the code run? `gopherscope list` shows what the program has"


def _inlined(path: str, functions: Sequence[str], debug_file: str | None, had_calls: bool) -> Counter[str]:
    from tracer.plan import Program

    try:
        if len(functions) > FUNCTIONS_MAX or (had_calls and os.stat(path).st_size > FILE_MAX):  # noqa: PTH116
            return Counter()
        with Program(path, debug_file=debug_file) as program:
            # names hold stars, which as patterns match more
            return Counter(c.name for c in program.inlined(functions) if c.name in functions)
    except (TracerError, OSError):
        return Counter()  # a hint less


def of_file(format: str, output: str | None) -> Iterator[str]:
    """One line: how to open what was written there."""
    if output not in (None, "-") and format in HOW_TO_OPEN:
        name = printable(str(output))
        yield f"{name}: {HOW_TO_OPEN[format].format(name)}"
