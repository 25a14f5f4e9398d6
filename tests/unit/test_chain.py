# SPDX-License-Identifier: Apache-2.0
"""Stacks put together (collector/chain.c), for each thing that a kernel may do at each kind of site."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from c_programs import c_program
from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]
UNKNOWN, WITHOUT, WITH = 0, 1, 2

Join = Callable[..., "tuple[int, list[int]]"]


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sources = [ROOT / "tests/unit/chain_harness.c", ROOT / "collector/chain.c"]
    return c_program(tmp_path_factory.mktemp("chain"), sources, ["-g", "-fsanitize=address,undefined"])


def joined(harness: Path, *cases: tuple[list[int], list[int]]) -> list[tuple[int, list[int]]]:
    """(what the hit tells, frames) of each (numbers, chain)."""
    text = "".join(" ".join(map(str, [*numbers, *chain])) + "\n" for numbers, chain in cases)
    done = subprocess.run([harness], input=text, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    found = []
    for line in done.stdout.splitlines():
        kind, _, frames = line.partition(":")
        found.append((int(kind), list(map(int, frames.split()))))
    return found


# The program's stack, innermost first: at 10 in f, called from 20 in g, from 30 in h, from 40.
F, G, H, M = 10, 20, 30, 40


@pytest.mark.parametrize(
    ("what", "push", "head", "chain", "tells"),
    [
        ("before the push: the frame pointer is g's", 0, (G, H, 0), [F, H, M], UNKNOWN),
        ("at a push, an older kernel", 1, (G, H, 0), [F, H, M], WITHOUT),
        ("at a push, a newer kernel puts g in", 1, (G, H, 0), [F, G, H, M], WITH),
        ("behind the prologue: the frame pointer is f's own", 0, (G, G, 1), [F, G, H, M], UNKNOWN),
        ("at a return: popped, as before the push", 0, (G, H, 0), [F, H, M], UNKNOWN),
    ],
)
@pytest.mark.parametrize("known", [UNKNOWN, WITHOUT, WITH])
def test_sites(
    harness: Path, known: int, what: str, push: int, head: tuple[int, int, int], chain: list[int], tells: int
) -> None:
    """Where nothing calls itself the addresses of one hit tell all."""
    caller, following, own = head
    ((kind, frames),) = joined(harness, ([push, known, F, caller, following, own, 127], chain))
    assert (kind, frames) == (tells, [F, G, H, M]), what


@pytest.mark.parametrize("depth", [1, 2, 3, 7])
def test_a_function_that_calls_itself(harness: Path, depth: int) -> None:
    """f at 10, called from 11 in f as often as `depth` says, the first from 20 in main; main from 30."""
    truth = [F, *[11] * depth, G, H]
    following = 11 if depth > 1 else G
    without, own = [F, *truth[2:]], truth
    cases = [
        ([0, UNKNOWN, F, 11, following, 0, 127], without),  # at the stack check
        ([0, WITH, F, 11, following, 0, 127], without),
        ([0, WITHOUT, F, 11, following, 0, 127], without),
        ([1, WITHOUT, F, 11, following, 0, 127], without),  # at a push
        ([1, WITH, F, 11, following, 0, 127], truth),
        ([0, UNKNOWN, F, 11, 11, 1, 127], own),  # behind the prologue
    ]
    for case, (_, frames) in zip(cases, joined(harness, *cases)):
        assert frames == truth, case


def test_what_a_hit_tells_where_a_function_calls_itself(harness: Path) -> None:
    tells = [
        ([1, UNKNOWN, F, 11, 11, 0, 127], [F, 11, G]),  # called twice: one of them is the chain's own
        ([1, UNKNOWN, F, 11, 11, 0, 127], [F, 11, 11, G]),  # twice, or three times
        ([1, UNKNOWN, F, 11, G, 0, 127], [F, 11, G]),
        ([1, UNKNOWN, F, 11, G, 0, 127], [F, G]),
    ]
    assert [kind for kind, _ in joined(harness, *tells)] == [WITHOUT, UNKNOWN, WITH, WITHOUT]


def test_what_could_not_be_read(harness: Path) -> None:
    cases = [
        ([0, UNKNOWN, F, 0, 0, 0, 127], [F, H]),  # no caller: the chain alone
        ([0, UNKNOWN, F, G, 0, 0, 127], []),  # no chain
        ([1, UNKNOWN, F, 0, 0, 0, 127], []),
        ([0, UNKNOWN, F, G, H, 0, 127], [F, H, 0, M]),  # ends at the first 0
        ([0, UNKNOWN, F, G, H, 0, 3], [F, H, M]),
        ([0, UNKNOWN, F, G, H, 0, 1], [F, H, M]),
    ]
    assert [frames for _, frames in joined(harness, *cases)] == [[F, H], [F, G], [F], [F, G, H], [F, G, H], [F]]


numbers = st.integers(0, 4)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.tuples(*[st.integers(0, 1), st.integers(0, 2), *[numbers] * 3, st.integers(0, 1)]),
            st.lists(numbers, max_size=8),
            st.integers(1, 12),
        ),
        min_size=1,
    )
)
def test_any_numbers(harness: Path, cases: list[tuple[tuple[int, ...], list[int], int]]) -> None:
    """At most as many as asked for, the instruction pointer first; nothing that was not there."""
    asked = [([*head, most], chain) for head, chain, most in cases]
    for (head, chain), (kind, frames) in zip(asked, joined(harness, *asked)):
        assert kind in (UNKNOWN, WITHOUT, WITH)
        assert 1 <= len(frames) <= head[6] and frames[0] == head[2]
        assert set(frames[1:]) <= {head[3], *chain}
