# SPDX-License-Identifier: Apache-2.0
"""What goes wrong gets one clear line and the exit code of the design: never a traceback, never a crash."""

from __future__ import annotations

import os
import random
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import forging
import pytest
from tracing import Run, Tracer, check_error, of_type, parse

PROGRAMS = Path(__file__).resolve().parent / "programs"
DEMO = ("--func", "main.ebpfDemo")
NOBODY = 65534

FAILED, USAGE, NOTHING = 1, 2, 3


# Files


def test_no_such_file(tracer: Tracer) -> None:
    check_error(tracer("-b", "./no/such/file", *DEMO), USAGE, r"\./no/such/file.*No such file or directory")


def test_a_folder(tracer: Tracer, tmp_path: Path) -> None:
    check_error(tracer("-b", tmp_path, *DEMO), USAGE, r"is a (folder|directory)")


def test_unreadable_file(tracee: Callable[..., Path], tracer: Tracer, tmp_path: Path) -> None:
    """Without privileges the file's mode counts."""
    program = tmp_path / "secret"
    shutil.copy(tracee(), program)
    program.chmod(0)
    check_error(as_nobody(tracer, "-b", program, *DEMO, "--dry-run"), USAGE, r"secret.*Permission denied")


def test_empty_file(tracer: Tracer, tmp_path: Path) -> None:
    file = tmp_path / "empty"
    file.touch()
    check_error(tracer("-b", file, *DEMO), NOTHING, r"empty.*not an ELF")


def test_not_elf(tracer: Tracer, tmp_path: Path) -> None:
    file = tmp_path / "picture"
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(1000))
    check_error(tracer("-b", file, *DEMO), NOTHING, r"picture.*not an ELF")


@pytest.mark.parametrize("mode", ["c-shared", "plugin"])
@pytest.mark.parametrize("version", ["1.17", "1.26"])
def test_library(version: str, mode: str, go_program: Callable[..., Path], tracer: Tracer, tmp_path: Path) -> None:
    text = 'package main\n\nimport "C"\n\n//export Add\nfunc Add(a, b int) int { return a + b }\n\nfunc main() {}\n'
    library = go_program(text, version, mode, True)
    how = "" if version == "1.17" else rf" \(-buildmode={mode}\)"  # in the build information from 1.18 on
    reason = rf"is a library{how}: only programs can be traced"
    check_error(tracer("-b", library, "--func", "main.Add"), NOTHING, reason)
    stripped = tmp_path / "stripped"
    subprocess.run(["strip", "-o", stripped, library], check=True)
    check_error(tracer("-b", stripped, "--func", "main.Add"), NOTHING, reason)


def test_another_calling_convention(go_program: Callable[..., Path], tracer: Tracer) -> None:
    """Only Go 1.17 could be built so."""
    text = "package main\n\n//go:noinline\nfunc f(a int) int { return a + 1 }\n\nfunc main() { println(f(41)) }\n"
    program = go_program(text, "1.17", experiment="noregabi")
    check_error(tracer("-b", program, "--func", "main.f"), NOTHING, r"Go 1\.17 with GOEXPERIMENT=noregabi")


def test_shell_script(tracer: Tracer, tmp_path: Path) -> None:
    file = tmp_path / "script.sh"
    file.write_text("#!/bin/sh\nexec ./server\n")
    file.chmod(0o755)
    check_error(tracer("-b", file, *DEMO), NOTHING, r"script\.sh.*not an ELF.*script")
    check_error(tracer(*DEMO, "--", file), NOTHING, r"script\.sh.*not an ELF.*script")


def patched(program: Path, tmp_path: Path, *patches: tuple[int, bytes]) -> Path:
    data = bytearray(program.read_bytes())
    for at, new in patches:
        data[at : at + len(new)] = new
    copy = tmp_path / "patched"
    copy.write_bytes(data)
    return copy


