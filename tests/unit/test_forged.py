# SPDX-License-Identifier: Apache-2.0
"""Debug information and run-time types that contradict the code, each other or themselves: made by changing single
attributes of a good file. Each is said in one line, and what does not hang on it is still told."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from forging import PROGRAM, Forger

KIND, RUNTIME_TYPE = 0x2900, 0x2904  # attributes of Go's own

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def original(go_program: Callable[..., Path]) -> Forger:
    return Forger(go_program(PROGRAM, "1.26", "uncompressed"))


@pytest.fixture
def forger(original: Forger, tmp_path: Path) -> Forger:
    return original.begin(tmp_path / "forged")


def refused(offsets_cmd: Run, *args: object) -> str:
    """The one line that says why: without the file's name."""
    run = offsets_cmd(*args, timeout=20)
    assert (run.returncode, run.stdout) == (3, ""), run.stdout
    line, *hints = run.stderr.splitlines()
    assert line.startswith(f"error: {args[1]}: ") and all(h.startswith("hint: ") for h in hints)
    return str(line).removeprefix(f"error: {args[1]}: ").partition(": ")[2]


def planned(offsets_cmd: Run, path: Path, function: str, *options: str) -> dict[str, Any]:
    run = offsets_cmd("plan", path, function, *options, timeout=20)
    assert (run.returncode, run.stderr) == (0, "")
    answer: dict[str, Any] = json.loads(run.stdout)
    return answer


def function(offsets_cmd: Run, path: Path, name: str) -> dict[str, Any]:
    (f,) = planned(offsets_cmd, path, name)["functions"]
    assert not f["refused"] and f["sites"]
    return dict(f)


def test_unchanged(offsets_cmd: Run, forger: Forger) -> None:
    path = forger.write()
    for name in ("takeOuter", "takeNumber", "takeGrid", "takeDoer", "takeSelves"):
        f = function(offsets_cmd, path, f"main.{name}")
        assert f["types_known"] and f["warnings"] == []


# ---- types ------------------------------------------------------------------------------------------------------


def test_types_that_lead_to_themselves_as_go_has_them(offsets_cmd: Run, forger: Forger) -> None:
    path = forger.write()
    (f,) = planned(offsets_cmd, path, "main.takeSelves")["functions"]
    assert [p["type"] for p in f["params"]] == ["main.Self", "main.List", "main.Tree", "main.Chain"]
    for name in ("main.Self", "main.List", "main.Tree", "main.Chain"):
        assert offsets_cmd("type", path, name).returncode == 0


def contains_itself(forger: Forger) -> None:
    forger.refer(forger.child(forger.die("main.Outer"), "In"), forger.die("main.Outer"))


def contains_itself_by_way_of_another(forger: Forger) -> None:
    forger.refer(forger.child(forger.die("main.Inner"), "A"), forger.die("main.Outer"))


def is_defined_by_itself(forger: Forger) -> None:
    doer = forger.top["main.Doer"]
    assert doer.tag == "DW_TAG_typedef"
    forger.refer(doer, doer)


def reaches_past_its_end(forger: Forger) -> None:
    forger.set(forger.child(forger.die("main.Outer"), "In"), "DW_AT_data_member_location", 17)


def is_smaller_than_its_fields(forger: Forger) -> None:
    forger.set(forger.die("main.Outer"), "DW_AT_byte_size", 8)


def is_of_no_kind(forger: Forger) -> None:
    forger.set(forger.die("main.Outer"), KIND, 29)


def is_of_a_kind_of_another_size(forger: Forger) -> None:
    forger.set(forger.die("main.Outer"), KIND, 24)


