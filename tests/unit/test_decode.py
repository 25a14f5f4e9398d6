# SPDX-License-Identifier: Apache-2.0
"""Pairing, decoding, JSON lines and text, from records made by hand (decode_harness.c): the exact lines."""

from __future__ import annotations

import json
import re
import struct
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from decode_script import (
    ARRAY,
    CHUNK,
    COMPLEX64,
    COMPLEX128,
    DEREF,
    EACH,
    FAULT,
    FIELD,
    FLOAT32,
    FLOAT64,
    INDEX,
    INT,
    INT8,
    INT16,
    INT32,
    INT64,
    INTERFACE,
    LEN,
    MAP,
    NO_CURG,
    NO_G,
    OK,
    POINTER,
    RECORD_FULL,
    REGISTER,
    SHORT,
    SLICE,
    SYSTEM_STACK,
    UINT,
    UINT8,
    UINT16,
    UINT32,
    UINT64,
    UINTPTR,
    UNSAFE,
    Script,
    harness,
    script,
    without_time,
)

__all__ = ["harness", "script"]


def demo(script: Script) -> None:
    script.type("float32", FLOAT32, 4)
    script.type("int64", INT64, 8)
    script.type("int32", INT32, 4)
    script.func("main.ebpfDemo")
    script.lines += ["param a1 0", "param a2 2", "param a3 4", "result r1 5", "result r2 6", "result r3 1"]
    script.site(0)
    script.step(1, 4, 4)
    script.words("a1", "int", 0)
    script.value("a2", "bool", (0, 1, REGISTER, 1))
    script.value("a3", "float32", (0, 4, CHUNK, 0, 0))
    script.site(1)
    script.step(2, 1, 256)
    script.words("r1", "int64", 0)
    script.value("r2", "int32", (0, 4, REGISTER, 1))
    script.words("r3", "string", 2, 2)


def demo_records(script: Script) -> None:
    spilled = struct.pack("<f", 66.88)
    script.record(0, ts=3_600_000_000_000, regs=(100, 0xFFFFFFFFFFFFFF01), chunks=((0, OK, 0xC000100F58, spilled),))
    text = (0, OK, 0x5000, b"test for ebpf")
    script.record(1, ts=3_600_000_037_100, regs=(100, 200, 0x5000, 13), chunks=(text,))


def test_demo_json(script: Script) -> None:
    demo(script)
    script.begin()
    demo_records(script)
    who = '"pid":7,"tid":8,"goid":18,"call":1,"fid":0,"func":"main.ebpfDemo"'
    assert script.run() == [
        '{"type":"call","ts":3600000000000,' + who + ',"args":{"a1":100,"a2":true,"a3":66.88},"notes":{}}',
        '{"type":"return","ts":3600000037100,' + who + ',"duration_ns":37100,'
        '"results":{"r1":100,"r2":200,"r3":"test for ebpf"},"notes":{}}',
    ]


def test_demo_text(script: Script) -> None:
    demo(script)
    script.begin("text")
    demo_records(script)
    assert without_time(script.run()) == [
        "TIME  G18  main.ebpfDemo(a1=100, a2=true, a3=66.88)",
        'TIME  G18  main.ebpfDemo → (r1=100, r2=200, r3="test for ebpf")  37.1µs',
    ]


def test_text_times_have_the_distance_of_the_clock(script: Script) -> None:
    demo(script)
    script.begin("text")
    demo_records(script)
    first, second = (float(line.split()[0].split(":")[2]) for line in script.run())
    assert round((second - first) * 1e6) % 60_000_000 in (37, 38)  # each is cut to whole microseconds


def test_colors(script: Script) -> None:
    demo(script)
    script.begin("text", color=True, no_args=True)
    demo_records(script)
    assert without_time(script.run()[:1]) == ["\033[2mTIME\033[0m  \033[33mG18\033[0m  \033[1mmain.ebpfDemo\033[0m(…)"]


