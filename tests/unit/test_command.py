# SPDX-License-Identifier: Apache-2.0
"""COMMAND: found, held before its exec, run as the right user, its end told; and where the output goes."""

from __future__ import annotations

import os
import pwd
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tracer import output
from tracer.command import Command, drop_privileges
from tracer.errors import TracerError, UsageError

ROOT = Path(__file__).resolve().parents[2]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="changes the user, which needs root")


def run(*argv: str) -> Command:
    command = Command.find(list(argv))
    command.fork()
    command.release()
    command.wait()
    return command


# ---- finding --------------------------------------------------------------------------------------------------


def test_found_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "some-program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    command = Command.find(["some-program", "-x"])
    assert (command.path, command.argv) == (str(program), ["some-program", "-x"])


def test_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "text").write_text("")
    for argv, message in (
        (["no-such"], "command 'no-such' is not on PATH"),
        (["text"], "command 'text' is not on PATH"),
        ([f"{tmp_path}/no-such"], f"no such command: '{tmp_path}/no-such'"),
        ([f"{tmp_path}/text"], f"command '{tmp_path}/text' cannot be executed"),
        ([""], "no command after `--`"),
        ([], "no command after `--`"),
    ):
        with pytest.raises(UsageError) as error:
            Command.find(argv)
        assert error.value.message == message


# ---- its life -------------------------------------------------------------------------------------------------


