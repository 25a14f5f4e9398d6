# SPDX-License-Identifier: Apache-2.0
"""One line for each chain of callers: its names, outermost first, and the time spent in the last, ns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO

from tracer.errors import printable
from tracer.recording import Event
from tracer.writers.calls import gather
from tracer.writers.chains import own_times

HOW_TO_OPEN = "flamegraph.pl {} > flame.svg; speedscope opens it too"


def name_text(name: str) -> str:
    """One name of a chain: the format's own separators cannot stand in it."""
    return printable(name).replace(";", ",")


def write(events: Iterator[Event], out: BinaryIO) -> None:
    whole = gather(events)
    whole.instants = []  # they take no time
    _, own = own_times(whole)
    # by name alone: a function that calls from two lines is one here
    by_name: Counter[tuple[str, ...]] = Counter()
    for chain, ns in own.items():
        by_name[tuple(name_text(place.name) for place in chain)] += ns
    for names, ns in sorted(by_name.items()):
        out.write(f"{';'.join(names)} {ns}\n".encode())
