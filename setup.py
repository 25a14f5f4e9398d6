# SPDX-License-Identifier: Apache-2.0
"""Builds the two extension modules (cffi, API mode) and puts the BPF sources into the package."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


class BuildPy(build_py):  # type: ignore[misc]
    """The BPF sources stand beside the package in a checkout, and inside it once installed."""

    def run(self) -> None:
        super().run()
        if getattr(self, "editable_mode", False):
            return
        target = Path(self.build_lib) / "tracer" / "bpf_c"
        if target.exists():
            shutil.rmtree(target)
        for source in self.bpf_sources():
            copy = target / source.relative_to(ROOT / "bpf_c")
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)

    @staticmethod
    def bpf_sources() -> list[Path]:
        folder = ROOT / "bpf_c"
        return [*sorted(p for p in folder.rglob("*.[ch]") if p.is_file()), folder / "headers" / "kallsyms"]

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        outputs: list[str] = super().get_outputs(include_bytecode)
        base = Path(self.build_lib) / "tracer" / "bpf_c"
        return outputs + [str(base / p.relative_to(ROOT / "bpf_c")) for p in self.bpf_sources()]


setup(
    cffi_modules=["tracer/_build_offsets.py:ffibuilder", "tracer/_build_collector.py:ffibuilder"],
    cmdclass={"build_py": BuildPy},
)
