# SPDX-License-Identifier: Apache-2.0
"""The Trace Event Format, which Perfetto and chrome://tracing read: a process's goroutines are its threads.

Format: "Trace Event Format" of the Chromium project; complete events (ph X), times in µs. Events of a thread must
nest.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from tracer.recording import Event
from tracer.writers.calls import Span, Track, frame_text, gather, timeline, track_name, track_of

HOW_TO_OPEN = "open {} at https://ui.perfetto.dev or in chrome://tracing"

# Goroutine ids and thread ids are both small numbers: threads get a range of their own.
THREADS_FROM = 1 << 40


def _tid(track: Track) -> int:
    return track[1] if track[2] else THREADS_FROM + track[1]


def _span(track: Track, span: Span, frames: StackFrames) -> dict[str, Any]:
    call = span.call
    args: dict[str, Any] = {"call": call.event["call"], "args": call.event.get("args", {})}
    if call.results:
        args["results"] = call.results
    if call.unwound:
        args["unwound"] = call.unwound
    if call.event.get("notes"):
        args["notes"] = call.event["notes"]
    row: dict[str, Any] = {
        "name": call.name,
        "cat": "call",
        "ph": "X",
        "pid": track[0],
        "tid": _tid(track),
        "ts": span.begin / 1000,
        "dur": (span.end - span.begin) / 1000,
        "args": args,
    }
    if "stack" in call.event:
        row["sf"] = frames.number(call.event["stack"])
    return row


class StackFrames:
    """The dictionary stackFrames: each frame names its caller, so that stacks share what they have in common."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, str]] = {}
        self._known: dict[tuple[str, str], str] = {}

    def number(self, stack: list[dict[str, Any]]) -> str:
        """Of the innermost frame."""
        at = ""
        for frame in reversed(stack):
            key = (frame_text(frame), at)
            if key not in self._known:
                self._known[key] = str(len(self._known) + 1)
                self.rows[self._known[key]] = {"category": "go", "name": key[0], **({"parent": at} if at else {})}
            at = self._known[key]
        return at


def write(events: Iterator[Event], out: BinaryIO) -> None:
    whole = gather(events)
    rows: list[dict[str, Any]] = []
    frames = StackFrames()
    tracks = {track: None for track, _ in whole.roots}
    tracks.update((track_of(e), None) for e in whole.instants)
    for track in tracks:
        rows.append(
            {"name": "thread_name", "ph": "M", "pid": track[0], "tid": _tid(track), "args": {"name": track_name(track)}}
        )
    for pid in dict.fromkeys(track[0] for track in tracks):
        name = whole.meta[0]["binary"] if whole.meta else str(pid)
        rows.append({"name": "process_name", "ph": "M", "pid": pid, "tid": 0, "args": {"name": name}})
    for track, roots in whole.tracks().items():
        rows += [_span(track, span, frames) for begins, span in timeline(roots) if not begins]
    for e in whole.instants:
        track = track_of(e)
        rows.append(
            {
                "name": e["func"],
                "cat": "call",
                "ph": "i",
                "s": "t",
                "pid": track[0],
                "tid": _tid(track),
                "ts": e["ts"] / 1000,
                "args": {"args": e.get("args", {})},
                **({"sf": frames.number(e["stack"])} if "stack" in e else {}),
            }
        )
    about = {"tracer": whole.meta[0]["tracer"] if whole.meta else "", "lost": whole.lost}
    document: dict[str, Any] = {"traceEvents": rows, "displayTimeUnit": "ns", "otherData": about}
    if frames.rows:
        document["stackFrames"] = frames.rows
    out.write(json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode())
