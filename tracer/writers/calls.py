# SPDX-License-Identifier: Apache-2.0
"""Calls put together from events: what the formats that show spans and nesting are made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tracer.recording import Event

Track = tuple[int, int, bool]
"""(pid, goid, True), or (pid, tid, False) where no goroutine is known."""


def frame_text(frame: dict[str, Any]) -> str:
    """One frame of an event's stack."""
    if "func" not in frame:
        return str(frame["addr"])
    where = f" {frame['file']}:{frame['line']}" if frame["file"] else ""
    return str(frame["func"]) + where + (" (inlined)" if frame.get("inlined") else "")


@dataclass(eq=False)
class Call:
    """One call. Without `end` it was not seen to leave: returns were not traced, or the recording ends early."""

    event: Event
    begin: int  # ns, CLOCK_MONOTONIC
    end: int | None = None
    unwound: str = ""  # how it left, other than by a return
    results: dict[str, Any] = field(default_factory=dict)
    children: list[Call] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(self.event["func"])

    @property
    def duration(self) -> int:
        return 0 if self.end is None else self.end - self.begin


def track_of(event: Event) -> Track:
    goid = event.get("goid")
    return (event["pid"], goid, True) if goid is not None else (event["pid"], event["tid"], False)


class Tracks:
    """Nesting by goroutine, as events come. A call that was left out, or lost, leaves its children one level up."""

    def __init__(self) -> None:
        self._open: dict[Track, list[Call]] = {}
        self._by_number: dict[int, tuple[Track, Call]] = {}

    def take(self, event: Event) -> tuple[Track, Call] | None:
        """Feed one event; (track, root) where a call that nobody traced called has ended, with all it called."""
        if event["type"] == "call":
            track, call = track_of(event), Call(event, event["ts"])
            stack = self._open.setdefault(track, [])
            if stack:
                stack[-1].children.append(call)
            stack.append(call)
            self._by_number[event["call"]] = track, call
        elif event["type"] == "return" and event["call"] in self._by_number:
            track, call = self._by_number.pop(event["call"])
            return self._leave(track, call, event)
        return None

    def _leave(self, track: Track, call: Call, event: Event) -> tuple[Track, Call] | None:
        stack = self._open[track]
        call.unwound = event.get("unwound", "")
        call.results = event.get("results") or {}
        call.end = max(event["ts"], call.begin)
        if stack[-1] is not call and all(c is not call for c in stack):
            return None
        # whatever stands above it and was not seen to leave has left before it
        while stack:
            top = stack.pop()
            if top.end is None:
                top.end, top.unwound = call.end, top.unwound or "unknown"
                self._by_number.pop(top.event["call"], None)
            if top is call:
                break
        if stack:
            return None
        del self._open[track]
        return track, call

    def rest(self, now: int) -> Iterator[tuple[Track, Call]]:
        """Roots that are still open at the end, closed at `now`."""
        for track, stack in self._open.items():
            for call in reversed(stack):
                if call.end is None:
                    call.end, call.unwound = max(now, call.begin), call.unwound or "detached"
            yield track, stack[0]
        self._open.clear()


def decides_late(meta: Event) -> bool:
    """Whether a condition made calls wait for their return: they come after those that they made."""
    return meta.get("where_decides") == "return"


def nested_by_time(roots: Iterable[tuple[Track, Call]]) -> list[tuple[Track, Call]]:
    """Calls put into each other by their times, whatever the order in which they came. All of them have an end."""
    calls: dict[Track, list[Call]] = {}
    for track, root in roots:
        calls.setdefault(track, []).extend(call for call, _ in walk(root))
    nested: list[tuple[Track, Call]] = []
    for track, found in calls.items():
        open_calls: list[Call] = []
        for call in found:
            call.children = []
        for call in sorted(found, key=lambda c: (c.begin, -c.duration)):
            while open_calls and open_calls[-1].begin + open_calls[-1].duration < call.begin + call.duration:
                open_calls.pop()
            if open_calls:
                open_calls[-1].children.append(call)
            else:
                nested.append((track, call))
            open_calls.append(call)
    return nested


@dataclass
class Whole:
    """All of a trace, for formats that need it before their first byte."""

    meta: list[Event] = field(default_factory=list)
    roots: list[tuple[Track, Call]] = field(default_factory=list)

    def tracks(self) -> dict[Track, list[Call]]:
        """Roots by track, in order."""
        found: dict[Track, list[Call]] = {}
        for track, root in self.roots:
            found.setdefault(track, []).append(root)
        return found

    instants: list[Event] = field(default_factory=list)
    """Calls of functions whose returns were not traced: they have no length."""
    lost: int = 0


def gather(events: Iterator[Event]) -> Whole:
    whole, tracks, last = Whole(), Tracks(), 0
    without_returns: set[int] = set()
    for event in events:
        last = max(last, event.get("ts", 0))
        if event["type"] == "meta":
            whole.meta.append(event)
            without_returns |= {f["fid"] for f in event["functions"] if f.get("returns") is False}
        elif event["type"] == "lost":
            whole.lost += event["count"]
        elif event["type"] == "call" and event["fid"] in without_returns:
            whole.instants.append(event)
        elif ended := tracks.take(event):
            whole.roots.append(ended)
    whole.roots += tracks.rest(last)
    if any(decides_late(meta) for meta in whole.meta):
        whole.roots = nested_by_time(whole.roots)
    return whole


def walk(call: Call, depth: int = 0) -> Iterator[tuple[Call, int]]:
    """The call and all below it, with depths; parents first."""
    pending = [(call, depth)]
    while pending:
        one, d = pending.pop()
        yield one, d
        pending.extend((child, d + 1) for child in reversed(one.children))


@dataclass(eq=False)
class Span:
    """A call on its track's timeline, where times never go back and calls nest."""

    call: Call
    begin: int
    caller: Call | None = None
    end: int = 0


def timeline(roots: Iterable[Call]) -> Iterator[tuple[bool, Span]]:
    """(True, span) where a call begins, (False, span) where it ends, in order, of the roots of one track.

    Clocks of CPUs differ a little, and what was lost is not there: a time that would go back is held.
    """
    at = 0
    for root in roots:
        at = max(at, root.begin)
        pending = [(Span(root, at), iter(root.children))]
        yield True, pending[0][0]
        while pending:
            span, children = pending[-1]
            child = next(children, None)
            if child is not None:
                at = max(at, child.begin)
                pending.append((Span(child, at, span.call), iter(child.children)))
                yield True, pending[-1][0]
            else:
                at = max(at, span.call.end if span.call.end is not None else at)
                span.end = at
                pending.pop()
                yield False, span


def track_name(track: Track) -> str:
    _, number, is_goroutine = track
    return f"G{number}" if is_goroutine else f"thread {number}"
