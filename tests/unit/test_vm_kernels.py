# SPDX-License-Identifier: Apache-2.0
"""The kernels of vm/ and their cache. No network, no machine."""

from __future__ import annotations

import errno
import fcntl
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Callable

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "vm"))

import debian
import kernels
import needs

CHOICE = debian.Choice("bookworm", "linux-image-6.1.0-7-amd64", "6.1.23-1", "6.1.0-7-amd64", (), 0, 0)


def done(status: int, stderr: str = "", stdout: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.CompletedProcess(["program"], status, stdout, stderr)


def make_tree(folder: Path, release: str, base: str = "lib", image: str = "boot") -> None:
    modules = folder / base / "modules" / release
    (modules / "kernel").mkdir(parents=True)
    place = modules / "vmlinuz" if image == "modules" else folder / "boot" / f"vmlinuz-{release}"
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(b"image")


def put_in_cache(folder: Path, name: str, release: str) -> None:
    make_tree(folder / name, release)
    record = kernels.Record(name, f"linux-image-{release}", "6.1.23-1", release, "bookworm")
    (folder / f"{name}.json").write_text(json.dumps(vars(record)))


# Finding a kernel in a folder


@pytest.mark.parametrize(("base", "image"), [("lib", "boot"), ("usr/lib", "modules"), ("lib", "modules")])
def test_layouts_of_a_kernel_folder(tmp_path: Path, base: str, image: str) -> None:
    make_tree(tmp_path, "6.1.0-7-amd64", base, image)
    kernel = kernels.locate(tmp_path, "mine")
    assert kernel.release == "6.1.0-7-amd64"
    assert kernel.modules == tmp_path / base / "modules" / "6.1.0-7-amd64"
    assert kernel.image.read_bytes() == b"image"


def test_lib_that_is_a_link_counts_once(tmp_path: Path) -> None:
    make_tree(tmp_path, "6.1.0-7-amd64", "usr/lib")
    (tmp_path / "lib").symlink_to("usr/lib")
    assert kernels.locate(tmp_path, "mine").modules == tmp_path / "usr/lib/modules/6.1.0-7-amd64"


def test_folder_without_a_kernel(tmp_path: Path) -> None:
    with pytest.raises(needs.VmError) as caught:
        kernels.from_environment({"VM_KERNEL": str(tmp_path)})
    assert str(caught.value) == f"{tmp_path} has no lib/modules/RELEASE/kernel or usr/lib/modules/…"
    with pytest.raises(needs.VmError, match=r"/nowhere is not a folder$"):
        kernels.from_environment({"VM_KERNEL": str(tmp_path / "nowhere")})
    assert kernels.from_environment({}) is None


def test_modules_without_an_image(tmp_path: Path) -> None:
    (tmp_path / "lib/modules/6.1.0-7-amd64/kernel").mkdir(parents=True)
    with pytest.raises(needs.VmError, match=r"has modules of 6\.1\.0-7-amd64 but no vmlinuz$"):
        kernels.locate(tmp_path, "mine")


def test_folder_with_two_kernels(tmp_path: Path) -> None:
    make_tree(tmp_path, "6.1.0-7-amd64")
    make_tree(tmp_path, "6.1.0-11-amd64")
    with pytest.raises(needs.VmError, match=r"holds 2 kernels \(6\.1\.0-11-amd64, 6\.1\.0-7-amd64\)$"):
        kernels.locate(tmp_path, "mine")


# The cache


def test_cached_needs_folder_and_record(tmp_path: Path) -> None:
    assert kernels.cached(tmp_path, "6.1") is None
    put_in_cache(tmp_path, "6.1", "6.1.0-7-amd64")
    kernel = kernels.cached(tmp_path, "6.1")
    assert kernel is not None
    assert kernel.release == "6.1.0-7-amd64"
    (tmp_path / "6.1/boot/vmlinuz-6.1.0-7-amd64").unlink()
    assert kernels.cached(tmp_path, "6.1") is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"name": "6.1"}', "\x00"])
def test_record_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    put_in_cache(tmp_path, "6.1", "6.1.0-7-amd64")
    (tmp_path / "6.1.json").write_text(text)
    assert kernels.cached(tmp_path, "6.1") is None


def test_record_of_another_kernel_is_none(tmp_path: Path) -> None:
    put_in_cache(tmp_path, "6.1", "6.1.0-7-amd64")
    shutil.rmtree(tmp_path / "6.1")
    make_tree(tmp_path / "6.1", "6.1.0-11-amd64")
    assert kernels.cached(tmp_path, "6.1") is None


