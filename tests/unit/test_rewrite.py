# SPDX-License-Identifier: Apache-2.0
"""What `rewrite` plans: place and bytes of each change, by the calling convention of the version; and every refusal."""

from __future__ import annotations

import io
import os
import re
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tracing import ROOT

from tracer import rewriting
from tracer.binary import open_binary
from tracer.cli import main
from tracer.errors import TracerError
from tracer.plan import ReadOptions
from tracer.report import Messages
from tracer.rewriting import RewriteRequest, Rewriting
from tracer.summary import COUNTERS, SHORT, FunctionSummary, Summary

SOURCE = ROOT / "tests" / "live" / "programs" / "rewrite"
VERSIONS = ("1.15", "1.17", "1.21", "1.26", "1.27")
Build = Callable[..., Path]


@pytest.fixture
def program(go_program: Build) -> Build:
    return lambda version="1.26", mode="default": go_program(SOURCE, version, mode)


@contextmanager
def rewriting_of(path: Path, function: str, *set: str, where: str | None = None, **more: object) -> Iterator[Rewriting]:
    request = RewriteRequest(function=function, set=set, **more)  # type: ignore[arg-type]
    with open_binary(str(path), [], None) as binary, Rewriting(binary, request, ReadOptions(where=where)) as r:
        yield r


def planned(path: Path, function: str, *set: str, **more: object) -> list[tuple[str, ...]]:
    """(name, type, place, value, bytes) of each change."""
    with rewriting_of(path, function, *set, **more) as r:  # type: ignore[arg-type]
        return [(c.name, c.type, c.place, c.shown, c.written) for c in r.changes]


def refused(path: Path, function: str, *set: str, **more: object) -> TracerError:
    with pytest.raises(TracerError) as caught:
        planned(path, function, *set, **more)
    return caught.value


# ---- places -----------------------------------------------------------------------------------------------------

KINDS = ("b=false", "i8=-128", "u16=65535", "c=9", "i64=-0x10", "p=nil")


@pytest.mark.parametrize("version", VERSIONS)
def test_places(version: str, program: Build) -> None:
    """Registers in the order of the convention from 1.17 on; before, the stack, packed as a struct is."""
    got = planned(program(version), "main.kinds", ", ".join(KINDS))
    names = ["b bool", "i8 int8", "u16 uint16", "c main.Color", "i64 int64", "p *main.Request"]
    assert [f"{name} {type}" for name, type, *_ in got] == names
    places = [place for _, _, place, _, _ in got]
    written = [w for *_, w in got]
    if version == "1.15":
        assert places == ["sp+0x8", "sp+0x9", "sp+0xa", "sp+0xc", "sp+0x10", "sp+0x30"]
        assert written == ["00", "80", "ff ff", "09", "f0 ff ff ff ff ff ff ff", "00 00 00 00 00 00 00 00"]
    else:
        assert places == ["rax", "rbx", "rcx", "rdi", "rsi", "r10"]
        assert written == ["0x0", "0xffffffffffffff80", "0xffff", "0x9", "0xfffffffffffffff0", "0x0"]


@pytest.mark.parametrize("version", ["1.15", "1.26"])
def test_behind_pointers(version: str, program: Build) -> None:
    got = planned(
        program(version),
        "main.handle",
        'p.Method="PUT", p.Retries=-1, p.Price=0.5, p.Inner.B=7, p.Items[1]=22, p.Next.Retries=1, xs[2]=77, in.B=3',
    )
    p, xs, inner = ("sp+0x8", "sp+0x10", "sp+0x2a") if version == "1.15" else ("rax", "rbx", "r8")
    half = struct.pack("<d", 0.5).hex(" ")
    assert [(place, written) for _, _, place, _, written in got] == [
        (f"{p} → +0x0", "in place 50 55 54, length 3"),
        (f"{p} → +0x10", "ff"),
        (f"{p} → +0x18", half),
        (f"{p} → +0x22", "07 00"),
        (f"{p} → +0x28 → +0x4", "16 00 00 00"),
        (f"{p} → +0x40 → +0x10", "01"),
        (f"{xs} → +0x8", "4d 00 00 00"),
        (inner, "03 00" if version == "1.15" else "0x3"),
    ]


