# SPDX-License-Identifier: Apache-2.0
"""Writes offsets/runtime_g_table.h: where runtime.g and runtime.m keep what a probe reads, by Go version.

Each version named below builds the same tiny program, with its debug information; pyelftools, not our own reader,
gives the offsets. The first and the last patch release of a minor version are built, and a row of its own is written
where they differ.

    make runtime-offsets
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile  # type: ignore[import-untyped,unused-ignore]

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "offsets" / "runtime_g_table.h"

VERSIONS = (
    *("1.13", "1.13.15", "1.14", "1.14.15", "1.15", "1.15.15", "1.16", "1.16.15", "1.17", "1.17.13"),
    *("1.18", "1.18.10", "1.19", "1.19.13", "1.20", "1.20.14", "1.21.0", "1.21.13", "1.22.0", "1.22.12"),
    *("1.23.0", "1.23.12", "1.24.0", "1.24.13", "1.25.0", "1.25.14", "1.26.0", "1.26.11", "1.27.0", "1.27.4"),
)

# What is read, and from where: (name in the table, struct, path of fields).
FIELDS = (
    ("stack_hi", "runtime.g", ("stack", "hi")),
    ("m", "runtime.g", ("m",)),
    ("goid", "runtime.g", ("goid",)),
    ("curg", "runtime.m", ("curg",)),
    ("gobuf_sp", "runtime.gobuf", ("sp",)),
    ("gobuf_g", "runtime.gobuf", ("g",)),
)

HEAD = """\
/* SPDX-License-Identifier: Apache-2.0 */
/* Made by `make runtime-offsets` (scripts/runtime_offsets.py) from the debug information of programs that these
 * versions built: not to be edited. Bytes from the start of runtime.g; curg: of runtime.m; gobuf_: of runtime.gobuf. A
 * row holds from its patch release on. */
"""


def build(version: str, folder: Path) -> Path:
    """A program of that version, linked by Go's own linker, with debug information."""
    root = subprocess.run(
        [ROOT / "scripts" / "go-toolchain.sh", version], check=True, capture_output=True, text=True
    ).stdout.strip()
    (folder / "main.go").write_text("package main\n\nfunc main() {}\n")
    env = dict(os.environ, GOROOT=root, GOTOOLCHAIN="local", GOFLAGS="-trimpath", CGO_ENABLED="0", GO111MODULE="off")
    env["GODEBUG"] = "goindex=0"  # 1.19's module index fails on a GOROOT inside the module cache
    target = folder / version
    subprocess.run([f"{root}/bin/go", "build", "-o", target, "main.go"], check=True, cwd=folder, env=env)
    return target


def structs(path: Path) -> dict[str, Any]:
    """The DIEs of the structs in FIELDS."""
    wanted = {name for _, name, _ in FIELDS}
    found: dict[str, Any] = {}
    with path.open("rb") as f:
        for unit in ELFFile(f).get_dwarf_info().iter_CUs():
            for die in unit.get_top_DIE().iter_children():
                if die.tag != "DW_TAG_structure_type" or "DW_AT_name" not in die.attributes:
                    continue
                name = die.attributes["DW_AT_name"].value.decode()
                if name in wanted:
                    found[name] = {
                        c.attributes["DW_AT_name"].value.decode(): (
                            c.attributes["DW_AT_data_member_location"].value,
                            c.get_DIE_from_attribute("DW_AT_type"),
                        )
                        for c in die.iter_children()
                        if c.tag == "DW_TAG_member"
                    }
                    found[name] = {field: (plain(at), resolve(kind)) for field, (at, kind) in found[name].items()}
            if len(found) == len(wanted):
                return found
    raise SystemExit(f"{path}: no debug information about {', '.join(sorted(wanted - set(found)))}")


def plain(location: Any) -> int:
    """DW_AT_data_member_location: a number, or DW_OP_plus_uconst and a number (DWARF 2)."""
    if isinstance(location, int):
        return location
    operation, *number = location
    assert operation == 0x23, location  # DW_OP_plus_uconst
    return sum((byte & 0x7F) << 7 * i for i, byte in enumerate(number))


def resolve(die: Any) -> dict[str, int]:
    """Offsets of the fields of a struct, of anything else none."""
    while die.tag == "DW_TAG_typedef":
        die = die.get_DIE_from_attribute("DW_AT_type")
    if die.tag != "DW_TAG_structure_type":
        return {}
    return {
        c.attributes["DW_AT_name"].value.decode(): plain(c.attributes["DW_AT_data_member_location"].value)
        for c in die.iter_children()
        if c.tag == "DW_TAG_member"
    }


def offsets(path: Path) -> tuple[int, ...]:
    found = structs(path)
    values = []
    for _, struct, (first, *rest) in FIELDS:
        at, inner = found[struct][first]
        values.append(at + sum(inner[field] for field in rest))
    return tuple(values)


def main() -> int:
    rows: list[tuple[int, int, tuple[int, ...], list[str]]] = []
    with tempfile.TemporaryDirectory() as text:
        for version in VERSIONS:
            values = offsets(build(version, Path(text)))
            _, minor, patch = (*map(int, version.split(".")), 0)[:3]
            print(f"go{version}: " + ", ".join(f"{f[0]} {v}" for f, v in zip(FIELDS, values)), file=sys.stderr)
            if rows and rows[-1][0] == minor and rows[-1][2] == values:
                rows[-1][3].append(version)
            else:
                rows.append((minor, patch if rows and rows[-1][0] == minor else 0, values, [version]))
    lines = [f"/* minor, patch, {', '.join(f[0] for f in FIELDS)} */"]
    for minor, patch, values, versions in rows:
        numbers = ", ".join(str(n) for n in (minor, patch, *values))
        lines.append(f"ROW({numbers}) /* {', '.join('go' + v for v in versions)} */")
    TABLE.write_text(HEAD + "\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
