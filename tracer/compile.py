# SPDX-License-Identifier: Apache-2.0
"""The compiler's process: `python -m tracer.compile`.

Reads {"text": …, "cflags": […]} from standard input, lets BCC compile it, and writes the instructions of every
program function to standard output (program.pack). BCC is needed only here, and this
process ends at once: the tracer itself never holds LLVM.

`--check` imports BCC and writes its version instead.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import struct
import sys
from pathlib import Path
from typing import Any, NoReturn

from tracer.program import Function, pack

LD_IMM64 = 0x18  # BPF_LD | BPF_IMM | BPF_DW: two slots of 8 bytes
# BCC reads all of /proc/kallsyms for each call of a helper with one of these names, to give old kernels
# bpf_probe_read instead: half the time of a compilation. Under other names they are left alone. (Kernels
# without them, before 5.5, have no attach cookies either.)
RENAMED = tuple(
    f"-D{name}={name.removeprefix('bpf_')}_memory" for name in ("bpf_probe_read_user", "bpf_probe_read_kernel")
)

CLONE_NEWNS, MS_BIND, MS_REC, MS_PRIVATE = 0x20000, 0x1000, 0x4000, 0x40000  # linux/sched.h, linux/mount.h

PSEUDO_MAP_FD = 1  # its source register says that the immediate is a descriptor


class BccMissingError(Exception):
    pass


def load_bcc() -> Any:
    try:
        import bcc
    except ImportError as e:
        raise BccMissingError(str(e)) from None
    except OSError as e:  # its shared library does not load
        raise BccMissingError(str(e)) from None
    return bcc


def shorten_kernel_symbols() -> None:
    """A /proc/kallsyms of two lines, for this process alone: BCC reads all of it once for each compilation, which
    takes longer than the compilation, to learn whether the kernel has the two helpers that read memory. Every
    kernel with attach cookies has them. Where no mount is allowed the kernel's own is read."""
    libc = ctypes.CDLL(None)
    libc.mount.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_void_p]
    symbols = os.fsencode(Path(os.environ["BCC_KERNEL_SOURCE"], "kallsyms"))
    # private first: what is mounted here must not show elsewhere
    if libc.unshare(CLONE_NEWNS) == 0 and libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) == 0:
        libc.mount(symbols, b"/proc/kallsyms", None, MS_BIND, None)


def function_names(lib: Any, handle: Any) -> list[str]:
    """The program functions that BCC compiled, in order: those that are not static."""
    lib.bpf_function_name.restype = ctypes.c_char_p
    lib.bpf_function_name.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    return [lib.bpf_function_name(handle, i).decode() for i in range(lib.bpf_num_functions(handle))]


def map_references(insns: bytes, names: dict[int, str]) -> tuple[tuple[int, str], ...]:
    """Instructions that load a map's descriptor. names: by descriptor, as they are in this process."""
    refs = []
    index = 0
    while index < len(insns) // 8:
        opcode, registers, _, immediate = struct.unpack_from("<BBhi", insns, 8 * index)
        if opcode == LD_IMM64:
            if registers >> 4 == PSEUDO_MAP_FD:
                refs.append((index, names[immediate]))
            index += 1  # the second slot holds the upper half
        index += 1
    return tuple(refs)


def compile_text(text: str, cflags: list[str]) -> list[Function]:
    """Every program function of the text. Exceptions are BCC's."""
    bcc = load_bcc()
    module = bcc.BPF(text=text, cflags=[*RENAMED, *cflags])
    lib, handle = bcc.lib, module.module
    lib.bpf_table_name.restype = ctypes.c_char_p  # bcc declares it in some versions only
    lib.bpf_table_name.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    names = {
        lib.bpf_table_fd_id(handle, i): lib.bpf_table_name(handle, i).decode()
        for i in range(lib.bpf_num_tables(handle))
    }
    functions = []
    for name in function_names(lib, handle):
        insns = module.dump_func(name)
        if not insns:
            raise ValueError(f"BCC made no instructions for {name}")
        functions.append(Function(name, insns, map_references(insns, names)))
    return functions


def fail(message: str, hint: str = "") -> NoReturn:
    sys.stderr.write(f"\nerror: {message}\n" + (f"hint: {hint}\n" if hint else ""))
    leave(1)


def leave(status: int) -> NoReturn:
    """End without the destructors of LLVM, which take longer than the compilation of a small program."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer; it ends us
    try:
        bcc = load_bcc()
    except BccMissingError as e:
        fail(
            f"BCC's Python module cannot be used by {sys.executable}: {e}",
            "install the package python3-bpfcc (Debian, Ubuntu) or python3-bcc (Fedora, Arch: python-bcc); "
            "a virtual environment needs --system-site-packages",
        )
    if sys.argv[1:] == ["--check"]:
        print(getattr(bcc, "__version__", "unknown"))
        leave(0)
    request = json.load(sys.stdin.buffer)
    shorten_kernel_symbols()
    try:
        functions = compile_text(request["text"], request["cflags"])
    except Exception as e:  # BCC raises plain Exception
        if os.geteuid() != 0 and "compile" in str(e):
            fail("the kernel does not let this user create BPF maps", "run as root (sudo)")
        # BCC's message for a failed compilation is the whole text: keep the first line, the diagnostics are above
        first = (str(e).splitlines() or [type(e).__name__])[0]
        fail("BCC cannot compile the program: " + first[:200])
    sys.stdout.buffer.write(pack(functions))
    leave(0)


if __name__ == "__main__":
    main()
