# SPDX-License-Identifier: Apache-2.0
"""What is kept between runs: found again where it fits, done without where it does not."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from tracing import ROOT

from tracer import binary, cache
from tracer.binary import open_binary
from tracer.errors import TracerError
from tracer.plan import PlannedFunction, Program, ReadOptions

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="changes owners or mounts, which needs root")


@pytest.fixture
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own. Its parents are taken for safe: where tests run, they often are not."""
    folder = tmp_path / "cache"
    monkeypatch.delenv("GOPHERSCOPE_CACHE", raising=False)
    monkeypatch.setattr(cache, "ROOT_FOLDER", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if os.geteuid() != 0:
        folder = tmp_path / "gopherscope"
    folder.mkdir(mode=0o700)
    return folder


def found(kind: str, name: str) -> bytes | None:
    file = cache.find(kind, name)
    if file is None:
        return None
    with file:
        return file.read()


# ---- entries ----------------------------------------------------------------------------------------------------


def test_keeps(cache_folder: Path) -> None:
    assert found("plan", "k") is None
    cache.put("plan", "k", b"bytes")
    assert found("plan", "k") == b"bytes"
    assert stat.S_IMODE((cache_folder / "k.plan").stat().st_mode) == 0o600
    assert found("program", "k") is None
    cache.put("plan", "k", lambda fd: os.write(fd, b"others"))
    assert found("plan", "k") == b"others"
    cache.drop("plan", "k")
    assert found("plan", "k") is None
    assert list(cache_folder.iterdir()) == []


def test_off(cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOPHERSCOPE_CACHE", "off")
    cache.put("plan", "k", b"bytes")
    assert cache.folder() is None
    assert list(cache_folder.iterdir()) == []


def test_key_tells_apart() -> None:
    keys = {cache.key(*parts) for parts in (("ab",), ("a", "b"), (b"ab",), ("a", "b", None), (["a", "b"],), (1, 2))}
    assert len(keys) == 6


def test_a_folder_that_others_can_write_is_not_used(cache_folder: Path) -> None:
    cache.put("plan", "k", b"bytes")
    for path in (cache_folder, cache_folder.parent):
        before = stat.S_IMODE(path.stat().st_mode)
        for mode in (0o777, 0o720, 0o702):
            path.chmod(mode)
            assert cache.folder() is None
            assert found("plan", "k") is None
            cache.put("plan", "other", b"bytes")
        path.chmod(before)
    assert [p.name for p in cache_folder.iterdir()] == ["k.plan"]
    assert found("plan", "k") == b"bytes"


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_an_entry_that_others_can_write_is_not_used(cache_folder: Path, mode: int) -> None:
    cache.put("plan", "k", b"bytes")
    (cache_folder / "k.plan").chmod(mode)
    assert found("plan", "k") is None
    assert list(cache_folder.iterdir()) == []


@needs_root
def test_what_belongs_to_another_user_is_not_used(cache_folder: Path) -> None:
    cache.put("plan", "k", b"bytes")
    os.chown(cache_folder / "k.plan", 54321, 54321)
    assert found("plan", "k") is None
    cache.put("plan", "k", b"bytes")
    os.chown(cache_folder, 54321, 54321)
    assert cache.folder() is None
    assert found("plan", "k") is None
    os.chown(cache_folder, 0, 0)
    os.chown(cache_folder.parent, 54321, 54321)
    assert cache.folder() is None


def test_links_are_not_followed(cache_folder: Path, tmp_path: Path) -> None:
    cache.put("plan", "k", b"bytes")
    (cache_folder / "k.plan").rename(tmp_path / "elsewhere")
    (cache_folder / "k.plan").symlink_to(tmp_path / "elsewhere")
    assert found("plan", "k") is None
    cache.put("plan", "k", b"new")  # takes the link's place, and leaves what it leads to
    assert found("plan", "k") == b"new"
    assert (tmp_path / "elsewhere").read_bytes().endswith(b"bytes")
    cache_folder.rename(tmp_path / "moved")
    cache_folder.symlink_to(tmp_path / "moved")
    assert cache.folder() is None
    assert found("plan", "k") is None


def test_what_is_no_file_is_not_opened(cache_folder: Path) -> None:
    os.mkfifo(cache_folder / "k.plan", 0o600)
    (cache_folder / "d.plan").mkdir(mode=0o700)
    assert found("plan", "k") is None  # and does not wait for a writer
    assert found("plan", "d") is None


def test_a_damaged_entry_is_not_used(cache_folder: Path) -> None:
    cache.put("plan", "k", b"some bytes of a plan")
    path = cache_folder / "k.plan"
    whole = path.read_bytes()
    for i in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[i // 8] ^= 1 << i % 8
        path.write_bytes(damaged)
        assert found("plan", "k") is None, i
        assert not path.exists()
    for n in range(len(whole)):
        path.write_bytes(whole[:n])
        path.chmod(0o600)
        assert found("plan", "k") is None, n
    path.write_bytes(whole + b"\0")
    path.chmod(0o600)
    assert found("plan", "k") is None
    path.write_bytes(whole)
    path.chmod(0o600)
    assert found("plan", "k") == b"some bytes of a plan"


def test_an_entry_under_another_name_is_not_used(cache_folder: Path) -> None:
    cache.put("plan", "k", b"bytes")
    for name in ("l.plan", "k.program"):
        shutil.copyfile(cache_folder / "k.plan", cache_folder / name)
        (cache_folder / name).chmod(0o600)
        name, _, kind = name.partition(".")
        assert found(kind, name) is None
    assert found("plan", "k") == b"bytes"


# ---- limits -----------------------------------------------------------------------------------------------------


def test_the_number_of_entries_is_bounded(cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "ENTRIES_MAX", 5)
    for i in range(7):
        cache.put("plan", str(i), b"x")
        if i == 3:
            assert found("plan", "0") == b"x"  # was used: is not the next to go
        else:
            os.utime(cache_folder / f"{i}.plan", (i, i))
    assert sorted(p.name for p in cache_folder.iterdir()) == [f"{i}.plan" for i in (0, 3, 4, 5, 6)]


def test_the_size_of_all_is_bounded(cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "TOTAL_MAX", 3000)
    for i in range(7):
        cache.put("plan", str(i), bytes(900))
        os.utime(cache_folder / f"{i}.plan", (i, i))
    assert sorted(p.name for p in cache_folder.iterdir()) == ["4.plan", "5.plan", "6.plan"]


def test_what_is_too_large_is_not_kept(cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.put("plan", "k", bytes(900))
    monkeypatch.setattr(cache, "ENTRY_MAX", 500)
    cache.put("plan", "l", bytes(900))
    assert [p.name for p in cache_folder.iterdir()] == ["k.plan"]
    assert found("plan", "k") is None


def test_what_a_killed_run_left_goes_after_a_while(cache_folder: Path) -> None:
    for name, age in (("old", 3601), ("new", 0)):
        (cache_folder / f".{name}").write_bytes(b"half")
        at = (cache_folder / f".{name}").stat().st_mtime - age
        os.utime(cache_folder / f".{name}", (at, at))
    cache.put("plan", "k", b"bytes")
    assert sorted(p.name for p in cache_folder.iterdir()) == [".new", "k.plan"]


def test_a_failure_leaves_nothing(cache_folder: Path) -> None:
    def fail(fd: int) -> None:
        os.write(fd, b"half")
        raise TracerError("cannot be written")

    cache.put("plan", "k", fail)
    assert list(cache_folder.iterdir()) == []


FULL = """
import sys
from tracer import cache
cache.ROOT_FOLDER = sys.argv[1]
cache.put("plan", "small", bytes(10))
cache.put("plan", "large", bytes(1 << 20))
"""


def put_in_a_process(folder: Path, before: Callable[[], object] | None = None) -> None:
    run = subprocess.run(
        [sys.executable, "-c", FULL, folder],
        preexec_fn=before,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(folder.parent)},
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_files_that_may_not_grow(cache_folder: Path) -> None:
    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    put_in_a_process(cache_folder, limit)
    assert [p.name for p in cache_folder.iterdir()] == ["small.plan"]
    assert found("plan", "small") == bytes(10)


@pytest.fixture
def small_disk(cache_folder: Path) -> Iterator[Path]:
    """The cache on a file system of 64 KiB."""
    options = ["-t", "tmpfs", "-o", "size=64k,mode=700", "none"]
    run = subprocess.run(["mount", *options, cache_folder], capture_output=True, text=True)
    if run.returncode:
        pytest.skip(f"no file system can be mounted here: {run.stderr.strip()}")
    yield cache_folder
    subprocess.run(["umount", cache_folder], check=True)


@needs_root
def test_a_full_disk(small_disk: Path) -> None:
    put_in_a_process(small_disk)
    assert [p.name for p in small_disk.iterdir()] == ["small.plan"]
    with (small_disk / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError) as full:
        while True:
            filler.write(bytes(4096))
    assert full.value.errno == errno.ENOSPC
    cache.put("plan", "k", b"bytes")
    assert found("plan", "k") is None
    assert found("plan", "small") == bytes(10)


# ---- what a file holds ------------------------------------------------------------------------------------------


def content(path: Path) -> str | None:
    with path.open("rb") as file:
        return cache.content(file.fileno())


def memos(folder: Path) -> int:
    return len(list(folder.glob("*.content")))


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every file had been written long ago, on a file system that keeps times."""
    monkeypatch.setattr(cache, "_is_settled", lambda fd, st, began: True)


@pytest.mark.usefixtures("settled")
def test_content_is_that_of_the_bytes(cache_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 100003)
    expected = subprocess.run(["sha256sum", file], check=True, capture_output=True, text=True).stdout.split()[0]
    assert content(file) == expected
    assert memos(cache_folder) == 1
    shutil.copyfile(file, tmp_path / "copy")
    assert content(tmp_path / "copy") == expected
    assert memos(cache_folder) == 2


@pytest.mark.usefixtures("settled")
def test_content_is_kept_for_one_version_of_a_file(cache_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 100003)
    before, st = content(file), file.stat()
    (memo,) = cache_folder.iterdir()
    assert content(file) == before
    assert [memo] == list(cache_folder.iterdir())
    # the same size and time of change, in the same file
    with file.open("r+b") as f:
        f.seek(50000)
        f.write(b"y")
    os.utime(file, ns=(st.st_atime_ns, st.st_mtime_ns))
    assert (file.stat().st_ino, file.stat().st_size, file.stat().st_mtime_ns) == (st.st_ino, st.st_size, st.st_mtime_ns)
    assert content(file) != before
    # and in another
    (tmp_path / "new").write_bytes(b"z" * 100003)
    os.utime(tmp_path / "new", ns=(st.st_atime_ns, st.st_mtime_ns))
    (tmp_path / "new").rename(file)
    assert len({content(file), before}) == 2
    assert memos(cache_folder) == 3


@pytest.mark.usefixtures("settled")
def test_times_that_do_not_tell_are_not_enough(
    cache_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On images that were made with fixed times, another program can be the same to stat()."""
    monkeypatch.setattr(cache, "_identity", lambda st: (1, 2, st.st_size, 3, 4))
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(name.encode() * 4096)
    assert content(tmp_path / "one") != content(tmp_path / "two")


def test_a_file_that_was_just_written_is_read_again(cache_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x")
    first = content(file)
    os.utime(file, (1, 1))  # says that it is old; when its times were set, nobody can choose
    assert content(file) == first
    assert memos(cache_folder) == 0


def test_a_file_of_the_future_is_read_again(cache_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x")
    os.utime(file, (1 << 32, 1 << 32))
    st = file.stat()
    with file.open("rb") as f:
        assert not cache._is_settled(f.fileno(), st, st.st_ctime + 1000)


def test_only_some_file_systems_keep_times(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/proc/self/status").open("rb") as f:
        assert cache._file_system(f.fileno()) == "proc"
        assert not cache._is_settled(f.fileno(), os.fstat(f.fileno()), 1e12)
        monkeypatch.setattr(cache, "SETTLING_FILE_SYSTEMS", {"proc"})
        assert cache._is_settled(f.fileno(), os.fstat(f.fileno()), 1e12)


# ---- plans ------------------------------------------------------------------------------------------------------


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were planned, one after the other: not those whose plan was kept."""
    paths: list[str] = []

    class Watched(Program):
        def __init__(self, path: str, name: str | None = None, debug_file: str | None = None) -> None:
            paths.append(path)
            super().__init__(path, name, debug_file)

    monkeypatch.setattr(binary, "Program", Watched)
    monkeypatch.setattr(cache, "_file_system", lambda fd: "ext4")  # wherever the tests' files are
    return paths


def functions(path: Path, debug_file: Path | None = None) -> list[PlannedFunction]:
    debug = None if debug_file is None else str(debug_file)
    with open_binary(str(path), (), None, debug) as opened, opened.planned(["main.*"], [], ReadOptions()) as plan:
        st = path.stat()
        assert plan.file_id == (st.st_dev, st.st_ino, st.st_size, st.st_mtime_ns, st.st_ctime_ns)
        ffi, lib = plan._o.ffi, plan._o.lib
        assert ffi.string(lib.plan_string(plan.pointer, plan.pointer.binary.path)).decode() == str(path)
        return list(plan.functions())


@pytest.fixture(scope="module")
def programs(tracee: Callable[..., Path]) -> dict[str, Path]:
    """Found before a test's own cache is where programs would be looked for."""
    return {version: tracee(version) for version in ("1.19", "1.26")}


@pytest.fixture
def program(programs: dict[str, Path], tmp_path: Path) -> Path:
    copy = Path(shutil.copyfile(programs["1.26"], tmp_path / "program"))
    copy.chmod(0o755)
    return copy


def the_plan(folder: Path) -> Path:
    (path,) = folder.glob("*.plan")
    return path


def test_a_plan_is_made_once(cache_folder: Path, planned: list[str], program: Path, tmp_path: Path) -> None:
    first = functions(program)
    assert any(f.name == "main.ebpfDemo" and f.sites for f in first)
    assert functions(program) == first
    assert planned == [str(program)]
    # for the same bytes, wherever they are
    copy = shutil.copyfile(program, tmp_path / "copy")
    os.utime(copy, (1, 1))
    assert functions(copy) == first
    assert planned == [str(program)]


@pytest.mark.parametrize("pattern", ["*", "fmt.*", "runtime.*", "time.*"])
def test_a_plan_of_many_functions_is_what_is_read_back(
    cache_folder: Path, planned: list[str], program: Path, pattern: str
) -> None:
    """Everything that plans are made of passes the check of a kept one."""
    with open_binary(str(program), (), None) as opened:
        for _ in range(2):
            opened.planned([pattern], [], ReadOptions()).__enter__().close()
    assert planned == [str(program)]


def test_another_request_has_another_plan(cache_folder: Path, planned: list[str], program: Path) -> None:
    functions(program)
    with open_binary(str(program), (), None) as opened:
        for patterns, excludes, options in (
            (["main.ebpfDemo"], [], ReadOptions()),
            (["main.*"], ["main.main"], ReadOptions()),
            (["main.*"], [], ReadOptions(args=False)),
        ):
            opened.planned(patterns, excludes, options).__enter__().close()
    assert len(planned) == len(list(cache_folder.glob("*.plan"))) == 4


@pytest.mark.usefixtures("settled")
def test_a_program_of_the_same_size_and_time_is_planned_again(
    cache_folder: Path, planned: list[str], program: Path
) -> None:
    first, st = functions(program), program.stat()
    data = program.read_bytes()
    at = data.rindex(b"\0\0\0\0\0\0\0\0")
    program.write_bytes(data[:at] + b"\1" + data[at + 1 :])
    os.utime(program, ns=(st.st_atime_ns, st.st_mtime_ns))
    assert (program.stat().st_size, program.stat().st_mtime_ns) == (st.st_size, st.st_mtime_ns)
    assert functions(program) == first
    assert planned == 2 * [str(program)]


def test_a_damaged_plan_is_made_again(cache_folder: Path, planned: list[str], program: Path) -> None:
    first = functions(program)
    path = the_plan(cache_folder)
    whole = path.read_bytes()
    for n, damaged in enumerate((whole[:-1], whole[: len(whole) // 2], b"", whole[:-9] + b"\xff" + whole[-8:]), 2):
        path.write_bytes(damaged)
        assert functions(program) == first
        assert len(planned) == n
    assert functions(program) == first
    assert len(planned) == 5


def test_what_is_no_plan_is_made_again(cache_folder: Path, planned: list[str], program: Path) -> None:
    """Whoever can write here could also write a checksum that fits: what is read is checked by itself."""
    first = functions(program)
    name = the_plan(cache_folder).stem
    whole = found("plan", name)
    assert whole is not None
    for n, wrong in enumerate((b"", b"rubbish", bytes(64), b"\xff" * 64 + whole[64:], whole[:-1], whole + b"\0"), 2):
        cache.put("plan", name, wrong)
        assert functions(program) == first
        assert len(planned) == n
    assert functions(program) == first
    assert len(planned) == 7


def test_a_plan_of_another_program_is_not_used(
    cache_folder: Path, planned: list[str], program: Path, programs: dict[str, Path]
) -> None:
    first = functions(program)
    mine = the_plan(cache_folder)
    other = programs["1.19"]
    functions(other)
    (theirs,) = set(cache_folder.glob("*.plan")) - {mine}
    shutil.copyfile(theirs, mine)
    mine.chmod(0o600)
    assert functions(program) == first
    assert planned == [str(program), str(other), str(program)]


def test_a_plan_belongs_to_its_debug_file(cache_folder: Path, planned: list[str], program: Path) -> None:
    debug, stripped = program.with_name("program.debug"), program.with_name("stripped")
    for command in (
        ["objcopy", "--only-keep-debug", program, debug],
        ["strip", "-o", stripped, program],
    ):
        subprocess.run([str(c) for c in command], check=True)
    first = functions(stripped, debug)
    assert any(v.places for f in first for s in f.sites for v in s.values)
    assert functions(stripped, debug) == first
    assert len(planned) == 1
    with debug.open("ab") as file:
        file.write(b"more")
    assert functions(stripped, debug) == first
    assert len(planned) == 2
    # without any, nothing is kept: some may be there the next time
    kept = len(list(cache_folder.glob("*.plan")))
    assert not any(v.places for f in functions(stripped) for s in f.sites for v in s.values)
    assert (len(planned), len(list(cache_folder.glob("*.plan")))) == (3, kept)


def with_checksum(data: bytes, checksum: int) -> bytes:
    """The data and four bytes behind it that give all of it this CRC-32: whoever forges a debug file can do so."""
    table = [*range(256)]
    for _ in range(8):
        table = [t >> 1 ^ (0xEDB88320 if t & 1 else 0) for t in table]
    state = checksum ^ 0xFFFFFFFF
    for _ in range(4):
        i = next(i for i in range(256) if table[i] >> 24 == state >> 24)
        state = (state ^ table[i]) << 8 & 0xFFFFFFFF | i
    return data + (zlib.crc32(data) ^ 0xFFFFFFFF ^ state).to_bytes(4, "little")


def test_a_forged_debug_file_is_believed_of_the_program_beside_it_alone(
    cache_folder: Path, planned: list[str], go_program: Callable[..., Path], tmp_path: Path
) -> None:
    """Two users' copies of one program, and the debug file that each has beside it."""
    source = (
        "package main\n\n//go:noinline\nfunc f(honest int) int { return honest }\n\nfunc main() { println(f(3)) }\n"
    )
    (tmp_path / "program").write_bytes(go_program(source).read_bytes())
    mine, theirs, none = (tmp_path / name / "stripped" for name in ("mine", "theirs", "none"))
    debug = mine.with_name("program.debug")
    for path in (mine, theirs, none):
        path.parent.mkdir()
    for command in (
        ["objcopy", "--only-keep-debug", "--decompress-debug-sections", tmp_path / "program", debug],
        ["objcopy", "--strip-all", f"--add-gnu-debuglink={debug}", tmp_path / "program", mine],
    ):
        subprocess.run([str(c) for c in command], check=True)
    for path in (theirs, none):
        path.write_bytes(mine.read_bytes())
    whole = debug.read_bytes()
    forged = with_checksum(whole.replace(b"honest\0", b"forged\0"), zlib.crc32(whole))
    assert zlib.crc32(forged) == zlib.crc32(whole)
    theirs.with_name(debug.name).write_bytes(forged)

    def parameters(path: Path) -> list[str] | None:
        (f,) = (f for f in functions(path) if f.name == "main.f")
        return None if f.params is None else [name for name, _ in f.params]

    for _ in range(2):  # made, and found again
        assert parameters(theirs) == ["forged"]
        assert parameters(mine) == ["honest"]
    assert planned == [str(theirs), str(mine)]
    assert parameters(none) is None
    theirs.with_name(debug.name).unlink()
    assert parameters(theirs) is None
    theirs.with_name(debug.name).write_bytes(whole)
    assert parameters(theirs) == ["honest"]


def test_what_others_can_write_is_planned_anew(
    cache_folder: Path, planned: list[str], program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They could change it between hashing and planning."""
    monkeypatch.setattr(cache, "_is_private_group", lambda gid, uid: False)
    for n, mode in enumerate((0o775, 0o757, 0o777), 1):
        program.chmod(mode)
        with open_binary(str(program), (), None) as opened:
            opened.planned(["main.*"], [], ReadOptions()).__enter__().close()
            assert opened.not_kept == "others can write to it"
        assert (len(planned), list(cache_folder.iterdir())) == (n, [])
    program.chmod(0o755)
    functions(program)
    assert (len(planned), len(list(cache_folder.glob("*.plan")))) == (4, 1)
    program.chmod(0o775)  # nor is a kept one used
    functions(program)
    assert len(planned) == 5


@pytest.mark.parametrize(
    ("first", "name", "members", "alone"),
    [
        (7, "ann", [], True),
        (7, "ann", ["ann"], True),
        (7, "ann", ["bob"], False),
        (8, "ann", [], False),
        (7, "staff", [], False),
    ],
)
def test_a_group_of_one_user_is_no_other(
    monkeypatch: pytest.MonkeyPatch, first: int, name: str, members: list[str], alone: bool
) -> None:
    monkeypatch.setattr("pwd.getpwuid", lambda uid: SimpleNamespace(pw_name="ann", pw_gid=first))
    monkeypatch.setattr("grp.getgrgid", lambda gid: SimpleNamespace(gr_name=name, gr_mem=members))
    assert cache._is_private_group(7, 1000) == alone


@needs_root
def test_what_another_user_owns_is_planned_anew(
    cache_folder: Path, planned: list[str], program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.chown(program, 54321, 54321)
    for _ in range(2):
        with open_binary(str(program), (), None) as opened:
            opened.planned(["main.*"], [], ReadOptions()).__enter__().close()
            assert opened.not_kept == "it belongs to another user (uid 54321)"
    assert (len(planned), list(cache_folder.iterdir())) == (2, [])
    # but not that of the user who called sudo
    monkeypatch.setenv("SUDO_UID", "54321")
    monkeypatch.setenv("SUDO_GID", "54321")
    first = functions(program)
    assert functions(program) == first
    assert len(planned) == 3


def test_where_writes_leave_no_trace_plans_are_made_anew(
    cache_folder: Path, planned: list[str], program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """tmpfs: a mapping changes bytes, and no time."""
    monkeypatch.setattr(cache, "_file_system", lambda fd: "tmpfs")
    for _ in range(2):
        with open_binary(str(program), (), None) as opened:
            opened.planned(["main.*"], [], ReadOptions()).__enter__().close()
            assert opened.not_kept == "its file system (tmpfs) does not tell of every write"
    assert (len(planned), list(cache_folder.iterdir())) == (2, [])


@needs_root
def test_a_debug_file_of_another_user_is_not_kept(cache_folder: Path, planned: list[str], program: Path) -> None:
    debug, stripped = program.with_name("program.debug"), program.with_name("stripped")
    subprocess.run(["objcopy", "--only-keep-debug", program, debug], check=True)
    subprocess.run(["strip", "-o", stripped, program], check=True)
    os.chown(debug, 54321, 54321)
    for _ in range(2):
        with open_binary(str(stripped), (), None, str(debug)) as opened:
            with opened.planned(["main.*"], [], ReadOptions()) as plan:
                assert plan.has_dwarf
            assert opened.not_kept == f"its debug file {debug}: it belongs to another user (uid 54321)"
    assert (len(planned), list(cache_folder.glob("*.plan"))) == (2, [])


MANY = """
import sys
from tracer import cache
cache.ROOT_FOLDER = sys.argv[1]
cache._file_system = lambda fd: "ext4"
from tracer.binary import open_binary
from tracer.plan import ReadOptions
for i in range(10):
    with open_binary(sys.argv[2], (), None) as opened, opened.planned(["main.*"], [], ReadOptions()) as plan:
        print(len(list(plan.functions())))
    if i % 3 == int(sys.argv[3]):
        for path in cache.folder().glob("*.plan"):
            cache.drop("plan", path.stem)
"""


def test_several_tracers_at_once(cache_folder: Path, program: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(cache_folder.parent)}
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", MANY, cache_folder, program, str(i)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=env,
        )
        for i in range(3)
    ]
    outputs = [run.communicate()[0] for run in runs]
    n = len(functions(program))
    assert outputs == 3 * [10 * f"{n}\n"]
    assert found("plan", the_plan(cache_folder).stem) is not None
    assert not list(cache_folder.glob(".*"))
