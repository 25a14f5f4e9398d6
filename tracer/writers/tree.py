# SPDX-License-Identifier: Apache-2.0
"""Calls as an indented tree by goroutine, with durations. A tree is shown when its root has returned, whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TextIO

from tracer.errors import printable
from tracer.recording import Event
from tracer.writers.calls import Call, Track, Tracks, decides_late, nested_by_time, track_name, walk

INDENT = "  "
VALUE_MAX = 60  # characters of one value: a tree is read by its shape


def duration_text(ns: int) -> str:
    for unit, size in (("s", 1_000_000_000), ("ms", 1_000_000), ("µs", 1000)):
        if ns >= size:
            return f"{ns / size:.3g}{unit}" if ns < 1000 * size else f"{ns // size}{unit}"
    return f"{ns}ns"


def _value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= VALUE_MAX else text[: VALUE_MAX - 1] + "…"


def _values(values: dict[str, Any], names: bool = True) -> str:
    return ", ".join(f"{name}={_value(v)}" if names else _value(v) for name, v in values.items())


def _line(call: Call) -> str:
    text = f"{call.name}({_values(call.event.get('args') or {})})"
    if call.unwound:
        return f"{text} left by: {call.unwound}"
    if call.results:
        text += f" → ({_values(call.results)})"
    return text


def _show(track: Track, root: Call, out: TextIO) -> None:
    out.write(f"{track_name(track)} of process {track[0]}\n")
    for call, depth in walk(root):
        took = "" if call.unwound else duration_text(call.duration)
        out.write(f"{took:>9}  {INDENT * depth}{printable(_line(call))}\n")
    out.write("\n")


def write_text(events: Iterator[Event], out: TextIO) -> None:
    """Where a condition decides at returns, callers come after what they called: trees are shown at the end."""
    tracks, last = Tracks(), 0
    waiting: list[tuple[Track, Call]] | None = None
    for event in events:
        last = max(last, event.get("ts", 0))
        if event["type"] == "meta" and decides_late(event):
            waiting = []
        elif event["type"] == "lost":
            out.write(f"… {event['count']} events lost here: trees may lack calls\n\n")
        elif ended := tracks.take(event):
            if waiting is not None:
                waiting.append(ended)
                continue
            _show(*ended, out)
            out.flush()
    rest = list(tracks.rest(last))
    for track, root in rest if waiting is None else nested_by_time([*waiting, *rest]):
        _show(track, root, out)
    out.flush()
