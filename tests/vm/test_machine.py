# SPDX-License-Identifier: Apache-2.0
"""vm/run.py with a real kernel: what comes back, and one line for each way in which it can go wrong.

The same with a stand-in for QEMU, case by case, in tests/unit/test_vm_machine.py.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tracing import ROOT

pytestmark = pytest.mark.vm

KERNEL = os.environ.get("GOPHERSCOPE_VM_KERNEL", "6.1")
CRASH = "echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger; sleep 60"


def vm(
    *arguments: str, command: str, env: dict[str, str] | None = None, before: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*before, sys.executable, str(ROOT / "vm" / "run.py"), *arguments, "--cwd", "/usr", "--", "sh", "-c", command],
        capture_output=True,
        text=True,
        env={"VM_ACCEL": "tcg-single", **os.environ, **(env or {})},
        timeout=300,
    )


def on_kernel(*arguments: str, command: str, **more: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return vm("--kernel", KERNEL, *arguments, command=command, **more)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 32 MiB, which no kernel fits on."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "small", disk], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_what_the_command_finds(tmp_path: Path) -> None:
    """Its status and both outputs, root, the file systems, the loopback, a host that it cannot change."""
    shared = tmp_path / "a folder: with, odd \\ characters"
    shared.mkdir()
    (shared / "file").write_text("the host's\n")
    script = f"""
        cd '{shared}' && cat file && echo changed >file && cat file
        echo for the host >/out/found
        id -u; cat /sys/class/net/lo/operstate /sys/class/net/lo/flags; touch /usr/written && echo written
        for type in tracefs debugfs bpf cgroup2; do grep -qw $type /proc/mounts && echo $type; done
        echo "$GOPHERSCOPE_VM" >&2; exit 23
    """
    done = on_kernel("--copy", str(shared), "--out", str(tmp_path / "out"), command=script)
    assert done.returncode == 23, done.stderr
    assert done.stdout.splitlines() == [
        *("the host's", "changed", "0", "unknown", "0x9", "written"),
        *("tracefs", "debugfs", "bpf", "cgroup2"),
    ]
    assert re.fullmatch(rf"vm: Linux \S+ \(tcg\S*\), booted in [\d.]+ s\n{KERNEL}\n", done.stderr)
    assert (shared / "file").read_text() == "the host's\n"
    assert (tmp_path / "out/found").read_text() == "for the host\n"
    assert not Path("/usr/written").exists()


def test_kernel_parameters_arrive() -> None:
    done = on_kernel("-q", "--append", "preempt=full", "--append", "loglevel=3", command="cat /proc/cmdline")
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("preempt=full loglevel=3")


@pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace of its own takes root")
def test_without_network() -> None:
    """With the kernel in the cache nothing else is needed."""
    done = on_kernel("-q", command="echo here", before=("unshare", "--net"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "here\n", "")


def test_kernel_of_a_folder() -> None:
    """VM_KERNEL goes before the name."""
    cache = Path(os.environ.get("VM_CACHE") or Path.home() / ".cache/gopherscope")
    release = next((cache / "kernels" / KERNEL).rglob("modules.dep")).parent.name
    env = {"VM_KERNEL": str(cache / "kernels" / KERNEL)}
    done = vm("-q", command='uname -r; echo "$GOPHERSCOPE_VM"', env=env)
    assert (done.returncode, done.stdout) == (0, f"{release}\nlocal\n"), done.stderr


def test_panic() -> None:
    """One line with the kernel's reason, then the console's end."""
    done = on_kernel("-q", command=CRASH)
    assert (done.returncode, done.stdout) == (125, "")
    first, second, *rest = done.stderr.splitlines()
    assert first == "error: the kernel panicked: sysrq triggered crash"
    assert second == "vm: the end of the console's log:"
    assert any("write_sysrq_trigger" in line for line in rest)


def test_hang() -> None:
    """A command that does not end is ended, and the machine with it."""
    done = on_kernel("-q", "--timeout", "45", command="echo begun; sleep 1000")
    assert (done.returncode, done.stdout) == (124, "begun\n")
    assert done.stderr.splitlines()[0] == "error: the command did not end within 45 s: ended"


def test_kernel_that_never_comes_to_the_command() -> None:
    """Told as such; with the time limit of a boot that is over it would be the same."""
    done = on_kernel("-q", "--timeout", "2", command="true")
    assert (done.returncode, done.stdout) == (124, "")
    assert done.stderr.splitlines()[0] == "error: the kernel did not come to the command in time: ended"


def test_no_qemu(tmp_path: Path) -> None:
    """The package is named. Nothing else is on PATH, and the usual folders are another's."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); sys.argv[1:] = sys.argv[2:]\n"
        "import needs; needs._EXTRA_PATH = needs.os.environ['PATH']\n"
        "import run; sys.exit(run.main(sys.argv[1:]))"
    )
    for name in ("busybox", "depmod"):
        (tmp_path / name).symlink_to(shutil.which(name, path="/usr/sbin:/sbin:/usr/bin:/bin") or "/nonexistent")
    done = subprocess.run(
        [sys.executable, "-c", script, str(ROOT / "vm"), "--kernel", KERNEL, "--cwd", "/", "--", "true"],
        capture_output=True,
        text=True,
        env={"PATH": str(tmp_path), "HOME": str(tmp_path)},
    )
    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr.splitlines() == [
        "error: qemu-system-x86_64 is not installed",
        "hint: on Debian: apt-get install qemu-system-x86",
    ]


def test_package_that_cannot_be_fetched(tmp_path: Path) -> None:
    """One line, and how to go on with a kernel of one's own."""
    env = {"VM_CACHE": str(tmp_path), "VM_MIRROR": "http://127.0.0.1:9/debian"}
    done = on_kernel("-q", command="true", env=env)
    assert (done.returncode, done.stdout) == (125, "")
    said = [line for line in done.stderr.splitlines() if not line.startswith("vm: ")]
    assert len(said) == 2, done.stderr
    assert re.match(rf"error: kernel {re.escape(KERNEL)}: the list of packages of \S+ could not be fetched: .", said[0])
    assert said[1].startswith("hint: VM_KERNEL=FOLDER takes a local kernel instead: ")
    assert not list((tmp_path / "kernels").glob(".*.partial"))


@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk is mounted, which takes root")
def test_full_disk(small_disk: Path) -> None:
    """One line with the way out, and nothing half done is left."""
    done = on_kernel("-q", command="true", env={"VM_CACHE": str(small_disk)})
    assert (done.returncode, done.stdout) == (125, "")
    said = [line for line in done.stderr.splitlines() if not line.startswith("vm: ")]
    assert len(said) == 2, done.stderr
    assert re.search(r"MiB are needed and \d+ MiB are free|no space left on the disk", said[0])
    assert said[1] == "hint: VM_CACHE=FOLDER puts the cache on another disk"
    assert not list((small_disk / "kernels").glob(".*.partial"))
