# SPDX-License-Identifier: Apache-2.0
"""Conditions: what they become, what is refused and at which place, and that a kept plan cannot smuggle C in."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tracer.errors import TracerError
from tracer.plan import Filter, Plan, Program, ReadOptions
from tracer.program import assemble, filters_text

PROGRAM = Path(__file__).resolve().parent.parent / "live" / "programs" / "where"
Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def program(go_program: Callable[..., Path]) -> Path:
    return go_program(PROGRAM)


@pytest.fixture
def filters(offsets_cmd: Command, program: Path) -> Callable[[str, str], list[dict[str, Any]]]:
    def ask(function: str, where: str) -> list[dict[str, Any]]:
        run = offsets_cmd("plan", program, f"main.{function}", "--where", where)
        assert run.returncode == 0, run.stderr
        found: list[dict[str, Any]] = json.loads(run.stdout).get("filters", [])
        return found

    return ask


@pytest.mark.parametrize(
    ("function", "where", "column", "message"),
    [
        ("texts", "n > 10 && nam == other", 10, "there is no parameter or result 'nam'"),
        ("texts", "n", 0, "this is no condition"),
        ("texts", "n > 10 && other", 10, "a condition is wanted here, and this is string"),
        ("texts", 'n == "bob"', 5, "this is no int"),
        ("texts", "n == 10ms", 5, "int is no duration"),
        ("texts", "n == nil", 5, "this is no int"),
        ("texts", "n > 1 > 2", 6, "comparisons do not chain"),
        ("texts", "ok < true", 0, "bool has no order; == and != can be asked"),
        ("texts", 'name < "b"', 0, "strings are compared with == and != only"),
        ("texts", f'name == "{"a" * 129}"', 8, "strings are compared up to 128 bytes"),
        ("texts", "len(name) > 9223372036854775808", 12, "the number does not fit int"),
        ("texts", "1 == 1", 0, "two literals are compared"),
        ("ints", "a > 127 && a > 128", 15, "the number does not fit int8"),
        ("ints", "b > -32769", 4, "the number does not fit int16"),
        ("ints", "e > -1", 4, "the number does not fit uint8"),
        ("ints", "h == 18446744073709551616", 5, "a number with more than 64 bits"),
        ("ints", "h > d", 0, "uint64 and int64 are not compared"),
        ("serve", "r.URL.Pth == nil", 6, "main.place has no field 'Pth'"),
        ("serve", 'r.Len["a"] == 1', 0, "a condition does not look up the elements of a map"),
        ("serve", "r.Bytes[4] == 1", 8, "[4]uint8 has only 4 elements"),
        ("serve", 'r.Tags[:2] == "a"', 0, "a range is not compared"),
        ("serve", "r.Ratio == r.Small", 11, "float32 and float64 are not compared"),
        ("serve", "r.Any.(*main.none).Code == 3", 7, "the program has no type '*main.none'"),
        ("split", "n > 3 && half > 1.5", 9, "it is in xmm0 there, which a probe cannot read"),
        ("nap", "duration > 10", -1, ""),
        ("nap", "d > 10ns && duration < 1.5", 23, "this is no time.Duration"),
        ("nap", "duration > 300000h30m", 11, ""),
        ("nap", "duration > 3000000h", 11, "a duration of more than 292 years"),
        ("fail", "count > 3 &&", 12, "a name or a value is missing at the end"),
    ],
)
def test_errors_have_their_place(
    function: str, where: str, column: int, message: str, program: Path, offsets_cmd: Command
) -> None:
    run = offsets_cmd("plan", program, f"main.{function}", "--where", where)
    if not message:
        assert run.returncode == 0, run.stderr
        return
    assert run.returncode == 2
    first, shown, mark = run.stderr.splitlines()[:3]
    assert first.removeprefix("error: ").removeprefix(f"main.{function}: ") == message
    assert shown.removesuffix("…") == "  " + (where if len(where) < 100 else where[:100])
    assert mark == "  " + " " * column + "^"


@pytest.mark.parametrize(
    ("function", "where", "late", "passes", "goid"),
    [
        ("texts", "n > 10", False, False, False),
        ("texts", "goid == 1 && pid != 7", False, False, True),
        ("fail", "err != nil", True, True, False),
        ("fail", "n > 3 && err != nil", True, False, False),
        ("fail", "n > 3 || err != nil", True, True, False),
        ("nap", "duration > 1ms && goid > 1", True, False, True),
    ],
)
def test_where_it_is_decided(
    function: str, where: str, late: bool, passes: bool, goid: bool, filters: Callable[..., list[dict[str, Any]]]
) -> None:
    (found,) = filters(function, where)
    assert (found["late"], found["passes"], found["goid"]) == (late, passes, goid)
    assert bool(found["leave"]) == late


HIDING = """package main

import (
	"fmt"
	"os"
)

//go:noinline
func wait(pid int, goid uint32, duration string) int { return pid + int(goid) + len(duration) }

//go:noinline
func answer(n int) (pid int) { return n + 1 }