def test_meta(script: Script) -> None:
    demo(script)
    script.begin()
    text = "\n".join([*script.lines, ""])
    output = subprocess.run([script.program], input=text, capture_output=True, text=True, check=True).stdout
    line = re.sub(r'"monotonic_ns":\d+', '"monotonic_ns":1', output)
    line = re.sub(r'"wall":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z"', '"wall":"W"', line)
    assert line == (
        '{"type":"meta","v":1,"tracer":"0.1.0","binary_id":0,"binary":"/srv/tracee","build_id":"b0b1","go":"go1.26.8",'
        '"clock":{"monotonic_ns":1,"wall":"W"},"functions":[{"fid":0,"name":"main.ebpfDemo","file":"main.go","line":9,'
        '"params":[{"name":"a1","type":"int"},{"name":"a2","type":"bool"},{"name":"a3","type":"float32"}],'
        '"results":[{"name":"r1","type":"int64"},{"name":"r2","type":"int32"},{"name":"r3","type":"string"}],'
        '"returns":true,"warnings":[]}]}\n'
    )


Show = Callable[..., Any]


@pytest.fixture
def show(script: Script) -> Show:
    """show(type, registers, chunks …) → (value, notes) in JSON, the text form of the same."""

    def run(
        of: str, regs: tuple[int, ...], *chunks: tuple[int, int, int, bytes], **limits: Any
    ) -> tuple[Any, Any, str]:
        flags = limits.pop("flags", 0)
        script.func("main.f")
        script.site()
        script.step(1, 64, 64)
        script.step(2, 16, 256)
        script.words("p", of, 0, len(regs))
        kept = list(script.lines)
        script.begin(**limits)
        script.record(regs=regs, chunks=chunks, flags=flags)
        line = json.loads(script.run()[0])
        script.lines = kept
        script.begin("text", **limits)
        script.record(regs=regs, chunks=chunks, flags=flags)
        text = re.fullmatch(r".*main\.f\(p=(.*)\)", script.run()[0])
        assert text
        return line["args"]["p"], line["notes"], text.group(1)

    return run


@pytest.mark.parametrize(
    ("kind", "size", "word", "value"),
    [
        (INT, 8, 2**64 - 1, -1),
        (INT, 8, 2**63, -(2**63)),
        (INT8, 1, 0x1FF, -1),
        (INT16, 2, 0x18000, -32768),
        (INT32, 4, 0xF80000000, -(2**31)),
        (INT64, 8, 2**63 - 1, 2**63 - 1),
        (UINT, 8, 2**64 - 1, 2**64 - 1),
        (UINT8, 1, 0x1FF, 255),
        (UINT16, 2, 0x18000, 32768),
        (UINT32, 4, 0xFFFFFFFF, 2**32 - 1),
        (UINT64, 8, 2**53 + 1, 2**53 + 1),
        (UINTPTR, 8, 2**64 - 2, 2**64 - 2),
    ],
)
def test_integers(script: Script, show: Show, kind: int, size: int, word: int, value: int) -> None:
    script.type("T", kind, size)
    assert show("T", (word,)) == (value, {}, str(value))


@pytest.mark.parametrize(
    ("size", "value", "shown", "text"),
    [
        (4, 66.88, 66.88, "66.88"),
        (4, 0.1, 0.1, "0.1"),
        (8, 0.1, 0.1, "0.1"),
        (8, 5e-324, 5e-324, "5e-324"),
        (8, 1.7976931348623157e308, 1.7976931348623157e308, "1.7976931348623157e+308"),
        (8, float("nan"), "NaN", "NaN"),
        (8, float("inf"), "+Inf", "+Inf"),
        (4, float("-inf"), "-Inf", "-Inf"),
        (8, 3.0, 3, "3"),
    ],
)
def test_floats(script: Script, show: Show, size: int, value: float, shown: object, text: str) -> None:
    script.type("T", FLOAT32 if size == 4 else FLOAT64, size)
    word = int.from_bytes(struct.pack("<f" if size == 4 else "<d", value), "little")
    assert show("T", (word,)) == (shown, {}, text)


def test_complex(script: Script, show: Show) -> None:
    script.type("T", COMPLEX128, 16)
    words = struct.unpack("<QQ", struct.pack("<dd", 1.5, -2.0))
    assert show("T", words) == ([1.5, -2], {}, "(1.5-2i)")


def string_at(addr: int, data: bytes, status: int = OK) -> tuple[int, int, int, bytes]:
    return (1, status, addr, data)


BAD = {"p": ["unreadable: bad address"]}