@pytest.mark.parametrize("version", ["1.15", "1.26"])
def test_a_string_becomes_a_constant_of_the_program(version: str, program: Build) -> None:
    """What the program has among its constants is pointed to; the bytes at that address are those."""
    path = program(version)
    ((_, _, place, shown, written),) = planned(path, "main.text", 's="literal of"')
    assert (place, shown) == ("sp+0x8" if version == "1.15" else "rax, rbx", '"literal of"')
    found = re.fullmatch(r"address 0x([0-9a-f]+) \(a constant of the program\), length 10", written)
    assert found
    sections = subprocess.run(["readelf", "-SW", path], capture_output=True, text=True, check=True).stdout
    rodata = re.search(r"\.rodata +PROGBITS +([0-9a-f]+) +([0-9a-f]+) +([0-9a-f]+) +00 +(\w+) ", sections)
    assert rodata and rodata[4] == "A"  # allocated, and not writable
    address, offset, size = (int(rodata[i], 16) for i in (1, 2, 3))
    at = int(found[1], 16)
    assert address <= at <= address + size - 10
    assert path.read_bytes()[offset + at - address :][:10] == b"literal of"


@pytest.mark.parametrize("version", ["1.15", "1.26"])
def test_position_independent(version: str, program: Build) -> None:
    """Places are those of a program that is linked to one address; what is at an address is told by link addresses,
    and found in a process wherever the program was loaded."""
    path = program(version, "pie")
    assert [w[:4] for w in planned(path, "main.kinds", *KINDS)] == [
        w[:4] for w in planned(program(version), "main.kinds", *KINDS)
    ]
    symbols = subprocess.run(["readelf", "-sW", path], capture_output=True, text=True, check=True).stdout
    process = subprocess.Popen([path, "-wait"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout and process.stdout.readline() == "ready\n"
        for name, is_nil in (("main.ErrFull", False), ("main.ErrUnset", True)):
            with rewriting_of(path, "main.read", fail=f"err={name}") as r:
                (change,) = r.changes
                address = re.search(rf"([0-9a-f]+) +16 OBJECT .* {re.escape(name)}$", symbols, re.MULTILINE)
                assert address and change.variable == int(address[1], 16)
                r.refusals = lambda: iter(())  # type: ignore[method-assign] # whatever this kernel allows
                assert r._bias(process.pid)
                if not is_nil:
                    r.check([process.pid])
                    continue
                with pytest.raises(TracerError) as caught:
                    r.check([process.pid])
                assert caught.value.message == f"{name} is nil in process {process.pid}: err cannot be set to it"
                assert caught.value.exit_code == 1
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("version", ["1.15", "1.26"])
def test_results(version: str, program: Build) -> None:
    got = planned(program(version), "main.read", set_results=('got=-1, what="", err=nil',))
    places = [place for _, _, place, _, _ in got]
    assert places == (["sp+0x10", "sp+0x18", "sp+0x28"] if version == "1.15" else ["rax", "rbx, rcx", "rdi, rsi"])


@pytest.mark.parametrize("version", ["1.15", "1.26"])
@pytest.mark.parametrize("how", ["fail", "set_results", "skip"])
def test_an_error_is_a_variable_of_the_program(how: str, version: str, program: Build) -> None:
    path = program(version)
    text = "err=io.ErrUnexpectedEOF"
    got = planned(path, "main.read", **{how: (text,) if how == "set_results" else text})
    symbols = subprocess.run(["readelf", "-sW", path], capture_output=True, text=True, check=True).stdout
    address = re.search(r"([0-9a-f]+) +16 OBJECT .* io\.ErrUnexpectedEOF$", symbols, re.MULTILINE)
    assert address
    assert got[0][:2] == ("err", "error")
    assert got[0][3:] == ("io.ErrUnexpectedEOF", f"the two words at {int(address[1], 16):#x}")


def test_skip_sets_every_result(program: Build) -> None:
    got = planned(program(), "main.read", skip="err=io.EOF")
    assert [(name, shown) for name, _, _, shown, _ in got] == [("err", "io.EOF"), ("got", "0"), ("what", '""')]
    got = planned(program(), "main.read", skip="")
    assert [place for _, _, place, _, _ in got] == ["rax", "rbx, rcx", "rdi, rsi"]


EMPTY = [f"e{i}" for i in range(60)]
RESULTS = """package main

import (
	"fmt"
	"io"
)

type none struct{}

//go:noinline
func many(n int) (err error, a int, pair [2]int) { return io.EOF, n, pair }

//go:noinline
func empty(n int) (EMPTY none, k int) { fmt.Println(n); return }

func main() { fmt.Println(many(1)); fmt.Println(empty(2)) }
""".replace("EMPTY", ", ".join(EMPTY))


def test_skip_knows_a_result_by_any_text(program: Build) -> None:
    got = planned(program(), "main.read", skip="(got)=7, err=io.EOF")
    assert [(name, shown) for name, _, _, shown, _ in got] == [("(got)", "7"), ("err", "io.EOF"), ("what", '""')]


@pytest.mark.parametrize("skip", ["err=io.EOF, a=5", "a=5, err=io.EOF"])
def test_skip_writes_first_what_can_fail(skip: str, go_program: Build) -> None:
    """A call that cannot be skipped goes on with its arguments, which stand in registers."""
    with rewriting_of(go_program(RESULTS), "main.many", skip=skip) as r:
        changes = [(c.name, c.place) for c in r.changes]
        site = r._rewrite.site[0]
        first = [site.changes[i].first_write for i in range(site.n_changes)]
        written = [r._bytes(site.writes[i]) for i in range(site.n_writes)]
    assert [change for _, change in sorted(zip(first, changes))] == [
        ("pair", "sp+0x8"),
        ("err", "rax, rbx"),
        ("a", "rcx"),
    ]
    assert written[0] == " ".join(["00"] * 16) and written[1].startswith("the two words at 0x")
    assert written[2:] == ["0x5"]


def test_skip_of_more_results_than_are_written(go_program: Build) -> None:
    """Those without bytes take none of the room."""
    got = planned(go_program(RESULTS, "1.15"), "main.empty", skip="k=7")
    assert [(name, shown, written) for name, _, _, shown, written in got] == [
        ("k", "7", struct.pack("<q", 7).hex(" ")),
        *((name, "{}", "") for name in EMPTY),
    ]


def test_list_errors(program: Build, capsys: pytest.CaptureFixture[str]) -> None:
    path = program()
    assert main(["rewrite", "-b", str(path), "--list-errors"]) == 0
    names = capsys.readouterr().out.split()
    assert names == sorted(names)
    assert {"main.ErrFull", "main.ErrUnset", "io.EOF", "io.ErrUnexpectedEOF"} <= set(names)
    # each is one of the program's, and of the type error by another's word
    dump = subprocess.run(["llvm-dwarfdump", "--name=main.ErrFull", path], capture_output=True, text=True, check=True)
    assert '"error"' in dump.stdout
    assert "main.seen" not in names


# ---- refusals ---------------------------------------------------------------------------------------------------

WRONG = [
    ("main.kinds", "i8=128", "i8 is int8, which holds -128 to 127"),
    ("main.kinds", "i8=-129", "i8 is int8, which holds -128 to 127"),
    ("main.kinds", "u16=-1", "u16 is uint16, which holds 0 to 65535"),
    ("main.kinds", "c=256", "c is main.Color, which holds 0 to 255"),
    ("main.kinds", "i64=9223372036854775808", "i64 is int64, which holds -9223372036854775808 to 9223372036854775807"),
    ("main.kinds", "i64=1.5", "i64 is int64: a whole number is wanted"),
    ("main.kinds", "b=1", "b is bool: true or false is wanted"),
    ("main.kinds", "s=bob", "s is string: a literal value is wanted"),
    ("main.kinds", "s=5", "s is string: a string in double quotes is wanted"),
    ("main.kinds", 's="bob', "a string without its end"),
    ("main.kinds", "p=5", "p is *main.Request: nothing but nil can be set"),
    ("main.kinds", "p.Price=1e999", "p.Price is float64: the number is too large for it"),
    ("main.kinds", 'e="boom"', "an error cannot be made of this: the name of a package-level variable"),
    ("main.kinds", "e=io.Nope", "the program has no package-level variable 'io.Nope' of type error"),
    ("main.kinds", "e=main.seen", "the program has no package-level variable 'main.seen' of type error"),
    ("main.kinds", "x=5", "main.kinds: there is no parameter or result 'x'"),
    ("main.kinds", "p.Nope=5", "main.Request has no field 'Nope'"),
    ("main.kinds", "b", "--set: an assignment is wanted, like a1=2021"),
    ("main.kinds", "b==true", "--set: an assignment is wanted, like a1=2021"),
    ("main.kinds", "b=", "--set: the value is missing"),
    ("main.kinds", "=true", "--set: what is to be set is missing"),
    ("main.kinds", "b=true, b=false", "--set: b is set twice"),
    ("main.kinds", "b=true, (b)=false", "(b) is set twice: it is the place of b"),
    ("main.kinds", 's="literal of", (s)="x"', "(s) is set twice: it is the place of s"),
    ("main.handle", "p.Retries=1, (*p).Retries=2", "(*p).Retries is set twice: it is the place of p.Retries"),
    ("main.handle", "p.Next.Retries=1, (p.Next).Retries=2", "is set twice: it is the place of p.Next.Retries"),
    ("main.handle", "xs[2]=1, xs[1:][1]=2", "xs[1:][1] is set twice: it is the place of xs[2]"),
    ("main.handle", "in.A=1, in.B=2, (in).A=3", "(in).A is set twice: it is the place of in.A"),
    ("main.kinds", ",".join(f"p.Items[{i}]=1" for i in range(9)), "--set: more than 8 assignments"),
    ("main.handle", "p.Method[0]=5", "p.Method[0] cannot be set: the bytes of a string are shared"),
    ("main.handle", "len(xs)=5", "len(xs) cannot be set: lengths are not set by themselves"),
    ("main.handle", "xs[:2]=5", "xs[:2] cannot be set: a range is no single place"),
    ("main.handle", "in=5", "in is main.Inner: it is set field by field, like a1.Field=1"),
    ("main.handle", "p.Next.Next.Next.Next.Next.Retries=1", "more pointers on the way than are followed"),
    ("main.target", "r1=5", "r1 cannot be set: it is a result; --set-result sets those"),
]


@pytest.mark.parametrize(("function", "text", "message"), WRONG, ids=[text[:30] for _, text, _ in WRONG])
def test_wrong(function: str, text: str, message: str, program: Build) -> None:
    error = refused(program(), function, text)
    assert message in error.message
    assert error.exit_code == 2


CANNOT = [
    ("main.kinds", "f=1.5", "f cannot be written: it stands in xmm0, and no BPF program can write a floating-point"),
    ("main.handle", "p.Err=io.EOF", "p.Err cannot be written: pointers in memory that the garbage collector watches"),
    ("main.handle", "p.Next=nil", "p.Next cannot be written: pointers in memory that the garbage collector watches"),
    ("main.handle", "p.Items=nil", "p.Items cannot be written: pointers in memory that the garbage collector watches"),
    ("main.spin", "n=nil", "main.spin cannot be rewritten: its first instruction is a loop's head"),
    ("main.text", f's="{"é" * 200}"', "the string is longer than what is written in place"),
]


@pytest.mark.parametrize(("function", "text", "message"), CANNOT, ids=[text[:20] for _, text, _ in CANNOT])
def test_what_cannot_be_written(function: str, text: str, message: str, program: Build) -> None:
    error = refused(program(), function, text)
    assert message in error.message
    assert error.exit_code == 1


def test_a_float_on_the_stack(program: Build) -> None:
    """What a register does not allow, the older convention does."""
    assert planned(program("1.15"), "main.kinds", "f=-0.25") == [
        ("f", "float64", "sp+0x18", "-0.25", struct.pack("<d", -0.25).hex(" "))
    ]


def test_only_inlined(program: Build) -> None:
    error = refused(program(), "main.small", "a=1")
    assert "only as inlined copies" in error.message
    assert error.exit_code == 3


def test_not_there(program: Build) -> None:
    error = refused(program(), "main.targt", "n=1")
    assert "'main.targt' not found" in error.message
    assert "main.target" in (error.hint or "")
    assert error.exit_code == 3


def test_more_than_one_function(program: Build) -> None:
    error = refused(program(), "main.t*", "n=1")
    assert error.exit_code == 2


def test_without_debug_information(program: Build) -> None:
    error = refused(program(mode="stripped"), "main.target", "n=1")
    assert error.code == "no_dwarf"
    assert error.exit_code == 3


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({}, "nothing is to be changed"),
        ({"skip": "", "set_results": ("got=1",)}, "--skip gives the results itself"),
        ({"fail": "got=io.EOF"}, "got is int: --fail sets errors"),
        ({"fail": "err=nil"}, "the program has no package-level variable 'nil' of type error"),
        ({"fail": "err=io.EOF, err=io.EOF"}, "--fail: err is set twice"),
        ({"skip": "got=1, (got)=2"}, "(got) is set twice: it is the place of got"),
        ({"set_results": ("err=nil",), "fail": "err=io.EOF"}, "err is set twice: it is the place of err"),
        ({"set_results": ("n=1",)}, "n cannot be set: it is an argument; --set sets those"),
        ({"skip": "n=1"}, "n cannot be set: it is an argument; --set sets those"),
        ({"skip": 'what="not among its constants: "'}, "the program has no constant with these bytes"),
    ],
)
def test_wrong_results(more: dict[str, object], message: str, program: Build) -> None:
    assert message in refused(program(), "main.read", **more).message