@pytest.mark.parametrize(
    ("forge", "name", "says"),
    [
        (contains_itself, "Outer", "type 'main.Outer' contains itself"),
        (contains_itself_by_way_of_another, "Outer", "type 'main.Outer' contains itself"),
        (is_defined_by_itself, "Doer", "a type that is defined by itself"),
        (reaches_past_its_end, "Outer", "type 'main.Outer' has a field that reaches past its end"),
        (is_smaller_than_its_fields, "Outer", "type 'main.Outer' has a field that reaches past its end"),
        (is_of_no_kind, "Outer", "no such DW_AT_go_kind"),
        (is_of_a_kind_of_another_size, "Outer", "type 'main.Outer' of kind string has 24 bytes"),
    ],
)
def test_a_type_that_cannot_be(
    offsets_cmd: Run, forger: Forger, forge: Callable[[Forger], None], name: str, says: str
) -> None:
    forge(forger)
    path = forger.write()
    assert refused(offsets_cmd, "type", path, f"main.{name}").endswith(says)
    assert refused(offsets_cmd, "params", path, f"main.take{name}").endswith(says)
    f = function(offsets_cmd, path, f"main.take{name}")
    assert (f["types_known"], f["params"], f["results"]) == (False, [], [])
    (warning,) = f["warnings"]
    assert warning.startswith("debug information: ") and warning.endswith(says)
    # the others are as they were
    f = function(offsets_cmd, path, "main.takeNumber")
    assert (f["types_known"], f["warnings"]) == (True, [])


def test_an_array_of_another_size_than_its_elements(offsets_cmd: Run, forger: Forger) -> None:
    (bounds,) = (c for c in forger.die("main.Grid").iter_children() if c.tag == "DW_TAG_subrange_type")
    forger.set(bounds, "DW_AT_count", 100)
    path = forger.write()
    assert refused(offsets_cmd, "type", path, "main.Grid").endswith("has another size than its elements")
    # behind a pointer: only what it leads to is not read
    f = function(offsets_cmd, path, "main.takeGrid")
    assert f["types_known"]
    assert [s["op"] for s in f["sites"][0]["steps"]] == []


# ---- code -------------------------------------------------------------------------------------------------------


def test_a_function_elsewhere(offsets_cmd: Run, forger: Forger) -> None:
    """What the debug information says of another place is not taken for this one."""
    forger.set(forger.die("main.takeNumber"), "DW_AT_low_pc", forger.symbol("main.takeNumber") + 1)
    path = forger.write()
    f = function(offsets_cmd, path, "main.takeNumber")
    assert not f["types_known"]
    assert f["warnings"] == ["no debug information for this function: its arguments and results are not known"]


def test_a_location_against_the_calling_convention(offsets_cmd: Run, forger: Forger) -> None:
    """Debug information is believed, and the plan says that there was a choice."""
    n = forger.child(forger.die("main.takeNumber"), "n")
    at = n.attributes["DW_AT_location"]
    lists = forger.dwarf.location_lists()
    offset = lists.get_location_list_at_offset(at.value, n)
    entry = next(e for e in offset if hasattr(e, "loc_expr"))
    raw = forger.section(".debug_loclists").data()
    where = raw.index(bytes([len(entry.loc_expr), *entry.loc_expr]), entry.entry_offset)
    assert entry.loc_expr == [0x50]  # DW_OP_reg0: rax
    forger.put(".debug_loclists", where + 1, b"\x55")  # rdi, the fourth
    f = function(offsets_cmd, forger.write(), "main.takeNumber")
    assert f["warnings"] == [
        "n: the calling convention and the debug information differ at the entry; the latter is used"
    ]
    (piece,) = f["sites"][0]["values"][0]["pieces"]
    assert (piece["at"]["kind"], piece["at"]["index"]) == ("register", 3)


def test_units_of_another_language(offsets_cmd: Run, forger: Forger) -> None:
    """Where a unit is not Go's, its functions have no signatures that could be Go's."""
    unit = forger.die("main.takeNumber").cu.get_top_DIE()
    forger.set(unit, "DW_AT_language", 0x0C)  # DW_LANG_C99
    path = forger.write()
    f = function(offsets_cmd, path, "main.takeNumber")
    assert not f["types_known"]
    assert f["warnings"] == ["no debug information for this function: its arguments and results are not known"]
    assert function(offsets_cmd, path, "fmt.Fprintln")["types_known"]