@pytest.mark.parametrize(
    ("regs", "chunks", "limits", "expected"),
    [
        ((0, 0), (), {}, ("", {}, '""')),
        ((0x5000, 3), (string_at(0x5000, b"abc"),), {}, ("abc", {}, '"abc"')),
        ((0x5001, 2), (string_at(0x5000, b"abc"),), {}, ("bc", {}, '"bc"')),
        (
            (0x5000, 400),
            (string_at(0x5000, b"abcdef"),),
            {"string": 3},
            ("abc", {"p": ["truncated: 400 bytes"]}, '"abc…"(400 bytes)'),
        ),
        ((0x5000, 5), (), {}, ("", {"p": ["truncated: 5 bytes"]}, '"…"(5 bytes)')),
        # what we cut off is no fault of the string: the é that was begun is left out
        (
            (0x5000, 9),
            (string_at(0x5000, "aé".encode()[:2]),),
            {},
            ("a", {"p": ["truncated: 9 bytes"]}, '"a…"(9 bytes)'),
        ),
        ((0x5000, 3), (string_at(0x5000, b"h\xffi"),), {}, ("h\ufffdi", {"p": ["bytes: 68ff69"]}, r'"h\xffi"')),
        (
            (0x5000, 40),
            (string_at(0x5000, b"\xff!"),),
            {},
            ("\ufffd!", {"p": ["truncated: 40 bytes", "bytes: ff21"]}, r'"\xff!…"(40 bytes)'),
        ),
        (
            (0x5000, 17),
            (string_at(0x5000, b'\x1b[31m"\\\n\x7f\xc2\x9b\x00\xe2\x80\xae'),),
            {},
            ('\x1b[31m"\\\n\x7f\x9b\x00\u202e', {"p": ["truncated: 17 bytes"]}, None),
        ),
        ((0x5000, 3), (string_at(0x5000, b"", FAULT),), {}, (None, BAD, "<bad address: not readable here>")),
        ((0, 3), (), {}, (None, BAD, "<bad address: not readable here>")),
        (
            (0x5000, 2**63),
            (string_at(0x5000, b"abc"),),
            {},
            (
                None,
                {"p": ["unreadable: length -9223372036854775808"]},
                "<length -9223372036854775808: not readable here>",
            ),
        ),
        (((2**64) - 1, 3), (string_at(2**64 - 1, b"abc"),), {}, ("", {"p": ["truncated: 3 bytes"]}, '"…"(3 bytes)')),
    ],
)
def test_strings(show: Show, regs: Any, chunks: Any, limits: Any, expected: Any) -> None:
    value, notes, text = show("string", regs, *chunks, **limits)
    assert (value, notes) == expected[:2]
    if expected[2] is not None:
        assert text == expected[2]


def test_terminal_escapes_of_the_traced_program_do_not_reach_the_terminal(show: Show) -> None:
    data = b'\x1b[31m"\\\n\t\r\x7f\xc2\x9b\x00\xe2\x80\xae'
    assert show("string", (0x5000, len(data)), string_at(0x5000, data))[2] == (
        r'"\x1b[31m\"\\\n\t\r\x7f\u009b\x00\u202e"'
    )


def linked(script: Script) -> None:
    """type T struct { X int; _ [2]int; Next *T; S string }"""
    script.type("[2]int", ARRAY, 16, "int", 2)
    script.struct("main.T", 48, ("X", "int", 0), ("_", "[2]int", 8), ("Next", "+1", 24), ("S", "string", 32))
    script.type("*main.T", POINTER, 8, "main.T")
    script.type("**main.T", POINTER, 8, "*main.T")
    script.type("*int", POINTER, 8, "int")
    script.type("*string", POINTER, 8, "string")


def node(x: int, following: int, s: int = 0, n: int = 0) -> bytes:
    return struct.pack("<qqqQQQ", x, 9, 9, following, s, n)


def test_struct_behind_a_pointer(script: Script, show: Show) -> None:
    linked(script)
    value, notes, text = show("*main.T", (0x1000,), (0, OK, 0x1000, node(1, 0, 0x5000, 2)), string_at(0x5000, b"hi"))
    assert value == {"ptr": "0x1000", "to": {"X": 1, "Next": None, "S": "hi"}}
    assert notes == {}
    assert text == '&{X=1, Next=nil, S="hi"}'


