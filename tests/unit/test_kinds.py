# SPDX-License-Identifier: Apache-2.0
"""What made an executable, told on real programs; .NET and Ruby by what their run-time systems map and export."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from missing import missing

from tracer.discover import kinds
from tracer.discover.kinds import Kind, kind_of, maps_of

SERVER = """package main
import "net/http"
func main() { http.ListenAndServe("127.0.0.1:0", nil) }
"""
USABLE = ("net/http.serverHandler.ServeHTTP", "runtime.newproc1")


def program_of(name: str) -> str:
    """Of another language: nothing that this project needs, so only where there is one."""
    found = shutil.which(name)
    if not found:
        pytest.skip(f"{name} is not installed")
    return found


@pytest.mark.parametrize("mode", ["default", "stripped", "pie"])
def test_go(go_program: Callable[..., Path], mode: str) -> None:
    assert kind_of(str(go_program(SERVER, mode=mode)), "", USABLE) == Kind("go", "its table of functions", "go1.26.8")


def test_a_go_program_without_a_known_library_is_generic(tracee: Callable[..., Path]) -> None:
    kind = kind_of(str(tracee()), "", USABLE)
    assert (kind.name, kind.go_version) == ("generic", "go1.26.8")
    assert "only functions of runtime" in kind.why
    assert kind_of(str(tracee())).name == "go"  # where no function is asked for


@pytest.mark.parametrize(
    ("name", "arguments", "kind"),
    [
        (sys.executable, ["-c", "import sys; print(); sys.stdin.read()"], "python"),
        ("node", ["-e", "console.log(); process.stdin.resume()"], "nodejs"),
        ("sh", ["-c", "echo; read x"], "generic"),
    ],
)
def test_running_programs(name: str, arguments: list[str], kind: str) -> None:
    with subprocess.Popen(
        [program_of(name), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout
        child.stdout.readline()
        try:
            assert kind_of(f"/proc/{child.pid}/exe", maps_of(child.pid)).name == kind
        finally:
            child.kill()


def test_java(tmp_path: Path) -> None:
    java = program_of("java")
    (tmp_path / "Wait.java").write_text(
        "class Wait { public static void main(String[] a) throws Exception "
        "{ System.out.println(); System.in.read(); } }"
    )
    with subprocess.Popen(
        [java, str(tmp_path / "Wait.java")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout and child.stderr
        line = child.stdout.readline()
        try:
            if not line:
                missing(f"java cannot run a source file: {child.stderr.read()[:200]}")
            assert kind_of(f"/proc/{child.pid}/exe", maps_of(child.pid)).name == "java"
        finally:
            child.kill()


@pytest.mark.parametrize("strip", [False, True])
def test_rust(tmp_path: Path, strip: bool) -> None:
    source = tmp_path / "main.rs"
    source.write_text(
        'fn main() { let v: Vec<String> = std::env::args().collect(); println!("{}", v[v.len() - 1]); }\n'
    )
    out = tmp_path / "program"
    run = subprocess.run(
        [program_of("rustc"), "-O", *(["-C", "strip=symbols"] if strip else []), "-o", out, source],
        capture_output=True,
        text=True,
    )
    if run.returncode:
        missing(f"rustc: {run.stderr[:200]}")
    assert kind_of(str(out)).name == "rust"


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("7f0 r-xp 0 00:1 2 /usr/share/dotnet/shared/Microsoft.NETCore.App/8.0.1/libcoreclr.so", "dotnet"),
        ("7f0 r-xp 0 00:1 2 /usr/lib/x86_64-linux-gnu/libruby-3.1.so.3.1.2", "ruby"),
        ("7f0 r-xp 0 00:1 2 /usr/lib/jvm/lib/server/libjvm.so", "java"),
        ("7f0 r-xp 0 00:1 2 /usr/lib/libpython3.11.so.1.0", "python"),
        ("7f0 r-xp 0 00:1 2 /usr/lib/libc.so.6", "generic"),
    ],
)
def test_by_mappings(line: str, kind: str) -> None:
    assert kind_of(program_of("sh"), line).name == kind


@pytest.mark.parametrize(("symbol", "kind"), [("ruby_run_node", "ruby"), ("DotNetRuntimeInfo", "dotnet")])
def test_run_time_systems_in_the_file(tmp_path: Path, symbol: str, kind: str) -> None:
    source, out = tmp_path / "m.c", tmp_path / "program"
    source.write_text(f"int {symbol}(void) {{ return 0; }} int main(void) {{ return 0; }}")
    subprocess.run([program_of("gcc"), "-rdynamic", "-o", out, source], check=True)
    assert kind_of(str(out)).name == kind


def test_bad_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty, text = tmp_path / "empty", tmp_path / "text"
    empty.write_bytes(b"")
    text.write_text("#!/bin/sh\n")
    assert kind_of(str(empty)).name == kind_of(str(text)).name == "generic"
    assert kind_of(str(tmp_path / "none")) == Kind(
        "generic", f"cannot open '{tmp_path / 'none'}': No such file or directory"
    )
    monkeypatch.setattr(kinds, "SCAN_MAX", 100)
    big = tmp_path / "big"
    big.write_bytes(b"x" * 200 + b"/rustc/")
    assert kind_of(str(big)).name == "generic"  # beyond what is read


@pytest.mark.parametrize("at", [*range(85, 101), 128, 193])
def test_marks_across_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    monkeypatch.setattr(kinds, "BLOCK", 50)
    file = tmp_path / "file"
    file.write_bytes((b"x" * at + b"/rustc/").ljust(200, b"x"))
    assert kinds._by_marks(str(file)).name == "rust"
    with file.open("ab") as f:
        f.write(b"JNI_CreateJavaVM\0")  # the order of the marks counts, not that in the file
    assert kinds._by_marks(str(file)).name == "java"


def test_a_file_that_shrinks_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, pread = tmp_path / "file", os.pread
    file.write_bytes(b"x" * 3 * kinds.BLOCK)
    read = []

    def shrinking(fd: int, n: int, at: int) -> bytes:
        data = pread(fd, n, at)
        os.truncate(file, 7)
        read.append((at, len(data)))
        return data

    monkeypatch.setattr(os, "pread", shrinking)
    assert kinds._by_marks(str(file)) == Kind("generic", "nothing tells what made it")
    assert read == [(0, kinds.BLOCK), (kinds.BLOCK, 0)]
