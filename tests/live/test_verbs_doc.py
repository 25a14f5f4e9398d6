# SPDX-License-Identifier: Apache-2.0
"""docs/verbs.md is true: what it shows comes again when its commands are run."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
from missing import missing

from tracer import cli

ROOT = Path(__file__).resolve().parents[2]


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("verbs_doc", ROOT / "scripts" / "verbs_doc.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


verbs_doc = _load()
TEXT = verbs_doc.DOC.read_text()


def shown() -> dict[str, str]:
    """What the page shows, by command."""
    found = {}
    for block in re.findall(r"```\n(.*?)```", TEXT, re.S):
        for part in re.split(r"(?:^|\n)\$ ", block)[1:]:
            command, _, output = part.partition("\n")
            found[command] = output.strip("\n")
    return found


def alike(output: str) -> list[str]:
    """Its lines without what differs from run to run; the program's own can stand anywhere between the tracer's."""
    output = re.sub(r"\d\d:\d\d:\d\d\.\d{6}", "TIME", output)
    output = re.sub(r"\b\d+(\.\d+)? ?(ns|µs|ms|s)\b", "DURATION", output)
    output = re.sub(r"process \d+", "process N", output)
    output = re.sub(r"\(\d+ %\)", "(PERCENT)", output)
    output = re.sub(r"\d+ (changes of|switches of)", r"N \1", output)
    output = re.sub(r"^(main\.[\w.;]+|runtime\.[\w.;]+) \d+$", r"\1 NS", output, flags=re.M)
    lines = [" ".join(line.split()) for line in output.splitlines()]
    return sorted(line for line in lines if line and "█" not in line and " – " not in line)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("verbs")
    try:
        verbs_doc.prepare(made)
    except Exception as error:
        missing(str(error))
    return made


def test_the_page_is_the_scripts() -> None:
    commands = [command for _, _, several in verbs_doc.COMMANDS for command in several]
    assert list(shown()) == commands
    for heading, text, _ in verbs_doc.COMMANDS:
        assert f"\n## {heading}\n\n{text}\n" in TEXT


def test_every_verb_is_there() -> None:
    assert set(cli.VERBS) <= {heading for heading, _, _ in verbs_doc.COMMANDS}


@pytest.mark.parametrize("command", [c for _, _, several in verbs_doc.COMMANDS for c in several])
def test_it_comes_again(command: str, folder: Path) -> None:
    if "run." in command and not (folder / "run.gscope").exists():
        _record(folder)
    assert alike(verbs_doc.run(command, folder)) == alike(shown()[command])


def _record(folder: Path) -> None:
    """What the commands about a recording need, where one of them is run alone."""
    for start in ("sudo gopherscope --func main.serve", "gopherscope report run.gscope -f pprof"):
        verbs_doc.run(next(c for c in shown() if c.startswith(start)), folder)
