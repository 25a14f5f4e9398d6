# SPDX-License-Identifier: Apache-2.0
"""Channels, functions, maps and interfaces from records made by hand, hostile ones among them (decode_harness.c)."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

import pytest
from decode_script import (
    CHAN,
    FAULT,
    FUNC,
    INT64,
    INTERFACE,
    MAP,
    OK,
    POINTER,
    SLICE,
    STRUCT,
    UINTPTR,
    Script,
    harness,
    script,
)

__all__ = ["harness", "script"]

COMPLETE, EMPTY, DIRECT = 1, 2, 8
BASE = 0x10000
Chunk = tuple[int, int, int, bytes]
Show = Callable[..., tuple[Any, Any]]


def words(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}Q", *(n % 2**64 for n in numbers))


@pytest.fixture
def show(script: Script) -> Show:
    """show(type, registers, chunks …) → (value, notes)."""

    def run(of: str, regs: tuple[int, ...], *chunks: Chunk, **limits: Any) -> tuple[Any, Any]:
        script.func("main.f")
        script.site()
        script.words("p", of, 0, len(regs))
        script.begin(**limits)
        script.record(regs=regs, chunks=chunks)
        line = json.loads(script.run()[0])
        return line["args"]["p"], line["notes"]

    return run


def typed(script: Script, name: str, kind: int, size: int, flags: int, rtype: int = 0, elem: str = "") -> None:
    """A type with flags, and the offset of its run-time type."""
    script.types[name] = len(script.types)
    elem_index = script.types[elem] if elem else 0xFFFFFFFF
    script.lines += [f"type {name} {kind} {size} {elem_index} 0 {flags}", f"rtype {rtype}"]


# ---- channels, functions --------------------------------------------------------------------------------------


def test_channels(script: Script, show: Show) -> None:
    script.type("chan", CHAN, 8)
    script.lines.append(f"layout 0 8 {BASE}")
    assert show("chan", (0x1000,), (0, OK, 0x1000, words(2, 5))) == ({"ptr": "0x1000", "len": 2, "cap": 5}, {})


@pytest.mark.parametrize(
    ("word", "chunks", "value", "notes"),
    [
        (0, (), None, {}),
        (0x1000, (), {"ptr": "0x1000"}, {"p": ["unreadable: not read"]}),
        (0x1000, ((0, FAULT, 0x1000, b""),), {"ptr": "0x1000"}, {"p": ["unreadable: bad address"]}),
        (0x1000, ((0, OK, 0x1000, words(2)),), {"ptr": "0x1000"}, {"p": ["unreadable: not read"]}),
    ],
)
def test_channels_that_are_not_there(
    script: Script, show: Show, word: int, chunks: Any, value: Any, notes: Any
) -> None:
    script.type("chan", CHAN, 8)
    script.lines.append(f"layout 0 8 {BASE}")
    assert show("chan", (word,), *chunks) == (value, notes)


def test_a_function_without_the_file(script: Script, show: Show) -> None:
    script.type("func", FUNC, 8)
    assert show("func", (0x1000,), (0, OK, 0x1000, words(0x401000))) == (
        {"ptr": "0x1000", "func": None, "captured": None},
        {"p": ["not decoded: captured variables", "not decoded: the name of the function"]},
    )


# ---- maps ------------------------------------------------------------------------------------------------------

EMPTY_SLOT, DELETED = 0x80, 0xFE


def swiss(script: Script, key: str = "int", elem: str = "int") -> None:
    """map[int]int of Go 1.24: control, then 8 slots of 16 bytes."""
    script.type("map", MAP, 8)
    k, e = script.types[key], script.types[elem]
    script.lines.append(f"map 1 {k} {e} 0 0 136 0 8 16 16 16 0")


def old(script: Script) -> None:
    """map[int]int up to Go 1.23: 8 hash bytes, 8 keys, 8 elements, the next bucket."""
    script.type("map", MAP, 8)
    script.lines.append("map 0 0 0 0 0 144 0 8 8 72 8 136")


def swiss_header(used: int, directory: int, length: int, writing: int = 0) -> bytes:
    return words(used, 0, directory, length) + bytes([0, 0, writing, 0, 0, 0, 0, 0]) + words(0)


def swiss_group(control: list[int], *pairs: tuple[int, int]) -> bytes:
    slots = list(pairs) + [(0, 0)] * (8 - len(pairs))
    return bytes(control + [EMPTY_SLOT] * (8 - len(control))) + words(*(n for pair in slots for n in pair))


def old_header(count: int, shift: int, buckets: int, before: int = 0, flags: int = 0) -> bytes:
    return words(count) + bytes([flags, shift, 0, 0, 0, 0, 0, 0]) + words(buckets, before, 0, 0)


def bucket(tops: list[int], pairs: list[tuple[int, int]], overflow: int = 0) -> bytes:
    pairs = pairs + [(0, 0)] * (8 - len(pairs))
    tops = tops + [0] * (8 - len(tops))
    return bytes(tops) + words(*(k for k, _ in pairs), *(v for _, v in pairs), overflow)


def test_a_small_map(script: Script, show: Show) -> None:
    """Slots that are empty or deleted are not shown, and the order is that of the slots."""
    swiss(script)
    group = swiss_group([1, DELETED, 2, EMPTY_SLOT, 3], (7, 70), (8, 80), (-1, 10), (5, 5), (0, 0))
    value = show("map", (0x1000,), (0, OK, 0x1000, swiss_header(3, 0x2000, 0)), (1, OK, 0x2000, group))
    assert value == ({"7": 70, "-1": 10, "0": 0}, {})
    assert list(value[0]) == ["7", "-1", "0"]


def test_a_map_of_tables(script: Script, show: Show) -> None:
    """A table stands twice in the directory where it needs fewer bits of the hash than others."""
    swiss(script)
    groups = swiss_group([1], (1, 10)) + swiss_group([2, 3], (2, 20), (3, 30))
    chunks = (
        (0, OK, 0x1000, swiss_header(4, 0x2000, 3)),
        (1, OK, 0x2000, words(0x3000, 0x3000, 0x5000)),
        (2, OK, 0x3000, words(3, 0, 0x4000, 1)),
        (3, OK, 0x4000, groups),
        (4, OK, 0x5000, words(1, 0, 0x6000, 0)),
        (5, OK, 0x6000, swiss_group([9], (4, 40))),
    )
    assert show("map", (0x1000,), *chunks) == ({"1": 10, "2": 20, "3": 30, "4": 40}, {})


def test_an_old_map_that_grows(script: Script, show: Show) -> None:
    """Buckets that were moved are looked at where they are now, others where they were; chains are followed."""
    old(script)
    chunks = (
        (0, OK, 0x1000, old_header(4, 1, 0x2000, before=0x3000)),
        (1, OK, 0x2000, bucket([9], [(1, 10)], overflow=0x4000) + bucket([], [])),
        (2, OK, 0x3000, bucket([77, 0, 6], [(2, 20), (0, 0), (3, 30)])),
        (3, OK, 0x4000, bucket([1, 200], [(0, 0), (4, 40)])),
    )
    assert show("map", (0x1000,), *chunks) == ({"2": 20, "3": 30, "1": 10, "4": 40}, {})
    moved = (chunks[0], chunks[1], (2, OK, 0x3000, bucket([2, 4, 4], [(2, 20), (0, 0), (3, 30)])), chunks[3])
    script.lines = script.lines[: next(i for i, line in enumerate(script.lines) if line.startswith("func"))]
    assert show("map", (0x1000,), *moved) == ({"1": 10, "4": 40}, {"p": ["partial: 2 of 4"]})


@pytest.mark.parametrize("flags", [4, 12])
def test_a_map_that_is_being_written(script: Script, show: Show, flags: int) -> None:
    old(script)
    chunks = ((0, OK, 0x1000, old_header(1, 0, 0x2000, flags=flags)), (1, OK, 0x2000, bucket([9], [(1, 10)])))
    assert show("map", (0x1000,), *chunks) == ({"1": 10}, {"p": ["raced: written during the read"]})


def test_more_live_slots_than_entries(script: Script, show: Show) -> None:
    swiss(script)
    chunks = (
        (0, OK, 0x1000, swiss_header(1, 0x2000, 0)),
        (1, OK, 0x2000, swiss_group([1, 2], (1, 10), (2, 20))),
    )
    assert show("map", (0x1000,), *chunks) == ({"1": 10, "2": 20}, {"p": ["raced: written during the read"]})


def test_keys_that_are_twice_make_no_object(script: Script, show: Show) -> None:
    swiss(script)
    chunks = (
        (0, OK, 0x1000, swiss_header(2, 0x2000, 0)),
        (1, OK, 0x2000, swiss_group([1, 1], (1, 10), (1, 11))),
    )
    assert show("map", (0x1000,), *chunks) == ([[1, 10], [1, 11]], {})


def test_the_limit_of_elements(script: Script, show: Show) -> None:
    swiss(script)
    chunks = (
        (0, OK, 0x1000, swiss_header(3, 0x2000, 0)),
        (1, OK, 0x2000, swiss_group([1, 2, 3], (1, 10), (2, 20), (3, 30))),
    )
    assert show("map", (0x1000,), *chunks, elements=2) == ({"1": 10, "2": 20}, {"p": ["partial: 2 of 3"]})


@pytest.mark.parametrize(
    ("chunks", "value", "notes"),
    [
        ((), {"ptr": "0x1000"}, ["unreadable: not read"]),
        (((0, FAULT, 0x1000, b""),), {"ptr": "0x1000"}, ["unreadable: bad address"]),
        (((0, OK, 0x1000, swiss_header(3, 0x2000, 0)),), {}, ["partial: 0 of 3"]),
        (
            ((0, OK, 0x1000, swiss_header(3, 0x2000, 0)), (1, FAULT, 0x2000, b"")),
            {},
            ["unreadable: bad address", "partial: 0 of 3"],
        ),
        # a directory without end, tables that are their own directory, a mask of all ones
        (
            (
                (0, OK, 0x1000, swiss_header(3, 0x2000, 2**63)),
                (1, OK, 0x2000, words(0x2000, 0x2000, 0x2000, 2**64 - 1)),
            ),
            {},
            ["partial: 0 of 3"],
        ),
        (
            ((0, OK, 0x1000, swiss_header(2**63, 0, 0)),),
            {"ptr": "0x1000"},
            ["unreadable: its count is no number of entries"],
        ),
        (((0, OK, 0x1000, swiss_header(0, 0, 0)),), {}, None),
    ],
)
def test_hostile_maps(script: Script, show: Show, chunks: Any, value: Any, notes: Any) -> None:
    swiss(script)
    assert show("map", (0x1000,), *chunks) == (value, {"p": notes} if notes else {})


@pytest.fixture
def show_key(script: Script) -> Show:
    """show_key(key, chunks …) → (value, notes) of p[key], p being in the first register."""

    def run(key: str | int, *chunks: Chunk, word: int = 0x1000, **limits: Any) -> tuple[Any, Any]:
        script.func("main.f")
        script.site()
        script.words("p", "map", 0)
        script.key("int", key)
        script.begin(**limits)
        script.record(regs=(word,), chunks=chunks)
        line = json.loads(script.run()[0])
        return line["args"]["p"], line["notes"].get("p", [])

    return run


SMALL = (
    (0, OK, 0x1000, swiss_header(3, 0x2000, 0)),
    (1, OK, 0x2000, swiss_group([1, DELETED, 2, EMPTY_SLOT, 3], (7, 70), (8, 80), (-1, 10), (5, 5), (0, 0))),
)


@pytest.mark.parametrize(
    ("key", "value", "notes"),
    [
        (7, 70, []),
        (-1, 10, []),
        (0, 0, []),
        (8, None, ["absent: no such key"]),  # a slot that was deleted
        (5, None, ["absent: no such key"]),  # an empty one
        (1, None, ["absent: no such key"]),
    ],
)
def test_a_key(script: Script, show_key: Show, key: int, value: Any, notes: Any) -> None:
    swiss(script)
    assert show_key(key, *SMALL) == (value, notes)


@pytest.mark.parametrize(
    ("chunks", "value", "notes"),
    [
        ((), None, ["unreadable: not read"]),
        (((0, FAULT, 0x1000, b""),), None, ["unreadable: bad address"]),
        (((0, OK, 0x1000, swiss_header(3, 0x2000, 0)),), None, ["unreadable: not among the 0 of 3 entries read"]),
        (((0, OK, 0x1000, swiss_header(9, 0x2000, 0)), SMALL[1]), 70, []),
        (((0, OK, 0x1000, swiss_header(2**63, 0, 0)),), None, ["unreadable: its count is no number of entries"]),
        (((0, OK, 0x1000, swiss_header(0, 0, 0)),), None, ["absent: no such key"]),
        # being written: what is found is shown with the remark
        (((0, OK, 0x1000, swiss_header(3, 0x2000, 0, 1)), SMALL[1]), 70, ["raced: written during the read"]),
        (((0, OK, 0x1000, swiss_header(1, 0x2000, 0)), SMALL[1]), 70, ["raced: written during the read"]),
        # the key stands there twice: neither of the two is taken
        (
            (
                (0, OK, 0x1000, swiss_header(2, 0x2000, 0)),
                (1, OK, 0x2000, swiss_group([1, 1], (7, 70), (7, 71))),
            ),
            None,
            ["raced: written during the read"],
        ),
        # a map that is its own directory and its own table
        (
            (
                (0, OK, 0x1000, swiss_header(3, 0x2000, 2**63)),
                (1, OK, 0x2000, words(0x2000, 0x2000, 0x2000, 2**64 - 1)),
            ),
            None,
            ["unreadable: not among the 0 of 3 entries read"],
        ),
    ],
)
def test_hostile_maps_and_a_key(script: Script, show_key: Show, chunks: Any, value: Any, notes: Any) -> None:
    swiss(script)
    assert show_key(7, *chunks) == (value, notes)


def test_a_key_of_what_is_written_and_not_found(script: Script, show_key: Show) -> None:
    swiss(script)
    head = (0, OK, 0x1000, swiss_header(3, 0x2000, 0, writing=1))
    assert show_key(4, head, SMALL[1]) == (None, ["raced: written during the read"])


def test_a_key_of_nil(script: Script, show_key: Show) -> None:
    swiss(script)
    assert show_key(4, word=0) == (None, ["absent: nil map"])


@pytest.mark.parametrize(
    ("chunk", "value", "notes"),
    [
        ((2, OK, 0x5000, b"name"), 1, []),
        ((2, OK, 0x5000, b"nome"), None, ["absent: no such key"]),
        ((2, OK, 0x5000, b"na"), None, ["unreadable: not all of its keys were read"]),
        ((2, OK, 0x5000, b"no"), None, ["absent: no such key"]),
        ((2, FAULT, 0x5000, b""), None, ["unreadable: not all of its keys were read"]),
    ],
)
def test_string_keys(script: Script, show_key: Show, chunk: Chunk, value: Any, notes: Any) -> None:
    """Another length is another key, whatever stands behind the pointer."""
    k = script.types["string"]
    script.type("map", MAP, 8)
    script.lines.append(f"map 1 {k} 0 0 0 200 0 8 24 24 24 0")
    control = bytes([1, 2, 3, *[EMPTY_SLOT] * 5])
    slots = [0x5000, 4, 1, 0xDEAD, 2**62, 2, 0, 0, 3]
    group = control + words(*slots, *[0] * 15)
    chunks = ((0, OK, 0x1000, swiss_header(3, 0x2000, 0)), (1, OK, 0x2000, group), chunk)
    assert show_key("name", *chunks) == (value, notes)


@pytest.mark.parametrize(
    ("chunk", "value"),
    [
        (((2, OK, 0x5000, b"password"),), {"password": "***"}),
        (((2, OK, 0x5000, b"username"),), {"username": 1}),
        (((2, OK, 0x5000, b"pass"),), "***"),  # cut off, as by -Z 4
        (((2, FAULT, 0x5000, b""),), "***"),
        ((), "***"),
    ],
)
def test_a_mask_and_keys_that_are_not_known(script: Script, show: Show, chunk: Any, value: Any) -> None:
    """What stands behind a key that the mask cannot be held against is hidden."""
    k = script.types["string"]
    script.type("map", MAP, 8)
    script.lines += [f"map 1 {k} 0 0 0 200 0 8 24 24 24 0", "mask ^pass(word)?$"]
    group = bytes([1, *[EMPTY_SLOT] * 7]) + words(0x5000, 8, 1, *[0] * 21)
    shown, notes = show("map", (0x1000,), (0, OK, 0x1000, swiss_header(1, 0x2000, 0)), (1, OK, 0x2000, group), *chunk)
    if value == "***":
        assert [pair[1] for pair in shown] == ["***"]
    else:
        assert shown == value
    assert ("masked" in str(notes)) == ("***" in str(shown))


def test_a_chain_of_buckets_without_end(script: Script, show: Show) -> None:
    old(script)
    chunks = (
        (0, OK, 0x1000, old_header(2**40, 200, 0x2000)),
        (1, OK, 0x2000, bucket([9], [(1, 10)], overflow=0x2000)),
    )
    value, notes = show("map", (0x1000,), *chunks)
    assert (value, notes) == ({}, {"p": [f"partial: 0 of {2**40}"]})
    script.lines = script.lines[: next(i for i, line in enumerate(script.lines) if line.startswith("func"))]
    chunks = ((0, OK, 0x1000, old_header(5, 0, 0x2000)), chunks[1])
    value, notes = show("map", (0x1000,), *chunks)
    assert value == [[1, 10]] * 64
    assert notes == {"p": ["raced: written during the read"]}


def test_a_map_in_itself(script: Script, show: Show) -> None:
    """type T map[int]T, that holds itself."""
    script.type("map", MAP, 8)
    own = script.types["map"]
    script.lines.append(f"map 1 0 {own} 0 0 136 0 8 16 16 16 0")
    chunks = ((0, OK, 0x1000, swiss_header(1, 0x2000, 0)), (1, OK, 0x2000, swiss_group([1], (5, 0x1000))))
    assert show("map", (0x1000,), *chunks) == ({"5": {"ptr": "0x1000"}}, {"p[5]": ["cycle"]})


def test_strings_as_keys(script: Script, show: Show) -> None:
    """Whole and valid keys make an object; a path is what Go code would say."""
    script.type("map", MAP, 8)
    script.lines.append("map 1 1 0 0 0 200 0 8 24 24 24 0")
    slots = words(0x5000, 3, 2**64 - 1) + words(0x6000, 2, 5)
    group = bytes([1, 2] + [EMPTY_SLOT] * 6) + slots + bytes(200 - 8 - len(slots))
    chunks = (
        (0, OK, 0x1000, swiss_header(2, 0x2000, 0)),
        (1, OK, 0x2000, group),
        (2, OK, 0x5000, b'a"b'),
        (3, OK, 0x6000, b"xy"),
    )
    assert show("map", (0x1000,), *chunks) == ({'a"b': -1, "xy": 5}, {})
    script.lines = script.lines[: next(i for i, line in enumerate(script.lines) if line.startswith("func"))]
    cut = (*chunks[:3], (3, OK, 0x6000, b"\xff\xfe"))
    value, notes = show("map", (0x1000,), *cut)
    assert value == [['a"b', -1], ["\ufffd\ufffd", 5]]
    assert notes == {'p["\ufffd\ufffd"]': ["bytes: fffe"]}


def test_elements_behind_pointers(script: Script, show: Show) -> None:
    """Keys and elements of more than 128 bytes stand behind a pointer."""
    script.struct("big", 136, ("N", "int", 0))
    script.type("map", MAP, 8)
    big = script.types["big"]
    script.lines.append(f"map 1 0 {big} 0 1 136 0 8 16 16 16 0")
    chunks = (
        (0, OK, 0x1000, swiss_header(2, 0x2000, 0)),
        (1, OK, 0x2000, swiss_group([1, 2], (1, 0x3000), (2, 0x4000))),
        (2, OK, 0x3000, words(77) + bytes(128)),
    )
    assert show("map", (0x1000,), *chunks) == ({"1": {"N": 77}, "2": None}, {"p[2]": ["unreadable: not read"]})


# ---- interfaces --------------------------------------------------------------------------------------------------


def interfaces(script: Script) -> None:
    script.lines.append(f"layout 0 8 {BASE}")
    typed(script, "any", INTERFACE, 16, COMPLETE | EMPTY)
    typed(script, "error", INTERFACE, 16, COMPLETE)
    typed(script, "main.N", INT64, 8, COMPLETE, 0x100)
    typed(script, "errors.errorString", STRUCT, 16, COMPLETE, 0x180)
    script.lines.append(f"field s {script.types['string']} 0")
    typed(script, "*errors.errorString", POINTER, 8, COMPLETE | DIRECT, 0x200, "errors.errorString")
    typed(script, "syscall.Errno", UINTPTR, 8, COMPLETE, 0x280)
    typed(script, "[]error", SLICE, 24, COMPLETE, 0, "error")
    script.struct("errors.joinError", 24, ("errs", "[]error", 0))
    typed(script, "*errors.joinError", POINTER, 8, COMPLETE | DIRECT, 0x300, "errors.joinError")


@pytest.mark.parametrize(
    ("of", "regs", "chunks", "value", "notes"),
    [
        ("any", (0, 0), (), None, {}),
        ("error", (0, 5), (), None, {}),
        ("any", (BASE + 0x100, 0x1000), ((0, OK, 0x1000, words(-3)),), {"type": "main.N", "value": -3}, {}),
        (
            "any",
            (BASE + 0x100, 0x1000),
            (),
            {"type": "main.N", "value": None},
            {"p.(main.N)": ["unreadable: not read"]},
        ),
        (
            "error",
            (0x7000, 0x1000),
            ((0, OK, 0x7008, words(BASE + 0x200)), (1, OK, 0x1000, words(0x5000, 4)), (2, OK, 0x5000, b"oops")),
            {"type": "*errors.errorString", "value": {"ptr": "0x1000", "to": {"s": "oops"}}, "text": "oops"},
            {},
        ),
        # no text without the whole of it
        (
            "error",
            (0x7000, 0x1000),
            ((0, OK, 0x7008, words(BASE + 0x200)), (1, OK, 0x1000, words(0x5000, 4)), (2, OK, 0x5000, b"oo")),
            {"type": "*errors.errorString", "value": {"ptr": "0x1000", "to": {"s": "oo"}}},
            {"p.(*errors.errorString).s": ["truncated: 4 bytes"]},
        ),
        ("error", (0x7000, 0x1000), (), None, {"p": ["unreadable: not read"]}),
        (
            "any",
            (BASE + 0x104, 0x1000),
            ((0, OK, 0x1000, b"\x01\x02"),),
            {"type": "?", "value": None},
            {"p": ["not decoded: the make-up of its type is not known", "bytes: 0102"]},
        ),
        (
            "any",
            (BASE + 0x280, 0x1000),
            ((0, OK, 0x1000, words(2)),),
            {"type": "syscall.Errno", "value": 2, "text": "no such file or directory"},
            {},
        ),
        (
            "any",
            (BASE + 0x280, 0x1000),
            ((0, OK, 0x1000, words(2**64 - 1)),),
            {"type": "syscall.Errno", "value": 2**64 - 1, "text": f"errno {2**64 - 1}"},
            {},
        ),
    ],
)
def test_interfaces(script: Script, show: Show, of: str, regs: Any, chunks: Any, value: Any, notes: Any) -> None:
    interfaces(script)
    assert show(of, regs, *chunks) == (value, notes)


def test_errors_that_hold_themselves(script: Script, show: Show) -> None:
    """errors.Join of itself: no text, and an end."""
    interfaces(script)
    chunks = (
        (0, OK, 0x7008, words(BASE + 0x300)),
        (1, OK, 0x1000, words(0x2000, 2, 2)),
        (2, OK, 0x2000, words(0x7000, 0x1000, 0x7000, 0x1000)),
    )
    value, notes = show("error", (0x7000, 0x1000), *chunks, depth=20)
    assert "text" not in value
    assert value["value"]["to"]["errs"][1]["value"] == {"ptr": "0x1000"}
    assert any("cycle" in remark for remarks in notes.values() for remark in remarks)


def test_hostile_records(script: Script) -> None:
    """Random words over all these types: no byte is read that is not there (sanitizers), each line is JSON."""
    swiss(script)
    interfaces(script)
    script.type("func", FUNC, 8)
    script.type("chan", CHAN, 8)
    script.type("[]map", SLICE, 24, "map")
    script.type("map[string]any", MAP, 8)
    script.lines.append(f"map 1 1 {script.types['any']} 0 0 264 0 8 32 24 32 0")
    old_of_maps(script)
    script.func("main.f")
    for kind in (0, 1):
        script.site(kind)
        for op in range(1, 3):
            script.step(op, 64, 256)
        for i, of in enumerate(("map", "any", "error", "func", "chan", "old")):
            script.words(f"p{i}", of, i, 1 if of not in ("any", "error") else 2)
        script.words("p9", "[]map", 0, 3)
    script.begin()
    script.lines.append("random 23 20000")
    for line in script.run():
        json.loads(line)


def old_of_maps(script: Script) -> None:
    script.type("old", MAP, 8)
    inner = script.types["map[string]any"]
    script.lines.append(f"map 0 0 {inner} 0 0 144 0 8 8 72 8 136")