def test_results_are_written_at_the_ret(program: Build) -> None:
    """Also where a trace would read a float before the frame is gone: places on the stack are counted from there."""
    for version in ("1.15", "1.26"):
        with rewriting_of(program(version), "main.wide", set_results=("j=7",)) as r:
            (change,) = r.changes
            (function,) = r.plan.functions()
            assert {s.insn for s in function.sites if not s.entry} == {"ret"}
        # the last word of ten, which no register is left for; and what the caller keeps for the registers' values
        assert change.place == ("sp+0x58" if version == "1.15" else "sp+0x8")


# ---- conditions -------------------------------------------------------------------------------------------------

CONDITIONS = [
    ({}, "keep > 10", True, False),
    ({}, "goid == 1 && n < 5", True, False),
    ({"set": (), "set_results": ("r1=7",)}, "keep > 10", True, False),
    ({"set": (), "set_results": ("r1=7",)}, "keep > 10 && r1 > 5 && duration > 1ms", True, True),
    ({"set": (), "skip": "r1=7"}, "keep > 10", True, False),
]


@pytest.mark.parametrize(("more", "where", "enter", "leave"), CONDITIONS)
def test_condition(more: dict[str, object], where: str, enter: bool, leave: bool, program: Build) -> None:
    request = {"set": ("n=2021",), **more}
    set = request.pop("set")
    with rewriting_of(program(), "main.target", *set, where=where, **request) as r:  # type: ignore[arg-type,misc]
        (filter,) = r.plan.filters()
        assert (bool(filter.enter), bool(filter.leave)) == (enter, leave)
        assert r.title.endswith(f", where {where}")