@pytest.fixture
def downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands for a download: unpacking its package makes a kernel, and depmod does nothing."""

    def download(wanted: debian.Wanted, folder: Path, say: Callable[[str], None]) -> debian.Choice:
        (folder / "debs").mkdir(parents=True)
        (folder / "debs/kernel.deb").write_bytes(b"deb")
        return CHOICE

    monkeypatch.setattr(debian, "download", download)
    monkeypatch.setattr(kernels, "tool", lambda name: name)
    monkeypatch.setattr(kernels, "run_tool", lambda command: done(0))
    monkeypatch.setattr(kernels, "_unpack", lambda package, tree: make_tree(tree, CHOICE.release))


@pytest.mark.usefixtures("downloaded")
def test_fetch_puts_kernel_and_record_in_place(tmp_path: Path) -> None:
    record = kernels.fetch("6.1", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["6.1", "6.1.json"]
    assert json.loads((tmp_path / "6.1.json").read_text()) == {
        "name": "6.1",
        "package": "linux-image-6.1.0-7-amd64",
        "version": "6.1.23-1",
        "release": "6.1.0-7-amd64",
        "suite": "bookworm",
    }
    assert kernels.read_record(tmp_path, "6.1") == record
    assert kernels.cached(tmp_path, "6.1") is not None


def fail_with_vm_error(*arguments: object) -> None:
    raise needs.VmError("kernel.deb could not be unpacked: it is torn")


def fail_with_full_disk(*arguments: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def fail_with_interrupt(*arguments: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.usefixtures("downloaded")
@pytest.mark.parametrize("before", [[], ["6.1", "6.1.json"]])
@pytest.mark.parametrize(
    ("fail", "error", "message"),
    [
        (
            fail_with_vm_error,
            needs.VmError,
            "kernel 6.1: kernel.deb could not be unpacked: it is torn",
        ),
        (
            fail_with_full_disk,
            needs.NoSpaceError,
            "kernel 6.1 could not be kept in {folder}: No space left on device",
        ),
        (fail_with_interrupt, KeyboardInterrupt, ""),
    ],
)
def test_failure_leaves_the_cache_as_it_was(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: list[str],
    fail: Callable[..., None],
    error: type[BaseException],
    message: str,
) -> None:
    if before:
        put_in_cache(tmp_path, "6.1", "6.1.0-5-amd64")
    monkeypatch.setattr(kernels, "_unpack", fail)
    with pytest.raises(error) as caught:
        kernels.fetch("6.1", tmp_path)
    assert str(caught.value) == message.format(folder=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    if before:
        kernel = kernels.cached(tmp_path, "6.1")
        assert kernel is not None
        assert kernel.release == "6.1.0-5-amd64"


def test_fetch_that_cannot_download_points_to_a_local_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian, "download", fail_with_vm_error)
    monkeypatch.setattr(debian, "download", lambda *a, **k: fail_with_vm_error())
    with pytest.raises(needs.VmError) as caught:
        kernels.fetch("6.1", tmp_path)
    assert caught.value.hint == kernels.LOCAL_HINT
    assert "VM_KERNEL=FOLDER" in kernels.LOCAL_HINT
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("downloaded")
def test_leftovers_of_a_killed_run_go(tmp_path: Path) -> None:
    (tmp_path / ".6.1.partial/tree/lib").mkdir(parents=True)
    (tmp_path / ".6.1.old").mkdir()
    kernels.fetch("6.1", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["6.1", "6.1.json"]


def test_warm_cache_fetches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_in_cache(tmp_path / "kernels", "6.1", "6.1.0-7-amd64")
    monkeypatch.setattr(kernels, "fetch", lambda name, folder: pytest.fail("it was fetched"))
    with kernels.use("6.1", tmp_path) as kernel:
        assert kernel.release == "6.1.0-7-amd64"


def can_lock_alone(path: Path) -> bool:
    with open(path) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


@pytest.mark.usefixtures("downloaded")
def test_kernel_in_use_is_locked_against_replacement(tmp_path: Path) -> None:
    with kernels.use("6.1", tmp_path), kernels.use("6.1", tmp_path):
        assert not can_lock_alone(tmp_path / "kernels/6.1.lock")
    assert can_lock_alone(tmp_path / "kernels/6.1.lock")


@pytest.mark.usefixtures("downloaded")
def test_refresh_replaces(tmp_path: Path) -> None:
    put_in_cache(tmp_path / "kernels", "6.1", "6.1.0-5-amd64")
    with kernels.use("6.1", tmp_path, refresh=True) as kernel:
        assert kernel.release == "6.1.0-7-amd64"
    names = sorted(path.name for path in (tmp_path / "kernels").iterdir())
    assert names == ["6.1", "6.1.json", "6.1.lock"]


def test_unknown_kernel(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert kernels.main(["5.10"]) == 1
    expected = "error: no kernel '5.10'\nhint: there are: 6.1, 6.12, newest\n"
    assert capsys.readouterr().err == expected


def test_list_tells_what_is_cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VM_CACHE", str(tmp_path))
    put_in_cache(tmp_path / "kernels", "6.1", "6.1.0-7-amd64")
    assert kernels.main(["--list"]) == 0
    assert capsys.readouterr().out == (
        "6.1\t6.1.0-7-amd64\tlinux-image-6.1.0-7-amd64 6.1.23-1 (bookworm)\n"
        "6.12\tnot in the cache\n"
        "newest\tnot in the cache\n"
    )
