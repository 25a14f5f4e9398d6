# SPDX-License-Identifier: Apache-2.0
"""The guest's first files: busybox, init.sh and the modules without which there is no root."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import re
import stat
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

from kernels import Kernel
from needs import VmError, read_busybox, run_tool, tool

INIT_SCRIPT = Path(__file__).resolve().with_name("init.sh")

# What the guest must drive before it sees the host's files, in loading order.
MODULES = ("virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay")

_APPLETS = (
    "cat", "chroot", "cp", "hostname", "insmod", "ip", "ln", "mkdir", "mkfifo",
    "mount", "poweroff", "setsid", "sh", "sleep", "sync",
)  # fmt: skip
_FOLDERS = ("bin", "dev", "lower", "modules", "proc", "root", "sys", "upper")

# A run that was killed while writing left its file behind, if the file is older than this.
_STALE_S = 3600

_DEP_LINE = re.compile(r"^(\S+\.ko(?:\.\w+)?):(.*)$")


class Archive:
    """A cpio archive in the "newc" form, in memory; every file is root's, with time 0.

    Source: the kernel's Documentation/driver-api/early-userspace/buffer-format.rst. Archives can
    be put one after the other: the kernel unpacks each (the length is a multiple of 4).
    """

    def __init__(self) -> None:
        self._data = bytearray()
        self._inode = 0

    def folder(self, name: str) -> None:
        self._entry(name, stat.S_IFDIR | 0o755, b"")

    def file(self, name: str, content: bytes, mode: int = 0o644) -> None:
        self._entry(name, stat.S_IFREG | mode, content)

    def link(self, name: str, target: str) -> None:
        """A symbolic link."""
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def finish(self) -> bytes:
        """The whole archive, with its trailer."""
        self._entry("TRAILER!!!", 0, b"")
        return bytes(self._data)

    def _entry(self, name: str, mode: int, content: bytes) -> None:
        self._inode += 1
        encoded = os.fsencode(name) + b"\0"
        links = 2 if stat.S_ISDIR(mode) else 1
        fields = (
            self._inode, mode, 0, 0, links, 0, len(content), 0, 0, 0, 0, len(encoded), 0,
        )  # fmt: skip
        self._data += b"070701" + b"".join(b"%08X" % field for field in fields)
        self._data += encoded
        self._pad()
        self._data += content
        self._pad()

    def _pad(self) -> None:
        self._data += b"\0" * (-len(self._data) % 4)


def module_name(path: str) -> str:
    """`kernel/net/9p/9pnet-x.ko.xz` -> `9pnet_x`."""
    return path.rsplit("/", 1)[-1].split(".ko", 1)[0].replace("-", "_")


def parse_dependencies(text: str) -> dict[str, list[str]]:
    """The lines of modules.dep: a module's path -> the paths it needs, the nearest first."""
    table = {}
    for line in text.splitlines():
        match = _DEP_LINE.match(line)
        if match:
            table[match.group(1)] = match.group(2).split()
    return table


def load_order(table: dict[str, list[str]], builtin: set[str] | None, wanted: tuple[str, ...]) -> list[str]:
    """Paths of the modules to load so that each comes after what it needs.

    `builtin` holds names of modules that are part of the kernel; None if that is not known: then
    those that `table` lacks are taken to be. Raises VmError for a wanted module that is neither.
    """
    by_name = {module_name(path): path for path in table}
    order: list[str] = []
    for name in wanted:
        path = by_name.get(name.replace("-", "_"))
        if path is None:
            if builtin is None or name.replace("-", "_") in builtin:
                continue
            raise VmError(
                f"the kernel has no module {name!r}, which the guest needs to see the host's files",
                "take a distribution's stock kernel, or build yours with virtio, 9p and overlayfs",
            )
        # modules.dep lists what has to be there first last.
        for step in [*reversed(table[path]), path]:
            if step not in order:
                order.append(step)
    return order


