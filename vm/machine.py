# SPDX-License-Identifier: Apache-2.0
"""One command in one QEMU machine: from its description to its exit status.

Nothing is written to the host's disk but what the command puts into /out: the initramfs with the
command, and the console's log, are files in memory (memfd) that go with the process.

Two virtio ports bring the command's stdout and stderr. Init adds marks to them, each a NUL byte,
"gopherscope:", a nonce, a space, a word and a newline: `start` on stdout just before the command,
`end` on stderr and `exit STATUS` on stdout after everything that was written. QEMU is ended when
the last two were read, so no output can be lost however slowly it is taken.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import secrets
import selectors
import shlex
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Callable

from initramfs import Archive
from kernels import Kernel
from needs import VmError, die_with_parent, tool

# How long after the exit status the rest of stderr may take to arrive.
_LAST_WORDS_S = 5.0

_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?=]*[A-Za-z]|c)|[^\x20-\x7e\n\t]")

# Folders of the guest in which nothing of the host's is to be seen.
GUEST_FOLDERS = (Path("/out"), Path("/run"), Path("/tmp"))


@dataclass(frozen=True)
class Accel:
    """A way to run the guest's instructions. A guest that has not come to the command after
    `boot_limit_s` seconds is taken never to."""

    name: str  # as in VM_ACCEL
    option: str  # as QEMU has it
    boot_limit_s: float


# By software a boot takes about 5 s, on a busy machine several times that; by hardware about 1 s.
TCG = Accel("tcg", "tcg,thread=multi", 120.0)
# Both processors of the guest in one thread. Slower where the guest has work for both, but safe: in
# QEMU 7.2 (seen there; others report it up to 8.0) a processor with a thread of its own may run a
# breakpoint that another is just taking out of the kernel's code, and the kernel panics ("int3").
# That happens while the kernel switches static keys: at boot, and when tracing is turned on or off.
TCG_SINGLE = Accel("tcg-single", "tcg,thread=single", 120.0)
KVM = Accel("kvm", "kvm", 20.0)


@dataclass(frozen=True)
class Sinks:
    """Where what comes from the guest goes."""

    stdout: BinaryIO
    stderr: BinaryIO
    started: Callable[[float], None]  # called when the command starts, with the boot's seconds


@dataclass(frozen=True)
class Descriptors:
    """Files of this process that QEMU inherits, by number."""

    initrd: int
    console: int
    stdout: int
    stderr: int


@dataclass(frozen=True)
class Job:
    """What to run and in what machine. Folders are absolute paths on the host."""

    command: Sequence[str]
    cwd: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    append: Sequence[str] = ()  # kernel parameters
    timeout_s: float = 600.0  # from the start of QEMU
    memory: str = "4G"
    cpus: int = 2
    out: Path | None = None  # what /out is; None: it is lost with the guest
    copies: Sequence[Path] = ()


@dataclass(frozen=True)
class Outcome:
    """How a run ended. `status` is the command's, None if it did not come to an end."""

    status: int | None
    boot_s: float | None  # from QEMU's start to the command's; None: never started
    timed_out: bool = False
    console: str = ""

    @property
    def panic(self) -> str | None:
        """What the kernel gave as the reason of its panic; None if there was none."""
        match = re.search(r"Kernel panic - not syncing: ?([^\r\n]*)", self.console)
        return match.group(1) if match and self.status is None else None


class Port:
    """Takes a port's bytes apart into the command's output and init's marks."""

    def __init__(self, nonce: str, write: Callable[[bytes], object]) -> None:
        self._mark = b"\0gopherscope:" + nonce.encode() + b" "
        self._write = write
        self._pending = b""

    def feed(self, data: bytes) -> list[str]:
        """Writes the output in `data` and returns the marks in it. Bytes that may be the start of
        a mark are held until the next call."""
        marks = []
        data = self._pending + data
        while True:
            at = data.find(self._mark)
            if at < 0:
                break
            end = data.find(b"\n", at)
            if end < 0:
                break
            self._pass(data[:at])
            marks.append(data[at + len(self._mark) : end].decode("ascii", "replace"))
            data = data[end + 1 :]
        held = len(data) - at if at >= 0 else self._overlap(data)
        self._pass(data[: len(data) - held])
        self._pending = data[len(data) - held :]
        return marks

    def flush(self) -> None:
        """Writes what was held: no more will come."""
        self._pass(self._pending)
        self._pending = b""

    def _overlap(self, data: bytes) -> int:
        """Length of the longest end of `data` that a mark can start with."""
        for length in range(min(len(self._mark) - 1, len(data)), 0, -1):
            if data.endswith(self._mark[:length]):
                return length
        return 0

    def _pass(self, data: bytes) -> None:
        if data:
            self._write(data)