def test_depth_ends(script: Script, show: Show) -> None:
    linked(script)
    nodes = [(0, OK, 0x1000 * i, node(i, 0x1000 * (i + 1), 0x9000, 4)) for i in range(1, 5)]
    value, notes, text = show("*main.T", (0x1000,), *nodes, depth=2)
    second = {"X": 2, "Next": {"ptr": "0x3000"}, "S": ""}
    assert value == {"ptr": "0x1000", "to": {"X": 1, "Next": {"ptr": "0x2000", "to": second}, "S": ""}}
    assert notes == {
        "p.Next.Next": ["depth: 2"],
        "p.Next.S": ["truncated: 4 bytes"],
        "p.S": ["truncated: 4 bytes"],
    }
    assert text == '&{X=1, Next=&{X=2, Next=0x3000, S="…"(4 bytes)}, S="…"(4 bytes)}'


def test_cycle_is_closed(script: Script, show: Show) -> None:
    linked(script)
    nodes = ((0, OK, 0x1000, node(1, 0x2000)), (0, OK, 0x2000, node(2, 0x1000)))
    value, notes, text = show("*main.T", (0x1000,), *nodes, depth=50)
    second = {"X": 2, "Next": {"ptr": "0x1000"}, "S": ""}
    assert value == {"ptr": "0x1000", "to": {"X": 1, "Next": {"ptr": "0x2000", "to": second}, "S": ""}}
    assert notes == {"p.Next.Next": ["cycle: p"]}
    assert text == '&{X=1, Next=&{X=2, Next=0x1000 (cycle), S=""}, S=""}'


@pytest.mark.parametrize(
    ("of", "chunks", "flags", "value", "notes", "text"),
    [
        ("*int", ((0, OK, 0x1000, struct.pack("<q", -5)),), 0, -5, {}, "0x1000 → -5"),
        ("*int", ((0, FAULT, 0x1000, b""),), 0, None, BAD, "0x1000 → <bad address: not readable here>"),
        ("*int", (), 0, None, {"p": ["depth: 0"]}, "0x1000"),
        (
            "*int",
            (),
            RECORD_FULL,
            None,
            {"p": ["unreadable: record full"]},
            "0x1000 → <record full: not readable here>",
        ),
        (
            "*string",
            ((0, OK, 0x1000, struct.pack("<QQ", 0x5000, 7)), string_at(0x5000, b"ab")),
            0,
            "ab",
            {"*p": ["truncated: 7 bytes"]},
            '0x1000 → "ab…"(7 bytes)',
        ),
    ],
)
def test_pointers(
    script: Script, show: Show, of: str, chunks: Any, flags: int, value: Any, notes: Any, text: str
) -> None:
    linked(script)
    shown = {"ptr": "0x1000"} if "p" in notes else {"ptr": "0x1000", "to": value}
    assert show(of, (0x1000,), *chunks, flags=flags) == (shown, notes, text)


@pytest.mark.parametrize(("word", "value", "text"), [(0x7F00, {"ptr": "0x7f00"}, "0x7f00"), (0, None, "nil")])
def test_unsafe_pointers(script: Script, show: Show, word: int, value: Any, text: str) -> None:
    script.type("unsafe", UNSAFE, 8)
    assert show("unsafe", (word,)) == (value, {}, text)


def test_paths_follow_go(script: Script, show: Show) -> None:
    linked(script)
    script.type("[]*string", SLICE, 24, "*string")
    script.type("*[]*string", POINTER, 8, "[]*string")
    header = (0, OK, 0x1000, struct.pack("<QQQ", 0x2000, 2, 2))
    items = (1, OK, 0x2000, struct.pack("<QQ", 0x3000, 0x4000))
    text = (1, OK, 0x3000, struct.pack("<QQ", 0x5000, 7))
    notes = show("*[]*string", (0x1000,), header, items, text, (1, FAULT, 0x4000, b""))[1]
    assert notes == {"*(*p)[0]": ["truncated: 7 bytes"], "(*p)[1]": ["unreadable: bad address"]}


def test_field_of_a_pointer_to_a_pointer(script: Script, show: Show) -> None:
    linked(script)
    chunks = ((0, OK, 0x1000, struct.pack("<Q", 0x2000)), (0, OK, 0x2000, node(1, 0, 0x5000, 7)))
    assert show("**main.T", (0x1000,), *chunks)[1] == {"(*p).S": ["truncated: 7 bytes"]}


