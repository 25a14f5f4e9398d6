# SPDX-License-Identifier: Apache-2.0
"""Plans and compiled programs that are kept from one run to the next.

Each user has their own folder; root's is /var/cache/gopherscope. A folder is used only if nobody else could
have written to it or to a folder above it: root must not read a plan that another user forged. What is read
from it is checked all the same: each entry says what it is and carries a checksum. What cannot be used is done
without, silently: a cache that is missing costs time, nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Callable

from tracer.errors import TracerError
from tracer.output import trusted_owners

ROOT_FOLDER = "/var/cache/gopherscope"
ENTRIES_MAX = 512  # what was not used for longest goes first
TOTAL_MAX = 256 << 20  # bytes of all entries; a plan has a few kB to a few MB
ENTRY_MAX = 64 << 20
UNFINISHED_AGE = 3600  # seconds after which what was not finished is taken for left behind

HEAD = b"gopherscope cache 2\n%s %s\n"
READ_SIZE = 1 << 20

BOOT_ID = "/proc/sys/kernel/random/boot_id"
SETTLED_AGE = 2.0  # seconds: the clocks of file systems tick in milliseconds, some in seconds
# Where the kernel itself sets the times of a file whenever it is written to, also through a mapping.
SETTLING_FILE_SYSTEMS = {"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "bcachefs", "zfs", "overlay"}


def _is_ours(path: Path) -> bool:
    """Whether only root and we can change this folder."""
    st = path.lstat()
    if not stat.S_ISDIR(st.st_mode) or st.st_uid not in (0, os.geteuid()):
        return False
    writable_by_others = st.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return not writable_by_others or bool(st.st_mode & stat.S_ISVTX and st.st_uid == 0)


def folder() -> Path | None:
    """The cache's folder, made where it was not there; None where there can be none."""
    if os.environ.get("GOPHERSCOPE_CACHE") == "off":
        return None
    if os.geteuid() == 0:
        path = Path(ROOT_FOLDER)
    else:
        home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111
        path = Path(home) / "gopherscope"
    try:
        if not path.is_absolute():
            return None
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if all(_is_ours(p) for p in (path, *path.parents)):
            return path
    except (OSError, RuntimeError):
        pass
    return None


def key(*parts: object) -> str:
    """A file name that stands for all of these."""
    digest = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else repr(part).encode("utf-8", "surrogateescape")
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


@contextlib.contextmanager
def _opened_folder() -> Iterator[int]:
    """A descriptor of the folder, by which its entries are reached. OSError where there is none."""
    path = folder()
    if path is None:
        raise FileNotFoundError("no cache")
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _head(kind: str, name: str) -> bytes:
    return HEAD % (kind.encode(), name.encode())


def _digest(fd: int, start: int) -> bytes:
    """Of the bytes from `start` on."""
    digest = hashlib.sha256()
    buffer = bytearray(READ_SIZE)
    view = memoryview(buffer)
    while n := os.preadv(fd, [buffer], start):
        digest.update(view[:n])
        start += n
    return digest.digest()


def _is_whole(fd: int, kind: str, name: str) -> bool:
    """Whether it is the entry of that name, as it was written. Leaves the descriptor behind the head."""
    st = os.fstat(fd)
    if not stat.S_ISREG(st.st_mode) or st.st_uid != os.geteuid() or st.st_mode & 0o022 or st.st_size > ENTRY_MAX:
        return False
    head = _head(kind, name)
    size = len(head) + hashlib.sha256().digest_size
    start = os.pread(fd, size, 0)
    os.lseek(fd, size, os.SEEK_SET)
    return start[: len(head)] == head and start[len(head) :] == _digest(fd, size)


def find(kind: str, name: str) -> BinaryIO | None:
    """The kept bytes, if they are there, ours and undamaged: a file that stands at the first of them."""
    entry = f"{name}.{kind}"
    with contextlib.suppress(OSError), _opened_folder() as base:
        fd = os.open(entry, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=base)
        try:
            if _is_whole(fd, kind, name):
                with contextlib.suppress(OSError):
                    os.utime(entry, dir_fd=base, follow_symlinks=False)
                return os.fdopen(fd, "rb", buffering=0)
        except OSError:
            pass
        os.close(fd)
        os.unlink(entry, dir_fd=base)
    return None


def put(kind: str, name: str, write: bytes | Callable[[int], object]) -> None:
    """Keep an entry. write: its bytes, or a function that writes them to a descriptor.

    It appears under its name only when it is complete. Failures are no failure of the trace.
    """
    temporary = f".{name}.{secrets.token_hex(8)}"
    with contextlib.suppress(OSError), _opened_folder() as base:
        fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=base)
        try:
            _fill(fd, _head(kind, name), write)
            os.rename(temporary, f"{name}.{kind}", src_dir_fd=base, dst_dir_fd=base)
        except (OSError, TracerError):
            os.unlink(temporary, dir_fd=base)
        finally:
            os.close(fd)
        _trim(base)


