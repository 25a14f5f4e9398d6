# SPDX-License-Identifier: Apache-2.0
"""What a trace counted (struct collector_summary), in Python."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tracer.errors import text

COUNTERS = (
    "entry_hits",
    "duplicates",
    "calls_written",
    "filtered",
    "sampled",
    "limited",
    "calls_lost",
    "return_hits",
    "returns_written",
    "unpaired",
    "filtered_returns",
    "sampled_returns",
    "limited_returns",
    "returns_lost",
    "unwound",
    "read_failures",
    "undecidable",
    "unfinished",
    "counted",
    "counted_returns",
    "changed",
    "unchanged",
)


# Values that were shown short, or not at all (collector/collector.h).
SHORT = ("cut_strings", "cut_lists", "cut_pointers", "in_float", "record_full", "unreadable")


@dataclass(frozen=True)
class FunctionSummary:
    """Counters of one function, or of all. `unwound` are made-up returns; the others add up (docs/design.md)."""

    name: str
    counters: dict[str, int]

    def __getitem__(self, counter: str) -> int:
        return self.counters[counter]

    @classmethod
    def read(cls, ffi: Any, row: Any) -> FunctionSummary:
        return cls(text(ffi, row.name), {c: int(getattr(row, c)) for c in COUNTERS})


@dataclass(frozen=True)
class ProgramError:
    """Errors inside the BPF program at one place."""

    file: str
    line: int
    error: int  # what the kernel's helper returned: a negative errno
    count: int


@dataclass(frozen=True)
class Summary:
    duration_s: float
    lost: int
    misses: int
    reconciled: bool
    total: FunctionSummary
    functions: tuple[FunctionSummary, ...]
    program_errors: tuple[ProgramError, ...]
    short: dict[str, int]
    """Values that were shown short, or not at all, by why."""

    @classmethod
    def read(cls, ffi: Any, s: Any) -> Summary:
        return cls(
            duration_s=s.duration_s,
            lost=s.lost,
            misses=s.misses,
            reconciled=bool(s.reconciled),
            total=FunctionSummary.read(ffi, s.total),
            functions=tuple(FunctionSummary.read(ffi, s.functions[i]) for i in range(s.n_functions)),
            program_errors=tuple(
                ProgramError(text(ffi, t.file), t.line, t.error, t.count)
                for t in (s.telemetry[i] for i in range(s.n_telemetry))
            ),
            short={name: int(getattr(s, name)) for name in SHORT},
        )
