# SPDX-License-Identifier: Apache-2.0
"""Every program variant loads: what the kernel's verifier makes of it, against its limit."""

from __future__ import annotations

import ahead
import guest
import pytest
from guest import LONG
from tracing import Tracer, check_accounting, of_type, parse

from tracer.program import Compiler, assemble

pytestmark = pytest.mark.vm

TEXTS = ["alpha", "beta", "gamma", "delta", "epsilon"]


@pytest.mark.parametrize(("function", "size", "buffer"), [s for s in guest.SHAPES if s[2] in guest.buffers()])
def test_variant(function: str, size: int, buffer: str, tracer: Tracer) -> None:
    check_variant(function, size, {"TRACER_BUFFER": buffer}, tracer)


def test_shorter_variant(tracer: Tracer) -> None:
    """What is loaded where a verifier cannot follow call_deep."""
    check_variant("deep", 256, {"TRACER_CALL_DEEP": "short"}, tracer)


@pytest.mark.parametrize(("function", "where"), guest.SHAPES_WHERE)
def test_condition(function: str, where: str, tracer: Tracer) -> None:
    check_variant(function, 256, {"TRACER_CALL_DEEP": "short"}, tracer, "--where", where)


def check_variant(function: str, size: int, env: dict[str, str], tracer: Tracer, *options: str) -> None:
    """It loads with room to spare, and reads every text."""
    target = tracer.program(guest.shapes())
    assert target.line() == "ready"
    tracing = tracer.start(
        *("-v", "-p", target.pid, *guest.shape_options(function, size), *options, "-f", "jsonl"),
        env=env,
    ).attached()
    target.go()
    target.finish(LONG)
    run = tracing.finish(LONG)
    assert run.status == 0, run.stderr
    (call,) = of_type(run.events, "call")
    wanted = {
        "none": {"n": 23},
        "one": {"s": "sixteen bytes...", "n": 0},
        "two": {"a": TEXTS[0][:size], "b": TEXTS[1][:size], "n": 1},
        "five": {**{name: text[:size] for name, text in zip("abcde", TEXTS)}, "n": 5},
        "many": {"v": [f"word {i}" for i in range(100)], "n": 100},
        "deep": {
            "v": {"type": "main.pair", "value": {"name": "first", "list": [2, 3]}},
            "pairs": [{"name": "second", "list": None}, {"name": "third", "list": [65521]}],
            "n": 7,
        },
    }
    assert call["args"] == wanted[function]
    check_accounting(run.events[-1])
    found = check_verifier(run.stderr)
    # the whole program is loaded, but where the shorter is asked for: that one's user is told
    assert ("call_deep_short" in found) == (function == "deep" and "TRACER_CALL_DEEP" in env)
    assert ("call_deep_short" in found) == ("this kernel's verifier cannot follow the whole program" in run.stderr)


@pytest.mark.parametrize(("verb", "key"), [("count", "calls"), ("hist", "count"), ("stack", "count")])
def test_sum(verb: str, key: str, tracer: Tracer) -> None:
    """The programs that sum in the kernel count each call, while stacks grow."""
    n = 5_003
    target = tracer.program(guest.counts(), "-mode", "grow", "-n", n)
    assert target.line() == "ready"
    tracing = tracer.start(verb, "-v", "-p", target.pid, "--func", "main.target", "-f", "jsonl").attached()
    target.go()
    target.finish(LONG)
    run = tracing.finish(LONG)
    assert run.status == 0, run.stderr
    assert sum(e[key] for e in of_type(run.events, verb)) == n
    summary = run.events[-1]
    assert (summary["lost"], summary["counted"]) == (0, n)
    assert summary["entry_hits"] == n + summary["duplicates"]
    check_verifier(run.stderr)


def test_split(tracer: Tracer) -> None:
    """hist --split: its programs load, and calls that sleep were blocked."""
    out = tracer.folder / "hist.jsonl"
    options = ("--func", "main.sleeps", "--split", "-v", "-f", "jsonl", "-o", out)
    run = tracer("hist", *options, "--", guest.offcpu(), timeout=LONG)
    assert run.status == 0, run.stderr
    (row,) = of_type(parse(out.read_text()), "hist")
    parts = row["split"]
    assert sum(parts.values()) == row["total_ns"]
    assert (row["count"], parts["unknown_ns"]) == (7, 0)
    assert parts["blocked_ns"] > 0.5 * 7 * 3_000_000
    check_verifier(run.stderr)


def test_compiled_here_is_compiled_there() -> None:
    """What the tests take from the host's compiler (ahead.py) is what this kernel's own would have made."""
    found = [
        (path.read_bytes(), about.flags)
        for path, about in ahead.kept()
        if about.name == "call.bpf.c" and about.filters is None
    ]
    if not found:
        pytest.skip("nothing was compiled ahead: that takes root on the host")
    blob, flags = min(found, key=lambda one: (len(one[0]), one[1]))
    assert Compiler().compile(assemble("call.bpf.c"), flags) == blob


def check_verifier(stderr: str) -> dict[str, tuple[int, int, int]]:
    """Half of what the verifier may follow is left; or there is a shorter form, which is tested too."""
    found = guest.note_verifier(stderr)
    assert found
    for name, (_, followed, limit) in found.items():
        most = limit if name == "call_deep" else limit // 2
        assert 0 < followed <= most, f"{name}: {followed} of {limit}"
    return found
