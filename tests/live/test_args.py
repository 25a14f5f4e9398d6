# SPDX-License-Identifier: Apache-2.0
"""--args and --mask: what each expression leads to, against what the program itself says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tracing import Run, Tracer, check_accounting, of_type, parse

WAYS = Path(__file__).resolve().parent / "programs" / "ways"
FUNC = "main.(*Base).handle"
VERSIONS = ("1.15", "1.21", "1.26")
TOGETHER = 8  # expressions of one trace: all of them are more than one probe can read
ROUNDS = 3
WHOLE_PATH = "a type has its package's whole path: *net/http.Request"


@pytest.fixture
def ways(go_program: Callable[..., Path]) -> Callable[..., Path]:
    return lambda version="1.26": go_program(WAYS, version)


def spoken(run: Run) -> list[dict[str, Any]]:
    """What the program says: expression → value, once a round."""
    return [json.loads(line) for line in run.stdout.splitlines()]


def trace(tracer: Tracer, program: Path, out: Path, *options: str, rounds: int = 1) -> tuple[Run, list[Any]]:
    run = tracer("--func", FUNC, *options, "-f", "jsonl", "-o", out, "--", program, "-n", rounds)
    assert run.status == 0, run.stderr
    events = parse(out.read_text())
    check_accounting(events[-1])
    return run, events


@pytest.mark.parametrize("version", VERSIONS)
def test_values(version: str, ways: Callable[..., Path], tracer: Tracer, tmp_path: Path) -> None:
    program = ways(version)
    said = spoken(tracer_free_run(tracer, program))
    texts = sorted(said[0])
    assert len(texts) == 56
    for i in range(0, len(texts), TOGETHER):
        part = texts[i : i + TOGETHER]
        run, events = trace(
            tracer, program, tmp_path / "events", "--no-results", "--args", ", ".join(part), rounds=ROUNDS
        )
        calls = of_type(events, "call")
        truth = spoken(run)
        assert len(calls) == len(truth) == ROUNDS
        for call, values in zip(calls, truth):
            assert call["args"] == {text: values[text] for text in part}
            assert list(call["args"]) == part  # in the order that was asked for
            assert call["notes"] == {}
        assert events[-1]["totals"]["read_failures"] == 0


def tracer_free_run(tracer: Tracer, program: Path) -> Run:
    target = tracer.program(program, "-n", 1)
    return Run(0, target.finish(), "")


@pytest.mark.parametrize("version", VERSIONS)
def test_results(version: str, ways: Callable[..., Path], tracer: Tracer, tmp_path: Path) -> None:
    """An expression about results is read at the return; the arguments are then left alone."""
    program = ways(version)
    _, events = trace(tracer, program, tmp_path / "events", "--args", "out.Method, size, out.Headers[:3].Name")
    (call,) = of_type(events, "call")
    (back,) = of_type(events, "return")
    assert (call["args"], call["notes"]) == ({}, {})
    assert back["results"] == {"out.Method": "next", "size": 20, "out.Headers[:3].Name": ["name0", "name1"]}
    assert back["notes"] == {}


def test_arguments_and_all_results(ways: Callable[..., Path], tracer: Tracer, tmp_path: Path) -> None:
    """Where no expression is about results, they are shown as always."""
    _, events = trace(tracer, ways(), tmp_path / "events", "--args", "len(s)", "--depth", "0")
    (call,) = of_type(events, "call")
    (back,) = of_type(events, "return")
    assert call["args"] == {"len(s)": 15}
    assert set(back["results"]) == {"out", "size", "err"}
    assert back["results"]["size"] == 20


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_not_there_is_said(version: str, ways: Callable[..., Path], tracer: Tracer, tmp_path: Path) -> None:
    texts = {
        "r.Next.Next.Method": "unreadable: nil pointer",
        "len(r.Next.Next.Tags)": "unreadable: nil pointer",
        "r.Next.ID": "unreadable: nil pointer",  # through an embedded pointer
        "xs[5]": "unreadable: index 5, length 5",
        "r.Headers[7].Name": "unreadable: index 7, length 5",
        "r.Next.Numbers[0]": "unreadable: index 0, length 0",
        "r.Method[40]": "unreadable: index 40, length 2",
        "*r.Next.Next": "unreadable: nil pointer",
    }
    assert assert_not_there(texts, ways(version), tracer, tmp_path) == 0  # nothing was read that is not there
    # of an interface: what it holds instead; its data is read as what was asked for, and left unused
    texts = {
        "r.Err.(main.Coded)": "unreadable: it holds *main.OpError",
        "r.Err.(*main.OpError).Err.(*main.OpError).Code": "unreadable: it holds *errors.errorString",
        "r.Any.(*main.OpError).Op": "unreadable: it holds main.Coded",
        "r.Any.(int)": "unreadable: it holds main.Coded",
        "r.Next.Err.(*main.OpError).Op": "unreadable: nil interface",
        "r.Next.Any.(main.Coded)": "unreadable: nil interface",
    }
    assert_not_there(texts, ways(version), tracer, tmp_path)


def assert_not_there(texts: dict[str, str], program: Path, tracer: Tracer, tmp_path: Path) -> Any:
    """All of them are null, for these reasons. Returns how many reads failed."""
    _, events = trace(tracer, program, tmp_path / "events", "--no-results", "--args", ", ".join(texts))
    (call,) = of_type(events, "call")
    assert call["args"] == dict.fromkeys(texts)
    assert call["notes"] == {text: [why] for text, why in texts.items()}
    return events[-1]["totals"]["read_failures"]


def test_within_lists_notes_name_the_element(ways: Callable[..., Path], tracer: Tracer, tmp_path: Path) -> None:
    texts = "r.Pointers[:3].Name, r.Headers[1:].Value, r.Pointers"
    _, events = trace(
        tracer, ways(), tmp_path / "events", "--no-results", "-Z", "3", "--elements", "2", "--args", texts
    )
    (call,) = of_type(events, "call")
    assert call["args"]["r.Pointers[:3].Name"] == ["nam", None, "nam"]
    assert call["args"]["r.Headers[1:].Value"] == ["val", "val"]
    notes = call["notes"]
    assert notes["r.Pointers[0].Name"] == ["truncated: 5 bytes"]
    assert notes["r.Pointers[1].Name"] == ["unreadable: nil pointer"]
    assert notes["r.Headers[2].Value"] == ["truncated: 6 bytes"]
    assert notes["r.Headers[1:].Value"] == ["partial: 2 of 4"]
    assert notes["r.Pointers"] == ["partial: 2 of 3"]


def test_depth_counts_from_the_value(ways: Callable[..., Path], tracer: Tracer, tmp_path: Path) -> None:
    _, events = trace(
        tracer, ways(), tmp_path / "events", "--no-results", "--depth", "1", "--args", "r.Next.URL, *r.Next"
    )
    (call,) = of_type(events, "call")
    url = {"Scheme": "https", "Host": "example.com", "Path": "/path/1"}
    assert call["args"]["r.Next.URL"]["to"] == url
    assert call["args"]["*r.Next"]["URL"]["to"] == url
    assert "to" not in call["args"]["*r.Next"]["URL"].get("to", {})
    assert call["notes"].get("(*r.Next).Next") is None


def test_text(ways: Callable[..., Path], tracer: Tracer, tmp_path: Path) -> None:
    out = tmp_path / "events"
    texts = "r.URL.Path, len(s), s[7:13], r.Headers[:2].Name, xs[1:4], xs[9]"
    run = tracer("--func", FUNC, "--no-results", "--args", texts, "-o", out, "--", ways(), "-n", 1)
    assert run.status == 0, run.stderr
    (line,) = out.read_text().splitlines()
    assert re.sub(r"^\S+  G1  ", "", line) == (
        'main.(*Base).handle(r.URL.Path="/path/1", len(s)=15, s[7:13]="number", '
        'r.Headers[:2].Name=["name0", "name1"], xs[1:4]=[11, 12, 13], xs[9]=<index 9, length 5: not readable here>)'
    )


# ---- several functions --------------------------------------------------------------------------------------


def test_patterns_leave_out_what_does_not_fit(ways: Callable[..., Path], tracer: Tracer, tmp_path: Path) -> None:
    out = tmp_path / "events"
    run = tracer(
        *("--func", "main.*", "--no-results", "--args", "r.Path", "-f", "jsonl", "-o", out, "--", ways(), "-n", 1)
    )
    assert run.status == 0, run.stderr
    (call,) = of_type(parse(out.read_text()), "call")
    assert (call["func"], call["args"]) == ("main.other", {"r.Path": "/path/1"})
    assert f"warning: {FUNC} is not traced: the expressions do not fit: main.Request has no field 'Path'" in run.stderr


@pytest.mark.parametrize(
    ("text", "column", "message", "hint"),
    [
        ("r.Err.(*main.OpEror).Op", 7, "the program has no type '*main.OpEror'", WHOLE_PATH),
        ("r.Err.(*main.OpError).Opp", 22, "main.OpError has no field 'Opp'", "did you mean 'Op'?"),
        ("r.Err.Op", 6, "an interface (error) has no fields", "name the type that it holds: x.(*pkg.T).Field"),
        ("r.Err.(error)", 7, "'error' is an interface, and an interface holds no other", "name the type that it holds"),
        ("r.Method.(string)", 0, "string is no interface", ""),
        ("*n", 0, "int is no pointer", ""),
        ("len(n)", 4, "int has no length", ""),
        ("r.Headers[:3].Nam", 14, "main.Header has no field 'Nam'", "did you mean 'Name'?"),
        ("grid[3].Name", 5, "[3]main.Header has only 3 elements", ""),
        ("r.Headers[:200].Name", 9, "these are more than 128 values", "bound the range: xs[:8].Name"),
    ],
)
def test_wrong_expressions(
    ways: Callable[..., Path], tracer: Tracer, text: str, column: int, message: str, hint: str
) -> None:
    run = tracer("-b", ways(), "--func", FUNC, "--args", text)
    said = f"error: {FUNC}: {message}\n  {text}\n  {' ' * column}^\n" + (f"hint: {hint}\n" if hint else "")
    assert (run.status, run.stdout, run.stderr) == (2, "", said)


def test_fits_none(ways: Callable[..., Path], tracer: Tracer) -> None:
    run = tracer("-b", ways(), "--func", "main.o*", "--args", "r.Pth")
    assert (run.status, run.stdout) == (2, "")
    assert run.stderr == (
        "error: main.other: main.URL has no field 'Pth'\n  r.Pth\n    ^\nhint: did you mean 'Path'?\n"
    )


def test_named_function_that_does_not_fit(ways: Callable[..., Path], tracer: Tracer) -> None:
    """Also beside others that do, and before anything is compiled or attached."""
    run = tracer("-b", ways(), "--func", "main.o*", "--func", FUNC, "--args", "len(s), r.Path")
    assert (run.status, run.stdout) == (2, "")
    assert run.stderr == f"error: {FUNC}: main.Request has no field 'Path'\n  r.Path\n    ^\n" + (
        "hint: there is Method, URL, Base, Headers, Pointers, Wides, Grid, Tags …\n"
    )


def test_wrong_syntax(ways: Callable[..., Path], tracer: Tracer) -> None:
    run = tracer("-b", ways(), "--func", FUNC, "--args", "r.URL.")
    assert (run.status, run.stdout) == (2, "")
    assert run.stderr == "error: a field's name is missing at the end\n  r.URL.\n        ^\n"


def test_condition_is_no_value(ways: Callable[..., Path], tracer: Tracer) -> None:
    run = tracer("-b", ways(), "--func", FUNC, "--args", "n > 3")
    assert (run.status, run.stdout) == (2, "")
    assert run.stderr == "error: this is no value of a call\n  n > 3\n  ^\n"


def test_other_expressions_are_another_plan(ways: Callable[..., Path], tracer: Tracer, tmp_path: Path) -> None:
    """Plans are kept: one for other expressions must not be found."""
    for text, value in (("xs[0]", 10), ("xs[1]", 11), ("xs[0]", 10)):
        _, events = trace(tracer, ways(), tmp_path / "events", "--no-results", "--args", text)
        (call,) = of_type(events, "call")
        assert call["args"] == {text: value}


# ---- --mask -------------------------------------------------------------------------------------------------


def test_mask(ways: Callable[..., Path], tracer: Tracer, tmp_path: Path) -> None:
    """Fields, wherever they are, in any letter case; a parameter's own name; expressions that go through one."""
    _, events = trace(tracer, ways(), tmp_path / "events", "--mask", "^pass|path|^xs$", "--depth", "2")
    (call,) = of_type(events, "call")
    r = call["args"]["r"]["to"]
    assert r["Password"] == "***"
    assert r["URL"]["to"] == {"Scheme": "https", "Host": "example.com", "Path": "***"}
    assert call["args"]["xs"] == "***"
    assert call["args"]["s"] == "string number 1"
    for path in ("r.Password", "r.URL.Path", "xs"):
        assert call["notes"][path] == ["masked"]
    (back,) = of_type(events, "return")
    assert back["results"]["out"]["to"]["Password"] == "***"
    text = (tmp_path / "events").read_text()
    assert "hunter2" not in text
    assert "/path/1" not in text