func main() { fmt.Println(wait(len(os.Args), 7, "1s"), answer(2)) }
"""


@pytest.mark.parametrize("values", [(), ("--no-values",)], ids=["values", "none"])
@pytest.mark.parametrize(
    ("function", "where", "enter", "leave"),
    [
        ("main.wait", "pid == 5", "(s64)w->regs[0]", ""),
        ("main.wait", "goid == 5", "(u32)w->regs[1]", ""),
        ("main.wait", 'duration == "x"', "(u64)w->regs[2]", ""),
        ("main.answer", "pid == 5", "", "(s64)w->regs[0]"),
        ("main.answer", "goid == 5", "w->goid", ""),
        ("main.main", "pid == 5", "w->pid", ""),
        ("runtime.memmove", "pid == 5", "w->pid", ""),
    ],
)
def test_a_parameter_hides_a_special_name(
    function: str,
    where: str,
    enter: str,
    leave: str,
    values: tuple[str, ...],
    go_program: Callable[..., Path],
    offsets_cmd: Command,
) -> None:
    """Also where no values are read, as by count, hist and stack."""
    run = offsets_cmd("plan", go_program(HIDING), function, *values, "--where", where)
    assert run.returncode == 0, run.stderr
    answer = json.loads(run.stdout)
    (found,) = answer["filters"]
    assert enter in found["enter"] and leave in found["leave"] and found["late"] == bool(leave)
    if values:
        assert not answer["functions"][0]["warnings"]


def test_special_names_need_no_debug_information(
    go_program: Callable[..., Path], offsets_cmd: Command, tmp_path: Path
) -> None:
    subprocess.run(["strip", "-o", tmp_path / "stripped", go_program(HIDING)], check=True)
    run = offsets_cmd("plan", tmp_path / "stripped", "main.wait", "--no-values", "--where", "pid == 5")
    assert run.returncode == 0, run.stderr
    assert "w->pid" in json.loads(run.stdout)["filters"][0]["enter"]
    run = offsets_cmd("plan", tmp_path / "stripped", "main.wait", "--no-values", "--where", "n == 5")
    assert run.returncode == 2
    assert "its parameters and results are not known" in run.stderr


@pytest.mark.parametrize(
    ("function", "by", "column", "message"),
    [
        ("texts", "nam", 0, "there is no parameter or result 'nam'"),
        ("serve", "r.Ratio", 0, "calls are split by an integer, a string or a bool"),
        ("serve", "r.Tags[:3]", 0, "calls are split by an integer, a string or a bool"),
        ("serve", "r", 0, "calls are split by an integer, a string or a bool"),
        ("serve", "3", 0, "calls are split by an integer, a string or a bool"),
        ("fail", "count == n", 0, "calls are split by arguments or by results, not by both"),
        ("texts", "name ==", 7, "a name or a value is missing at the end"),
    ],
)
def test_errors_of_values_to_split_by(
    function: str, by: str, column: int, message: str, program: Path, offsets_cmd: Command
) -> None:
    run = offsets_cmd("plan", program, f"main.{function}", "--by", by)
    assert run.returncode == 2
    first, shown, mark = run.stderr.splitlines()[:3]
    assert first.removeprefix("error: ").removeprefix(f"main.{function}: ") == message
    assert (shown, mark) == ("  " + by, "  " + " " * column + "^")


def test_functions_that_it_does_not_fit_are_left_out(program: Path) -> None:
    with Program(str(program)) as opened:
        plan = opened.plan(["main.*"], ["main.main*"], ReadOptions(where="n > 3"))
        refused = dict(plan.refusals())
        assert refused["main.nap"] == "the condition does not fit: there is no parameter or result 'n'"
        assert {f.name for f in plan.functions() if f.sites} >= {"main.texts", "main.fail", "main.busy", "main.deep"}
        # four of them have their n in one register, others in another
        assert 1 < len(plan.filters()) < 5
        plan.close()
        with pytest.raises(TracerError) as caught:
            opened.plan(["main.n*", "main.i*"], [], ReadOptions(where="nowhere > 3"))
        assert caught.value.exit_code == 2
        assert "nowhere" in caught.value.message


def test_kept_plans_hold_no_other_c(program: Path, tmp_path: Path) -> None:
    """What is read back goes to the compiler: only what the planner itself writes is let through."""
    path = tmp_path / "plan"
    with Program(str(program)) as opened:
        file_id = opened.file_id
        with opened.plan(["main.texts"], [], ReadOptions(where="n > 4242")) as plan, path.open("wb") as file:
            plan.write(file.fileno())
    whole = path.read_bytes()

    def read() -> str:
        with path.open("rb") as file, Plan.read(file.fileno(), str(program), file_id) as plan:
            (kept,) = plan.filters()
            return kept.enter

    assert "0x1092ull" in read()
    for character in b"#\"'\\/@`$%|~^\x80\t\r":
        path.write_bytes(whole.replace(b"0x1092ull", bytes([character]) + b"x1092ull"))
        with pytest.raises(TracerError, match="a plan with bad contents: a condition"):
            read()


def test_filters_text_is_one_comment_and_functions() -> None:
    filters = [Filter("return WHERE_YES;\n", "", ""), Filter("return w->pid;\n", "return WHERE_NO;\n", "")]
    text = filters_text(filters, 's == "*/" // \\\n')
    assert text.splitlines()[0] == '/* --where s == "* /" // ?? */'
    assert "if (filter == 2) return where_leave_2(ctx, w);" in text
    assert "where_leave_1" not in text
    assert "where_by" not in text
    assert "where_by(u64 filter" in filters_text(filters, None, by="n")
    program = assemble("call.bpf.c", filters=text)
    assert program.count("where_enter_2(struct pt_regs *ctx, struct where *w)") == 1
    assert "where_enter_2" not in assemble("call.bpf.c")