def module_files(kernel: Kernel) -> list[Path]:
    """The files of MODULES and of all that they need, in loading order, as they lie on disk."""
    listing = kernel.modules / "modules.dep"
    if listing.is_file():
        text = listing.read_text(encoding="utf-8", errors="replace")
    else:
        # A folder of the user's own: nothing is written into it.
        base = kernel.modules.parents[2]
        done = run_tool([tool("depmod"), "-n", "-b", str(base), kernel.release])
        if done.returncode != 0:
            raise VmError(f"depmod cannot read {kernel.modules}: {done.stderr.strip()}")
        text = done.stdout
    builtin_file = kernel.modules / "modules.builtin"
    builtin = None
    if builtin_file.is_file():
        builtin = {module_name(path) for path in builtin_file.read_text(encoding="utf-8", errors="replace").split()}
    order = load_order(parse_dependencies(text), builtin, MODULES)
    return [kernel.modules / path for path in order]


def read_module(path: Path) -> bytes:
    """A module's plain bytes, whatever it is compressed with. Raises VmError if unreadable."""
    try:
        if path.suffix == ".zst":
            return _read_zstd(path)
        content = path.read_bytes()
        if path.suffix == ".xz":
            return lzma.decompress(content)
        if path.suffix == ".gz":
            return gzip.decompress(content)
        return content
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise VmError(f"the kernel module {path} cannot be read: {error}") from None


def _read_zstd(path: Path) -> bytes:
    done = subprocess.run([tool("zstd"), "-qdc", str(path)], capture_output=True, check=False)
    if done.returncode != 0:
        raise OSError(done.stderr.decode(errors="replace").strip())
    return done.stdout


def build(kernel: Kernel) -> bytes:
    """The initramfs of a kernel: an archive that is not compressed, as unpacking would cost more
    in the guest than copying does on the host."""
    archive = Archive()
    for name in _FOLDERS:
        archive.folder(name)
    archive.file("bin/busybox", read_busybox(), 0o755)
    for applet in _APPLETS:
        archive.link(f"bin/{applet}", "busybox")
    names = []
    for path in module_files(kernel):
        name = f"{module_name(path.name)}.ko"
        names.append(name)
        archive.file(f"modules/{name}", read_module(path))
    archive.file("modules/list", "".join(f"{name}\n" for name in names).encode())
    archive.file("init", INIT_SCRIPT.read_bytes(), 0o755)
    return archive.finish()


def key(kernel: Kernel) -> str:
    """A short name for all that the initramfs of this kernel is made from."""
    digest = hashlib.sha256()
    for part in (INIT_SCRIPT, Path(__file__)):
        digest.update(hashlib.sha256(part.read_bytes()).digest())
    for part in (Path(tool("busybox")), kernel.image, kernel.modules):
        status = part.stat()
        digest.update(f"{part}:{status.st_size}:{status.st_mtime_ns};".encode())
    digest.update(kernel.release.encode())
    return digest.hexdigest()[:16]


def initramfs(kernel: Kernel, cache: Path) -> bytes:
    """The initramfs of a kernel, from `cache`/initramfs if it is there, else built and kept.

    That it cannot be kept (a full or read-only disk) is said on stderr and hinders nothing.
    """
    folder = cache / "initramfs"
    path = folder / f"{kernel.release}-{key(kernel)}.cpio"
    try:
        return path.read_bytes()
    except OSError:
        content = build(kernel)
    try:
        _keep(path, content)
    except OSError as error:
        print(f"vm: {path} could not be kept: {error.strerror}", file=sys.stderr)
    return content


def _keep(path: Path, content: bytes) -> None:
    """Writes a file so that it is there whole or not at all, and drops its older versions."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for stale in path.parent.glob(".partial-*"):
        if stale.stat().st_mtime < time.time() - _STALE_S:
            stale.unlink(missing_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".partial-")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    release = path.name.rsplit("-", 1)[0]
    for old in path.parent.glob("*.cpio"):
        if old != path and old.name.rsplit("-", 1)[0] == release:
            old.unlink(missing_ok=True)
