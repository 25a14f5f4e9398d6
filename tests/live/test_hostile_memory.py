# SPDX-License-Identifier: Apache-2.0
"""Memory of the traced program that is not what its types say, or that changes while it is read."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tracing import JSON, Tracer, check_accounting, of_type, parse

PROGRAMS = Path(__file__).resolve().parent / "programs"
FUNCTIONS = ("text", "list", "table", "holds", "calls", "rings")
VERSIONS = ("1.19", "1.23.12", "1.24", "1.26", "1.27")
RACED = "raced: written during the read"


@pytest.fixture
def trace(
    go_program: Callable[..., Path], own_copy: Callable[[Path], Path], tracer: Tracer
) -> Callable[..., list[JSON]]:
    """trace(program, version, options, arguments …) → the calls; neither program nor tracer came to harm."""

    def run(name: str, version: str, options: tuple[Any, ...], *args: Any, said: str) -> list[JSON]:
        program = own_copy(go_program(PROGRAMS / name, version))
        out = program.parent / "events"
        result = tracer(*options, "--no-results", "-f", "jsonl", "-o", out, "--", program, *args)
        assert (result.status, result.stdout.strip()) == (0, said), result.stderr
        events = parse(out.read_text())
        check_accounting(events[-1])
        assert events[-1]["totals"]["calls_lost"] == 0
        return of_type(events, "call")

    return run


@pytest.mark.parametrize("version", VERSIONS)
def test_hostile_words(version: str, trace: Callable[..., list[JSON]]) -> None:
    functions = tuple(text for name in FUNCTIONS for text in ("--func", f"main.{name}"))
    calls = trace("hostile", version, functions, said="done")
    by_name: dict[str, list[JSON]] = {f"main.{name}": [] for name in FUNCTIONS}
    for call in calls:
        by_name[call["func"]].append(call)
    assert [len(by_name[f"main.{name}"]) for name in FUNCTIONS] == [9, 9, 9, 18, 5, 2]
    bad = re.compile(r"unreadable: (not resident or )?bad address")
    why = [call["notes"]["s"][0] for call in by_name["main.text"]]
    assert why[1:4] == [f"unreadable: length {n}" for n in (2**62, -(2**63), -1)]
    assert all(bad.fullmatch(why[i]) for i in (0, 4, 5, 6, 8)), why
    assert why[7] == f"truncated: {2**46} bytes"  # a length that a string could have
    assert len(by_name["main.text"][7]["args"]["s"]) <= 256
    for call, word in zip(by_name["main.list"], why):
        for name in ("xs", "rings"):
            assert call["notes"][name] == [word if word[0] == "u" else f"partial: 64 of {2**46}"]
            assert len(call["args"][name] or ()) <= 64
    # whatever is not known of a map, a function, a channel or an interface is said
    for call in by_name["main.table"]:
        assert call["notes"]
    for call in by_name["main.calls"]:
        assert call["notes"]["f"] and call["args"]["f"].get("func") is None
    for call in by_name["main.holds"]:
        for name in ("x", "err"):
            value = call["args"][name]
            assert value is None or (value["type"] == "?" and value["value"] is None)
            assert name in call["notes"] or (value is None and call["args"]["x"] is None)
    for call in by_name["main.rings"]:
        ring = call["args"]["r"]["to"]
        assert ring["Name"] == "one"
        assert ring["Next"] == {"ptr": call["args"]["r"]["ptr"]}
        assert call["notes"]["r.Next"] == ["cycle: r"]


@pytest.mark.alone  # reader and writer need a processor each
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("keys", [5, 31])
def test_a_map_that_is_written_while_it_is_read(version: str, keys: int, trace: Callable[..., list[JSON]]) -> None:
    """Each pair that is shown is one, or has just been made, or the remark is there."""
    calls = trace("racing", version, ("--func", "main.look"), "-n", 1009, "-keys", keys, said="1009")
    raced = 0
    assert len(calls) == 1009
    for call in calls:
        m, s = call["args"]["m"], call["args"]["s"]
        for name, value in (("m", m), ("s", s)):
            if RACED in call["notes"].get(name, ()):
                raced += 1
                continue
            pairs = value.items() if isinstance(value, dict) and "ptr" not in value else ()
            for k, v in pairs:
                assert v in ((7 * int(k), 0) if name == "m" else (k, "", None)), call
                if v is None:
                    assert call["notes"][f's["{k}"]'], call
    assert raced > 10


@pytest.mark.alone
@pytest.mark.parametrize("version", ("1.23.12", "1.26"))
def test_an_entry_of_a_map_that_is_written(version: str, trace: Callable[..., list[JSON]]) -> None:
    options = ("--func", "main.look", "--args", 'm[3], s["key2"]')
    calls = trace("racing", version, options, "-n", 1009, said="1009")
    seen = set()
    for call in calls:
        for text, right in (("m[3]", (21, 0)), ('s["key2"]', ("key2", ""))):
            value, notes = call["args"][text], call["notes"].get(text, [])
            if RACED in notes:
                seen.add("raced")
            elif value is None:
                assert notes[0] in ("absent: no such key", "absent: nil map") or notes[0].startswith("unreadable: "), (
                    call
                )
                seen.add("absent")
            else:
                assert (value in right, notes) == (True, []), call
                seen.add("there")
    assert seen == {"raced", "absent", "there"}
