# SPDX-License-Identifier: Apache-2.0
"""Plans and compiled programs that are kept from one run to the next.

Each user has their own folder; root's is /var/cache/gopherscope. A folder is used only if nobody else could
have written to it or to a folder above it: root must not read a plan that another user forged. What cannot be
used is done without, silently: a cache that is missing costs time, nothing else.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

ROOT_FOLDER = "/var/cache/gopherscope"
ENTRIES_MAX = 256  # a plan is a few kB to a few MB; the oldest go first
ENTRY_SIZE_MAX = 64 << 20


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


def find(kind: str, name: str) -> Path | None:
    """The kept file, if it is there and ours."""
    base = folder()
    if base is None:
        return None
    path = base / f"{name}.{kind}"
    try:
        st = path.lstat()
    except OSError:
        return None
    if not stat.S_ISREG(st.st_mode) or st.st_uid != os.geteuid() or st.st_size > ENTRY_SIZE_MAX:
        return None
    return path


def put(kind: str, name: str, write: object) -> None:
    """Keep a file. write: its bytes, or a function that writes it to the path given.

    It appears under its name only when it is complete. Failures are no failure of the trace.
    """
    base = folder()
    if base is None:
        return
    temporary = base / f".{name}.{os.getpid()}"
    try:
        if isinstance(write, bytes):
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(write)
        elif callable(write):
            write(str(temporary))
        temporary.replace(base / f"{name}.{kind}")
        _trim(base)
    except Exception:
        temporary.unlink(missing_ok=True)


def drop(path: Path) -> None:
    """Forget an entry that turned out to be unusable."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        pass


def _trim(base: Path) -> None:
    entries = [p for p in base.iterdir() if not p.name.startswith(".")]
    if len(entries) <= ENTRIES_MAX:
        return
    by_age = sorted(entries, key=lambda p: p.stat().st_mtime)
    for path in by_age[: len(entries) - ENTRIES_MAX]:
        path.unlink(missing_ok=True)
