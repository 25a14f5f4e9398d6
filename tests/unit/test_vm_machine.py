# SPDX-License-Identifier: Apache-2.0
"""The machine that vm/run.py drives. A small program stands for QEMU: nothing is booted."""

from __future__ import annotations

import io
import os
import signal
import stat
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "vm"))

import initramfs
import machine
from kernels import Kernel

RUN = Path(machine.__file__).with_name("run.py")
KERNEL = Kernel("mine", "6.1.0-7-amd64", Path("/k/vmlinuz"), Path("/k/lib/modules/6.1.0-7-amd64"))
NONCE = "0123456789abcdef"
MARK = b"\0gopherscope:" + NONCE.encode() + b" "

# Its part of the protocol: it finds the nonce in the initramfs, and the ports among its arguments.
FAKE_QEMU = """\
#!{python}
import os, re, sys, time
def path(start):
    return next(a for a in sys.argv if a.startswith(start)).split("path=")[1]
initrd = open(sys.argv[sys.argv.index("-initrd") + 1], "rb").read()
nonce = re.search(rb"NONCE=(\\w+)", initrd).group(1)
console = open(path("file,id=console"), "wb", buffering=0)
out = open(path("file,id=stdout"), "wb", buffering=0)
err = open(path("file,id=stderr"), "wb", buffering=0)
def mark(port, text):
    port.write(b"\\0gopherscope:" + nonce + b" " + text + b"\\n")
open({pid!r}, "w").write(str(os.getpid()))
{body}
"""


def job(command: list[str], **changes: object) -> machine.Job:
    return machine.Job(command=command, cwd=Path("/"), **changes)  # type: ignore[arg-type]


# What the guest is given


def test_command_script_gives_exactly_this(tmp_path: Path) -> None:
    folder = tmp_path / "it's a folder"
    folder.mkdir()
    code = "import os, sys; print(sys.argv[1:], os.getcwd(), dict(os.environ))"
    script = machine.command_script(
        machine.Job(
            command=[sys.executable, "-I", "-c", code, "a  b", "$HOME", "", "'\"\n"],
            cwd=folder,
            environ={"PATH": os.environ["PATH"], "X": "y z=`id`", "LC_CTYPE": "C.UTF-8"},
        )
    )
    output = subprocess.run(
        ["/bin/sh", "-c", script], env={"LOST": "1"}, capture_output=True, text=True, check=True
    ).stdout
    environ = {"PATH": os.environ["PATH"], "X": "y z=`id`", "LC_CTYPE": "C.UTF-8"}
    arguments = ["a  b", "$HOME", "", "'\"\n"]
    expected = f"{arguments} {str(folder)!r} {environ}\n".replace(repr(str(folder)), str(folder))
    assert output == expected


def test_command_script_in_a_folder_that_went(tmp_path: Path) -> None:
    script = machine.command_script(machine.Job(["true"], tmp_path / "gone"))
    status = subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=False).returncode
    assert status == 126


def test_settings_survive_the_shell() -> None:
    kernel = Kernel("mine", "6.1.0-7", Path("/k/v"), Path("/it's/$HOME/m"))
    content = machine.run_files(job(["true"], copies=[Path("/usr/share")]), kernel, NONCE)
    start = content.index(b"NONCE=")
    conf = content[start : content.index(b"\0", start)].decode()
    script = f'{conf}\nprintf "%s\\n" "$NONCE" "$RELEASE" "$MODULES" "$OUT"'
    lines = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)
    assert lines.stdout.splitlines() == [NONCE, "6.1.0-7", "/it's/$HOME/m", "0"]
    assert b"/usr/share\n/usr/share\n" in content


def test_arguments_of_qemu() -> None:
    files = machine.Descriptors(initrd=5, console=6, stdout=7, stderr=8)
    asked = job(["true"], append=["preempt=full", "a=1 b"], out=Path("/a,b"), memory="1G", cpus=3)
    arguments = machine.qemu_arguments(asked, KERNEL, machine.TCG, files)
    pairs = list(zip(arguments, arguments[1:]))
    assert ("-accel", "tcg,thread=multi") in pairs
    assert ("-cpu", "max") in pairs
    assert ("-smp", "3") in pairs
    assert ("-m", "1G") in pairs
    assert ("-kernel", "/k/vmlinuz") in pairs
    assert ("-initrd", "/proc/self/fd/5") in pairs
    parameters = "console=ttyS0 panic=-1 quiet mitigations=off preempt=full a=1 b"
    assert ("-append", parameters) in pairs
    assert [value for name, value in pairs if name == "-virtfs"] == [
        "local,path=/,mount_tag=hostroot,security_model=none,multidevs=remap,readonly=on",
        "local,path=/a,,b,mount_tag=out,security_model=none,multidevs=remap",
    ]
    assert "-no-reboot" in arguments


