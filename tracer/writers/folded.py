# SPDX-License-Identifier: Apache-2.0
"""One line for each chain of traced callers: its names, outermost first, and the time spent in the last, ns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO

from tracer.recording import Event
from tracer.writers.calls import Call, gather

HOW_TO_OPEN = "flamegraph.pl {} > flame.svg; speedscope opens it too"

Chain = tuple[str, ...]


def own_times(roots: Iterator[Call]) -> tuple[Counter[Chain], Counter[Chain]]:
    """(calls, ns without those of traced callees) by chain, outermost first."""
    calls: Counter[Chain] = Counter()
    own: Counter[Chain] = Counter()
    for root in roots:
        pending: list[tuple[Call, Chain]] = [(root, (root.name,))]
        while pending:
            call, chain = pending.pop()
            calls[chain] += 1
            own[chain] += max(0, call.duration - sum(c.duration for c in call.children))
            pending.extend((c, (*chain, c.name)) for c in call.children)
    return calls, own


def write(events: Iterator[Event], out: BinaryIO) -> None:
    _, own = own_times(root for _, root in gather(events).roots)
    for chain, ns in sorted(own.items()):
        # the format's own separators cannot stand in a name
        names = ";".join(name.replace(";", ",").replace("\n", " ") for name in chain)
        out.write(f"{names} {ns}\n".encode())