@pytest.mark.parametrize("size", [0, 3, 16, 128])
@pytest.mark.parametrize("name", ["int", "uint8", "float64"])
def test_types_of_another_language_with_a_kind_of_go(offsets_cmd: Run, forger: Forger, name: str, size: int) -> None:
    """One of them has Go's kind only where it has the kind's size: nothing else can be read or written as such."""
    unit = forger.top[name].cu.get_top_DIE()
    forger.set(unit, "DW_AT_language", 0x0C)
    path = forger.write()
    types = [json.loads(offsets_cmd("type", path, name, timeout=20).stdout)]
    forger.set(forger.top[name], "DW_AT_byte_size", size)
    path = forger.write()
    types.append(json.loads(offsets_cmd("type", path, name, timeout=20).stdout))
    assert [t["foreign"] for t in types] == [True, True]
    assert [t["kind"] for t in types] == [name, "invalid"]


def test_no_number_of_another_size_is_set(forger: Forger) -> None:
    forger.set(forger.top["int"].cu.get_top_DIE(), "DW_AT_language", 0x0C)
    forger.set(forger.top["int"], "DW_AT_byte_size", 16)
    asked = ("-b", forger.write(), "--func", "main.takeOuter", "--set", "n=0", "--dry-run")
    run = subprocess.run(
        [sys.executable, "-m", "tracer", "rewrite", *asked], capture_output=True, text=True, timeout=60
    )
    assert (run.returncode, run.stdout) == (2, "")
    assert "main.takeOuter: its parameters and results are not known" in run.stderr


# ---- run-time types ---------------------------------------------------------------------------------------------


def runtime_type(forger: Forger, name: str) -> int:
    """Link address."""
    return int(forger.symbol("runtime.types") + forger.top[name].attributes[RUNTIME_TYPE].value)


def prepared(offsets_cmd: Run, path: Path) -> set[int]:
    answer = planned(offsets_cmd, path, "main.takeDoer", "--interfaces")
    (f,) = answer["functions"]
    assert f["types_known"] and f["warnings"] == []
    assert [s["op"] for s in f["sites"][0]["steps"]] == ["dispatch"]
    return {int(i["type"], 16) for i in answer["interfaces"] if i["hops"] == 2} - {0}


# offsets in internal/abi.Type, InterfaceType and UncommonType
@pytest.mark.parametrize(
    ("name", "offset", "data"),
    [
        ("*main.Thing", 23, b"\x19"),  # the kind: a struct
        ("*main.Thing", 23, b"\x1f"),  # none that there is
        ("*main.Thing", 0, struct.pack("<Q", 1 << 40)),  # the size
        ("*main.Thing", 20, b"\0"),  # has no methods
        ("*main.Thing", 56 + 4, b"\xff\xff"),  # has more than there is room for
        ("*main.Thing", 56 + 8, b"\xff\xff\xff\xff"),  # they stand past the end
        ("main.Doer", 48 + 8, struct.pack("<Q", 8)),  # the methods asked for stand before all types
        ("main.Doer", 48 + 8, b"\xff" * 8),
        ("main.Doer", 48 + 16, struct.pack("<Q", 1 << 60)),  # it asks for more than there are
        ("main.Doer", 23, b"\x19"),  # it is no interface
    ],
)
def test_run_time_types_that_cannot_be(offsets_cmd: Run, forger: Forger, name: str, offset: int, data: bytes) -> None:
    """Then a type is not prepared: its values are shown by their name and first bytes."""
    thing = runtime_type(forger, "*main.Thing")
    assert prepared(offsets_cmd, forger.write()) == {thing}
    forger.put_at(runtime_type(forger, name) + offset, data)
    assert prepared(offsets_cmd, forger.write()) == set()


def test_run_time_types_that_are_nowhere(offsets_cmd: Run, forger: Forger) -> None:
    symtab = forger.section(".symtab")
    for index, symbol in enumerate(symtab.iter_symbols()):
        if symbol.name == "runtime.types":
            forger.put(".symtab", index * symtab["sh_entsize"] + 8, struct.pack("<Q", 0x1234))
    assert prepared(offsets_cmd, forger.write()) == set()