def test_without_out_nothing_is_writable() -> None:
    files = machine.Descriptors(5, 6, 7, 8)
    arguments = machine.qemu_arguments(job(["true"]), KERNEL, machine.KVM, files)
    shares = [arguments[i + 1] for i, name in enumerate(arguments) if name == "-virtfs"]
    assert len(shares) == 1
    assert shares[0].endswith("readonly=on")


# The ports

STREAM = MARK + b"start\n" + b"out\0gopher\0\0put\n\0gopherscope:" + MARK + b"exit 23\n"


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 11, 13, 101])
def test_marks_are_found_however_the_bytes_come(size: int) -> None:
    output = io.BytesIO()
    port = machine.Port(NONCE, output.write)
    marks = []
    for at in range(0, len(STREAM), size):
        marks += port.feed(STREAM[at : at + size])
    port.flush()
    assert marks == ["start", "exit 23"]
    assert output.getvalue() == b"out\0gopher\0\0put\n\0gopherscope:"


def test_output_is_passed_on_at_once() -> None:
    output = io.BytesIO()
    port = machine.Port(NONCE, output.write)
    assert port.feed(b"no newline yet") == []
    assert output.getvalue() == b"no newline yet"


def test_mark_of_another_run_is_output() -> None:
    output = io.BytesIO()
    port = machine.Port(NONCE, output.write)
    other = b"\0gopherscope:fedcba9876543210 exit 0\n"
    assert port.feed(other) == []
    port.flush()
    assert output.getvalue() == other


def test_torn_mark_is_output_at_the_end() -> None:
    output = io.BytesIO()
    port = machine.Port(NONCE, output.write)
    assert port.feed(b"x" + MARK + b"exi") == []
    assert output.getvalue() == b"x"
    port.flush()
    assert output.getvalue() == b"x" + MARK + b"exi"


# Whole runs, with a program in QEMU's place


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A folder with stand-ins for the needed programs, and a kernel that holds nothing."""
    programs = tmp_path / "bin"
    programs.mkdir()
    no_segments = struct.pack("<Q14xHH", 64, 56, 0)
    (programs / "busybox").write_bytes(b"\x7fELF\x02\x01".ljust(32, b"\0") + no_segments + bytes(6))
    (programs / "depmod").write_text("")
    modules = tmp_path / "k/lib/modules/6.1.0-7-amd64"
    (modules / "kernel").mkdir(parents=True)
    (modules / "vmlinuz").write_bytes(b"image")
    for name in initramfs.MODULES:
        (modules / f"kernel/{name}.ko").write_bytes(b"code")
    lines = [f"kernel/{name}.ko:\n" for name in initramfs.MODULES]
    (modules / "modules.dep").write_text("".join(lines))
    return tmp_path


def start(host: Path, body: str, *arguments: str, accel: str = "tcg") -> subprocess.Popen[str]:
    qemu = host / "bin/qemu-system-x86_64"
    text = FAKE_QEMU.format(python=sys.executable, pid=str(host / "pid"), body=body)
    qemu.write_text(text)
    for program in (host / "bin").iterdir():
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return subprocess.Popen(
        [sys.executable, str(RUN), *arguments, "--cwd", "/usr", "--", "true"],
        env={
            "PATH": f"{host / 'bin'}:{os.environ['PATH']}",
            "HOME": str(host),
            "VM_KERNEL": str(host / "k"),
            "VM_CACHE": str(host / "cache"),
            "VM_ACCEL": accel,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def is_gone(pid: int) -> bool:
    """Whether a process has ended; it may still wait for its parent to take notice."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state in "ZX"


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