def test_mask_of_expressions(ways: Callable[..., Path], tracer: Tracer, tmp_path: Path) -> None:
    texts = "r.Password, r.Password[:3], len(r.Password), r.Headers[:2].Name, r.ID, s"
    _, events = trace(
        tracer, ways(), tmp_path / "events", "--no-results", "--mask", "PASSWORD|headers|base", "--args", texts
    )
    (call,) = of_type(events, "call")
    hidden = ("r.Password", "r.Password[:3]", "len(r.Password)", "r.Headers[:2].Name", "r.ID")
    assert call["args"] == {**dict.fromkeys(hidden, "***"), "s": "string number 1"}
    assert call["notes"] == {text: ["masked"] for text in hidden}


def test_mask_in_text(ways: Callable[..., Path], tracer: Tracer, tmp_path: Path) -> None:
    out = tmp_path / "events"
    run = tracer(*("--func", "main.other", "--no-results", "--mask", "^(host|path)$", "-o", out, "--", ways(), "-n", 1))
    assert run.status == 0, run.stderr
    (line,) = out.read_text().splitlines()
    assert re.sub(r"^\S+  G1  ", "", line) == 'main.other(r=&{Scheme="https", Host="***", Path="***"})'


@pytest.mark.parametrize(
    ("regex", "why"),
    [
        ("(", r"--mask '(': Unmatched ( or \("),
        ("", "--mask: an empty expression would hide everything"),
        (r"(a)\1", r"--mask '(a)\1': back-references are not supported"),
        ("(a{40}){40}", "--mask '(a{40}){40}': it repeats too often"),
        ("a" * 1025, "--mask: more than 1024 bytes"),
    ],
)
def test_wrong_mask(ways: Callable[..., Path], tracer: Tracer, regex: str, why: str) -> None:
    run = tracer("-b", ways(), "--func", FUNC, "--mask", regex)
    assert (run.status, run.stdout) == (2, "")
    assert run.stderr.splitlines()[0] == f"error: {why}"
