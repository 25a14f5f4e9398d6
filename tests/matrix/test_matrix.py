# SPDX-License-Identifier: Apache-2.0
"""A spread of `make matrix` (run.py): no value is wrong, and what is not shown is what is known to be out of reach."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from compare import Limits, compare, report  # noqa: E402
from zoo import BUILDS, check  # noqa: E402

pytestmark = pytest.mark.live

# The most values that may be missing, by reason: written by `run.py --expected` after a change that shows more.
EXPECTED = json.loads((HERE / "expected.json").read_text())
SPREAD = [entry.split(" ", 1) for entry in EXPECTED]


@pytest.mark.parametrize(("version", "build"), SPREAD)
def test_values(version: str, build: str) -> None:
    """Right or honestly absent."""
    tally = check(version, build)
    assert not tally.wrong, report(tally)
    known = EXPECTED[f"{version} {build}"]
    assert tally.calls == known["calls"], report(tally)
    too_many = {r: n for r, n in tally.honest.items() if n > known["honest"].get(r, 0)}
    assert not too_many, f"{too_many}\n{report(tally)}"
    if BUILDS[build].values:
        assert tally.right >= known["right"], report(tally)


def _line(kind: str, member: str, values: str, notes: str = "{}", maps: str = "[]") -> dict[str, object]:
    from compare import Number

    head = f'"type":"{kind}","ts":1,"goid":1,"call":1,"fid":0,"func":"main.f"'
    text = f'{{{head},"{member}":{values},"notes":{notes},"maps":{maps}}}'
    line: dict[str, object] = json.loads(text, parse_int=Number, parse_float=Number)
    return line


META = {
    "type": "meta",
    "go": "go1.26.8",
    "functions": [{"fid": "0", "params": [{"name": "a"}], "results": [], "warnings": [], "file": "f.go"}],
}


@pytest.mark.parametrize(
    ("zoo", "traced", "notes", "wrong", "reason"),
    [
        ("5", "5", "{}", 0, None),
        ("5", "6", "{}", 1, None),
        ("5", "null", "{}", 1, None),
        ("5", "null", '{"a":["unreadable: in xmm3"]}', 0, "unreadable: in xmmN"),
        ("-0.0", "-0", "{}", 0, None),
        ("-0.0", "0", "{}", 1, None),
        ("2.5e+09", "2500000000", "{}", 0, None),
        ("null", "[]", "{}", 1, None),
        ("[]", "null", "{}", 1, None),
        ("[1,2]", "[1]", "{}", 1, None),
        ("[1,2]", "[1]", '{"a":["partial: 1 of 2"]}', 0, "partial: fewer than asked for"),
        ("[1,2]", "[1]", '{"a":["partial: 1 of 3"]}', 1, None),
        ('"text"', '"te"', '{"a":["truncated: 4 bytes"]}', 0, "truncated: shorter than asked for"),
        ('"text"', '"ta"', '{"a":["truncated: 4 bytes"]}', 1, None),
        ('"text"', '"te"', "{}", 1, None),
        ('{"ptr":"0x10","to":1}', '{"ptr":"0x10","to":1}', "{}", 0, None),
        ('{"ptr":"0x10","to":1}', '{"ptr":"0x18","to":1}', "{}", 1, None),
        ('{"ptr":"0x10","to":1}', '{"ptr":"0x10"}', "{}", 1, None),
        ('{"ptr":"0x10","to":1}', '{"ptr":"0x10"}', '{"a":["depth: 0"]}', 1, None),
        ('{"ptr":"0x10","to":1}', '{"ptr":"0x10"}', '{"a":["cycle: a"]}', 1, None),
        ('{"type":"int","value":1}', '{"type":"int8","value":1}', "{}", 1, None),
        ("5", "5", '{"a":["unreadable: in xmm3"]}', 1, None),
    ],
)
def test_the_comparer(zoo: str, traced: str, notes: str, wrong: int, reason: str | None) -> None:
    """What it calls right, honest and wrong."""
    own = [_line("call", "args", f'{{"a":{zoo}}}'), _line("return", "results", "{}")]
    seen = [META, _line("call", "args", f'{{"a":{traced}}}', notes), _line("return", "results", "{}")]
    tally = compare(own, seen, Limits())
    assert (len(tally.wrong), list(tally.honest)) == (wrong, [reason] if reason else []), report(tally)