COMPLETE = """\
mark(out, b"start")
out.write(b"to stdout")
err.write(b"to stderr")
mark(err, b"end")
mark(out, b"exit 23")
time.sleep(600)
"""


def test_output_and_status_come_back(host: Path) -> None:
    process = start(host, COMPLETE, "--quiet")
    assert process.communicate(timeout=60) == ("to stdout", "to stderr")
    assert process.returncode == 23
    assert is_gone(int((host / "pid").read_text()))


def test_boot_is_told(host: Path) -> None:
    process = start(host, COMPLETE)
    out, err = process.communicate(timeout=60)
    assert out == "to stdout"
    first, _, rest = err.partition("\n")
    assert first.startswith("vm: Linux 6.1.0-7-amd64 (tcg), booted in ")
    assert rest == "to stderr"


def test_a_slow_reader_loses_nothing(host: Path) -> None:
    body = """\
mark(out, b"start")
out.write(b"".join(b"%d\\n" % i for i in range(100003)))
mark(err, b"end")
mark(out, b"exit 0")
time.sleep(600)
"""
    process = start(host, body, "--quiet")
    assert process.stdout is not None
    time.sleep(1.0)
    assert process.stdout.read() == "".join(f"{i}\n" for i in range(100003))
    assert process.wait(timeout=60) == 0


def test_reader_that_goes_away_ends_the_machine(host: Path) -> None:
    body = 'mark(out, b"start")\nwhile True: out.write(bytes(65536))\n'
    process = start(host, body, "--quiet")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(10)
    process.stdout.close()
    assert process.wait(timeout=60) == 128 + signal.SIGPIPE
    assert process.stderr.read() == ""
    assert is_gone(int((host / "pid").read_text()))


def test_time_over(host: Path) -> None:
    body = 'console.write(b"[ 0.1] hm\\r\\n")\nmark(out, b"start")\nout.write(b"a")\ntime.sleep(600)\n'
    process = start(host, body, "--quiet", "--timeout", "1.5")
    out, err = process.communicate(timeout=60)
    assert out == "a"
    assert err == (
        "error: the command did not end within 1.5 s: ended\nvm: the end of the console's log:\n    [ 0.1] hm\n"
    )
    assert process.returncode == 124
    assert is_gone(int((host / "pid").read_text()))


def test_endless_output_does_not_stop_the_clock(host: Path) -> None:
    body = 'mark(out, b"start")\nwhile True: out.write(bytes(4096))\n'
    process = start(host, body, "--timeout", "1.5")
    process.communicate(timeout=60)
    assert process.returncode == 124


def test_panic(host: Path) -> None:
    body = 'mark(out, b"start")\nconsole.write(b"Kernel panic - not syncing: oh\\r\\n")\n'
    process = start(host, body, "--quiet", "--console", str(host / "log"))
    _, err = process.communicate(timeout=60)
    assert process.returncode == 125
    assert err.splitlines()[0] == "error: the kernel panicked: oh"
    assert (host / "log").read_text() == "Kernel panic - not syncing: oh\n"


def test_what_qemu_says_is_shown(host: Path) -> None:
    body = 'sys.stderr.write("qemu: no such accelerator\\n")\nsys.exit(1)\n'
    process = start(host, body)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 125
    assert err == (
        "error: the machine stopped before the command started\n"
        "vm: the end of the console's log:\n    qemu: no such accelerator\n"
    )


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129), (signal.SIGKILL, -9)],
)
def test_qemu_does_not_outlive_the_script(host: Path, number: int, status: int) -> None:
    process = start(host, 'mark(out, b"start")\ntime.sleep(600)\n')
    assert process.stderr is not None
    assert "booted in" in process.stderr.readline()
    qemu = int((host / "pid").read_text())
    assert not is_gone(qemu)
    process.send_signal(number)
    assert process.wait(timeout=60) == status
    wait_until(lambda: is_gone(qemu))
    process.communicate()


def test_nothing_is_left_but_the_cache(host: Path) -> None:
    process = start(host, COMPLETE)
    process.communicate(timeout=60)
    names = sorted(path.name for path in (host / "cache").rglob("*"))
    assert len(names) == 2
    assert names[0].startswith("6.1.0-7-amd64-")
    assert names[1] == "initramfs"
    assert sorted(path.name for path in host.iterdir()) == ["bin", "cache", "k", "pid"]
