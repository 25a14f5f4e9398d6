# SPDX-License-Identifier: Apache-2.0
"""The BPF program: its text, what the compiler's process makes of it, and what that says when it cannot."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

import pytest

from tracer import compile as compiler_process
from tracer import program, program_cache
from tracer.errors import TracerError
from tracer.program import Compiler, Function, assemble, pack

ROOT = Path(__file__).resolve().parents[2]

SMALL = """
#include <uapi/linux/ptrace.h>
BPF_ARRAY(hits, u64, 1);
BPF_HASH(pids, u32, u32, 1);
int call_one(struct pt_regs *ctx)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32;

	if (pids.lookup(&pid))
		hits.increment(0);
	return 0;
}
int call_two(struct pt_regs *ctx) { return VALUE; }
"""


def can_compile() -> str:
    """Why nothing can be compiled here; "" if it can."""
    if os.geteuid() != 0:
        return "BCC makes maps while it compiles, which needs root"
    out = subprocess.run([sys.executable, "-m", "tracer.compile", "--check"], cwd=ROOT, capture_output=True, text=True)
    return "" if out.returncode == 0 else out.stderr.strip()


@pytest.fixture(scope="module")
def bcc() -> None:
    why = can_compile()
    if why:
        pytest.skip(why)


# ---- the text -------------------------------------------------------------------------------------------------


def test_assemble(tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text('#include <linux/types.h>\n#include "a.h"\nint x;\n  # include "b.h"\nint y;\n')
    (tmp_path / "a.h").write_text('int a;\n#include "b.h"\nint aa;\n')
    (tmp_path / "b.h").write_text("int b;\n")
    assert assemble("main.c", tmp_path).splitlines() == [
        '#line 1 "main.c"',
        "#include <linux/types.h>",
        '#line 1 "a.h"',
        "int a;",
        '#line 1 "b.h"',
        "int b;",
        '#line 3 "a.h"',
        "int aa;",
        '#line 3 "main.c"',
        "int x;",
        "",
        "int y;",
    ]


def test_lines_behind_what_is_left_out(tmp_path: Path) -> None:
    """The compiler passes over a #line in a branch that is not taken."""
    (tmp_path / "main.c").write_text('#ifdef NOT\n#include "a.h"\n#endif\nint at = __LINE__;\n')
    (tmp_path / "a.h").write_text("int a;\n" * 7)
    done = subprocess.run(["gcc", "-E", "-P", "-"], input=assemble("main.c", tmp_path), capture_output=True, text=True)
    assert done.stdout.strip() == "int at = 4;"


def test_assemble_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text('#include "none.h"\n')
    with pytest.raises(TracerError, match=r"none\.h: No such file or directory$"):
        assemble("main.c", tmp_path)


def test_assemble_is_bounded(tmp_path: Path) -> None:
    for i in range(program.MAX_INCLUDES + 1):
        (tmp_path / f"{i}.h").write_text(f'#include "{i + 1}.h"\n')
    with pytest.raises(TracerError, match=r"more than 32 includes$"):
        assemble("0.h", tmp_path)


def test_the_call_program_is_whole() -> None:
    text = assemble("call.bpf.c")
    assert '#include "' not in text
    assert text.count("\nint ") == 7


# ---- the blob -------------------------------------------------------------------------------------------------


def test_pack() -> None:
    insns = bytes(range(16))
    blob = pack([Function("call_x", insns, ((1, "pids"),)), Function("y", b"", ())])
    assert blob == b"".join(
        [
            b"GSPROG1\0",
            struct.pack("<I", 2),
            struct.pack("<I", 6) + b"call_x",
            struct.pack("<I", 2) + insns,
            struct.pack("<I", 1),
            struct.pack("<II", 1, 4) + b"pids",
            struct.pack("<I", 1) + b"y",
            struct.pack("<I", 0),
            struct.pack("<I", 0),
        ]
    )


