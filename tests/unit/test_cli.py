# SPDX-License-Identifier: Apache-2.0
"""The command line without a kernel: verbs, help, errors and their exit codes, the order of things."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tracer import __version__, cli, errors
from tracer.cli import doctor
from tracer.cli import trace as trace_verb
from tracer.cli.parser import Namespace
from tracer.errors import NothingToTraceError, TracerError, UsageError
from tracer.report import Messages

ROOT = Path(__file__).resolve().parents[2]


def run(*args: str, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tracer", *args]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, **kwargs)


# ---- verbs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], ("trace", [])),
        (["--binary", "./x", "--func", "main.f"], ("trace", ["--binary", "./x", "--func", "main.f"])),
        (["trace", "-b", "x"], ("trace", ["-b", "x"])),
        (["list", "-b", "x"], ("list", ["-b", "x"])),
        (["doctor"], ("doctor", [])),
        (["-b", "list"], ("trace", ["-b", "list"])),
        (["--", "list"], ("trace", ["--", "list"])),
    ],
)
def test_split_verb(argv: list[str], expected: tuple[str, list[str]]) -> None:
    assert cli.split_verb(argv) == expected


def test_unknown_verb() -> None:
    with pytest.raises(UsageError) as error:
        cli.split_verb(["lst", "-b", "x"])
    assert (error.value.message, error.value.hint) == ("unknown verb 'lst'", "did you mean `list`?")
    with pytest.raises(UsageError) as error:
        cli.split_verb(["./tracee"])
    assert error.value.hint == "a program to trace is given with -b FILE, or after --"


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["-b", "x"], (["-b", "x"], None)),
        (["-b", "x", "--"], (["-b", "x"], [])),
        (["-q", "--", "ls", "-l", "--", "z"], (["-q"], ["ls", "-l", "--", "z"])),
        (["--", "-q"], ([], ["-q"])),
    ],
)
def test_split_command(argv: list[str], expected: tuple[list[str], list[str] | None]) -> None:
    assert cli.split_command(argv) == expected


@pytest.mark.parametrize("verb", list(cli.VERBS))
def test_every_verb_has_its_parts(verb: str) -> None:
    module = cli.verb_module(verb)
    assert callable(module.prepare_parser)
    assert callable(module.run)
    assert module.__doc__


# ---- help -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", list(cli.VERBS))
def test_help_begins_with_examples(verb: str) -> None:
    out = run(verb, "--help")
    assert (out.returncode, out.stderr) == (0, "")
    assert out.stdout.startswith("examples:\n  ")
    assert out.stdout.index("examples:") < out.stdout.index("usage: gopherscope")


@pytest.mark.parametrize("verb", list(cli.VERBS))
def test_examples_parse(verb: str) -> None:
    """What the help shows is accepted by the parser that shows it."""
    parser = cli.make_parser(verb)
    lines = [line for line in parser.examples.strip().splitlines() if not line.startswith("#")]
    assert lines
    used = set()
    for line in lines:
        words = shlex.split(line.removeprefix("sudo ").split(" | ")[0])
        assert words[0] == "gopherscope"
        found, rest = cli.split_verb(words[1:])
        takes_command = getattr(cli.verb_module(found), "TAKES_COMMAND", False)
        cli.make_parser(found).parse_args(cli.split_command(rest)[0] if takes_command else rest)
        used.add(found)
    assert verb in used


def test_help_needs_nothing_slow() -> None:
    """Neither BCC nor the C parts nor what loads them."""
    code = "import sys; from tracer import cli; cli.make_parser('trace').format_help(); print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(out.stdout.split())
    assert not loaded & {"bcc", "cffi", "tracer.session", "tracer._offsets", "tracer._collector", "subprocess"}


def test_no_arguments_shows_help() -> None:
    out = run()
    assert (out.returncode, out.stdout) == (2, "")
    assert out.stderr.startswith("examples:\n")


@pytest.mark.parametrize("args", [("-V",), ("--version",), ("list", "-V"), ("doctor", "--version")])
def test_version(args: tuple[str, ...]) -> None:
    out = run(*args)
    assert (out.returncode, out.stdout, out.stderr) == (0, f"gopherscope {__version__}\n", "")


# ---- what becomes of the options ------------------------------------------------------------------------------


def options_of(monkeypatch: pytest.MonkeyPatch, *argv: str) -> Any:
    """TraceOptions as `trace` would get them."""
    from tracer import session

    seen: list[Any] = []

    def keep(options: Any) -> int:
        seen.append(options)
        return 0

    monkeypatch.setattr(session, "trace", keep)
    assert cli.run(argv) == 0
    return seen[0]


@pytest.mark.parametrize(
    ("flags", "args", "results", "returns"),
    [
        ([], True, True, True),
        (["--no-args"], False, True, True),
        (["--no-results"], True, False, False),
        (["--no-results", "--durations"], True, False, True),
        (["--no-returns"], True, False, False),
        (["--no-args", "--no-results"], False, False, False),
        (["--durations"], True, True, True),
    ],
)
def test_what_is_read(
    monkeypatch: pytest.MonkeyPatch, flags: list[str], args: bool, results: bool, returns: bool
) -> None:
    o = options_of(monkeypatch, "-b", "x", "--func", "f", *flags)
    assert (o.args, o.results, o.returns) == (args, results, returns)


def test_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    from tracer.options import TraceOptions

    monkeypatch.delenv("TRACER_ATTACH", raising=False)
    monkeypatch.delenv("TRACER_BUFFER", raising=False)
    assert options_of(monkeypatch, "-b", "x", "--func", "f") == TraceOptions(binary="x", functions=("f",))


def test_everything_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACER_ATTACH", "perf")
    monkeypatch.setenv("TRACER_BUFFER", "ring")
    argv = "-b x --func f --func g --exclude h -p 7 -p 11 -p 7 -d 500ms -M 23 -Z 17 --depth 3 --elements 5"
    o = options_of(
        monkeypatch, *argv.split(), *"-f jsonl -o out --buffer 64k -q -v --color never --fail-on-loss".split()
    )
    assert (o.functions, o.excludes, o.pids, o.command) == (("f", "g"), ("h",), (7, 11), ())
    assert (o.duration, o.max_calls, o.string_size, o.depth, o.elements) == (0.5, 23, 17, 3, 5)
    assert (o.format, o.output, o.buffer_size, o.color) == ("jsonl", "out", 65536, "never")
    assert (o.quiet, o.verbose, o.fail_on_loss, o.attach, o.buffer) == (True, True, True, "perf", "ring")


def test_tree_reads_as_trace_does(monkeypatch: pytest.MonkeyPatch) -> None:
    from tracer import convert

    seen: list[Any] = []

    def keep(options: Any) -> int:
        seen.append(options)
        return 0

    monkeypatch.setattr(convert, "traced_as_tree", keep)
    argv = "-b x --func f --debug-file x.debug --raw-words -Z 17 --depth 3 --elements 5 --mask p --args a.b --where n>1"
    assert cli.run(["tree", *argv.split()]) == 0
    o = options_of(monkeypatch, *argv.split())
    assert (o.debug_file, o.raw_words) == ("x.debug", True)
    for name in ("debug_file", "raw_words", "string_size", "depth", "elements", "mask", "expressions", "where"):
        assert getattr(seen[0], name) == getattr(o, name), name


def test_command_keeps_its_own_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    o = options_of(monkeypatch, "--func", "f", "--", "./server", "-v", "--", "-p", "x")
    assert o.command == ("./server", "-v", "--", "-p", "x")
    assert (o.verbose, o.pids) == (False, ())


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["-b", "x"], "which function? --func PATTERN is missing"),
        (["--func", "f"], "which program? give -b FILE, -p PID or -- COMMAND"),
        (["--func", "f", "--"], "no command after `--`"),
        (["--func", "f", "-p", "1", "--", "ls"], "-p and -- COMMAND exclude each other"),
        (["-b", "x", "--func", ""], "an empty pattern matches nothing"),
        (
            ["-b", "x", "--func", "f", "--no-returns", "--durations"],
            "--durations needs the returns that --no-returns leaves out",
        ),
        (["-b", "x", "--func", "f", "--fun", "g"], "unrecognized arguments: --fun g"),
        (["-b", "x", "--func", "f", "-Z", "4097"], "argument -Z/--string-size: 4097: between 0 and 4096"),
        (["list"], "which program? give either -b FILE or -p PID"),
        (["list", "-b", "x", "-p", "1"], "which program? give either -b FILE or -p PID"),
        (["doctor", "-f", "xml"], "argument -f/--format: invalid choice: 'xml'"),
    ],
)
def test_usage_errors(argv: list[str], message: str) -> None:
    with pytest.raises(UsageError) as error:
        cli.run(argv)
    assert error.value.message.startswith(message)
    assert error.value.exit_code == 2


@pytest.mark.parametrize("variable", ["TRACER_ATTACH", "TRACER_BUFFER"])
def test_wrong_environment(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "best")
    with pytest.raises(UsageError, match=f"^{variable}='best': one of "):
        cli.run(["-b", "x", "--func", "f"])


# ---- errors and exit codes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "stderr"),
    [
        (UsageError("no"), 2, "error: no\n"),
        (NothingToTraceError("no", "do"), 3, "error: no\nhint: do\n"),
        (TracerError("no", hint="do"), 1, "error: no\nhint: do\n"),
        (MemoryError(), 1, "error: out of memory\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_main_turns_errors_into_codes(
    error: BaseException,
    status: int,
    stderr: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(argv: object) -> int:
        raise error

    monkeypatch.setattr(cli, "run", fail)
    assert cli.main(["x"]) == status
    assert capsys.readouterr().err == stderr


def test_exit_code_of_each_kind_of_failure() -> None:
    offsets = pytest.importorskip("tracer._offsets")
    ffi, lib = offsets.ffi, offsets.lib
    nothing = {"NOTFOUND", "NOLOC", "MALFORMED", "UNSUPPORTED", "NOT_ELF", "ARCH", "NOT_GO", "NO_DWARF"}
    expected = dict.fromkeys(nothing | {"INLINED", "CHANGED"}, 3) | {"USAGE": 2, "PRIVILEGE": 1, "KERNEL": 1, "IO": 1}
    for name, status in expected.items():
        message = ffi.new("char[]", b"why")
        err = ffi.new("struct err *", {"code": getattr(lib, f"ERR_{name}"), "msg": message})

        class Lib:
            err_code_name = lib.err_code_name
            err_destroy = staticmethod(lambda err: None)

        with pytest.raises(TracerError) as error:
            errors.take(ffi, Lib, err)
        assert (name, error.value.exit_code, error.value.message) == (name, status, "why")


def test_closed_pipe_is_a_normal_end() -> None:
    command = [sys.executable, "-m", "tracer", "--help"]
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(command, cwd=ROOT, stdout=write, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_name_does_not_forge_the_place_of_an_error(tracee: Callable[..., Path], offsets_cmd: Any) -> None:
    """The place of an error is not looked for in its words, in which names from files stand."""
    name = "x; in: 99999999999999999999 y"
    out = run("trace", "-b", str(tracee()), "--func", name, "--dry-run")
    assert (out.returncode, out.stdout) == (3, "")
    assert out.stderr.splitlines()[0] == f"error: function {name!r} not found in {tracee()}"
    out = offsets_cmd("params", tracee(), "x; in: 9 y")
    assert (out.returncode, out.stderr) == (3, f"error: no function 'x; in: 9 y' in {tracee()}\n")


def test_the_place_of_an_error(tracee: Callable[..., Path], offsets_cmd: Any) -> None:
    args = ("--args", "a2.é")
    out = run("trace", "-b", str(tracee()), "--func", "main.ebpfDemo", *args, "--dry-run")
    assert (out.returncode, out.stderr.splitlines()[1:3]) == (2, ["  a2.é", "     ^"]), out.stderr
    out = offsets_cmd("plan", tracee(), "main.ebpfDemo", *args)
    assert (out.returncode, out.stderr.splitlines()[1:3]) == (2, ["  a2.é", "     ^"]), out.stderr


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8"])
def test_what_the_output_cannot_encode_is_escaped(
    encoding: str, monkeypatch: pytest.MonkeyPatch, go_program: Callable[..., Path]
) -> None:
    """PYTHONIOENCODING stands for a terminal of another encoding."""
    source = "package main\n\n//go:noinline\nfunc öffne名() { println() }\n\nfunc main() { öffne名() }\n"
    program = str(go_program(source))
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    for args in (("list",), ("list", "--long"), ("explain",), ("trace", "--dry-run")):
        function = ("--func", "main.öffne名") if args[0] == "trace" else ("main.öffne名",)
        out = subprocess.run(
            [sys.executable, "-m", "tracer", *args, "-b", program, *function], cwd=ROOT, capture_output=True, timeout=60
        )
        assert (out.returncode, out.stderr) == (0, b"")
        assert "main.öffne名".encode(encoding, "backslashreplace") in out.stdout
    message = subprocess.run(
        [sys.executable, "-m", "tracer", "list", "-b", program, "main.名"], cwd=ROOT, capture_output=True, timeout=60
    )
    assert message.returncode == 3
    assert message.stderr.startswith("error: function 'main.名' not found".encode(encoding, "backslashreplace"))


def test_errors_and_notes_are_safe_for_a_terminal(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, tracee: Callable[..., Path]
) -> None:
    cli.complain("a\x1b[31m", "see \x1b]0;b", "  \x9bc\r\n  ^")
    assert capsys.readouterr().err == "error: a\\x1b[31m\n  \\x9bc\\r\n  ^\nhint: see \\x1b]0;b\n"
    Messages().warning("d\x1b[2J")
    assert capsys.readouterr().err == "warning: d\\x1b[2J\n"
    link = tmp_path / "x\x1b[2J"
    link.symlink_to(tracee())
    out = run("list", "-b", str(link), "main.none")
    shown = f"{tmp_path}/x\\x1b[2J"
    assert out.stderr == f"error: function 'main.none' not found in {shown}\nhint: see: gopherscope list -b {shown}\n"


def test_printable() -> None:
    assert errors.printable("main.f→é") == "main.f→é"
    assert errors.printable("a\x1b[31m\n\u202eb\t\x7f\x9b") == r"a\x1b[31m\n\u202eb\t\x7f\x9b"


# ---- doctor ---------------------------------------------------------------------------------------------------

REQUIRED = ("machine", "root", "bcc", "bpf", "probe_read_user")


def checks(**refused: bool) -> list[doctor.Check]:
    names = ["machine", "root", "lockdown", "bcc", *(name for name, _, _ in doctor.TRIES)]
    return [doctor.Check(n, n not in refused, "why" if n in refused else "", "") for n in names]


@pytest.mark.parametrize("name", REQUIRED)
def test_doctor_what_is_required(name: str) -> None:
    assert doctor.verdict(checks(**{name: True})) == (False, f"{name}: why")


@pytest.mark.parametrize(
    ("refused", "works"),
    [
        ((), True),
        (("cookie_multi", "uprobe_multi", "ring_buffer"), True),
        (("cookie_perf", "perf_buffer"), True),
        (("probe_write_user", "context_write", "kprobe", "sleepable", "btf", "lockdown"), True),
        (("cookie_multi", "cookie_perf"), False),
        (("ring_buffer", "perf_buffer"), False),
    ],
)
def test_doctor_verdict(refused: tuple[str, ...], works: bool) -> None:
    assert doctor.verdict(checks(**dict.fromkeys(refused, True)))[0] is works


def test_doctor_json() -> None:
    out = run("doctor", "-f", "json")
    report = json.loads(out.stdout)
    assert out.returncode == (0 if report["works"] else 1)
    names = [c["name"] for c in report["checks"]]
    assert names[:5] == ["machine", "root", "lockdown", "pid_namespace", "bcc"]
    assert names[5:] in ([name for name, _, _ in doctor.TRIES], ["core"])
    assert report["root"] is (os.geteuid() == 0)


def test_doctor_tries_all_that_the_core_can() -> None:
    header = (ROOT / "collector" / "doctor.h").read_text()
    enumerators = re.findall(r"^\tDOCTOR_(\w+),", header, re.MULTILINE)
    assert {e.lower() for e in enumerators} - {"n_checks"} == {name for name, _, _ in doctor.TRIES}


def test_namespace_is_argparse() -> None:
    """Verbs take what the parser gives."""
    args = cli.make_parser("doctor").parse_args([])
    assert isinstance(args, Namespace)
    assert trace_verb.TAKES_COMMAND