WRONG_CONDITIONS = [
    ("nope > 5", "there is no parameter or result 'nope'"),
    ("keep", "this is no condition"),
    ("keep >", "a name or a value is missing at the end"),
    ("keep == true", "main.target: this is no int"),
    ("r1 > 5", "--where asks for what is known only at the return, when the arguments are long written"),
    ("duration > 1ms", "--where asks for what is known only at the return, when the arguments are long written"),
]


@pytest.mark.parametrize(("where", "message"), WRONG_CONDITIONS)
def test_a_condition_that_does_not_fit(where: str, message: str, program: Build) -> None:
    error = refused(program(), "main.target", "n=1", where=where)
    assert message in error.message
    assert error.exit_code == 2


def test_a_condition_on_what_cannot_be_read(program: Build) -> None:
    """At the place where is written a float is still in its register."""
    error = refused(program(), "main.kinds", "b=false", where="f > 0.5")
    assert "xmm0" in error.message
    assert error.exit_code == 2
    assert planned(program("1.15"), "main.kinds", "b=false", where="f > 0.5")


def test_race_build(go_program: Build) -> None:
    """What the race detector adds comes behind the place where is written."""
    got = planned(go_program(SOURCE, "1.26", "race", cgo=True), "main.look", "n=2021")
    assert got == [("n", "int", "rbx", "2021", "0x7e5")]