def test_slices(script: Script, show: Show) -> None:
    script.type("[]int", SLICE, 24, "int")
    three = (1, OK, 0x2000, struct.pack("<qqq", 1, 2, 3))
    assert show("[]int", (0x2000, 3, 8), three) == ([1, 2, 3], {}, "[1, 2, 3]")


@pytest.mark.parametrize(
    ("regs", "chunks", "elements", "expected"),
    [
        ((0, 0, 0), (), 64, (None, {}, "nil")),
        ((0x2000, 0, 4), (), 64, ([], {}, "[]")),
        (
            (0x2000, 40, 40),
            ((1, OK, 0x2000, struct.pack("<qqq", 1, 2, 3)),),
            2,
            ([1, 2], {"p": ["partial: 2 of 40"]}, "[1, 2, …(40)]"),
        ),
        (
            (0x2000, 40, 40),
            ((1, SHORT, 0x2000, struct.pack("<qqi", 1, 2, 3)),),
            64,
            ([1, 2], {"p": ["partial: 2 of 40"]}, "[1, 2, …(40)]"),
        ),
        ((0x2000, 3, 3), (), 64, ([], {"p": ["partial: 0 of 3"]}, "[…(3)]")),
        ((0x2000, 3, 3), ((1, FAULT, 0x2000, b""),), 64, (None, BAD, "<bad address: not readable here>")),
        # the fault of a step that was to read more than its address alone
        ((0x2010, 3, 3), ((1, FAULT, 0x2000, b""),), 64, (None, BAD, "<bad address: not readable here>")),
        (
            (0x2000, 2**64 - 1, 3),
            (),
            64,
            (None, {"p": ["unreadable: length -1"]}, "<length -1: not readable here>"),
        ),
    ],
)
def test_slices_that_are_not_whole(
    script: Script, show: Show, regs: Any, chunks: Any, elements: int, expected: Any
) -> None:
    script.type("[]int", SLICE, 24, "int")
    assert show("[]int", regs, *chunks, elements=elements) == expected


def test_bytes_and_strings_in_slices(script: Script, show: Show) -> None:
    script.type("[]string", SLICE, 24, "string")
    headers = struct.pack("<QQQQ", 0x5000, 2, 0x6000, 30)
    chunks = ((1, OK, 0x2000, headers), (0, OK, 0x5000, b"ab"), (0, OK, 0x6000, b"cd"))
    assert show("[]string", (0x2000, 2, 2), *chunks) == (
        ["ab", "cd"],
        {"p[1]": ["truncated: 30 bytes"]},
        '["ab", "cd…"(30 bytes)]',
    )


def test_a_slice_that_holds_itself(script: Script, show: Show) -> None:
    script.lines.append("type main.L 23 24 4 0 1")
    script.types["main.L"] = 4
    header = struct.pack("<QQQ", 0x2000, 1, 1)
    assert show("main.L", (0x2000, 1, 1), (1, OK, 0x2000, header)) == (
        [[]],
        {"p[0]": ["partial: 0 of 1"]},
        "[[…(1)]]",
    )


def test_arrays(script: Script, show: Show) -> None:
    script.type("[3]int", ARRAY, 24, "int", 3)
    assert show("[3]int", (1, 2, 3), elements=64) == ([1, 2, 3], {}, "[1, 2, 3]")
    script.lines = script.lines[: next(i for i, line in enumerate(script.lines) if line.startswith("func"))]
    assert show("[3]int", (1, 2, 3), elements=2) == ([1, 2], {"p": ["partial: 2 of 3"]}, "[1, 2, …(3)]")


