# SPDX-License-Identifier: Apache-2.0
"""Many answers of `offsets` about one file: many.c, built from what `make build` built."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tracing import ROOT

LIBRARIES = ("libelf", "libdw", "capstone", "libdeflate")


def build(folder: Path) -> Path:
    program = folder / "many"
    objects = sorted(p for p in (ROOT / "build/obj/offsets").glob("*.o") if p.name != "main.o")
    assert objects, "make build comes first"

    def flags(kind: str) -> list[str]:
        run = subprocess.run(["pkg-config", kind, *LIBRARIES], check=True, capture_output=True, text=True)
        return run.stdout.split()

    warnings = ["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O1"]
    source = ROOT / "tests/witness/many.c"
    command = ["gcc", *warnings, *flags("--cflags"), "-o", program, source, *objects, *flags("--libs")]
    subprocess.run([str(x) for x in command], check=True)
    return program


def ask(program: Path, path: Path, questions: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """One answer for each question: ("params", "main.main", "--pc", "0x…")."""
    for question in questions:
        assert not any(set(word) & set("\t\n") for word in question), question
    text = "".join("\t".join(question) + "\n" for question in questions)
    run = subprocess.run([program, path], input=text, capture_output=True, text=True, timeout=600)
    assert (run.returncode, run.stderr) == (0, ""), run.stderr
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(answers) == len(questions)
    return answers
