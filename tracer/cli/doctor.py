# SPDX-License-Identifier: Apache-2.0
"""What this kernel allows, each by trying it, and what follows from that."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tracer import native, processes
from tracer.cli.parser import Namespace, Parser
from tracer.errors import EXIT_FAILED, EXIT_OK, TracerError, take
from tracer.program import PACKAGE
from tracer.rewriting import lockdown

EXAMPLES = """
sudo gopherscope doctor
# for a script; the exit code is 0 where tracing works
sudo gopherscope doctor -f json
"""

BCC_TIMEOUT_S = 30

# include/uapi/linux/capability.h
CAP_PERFMON = 38
CAP_BPF = 39


@dataclass(frozen=True)
class Check:
    """One thing that was tried."""

    name: str
    ok: bool
    detail: str  # why not, in the kernel's words; or what was found
    follows: str  # what a user notices; "" where all is well
    tried: bool = True  # False: it takes root to find out


# Name, what it is called, what follows where it is refused. In the order in which they are shown.
TRIES = (
    ("bpf", "BPF programs and maps", "nothing can be traced"),
    ("probe_read_user", "reading the program's memory", "nothing can be traced"),
    ("uprobe_perf", "probes through perf events", "only kernels with uprobe_multi can be traced"),
    ("uprobe_multi", "many probes by one link (uprobe_multi)", "probes are attached one by one: slower with many"),
    ("cookie_perf", "cookies on perf event probes", "probes need uprobe_multi"),
    ("cookie_multi", "cookies on uprobe_multi probes", "probes need perf events"),
    ("ring_buffer", "BPF ring buffer", "events go through perf buffers, one for each CPU"),
    ("perf_buffer", "perf buffer", "events need the ring buffer"),
    ("memlock", "maps beyond the limit of locked memory", "a large --buffer needs a larger `ulimit -l`"),
    ("btf", "the kernel's type information (BTF)", "goroutines of assembly functions and Go < 1.17 may be unknown"),
    (
        "multi_pid",
        "one process's own link, in all its threads",
        "a trace of one process costs the others of its file a little",
    ),
    ("capabilities", "CAP_BPF and CAP_PERFMON instead of root", "only root can trace here"),
    ("sleepable", "sleepable programs", "memory that is not resident cannot be read"),
    ("probe_write_user", "writing the program's memory", "arguments on the stack cannot be changed"),
    ("context_write", "writing the program's registers", "arguments in registers cannot be changed"),
    ("kprobe", "probes on kernel functions", "programs that are not Go, and their connections, cannot be watched"),
    ("raw_tracepoint", "raw tracepoints", "process starts and ends are found by polling"),
)


def prepare_parser(parser: Parser) -> None:
    parser.examples = EXAMPLES
    parser.add_argument("-f", "--format", choices=("text", "json"), default="text", help="for people, or one object")


def run(args: Namespace) -> int:
    checks = list(all_checks())
    works, why = verdict(checks)
    if args.format == "json":
        report = {
            "works": works,
            "why": why,
            "kernel": platform.release(),
            "machine": platform.machine(),
            "root": os.geteuid() == 0,
            "checks": [asdict(c) for c in checks],
        }
        sys.stdout.write(json.dumps(report, ensure_ascii=False) + "\n")
    else:
        _show(checks, works, why)
    sys.stdout.flush()
    return EXIT_OK if works else EXIT_FAILED


def all_checks() -> Iterator[Check]:
    """Every check; those of the C core only where it was built."""
    yield from _surroundings()
    yield _try_bcc()
    try:
        module = native.collector()
    except TracerError as e:
        yield Check("core", False, e.message, e.hint or "")
        return
    for name, _, follows in TRIES:
        yield _try_kernel(module, name, follows)


def _surroundings() -> Iterator[Check]:
    machine = platform.machine()
    yield Check(
        "machine",
        machine == "x86_64",
        f"{machine}, kernel {platform.release()}",
        "" if machine == "x86_64" else "only x86-64 can be traced",
    )
    root, capable = os.geteuid() == 0, _has_capabilities()
    yield Check(
        "root",
        root or capable,
        f"uid {os.geteuid()}" + (", with CAP_BPF and CAP_PERFMON" if capable and not root else ""),
        "" if root or capable else "run it with sudo to know what the kernel allows",
    )
    state = lockdown()
    yield Check(
        "lockdown",
        state in ("none", ""),
        state or "not told: /sys/kernel/security is not there",
        ""
        if state in ("none", "")
        else "arguments on the stack cannot be changed; tracing is not affected"
        if state == "integrity"
        else "the program's memory cannot be read: tracing does not work",
    )
    initial = processes.in_initial_namespace()
    yield Check(
        "pid_namespace",
        initial,
        "the machine's own" if initial else "a container's",
        "" if initial else "-p and -- COMMAND find nothing: process ids differ from the kernel's",
    )


def _has_capabilities() -> bool:
    """Whether this process has the two with which kernels may do without root."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return False
    effective = next((line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), "0")
    return all(int(effective, 16) >> bit & 1 for bit in (CAP_PERFMON, CAP_BPF))