def insn(opcode: int, source: int = 0, immediate: int = 0) -> bytes:
    return struct.pack("<BBhi", opcode, source << 4 | 1, 0, immediate)


def test_map_references() -> None:
    code = b"".join(
        [
            insn(0xB7, immediate=7),  # mov, the number of a map
            insn(0x18, source=1, immediate=7),  # a map
            insn(0x18, source=1, immediate=9),  # upper half of it, however it looks
            insn(0x18, source=0, immediate=7),  # a 64-bit number
            insn(0x00),
            insn(0x18, source=1, immediate=9),
            insn(0x00),
        ]
    )
    assert compiler_process.map_references(code, {7: "seven", 9: "nine"}) == ((1, "seven"), (5, "nine"))


def test_a_reference_to_no_map() -> None:
    with pytest.raises(KeyError):
        compiler_process.map_references(insn(0x18, source=1, immediate=3) + insn(0), {})


# ---- with BCC -------------------------------------------------------------------------------------------------


def unpack(blob: bytes) -> dict[str, tuple[bytes, list[tuple[int, str]]]]:
    """Read the blob as its description says, to its last byte."""
    at = 0

    def take(n: int) -> bytes:
        nonlocal at
        assert at + n <= len(blob)
        at += n
        return blob[at - n : at]

    def number() -> int:
        return int.from_bytes(take(4), "little")

    assert take(8) == b"GSPROG1\0"
    programs = {}
    for _ in range(number()):
        name = take(number()).decode()
        insns = take(8 * number())
        programs[name] = (insns, [(number(), take(number()).decode()) for _ in range(number())])
    assert at == len(blob)
    return programs


ENDS = {"goroutine_exit", "goroutine_unwound"}
FEWEST = ["-DWITHOUT_FEW", "-DWITHOUT_MANY", "-DWITHOUT_DEEP"]


@pytest.mark.usefixtures("bcc")
def test_compile() -> None:
    programs = unpack(Compiler().compile(SMALL, ["-DVALUE=23"]))
    assert list(programs) == ["call_one", "call_two"]
    insns, refs = programs["call_one"]
    assert [name for _, name in refs] == ["pids", "hits"]
    assert all(insns[8 * i] == 0x18 and insns[8 * i + 1] >> 4 == 1 for i, _ in refs)
    # mov r0, 23; exit
    assert programs["call_two"] == (insn(0xB7, immediate=23)[:1] + b"\0\0\0\x17\0\0\0" + b"\x95" + bytes(7), [])


@pytest.mark.usefixtures("bcc")
@pytest.mark.parametrize("flags", [[], ["-DUSE_PERF"], ["-DLOG_LEVEL=2"], ["-DDATA_MAX=4096", "-DSTEPS_LIST=128"]])
def test_compile_the_call_program(flags: list[str]) -> None:
    programs = unpack(Compiler().compile(assemble("call.bpf.c"), flags))
    assert set(programs) == {"call_regs", "call_few", "call_many", "call_deep", "call_deep_short", *ENDS}
    names = {name for _, refs in programs.values() for _, name in refs}
    expected = {"control", "sites", "steps", "counters", "pids", "goids", "nothing", "telemetry", "events"}
    expected |= {"flat", "dispatch"}
    assert names == expected | ({"scratch", "blank"} if "-DUSE_PERF" in flags else set())


@pytest.mark.usefixtures("bcc")
def test_variants_are_left_out() -> None:
    programs = unpack(Compiler().compile(assemble("call.bpf.c"), FEWEST))
    assert set(programs) == {"call_regs", *ENDS}
    programs = unpack(Compiler().compile(assemble("call.bpf.c"), [*FEWEST, "-DWITHOUT_UNWOUND"]))
    assert set(programs) == {"call_regs", "goroutine_exit"}


