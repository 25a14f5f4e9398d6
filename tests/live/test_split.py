# SPDX-License-Identifier: Apache-2.0
"""hist --by: calls split by a value, against what the program does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tracing import JSON, Tracer, of_type, parse

PROGRAM = Path(__file__).resolve().parent / "programs" / "where"
Build = Callable[..., Path]

NAMES = ["bob", "alice", "bo", "", "bob", "a string of more than eight bytes"]


@pytest.fixture
def split(go_program: Build, own_copy: Callable[[Path], Path], tracer: Tracer) -> Callable[..., list[JSON]]:
    """Events of hist with these options over a whole run; it must add up, with nothing lost."""

    def run(function: str, by: str, *options: object, version: str = "1.26") -> list[JSON]:
        out = tracer.folder / "out.jsonl"
        program = own_copy(go_program(PROGRAM, version))
        arguments = ("--func", f"main.{function}", "--by", by, "-f", "jsonl", "-o", out, *options)
        ended = tracer("hist", *arguments, "--", program)
        assert ended.status == 0, ended.stderr
        events = parse(out.read_text())
        (summary,) = of_type(events, "summary")
        assert summary["lost"] == 0
        assert sum(e["count"] for e in of_type(events, "hist")) == summary["counted_returns"]
        return events

    return run


def counts(events: list[JSON]) -> dict[Any, int]:
    rows = of_type(events, "hist")
    found = {e["notes"][0] if e["value"] is None else e["value"]: e["count"] for e in rows}
    assert len(found) == len(rows)
    return found


@pytest.mark.parametrize("version", ["1.15", "1.26"])
def test_strings(version: str, split: Callable[..., list[JSON]]) -> None:
    events = split("texts", "name", version=version)
    expected = Counter(NAMES[i % 6] for i in range(211))
    expected["a string of more than eight byte"] = expected.pop(NAMES[5])
    assert counts(events) == expected
    (cut,) = [e for e in of_type(events, "hist") if e["value"] == "a string of more than eight byte"]
    assert cut["notes"] == ["truncated: 33 bytes"]
    assert {(e["by"], e["func"]) for e in of_type(events, "hist")} == {("name", "main.texts")}


def test_integers_bools_and_fields(split: Callable[..., list[JSON]]) -> None:
    assert counts(split("ints", "a")) == {i - 50: 1 for i in range(101)}
    assert counts(split("texts", "ok")) == {True: 71, False: 140}
    without = {i for i in range(307) if i % 17 == 16}
    expected = Counter(i % 10 for i in range(307) if i not in without)
    assert counts(split("serve", "r.Bytes[3]")) == {**expected, "no value": len(without)}


def test_results_conditions_and_conditions_on_them(split: Callable[..., list[JSON]]) -> None:
    assert counts(split("fail", "count")) == Counter(i % 13 for i in range(331))
    failed = {i for i in range(331) if i % 7 == 0 or i % 11 == 0}
    assert counts(split("fail", "err != nil")) == {True: len(failed), False: 331 - len(failed)}
    assert counts(split("fail", "n > 100 && n < 201", "--where", "err != nil")) == Counter(
        100 < i < 201 for i in failed
    )
    assert counts(split("fail", "count", "--where", "n > 100 && err == nil")) == Counter(
        i % 13 for i in range(101, 331) if i not in failed
    )


def test_more_values_than_are_told_apart(split: Callable[..., list[JSON]]) -> None:
    events = split("busy", "n")
    found = counts(events)
    assert found.pop("other") == 10_007 - 256
    assert found == dict.fromkeys(range(256), 1)


def test_unreadable_values(split: Callable[..., list[JSON]]) -> None:
    assert counts(split("far", "*p")) == {-1: 11, "unreadable": 30}


def test_durations_are_those_of_the_value(split: Callable[..., list[JSON]]) -> None:
    rows = {e["value"]: e for e in of_type(split("nap", "d >= 40ms"), "hist")}
    assert (rows[True]["count"], rows[False]["count"]) == (8, 15)
    assert rows[True]["classes"][0][1] > 40_000_000
    assert rows[False]["count"] == sum(n for _, _, n in rows[False]["classes"])


def test_text(go_program: Build, own_copy: Callable[[Path], Path], tracer: Tracer) -> None:
    program = own_copy(go_program(PROGRAM))
    run = tracer("hist", "--func", "main.texts", "--by", "name", "--top", 2, "-q", "--", program)
    assert run.status == 0, run.stderr
    titles = [line.split(":")[0] for line in run.stdout.splitlines() if line.startswith("main.texts")]
    assert len(titles) == 2
    assert set(titles) < {f'main.texts, name = "{n[:32]}"' + ("… (33 bytes)" if len(n) > 32 else "") for n in NAMES}
    assert "… and 3 more (--top)" in run.stdout.splitlines()