def test_32_bit_elf(tracee: Callable[..., Path], tracer: Tracer, tmp_path: Path) -> None:
    file = patched(tracee(), tmp_path, (4, b"\x01"))  # EI_CLASS: ELFCLASS32
    check_error(tracer("-b", file, *DEMO), NOTHING, r"32-bit")


def test_other_architecture(tracee: Callable[..., Path], tracer: Tracer, tmp_path: Path) -> None:
    file = patched(tracee(), tmp_path, (18, struct.pack("<H", 243)))  # e_machine: EM_RISCV
    check_error(tracer("-b", file, *DEMO), NOTHING, r"RISC-V|riscv|machine 243")


def test_big_endian(tracee: Callable[..., Path], tracer: Tracer, tmp_path: Path) -> None:
    file = patched(tracee(), tmp_path, (5, b"\x02"))  # EI_DATA: ELFDATA2MSB
    check_error(tracer("-b", file, *DEMO), NOTHING, r"big[- ]endian")


def test_c_program(tracer: Tracer) -> None:
    check_error(tracer("-b", "/bin/sleep", *DEMO), NOTHING, r"/bin/sleep.*not a Go program|not built by Go")


@pytest.mark.parametrize("keep", [0.02, 0.2, 0.5, 0.8, 0.97])
def test_truncated(keep: float, tracee: Callable[..., Path], tracer: Tracer, tmp_path: Path) -> None:
    """Cut anywhere: an error about the file, or a plan from the part that is left; no crash."""
    data = tracee().read_bytes()
    file = tmp_path / "cut"
    file.write_bytes(data[: int(len(data) * keep)])
    run = tracer("-b", file, *DEMO, "--dry-run")
    if run.status == 0:
        return  # what is needed stands in the part that is left
    check_error(run, NOTHING, r"cut")


@pytest.mark.parametrize("seed", range(13))
def test_bit_flips(seed: int, tracee: Callable[..., Path], tracer: Tracer, tmp_path: Path) -> None:
    """Damage in headers and tables, at random but the same in each run: a plan or an error, never a crash."""
    chance = random.Random(seed)
    data = bytearray(tracee("1.15" if seed % 2 else "1.26").read_bytes())
    for _ in range(1 + seed * 40):
        at = chance.randrange(4096) if seed < 5 else chance.randrange(len(data))
        data[max(at, 6)] ^= 1 << chance.randrange(8)
    file = tmp_path / "damaged"
    file.write_bytes(data)
    run = tracer("-b", file, *DEMO, "--dry-run")
    assert run.status in (0, NOTHING), run
    if run.status:
        check_error(run, NOTHING, r".")
    assert "Traceback" not in run.stderr


def test_debug_information_that_contradicts_itself(
    go_program: Callable[..., Path], tracer: Tracer, tmp_path: Path
) -> None:
    """What cannot be told is left out, and said; the rest is traced as ever."""
    forger = forging.Forger(go_program(forging.PROGRAM, "1.26", "uncompressed")).begin(tmp_path / "forged")
    forger.refer(forger.child(forger.die("main.Outer"), "In"), forger.die("main.Outer"))
    program = forger.write()
    run = tracer("--func", "main.take*", "-f", "jsonl", "-o", tmp_path / "events", "--", program)
    assert run.status == 0
    calls = {c["func"]: c["args"] for c in of_type(parse((tmp_path / "events").read_text()), "call")}
    assert set(calls) == {f"main.take{name}" for name in ("Outer", "Number", "Grid", "Doer", "Selves")}
    assert calls["main.takeOuter"] == {}
    assert calls["main.takeNumber"] == {"n": 2, "s": "x"}
    assert calls["main.takeDoer"]["d"]["value"]["to"] == {"s": "y"}
    (warning,) = (line for line in run.stderr.splitlines() if line.startswith("warning: "))
    assert warning.startswith("warning: main.takeOuter: debug information: ")
    assert warning.endswith("type 'main.Outer' contains itself")


# Functions