@pytest.mark.parametrize(
    ("piece", "why"),
    [
        ((0, 8, 0, 0, 0, 1, 3), "unreadable: in xmm3"),
        ((0, 8, 0, 0, 0, 2, 0), "unreadable: its register was overwritten"),
        ((0, 8, 0, 0, 0, 3, 0), "not decoded: its type"),
        ((0, 8, 0, 0, 0, 4, 0), "unreadable: too large for a record"),
        ((0, 8, 0, 0, 0, 0, 0), "unreadable: no location"),
        ((0, 8, REGISTER, 10), "unreadable: no location"),
        ((0, 8, CHUNK, 0, 0), "unreadable: not read"),
        ((0, 4, REGISTER, 0), "unreadable: no location"),
    ],
)
def test_pieces_that_are_not_there(script: Script, piece: tuple[int, ...], why: str) -> None:
    script.func("main.f")
    script.site()
    script.value("p", "int", piece)
    script.begin()
    script.record()
    line = json.loads(script.run()[0])
    assert (line["args"], line["notes"]) == ({"p": None}, {"p": [why]})


HALF, CONSTANT = struct.pack("<d", 0.5), 7


@pytest.mark.parametrize(
    ("frame", "bias", "shown"),
    [
        (struct.pack("<Q", 0x402000) + HALF, 0, 0.5),
        (struct.pack("<Q", 0x7F0000402000) + HALF, 0x7F0000000000, 0.5),
        (struct.pack("<Q", 0x7F0000402000) + HALF, 0, None),  # another program's
        (struct.pack("<Q", 0x402005), 0, 0.25),
        (struct.pack("<Q", 0x40200A) + HALF, 0, None),  # of that call another register is known
        (struct.pack("<Q", 0x40200F) + HALF, 0, None),  # only four bytes of it
        (struct.pack("<Q", 0x402014) + HALF, 0, None),  # behind what was read
        (struct.pack("<Q", 0x402019) + HALF, 0, None),  # before it
        (struct.pack("<Q", 0x40201E) + HALF, 0, None),  # a step that read nothing
        (struct.pack("<Q", 0x402001) + HALF, 0, None),
        (struct.pack("<Q", 0x500000) + HALF, 0, None),
        (struct.pack("<Q", 0) + HALF, 0, None),
        (struct.pack("<Q", 0x402000) + HALF[:7], 0, None),
        (b"\0\0\0", 0, None),
        (None, 0, None),
    ],
)
def test_a_float_that_the_caller_has(script: Script, frame: bytes | None, bias: int, shown: float | None) -> None:
    """Found by the return address; what is not known of that call is null as it was."""
    script.type("float64", FLOAT64, 8)
    script.func("main.f")
    script.site()
    script.step(1, 16, 0)
    script.value("p", "float64", (0, 8, 0, 0, 0, 1, 3, 2))
    script.value("q", "float64", (0, 8, 0, 0, 0, 1, 4, 0))
    script.caller(0x402000, 1, 8, CHUNK, 0, 8)
    script.caller(0x402005, 1, 8, CONSTANT, 0, 0, constant=struct.unpack("<Q", struct.pack("<d", 0.25))[0])
    script.caller(0x40200A, 2, 8, CHUNK, 0, 8)
    script.caller(0x40200F, 1, 4, CHUNK, 0, 8)
    script.caller(0x402014, 1, 8, CHUNK, 0, 9)
    script.caller(0x402019, 1, 8, CHUNK, 0, -8)
    script.caller(0x40201E, 1, 8, CHUNK, 1, 0)
    script.begin()
    script.record(bias=bias, chunks=((0, OK, 0xC000100F00, frame),) if frame is not None else ())
    line = json.loads(script.run()[0])
    notes = {"q": ["unreadable: in xmm4"]} if shown else {"p": ["unreadable: in xmm3"], "q": ["unreadable: in xmm4"]}
    assert (line["args"], line["notes"]) == ({"p": shown, "q": None}, notes)


def test_a_value_that_is_out_of_reach_as_a_whole_is_said_once(script: Script) -> None:
    script.type("[9]int", ARRAY, 72, "int", 9)
    script.struct("main.S", 80, ("A", "[9]int", 0), ("B", "int", 72))
    script.func("main.f")
    script.site()
    script.value("p", "main.S", (0, 72, 0, 0, 0, 4, 0), (72, 8, REGISTER, 0))
    script.value("q", "main.S", (0, 80, 0, 0, 0, 4, 0))
    script.begin()
    script.record(regs=(5,))
    line = json.loads(script.run()[0])
    assert line["args"] == {"p": {"A": None, "B": 5}, "q": None}
    large = ["unreadable: too large for a record"]
    assert line["notes"] == {"p.A": large, "q": large}


