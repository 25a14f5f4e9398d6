# SPDX-License-Identifier: Apache-2.0
"""Which processes run a file: real ones, and a made-up /proc for what real ones rarely do."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tracer import processes
from tracer.binary import open_binary
from tracer.errors import NothingToTraceError, UsageError

NO_PID = 4194304 + 7  # above the largest that a kernel gives


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    """A copy of sleep, and a process of it."""
    program = tmp_path / "sleeper"
    shutil.copy(shutil.which("sleep") or "/bin/sleep", program)
    process = subprocess.Popen([program, "600"])
    yield program, process
    process.kill()
    process.wait()


def test_running(sleeper: tuple[Path, subprocess.Popen[bytes]], tmp_path: Path) -> None:
    program, process = sleeper
    link = tmp_path / "link"
    link.symlink_to(program)
    other = tmp_path / "other"
    shutil.copy(program, other)
    assert processes.running(processes.identity(str(program))) == [process.pid]
    assert processes.running(processes.identity(str(link))) == [process.pid]
    assert processes.running(processes.identity(str(other))) == []


def test_running_in_order(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"x")
    for pid in ("23", "3", "101"):
        (tmp_path / "proc" / pid).mkdir(parents=True)
        (tmp_path / "proc" / pid / "exe").symlink_to(program)
    (tmp_path / "proc" / "5").mkdir()  # a kernel thread
    (tmp_path / "proc" / "self").symlink_to("23")
    (tmp_path / "proc" / "٣").mkdir()
    assert processes.running(processes.identity(str(program)), str(tmp_path / "proc")) == [3, 23, 101]


def test_binary_of(sleeper: tuple[Path, subprocess.Popen[bytes]]) -> None:
    program, process = sleeper
    assert processes.binary_of(process.pid) == str(program)


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_binary_of_a_file_that_went(how: str, sleeper: tuple[Path, subprocess.Popen[bytes]]) -> None:
    program, process = sleeper
    before = processes.identity(str(program))
    keep = program.read_bytes()
    program.unlink()
    if how == "replaced":
        program.write_bytes(keep)
    path = processes.binary_of(process.pid)
    assert path == f"/proc/{process.pid}/exe"
    assert processes.identity(path) == before
    with open_binary(None, [process.pid], None) as opened:
        assert opened.name == f"the program of process {process.pid}"
        assert os.pread(opened.fd, len(keep) + 1, 0) == keep


def test_check_runs(sleeper: tuple[Path, subprocess.Popen[bytes]], tmp_path: Path) -> None:
    program, process = sleeper
    processes.check_runs(process.pid, str(program))
    other = tmp_path / "other"
    other.write_bytes(b"x")
    with pytest.raises(NothingToTraceError) as error:
        processes.check_runs(process.pid, str(other))
    assert error.value.message == f"process {process.pid} does not run '{other}' but '{program}'"


def test_check_runs_replaced(sleeper: tuple[Path, subprocess.Popen[bytes]]) -> None:
    program, process = sleeper
    program.unlink()
    program.write_bytes(b"x")
    with pytest.raises(NothingToTraceError) as error:
        processes.check_runs(process.pid, str(program))
    assert error.value.message == (
        f"process {process.pid} runs an older '{program}': the file was replaced after its start"
    )


def test_no_such_process() -> None:
    for look in (lambda: processes.binary_of(NO_PID), lambda: processes.check_runs(NO_PID, "/bin/sh")):
        with pytest.raises(NothingToTraceError, match=f"^no process {NO_PID}$"):
            look()


def test_zombie() -> None:
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(NothingToTraceError) as error:
        processes.binary_of(process.pid)
    process.wait()
    assert error.value.message == (f"process {process.pid} runs no program: it has ended, or it is a kernel thread")


def test_check_runs_without_the_file(sleeper: tuple[Path, subprocess.Popen[bytes]], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"No such file or directory$"):
        processes.check_runs(sleeper[1].pid, str(tmp_path / "none"))


def test_open_binary_usage(tmp_path: Path) -> None:
    for path in (str(tmp_path / "none"), "a\0b"):
        with pytest.raises(UsageError), open_binary(path, (), None):
            pass
    with pytest.raises(UsageError), open_binary(None, (), None):
        pass


def test_a_named_pipe_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with open_binary(str(tmp_path / "pipe"), (), None) as opened:
        assert opened.is_file(str(tmp_path / "pipe"))
        assert not opened.is_file(str(tmp_path / "none"))
