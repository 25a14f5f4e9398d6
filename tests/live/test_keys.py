# SPDX-License-Identifier: Apache-2.0
"""--args with entries of maps, m["k"], against what the program itself says (programs/keys)."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tracing import JSON, Tracer, check_accounting, of_type, parse

KEYS = Path(__file__).resolve().parent / "programs" / "keys"
FUNC = "main.look"
TOGETHER = 6  # expressions of one trace: all of them are more than one probe can read
ROUNDS = 3
# Both layouts of maps; 1.23 is the last with the older one.
VERSIONS = ("1.15", "1.19", "1.23.12", "1.24", "1.26", "1.27")
# One version of each layout sees all expressions, the others half of them each: make test-all has all in every one.
HALVES = {} if os.environ.get("GOPHERSCOPE_TEST_SLOW") else {"1.15": 0, "1.19": 1, "1.24": 0, "1.27": 1}


@pytest.fixture
def look(
    go_program: Callable[..., Path], tracer: Tracer, tmp_path: Path
) -> Callable[..., tuple[list[JSON], list[JSON]]]:
    """look(version, expressions, options …) → (what the program said, once a round, the calls that were seen)."""

    def run(version: str, texts: str, *options: str, rounds: int = 1) -> tuple[list[JSON], list[JSON]]:
        out = tmp_path / "events"
        program = go_program(KEYS, version)
        own = (*("--func", FUNC, "--no-results", "--args", texts, *options), "-f", "jsonl", "-o", out)
        result = tracer(*own, "--", program, "-n", rounds)
        assert result.status == 0, result.stderr
        events = parse(out.read_text())
        check_accounting(events[-1])
        return [json.loads(line) for line in result.stdout.splitlines()], of_type(events, "call")

    return run


@pytest.mark.parametrize("version", VERSIONS)
def test_values(version: str, look: Callable[..., tuple[list[JSON], list[JSON]]]) -> None:
    said, _ = look(version, "len(counts)")
    texts = sorted(said[0])
    assert len(texts) == 37
    parts = [texts[i : i + TOGETHER] for i in range(0, len(texts), TOGETHER)]
    for part in parts[HALVES[version] :: 2] if version in HALVES else parts:
        said, calls = look(version, ", ".join(part), rounds=ROUNDS)
        assert len(calls) == len(said) == ROUNDS
        for call, values in zip(calls, said):
            assert call["args"] == {text: values[text] for text in part}
            assert call["notes"] == {}


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_not_there_is_said(version: str, look: Callable[..., tuple[list[JSON], list[JSON]]]) -> None:
    texts = {
        't.ByName["Ball"].Name': "absent: no such key",
        't.ByName["nothing"]': "absent: no such key",
        "t.Flags[false]": "absent: no such key",
        "t.Small[-2]": "absent: no such key",
        "t.Uints[4]": "absent: no such key",
        't.Nil["k"]': "absent: nil map",
        't.Groups["b"]["x"]': "absent: no such key",
        't.Groups["c"]["x"]': "absent: no such key",
        't.ByName["box"].Next.Name': "unreadable: nil pointer",
        't.ByName["box"].By["you"]': "absent: nil map",
        't.ByRef["none"].Name': "unreadable: nil pointer",
        't.ByName["ball"].Tags[2]': "unreadable: index 2, length 2",
    }
    for i in range(0, len(texts), TOGETHER):
        part = dict(list(texts.items())[i : i + TOGETHER])
        _, (call,) = look(version, ", ".join(part))
        assert call["args"] == dict.fromkeys(part)
        assert call["notes"] == {text: [why] for text, why in part.items()}


@pytest.mark.parametrize("version", VERSIONS)
def test_one_without_the_key_in_a_list(version: str, look: Callable[..., tuple[list[JSON], list[JSON]]]) -> None:
    _, (call,) = look(version, 'shelves[:].Labels["x"]')
    assert call["args"] == {'shelves[:].Labels["x"]': [None, "y"]}
    assert call["notes"] == {'shelves[0].Labels["x"]': ["absent: no such key"]}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_map_that_is_too_big(version: str, look: Callable[..., tuple[list[JSON], list[JSON]]]) -> None:
    """Of some entries it is known where they are; of no other is it said that it is not there."""
    texts = [f'big["entry number {i}"]' for i in range(5)] + ['big["no entry"]']
    _, (call,) = look(version, ", ".join(texts))
    for i, text in enumerate(texts):
        value, notes = call["args"][text], call["notes"].get(text, [])
        if value is None:
            (why,) = notes
            assert why.startswith("unreadable: not among the ") and why.endswith(" of 5001 entries read")
        else:
            assert (value, notes) == (i, [])
    assert call["args"]['big["no entry"]'] is None


@pytest.mark.parametrize("version", ("1.23.12", "1.26"))
def test_keys_that_are_cut(version: str, look: Callable[..., tuple[list[JSON], list[JSON]]]) -> None:
    """What was read of the keys tells most apart: by length, or by how they begin."""
    texts = 't.ByName["ball"].Price, t.ByName["bull"].Price, t.ByName["bo"].Price, counts["nokey"], counts["key"]'
    _, (call,) = look(version, texts, "-Z", "3")
    assert call["args"] == dict.fromkeys(texts.split(", "))
    assert call["notes"] == {
        't.ByName["ball"].Price': ["unreadable: not all of its keys were read"],
        't.ByName["bull"].Price': ["absent: no such key"],
        't.ByName["bo"].Price': ["absent: no such key"],
        'counts["nokey"]': ["absent: no such key"],
        'counts["key"]': ["absent: no such key"],
    }


def test_a_map_is_read_once(go_program: Callable[..., Path], offsets_cmd: Callable[..., Any]) -> None:
    """Several keys of one map, and the map itself, take the steps of one."""

    def steps(texts: str) -> int:
        plan = json.loads(offsets_cmd("plan", go_program(KEYS, "1.26"), FUNC, "--args", texts).stdout)
        return len(plan["functions"][0]["sites"][0]["steps"])

    one = steps('counts["key00"]')
    assert steps('counts["key00"], counts["key01"], counts["key02"]') == one
    assert steps('t.ByName["ball"].Name, t.ByName["box"].Next.Name, t.ByName') == steps("t.ByName")


def test_only_what_is_asked_for_is_read(go_program: Callable[..., Path], offsets_cmd: Callable[..., Any]) -> None:
    """Of a map's elements the part that the way goes through; keys are looked at in any case."""

    def lists(texts: str) -> int:
        plan = json.loads(offsets_cmd("plan", go_program(KEYS, "1.26"), FUNC, "--interfaces", "--args", texts).stdout)
        return len(plan["lists"])

    price = lists('t.ByName["ball"].Price')
    assert price == 3  # a table, a group, a key
    assert lists('t.ByName["ball"].Name') == price  # a name is read as a key is
    assert lists('len(t.ByName["ball"].Tags)') == price
    assert lists('t.ByName["ball"].Tags') == price + 1
    assert lists('t.ByName["ball"]') > 100  # an interface in it can hold many types


