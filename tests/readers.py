# SPDX-License-Identifier: Apache-2.0
"""The rules of those who read what the tracer writes: Perfetto, chrome://tracing, speedscope, flame graphs, pprof."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

Event = dict[str, Any]


def check_chrome(document: Any) -> None:
    """Complete events of one thread nest (Trace Event Format, "Complete Events"); frames of stacks lead to a root."""
    by_thread: dict[tuple[int, int], list[Event]] = {}
    frames = document.get("stackFrames", {})
    for e in document["traceEvents"]:
        assert e["ph"] in ("X", "M", "i")
        assert isinstance(e["pid"], int) and isinstance(e["tid"], int) and e["name"]
        if e["ph"] == "X":
            assert e["dur"] >= 0
            by_thread.setdefault((e["pid"], e["tid"]), []).append(e)
        assert e.get("sf") is None or e["sf"] in frames
    for number in frames:
        at, seen = number, set()
        while at is not None:
            assert at not in seen
            seen.add(at)
            assert frames[at]["name"]
            at = frames[at].get("parent")
    for events in by_thread.values():
        stack: list[float] = []
        # the order in which a viewer takes them: by start, the longer first
        for e in sorted(events, key=lambda e: (e["ts"], -e["dur"])):
            begin, end = round(e["ts"] * 1000), round((e["ts"] + e["dur"]) * 1000)
            while stack and stack[-1] <= begin:
                stack.pop()
            assert not stack or end <= stack[-1], e
            stack.append(end)


def check_speedscope(document: Any) -> None:
    """Evented profiles: times never go back, opens and closes match (file-format-schema.json and its importer)."""
    assert document["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    frames = document["shared"]["frames"]
    for profile in document["profiles"]:
        assert profile["type"] == "evented"
        at, stack = profile["startValue"], []
        for e in profile["events"]:
            assert e["at"] >= at
            at = e["at"]
            assert 0 <= e["frame"] < len(frames)
            if e["type"] == "O":
                stack.append(e["frame"])
            else:
                assert stack.pop() == e["frame"]
        assert not stack
        assert profile["endValue"] >= at


def check_folded(text: str) -> Counter[tuple[str, ...]]:
    """Names with semicolons between them, a space, a number (flamegraph.pl). Numbers by chain, each there once."""
    found: Counter[tuple[str, ...]] = Counter()
    for line in text.splitlines():
        match = re.fullmatch(r"(.+) (\d+)", line)
        assert match, line
        chain = tuple(match[1].split(";"))
        assert all(chain) and chain not in found
        found[chain] = int(match[2])
    return found


def pprof_calls(path: Path) -> dict[str, int]:
    """Calls of each function, as `go tool pprof` sums them."""
    command = ["go", "tool", "pprof", "-top", "-nodefraction=0", "-sample_index=calls", "-unit=count", str(path)]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in out.splitlines()]
    return {row[-1]: int(row[0]) for row in rows if len(row) == 6 and row[-1].startswith("main.")}