@pytest.mark.parametrize("mode", ["stripped", "stripped-pie", "nodwarf"])
def test_without_debug_information(mode: str, tracee: Callable[..., Path], tracer: Tracer, tmp_path: Path) -> None:
    """Names list; arguments are refused, with the reason and what to do; the calls are traced without them."""
    program = tracee("1.26", mode)
    listed = tracer("list", "-b", program, "main*")
    assert (listed.status, listed.stdout.split()) == (0, ["main.ebpfDemo", "main.main"])
    target = ("--", program, "-n", 3, "-pause", "1ms")
    run = tracer(*DEMO, "-f", "jsonl", "-o", tmp_path / "events", *target)
    assert run.status == 0, run.stderr
    events = parse((tmp_path / "events").read_text())
    assert run.stderr.startswith(
        f"warning: no arguments and results: {program} has no debug information (built with -ldflags=-w, or stripped)\n"
        "hint: build it without -w and -s, name its separate debug file with --debug-file, or see the bare words with "
        "--raw-words\n"
        f"tracing 1 function (1 entry, 1 return site) in {program}, go1.26.8; ends with the command\n"
    )
    (meta,) = of_type(events, "meta")
    assert [(f["name"], f["params"], f["results"], f["warnings"]) for f in meta["functions"]] == [
        ("main.ebpfDemo", [], [], [])
    ]
    calls, returns = of_type(events, "call"), of_type(events, "return")
    assert [(c["goid"], c["args"], c["notes"]) for c in calls] == 3 * [(1, {}, {})]
    assert [(r["goid"], r["results"], r["notes"]) for r in returns] == 3 * [(1, {}, {})]
    assert [r["call"] for r in returns] == [c["call"] for c in calls]
    assert all(r["duration_ns"] > 0 for r in returns)
    text = tracer(*DEMO, "--no-args", "--no-results", *target)
    assert text.status == 0 and "warning" not in text.stderr, text.stderr
    assert [line.split()[2] for line in text.stdout.splitlines() if " G1 " in line] == 3 * ["main.ebpfDemo(…)"]


@pytest.mark.parametrize(("version", "mode"), [("1.26", "stripped"), ("1.17", "stripped-pie"), ("1.15", "stripped")])
def test_raw_words(version: str, mode: str, tracee: Callable[..., Path], tracer: Tracer, tmp_path: Path) -> None:
    """ebpfDemo(a1=100, a2=true, a3=66.88) → (100, 200, "test for ebpf"), without knowing what it takes."""
    target = ("--", tracee(version, mode), "-n", 3, "-pause", "1ms")
    run = tracer(*DEMO, "--raw-words", "-f", "jsonl", "-o", tmp_path / "events", *target)
    assert run.status == 0, run.stderr
    events = parse((tmp_path / "events").read_text())
    calls, returns = of_type(events, "call"), of_type(events, "return")
    assert len(calls) == len(returns) == 3
    for call, ret in zip(calls, returns):
        assert call["notes"] == ret["notes"] == {}
        if version == "1.15":  # a1, a2 beside a3; r1, r2, the string's two words
            words = list(call["args"].values())
            assert list(call["args"]) == ["stack0", "stack8", "stack16", "stack24", "stack32", "stack40"]
            assert (words[0], words[1] & 0xFF, words[1] >> 32) == (100, 1, 0x4285C28F), words
            assert list(ret["results"]) == list(call["args"])
            assert [ret["results"][w] for w in ("stack16", "stack24", "stack40")] == [100, 200, len("test for ebpf")]
        else:
            assert list(call["args"]) == ["rax", "rbx", "rcx", "rdi", "rsi", "r8", "r9", "r10", "r11"]
            assert (call["args"]["rax"], call["args"]["rbx"] & 0xFF) == (100, 1)
            assert list(ret["results"]) == ["rax", "rbx", "rcx", "rdi"]
            assert [ret["results"][r] for r in ("rax", "rbx", "rdi")] == [100, 200, len("test for ebpf")]