def test_held_until_released(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    command = Command.find(["touch", str(mark)])
    pid = command.fork()
    assert Path(f"/proc/{pid}/exe").samefile("/proc/self/exe")
    assert not command.poll()
    assert not mark.exists()
    command.release()
    command.wait()
    assert mark.exists()
    assert command.describe() == "exit status 0"


def test_status_is_told() -> None:
    assert run("sh", "-c", "exit 23").describe() == "exit status 23"
    assert run("sh", "-c", "kill -TERM $$").describe() == "killed by SIGTERM"


def test_goes_on() -> None:
    command = Command.find(["sleep", "600"])
    command.fork()
    command.release()
    assert not command.poll()
    assert command.describe() == f"goes on (process {command.pid})"
    os.kill(command.pid, signal.SIGKILL)
    command.wait()
    assert command.describe() == "killed by SIGKILL"


def test_cancelled_before_release(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    command = Command.find(["touch", str(mark)])
    pid = command.fork()
    command.cancel()
    command.cancel()
    assert not mark.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_leaves_when_the_tracer_dies(tmp_path: Path) -> None:
    code = (
        "import os; from tracer.command import Command\n"
        f"c = Command.find(['touch', {str(tmp_path / 'mark')!r}]); print(c.fork(), flush=True); os._exit(9)"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    # the pipe of stdout is closed only when the held child has ended too, so it is over by now
    assert out.returncode == 9
    assert not (tmp_path / "mark").exists()


def test_cannot_run(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("echo no interpreter named\n")
    script.chmod(0o755)
    command = Command.find([str(script)])
    command.fork()
    with pytest.raises(TracerError) as error:
        command.release()
    assert error.value.message == (
        f"cannot run '{script}': Exec format error (a script needs #! and its interpreter on the first line)"
    )
    assert command.poll()


def test_killed_while_held() -> None:
    command = Command.find(["true"])
    os.kill(command.fork(), signal.SIGKILL)
    command.release()
    command.wait()
    assert command.describe() == "killed by SIGKILL"


def test_signals_and_descriptors_are_a_fresh_programs() -> None:
    """What Python ignores is not ignored there, and nothing of ours is open."""
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    read, write = os.pipe()
    os.set_inheritable(write, False)
    saved = os.dup(1)
    report, into = os.pipe()
    try:
        os.dup2(into, 1)
        run("sh", "-c", "grep SigIgn /proc/self/status; ls /proc/self/fd | wc -l")
    finally:
        os.dup2(saved, 1)
        for fd in (saved, into, read, write):
            os.close(fd)
        signal.signal(signal.SIGTERM, before)
    with os.fdopen(report) as lines:
        ignored, _ = lines.read().splitlines()
    mask = int(ignored.split()[1], 16)
    for signum in (signal.SIGPIPE, signal.SIGTERM, signal.SIGINT):
        assert not mask & 1 << (signum - 1), signum.name


# ---- as whom --------------------------------------------------------------------------------------------------


def as_user(script: str, **environment: str) -> list[str]:
    """Lines that the command prints, run from a process of its own."""
    code = (
        "from tracer.command import Command\n"
        f"c = Command.find(['sh', '-c', {script!r}]); c.fork(); c.release(); c.wait()"
    )
    env = {k: v for k, v in os.environ.items() if not k.startswith("SUDO_")} | environment
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
    assert out.stderr == ""
    return out.stdout.splitlines()


@needs_root
def test_runs_as_who_called_sudo() -> None:
    nobody = pwd.getpwnam("nobody")
    lines = as_user(
        "id -u; id -g; id -G; echo $HOME $USER",
        SUDO_UID=str(nobody.pw_uid),
        SUDO_GID=str(nobody.pw_gid),
        HOME=pwd.getpwuid(0).pw_dir,
        USER="root",
    )
    groups = " ".join(map(str, os.getgrouplist("nobody", nobody.pw_gid)))
    assert lines == [str(nobody.pw_uid), str(nobody.pw_gid), groups, f"{nobody.pw_dir} nobody"]


@needs_root
def test_keeps_a_home_that_is_not_roots() -> None:
    lines = as_user("echo $HOME", SUDO_UID="65534", SUDO_GID="65534", HOME="/srv/someone")
    assert lines == ["/srv/someone"]


@needs_root
def test_a_user_without_a_name() -> None:
    assert as_user("id -u; id -G", SUDO_UID="54321", SUDO_GID="54323") == ["54321", "54323"]


@needs_root
def test_no_way_back_to_root() -> None:
    lines = as_user("grep -E '^[UG]id' /proc/self/status", SUDO_UID="54321", SUDO_GID="54323")
    assert [line.split()[1:] for line in lines] == [["54321"] * 4, ["54323"] * 4]


def test_stays_who_it_is_without_sudo() -> None:
    assert as_user("id -u") == [str(os.geteuid())]


@needs_root
@pytest.mark.parametrize("uid", ["", "x", "-1", "0", "4294967295", "99999999999"])
def test_sudo_ids_that_are_none(uid: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_UID", uid)
    monkeypatch.setenv("SUDO_GID", "7")
    assert output.sudo_ids() is None
    environment = {"HOME": "x"}
    drop_privileges(environment)
    assert (os.geteuid(), environment) == (0, {"HOME": "x"})


# ---- where events go ------------------------------------------------------------------------------------------


def test_a_new_file_is_private(tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        fd = output.open_file(str(tmp_path / "out"))
    finally:
        os.umask(umask)
    os.close(fd)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o600


@needs_root
def test_a_new_file_is_given_to_who_called_sudo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_UID", "54321")
    monkeypatch.setenv("SUDO_GID", "54323")
    os.close(output.open_file(str(tmp_path / "out")))
    st = (tmp_path / "out").stat()
    assert (st.st_uid, st.st_gid) == (54321, 54323)


def test_an_own_file_is_written_anew(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_text("old")
    os.close(output.open_file(str(out)))
    assert out.read_text() == ""


@needs_root
def test_another_users_file_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_text("theirs")
    os.chown(out, 54321, 54321)
    with pytest.raises(TracerError) as error:
        output.open_file(str(out))
    assert error.value.message == f"cannot write '{out}': it exists and belongs to another user (uid 54321)"
    assert out.read_text() == "theirs"


def test_links_are_refused(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("kept")
    (tmp_path / "symbolic").symlink_to(target)
    os.link(target, tmp_path / "hard")
    for name, why in (("symbolic", "it is a symbolic link"), ("hard", "it exists and has other names (hard links)")):
        with pytest.raises(TracerError) as error:
            output.open_file(str(tmp_path / name))
        assert (error.value.message, error.value.exit_code) == (f"cannot write '{tmp_path / name}': {why}", 1)
    assert target.read_text() == "kept"


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(TracerError, match=r"No such file or directory$"):
        output.open_file(str(tmp_path / "none" / "out"))


@pytest.mark.parametrize(("choice", "color"), [("always", True), ("never", False), ("auto", False)])
def test_color_on_a_file(choice: str, color: bool, tmp_path: Path) -> None:
    fd = os.open(tmp_path / "out", os.O_CREAT | os.O_WRONLY)
    assert output.wants_color(choice, fd) is color
    os.close(fd)


def test_color_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.openpty()
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert output.wants_color("auto", theirs)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not output.wants_color("auto", theirs)
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not output.wants_color("auto", theirs)
    os.close(ours)
    os.close(theirs)
