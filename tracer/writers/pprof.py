# SPDX-License-Identifier: Apache-2.0
"""A profile for `go tool pprof`: calls and time by callers.

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
from tracer.writers.chains import Chain, Place, own_times

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
    calls, own = own_times(whole)
    strings = _Strings()
    known = {f["name"]: f for meta in whole.meta for f in meta["functions"]}
    locations: dict[Chain, int] = {}
    functions: dict[tuple[str, str], int] = {}

    parts: list[bytes] = []
    for name, unit in (("calls", "count"), ("time", "nanoseconds")):
        parts.append(_bytes(1, _number(1, strings(name)) + _number(2, strings(unit))))
    for chain in calls:
        ids = [locations.setdefault(place, len(locations) + 1) for place in _locations(chain)]
        parts.append(_bytes(2, _packed(1, ids) + _packed(2, [calls[chain], own[chain]])))
    for lines, number in locations.items():
        text = b""
        for place in lines:
            function = functions.setdefault((place.name, place.file), len(functions) + 1)
            text += _bytes(4, _number(1, function) + _number(2, place.line))
        parts.append(_bytes(4, _number(1, number) + text))
    for (name, file), number in functions.items():
        parts.append(
            _bytes(
                5,
                _number(1, number)
                + _number(2, strings(name))
                + _number(3, strings(name))
                + _number(4, strings(file))
                + _number(5, known.get(name, {}).get("line", 0)),
            )
        )
    body = b"".join(parts)
    begin = min((root.begin for _, root in whole.roots), default=0)
    end = max((root.end or root.begin for _, root in whole.roots), default=0)
    tail = _number(9, _wall_ns(whole.meta, begin)) + _number(10, end - begin) + _number(14, strings("time"))
    table = b"".join(_bytes(6, s.encode()) for s in strings.index)
    out.write(gzip.compress(body + table + tail, mtime=0))


def _locations(chain: Chain) -> list[Chain]:
    """The innermost first; a call that was inlined shares the location of the function that it stands in, before it."""
    found: list[Chain] = []
    together: list[Place] = []
    for place in reversed(chain):
        together.append(place)
        if not place.inlined:
            found.append(tuple(together))
            together = []
    return [*found, tuple(together)] if together else found


def _wall_ns(meta: list[Event], monotonic: int) -> int:
    """Unix time of a CLOCK_MONOTONIC time; 0 where it is not known."""
    if not meta:
        return 0
    clock = meta[0]["clock"]
    whole, _, fraction = clock["wall"].rstrip("Z").partition(".")
    wall = datetime.fromisoformat(whole).replace(tzinfo=timezone.utc)
    return int(wall.timestamp()) * 10**9 + int(fraction or 0) + monotonic - int(clock["monotonic_ns"])
