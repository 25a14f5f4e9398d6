# SPDX-License-Identifier: Apache-2.0
"""Runs a command on a stock Debian kernel in QEMU, with this machine's files and as root.

    python3 vm/run.py --kernel 6.12 -- uname -r

The guest sees the host's root read-only under a layer in memory: what it writes is gone with it,
except in /out (see --out). It has no network but the loopback. Exit status: the command's own;
124 when the time was over; 125 when the machine could not run the command to its end; 2 for wrong
usage.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import textwrap
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

import kernels
import machine
from initramfs import initramfs
from needs import VmError, cache_dir, require_tools

EXIT_USAGE = 2
EXIT_TIMEOUT = 124
EXIT_MACHINE = 125

# Variables that the guest gets from the host; others by --env.
PASSED_VARIABLES = ("PATH", "HOME", "LANG", "CI")
ACCELERATORS = {accel.name: accel for accel in (machine.TCG, machine.TCG_SINGLE, machine.KVM)}
DEFAULT_ACCELERATOR = "tcg"


class _Ended(BaseException):
    """A signal asked this process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@dataclass(frozen=True)
class Options:
    """The command line, understood and checked."""

    kernel: str | None  # None: the one in VM_KERNEL
    accel: str
    quiet: bool
    console: Path | None
    job: machine.Job


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vm/run.py",
        usage="%(prog)s --kernel NAME [options] -- COMMAND [ARGUMENT...]",
        description="Run a command as root on a stock Debian kernel in QEMU.",
        epilog="Variables: VM_KERNEL=FOLDER (a kernel of your own), VM_CACHE=FOLDER, "
        "VM_MIRROR=ADDRESS, VM_ACCEL=tcg|tcg-single|kvm|auto. Exit status: the command's; 124: the time was "
        "over; 125: the machine could not run the command to its end.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--kernel",
        metavar="NAME",
        choices=list(kernels.KERNELS),
        help=", ".join(kernels.KERNELS),
    )
    add(
        "--append",
        metavar="PARAMETERS",
        action="append",
        default=[],
        help="kernel parameters",
    )
    add(
        "--timeout",
        metavar="SECONDS",
        type=_seconds,
        default=600.0,
        help="in all (default: 600)",
    )
    add(
        "--memory",
        metavar="SIZE",
        type=_memory,
        default="4G",
        help="such as 512M (default: 4G)",
    )
    add("--cpus", metavar="N", type=_cpus, default=2, help="default: 2")
    add(
        "--out",
        metavar="FOLDER",
        type=Path,
        help="what /out is in the guest; made if missing",
    )
    add(
        "--copy",
        metavar="PATH",
        type=Path,
        action="append",
        default=[],
        help="a file or folder to be copied into the guest's memory under the same path; needed "
        "for what is in /tmp, where the guest has its own",
    )
    add(
        "--cwd",
        metavar="FOLDER",
        type=Path,
        help="where to run (default: the folder you are in)",
    )
    add(
        "--env",
        metavar="NAME[=VALUE]",
        action="append",
        default=[],
        help=f"set a variable, or pass it on; always passed on: {', '.join(PASSED_VARIABLES)}",
    )
    add("--console", metavar="FILE", type=Path, help="write the console's log there")
    add("-q", "--quiet", action="store_true", help="do not tell how long the boot took")
    return parser


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return value


