# SPDX-License-Identifier: Apache-2.0
"""A profile for `go tool pprof`: calls and time by traced callers.

profile.proto (github.com/google/pprof/proto): a gzipped protocol buffer. Written by hand: five small messages of
numbers and strings need no generated code.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from typing import BinaryIO

from tracer.recording import Event
from tracer.writers.calls import gather
from tracer.writers.folded import own_times

HOW_TO_OPEN = "go tool pprof -http=: {}"


def _varint(n: int) -> bytes:
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def _number(field: int, n: int) -> bytes:
    return _varint(field << 3) + _varint(n) if n else b""


def _bytes(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _packed(field: int, numbers: Sequence[int]) -> bytes:
    return _bytes(field, b"".join(map(_varint, numbers)))


class _Strings:
    """The string table; "" is its first."""

    def __init__(self) -> None:
        self.index: dict[str, int] = {"": 0}

    def __call__(self, s: str) -> int:
        return self.index.setdefault(s, len(self.index))


def write(events: Iterator[Event], out: BinaryIO) -> None:
    whole = gather(events)
    calls, own = own_times(root for _, root in whole.roots)
    strings = _Strings()
    places = {f["name"]: f for meta in whole.meta for f in meta["functions"]}
    functions: dict[str, int] = {}

    body = b""
    for name, unit in (("calls", "count"), ("time", "nanoseconds")):
        body += _bytes(1, _number(1, strings(name)) + _number(2, strings(unit)))
    for chain in calls:
        # a location for each function, of the same number; the innermost first
        ids = [functions.setdefault(name, len(functions) + 1) for name in reversed(chain)]
        body += _bytes(2, _packed(1, ids) + _packed(2, [calls[chain], own[chain]]))
    for name, number in functions.items():
        place = places.get(name, {})
        line = place.get("line", 0)
        body += _bytes(4, _number(1, number) + _bytes(4, _number(1, number) + _number(2, line)))
        body += _bytes(
            5,
            _number(1, number)
            + _number(2, strings(name))
            + _number(3, strings(name))
            + _number(4, strings(place.get("file", "")))
            + _number(5, line),
        )
    begin = min((root.begin for _, root in whole.roots), default=0)
    end = max((root.end or root.begin for _, root in whole.roots), default=0)
    tail = _number(9, _wall_ns(whole.meta, begin)) + _number(10, end - begin) + _number(14, strings("time"))
    table = b"".join(_bytes(6, s.encode()) for s in strings.index)
    out.write(gzip.compress(body + table + tail, mtime=0))


def _wall_ns(meta: list[Event], monotonic: int) -> int:
    """Unix time of a CLOCK_MONOTONIC time; 0 where it is not known."""
    if not meta:
        return 0
    clock = meta[0]["clock"]
    whole, _, fraction = clock["wall"].rstrip("Z").partition(".")
    wall = datetime.fromisoformat(whole).replace(tzinfo=timezone.utc)
    return int(wall.timestamp()) * 10**9 + int(fraction or 0) + monotonic - int(clock["monotonic_ns"])