def _write(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def _fill(fd: int, head: bytes, write: bytes | Callable[[int], object]) -> None:
    start = len(head) + hashlib.sha256().digest_size
    _write(fd, head.ljust(start, b"\0"))
    if isinstance(write, bytes):
        _write(fd, write)
    else:
        write(fd)
    if os.fstat(fd).st_size > ENTRY_MAX:
        raise OSError("too large to keep")
    digest = _digest(fd, start)
    os.lseek(fd, len(head), os.SEEK_SET)
    _write(fd, digest)


def drop(kind: str, name: str) -> None:
    """Forget an entry that turned out to be unusable."""
    with contextlib.suppress(OSError), _opened_folder() as base:
        os.unlink(f"{name}.{kind}", dir_fd=base)


def _trim(base: int) -> None:
    """Keep to the limits: what was used last stays."""
    entries = []
    with os.scandir(base) as found:
        for entry in found:
            st = entry.stat(follow_symlinks=False)
            if not entry.name.startswith("."):
                entries.append((st.st_mtime_ns, st.st_size, entry.name))
            elif st.st_mtime < time.time() - UNFINISHED_AGE:
                _unlink(base, entry.name)
    total = 0
    for n, (_, size, name) in enumerate(sorted(entries, reverse=True), 1):
        total += size
        if n > ENTRIES_MAX or total > TOTAL_MAX:
            _unlink(base, name)


def _unlink(base: int, name: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(name, dir_fd=base)


# ---- what a file holds --------------------------------------------------------------------------------------


def _file_system(fd: int) -> str:
    """The kind of file system that an open file is on; "" where it cannot be told."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        info = Path(f"/proc/self/fdinfo/{fd}").read_text()
        mount = next(line.split()[1] for line in info.splitlines() if line.startswith("mnt_id:"))
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            if line.startswith(f"{mount} "):
                return line.partition(" - ")[2].split()[0]
    return ""


def _identity(st: os.stat_result) -> tuple[int, ...]:
    return st.st_dev, st.st_ino, st.st_size, st.st_mtime_ns, st.st_ctime_ns


def _is_settled(fd: int, st: os.stat_result, began: float) -> bool:
    """Whether another write would show in the file's times: the last one is long enough ago, by a clock that
    nobody can set for one file, on a file system that keeps it."""
    last = max(st.st_mtime, st.st_ctime)
    return last < began - SETTLED_AGE and _file_system(fd) in SETTLING_FILE_SYSTEMS


def _is_private_group(gid: int, uid: int) -> bool:
    """Whether a group is one user's alone: his first, named as he is, without other members. Where there are such
    groups files are often made with umask 002."""
    import grp
    import pwd

    try:
        user, group = pwd.getpwuid(uid), grp.getgrgid(gid)
    except KeyError:
        return False
    return user.pw_gid == gid and group.gr_name == user.pw_name and not set(group.gr_mem) - {user.pw_name}


def why_not_by_content(fd: int) -> str:
    """Why what is made of an open file must not be kept under its bytes; "" where it can be.

    Who can write to a file may change it between the time when its bytes are hashed and when they are used, on some
    file systems without a trace, and so put what was made of other bytes under those of another's file.
    """
    st = os.fstat(fd)
    if st.st_uid not in trusted_owners():
        return f"it belongs to another user (uid {st.st_uid})"
    if st.st_mode & stat.S_IWOTH or (st.st_mode & stat.S_IWGRP and not _is_private_group(st.st_gid, st.st_uid)):
        return "others can write to it"
    kind = _file_system(fd)
    if kind not in SETTLING_FILE_SYSTEMS:
        return f"its file system ({kind or 'unknown'}) does not tell of every write"
    return ""


def content(fd: int, on_miss: Callable[[], None] = lambda: None) -> str | None:
    """What stands for the bytes of an open file, whatever it is called: their SHA-256 in hex.

    Which file had which is kept, so that the next run need not read it all; on_miss is called before that is
    done. None where it is written to meanwhile, or where there is no cache that it would be for.
    """
    if folder() is None:
        return None
    try:
        began = time.time()
        st = os.fstat(fd)
        # Device numbers are given anew at each boot, and to other file systems that may be copies of each
        # other; the first page has the build ids.
        boot = Path(BOOT_ID).read_bytes()
        memo = key("content", boot, _identity(st), os.fstatvfs(fd).f_fsid, os.pread(fd, 4096, 0))
        kept = find("content", memo)
        if kept is not None:
            with kept:
                return kept.read(64).decode("ascii")
        on_miss()
        digest = _digest(fd, 0).hex()
        if _identity(os.fstat(fd)) != _identity(st):
            return None
        if _is_settled(fd, st, began):
            put("content", memo, digest.encode())
        return digest
    except (OSError, ValueError):
        return None
