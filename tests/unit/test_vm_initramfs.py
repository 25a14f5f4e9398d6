# SPDX-License-Identifier: Apache-2.0
"""What vm/ needs of the host, and the initramfs it makes. No machine is booted."""

from __future__ import annotations

import gzip
import lzma
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "vm"))

import initramfs
import kernels
import needs

# What is needed


def test_missing_tools_name_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "find_tool", lambda name: None)
    assert needs.missing_tools() == {
        "qemu-system-x86_64": "qemu-system-x86",
        "busybox": "busybox-static",
        "depmod": "kmod",
    }
    with pytest.raises(needs.VmError) as caught:
        needs.require_tools()
    assert caught.value.report() == (
        "error: qemu-system-x86_64, busybox, depmod are not installed\n"
        "hint: on Debian: apt-get install qemu-system-x86 busybox-static kmod"
    )


def test_one_missing_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "find_tool", lambda name: None if name.startswith("qemu") else name)
    assert needs.missing_tools() == {"qemu-system-x86_64": "qemu-system-x86"}
    with pytest.raises(needs.VmError) as caught:
        needs.require_tools()
    assert caught.value.report() == (
        "error: qemu-system-x86_64 is not installed\nhint: on Debian: apt-get install qemu-system-x86"
    )


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"VM_CACHE": "/k", "XDG_CACHE_HOME": "/x"}, "/k"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/gopherscope"),
        ({"XDG_CACHE_HOME": "x"}, "/home/someone/.cache/gopherscope"),
        ({}, "/home/someone/.cache/gopherscope"),
    ],
)
def test_cache_folder(environ: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert needs.cache_dir(environ) == Path(expected)


def elf(kinds: list[int]) -> bytes:
    header = b"\x7fELF\x02\x01\x01".ljust(32, b"\0") + struct.pack("<Q", 64) + bytes(14)
    header += struct.pack("<HH", 56, len(kinds))
    return header.ljust(64, b"\0") + b"".join(struct.pack("<I", kind).ljust(56, b"\0") for kind in kinds)


def test_static_programs_ask_for_no_interpreter() -> None:
    assert needs.is_static(elf([1, 1, 4]))
    assert not needs.is_static(elf([6, 3, 1]))


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\n", b"\x7fELF\x01\x01" + bytes(99), elf([1, 1])[:-1]])
def test_what_is_no_whole_program_is_not_static(content: bytes) -> None:
    assert not needs.is_static(content)


def test_dynamic_busybox_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "busybox").write_bytes(elf([3]))
    monkeypatch.setattr(needs, "find_tool", lambda name: str(tmp_path / name))
    with pytest.raises(needs.VmError) as caught:
        needs.read_busybox()
    assert caught.value.hint == "on Debian: apt-get install busybox-static"


def test_a_tool_that_hangs_is_ended() -> None:
    with pytest.raises(needs.VmError, match=r"^sleep did not end within 0 s$"):
        needs.run_tool(["sleep", "60"], timeout_s=0.1)


# The initramfs

DEPENDENCIES = """\
kernel/fs/9p/9p.ko.xz: kernel/net/9p/9pnet.ko.xz kernel/fs/netfs/netfs.ko.xz
kernel/net/9p/9pnet_virtio.ko.xz: kernel/net/9p/9pnet.ko.xz kernel/drivers/virtio/virtio.ko.xz
kernel/net/9p/9pnet.ko.xz:
kernel/fs/netfs/netfs.ko.xz:
kernel/drivers/virtio/virtio.ko.xz:
kernel/fs/overlayfs/overlay.ko.xz:
# Aliases extracted from modules themselves.
alias fs-9p 9p
"""


def test_each_module_comes_after_what_it_needs() -> None:
    table = initramfs.parse_dependencies(DEPENDENCIES)
    assert len(table) == 6
    order = initramfs.load_order(table, {"virtio_pci"}, ("virtio-pci", "9pnet_virtio", "9p"))
    assert order == [
        "kernel/drivers/virtio/virtio.ko.xz",
        "kernel/net/9p/9pnet.ko.xz",
        "kernel/net/9p/9pnet_virtio.ko.xz",
        "kernel/fs/netfs/netfs.ko.xz",
        "kernel/fs/9p/9p.ko.xz",
    ]


