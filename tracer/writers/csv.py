# SPDX-License-Identifier: Apache-2.0
"""A table: one row a call, one a return; values and remarks in a column each, as JSON; of a stack a line a frame."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from tracer.errors import printable
from tracer.recording import Event
from tracer.writers.calls import frame_text

HOW_TO_OPEN = "any spreadsheet opens {}; pandas: read_csv"

COLUMNS = ("type", "ts", "pid", "tid", "goid", "call", "func", "duration_ns", "unwound", "values", "notes", "stack")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) if value else ""


def write(events: Iterator[Event], out: BinaryIO) -> None:
    text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=False)
    rows = csv.writer(text)
    rows.writerow(COLUMNS)
    for e in events:
        if e["type"] not in ("call", "return", "lost"):
            continue
        row = {k: e.get(k, "") for k in COLUMNS}
        row["values"] = _json(e.get("args") or e.get("results"))
        row["notes"] = _json(e.get("notes"))
        row["func"] = printable(row["func"])
        row["stack"] = "\n".join(printable(frame_text(frame)) for frame in e.get("stack", ()))
        if e["type"] == "lost":
            row["values"] = str(e["count"])
        rows.writerow("" if row[k] is None else row[k] for k in COLUMNS)
    text.flush()
    text.detach()
