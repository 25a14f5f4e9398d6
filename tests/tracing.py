# SPDX-License-Identifier: Apache-2.0
"""The tracer and its targets as processes: start, wait for a state, end, read what was written.

Nothing here sleeps for a fixed time and hopes: a trace is attached when its meta line is there, a program
is ready when it says so.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parent.parent
# Seconds: for what takes well under one when the machine is idle. More where processors are emulated.
PATIENCE = float(os.environ.get("GOPHERSCOPE_TEST_PATIENCE") or 60)

JSON = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """A tracer that has ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def events(self) -> list[JSON]:
        return parse(self.stdout)


def parse(text: str) -> list[JSON]:
    """The JSON lines of a text; every line must be one."""
    return [json.loads(line) for line in text.splitlines()]


def of_type(events: Sequence[JSON], kind: str) -> list[JSON]:
    return [e for e in events if e["type"] == kind]


def until(condition: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """Wait for a condition. Raises AssertionError with what was awaited."""
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, f"waited {patience:.0f} s in vain for: {what}"
        time.sleep(0.005)


def command(*args: object) -> list[str]:
    return [sys.executable, "-m", "tracer", *map(str, args)]


def environment(env: dict[str, str] | None) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}


def hear_interrupts() -> None:
    """A background job inherits that SIGINT is ignored, and Python keeps to that until the tracer's code runs."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Program:
    """A target: a Go program that may wait for a line before it starts (tests/live/programs/counts)."""

    def __init__(self, *args: object, cwd: Path | None = None) -> None:
        self.process = subprocess.Popen(
            [str(a) for a in args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=cwd,
        )
        self.pid = self.process.pid

    def line(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout
        return self.process.stdout.readline().rstrip("\n")

    def go(self) -> None:
        """Let it start."""
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def finish(self, timeout: float = PATIENCE) -> str:
        """Wait for its end; the rest of what it printed. Its status must be 0."""
        out, _ = self.process.communicate(timeout=timeout)
        assert self.process.returncode == 0, (self.process.returncode, out[-4000:])
        return out

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def text_is_original(self, path: Path, start: int, size: int, bias: int = 0) -> bool:
        """Whether `size` bytes at link address `start` are in memory as in the file: no probe."""
        with Path(f"/proc/{self.pid}/mem").open("rb", 0) as memory:
            memory.seek(start + bias)
            now = memory.read(size)
        return now == bytes_at(path, start, size)


def bytes_at(path: Path, vaddr: int, size: int) -> bytes:
    """Bytes of an ELF file by link address, read with pyelftools: not by the code under test."""
    from elftools.elf.elffile import ELFFile  # type: ignore[import-untyped,unused-ignore]

    with path.open("rb") as f:
        for segment in ELFFile(f).iter_segments("PT_LOAD"):
            if segment["p_vaddr"] <= vaddr < segment["p_vaddr"] + segment["p_filesz"]:
                f.seek(segment["p_offset"] + vaddr - segment["p_vaddr"])
                return f.read(size)
    raise AssertionError(f"no segment of {path} holds {vaddr:#x}")


def symbol(path: Path, name: str) -> tuple[int, int]:
    """Link address and size of a function, from the symbol table, read with pyelftools."""
    from elftools.elf.elffile import ELFFile

    with path.open("rb") as f:
        section: Any = ELFFile(f).get_section_by_name(".symtab")
        (found,) = section.get_symbol_by_name(name)
        return found["st_value"], found["st_size"]


def threads_of(pid: int) -> str:
    """What each thread of a process waits for: its name, system call, and stack in the kernel (root)."""
    lines = []
    for task in sorted(Path(f"/proc/{pid}/task").glob("*")):
        for name in ("comm", "syscall", "wchan", "stack"):
            try:
                lines.append(f"{task.name} {name}: {(task / name).read_text().strip()}")
            except OSError as e:
                lines.append(f"{task.name} {name}: {e.strerror}")
    return "\n".join(lines)


class Tracing:
    """A tracer in the background. stdout and stderr go to files, or stdout to a pipe of the test's own."""

    def __init__(
        self, folder: Path, args: Sequence[object], env: dict[str, str] | None, stdout: int | None, cwd: Path
    ) -> None:
        self.out_path, self.err_path = folder / "stdout", folder / "stderr"
        self._out: IO[bytes] = self.out_path.open("wb")
        self._err: IO[bytes] = self.err_path.open("wb")
        self.process = subprocess.Popen(
            command(*args),
            stdin=subprocess.DEVNULL,
            stdout=self._out if stdout is None else stdout,
            stderr=self._err,
            env=environment(env),
            cwd=cwd,
            preexec_fn=hear_interrupts,
        )
        texts = [str(a) for a in args]
        at = next((i for i, a in enumerate(texts) if a in ("-o", "--output")), None)
        self.events_path = Path(texts[at + 1]) if at is not None else self.out_path

    @property
    def stderr(self) -> str:
        return self.err_path.read_text(errors="replace")

    def lines(self) -> list[str]:
        """The complete lines written so far."""
        text = self.events_path.read_text(errors="replace") if self.events_path.exists() else ""
        return text.splitlines() if text.endswith("\n") else text.splitlines()[:-1]

    def events(self) -> list[JSON]:
        return [json.loads(line) for line in self.lines() if line.startswith("{")]

    def attached(self) -> Tracing:
        """Wait for the meta line (JSON lines only)."""

        def ready() -> bool:
            assert self.process.poll() is None or self.has_meta(), f"exit {self.process.returncode}: {self.stderr}"
            return self.has_meta()

        until(ready, "the meta line")
        return self

    def has_meta(self) -> bool:
        if not self.events_path.exists():
            return False
        with self.events_path.open(errors="replace") as f:
            first = f.readline()
        return first.startswith('{"type":"meta"') and first.endswith("\n")

    def count(self, kind: str) -> int:
        """How many events of a type are written so far, without parsing them all."""
        if not self.events_path.exists():
            return 0
        mark = f'{{"type":"{kind}",'.encode()
        with self.events_path.open("rb") as f:
            return sum(line.startswith(mark) for line in f)

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def finish(self, timeout: float = PATIENCE) -> Run:
        """Wait until it ends by itself."""
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired as e:
            standing = threads_of(self.process.pid)
            raise AssertionError(f"it did not end within {e.timeout:g} s: {self.stderr}\n{standing}") from None
        return Run(self.process.returncode, self.out_path.read_text(errors="replace"), self.stderr)

    def stop(self, timeout: float = PATIENCE) -> Run:
        """Ctrl-C once, then wait."""
        self.interrupt()
        return self.finish(timeout)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._out.close()
        self._err.close()


