# SPDX-License-Identifier: Apache-2.0
"""Writes what the fuzzers start from: `corpus.py FOLDER PROGRAM`, a folder for each target.

PROGRAM is a Go program with debug information; what is small is made by hand, and each has damaged copies. What was
once found stands in found/, by target, and is tried each time.
"""

from __future__ import annotations

import random
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

from elftools.elf.elffile import ELFFile

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests/unit")]

from decode_script import compile_harness  # noqa: E402

from tracer.plan import Program, ReadOptions  # noqa: E402

CODE, DATA = 0x401000, 0x600000  # as in image.h
WHOLE_MAX = 1 << 20  # bytes of an input that is taken as it is
DEBUG = "text abbrev info addr str loclists loc line frame".split()

# cmp 0x10(%r14),%rsp; jbe 1f; push %rbp; mov %rsp,%rbp; mov %rax,8(%rsp); pop %rbp; ret; 1: call morestack; jmp 0b
FUNCTION = bytes.fromhex("493b6610 760d 55 4889e5 4889442408 5d c3 cccc e803000000 ebe6 cccccc")
MORESTACK = bytes.fromhex("4889e0 c3")


def sections_of(path: Path) -> dict[str, bytes]:
    with path.open("rb") as file:
        return {s.name: s.data() for s in ELFFile(file).iter_sections()}


def image(*sections: bytes) -> bytes:
    return struct.pack(f"<{len(sections)}I", *map(len, sections)) + b"".join(sections)


def debug_image(sections: dict[str, bytes], **instead: bytes) -> bytes:
    found = [b"\xc3" * 64] + [instead.get(name, sections.get(f".debug_{name}", b"")) for name in DEBUG[1:]]
    return image(*found)


def unit_at(info: bytes, wanted: int) -> bytes:
    """The wanted-th unit of .debug_info."""
    at = 0
    for _ in range(wanted):
        at += 4 + struct.unpack_from("<I", info, at)[0]
    return info[at : at + 4 + struct.unpack_from("<I", info, at)[0]]


def pclntab() -> bytes:
    """Of Go 1.20 and newer (runtime/symtab.go): main.main, main.f, runtime.morestack."""
    entries = [0, len(FUNCTION), 2 * len(FUNCTION)]
    names = [b"main.main", b"main.f", b"runtime.morestack"]
    table = b"".join(n + b"\0" for n in names)
    offsets = [sum(len(n) + 1 for n in names[:i]) for i in range(3)]
    table = table.ljust(64, b"\0")
    cu = struct.pack("<I", 0).ljust(8, b"\0")
    files = b"main.go\0"
    values = bytes([0, 2, 20, 0, 20, 20, 0, 0])  # at 1: file 0; at 4: line 9
    code_end = 2 * len(FUNCTION) + len(MORESTACK)
    size = 4 * (2 * 3 + 1)
    funcs, records = b"", b""
    for entry, name in zip(entries, offsets):
        funcs += struct.pack("<II", entry, size + len(records))
        records += struct.pack("<IiiIIIIIIiBBBB", entry, name, 8, 0, 0, 1, 4, 0, 0, 9, 0, 0, 0, 0)
    funcs += struct.pack("<I", code_end)
    parts = [table, cu, files, values]
    at, places = 8 + 8 * 8, []
    for part in parts:
        places.append(at)
        at += len(part)
    head = struct.pack("<IBBBB", 0xFFFFFFF1, 0, 0, 1, 8) + struct.pack("<QQQQQQQQ", 3, 1, CODE, *places, at)
    return head + b"".join(parts) + funcs + records


def build_info() -> bytes:
    def text(s: bytes) -> bytes:
        return bytes([len(s)]) + s

    module = b"0" * 16 + b"path\tx\nmod\tx\t(devel)\t\nbuild\t-compiler=gc\n" + b"0" * 16
    return b"\xff Go buildinf:\x08\x02".ljust(32, b"\0") + text(b"go1.26.8") + text(module)


