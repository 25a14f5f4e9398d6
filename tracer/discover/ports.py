# SPDX-License-Identifier: Apache-2.0
"""Sets of TCP ports as people write them: 80,443,8000-8999."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tracer.errors import UsageError

PORT_MAX = 65535
RANGES_MAX = 1024  # of one set: far more than anybody writes

_PART = re.compile(r"(\d{1,9})(?:\s*-\s*(\d{1,9}))?", re.ASCII)


@dataclass(frozen=True)
class Ports:
    """Ranges [first, last]; none: no port."""

    ranges: tuple[tuple[int, int], ...]

    def __contains__(self, port: int) -> bool:
        return any(first <= port <= last for first, last in self.ranges)

    def __str__(self) -> str:
        return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in self.ranges)


def parse_ports(text: str) -> Ports:
    """UsageError says which part is wrong."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > RANGES_MAX:
        raise UsageError(f"more than {RANGES_MAX} ranges of ports")
    ranges = []
    for part in parts:
        match = _PART.fullmatch(part)
        if not match:
            raise UsageError(f"{part!r} is no port", hint="numbers and ranges, like 80,443,8000-8999")
        first = int(match[1])
        last = int(match[2]) if match[2] else first
        for port in (first, last):
            if not 1 <= port <= PORT_MAX:
                raise UsageError(f"there is no port {port}: they go from 1 to {PORT_MAX}")
        if first > last:
            raise UsageError(f"the range {part!r} ends before it begins")
        ranges.append((first, last))
    return Ports(tuple(ranges))
