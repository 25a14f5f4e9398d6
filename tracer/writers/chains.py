# SPDX-License-Identifier: Apache-2.0
"""Calls by who called: chains of traced calls, and with `-s` of the functions between them too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from tracer.recording import Event
from tracer.writers.calls import Call, Whole


class Place(NamedTuple):
    """One function in a chain."""

    name: str
    file: str = ""
    line: int = 0  # in a stack that of the call; without stacks the function's own
    inlined: bool = False


CUT = Place("…")
"""Frames are missing here: the stack was not asked for that deep."""

Chain = tuple[Place, ...]
"""Outermost first."""


class Places:
    """Makes chains of calls; `places` is where the traced functions are."""

    def __init__(self, meta: list[Event]) -> None:
        self._functions = {f["name"]: (f.get("file") or "", f.get("line") or 0) for m in meta for f in m["functions"]}

    def own(self, event: Event) -> Place:
        """Of the called function itself."""
        name = str(event["func"])
        return Place(name, *self._functions.get(name, ("", 0)))

    def between(self, event: Event, caller: str | None) -> Chain:
        """The functions between a call and the traced one that made it (None: there is none), which are known by its
        stack. The traced caller is the innermost of its name: all its calls are traced, and an inlined copy is none."""
        found: list[Place] = []
        for frame in event.get("stack", [])[1:]:
            if "func" not in frame:
                found.append(Place(str(frame["addr"])))
                continue
            if frame["func"] == caller and not frame.get("inlined"):
                break
            place = (frame["func"], frame["file"] or "", frame["line"] or 0)
            found.append(Place(*place, bool(frame.get("inlined"))))
        else:
            if caller is not None and "stack" in event:
                found.append(CUT)
        return tuple(reversed(found))


def own_times(whole: Whole) -> tuple[Counter[Chain], Counter[Chain]]:
    """(calls, ns without those of traced callees) by chain."""
    calls: Counter[Chain] = Counter()
    own: Counter[Chain] = Counter()
    places = Places(whole.meta)
    for call, chain in chains(whole, places):
        calls[chain] += 1
        own[chain] += max(0, call.duration - sum(c.duration for c in call.children))
    for event in whole.instants:
        chain = (*places.between(event, None), places.own(event))
        calls[chain] += 1
        own[chain] += 0
    return calls, own


def chains(whole: Whole, places: Places) -> Iterator[tuple[Call, Chain]]:
    """Each call with its chain, callers first."""
    for _, root in whole.roots:
        pending: list[tuple[Call, Call | None, Chain]] = [(root, None, ())]
        while pending:
            call, caller, before = pending.pop()
            name = None if caller is None else caller.name
            chain = (*before, *places.between(call.event, name), places.own(call.event))
            yield call, chain
            pending.extend((c, call, chain) for c in call.children)
