# SPDX-License-Identifier: Apache-2.0
"""What the project's papers say about its scripts is true."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import go_versions
import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def needed_packages() -> list[str]:
    """The Debian packages of scripts/bootstrap.sh, without those of vm/, which have a page of their own."""
    text = (ROOT / "scripts" / "bootstrap.sh").read_text()
    blocks = re.findall(r"needs_(\w+)\(\) \{\n  cat <<'NEEDS'\n(.*?)NEEDS\n", text, re.DOTALL)
    return [line.split()[0] for group, block in blocks if group != "vm" for line in block.splitlines()]


@pytest.mark.parametrize("package", needed_packages())
def test_readme_names_the_package(package: str) -> None:
    rows = [line.split("|")[1].split() for line in README.splitlines() if line.startswith("| ")]
    assert any(package in row for row in rows) or package == "git"


def test_readme_begins_with_the_two_commands() -> None:
    """scripts/fresh.sh takes them from there."""
    block = README.split("```sh\n", 1)[1].split("```", 1)[0]
    assert [line.split(" #")[0].strip() for line in block.splitlines()] == ["make demo", "make test"]


def test_bootstrap_reads_the_versions() -> None:
    """The expression by which scripts/bootstrap.sh finds the Go versions finds them all."""
    script = (ROOT / "scripts" / "bootstrap.sh").read_text()
    (expression,) = re.findall(r"sed -n '(.*)' tests/go_versions\.py", script)
    out = subprocess.run(
        ["sed", "-n", expression, ROOT / "tests" / "go_versions.py"], capture_output=True, text=True, check=True
    )
    assert out.stdout.split() == list(go_versions.VERSIONS.values())


@pytest.mark.parametrize(
    "target",
    ["demo", "demo-rewrite", "test", "bench", "fresh", "install", "uninstall", "fmt", "lint", "build", "clean"],
)
def test_help_lists_the_target(target: str) -> None:
    out = subprocess.run(["make", "-C", ROOT, "help"], capture_output=True, text=True, check=True)
    assert re.search(rf"^  make {target} ", out.stdout, re.MULTILINE)


def test_what_example_modules_need() -> None:
    """Nothing, but for the services, which are of libraries: those are pinned by their sums."""
    modules = list(ROOT.glob("examples/*/go.mod"))
    assert len(modules) >= 2
    assert [m.parent.name for m in modules if "require" in m.read_text()] == ["services"]
    assert "google.golang.org/grpc" in (ROOT / "examples/services/go.sum").read_text()


def test_wrong_use_of_the_scripts() -> None:
    for script in ("bootstrap.sh", "install.sh"):
        run = subprocess.run([ROOT / "scripts" / script], capture_output=True, text=True)
        assert (run.returncode, run.stderr) == (2, "")
        assert f"scripts/{script}" in run.stdout
