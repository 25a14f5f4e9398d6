# SPDX-License-Identifier: Apache-2.0
"""vm/run.py: its command line, what it says in the end, and how it chooses. No boot."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "vm"))

import machine
import needs
import run
from kernels import Kernel

KERNEL = Kernel("mine", "6.1.0-7-amd64", Path("/k/vmlinuz"), Path("/k/lib/modules/6.1.0-7-amd64"))

# The command line


def parse(*arguments: str, **environ: str) -> run.Options:
    return run.parse([*arguments, "--cwd", "/usr", "--", "true"], environ)


def test_defaults() -> None:
    options = run.parse(["--kernel", "6.1", "--cwd", "/usr", "--", "uname", "-r"], {"HOME": "/h"})
    assert options == run.Options(
        kernel="6.1",
        accel="tcg",
        quiet=False,
        console=None,
        job=machine.Job(
            command=["uname", "-r"],
            cwd=Path("/usr"),
            environ={"HOME": "/h", "GOPHERSCOPE_VM": "6.1"},
            append=[],
            timeout_s=600.0,
            memory="4G",
            cpus=2,
            out=None,
            copies=[],
        ),
    )


def test_every_option() -> None:
    options = run.parse(
        shlex.split(
            "--kernel newest --append preempt=full --append 'a b' --timeout 7.5 --memory 512M "
            "--cpus 3 --out /results/../r --copy /usr/share --cwd /usr/lib --env A=b=c --console log "
            "-q -- x -- -y"
        ),
        {"VM_ACCEL": "auto"},
    )
    assert options.job == machine.Job(
        command=["x", "--", "-y"],
        cwd=Path("/usr/lib"),
        environ={"A": "b=c", "GOPHERSCOPE_VM": "newest"},
        append=["preempt=full", "a b"],
        timeout_s=7.5,
        memory="512M",
        cpus=3,
        out=Path("/r"),
        copies=[Path("/usr/share")],
    )
    assert (options.accel, options.quiet, options.console) == ("auto", True, Path("log"))


def test_kernel_of_the_user_goes_first() -> None:
    options = parse("--kernel", "6.1", VM_KERNEL="/k")
    assert options.kernel is None
    assert options.job.environ["GOPHERSCOPE_VM"] == "local"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--", "true"], "--kernel is missing: 6.1, 6.12, newest (or set VM_KERNEL=FOLDER)"),
        (
            ["--kernel", "6.1"],
            "no command: put it behind --, as in: vm/run.py --kernel 6.12 -- uname -r",
        ),
        (
            ["--kernel", "6.1", "--"],
            "no command: put it behind --, as in: vm/run.py --kernel 6.12 -- uname -r",
        ),
        (["--kernel", "6.1", "true"], "unrecognized arguments: true"),
        (
            ["--kernel", "6.1", "--timeout", "0", "--", "x"],
            "argument --timeout: '0' is not a number of seconds",
        ),
        (
            ["--kernel", "6.1", "--timeout", "nan", "--", "x"],
            "argument --timeout: 'nan' is not a number of seconds",
        ),
        (
            ["--kernel", "6.1", "--memory", "4", "--", "x"],
            "argument --memory: '4' is not a size such as 512M or 4G",
        ),
        (
            ["--kernel", "6.1", "--cpus", "0", "--", "x"],
            "argument --cpus: '0' is not a number from 1 to 99",
        ),
    ],
)
def test_wrong_usage(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run.parse(arguments, {})
    assert caught.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"vm/run.py: error: {message}"


def test_accelerator_that_is_none() -> None:
    with pytest.raises(needs.VmError) as caught:
        parse("--kernel", "6.1", VM_ACCEL="hvf")
    assert caught.value.report() == "error: VM_ACCEL=hvf is not known\nhint: there are: tcg, tcg-single, kvm, auto"


def test_copy_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(needs.VmError, match=r"/nothing: there is no such file or folder$"):
        parse("--kernel", "6.1", "--copy", str(tmp_path / "nothing"))


@pytest.mark.parametrize("pair", ["", "=x", "1=2", "a-b=c"])
def test_names_that_no_variable_has(pair: str) -> None:
    with pytest.raises(needs.VmError, match="does not start with a variable's name"):
        run.guest_environment([pair], {})


def test_environment_of_the_guest() -> None:
    host = {"PATH": "/bin", "CI": "true", "SECRET": "x", "TERM": "xterm"}
    assert run.guest_environment(["A=1", "TERM", "GONE", "CI="], host) == {
        "PATH": "/bin",
        "CI": "",
        "A": "1",
        "TERM": "xterm",
    }


@pytest.mark.parametrize(
    ("path", "copies", "hidden"),
    [
        ("/tmp", [], True),
        ("/tmp/a/b", [], True),
        ("/tmpfiles", [], False),
        ("/run/x", [], True),
        ("/out", [], True),
        ("/usr/tmp", [], False),
        ("/", [], False),
        ("/tmp/a/b", ["/tmp/a"], False),
        ("/tmp/a", ["/tmp/a"], False),
        ("/tmp/a", ["/tmp/a/b"], True),
        ("/tmp/ab", ["/tmp/a"], True),
    ],
)
def test_what_the_guest_does_not_see(path: str, copies: list[str], hidden: bool) -> None:
    assert machine.hidden_in_guest(Path(path), [Path(copy) for copy in copies]) is hidden


def test_working_folder_below_tmp() -> None:
    with pytest.raises(needs.VmError) as caught:
        run.working_folder(Path("/tmp/x"), [])
    assert caught.value.report() == (
        "error: the guest does not have the folder /tmp/x: /tmp is its own there\n"
        "hint: add --copy /tmp/x, or run in another folder (--cwd)"
    )
    assert run.working_folder(Path("/tmp"), []) == Path("/tmp")


# The end of a run


def test_console_tail_has_no_escapes_and_no_empty_lines() -> None:
    console = "\x1bc\x1b[?7l\x1b[2J[    0.1] one\r\n\r\n" + "".join(f"{i}\r\n" for i in range(97))
    assert machine.console_tail(console, lines=3) == "94\n95\n96"
    assert machine.console_tail("\x1bc\x1b[?7l\x1b[2Jone\r\n\r\n\x1b[0m\r\n") == "one"
    assert machine.console_tail("\x1bc\r\n") == ""


PANIC = "[ 1.1] Kernel panic - not syncing: sysrq triggered crash\r\n[ 1.2] CPU: 0\r\n"


@pytest.mark.parametrize(
    ("outcome", "status", "text"),
    [
        (machine.Outcome(0, 4.5), 0, ""),
        (machine.Outcome(3, 4.5, console=PANIC), 3, ""),
        (
            machine.Outcome(None, 4.5, timed_out=True, console="[ 1.1] last words\r\n"),
            124,
            (
                "error: the command did not end within 20 s: ended\n"
                "vm: the end of the console's log:\n    [ 1.1] last words\n"
            ),
        ),
        (
            machine.Outcome(None, None, timed_out=True),
            124,
            (
                "error: the kernel did not come to the command in time: ended\n"
                "hint: the console's log is empty; --append loglevel=7 fills it\n"
            ),
        ),
        (
            machine.Outcome(None, 4.5, console=PANIC),
            125,
            (
                "error: the kernel panicked: sysrq triggered crash\n"
                "vm: the end of the console's log:\n"
                "    [ 1.1] Kernel panic - not syncing: sysrq triggered crash\n    [ 1.2] CPU: 0\n"
            ),
        ),
        (
            machine.Outcome(None, None, console="gopherscope init: failed: mount\n"),
            125,
            (
                "error: the machine stopped before the command started\n"
                "vm: the end of the console's log:\n    gopherscope init: failed: mount\n"
            ),
        ),
        (
            machine.Outcome(None, 4.5, console="reboot: Power down\n"),
            125,
            (
                "error: the machine stopped before the command ended\n"
                "vm: the end of the console's log:\n    reboot: Power down\n"
            ),
        ),
    ],
)
def test_what_is_said_at_the_end(
    outcome: machine.Outcome, status: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.conclude(outcome, 20.0) == status
    assert capsys.readouterr().err == text


CONSOLE = """
import sys
sys.path.insert(0, sys.argv[1])
import contextlib, machine, run
run.require_tools = run.require_x86_64 = lambda: None
run.choose_kernel = lambda options: contextlib.nullcontext()
run.boot = lambda options, kernel: machine.Outcome(7, 1.0, console="\\ufffd")
sys.exit(run.main(["--kernel", "6.1", "--console", sys.argv[2], "--cwd", "/usr", "--", "true"]))
"""


def test_console_in_any_locale(tmp_path: Path) -> None:
    """What the kernel printed may be no text; the command's status is what counts."""
    done = subprocess.run(
        [sys.executable, "-X", "utf8=0", "-c", CONSOLE, str(Path(run.__file__).parent), str(tmp_path / "console")],
        env={**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (7, "")
    assert (tmp_path / "console").read_text(encoding="utf-8") == "\ufffd"


def test_missing_qemu(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(needs, "find_tool", lambda name: None if "qemu" in name else name)
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    assert run.main(["--kernel", "6.1", "--cwd", "/usr", "--", "true"]) == 125
    assert capsys.readouterr().err == (
        "error: qemu-system-x86_64 is not installed\nhint: on Debian: apt-get install qemu-system-x86\n"
    )


def test_another_processor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(machine="aarch64"))
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    assert run.main(["--kernel", "6.1", "--cwd", "/usr", "--", "true"]) == 125
    expected = "error: the kernels are for x86_64, and this machine is aarch64\n"
    assert capsys.readouterr().err == expected


def test_auto_without_a_kvm_device(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    used = []

    def pretend(*arguments: object) -> machine.Outcome:
        used.append(arguments[3])
        return machine.Outcome(7, 1.0)

    monkeypatch.setattr(run, "initramfs", lambda kernel, cache: b"")
    monkeypatch.setattr(machine, "run", pretend)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    options = parse("--kernel", "6.1", VM_ACCEL="auto")
    assert run.boot(options, KERNEL).status == 7
    assert used == [machine.TCG]
    assert capsys.readouterr().err == "vm: there is no KVM: going on by software emulation\n"
    with pytest.raises(needs.VmError, match=r"^VM_ACCEL=kvm, but /dev/kvm cannot be opened$"):
        run.boot(parse("--kernel", "6.1", VM_ACCEL="kvm"), KERNEL)


@pytest.mark.parametrize(
    ("by_kvm", "expected"),
    [
        (machine.Outcome(7, 1.0), [machine.KVM]),
        (machine.Outcome(None, 1.0, timed_out=True), [machine.KVM]),
        (machine.Outcome(None, None, timed_out=True), [machine.KVM, machine.TCG]),
        (machine.Outcome(None, None), [machine.KVM, machine.TCG]),
    ],
)
def test_auto_never_starts_the_command_twice(
    by_kvm: machine.Outcome, expected: list[machine.Accel], monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[machine.Accel] = []

    def pretend(
        job: machine.Job, kernel: Kernel, initrd: bytes, accel: machine.Accel, sinks: machine.Sinks
    ) -> machine.Outcome:
        used.append(accel)
        return by_kvm if accel is machine.KVM else machine.Outcome(0, 5.0)

    monkeypatch.setattr(run, "initramfs", lambda kernel, cache: b"")
    monkeypatch.setattr(machine, "run", pretend)
    monkeypatch.setattr(os, "access", lambda path, mode: True)
    run.boot(parse("--kernel", "6.1", VM_ACCEL="auto"), KERNEL)
    assert used == expected


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        ([machine.Outcome(None, None, console=PANIC), machine.Outcome(7, 5.0)], 7),
        ([machine.Outcome(None, None, console=PANIC), machine.Outcome(None, None, console=PANIC)], None),
        ([machine.Outcome(None, 5.0, console=PANIC)], None),
        ([machine.Outcome(None, None, console="qemu: no\n")], None),
        ([machine.Outcome(None, None, timed_out=True)], None),
        ([machine.Outcome(7, 5.0)], 7),
    ],
)
@pytest.mark.parametrize("name", ["tcg", "tcg-single"])
def test_only_a_panic_before_the_command_gets_another_chance(
    name: str,
    outcomes: list[machine.Outcome],
    status: int | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    left = list(outcomes)
    used: list[str] = []

    def pretend(
        job: machine.Job, kernel: Kernel, initrd: bytes, accel: machine.Accel, sinks: machine.Sinks
    ) -> machine.Outcome:
        used.append(accel.name)
        return left.pop(0)

    monkeypatch.setattr(run, "initramfs", lambda kernel, cache: b"")
    monkeypatch.setattr(machine, "run", pretend)
    assert run.boot(parse("--kernel", "6.1", VM_ACCEL=name), KERNEL).status == status
    assert left == []
    assert used == [name] * len(outcomes)
    said = "vm: the kernel panicked during the boot (sysrq triggered crash): trying once more\n"
    assert capsys.readouterr().err == said * (len(outcomes) - 1)