def elf(sections: list[tuple[str, int, int, int, int, bytes]]) -> bytes:
    """(name, type, flags, address, entry size, bytes) → a file with one segment for each that is loaded."""
    names = b"\0"
    body, headers, segments = b"", [], []
    head = 64 + 56 * sum(1 for s in sections if s[3])
    for name, kind, flags, addr, item, data in [*sections, (".shstrtab", 3, 0, 0, 0, b"")]:
        index = len(names)
        names += name.encode() + b"\0"
        if name == ".shstrtab":
            data = names
        link = len(headers) + 2 if kind == 2 else 0  # its strings come next
        body = body.ljust(-(-len(body) // 8) * 8, b"\0")
        at = head + len(body)
        headers.append(struct.pack("<IIQQQQIIQQ", index, kind, flags, addr, at, len(data), link, 0, 1, item))
        if addr:
            segments.append(struct.pack("<IIQQQQQQ", 1, 5 if flags & 4 else 6, at, addr, addr, len(data), len(data), 8))
        body += data
    head_bytes = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH",
        2,
        62,
        1,
        CODE,
        64,
        head + len(body),
        0,
        64,
        56,
        len(segments),
        64,
        len(headers) + 1,
        len(headers),
    )
    return head_bytes + b"".join(segments) + body + bytes(64) + b"".join(headers)


def small_program(debug: dict[str, bytes]) -> bytes:
    code = 2 * FUNCTION + MORESTACK
    strings = b"\0main.main\0main.f.abi0\0runtime.tlsg\0"
    symbols = bytes(24) + struct.pack("<IBBHQQ", 1, 0x12, 0, 1, CODE, len(FUNCTION))
    symbols += struct.pack("<IBBHQQ", 11, 0x12, 0, 1, CODE + len(FUNCTION), len(FUNCTION))
    note = struct.pack("<III4s", 4, 20, 3, b"GNU\0") + bytes(range(20))
    sections = [
        (".text", 1, 6, CODE, 0, code),
        (".gopclntab", 1, 2, DATA, 0, pclntab()),
        (".go.buildinfo", 1, 3, DATA + 0x10000, 0, build_info()),
        (".note.gnu.build-id", 7, 2, DATA + 0x20000, 0, note),
        (".symtab", 2, 0, 0, 24, symbols),
        (".strtab", 3, 0, 0, 0, strings),
    ]
    for name, data in debug.items():
        packed = struct.pack("<IIQQ", 1, 0, len(data), 1) + zlib.compress(data)
        sections.append((name, 1, 0x800, 0, 0, packed))
    return elf(sections)


def c_program(folder: Path, version: int) -> dict[str, bytes]:
    """Debug information that is small and whole: structs, locations, frames, lines."""
    source = folder / "small.c"
    source.write_text(
        "struct s { int a; struct s *next; char name[3]; };\n"
        "int f(struct s *s, double d, unsigned n) { while (n--) s = s->next; return s->a + (int)d; }\n"
        "int main(void) { struct s s = { 1, &s, {2} }; return f(&s, 2.5, 3); }\n"
    )
    program = folder / f"small{version}"
    subprocess.run(["gcc", "-O2", "-fno-inline", f"-gdwarf-{version}", "-o", program, source], check=True)
    return sections_of(program)


RECORD = "{site} {ts} 7 8 0xc000100f00 0xc000002000 18 0xc000200000 0 0 1 2 3 4 5 6 7 8 9 10"
SCRIPT = [
    "binary /t go1.26.8",
    "type int 2 8 -1 0 1",
    "type string 24 16 -1 0 1",
    "type *int 22 8 0 0 1",
    "type []string 23 24 1 0 1",
    "type main.T 25 16 -1 0 1",
    "field n 0 0",
    "field p 2 8",
    "func main.f 0",
    "param s 1",
    "param xs 3",
    "param t 4",
    "result r 0",
    "site 0 0x1000 0",
    "step 1 1 64",
    "value s 1",
    "piece 0 8 1 0 0 0 0 0",
    "piece 8 8 1 1 0 0 0 0",
    "value xs 3",
    "piece 0 8 1 2 0 0 0 0",
    "piece 8 8 1 3 0 0 0 0",
    "piece 16 8 0 0 0 2 0 0",
    "value t 4",
    "piece 0 8 1 4 0 0 0 0",
    "piece 8 8 1 5 0 0 0 0",
    "site 1 0x1010 0",
    "value r 0",
    "piece 0 8 1 0 0 0 0 0",
    "begin 3 0 0 256 2 64 0 0",
    "record " + RECORD.format(site=0, ts=1000) + " 0,0,1,2,6869",
    "record " + RECORD.format(site=1, ts=2000),
    # a stack (bpf_c/record.h, STEP_STACK): caller, next, own_frame, then the chain
    "record "
    + RECORD.format(site=0, ts=2500)
    + f" 65535,0,0,0,{struct.pack('<6Q', 0x2005, 0x3005, 0, 0x1000, 0x3005, 0).hex()}",
    "random 7 20",
    "lost 3000 4",
    "exit 7",
    "stop",
    "summary",
]


def recording(folder: Path) -> bytes:
    harness = compile_harness(folder, ["-O1"])
    return subprocess.run(
        [harness], input="\n".join(SCRIPT).encode() + b"\n", stdout=subprocess.PIPE, check=True
    ).stdout


def with_stacks(recorded: bytes) -> bytes:
    """The same, asked for stacks, and with the names of what stands at two addresses (collector/recording.h)."""
    stack_at = 60  # of struct recording_head
    frame = struct.pack("<II", 12, 1) + b"main.g\0main.go\0" + struct.pack("<II", 9, 0) + b"main.f\0main.go\0"
    out, at = recorded[:8], 8
    while at < len(recorded):
        size, kind = struct.unpack_from("<II", recorded, at)
        block = bytearray(recorded[at : at + 8 + (size + 7) // 8 * 8])
        if kind == 0x100:
            struct.pack_into("<I", block, 8 + stack_at, 9)
        elif kind == 1:
            for addr in (0x2004, 0x3004):
                names = struct.pack("<QII", addr, 0, 2) + frame
                out += struct.pack("<II", len(names), 0x104) + names + bytes(-len(names) % 8)
        out += block
        at += len(block)
    return out


def plan(folder: Path, program: Path) -> bytes:
    path = folder / "plan"
    with Program(str(program)) as opened, path.open("wb", buffering=0) as file:
        made = opened.plan(["main.*"], [], ReadOptions(elements=8))
        made.write(file.fileno())
        made.close()
    return path.read_bytes()


# Behind the name of a parameter: of many types, so that each fits somewhere.
WAYS = ["", ".x.y", "[1]", "[:8].Name", '["k"]', ".(*net.OpError).Op", ".ptr", "[2:]"]
AROUND = ["{}", "*{}", "len({})", "cap({})", "{} == nil", 'len({}) > 3 && !({} == "x")', "{}, {}.a"]


def expressions(program: Path) -> list[bytes]:
    """Of functions of the program, about their own parameters (fuzz_expression.c)."""
    chance = random.Random(23)
    found = []
    with Program(str(program)) as opened:
        names = [f.name for f in opened.functions()]
        for index in sorted(chance.sample(range(len(names)), 200)):
            if any(c in names[index] for c in "*?"):
                continue
            made = opened.plan([names[index]], [], ReadOptions())
            values = [v.name for f in made.functions() for s in f.sites for v in s.values]
            made.close()
            for name in values[:2]:
                text = chance.choice(AROUND).replace("{}", name + chance.choice(WAYS))
                found.append(struct.pack("<H", index) + text.encode())
    return found


RUNTIME_TYPE = 0x2904  # DW_AT_go_runtime_type
INTERFACE = 20


def types(program: Path) -> bytes:
    """The run-time types of a program (fuzz_types.c), moved to where the fuzzer's image has them."""
    with program.open("rb") as file:
        elf = ELFFile(file)
        (symbol,) = elf.get_section_by_name(".symtab").get_symbol_by_name("runtime.types")
        base = symbol["st_value"]
        section = next(s for s in elf.iter_sections() if 0 <= base - s["sh_addr"] < s["sh_size"] and s["sh_addr"])
        data, start = bytearray(section.data()), base - section["sh_addr"]
        offsets = set()
        for unit in elf.get_dwarf_info().iter_CUs():
            for die in unit.get_top_DIE().iter_children():
                if RUNTIME_TYPE in die.attributes:
                    offsets.add(die.attributes[RUNTIME_TYPE].value)
    offsets.discard(0)
    interfaces = [o for o in sorted(offsets) if data[start + o + 23] & 31 == INTERFACE]
    for o in interfaces:
        at = start + o + 48 + 8  # the slice of methods
        (pointer,) = struct.unpack_from("<Q", data, at)
        struct.pack_into("<Q", data, at, pointer - section["sh_addr"] + DATA if pointer else 0)
    chosen = interfaces[:100] + random.Random(5).sample(sorted(offsets - set(interfaces)), 100)
    return struct.pack(f"<BBI{len(chosen)}I", 26, 1 + len(chosen), start, *chosen) + bytes(data)


def check_small(path: Path) -> None:
    """The hand-made program is one that is read: the fuzzers are to start behind the first checks."""
    out = subprocess.run(
        [ROOT / "build/offsets", "functions", path], stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    assert '"main.f"' in out and '"line":9' in out and '"go1.26.8"' in out, out


def damaged(data: bytes, seed: int) -> bytes:
    random.seed(seed)
    b = bytearray(data)
    for _ in range(8):
        b[random.randrange(len(b))] = random.choice((0, 1, 0x7F, 0x80, 0xFF))
    return bytes(b[: random.randrange(len(b) // 2, len(b))]) if seed % 2 else bytes(b)


def main() -> int:
    out, program = Path(sys.argv[1]), Path(sys.argv[2])
    inputs: dict[str, list[bytes]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        go = sections_of(program)
        info = go[".debug_info"]
        cut = {key: data[: 16 << 10] for key, data in go.items()}
        small = [c_program(folder, version) for version in (4, 5)]
        inputs["debug"] = [debug_image(s) for s in small]
        inputs["debug"] += [debug_image(cut, abbrev=go[".debug_abbrev"], info=unit_at(info, n)) for n in range(4)]
        whole = debug_image(go)
        inputs["debug"] += [whole] if len(whole) <= WHOLE_MAX else []
        inputs["functions"] = [image(2 * FUNCTION + MORESTACK, pclntab(), build_info())]
        debug = {key: data for key, data in small[1].items() if key.startswith(".debug_")}
        inputs["elf"] = [small_program({}), small_program(debug)]
        recorded = recording(folder)
        stacks = with_stacks(recorded)
        inputs["recording"] = [b"\0" + recorded, b"\1" + recorded, b"\0" + stacks, b"\1" + stacks]
        inputs["plan"] = [plan(folder, program)]
        inputs["types"] = [types(program)]
        inputs["expression"] = expressions(program)
    for target, found in inputs.items():
        folder = out / target
        folder.mkdir(parents=True, exist_ok=True)
        for i, data in enumerate(found):
            (folder / f"seed{i}").write_bytes(data)
            for k in range(4 if len(data) > 100 else 0):
                (folder / f"seed{i}-damaged{k}").write_bytes(damaged(data, k))
        for path in sorted((HERE / "found").glob(f"{target}-*")):
            (folder / path.name).write_bytes(path.read_bytes())
    for i in range(2):
        check_small(out / "elf" / f"seed{i}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