@pytest.mark.parametrize(
    ("goid", "flags", "shown", "notes", "text"),
    [
        (18, 0, 18, {}, "G18  main.f()"),
        (18, SYSTEM_STACK, 18, {"": ["on the system stack"]}, "G18  main.f()  [on the system stack]"),
        (0, NO_G, None, {"": ["goroutine unknown: g could not be read"]}, "G?  main.f()"),
        (
            0,
            SYSTEM_STACK,
            None,
            {"": ["on the system stack", "goroutine unknown: the thread runs none"]},
            "G?  main.f()  [on the system stack]",
        ),
        (
            0,
            SYSTEM_STACK | NO_CURG,
            None,
            {"": ["on the system stack", "goroutine unknown: m.curg could not be read"]},
            "G?  main.f()  [on the system stack]",
        ),
    ],
)
def test_goroutines(script: Script, goid: int, flags: int, shown: Any, notes: Any, text: str) -> None:
    script.func("main.f")
    script.site()
    kept = list(script.lines)
    script.begin()
    script.record(goid=goid, flags=flags)
    line = json.loads(script.run()[0])
    assert (line["goid"], line["notes"]) == (shown, notes)
    script.lines = kept
    script.begin("text")
    script.record(goid=goid, flags=flags)
    assert without_time(script.run()) == [f"TIME  {text}"]


def test_what_was_not_asked_for(script: Script) -> None:
    demo(script)
    kept = list(script.lines)
    script.begin(no_args=True, no_results=True)
    demo_records(script)
    lines = [json.loads(line) for line in script.run()]
    assert (lines[0]["args"], lines[1]["results"]) == ({}, {})
    script.lines = kept
    script.begin("text", no_args=True, no_results=True)
    demo_records(script)
    assert without_time(script.run()) == ["TIME  G18  main.ebpfDemo(…)", "TIME  G18  main.ebpfDemo → (…)  37.1µs"]


# ---- hostile records -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("output", ["json", "text"])
def test_hostile_records(script: Script, output: str) -> None:
    """100,003 records of rubbish under ASan and UBSan: no crash, and each line is whole."""
    linked(script)
    script.type("[]main.T", SLICE, 24, "main.T")
    script.type("[3]string", ARRAY, 48, "string", 3)
    script.type("*[3]string", POINTER, 8, "[3]string")
    script.lines.append(f"type main.L 23 24 {len(script.types)} 0 1")
    script.types["main.L"] = len(script.types)
    script.type("[1<<40]int", ARRAY, 2**43, "int", 2**40)
    script.type("*[1<<40]int", POINTER, 8, "[1<<40]int")
    script.type("complex64", COMPLEX64, 8)
    script.func("main.f")
    script.site()
    script.step(1, 48, 48)
    script.step(2, 1, 256)
    script.step(2, 16, 256)
    for i, of in enumerate(("*main.T", "**main.T", "*[3]string", "*[1<<40]int", "complex64", "*string")):
        script.words(f"p{i}", of, i)
    for i, of in enumerate(("string", "[]main.T", "main.L")):
        script.words(f"s{i}", of, 2 * i, 2)
    script.value("t", "main.T", (0, 48, CHUNK, 0, 0))
    script.value("a", "[3]string", (0, 48, CHUNK, 1, -8))
    script.site(1, frame=24)
    script.words("r", "**main.T", 9)
    script.func("main.g", once=True)
    script.site()
    script.site(1)
    script.begin(output, depth=4)
    script.lines += ["random 41 100003", "raw 00", "stop"]
    lines = script.run()
    if output == "json":
        assert {json.loads(line)["type"] for line in lines} == {"call", "return", "process"}
    assert len(lines) > 50000
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e]", "".join(lines))


