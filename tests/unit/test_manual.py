# SPDX-License-Identifier: Apache-2.0
"""The manual page and the completions, against the parser: as groff and the shells themselves read them."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from missing import missing

from tracer import cli, completion, manual

ROOT = Path(__file__).resolve().parents[2]
VERBS = list(cli.VERBS)


def options_of(verb: str) -> set[str]:
    return {name for action in cli.make_parser(verb)._actions for name in action.option_strings}


def run(*command: str, text: str | None = None) -> str:
    if not shutil.which(command[0]):
        missing(f"{command[0]} is not installed")
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


# ---- the manual page --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rendered() -> str:
    """As groff shows it, without a single warning; no hyphenation, no bold."""
    return run("groff", "-man", "-Tutf8", "-ww", "-P-cbou", "-rHY=0", "-rLL=400n", text=manual.page())


def test_it_has_what_manual_pages_have(rendered: str) -> None:
    headings = [line for line in rendered.splitlines() if re.match(r"[A-Z]", line)]
    assert headings[1:] == ["NAME", "SYNOPSIS", "DESCRIPTION", "VERBS", "EXIT STATUS", "ENVIRONMENT", "FILES"]
    assert "gopherscope - trace the functions of running Go programs" in rendered


@pytest.mark.parametrize("verb", VERBS)
def test_it_has_every_option(verb: str, rendered: str) -> None:
    """Between the verb's heading and the next: its options with their help, and its examples."""
    at = rendered.index(f"\n   {verb}\n")
    ends = [rendered.find(f"\n   {other}\n", at + 1) for other in VERBS] + [rendered.index("\nEXIT STATUS", at)]
    section = rendered[at : min(end for end in ends if end > at)]
    parser = cli.make_parser(verb)
    for action in parser._actions:
        head = ", ".join(action.option_strings) or manual.value_of(action)
        lines = section.splitlines()
        assert any(line.strip().startswith(head) for line in lines), head
        words = " ".join((action.help or "").replace("%%", "%").split())
        assert words in " ".join(section.split()), words
    for line in parser.examples.strip().splitlines():
        assert line in section
    shown = {
        word
        for line in section.splitlines()
        if line.startswith("       -")
        for word in re.findall(r"(?<!\S)--?[\w-]+", line)
    }
    assert options_of(verb) <= shown


def test_escapes() -> None:
    assert manual.escaped(".x\n'y \\ a-b … z") == "\\&.x\n\\&'y \\e a\\-b \\[u2026] z"


def test_every_exit_code_is_told(rendered: str) -> None:
    text = rendered[rendered.index("EXIT STATUS") :]
    assert re.findall(r"^       (\d+) ", text, re.M) == ["0", "1", "2", "3", "130"]


# ---- completion -------------------------------------------------------------------------------------------------


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], Path]:
    def write(shell: str) -> Path:
        path = tmp_path / f"completion.{shell}"
        path.write_text(dict(completion.completions())[shell])
        run(shell, "-n", str(path))
        return path

    return write


@pytest.fixture
def command(tmp_path: Path) -> Path:
    """A folder with `gopherscope` in it."""
    path = tmp_path / "gopherscope"
    python = shlex.quote(sys.executable)
    path.write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT))} exec {python} -m tracer "$@"\n')
    path.chmod(0o755)
    return tmp_path


def bash(script: Path, words: list[str], path: Path | None = None) -> list[str]:
    """What bash offers for the last of the words."""
    text = f"source {script}; COMP_WORDS=({shlex.join(words)}); COMP_CWORD={len(words) - 1}; _gopherscope; "
    prefix = f"PATH={path}:$PATH; " if path else ""
    return run("bash", "-c", prefix + text + r'printf "%s\n" "${COMPREPLY[@]}"').splitlines()


def fish(script: Path, line: str, path: Path | None = None) -> list[str]:
    prefix = f"set -p PATH {path}; " if path else ""
    out = run("fish", "--no-config", "-c", f"{prefix}source {script}; complete -C {shlex.quote(line)}")
    return [offer.split("\t")[0] for offer in out.splitlines()]


def zsh(script: Path, words: list[str]) -> list[str]:
    """The specifications that zsh's _arguments is given, or the verbs of _describe."""
    stub = '_arguments() { print -rl -- "${@[2,-1]}" }; _describe() { print -rl -- "${(@P)4}" }; '
    text = f"{stub}words=({shlex.join(words)}); CURRENT={len(words)}; source {script}"
    return run("zsh", "-f", "-c", text).splitlines()


def test_verbs(script: Callable[[str], Path]) -> None:
    assert bash(script("bash"), ["gopherscope", ""]) == VERBS
    assert bash(script("bash"), ["gopherscope", "co"]) == ["count"]
    assert sorted(fish(script("fish"), "gopherscope ")) == sorted(VERBS)
    assert [line.split(":")[0] for line in zsh(script("zsh"), ["gopherscope", ""])] == VERBS


@pytest.mark.parametrize("verb", VERBS)
def test_options(verb: str, script: Callable[[str], Path]) -> None:
    assert set(bash(script("bash"), ["gopherscope", verb, "-"])) == options_of(verb)
    specs = [s for s in zsh(script("zsh"), ["gopherscope", verb, "-"]) if s.startswith("*-")]
    assert {re.match(r"\*([\w-]+)", s)[1] for s in specs} == options_of(verb)  # type: ignore[index]
    long = {name for name in options_of(verb) if name.startswith("--")}
    assert set(fish(script("fish"), f"gopherscope {verb} --")) == long


def test_options_without_a_verb_are_those_of_trace(script: Callable[[str], Path]) -> None:
    assert set(bash(script("bash"), ["gopherscope", "-"])) == options_of("trace")
    assert "--stack" in fish(script("fish"), "gopherscope --")


def test_choices(script: Callable[[str], Path]) -> None:
    formats = ["text", "jsonl", "tree", "csv", "chrome", "speedscope", "folded", "pprof"]
    assert bash(script("bash"), ["gopherscope", "report", "-f", ""]) == formats
    assert bash(script("bash"), ["gopherscope", "report", "--format", "=", "c"]) == ["csv", "chrome"]
    assert sorted(fish(script("fish"), "gopherscope report -f ")) == sorted(formats)
    (spec,) = (s for s in zsh(script("zsh"), ["gopherscope", "report", "-"]) if s.startswith("*-f["))
    assert spec.endswith(f":FORMAT:({' '.join(formats)})")


def test_functions_of_the_file(script: Callable[[str], Path], command: Path, go_program: Callable[..., Path]) -> None:
    program = str(go_program(ROOT / "tests" / "live" / "programs" / "inlining"))
    path = command
    assert bash(script("bash"), [str(path / "gopherscope"), "-b", program, "--func", "main.o"]) == [
        "main.other",
        "main.outer",
    ]
    assert fish(script("fish"), f"gopherscope -b {program} --func main.o", path) == ["main.other", "main.outer"]
    # names with what a shell would take for its own
    offered = bash(script("bash"), [str(path / "gopherscope"), "list", "-b", program, r"sync.\(\*Mutex\).U"])
    assert [shlex.split(name) for name in offered] == [["sync.(*Mutex).Unlock"]]


def test_behind_two_dashes_stands_a_command(script: Callable[[str], Path], tmp_path: Path) -> None:
    """Its options are its own."""
    assert bash(script("bash"), ["gopherscope", "count", "--", "ls", "--top"]) == [""]
    assert "--top" not in fish(script("fish"), "gopherscope count -- ls --")