def hidden_in_guest(path: Path, copies: Sequence[Path]) -> bool:
    """Whether a path of the host is not to be seen in the guest, where its own /tmp is."""
    if any(path == copy or copy in path.parents for copy in copies):
        return False
    return any(path == own or own in path.parents for own in GUEST_FOLDERS)


def command_script(job: Job) -> str:
    """What the guest's /bin/sh runs: the command with exactly the environment that was given."""
    assignments = [f"{name}={value}" for name, value in job.environ.items()]
    path = job.environ.get("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    return (
        f"cd {shlex.quote(str(job.cwd))} || exit 126\n"
        f"PATH={shlex.quote(path)}\n"
        f"exec env -i {shlex.join([*assignments, *job.command])}\n"
    )


def run_files(job: Job, kernel: Kernel, nonce: str) -> bytes:
    """The archive that goes behind the kernel's own initramfs: what init.sh reads for this run."""
    settings = {
        "NONCE": nonce,
        "HOST_NAME": socket.gethostname(),
        "RELEASE": kernel.release,
        "MODULES": str(kernel.modules),
        "OUT": "1" if job.out else "0",
    }
    archive = Archive()
    conf = "".join(f"{name}={shlex.quote(value)}\n" for name, value in settings.items())
    archive.file("run.conf", conf.encode())
    archive.file("command", os.fsencode(command_script(job)))
    copies = "".join(f"{path.resolve()}\n{path}\n" for path in job.copies)
    archive.file("copies", os.fsencode(copies))
    return archive.finish()


def share(path: Path, tag: str, readonly: bool) -> list[str]:
    """QEMU's arguments for a folder of the host. A comma in an option's value is written twice."""
    escaped = str(path).replace(",", ",,")
    options = f"local,path={escaped},mount_tag={tag},security_model=none,multidevs=remap"
    return ["-virtfs", options + (",readonly=on" if readonly else "")]


def qemu_arguments(job: Job, kernel: Kernel, accel: Accel, files: Descriptors) -> list[str]:
    """QEMU's command line, without the program."""
    parameters = ["console=ttyS0", "panic=-1", "quiet", "mitigations=off", *job.append]
    arguments = ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    arguments += ["-accel", accel.option]
    arguments += ["-cpu", "max", "-smp", str(job.cpus), "-m", job.memory]
    arguments += ["-rtc", "base=utc,clock=host"]
    arguments += ["-kernel", str(kernel.image), "-initrd", f"/proc/self/fd/{files.initrd}"]
    arguments += ["-append", " ".join(parameters)]
    arguments += ["-chardev", f"file,id=console,path=/proc/self/fd/{files.console}"]
    arguments += ["-serial", "chardev:console", "-device", "virtio-serial-pci"]
    for number, (name, descriptor) in enumerate((("stdout", files.stdout), ("stderr", files.stderr)), 1):
        arguments += ["-chardev", f"file,id={name},path=/proc/self/fd/{descriptor}"]
        port = f"virtserialport,chardev={name},nr={number},name=gopherscope.{name}"
        arguments += ["-device", port]
    arguments += share(Path("/"), "hostroot", readonly=True)
    if job.out:
        arguments += share(job.out, "out", readonly=False)
    return arguments


def console_tail(console: str, lines: int = 60) -> str:
    """The last lines of the console that say something, without terminal escapes: a panic's report has some 50."""
    kept = [line.rstrip() for line in _ESCAPES.sub("", console).split("\n")]
    return "\n".join([line for line in kept if line][-lines:])


