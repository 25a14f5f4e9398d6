# SPDX-License-Identifier: Apache-2.0
"""An empty BPF program on sites of a file: python bench/empty_probe.py FILE FILE_OFFSET…

It says "attached", and ends when stdin closes. Attached as the tracer attaches, by a
uprobe_multi link (Linux 6.6), so that the difference is the program alone.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent

BPF_LINK_CREATE = 28
BPF_TRACE_UPROBE_MULTI = 48
SYS_BPF = {"x86_64": 321, "aarch64": 280}[platform.machine()]


def link(prog_fd: int, path: str, sites: Sequence[int]) -> int:
    """A uprobe_multi link (struct bpf_attr, link_create.uprobe_multi in linux/bpf.h)."""
    libc = ctypes.CDLL(None, use_errno=True)
    name = ctypes.create_string_buffer(os.fsencode(path))
    offsets = (ctypes.c_uint64 * len(sites))(*sites)
    head = struct.pack("<IIII", prog_fd, 0, BPF_TRACE_UPROBE_MULTI, 0)
    body = struct.pack("<QQQQIII", ctypes.addressof(name), ctypes.addressof(offsets), 0, 0, len(sites), 0, 0)
    attr = ctypes.create_string_buffer((head + body).ljust(64, b"\0"), 64)
    fd: int = libc.syscall(SYS_BPF, BPF_LINK_CREATE, attr, 64)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "uprobe_multi: " + os.strerror(ctypes.get_errno()))
    return fd


def main() -> int:
    os.environ.setdefault("BCC_KERNEL_SOURCE", str(HERE.parent / "bpf_c" / "headers"))
    from bcc import BPF

    module = BPF(text=(HERE / "empty.bpf.c").read_text())
    function = module.load_func("call_empty", BPF.KPROBE, attach_type=BPF_TRACE_UPROBE_MULTI)
    link(function.fd, sys.argv[1], [int(offset, 0) for offset in sys.argv[2:]])
    print("attached", flush=True)
    sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main())
