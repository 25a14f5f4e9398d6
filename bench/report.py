# SPDX-License-Identifier: Apache-2.0
"""docs/performance.md: the tables of a run of the bench, and what bounds the figures that are not reached."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path

from measure import ROOT, TABLES, Row, Table

HEAD = """# Performance

Written by `make bench-doc` ({machine}, {date}); `make bench` measures the quick part on your machine. What a
call costs is a ratio to an empty BPF program on the same instruction, measured in the same run, in turns. On a
shared machine single figures differ by a tenth from run to run, absolute times by more. "asked" is what the
project set itself.

"""
KEPT = ROOT / "build" / "performance.json"
ORDER = ("cost", "verbs", "kinds", "peers", "counts", "millions", "many", "start", "plan", "first", "growth")
NOTES = Path(__file__).resolve().parent / "notes.md"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _line(row: Row, asked: bool) -> str:
    if not asked:
        return f"| {_cell(row.what)} | {_cell(row.value)} |\n"
    verdict = "" if row.reached is None else "yes" if row.reached else "**no**"
    return f"| {_cell(row.what)} | {_cell(row.value)} | {_cell(row.wanted)} | {verdict} |\n"


def write_doc(path: Path, machine: str) -> None:
    """Groups that were not measured now stay as they were."""
    kept: dict[str, list[Table]] = {}
    if KEPT.exists():
        for group, tables in json.loads(KEPT.read_text()).items():
            kept[group] = [Table(t["title"], [Row(*r) for r in t["rows"]], group) for t in tables]
    for group in dict.fromkeys(t.group for t in TABLES):
        kept[group] = [t for t in TABLES if t.group == group]
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.write_text(json.dumps({g: [asdict(t) for t in tables] for g, tables in kept.items()}))
    every = [t for group in ORDER for t in kept.get(group, [])]
    path.write_text(_text(every, machine), encoding="utf-8")


def _text(tables: list[Table], machine: str) -> str:
    text = HEAD.format(machine=machine, date=datetime.now(timezone.utc).date())
    short = [(t.title, r) for t in tables for r in t.rows if r.reached is False]
    if short:
        text += "## What falls short\n\n"
        text += "".join(
            f"- {_cell(r.what)}: {_cell(r.value)}, asked {_cell(r.wanted)} ({_cell(title)})\n" for title, r in short
        )
        text += "\n"
    text += NOTES.read_text(encoding="utf-8").rstrip() + "\n"
    for table in tables:
        asked = any(r.wanted for r in table.rows)
        text += f"\n## {_cell(table.title)}\n\n"
        text += "| | measured | asked | reached |\n|---|---|---|---|\n" if asked else "| | measured |\n|---|---|\n"
        text += "".join(_line(r, asked) for r in table.rows)
    return text
