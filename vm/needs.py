# SPDX-License-Identifier: Apache-2.0
"""What the virtual machine needs from the host: programs, a cache folder, and one error type."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import struct
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

# Program -> the Debian package that has it. The archive of the initramfs and xz are handled by
# Python itself, so cpio and xz-utils are not among them.
NEEDED_TOOLS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "busybox": "busybox-static",
    "depmod": "kmod",
}
# Wanted only for a kernel whose modules are compressed with it (other distributions' kernels).
ZSTD_TOOL = ("zstd", "zstd")
DEBIAN_PACKAGES = (*NEEDED_TOOLS.values(), ZSTD_TOOL[1])

# depmod and busybox can be in folders that an ordinary user's PATH leaves out.
_EXTRA_PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"

_PT_INTERP = 3
_PR_SET_PDEATHSIG = 1


class VmError(Exception):
    """Something that a user can mend: one line about what failed and why, and what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def report(self) -> str:
        """The text for stderr, without a final newline."""
        lines = [f"error: {self}"]
        if self.hint:
            lines.append(f"hint: {self.hint}")
        return "\n".join(lines)


class NoSpaceError(VmError):
    """The disk that the cache is on is full, or too small."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "VM_CACHE=FOLDER puts the cache on another disk")


def find_tool(name: str) -> str | None:
    """The path of a program, also in the sbin folders; None if it is not installed."""
    path = os.environ.get("PATH", "")
    return shutil.which(name, path=f"{path}:{_EXTRA_PATH}" if path else _EXTRA_PATH)


def missing_tools(tools: Mapping[str, str] = NEEDED_TOOLS) -> dict[str, str]:
    """Those of `tools` (program -> Debian package) that are not installed, in their order."""
    return {tool: package for tool, package in tools.items() if find_tool(tool) is None}


def require_tools(tools: Mapping[str, str] = NEEDED_TOOLS) -> None:
    """Raises VmError, naming every program that is missing and the packages to install."""
    missing = missing_tools(tools)
    if not missing:
        return
    verb = "is" if len(missing) == 1 else "are"
    packages = " ".join(dict.fromkeys(missing.values()))
    raise VmError(
        f"{', '.join(missing)} {verb} not installed",
        f"on Debian: apt-get install {packages}",
    )


def tool(name: str) -> str:
    """The path of one of the needed programs. Raises VmError if it is missing."""
    packages = {**NEEDED_TOOLS, ZSTD_TOOL[0]: ZSTD_TOOL[1]}
    require_tools({name: packages.get(name, name)})
    path = find_tool(name)
    assert path is not None
    return path


def is_static(elf: bytes) -> bool:
    """Whether a 64-bit little-endian ELF file asks for no program interpreter.

    False also for what is no such file: it could not run in the guest either.
    Source: the ELF-64 object file format, "ELF header" and "Program header".
    """
    if len(elf) < 64 or elf[:6] != b"\x7fELF\x02\x01":
        return False
    (table,) = struct.unpack_from("<Q", elf, 32)
    entry_size, count = struct.unpack_from("<HH", elf, 54)
    if entry_size < 4 or table + entry_size * count > len(elf):
        return False
    kinds = (struct.unpack_from("<I", elf, table + i * entry_size)[0] for i in range(count))
    return _PT_INTERP not in kinds


def read_busybox() -> bytes:
    """The bytes of the host's busybox. Raises VmError if it is missing or not static."""
    path = tool("busybox")
    content = Path(path).read_bytes()
    if not is_static(content):
        raise VmError(
            f"{path} is not a static x86-64 program, so it cannot run alone in the guest",
            "on Debian: apt-get install busybox-static",
        )
    return content


def cache_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """Where kernels are kept: VM_CACHE, else gopherscope/ in the user's cache folder. Absolute.

    The folder need not exist yet. An XDG_CACHE_HOME that is not absolute counts as unset, as the
    XDG base directory specification has it.
    """
    own = environ.get("VM_CACHE")
    if own:
        return Path(own).absolute()
    shared = environ.get("XDG_CACHE_HOME", "")
    base = Path(shared) if shared.startswith("/") else Path.home() / ".cache"
    return base / "gopherscope"


def die_with_parent() -> Callable[[], None]:
    """For Popen's preexec_fn: has the new process killed when the one that calls this dies.

    It does not reach that process's own children. There must be no threads.
    Source: prctl(2), PR_SET_PDEATHSIG.
    """
    libc = ctypes.CDLL(None)
    parent = os.getpid()

    def before_exec() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before prctl
            os._exit(1)

    return before_exec


def run_tool(
    command: Sequence[str], cwd: Path | None = None, timeout_s: float = 900
) -> subprocess.CompletedProcess[str]:
    """Runs a program with English messages and no input; stdout and stderr are captured.

    Never raises for an exit status other than 0. Raises VmError when the program cannot be
    started or does not end within `timeout_s` seconds (it is then killed). It is killed, too,
    when this process dies.
    """
    environ = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        return subprocess.run(
            command,
            cwd=cwd,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
            preexec_fn=die_with_parent(),
        )
    except subprocess.TimeoutExpired:
        raise VmError(f"{command[0]} did not end within {timeout_s:.0f} s") from None
    except OSError as error:
        raise VmError(f"{command[0]} could not be started: {error.strerror}") from None