def run(job: Job, kernel: Kernel, initrd: bytes, accel: Accel, sinks: Sinks) -> Outcome:
    """Boots `kernel` with `initrd` and runs the job's command, its output going to `sinks`.

    QEMU is dead when this returns or raises, and dies if this process does. Raises VmError if it
    cannot be started, and what the sinks raise.
    """
    nonce = secrets.token_hex(8)
    with contextlib.ExitStack() as stack:
        pipes = [os.pipe(), os.pipe()]
        readers = [stack.enter_context(os.fdopen(end, "rb", buffering=0)) for end, _ in pipes]
        files = Descriptors(
            initrd=_memory_file(stack, "initrd", initrd + run_files(job, kernel, nonce)),
            console=_memory_file(stack, "console", b""),
            stdout=pipes[0][1],
            stderr=pipes[1][1],
        )
        command = [tool("qemu-system-x86_64"), *qemu_arguments(job, kernel, accel, files)]
        begin = time.monotonic()
        try:
            qemu = stack.enter_context(_process(command, list(vars(files).values())))
        finally:
            os.close(files.stdout)
            os.close(files.stderr)
        outputs = (sinks.stdout, sinks.stderr)
        ports = [Port(nonce, output.write) for output in outputs]
        watch = _Watch(begin, job.timeout_s, accel.boot_limit_s, sinks.started)
        watch.follow(readers, ports, outputs)
        if watch.status is None and not watch.timed_out:
            qemu.wait()  # both pipes are closed: it has ended by itself
        size = os.fstat(files.console).st_size
        log = os.pread(files.console, size, 0).decode(errors="replace")
        if qemu.stderr and qemu.poll() is not None:
            log += qemu.stderr.read().decode(errors="replace")
    return Outcome(watch.status, watch.boot_s, watch.timed_out, log)


class _Watch:
    """Reads both ports until the command has ended, a limit is over or QEMU is gone."""

    def __init__(
        self,
        begin: float,
        timeout_s: float,
        boot_limit_s: float,
        started: Callable[[float], None],
    ) -> None:
        self.status: int | None = None
        self.boot_s: float | None = None
        self.timed_out = False
        self._begin = begin
        self._started = started
        self._end_seen = False
        self._timeout = begin + timeout_s
        self._deadline = min(self._timeout, begin + boot_limit_s)

    def follow(
        self,
        readers: Sequence[BinaryIO],
        ports: Sequence[Port],
        outputs: Sequence[BinaryIO],
    ) -> None:
        with selectors.DefaultSelector() as selector:
            for reader, port, output in zip(readers, ports, outputs):
                selector.register(reader, selectors.EVENT_READ, (port, output))
            while selector.get_map() and not (self.status is not None and self._end_seen):
                left = self._deadline - time.monotonic()
                if left <= 0 and self.status is None:
                    self.timed_out = True
                    break
                ready = selector.select(max(left, 0))
                if not ready and self.status is not None:
                    break
                for key, _ in ready:
                    port, output = key.data
                    data = os.read(key.fd, 1 << 16)
                    if not data:
                        selector.unregister(key.fileobj)
                        continue
                    for mark in port.feed(data):
                        self._heed(mark)
                    if self.status is not None:
                        self._deadline = time.monotonic() + _LAST_WORDS_S
                    output.flush()
        for port, output in zip(ports, outputs):
            port.flush()
            output.flush()

    def _heed(self, mark: str) -> None:
        word, _, value = mark.partition(" ")
        if word == "start":
            self.boot_s = time.monotonic() - self._begin
            self._deadline = self._timeout
            self._started(self.boot_s)
        elif word == "exit" and value.isdigit():
            self.status = int(value)
        elif word == "end":
            self._end_seen = True


def _memory_file(stack: contextlib.ExitStack, name: str, content: bytes) -> int:
    """A descriptor of a new file in memory that holds `content`, closed with the stack."""
    descriptor = os.memfd_create(f"vm-{name}")
    stack.callback(os.close, descriptor)
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
    return descriptor


@contextlib.contextmanager
def _process(command: Sequence[str], descriptors: Sequence[int]) -> Iterator[subprocess.Popen[bytes]]:
    """A program that is killed at the end of the `with`, and when this process dies.

    It has a session of its own: Ctrl-C on the terminal reaches only this process, which ends it.
    """
    end_with_us = die_with_parent()

    def before_exec() -> None:
        end_with_us()
        # QEMU keeps many of the host's files open for the guest.
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=tuple(descriptors),
            start_new_session=True,
            preexec_fn=before_exec,
        )
    except OSError as error:
        raise VmError(f"{command[0]} could not be started: {error.strerror}") from None
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stderr:
            process.stderr.close()