def test_unknown_function(tracee: Callable[..., Path], tracer: Tracer) -> None:
    run = tracer("-b", tracee(), "--func", "main.ebpfdemo")
    check_error(run, NOTHING, r"main\.ebpfdemo.* not found in ")
    assert "did you mean 'main.ebpfDemo'?" in run.stderr, run.stderr


def test_pattern_without_match(tracee: Callable[..., Path], tracer: Tracer) -> None:
    check_error(
        tracer("-b", tracee(), "--func", "nothing.*.here"),
        NOTHING,
        r"nothing\.\*\.here.*match|no function matches",
    )


def test_everything_excluded(tracee: Callable[..., Path], tracer: Tracer) -> None:
    check_error(tracer("-b", tracee(), *DEMO, "--exclude", "main.*"), NOTHING, r"exclude|no function")


def test_only_inlined(go_program: Callable[..., Path], tracer: Tracer) -> None:
    run = tracer("-b", go_program(PROGRAMS / "inlined"), "--func", "main.onlyInlined")
    check_error(run, NOTHING, r"main\.onlyInlined.*inlined")
    assert "go:noinline" in run.stderr


# Command line


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--func", "main.main"), r"-b|binary"),
        (("-b", "/bin/true"), r"--func"),
        (("--no-such-flag",), r"--no-such-flag"),
        (("-b", "/bin/true", *DEMO, "-d", "soon"), r"soon"),
        (("-b", "/bin/true", *DEMO, "-M", "0"), r"\b0\b"),
        (("-b", "/bin/true", *DEMO, "-M", "-3"), r"-3|-M|max-events"),
        (("-b", "/bin/true", *DEMO, "--buffer", "lots"), r"lots"),
        (("-b", "/bin/true", *DEMO, "-f", "xml"), r"xml"),
        (("-b", "/bin/true", *DEMO, "-p", "abc"), r"abc"),
        (("--bin", "/bin/true", *DEMO), r"--bin"),
        ((*DEMO, "--", "no-such-command-anywhere"), r"no-such-command-anywhere"),
    ],
)
def test_usage(args: tuple[str, ...], says: str, tracer: Tracer) -> None:
    check_error(tracer(*args), USAGE, says)


@pytest.mark.parametrize(("name", "value"), [("TRACER_ATTACH", "both"), ("TRACER_BUFFER", "none")])
def test_wrong_setting(name: str, value: str, tracee: Callable[..., Path], tracer: Tracer) -> None:
    check_error(tracer("-b", tracee(), *DEMO, env={name: value}), USAGE, rf"{name}.*{value}")


# Processes


def test_no_such_process(tracee: Callable[..., Path], tracer: Tracer) -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    check_error(tracer("-p", process.pid, *DEMO), NOTHING, rf"\b{process.pid}\b")
    check_error(tracer("-b", tracee(), "-p", process.pid, *DEMO), NOTHING, rf"\b{process.pid}\b")


def test_another_programs_process(tracee: Callable[..., Path], tracer: Tracer) -> None:
    process = subprocess.Popen(["sleep", "60"])
    try:
        check_error(tracer("-b", tracee(), "-p", process.pid, *DEMO), NOTHING, rf"process {process.pid} does not run")
        check_error(tracer("-p", process.pid, *DEMO), NOTHING, r"not a Go program|not built by Go")
    finally:
        process.kill()
        process.wait()


def test_process_that_ends_while_traced(go_program: Callable[..., Path], tracer: Tracer) -> None:
    """A normal end: what was seen, the summary, status 0."""
    target = tracer.program(go_program(PROGRAMS / "counts"), "-n", 23)
    assert target.line() == "ready"
    tracing = tracer.start("-p", target.pid, "--func", "main.target", "-f", "jsonl").attached()
    target.go()
    target.finish()
    run = tracing.finish()
    assert run.status == 0, run.stderr
    assert len(of_type(run.events, "call")) == 23
    assert run.events[-1]["type"] == "summary"