def _memory(text: str) -> str:
    if not re.fullmatch(r"[1-9]\d{0,6}[MG]", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 512M or 4G")
    return text


def _cpus(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 99")
    return int(text)


def guest_environment(pairs: Sequence[str], environ: Mapping[str, str]) -> dict[str, str]:
    """The command's variables. Raises VmError for a name that no shell could have set."""
    result = {name: environ[name] for name in PASSED_VARIABLES if name in environ}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
            raise VmError(f"--env {pair!r} does not start with a variable's name")
        if equals:
            result[name] = value
        elif name in environ:
            result[name] = environ[name]
    return result


def parse(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> Options:
    """Reads the command line (without the program). Exits by argparse, or raises VmError."""
    parser = make_parser()
    split = list(arguments).index("--") if "--" in arguments else len(arguments)
    options = parser.parse_args(arguments[:split])
    command = list(arguments[split + 1 :])
    if not command:
        parser.error("no command: put it behind --, as in: vm/run.py --kernel 6.12 -- uname -r")
    own_kernel = bool(environ.get("VM_KERNEL"))
    if options.kernel is None and not own_kernel:
        parser.error(f"--kernel is missing: {', '.join(kernels.KERNELS)} (or set VM_KERNEL=FOLDER)")
    accel = environ.get("VM_ACCEL") or DEFAULT_ACCELERATOR
    if accel not in (*ACCELERATORS, "auto"):
        known = ", ".join((*ACCELERATORS, "auto"))
        raise VmError(f"VM_ACCEL={accel} is not known", f"there are: {known}")
    copies = [absolute(path) for path in options.copy]
    for path in copies:
        if not path.exists():
            raise VmError(f"--copy {path}: there is no such file or folder")
        if "\n" in str(path):
            raise VmError("--copy: a path with a line break in it cannot be passed on")
    job = machine.Job(
        command=command,
        cwd=working_folder(options.cwd, copies),
        environ={
            **guest_environment(options.env, environ),
            "GOPHERSCOPE_VM": options.kernel if not own_kernel else "local",
        },
        append=options.append,
        timeout_s=options.timeout,
        memory=options.memory,
        cpus=options.cpus,
        out=absolute(options.out) if options.out else None,
        copies=copies,
    )
    return Options(
        None if own_kernel else options.kernel,
        accel,
        options.quiet,
        options.console,
        job,
    )


def absolute(path: Path) -> Path:
    """The path from the root, without `.` and `..`; links in it stay."""
    return Path(os.path.normpath(path.absolute()))


def working_folder(wished: Path | None, copies: Sequence[Path]) -> Path:
    """Where the command runs. Raises VmError if the guest has no such folder."""
    cwd = absolute(wished or Path())
    if wished is not None and cwd in machine.GUEST_FOLDERS:
        return cwd
    if machine.hidden_in_guest(cwd, copies):
        raise VmError(
            f"the guest does not have the folder {cwd}: /{cwd.parts[1]} is its own there",
            f"add --copy {cwd}, or run in another folder (--cwd)",
        )
    if not cwd.is_dir():
        raise VmError(f"--cwd {cwd}: there is no such folder")
    return cwd


def choose_kernel(options: Options) -> AbstractContextManager[kernels.Kernel]:
    """The kernel to boot, held until the end of the `with`. Raises VmError."""
    if options.kernel is not None:
        return kernels.use(options.kernel)
    kernel = kernels.from_environment()
    assert kernel is not None
    return nullcontext(kernel)


def require_x86_64() -> None:
    """Raises VmError on another processor: the guest could not run the host's programs."""
    processor = os.uname().machine
    if processor != "x86_64":
        raise VmError(f"the kernels are for x86_64, and this machine is {processor}")


def require_kvm(device: str = "/dev/kvm") -> None:
    """Raises VmError if the KVM device cannot be opened."""
    if not os.access(device, os.R_OK | os.W_OK):
        raise VmError(
            f"VM_ACCEL=kvm, but {device} cannot be opened",
            "VM_ACCEL=tcg needs no such device",
        )


def boot(options: Options, kernel: kernels.Kernel) -> machine.Outcome:
    """Runs the job, for `auto` by KVM first.

    As long as the command has not started, another attempt does no harm: so the boot itself is the
    test of KVM, and a panic during the boot, which QEMU may be to blame for (see machine.py), is
    given one more chance.
    """
    initrd = initramfs(kernel, cache_dir())

    def attempt(accel: machine.Accel) -> machine.Outcome:
        def started(seconds: float) -> None:
            if not options.quiet:
                _say(f"Linux {kernel.release} ({accel.name}), booted in {seconds:.1f} s")

        sinks = machine.Sinks(sys.stdout.buffer, sys.stderr.buffer, started)
        return machine.run(options.job, kernel, initrd, accel, sinks)

    if options.accel == "auto":
        reason = "there is no KVM"
        with suppress(VmError):
            require_kvm()
            outcome = attempt(machine.KVM)
            if outcome.boot_s is not None:
                return outcome
            reason = "the guest does not come up by KVM"
        _say(f"{reason}: going on by software emulation")
    elif options.accel == "kvm":
        require_kvm()
    accel = ACCELERATORS.get(options.accel, ACCELERATORS[DEFAULT_ACCELERATOR])
    outcome = attempt(accel)
    if outcome.boot_s is None and outcome.panic is not None:
        _say(f"the kernel panicked during the boot ({outcome.panic}): trying once more")
        outcome = attempt(accel)
    return outcome


def conclude(outcome: machine.Outcome, timeout_s: float) -> int:
    """The exit status of a run; tells on stderr what went wrong with the machine."""
    if outcome.status is not None:
        return outcome.status
    if outcome.timed_out and outcome.boot_s is None:
        what = "the kernel did not come to the command in time: ended"
    elif outcome.timed_out:
        what = f"the command did not end within {timeout_s:g} s: ended"
    elif outcome.panic is not None:
        what = f"the kernel panicked: {outcome.panic}"
    elif outcome.boot_s is None:
        what = "the machine stopped before the command started"
    else:
        what = "the machine stopped before the command ended"
    print(f"error: {what}", file=sys.stderr)
    tail = machine.console_tail(outcome.console)
    if tail:
        _say("the end of the console's log:")
        print(textwrap.indent(tail, "    "), file=sys.stderr)
    else:
        print("hint: the console's log is empty; --append loglevel=7 fills it", file=sys.stderr)
    return EXIT_TIMEOUT if outcome.timed_out else EXIT_MACHINE


def _say(text: str) -> None:
    print(f"vm: {text}", file=sys.stderr, flush=True)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    raise _Ended(number)


def main(arguments: Sequence[str]) -> int:
    """Runs the command line; returns the exit status."""
    try:
        options = parse(arguments)
    except VmError as error:
        print(error.report(), file=sys.stderr)
        return EXIT_USAGE
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    try:
        require_x86_64()
        require_tools()
        if options.job.out:
            options.job.out.mkdir(parents=True, exist_ok=True)
        with choose_kernel(options) as kernel:
            outcome = boot(options, kernel)
        if options.console:
            options.console.write_text(outcome.console, encoding="utf-8")
        return conclude(outcome, options.job.timeout_s)
    except VmError as error:
        print(error.report(), file=sys.stderr)
        return EXIT_MACHINE
    except BrokenPipeError:
        # Whoever read the output has gone: what Python would still flush goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except OSError as error:
        print(f"error: {error.filename or 'vm/run.py'}: {error.strerror}", file=sys.stderr)
        return EXIT_MACHINE
    except _Ended as ended:
        return 128 + ended.number


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