def test_mask(look: Callable[..., tuple[list[JSON], list[JSON]]]) -> None:
    """A key is a name; however it is written."""
    texts = r't.ByName["\x62all"].Price, t.ByName["box"].Price, counts["key00"]'
    _, (call,) = look("1.26", texts, "--mask", "^ball$|counts")
    assert call["args"] == {
        r't.ByName["\x62all"].Price': "***",
        't.ByName["box"].Price': -1,
        'counts["key00"]': "***",
    }


@pytest.mark.parametrize(
    ("text", "column", "message", "hint"),
    [
        ("t.Points[1]", 9, "a key of type main.Point cannot be written", "a key is a string, an integer or a bool"),
        ("t.Reals[1.5]", 8, "a key of type float64 cannot be written", "a key is a string, an integer or a bool"),
        ("t.Points[t]", 9, "an index is a literal", ""),
        ("t.Small[128]", 8, "the number does not fit main.Small", ""),
        ('t.Small["x"]', 8, "this is no main.Small", ""),
        ("t.Flags[1]", 8, "this is no bool", ""),
        ("t.Words[3]", 8, "this is no main.Word", ""),
        (r'counts["a\x00b"]', 7, "a key with a zero byte is not looked for", ""),
        ('t.ByName["ball"].Nam', 17, "main.Item has no field 'Nam'", "did you mean 'Name'?"),
        ('counts["k"].Name', 12, "int has no fields", ""),
    ],
)
def test_wrong_keys(
    go_program: Callable[..., Path], tracer: Tracer, text: str, column: int, message: str, hint: str
) -> None:
    run = tracer("-b", go_program(KEYS, "1.26"), "--func", FUNC, "--args", text)
    said = f"error: {FUNC}: {message}\n  {text}\n  {' ' * column}^\n" + (f"hint: {hint}\n" if hint else "")
    assert (run.status, run.stdout, run.stderr) == (2, "", said)
