# SPDX-License-Identifier: Apache-2.0
"""Other tracers on the same program in the same run: what a call costs under them, and how many of the calls they tell.

Those that are not installed are said to be absent. dlv is built by `go install` when there is none; bpftrace and
BCC's tools come with the distribution (Debian: bpftrace, bpfcc-tools).
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import go_versions
from measure import GO, LOOP, ROOT, Nanoseconds, Sites, loop, own_copy, row, sites, start_loop, table, told, traced
from tracing import Tracer

DLV = "github.com/go-delve/delve/cmd/dlv@v1.26.0"
CALLS = 100_003
PATIENCE = 120.0
SETTLE_S = 0.5  # from a peer's word that it is there to its probes being there


class PeerError(Exception):
    """It cannot do this here: its own last words."""


class Peer(NamedTuple):
    """A row: what is run, and how its output tells which calls it saw (a pattern whose group is the first argument)."""

    name: str
    what: str
    command: list[str]
    seen: re.Pattern[bytes] | None
    total: re.Pattern[bytes] | None = None  # where it counts


def version(command: list[str]) -> str:
    run = subprocess.run(command, capture_output=True, text=True, errors="replace")
    found = re.search(r"\d+\.\d+(\.\d+)?", run.stdout + run.stderr)
    return found[0] if found else ""


def dlv() -> str | None:
    """A dlv of PATH, else one that is built and kept. None where it cannot be had."""
    if found := shutil.which("dlv"):
        return found
    folder = go_versions.cache_dir() / "peers"
    path = folder / "dlv"
    if not path.exists():
        folder.mkdir(exist_ok=True)
        env = {**os.environ, "GOBIN": str(folder), "GOFLAGS": "-trimpath"}
        run = subprocess.run(["go", "install", DLV], env=env, capture_output=True, text=True)
        if run.returncode:
            return None
    return str(path)


def bcc_tool(name: str) -> str | None:
    return shutil.which(f"{name}-bpfcc") or shutil.which(name, path="/usr/share/bcc/tools")


def bpftrace_probes(program: Path, places: Sites) -> dict[str, str]:
    entry = f'uprobe:{program}:"main.ints"'
    ends = ",".join(f'uprobe:{program}:"main.ints"+{at - places.first}' for at in places.returns)
    return {
        "printf": entry + ' { printf("%d %d %llx\\n", reg("ax"), reg("bx"), reg("r14")); }',
        "count": entry + " { @ = count(); }",
        "return": entry
        + ' { @a[reg("r14")] = reg("ax"); @t[reg("r14")] = nsecs; } '
        + ends
        + ' { printf("%d %d %d\\n", @a[reg("r14")], reg("ax"), nsecs - @t[reg("r14")]); }',
    }


def on_running(tracer: Tracer, program: Path, peer: Peer, is_ready: Callable[[bytes], bool]) -> tuple[float, int]:
    """(ns per call by the program's clock, calls that were told): the peer is started on a program that waits."""
    target = start_loop(tracer, program, "-func", "ints", "-n", CALLS)
    out = tracer.folder / "peer"
    command = [part.replace("PID", str(target.pid)) for part in peer.command]
    env = {"BCC_KERNEL_SOURCE": str(ROOT / "bpf_c" / "headers"), **os.environ}
    with out.open("wb") as file:
        process = subprocess.Popen(
            command,
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=env,
            # what runs in the background of a script ignores it, and so would they
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
    try:
        end = time.monotonic() + PATIENCE
        while not is_ready(out.read_bytes()):
            if process.poll() is not None or time.monotonic() > end:
                raise PeerError(out.read_text(errors="replace"))
            time.sleep(0.05)
        time.sleep(SETTLE_S)
        target.go()
        ns = told(target.finish(timeout=600))
        process.send_signal(signal.SIGINT)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise PeerError("does not end when it is interrupted") from None
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    return ns.clock, heard(out.read_bytes(), peer)


def heard(output: bytes, peer: Peer) -> int:
    """Distinct calls in what a peer wrote, or its own count."""
    if peer.total is not None:
        return sum(int(n) for n in peer.total.findall(output))
    assert peer.seen is not None
    return len(set(peer.seen.findall(output)))


def by_dlv(tracer: Tracer, program: Path, path: str) -> tuple[float, int]:
    """dlv starts the program itself; it tells calls and returns on stderr."""
    out = tracer.folder / "peer"
    command = [
        path,
        "trace",
        "--ebpf",
        "--exec",
        str(program),
        r"^main\.ints$",
        "--",
        "-func",
        "ints",
        "-n",
        str(CALLS),
    ]
    with out.open("wb") as file:
        run = subprocess.run(command, input=b"\n", stdout=subprocess.PIPE, stderr=file, timeout=600, cwd=tracer.folder)
    text, lines = run.stdout.decode(errors="replace"), out.read_bytes()
    found = re.search(r"ns_per_call ([\d.]+)", text + lines.decode(errors="replace"))
    if not found:
        raise PeerError(text + lines.decode(errors="replace"))
    return float(found[1]), len(set(re.findall(rb"> .*main\.ints\((\d+)", lines)))


def ours(tracer: Tracer, program: Path, *options: str) -> tuple[float, int]:
    def run() -> Nanoseconds:
        return loop(tracer, program, "ints", CALLS)

    found = traced(tracer, program, (*options, "--func", "main.ints"), run)
    return found.ns.clock, int(str(found.summary.get("counted", found.written)))


def peers(tracer: Tracer) -> None:
    table(f"Beside other tracers ({CALLS} calls of two ints in a loop: ns per call by the clock, calls told)")
    program = own_copy(tracer, go_versions.go_program(LOOP, GO))
    places = sites(program, "main.ints")
    buffer = ("--buffer", "64M")

    def own(what: str, *options: str) -> float:
        ns, told_calls = ours(tracer, program, *options)
        row(f"{what}, gopherscope", f"{ns:.0f} ns; {told_calls} of {CALLS}")
        return ns

    def show(what: str, work: Callable[[], tuple[float, int]], than: float) -> None:
        try:
            ns, told_calls = work()
        except PeerError as error:
            lines = [line for line in str(error).splitlines() if line.strip()]
            row(what, f"fails: {lines[-1][:60] if lines else 'says nothing'}")
        else:
            row(what, f"{ns:.0f} ns, {ns / than:.1f} x ours; {told_calls} of {CALLS}")

    each = own("arguments written", "--no-results", *buffer)
    whole = own("call and return with values", *buffer)
    counted = own("count", "count")

    found = shutil.which("bpftrace")
    name = f"bpftrace {version(['bpftrace', '--version'])}" if found else "bpftrace"
    if found:
        probes = bpftrace_probes(program, places)
        line = re.compile(rb"^(\d+) \d+ ", re.M)
        ready = 'BEGIN { printf("ready\\n"); } '
        for what, probe, seen, total, than in (
            ("arguments written", "printf", line, None, each),
            ("call and return by hand", "return", line, None, whole),
            ("count", "count", None, re.compile(rb"^@: (\d+)", re.M), counted),
        ):
            # --unsafe: it cannot check that a return's place is the start of an instruction
            peer = Peer(name, what, [found, "--unsafe", "-e", ready + probes[probe]], seen, total)
            show(f"{what}, {name}", lambda p=peer: on_running(tracer, program, p, lambda text: b"ready" in text), than)
    else:
        row(name, "absent")

    spec = f'{program}:main.ints "%d %d", ctx->ax, ctx->bx'
    total = re.compile(rb"main\.ints\s+(\d+)")
    for what, tool_name, arguments, seen, total_of, ready_word, than in (
        ("arguments written", "trace", [spec], re.compile(rb"(\d+) \d+\s*$", re.M), None, b"PID", each),
        ("count", "funccount", ["-p", "PID", f"{program}:main.ints"], None, total, b"Tracing", counted),
    ):
        if tool := bcc_tool(tool_name):
            peer = Peer(tool_name, what, [tool, *arguments], seen, total_of)
            show(
                f"{what}, BCC {tool_name}",
                lambda p=peer, w=ready_word: on_running(tracer, program, p, lambda text: w in text),
                than,
            )
        else:
            row(f"BCC {tool_name}", "absent")
    if path := dlv():
        name = f"dlv {version([path, 'version'])} trace --ebpf"
        slow = own_copy(tracer, go_versions.go_program(LOOP, GO, "nopt"), "unoptimised")
        show(f"call and return, {name} (refuses optimised code)", lambda: by_dlv(tracer, slow, path), whole)
    else:
        row("dlv", "absent")
