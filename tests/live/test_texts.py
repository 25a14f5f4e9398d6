# SPDX-License-Identifier: Apache-2.0
"""The texts beside values: each is what Error or String returns, or there is none (programs/texts)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tracing import JSON, Tracer, check_accounting, of_type, parse

TEXTS = Path(__file__).resolve().parent / "programs" / "texts"
FUNCTIONS = ("fails", "urls", "addr", "port", "untold")
VERSIONS = ("1.15", "1.19", "1.21", "1.23.12", "1.24", "1.26", "1.27")


@pytest.fixture
def trace(go_program: Callable[..., Path], tracer: Tracer, tmp_path: Path) -> Callable[..., tuple[list[JSON], Any]]:
    """trace(version, options …) → (what the program said, the calls that were seen, or the text)."""

    def run(version: str, *options: str, form: str = "jsonl") -> tuple[list[JSON], Any]:
        out = tmp_path / "events"
        program = go_program(TEXTS, version)
        functions = ["--func", "main.fails", "--func", "main.urls", "--func", "main.untold"]
        if int(version.split(".")[1]) >= 18:
            functions += ["--func", "main.addr", "--func", "main.port"]
        result = tracer(*functions, "--no-results", *options, "-f", form, "-o", out, "--", program)
        assert result.status == 0, result.stderr
        said = [json.loads(line) for line in result.stdout.splitlines()]
        if form != "jsonl":
            return said, out.read_text().splitlines()
        events = parse(out.read_text())
        check_accounting(events[-1])
        return said, of_type(events, "call")

    return run


def shown_text(call: JSON) -> str | None:
    args = call["args"]
    if call["func"] in ("main.fails", "main.untold"):
        return args["err"].get("text")
    if call["func"] == "main.urls":
        return args["u"]["to"].get("text")
    return args["a" if call["func"] == "main.addr" else "p"].get("text")


@pytest.mark.parametrize("version", VERSIONS)
def test_texts(version: str, trace: Callable[..., tuple[list[JSON], Any]]) -> None:
    said, calls = trace(version, "--depth", "4")
    assert len(said) == len(calls) > 40
    for one, call in zip(said, calls):
        assert one["func"] == call["func"]
        assert shown_text(call) == (one["text"] if one["told"] else None), (one, call)


def test_a_password_in_a_url_is_in_no_text(trace: Callable[..., tuple[list[JSON], Any]]) -> None:
    _, calls = trace("1.26")
    url = calls[-1]["args"]["u"]["to"]
    assert url["Host"] == "example.com"  # the struct itself, not a value beside a text
    assert url["User"]["to"]["password"] == "secret"


def test_masked_parts_are_in_no_text(trace: Callable[..., tuple[list[JSON], Any]]) -> None:
    """Where the name of a part is masked, there is no text that holds it."""
    said, calls = trace("1.26", "--mask", "^(Path|Num)$")
    texts = [shown_text(call) for call in calls]
    assert not any(text for text, call in zip(texts, calls) if call["func"] == "main.urls")
    numbers = [text for text, one in zip(texts, said) if "parsing" in one["text"] and "strconv." in one["text"]]
    assert numbers and not any(numbers)


def test_text_format(trace: Callable[..., tuple[list[JSON], Any]]) -> None:
    """People see the text alone."""
    said, lines = trace("1.26", form="text")
    assert len(said) == len(lines)
    for one, line in zip(said, lines):
        name, value = re.match(r"\S+  G\d+  main\.(\w+)\((.*)\)$", line).groups()  # type: ignore[union-attr]
        assert f"main.{name}" == one["func"]
        if name == "addr":
            assert value == f"a={one['text']}"
        elif name == "urls" and one["text"].startswith("http"):
            assert value == f"u=&{one['text']}"
