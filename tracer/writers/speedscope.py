# SPDX-License-Identifier: Apache-2.0
"""speedscope's file format (its file-format-schema.json): an evented profile for each goroutine.

With `-s` the functions that called, which are not traced, are shown around each traced call and as long as it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from tracer.recording import Event
from tracer.writers.calls import Call, Track, gather, timeline, track_name
from tracer.writers.chains import Place, Places

HOW_TO_OPEN = "open {} at https://www.speedscope.app"


def write(events: Iterator[Event], out: BinaryIO) -> None:
    whole = gather(events)
    frames: dict[Place, int] = {}
    places = Places(whole.meta)
    profiles = [_profile(track, roots, frames, places) for track, roots in whole.tracks().items()]
    shown = []
    for place in frames:
        frame: dict[str, Any] = {"name": place.name + (" (inlined)" if place.inlined else "")}
        if place.file:
            frame.update(file=place.file, line=place.line)
        shown.append(frame)
    document = {
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "exporter": "gopherscope " + (whole.meta[0]["tracer"] if whole.meta else ""),
        "name": whole.meta[0]["binary"] if whole.meta else "trace",
        "shared": {"frames": shown},
        "profiles": profiles,
    }
    out.write(json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode())


def _profile(track: Track, roots: list[Call], frames: dict[Place, int], places: Places) -> dict[str, Any]:
    events: list[dict[str, Any]] = []
    for begins, span in timeline(roots):
        event = span.call.event
        around = places.between(event, None if span.caller is None else span.caller.name)
        numbers = [frames.setdefault(place, len(frames)) for place in (*around, places.own(event))]
        kind, at = ("O", span.begin) if begins else ("C", span.end)
        events += [{"type": kind, "frame": n, "at": at} for n in (numbers if begins else reversed(numbers))]
    return {
        "type": "evented",
        "name": f"{track_name(track)} of process {track[0]}",
        "unit": "nanoseconds",
        "startValue": events[0]["at"],
        "endValue": events[-1]["at"],
        "events": events,
    }
