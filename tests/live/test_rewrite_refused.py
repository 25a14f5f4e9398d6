# SPDX-License-Identifier: Apache-2.0
"""`rewrite` on this kernel: where it lets no program write, it says so before anything is started or attached. What
it does where it may is in tests/vm."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tracing import ROOT, Run, Tracer, check_error, command, environment

from tracer import native

SOURCE = ROOT / "tests" / "live" / "programs" / "rewrite"
Build = Callable[..., Path]

MEMORY = r"n cannot be written: this kernel lets no program write a process's memory: kernel lockdown is on"
REGISTERS = r"n is in rax: this kernel lets no program write registers: "


def allowed(check: str) -> bool:
    module = native.collector()
    err = module.lib.doctor_try(getattr(module.lib, f"DOCTOR_{check}"))
    if err:
        module.lib.err_destroy(err)
    return not err


@pytest.mark.parametrize(
    ("version", "check", "words"), [("1.15", "PROBE_WRITE_USER", MEMORY), ("1.26", "CONTEXT_WRITE", REGISTERS)]
)
def test_refused(version: str, check: str, words: str, go_program: Build, tracer: Tracer) -> None:
    """The reason, exit status 1, and the command was never run. A kernel that allows it changes every call."""
    program = go_program(SOURCE, version)
    run = tracer("rewrite", "--func", "main.target", "--set", "n=2021", "--yes", "--", program, "-n", 23)
    if not allowed(check):
        check_error(run, 1, words)
        return
    assert run.status == 0, run.stderr
    assert "target: calls=23 changed=23 sum=0 kept=253" in run.stdout


def test_a_skipped_call_needs_registers(go_program: Build, tracer: Tracer) -> None:
    """Also where the results are on the stack."""
    program = go_program(SOURCE, "1.15")
    run = tracer("rewrite", "--func", "main.tick", "--skip", "--yes", "--", program, "-n", 23)
    if allowed("CONTEXT_WRITE"):
        assert run.status == 0, run.stderr
        return
    check_error(run, 1, r"a call that is skipped: this kernel lets no program write registers: ")


def test_without_a_capability(go_program: Build) -> None:
    """Root without CAP_SYS_ADMIN, as in a container: that is what is missing, and no lockdown is made up."""
    if not shutil.which("setpriv"):
        pytest.skip("setpriv (util-linux) is not installed")
    program = go_program(SOURCE, "1.15")
    run = subprocess.run(
        [
            *("setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"),
            *command("rewrite", "--func", "main.target", "--set", "n=2021", "--yes", "--", program, "-n", 23),
        ],
        capture_output=True,
        text=True,
        env=environment(None),
        stdin=subprocess.DEVNULL,
    )
    check_error(
        Run(run.returncode, run.stdout, run.stderr),
        1,
        r"n cannot be written: .*: the capability CAP_SYS_ADMIN is missing",
    )


def test_a_nil_variable_of_a_process(go_program: Build, tracer: Tracer, own_copy: Callable[[Path], Path]) -> None:
    """Of a process that runs it is known beforehand, whatever the kernel allows: nothing is attached."""
    program = own_copy(go_program(SOURCE, "1.26"))
    target = tracer.program(program, "-mode", "ticks")
    assert re.fullmatch(r"tick -\d+", target.line())
    run = tracer("rewrite", "-p", target.pid, "--func", "main.read", "--fail", "err=main.ErrUnset", "--yes")
    if allowed("CONTEXT_WRITE"):
        check_error(run, 1, r"main\.ErrUnset is nil in process \d+: err cannot be set to it")
    else:
        check_error(run, 1, r"err is in rdi, rsi: this kernel lets no program write registers: ")