@pytest.mark.usefixtures("bcc")
def test_errors_of_the_compiler_are_shown_with_their_place() -> None:
    broken = '#line 5 "some.h"\nint call_x(struct pt_regs *ctx) { return nothing; }\n'
    with pytest.raises(TracerError) as error:
        Compiler().compile(broken, [])
    first, *rest = error.value.message.splitlines()
    assert first.startswith("BCC cannot compile the program: ")
    assert any("some.h:5:" in line and "nothing" in line for line in rest)


@pytest.mark.usefixtures("bcc")
def test_a_map_of_another_size_compiles_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kept program is found again for the same text and flags, and for no others."""
    kept: dict[tuple[str, str], bytes] = {}

    def put(kind: str, name: str, data: bytes) -> None:
        kept[kind, name] = data

    def find(kind: str, name: str) -> BinaryIO | None:
        return io.BytesIO(kept[kind, name]) if (kind, name) in kept else None

    monkeypatch.setattr(program_cache.cache, "find", find)
    monkeypatch.setattr(program_cache.cache, "put", put)
    monkeypatch.setattr(program_cache, "assemble", lambda name, filters=None: SMALL)
    blobs = [program_cache.CachedCompiler().program("x", [f"-DVALUE={v}"]) for v in (23, 29, 23)]
    assert blobs[0] == blobs[2] != blobs[1]
    assert len(kept) == 2


# ---- when it cannot -------------------------------------------------------------------------------------------


def test_without_bcc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bcc.py").write_text("raise ImportError('No module named bcc, says the test')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(TracerError) as error:
        Compiler().compile(SMALL, [])
    assert error.value.message == (
        f"BCC's Python module cannot be used by {sys.executable}: No module named bcc, says the test"
    )
    assert error.value.exit_code == 1
    assert error.value.hint is not None
    assert "python3-bpfcc" in error.value.hint


def test_a_compiler_that_dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bcc.py").write_text("import os\nos.write(2, b'LLVM ERROR: some\\n')\nos.abort()\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(TracerError) as error:
        Compiler().compile(SMALL, [])
    assert error.value.message == "the BPF compiler ended with signal 6\n  LLVM ERROR: some"


def test_cancelled() -> None:
    compiler = Compiler()
    compiler.cancel()
    compiler.start()
    compiler.cancel()
    compiler.cancel()


def test_headers_are_ours() -> None:
    """BCC finds its kernel headers in bpf_c/headers and nowhere else."""
    assert (program.source_folder() / "headers" / "include" / "linux" / "kconfig.h").is_file()


READS = """
#include <uapi/linux/ptrace.h>
int reads(struct pt_regs *ctx)
{
	u64 of_user = 0, of_kernel = 0;

	bpf_probe_read_user(&of_user, sizeof(of_user), (void *)ctx->sp);
	bpf_probe_read_kernel(&of_kernel, sizeof(of_kernel), (void *)ctx->ip);
	return of_user == of_kernel;
}
"""
BPF_CALL, PROBE_READ_USER, PROBE_READ_KERNEL = 0x85, 112, 113  # linux/bpf.h


@pytest.mark.usefixtures("bcc")
def mounts_of_symbols() -> list[str]:
    """Other tests, beside this one, may mount what is theirs."""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        return [line for line in file if "kallsyms" in line]


def test_few_kernel_symbols_are_enough() -> None:
    """BCC takes the helpers that are asked for; and the symbols that only it sees are seen by nobody else."""
    before = mounts_of_symbols()
    blob = Compiler().compile(READS, [])
    names, offset = [], 8 + 4 + 4 + len("reads")
    (n,) = struct.unpack_from("<I", blob, offset)
    for i in range(n):
        opcode, _, _, immediate = struct.unpack_from("<BBhi", blob, offset + 4 + 8 * i)
        if opcode == BPF_CALL:
            names.append(immediate)
    assert names == [PROBE_READ_USER, PROBE_READ_KERNEL]
    assert mounts_of_symbols() == before
    assert (program.source_folder() / "headers" / "kallsyms").is_file()