def _try_bcc() -> Check:
    """In a process of its own, as when it compiles."""
    command = [sys.executable, "-m", "tracer.compile", "--check"]
    try:
        done = subprocess.run(command, cwd=PACKAGE.parent, capture_output=True, text=True, timeout=BCC_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as e:
        return Check("bcc", False, str(e), "nothing can be traced")
    if done.returncode == 0:
        return Check("bcc", True, f"version {done.stdout.strip()}", "")
    lines = done.stderr.splitlines()
    error = next((x[7:] for x in lines if x.startswith("error: ")), f"status {done.returncode}")
    hint = next((x[6:] for x in lines if x.startswith("hint: ")), "nothing can be traced")
    return Check("bcc", False, error, hint)


def _try_kernel(module: object, name: str, follows: str) -> Check:
    ffi, lib = getattr(module, "ffi"), getattr(module, "lib")  # noqa: B009 - a cffi module has no types
    try:
        take(ffi, lib, lib.doctor_try(getattr(lib, "DOCTOR_" + name.upper())))
    except TracerError as e:
        if e.code == "privilege":
            return Check(name, False, "takes root to find out", "", tried=False)
        return Check(name, False, e.message, follows)
    return Check(name, True, "", "")


def verdict(checks: list[Check]) -> tuple[bool, str]:
    """Whether tracing works here, and why not."""
    ok = {c.name: c.ok for c in checks}
    for name in ("core", "machine", "root", "bcc", "bpf", "probe_read_user"):
        if not ok.get(name, name == "core"):
            return False, next((f"{name}: {c.detail}" for c in checks if c.name == name), name)
    if not (ok["cookie_multi"] or ok["cookie_perf"]):
        return False, "neither uprobe_multi nor perf events attach a probe with a cookie"
    if not (ok["ring_buffer"] or ok["perf_buffer"]):
        return False, "neither ring buffer nor perf buffer"
    return True, ""


def _show(checks: list[Check], works: bool, why: str) -> None:
    titles = {name: title for name, title, _ in TRIES} | {
        "machine": "machine",
        "root": "root",
        "lockdown": "kernel lockdown",
        "pid_namespace": "process ids",
        "bcc": "BCC, the compiler",
        "core": "the tracer's C part",
    }
    width = max(len(titles[c.name]) for c in checks)
    for c in checks:
        answer = ("yes" if c.ok else "no") if c.tried else "?"
        line = f"{answer:<3}  {titles[c.name]:<{width}}"
        if c.detail:
            line += f"  {c.detail}"
        sys.stdout.write(line.rstrip() + "\n")
        if c.follows:
            sys.stdout.write(f"     {'':<{width}}  → {c.follows}\n")
    sys.stdout.write("\ntracing works here\n" if works else f"\ntracing does not work here: {why}\n")