def test_module_that_the_kernel_lacks() -> None:
    table = initramfs.parse_dependencies(DEPENDENCIES)
    with pytest.raises(needs.VmError, match=r"^the kernel has no module 'virtio_console',"):
        initramfs.load_order(table, set(), ("9p", "virtio_console"))
    assert initramfs.load_order(table, None, ("overlay", "virtio_console")) == ["kernel/fs/overlayfs/overlay.ko.xz"]


@pytest.mark.parametrize(
    ("name", "content"),
    [("m.ko", b"code"), ("m.ko.xz", lzma.compress(b"code")), ("m.ko.gz", gzip.compress(b"code", mtime=0))],
)
def test_modules_are_unpacked(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert initramfs.read_module(tmp_path / name) == b"code"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("m.ko.xz", b"no xz"),
        ("m.ko.gz", b"no gz"),
        ("m.ko.gz", gzip.compress(b"code", mtime=0)[:-3]),
        ("m.ko.gz", gzip.compress(b"code", mtime=0)[:10] + b"\xff" * 12),
    ],
)
def test_torn_module(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(needs.VmError, match=rf"^the kernel module {tmp_path}/{name} cannot be read: "):
        initramfs.read_module(tmp_path / name)


def test_archive_is_read_by_cpio(tmp_path: Path) -> None:
    cpio = [shutil.which("cpio")] if shutil.which("cpio") else [needs.find_tool("busybox"), "cpio"]
    if cpio[0] is None:
        pytest.skip("skipped, because neither cpio nor busybox is installed")
    archive = initramfs.Archive()
    archive.folder("bin")
    archive.file("bin/tool", b"seventeen bytes..", 0o755)
    archive.link("bin/alias", "tool")
    archive.file("empty", b"")
    content = archive.finish()
    assert len(content) % 4 == 0
    command = [str(part) for part in cpio] + ["-i", "-d"]
    subprocess.run(command, input=content, cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "bin/alias").readlink() == Path("tool")
    assert (tmp_path / "bin/alias").read_bytes() == b"seventeen bytes.."
    assert (tmp_path / "bin/tool").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "empty").read_bytes() == b""


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> kernels.Kernel:
    """A kernel whose five modules need nothing, and a busybox that cannot do anything."""
    modules = tmp_path / "k/lib/modules/6.1.0-7-amd64"
    (modules / "kernel").mkdir(parents=True)
    (modules / "vmlinuz").write_bytes(b"image")
    for name in initramfs.MODULES:
        (modules / f"kernel/{name}.ko").write_bytes(name.encode())
    lines = [f"kernel/{name}.ko:\n" for name in initramfs.MODULES]
    (modules / "modules.dep").write_text("".join(lines))
    (tmp_path / "busybox").write_bytes(elf([1]))
    for module in (needs, initramfs):
        monkeypatch.setattr(module, "tool", lambda name: str(tmp_path / name))
    return kernels.locate(tmp_path / "k", "mine")


def test_lists_that_are_no_text(kernel: kernels.Kernel) -> None:
    """What else is in them does not matter."""
    for name in ("modules.dep", "modules.builtin"):
        with (kernel.modules / name).open("ab") as file:
            file.write(b"kernel/\xff.ko:\n")
    assert [path.name for path in initramfs.module_files(kernel)] == [f"{name}.ko" for name in initramfs.MODULES]


def test_initramfs_is_built_once(kernel: kernels.Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = initramfs.initramfs(kernel, tmp_path / "cache")
    assert b"modules/list\0" in first
    assert b"virtio_pci.ko\nvirtio_console.ko\n9pnet_virtio.ko\n9p.ko\noverlay.ko\n" in first
    monkeypatch.setattr(initramfs, "build", lambda kernel: pytest.fail("it was built again"))
    assert initramfs.initramfs(kernel, tmp_path / "cache") == first


def test_initramfs_is_built_anew_for_another_init(
    kernel: kernels.Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    initramfs.initramfs(kernel, tmp_path / "cache")
    init = tmp_path / "init.sh"
    init.write_text("#!/bin/sh\necho another\n")
    monkeypatch.setattr(initramfs, "INIT_SCRIPT", init)
    assert b"echo another" in initramfs.initramfs(kernel, tmp_path / "cache")
    assert len(list((tmp_path / "cache/initramfs").iterdir())) == 1, "the older one was kept"


def test_initramfs_that_cannot_be_kept(
    kernel: kernels.Kernel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert b"modules/list\0" in initramfs.initramfs(kernel, tmp_path / "cache")
    assert capsys.readouterr().err.endswith(".cpio could not be kept: Not a directory\n")