@pytest.mark.parametrize("address", [1 << 63, (1 << 64) - 8, 0])
def test_a_variable_at_an_address_that_no_process_has(
    address: int, program: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a file claims: what is there cannot be told."""
    with rewriting_of(program(), "main.target", "n=1") as r:
        monkeypatch.setattr(r, "_bias", lambda pid: 0)
        assert r._word(os.getpid(), address) is None


# ---- the command line -------------------------------------------------------------------------------------------


def rewrite(*args: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tracer", "rewrite", *map(str, args)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
    )


def test_dry_run(program: Build) -> None:
    path = program()
    run = rewrite(
        *("-b", path, "--func", "main.target", "--set", "n=2021", "--set-result", "r1=-7"),
        *("--where", "keep > 5", "--dry-run"),
    )
    assert (run.returncode, run.stderr) == (0, "")
    lines = [line for line in run.stdout.splitlines() if not line.startswith("  refused here: ")]
    assert [re.sub(r"0x[0-9a-f]{5,8}\b", "ADDR", line) for line in lines] == [
        "main.target(n int, keep int) (r1 int)",
        "  entry  ADDR  file offset ADDR  nop",  # without a stack check: its first instruction
        "    n int  in rax  ← 2021: 0x7e5",
        "  return ADDR  file offset ADDR  ret",
        "    r1 int  in rax  ← -7: 0xfffffffffffffff9",
        "  only where keep > 5",
        "  needs of the kernel: that programs write registers",
    ]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--set", "n=1"), "which processes? -p PID, -- COMMAND, or --all-processes"),
        (("--set", "n=1", "-p", str(os.getpid()), "--all-processes"), "--all-processes excludes what names one"),
        (("--set", "n=1", "--rate", "2"), "one call of how many? like 1/100"),
        (("--set", "n=1", "--max-changes", "0"), "0: between 1 and"),
        (
            ("--set", "n=1", "--set-result", "r1=1", "--rate", "1/2", "--all-processes"),
            "--rate chooses calls or returns",
        ),
        (("--set", "n=1", "--", "/bin/true"), "the command is not the binary"),
        (("--set", "n=1", "-p", "1", "--", "/bin/true"), "-p and -- COMMAND exclude each other"),
    ],
)
def test_usage(args: tuple[str, ...], message: str, program: Build) -> None:
    run = rewrite("-b", program(), "--func", "main.target", *args)
    assert run.returncode == 2
    assert message in run.stderr


def test_what_is_refused_keeps_the_events_of_the_last_time(program: Build, tmp_path: Path) -> None:
    """By the kernel, or because nobody is there to confirm."""
    events = tmp_path / "events"
    events.write_text("what was changed yesterday\n")
    run = rewrite("-b", program(), "--func", "main.target", "--set", "n=1", "--all-processes", "-o", events)
    assert run.returncode == 1
    assert events.read_text() == "what was changed yesterday\n"


def test_one_function(program: Build) -> None:
    run = rewrite("-b", program(), "--set", "n=1", "--all-processes")
    assert run.returncode == 2
    assert "which function? --func NAME, once" in run.stderr


class Terminal(io.StringIO):
    """What a person types, or what is shown."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("typed", "message"),
    [("y\n", None), ("YES\n", None), ("\n", "not confirmed"), ("n\n", "not confirmed"), ("", "not confirmed")],
)
def test_the_question(typed: str, message: str | None, program: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names each process and what is changed; anything but a yes changes nothing."""
    shown = Terminal()
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    monkeypatch.setattr(sys, "stderr", shown)
    path = program()
    request = RewriteRequest(function="main.target", set=("n=2021",))
    with open_binary(str(path), [], None) as binary, Rewriting(binary, request, ReadOptions()) as r:
        try:
            r.confirm([os.getpid()], (), Messages())
            error = None
        except TracerError as e:
            error = e
    lines = shown.getvalue().splitlines()
    assert lines[0] == f"rewrite main.target in {path}: n=2021"
    assert lines[1].startswith(f"  in process {os.getpid()}: ")
    assert lines[2] == "change it? [y/N] "
    assert (error is None) == (message is None)
    if error:
        assert (message or "") in error.message
        assert error.exit_code == 1


def test_nobody_is_there_to_confirm(program: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    with open_binary(str(program()), [], None) as binary:
        request = RewriteRequest(function="main.target", set=("n=2021",))
        with Rewriting(binary, request, ReadOptions()) as r, pytest.raises(TracerError) as caught:
            r.confirm([], (), Messages())
    assert caught.value.message == "nobody confirms that a running program is to be changed"
    assert caught.value.exit_code == 1


def summary(lost: int = 0, reconciled: bool = True, **counters: int) -> Summary:
    total = FunctionSummary("", {**dict.fromkeys(COUNTERS, 0), **counters})
    return Summary(1.0, lost, 0, reconciled, total, (), (), dict.fromkeys(SHORT, 0))


def test_counts_that_do_not_add_up_are_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever else went wrong, and with -q too."""
    messages = Messages(quiet=True)
    assert messages.rewritten(summary(entry_hits=2, changed=2)) is None
    assert capsys.readouterr().err == ""
    for more, message in (
        ({"entry_hits": 3, "changed": 2}, "how much was changed is not known for certain"),
        ({"entry_hits": 4, "changed": 2, "unchanged": 1}, "1 of 3 changes could not be written; the events say why"),
    ):
        error = messages.rewritten(summary(reconciled=False, **more))
        assert error and (error.message, error.exit_code) == (message, 1)
        assert capsys.readouterr().err.startswith("error: THE COUNTS DO NOT ADD UP: ")


def test_changes_that_nobody_was_told_of() -> None:
    """A larger buffer is no help where the reader has gone."""
    messages = Messages(quiet=True)
    for closed, words in ((False, "larger --buffer"), (True, "whoever read the events went away")):
        messages.closed = closed
        error = messages.rewritten(summary(lost=3, entry_hits=5, changed=5))
        assert error and error.exit_code == 1 and error.message.startswith("3 events lost: the changes were made")
        assert error.hint and words in error.hint


def test_words_for_a_kernel_that_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lockdown is named where it is on; want of a capability is told apart from it."""
    why = TracerError("loading the program: program of this type cannot use helper", code="kernel")
    for state, has, words in (
        ("integrity", True, "kernel lockdown is on (integrity)"),
        ("", True, "kernel lockdown is on, which refuses bpf_probe_write_user"),
        ("none", True, "cannot use helper"),
        ("integrity", False, "the capability CAP_SYS_ADMIN is missing"),
    ):
        monkeypatch.setattr(rewriting, "lockdown", lambda state=state: state)
        monkeypatch.setattr(rewriting, "_has_capability", lambda bit, has=has: has)
        error = rewriting._no_memory(["a1"], why)
        assert words in error.message
        assert error.message.startswith("a1 cannot be written: this kernel lets no program write a process's memory: ")
        assert error.exit_code == 1