class Tracer:
    """Starts tracers and targets for one test, and ends what is left of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: list[Tracing | Program] = []

    def __call__(
        self,
        *args: object,
        timeout: float = PATIENCE,
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
        **popen: Any,
    ) -> Run:
        """Run to the end."""
        run = subprocess.run(
            command(*args),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            env=environment(env),
            cwd=cwd or self.folder,
            **popen,
        )
        return Run(run.returncode, run.stdout.decode(errors="replace"), run.stderr.decode(errors="replace"))

    def start(
        self,
        *args: object,
        env: dict[str, str] | None = None,
        stdout: int | None = None,
        cwd: Path | None = None,
    ) -> Tracing:
        """Run in the background."""
        folder = self.folder / f"tracer{len(self._running)}"
        folder.mkdir()
        tracing = Tracing(folder, args, env, stdout, cwd or self.folder)
        self._running.append(tracing)
        return tracing

    def program(self, *args: object, cwd: Path | None = None) -> Program:
        """Start a target."""
        program = Program(*args, cwd=cwd)
        self._running.append(program)
        return program

    def end_all(self) -> None:
        for one in self._running:
            one.end()


# The accounting of the design, by function and in total.
ENTRY_PARTS = ("duplicates", "calls_written", "filtered", "sampled", "limited", "calls_lost")
RETURN_PARTS = (
    "returns_written",
    "unpaired",
    "filtered_returns",
    "sampled_returns",
    "limited_returns",
    "returns_lost",
)


def check_accounting(summary: JSON) -> None:
    """Every function's hits are accounted for, and the totals are the functions' sums."""
    for row in summary["functions"]:
        assert row["entry_hits"] == sum(row[k] for k in ENTRY_PARTS), row
        assert row["return_hits"] == sum(row[k] for k in RETURN_PARTS), row
    assert summary["reconciled"] is True, summary
    for key in ("entry_hits", "return_hits", *ENTRY_PARTS, *RETURN_PARTS):
        assert summary["totals"][key] == sum(row[key] for row in summary["functions"]), key


ERROR_LINE = re.compile(r"error: [^\n]+\n(hint: [^\n]+\n)*")


def check_error(run: Run, status: int, pattern: str) -> None:
    """One line `error: …` that fits the pattern, only hints after it, nothing on stdout, this status."""
    assert "Traceback" not in run.stderr, run.stderr
    assert run.status == status, run
    assert run.stdout == "", run.stdout
    assert ERROR_LINE.fullmatch(run.stderr), run.stderr
    first = run.stderr.splitlines()[0]
    assert re.search(pattern, first), f"{first!r} does not say {pattern!r}"
