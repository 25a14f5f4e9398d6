# SPDX-License-Identifier: Apache-2.0
"""The BPF program: its text, put together from bpf_c/, and its instructions, made by BCC in another process.

BCC rewrites accesses to maps only in the main file, so local includes are expanded here; #line directives
keep the compiler's messages (and __LINE__, which telemetry reports) those of the files.
"""

from __future__ import annotations

import functools
import json
import os
import re
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tracer.errors import TracerError
from tracer.plan import Filter

PACKAGE = Path(__file__).resolve().parent
MAGIC = b"GSPROG1\0"
MAX_INCLUDES = 32  # a program has half a dozen; more is a loop through different spellings

_LOCAL_INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')
_BRANCH = re.compile(r"^\s*#\s*(else|elif|endif)\b")


@functools.cache
def source_folder() -> Path:
    """bpf_c/: inside the package where it is installed, beside it in a checkout."""
    for folder in (PACKAGE / "bpf_c", PACKAGE.parent / "bpf_c"):
        if (folder / "record.h").is_file():
            return folder
    raise TracerError("the BPF sources (bpf_c/) are missing", hint="install the package again")


FILTERS = "filters.h"  # the file of bpf_c/ that a condition takes the place of


def filters_text(filters: Sequence[Filter], where: str | None, by: str | None = None) -> str:
    """filters.h for the conditions of a plan: where_enter(), where_leave() and where_by() of bpf_c/where.h."""
    head = "static __always_inline u64 {}({}struct pt_regs *ctx, struct where *w)\n{{\n{}}}\n"
    lines = [f"/* --{name} {_in_comment(value)} */\n" for name, value in (("where", where), ("by", by)) if value]
    kinds = [("enter", [f.enter for f in filters]), ("leave", [f.leave for f in filters])]
    if by is not None:
        kinds.append(("by", [f.by for f in filters]))
    for name, bodies in kinds:
        chosen = ""
        for number, body in enumerate(bodies, 1):
            if body:
                lines.append(head.format(f"where_{name}_{number}", "", body))
                chosen += f"if (filter == {number}) return where_{name}_{number}(ctx, w);\n"
        lines.append(head.format(f"where_{name}", "u64 filter, ", chosen + "return WHERE_YES;\n"))
    return "".join(lines)


def _in_comment(text: str) -> str:
    """Printable, and without what would end a comment or a line."""
    return "".join(c if c.isascii() and c.isprintable() and c != "\\" else "?" for c in text).replace("*/", "* /")


def assemble(name: str, folder: Path | None = None, filters: str | None = None) -> str:
    """Text of one program with its local includes in place, each once. filters: text that stands in for FILTERS."""
    folder = folder or source_folder()
    seen: set[str] = set()

    def expand(file: str) -> list[str]:
        if len(seen) >= MAX_INCLUDES:
            raise TracerError(f"bpf_c/{name}: more than {MAX_INCLUDES} includes")
        seen.add(file)
        lines = [f'#line 1 "{file}"']
        made = filters if file == FILTERS else None
        text = (folder / file).read_text(encoding="utf-8") if made is None else made
        included = False
        for number, line in enumerate(text.splitlines(), 1):
            match = _LOCAL_INCLUDE.match(line)
            if not match:
                lines.append(line)
                if included and _BRANCH.match(line):  # what was left out until here had its #line left out, too
                    lines.append(f'#line {number + 1} "{file}"')
            elif match[1] in seen:
                lines.append("")
            else:
                included = True
                lines += expand(match[1])
                lines.append(f'#line {number + 1} "{file}"')
        return lines

    try:
        return "\n".join(expand(name)) + "\n"
    except OSError as e:
        raise TracerError(f"cannot read the BPF source {e.filename}: {e.strerror}") from None


@dataclass(frozen=True)
class Function:
    """One compiled program function: instructions, and where they name a map."""

    name: str
    insns: bytes
    map_refs: tuple[tuple[int, str], ...]  # (index of an ld_imm64, map's name)


def pack(functions: Sequence[Function]) -> bytes:
    """The form that collector_load reads: little endian, no padding.

    "GSPROG1\\0", u32 n_programs; each: u32 name_len, name, u32 n_insns, instructions of 8 bytes,
    u32 n_refs, refs {u32 insn_index, u32 name_len, name}.
    """
    out = [MAGIC, struct.pack("<I", len(functions))]
    for f in functions:
        out.append(_counted(f.name))
        out.append(struct.pack("<I", len(f.insns) // 8) + f.insns)
        out.append(struct.pack("<I", len(f.map_refs)))
        out.extend(struct.pack("<I", index) + _counted(name) for index, name in f.map_refs)
    return b"".join(out)


def _counted(name: str) -> bytes:
    data = name.encode()
    return struct.pack("<I", len(data)) + data


class Compiler:
    """A child process with BCC in it (70 MB and LLVM), which ends when it has compiled.

    It is started before there is something to compile, and loads BCC while the parent reads the binary.
    """

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = dict(os.environ)
        environment["BCC_KERNEL_SOURCE"] = str(source_folder() / "headers")
        try:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "tracer.compile"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=PACKAGE.parent,  # `-m` looks there first: the package that runs is the one that compiles
                env=environment,
            )
        except OSError as e:
            raise TracerError(f"cannot start the compiler: {e.strerror}") from None

    def compile(self, text: str, cflags: Sequence[str]) -> bytes:
        """The blob for collector_load. TracerError with the compiler's own messages."""
        if self._child is None:
            self.start()
        assert self._child is not None
        request = json.dumps({"text": text, "cflags": list(cflags)}).encode()
        blob, noise = self._child.communicate(request)
        status = self._child.returncode
        self._child = None
        if status == 0 and blob.startswith(MAGIC):
            return blob
        raise _failure(status, noise.decode("utf-8", "replace"))

    def cancel(self) -> None:
        """End the child, whatever it is doing."""
        if self._child is None:
            return
        self._child.kill()
        self._child.communicate()
        self._child = None


def _failure(status: int, noise: str) -> TracerError:
    """What the child's end means. Its last line is "error: …", "hint: …" where it knew (see compile.py)."""
    lines = [line for line in noise.splitlines() if line.strip()]
    hint = next((line[6:] for line in reversed(lines) if line.startswith("hint: ")), None)
    for line in reversed(lines):
        if line.startswith("error: "):
            rest = [x for x in lines if not x.startswith(("error: ", "hint: "))]
            message = line[7:] + "".join(f"\n  {x}" for x in rest[-20:])
            return TracerError(message, hint=hint)
    end = f"signal {-status}" if status < 0 else f"status {status}"
    return TracerError(f"the BPF compiler ended with {end}" + "".join(f"\n  {x}" for x in lines[-20:]))