# Privileges and parts that are missing


def as_nobody(tracer: Tracer, *args: object) -> Run:
    """Run as an ordinary user, who must be able to read the checkout and the test's folder."""
    # pytest makes its folders for its own user alone
    folder = tracer.folder
    for parent in (folder, *folder.parents):
        if parent.stat().st_uid == os.geteuid() and parent.name.startswith(("pytest-", "popen-", "test_")):
            parent.chmod(0o755)
    probe = subprocess.run(
        ["python3", "-c", "import sys; open(sys.argv[1])", Path(__file__)],
        user=NOBODY,
        group=NOBODY,
        capture_output=True,
    )
    if probe.returncode:
        pytest.skip("this checkout is in a folder that an ordinary user cannot read")
    return tracer(*args, user=NOBODY, group=NOBODY, extra_groups=[])


def test_no_root(tracee: Callable[..., Path], tracer: Tracer, tmp_path: Path) -> None:
    program = tmp_path / "tracee"
    shutil.copy(tracee(), program)
    program.chmod(0o755)
    run = as_nobody(tracer, "-b", program, *DEMO)
    check_error(run, FAILED, r"root|privilege|permitted|CAP_")
    assert "sudo" in run.stderr


def test_root_without_capabilities(tracee: Callable[..., Path], tracer: Tracer, tmp_path: Path) -> None:
    """As in a container: uid 0 proves nothing, the kernel's answer counts."""
    if not shutil.which("setpriv"):
        pytest.skip("setpriv (util-linux) is not installed")
    import sys

    from tracing import ROOT

    run = subprocess.run(
        [
            "setpriv",
            "--bounding-set=-all",
            "--inh-caps=-all",
            "--",
            sys.executable,
            "-m",
            "tracer",
            "-b",
            tracee(),
            *DEMO,
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=60,
    )
    check_error(Run(run.returncode, run.stdout, run.stderr), FAILED, r"root|privilege|permitted|CAP_")


def test_no_bcc(tracee: Callable[..., Path], tracer: Tracer, tmp_path: Path) -> None:
    """Without BCC's Python what needs no compiler works, and the rest says what to install."""
    hidden = tmp_path / "path" / "bcc"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("raise ModuleNotFoundError(\"No module named 'bcc'\", name='bcc')\n")
    from tracing import ROOT

    env = {"PYTHONPATH": f"{hidden.parent}:{ROOT}", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    listed = tracer("list", "-b", tracee(), "main*", env=env)
    assert (listed.status, listed.stdout.split()) == (0, ["main.ebpfDemo", "main.main"])
    run = tracer("-b", tracee(), *DEMO, env=env)
    check_error(run, FAILED, r"BCC|bcc")
    assert "python3-bpfcc" in run.stderr


# Output


def test_output_in_no_folder(tracee: Callable[..., Path], tracer: Tracer, tmp_path: Path) -> None:
    run = tracer("-b", tracee(), *DEMO, "-o", tmp_path / "no" / "folder" / "events")
    check_error(run, FAILED, r"no/folder/events.*No such file or directory")


def test_output_through_a_link(tracee: Callable[..., Path], tracer: Tracer, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "events").symlink_to(victim)
    check_error(tracer("-b", tracee(), *DEMO, "-o", tmp_path / "events"), FAILED, r"symbolic link")
    assert victim.read_text() == "precious"


def test_output_full_at_once(tracee: Callable[..., Path], tracer: Tracer) -> None:
    program = tracee()
    run = tracer(*DEMO, "-f", "jsonl", "-q", "-o", "/dev/full", "--", program, "-n", 2, "-pause", "1ms")
    assert run.status == FAILED, run
    assert "Traceback" not in run.stderr
    assert [line for line in run.stderr.splitlines() if "/dev/full" in line and "No space left on device" in line], (
        run.stderr
    )
