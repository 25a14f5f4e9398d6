# SPDX-License-Identifier: Apache-2.0
"""speedscope's file format (its file-format-schema.json): an evented profile for each goroutine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from tracer.recording import Event
from tracer.writers.calls import Call, Track, gather, timeline, track_name

HOW_TO_OPEN = "open {} at https://www.speedscope.app"


def write(events: Iterator[Event], out: BinaryIO) -> None:
    whole = gather(events)
    frames: dict[str, int] = {}
    places = {f["name"]: f for meta in whole.meta for f in meta["functions"]}
    profiles = [_profile(track, roots, frames) for track, roots in whole.tracks().items()]
    shown = []
    for name in frames:
        frame: dict[str, Any] = {"name": name}
        if places.get(name, {}).get("file"):
            frame.update(file=places[name]["file"], line=places[name]["line"])
        shown.append(frame)
    document = {
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "exporter": "gopherscope " + (whole.meta[0]["tracer"] if whole.meta else ""),
        "name": whole.meta[0]["binary"] if whole.meta else "trace",
        "shared": {"frames": shown},
        "profiles": profiles,
    }
    out.write(json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode())


def _profile(track: Track, roots: list[Call], frames: dict[str, int]) -> dict[str, Any]:
    events: list[dict[str, Any]] = []
    for begins, span in timeline(roots):
        frame = frames.setdefault(span.call.name, len(frames))
        events.append({"type": "O" if begins else "C", "frame": frame, "at": span.begin if begins else span.end})
    return {
        "type": "evented",
        "name": f"{track_name(track)} of process {track[0]}",
        "unit": "nanoseconds",
        "startValue": events[0]["at"],
        "endValue": events[-1]["at"],
        "events": events,
    }