@pytest.mark.parametrize("output", ["json", "text"])
def test_hostile_ways(script: Script, output: str) -> None:
    """Expressions of a forged plan, whose ways fit neither each other nor the records."""
    linked(script)
    script.type("[]main.T", SLICE, 24, "main.T")
    script.type("[1<<40]int", ARRAY, 2**43, "int", 2**40)
    script.type("error", INTERFACE, 16)
    script.type("map", MAP, 8)
    script.func("main.f")
    script.site()
    script.step(1, 48, 48)
    script.step(2, 1, 256)
    kinds = ("*main.T", "main.T", "[]main.T", "[1<<40]int", "string", "error", "map", "int")
    for i in range(61):
        script.words(f"w{i}", kinds[i % 8], i % 7, 2)
        for k in range(1 + i % 5):
            script.way(FIELD + (i + 5 * k) % 9, kinds[(i * 3 + k) % 8], (i * k) % 70, (70, 300, 2**32 - 1)[i % 3])
    script.words("deep", "[]main.T", 0, 3)
    for _ in range(64):
        script.way(EACH, "[1<<40]int", 0, 2**32 - 1)
    script.begin(output, depth=4)
    script.lines += ["random 43 53", "raw 00", "stop"]
    lines = script.run()
    assert len(lines) > 9
    if output == "json":
        assert {json.loads(line)["type"] for line in lines} <= {"call", "return", "process"}


def test_elements_without_size(script: Script) -> None:
    """No memory bounds how many there are."""
    script.struct("struct{}", 0)
    script.type("[n]struct{}", ARRAY, 0, "struct{}", 1 << 40)
    script.func("main.f")
    script.site()
    script.value("p", "[n]struct{}", (0, 0, REGISTER, 0))
    script.begin(elements=2**32 - 1)
    script.record()
    (line,) = script.run()
    event = json.loads(line)
    assert 0 < len(event["args"]["p"]) < 100_000
    assert event["notes"]["p"] == [f"partial: {len(event['args']['p'])} of {1 << 40}"]


# ---- expressions and masks (what they lead to in real programs: tests/live/test_args.py) --------------------


def test_ways(script: Script) -> None:
    linked(script)
    script.type("[]main.T", SLICE, 24, "main.T")
    script.func("main.f")
    script.site()
    script.step(1, 48, 48)
    script.step(2, 48, 4096)
    script.words("p.Next.S", "*main.T", 0)
    script.way(DEREF, "main.T")
    script.way(FIELD, "*main.T", 24, name="Next")
    script.way(DEREF, "main.T")
    script.way(FIELD, "string", 32, name="S")
    script.words("p.Next.Next.X", "*main.T", 0)
    for _ in range(2):
        script.way(DEREF, "main.T")
        script.way(FIELD, "*main.T", 24, name="Next")
    script.way(DEREF, "main.T")
    script.way(FIELD, "int", 0, name="X")
    script.words("xs[:2].S", "[]main.T", 1, 3)
    script.way(EACH, "main.T", 0, 2, "xs")
    script.way(FIELD, "string", 32, name="S")
    script.words("xs[3].X", "[]main.T", 1, 3)
    script.way(INDEX, "main.T", 3)
    script.way(FIELD, "int", 0, name="X")
    script.words("len(xs)", "[]main.T", 1, 3)
    script.way(LEN, "int")
    script.begin()
    chunks = (
        (0, OK, 0x1000, node(1, 0x2000)),
        (0, OK, 0x2000, node(2, 0, 0x5000, 2)),
        (1, OK, 0x8000, node(7, 0, 0x5000, 2) + node(8, 0, 0x6000, 5)),
        string_at(0x5000, b"hi"),
        (1, FAULT, 0x6000, b""),
    )
    script.record(regs=(0x1000, 0x8000, 3, 3), chunks=chunks)
    (line,) = script.run()
    event = json.loads(line)
    assert event["args"] == {
        "p.Next.S": "hi",
        "p.Next.Next.X": None,
        "xs[:2].S": ["hi", None],
        "xs[3].X": None,
        "len(xs)": 3,
    }
    assert event["notes"] == {
        "p.Next.Next.X": ["unreadable: nil pointer"],
        "xs[1].S": ["unreadable: bad address"],
        "xs[3].X": ["unreadable: index 3, length 3"],
    }


@pytest.mark.parametrize(("output", "expected"), [("json", '{"p":"***"}'), ("text", 'main.f(p="***")')])
def test_mask(script: Script, output: str, expected: str) -> None:
    script.func("main.f")
    script.site()
    script.words("p", "int", 0)
    script.lines.append("mask ^[xP]$")
    script.begin(output)
    script.record(regs=(7,))
    (line,) = script.run()
    assert expected in line
    if output == "json":
        assert json.loads(line)["notes"] == {"p": ["masked"]}
