# SPDX-License-Identifier: Apache-2.0
"""Where the events go: standard output, or a file that only its owner can read."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tracer.errors import TracerError


def sudo_ids() -> tuple[int, int] | None:
    """(uid, gid) of the user who called sudo; None where we are not root or nobody did."""
    if os.geteuid() != 0:
        return None
    try:
        uid, gid = int(os.environ["SUDO_UID"]), int(os.environ["SUDO_GID"])
    except (KeyError, ValueError):
        return None
    # ids are 32 bits and -1 means "leave as it is" to chown
    if not (0 < uid < 0xFFFFFFFF and 0 <= gid < 0xFFFFFFFF):
        return None
    return uid, gid


def trusted_owners() -> set[int]:
    """Users whose files nobody else could have forged: root, we, and who called sudo."""
    ids = sudo_ids()
    return {0, os.geteuid()} | ({ids[0]} if ids else set())


def _refuse(path: str, why: str) -> TracerError:
    return TracerError(f"cannot write {path!r}: {why}", hint="choose another file with -o")


def _check_existing(path: str, fd: int) -> None:
    """A file that was there already is written only if nobody else could have put it there for us."""
    st = os.fstat(fd)
    if not stat.S_ISREG(st.st_mode):
        return  # /dev/null, a named pipe, a terminal
    if st.st_uid not in trusted_owners():
        raise _refuse(path, f"it exists and belongs to another user (uid {st.st_uid})")
    if st.st_nlink > 1:
        raise _refuse(path, "it exists and has other names (hard links)")


def open_file(path: str, keep: bool = False) -> int:
    """Open for writing from its start; a new file is made with mode 0600 and given to who called sudo.

    Returns a descriptor. A symbolic link at the end of the path is refused: with sudo somebody else could
    have put it there. keep: what was in the file stays there until empty().
    """
    flags = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NOCTTY
    try:
        try:
            fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
            ids = sudo_ids()
            if ids:
                os.fchown(fd, *ids)
            return fd
        except FileExistsError:
            fd = os.open(path, flags)
    except OSError as e:
        why = "it is a symbolic link" if os.path.islink(path) else str(e.strerror)  # noqa: PTH114
        raise _refuse(path, why) from None
    try:
        _check_existing(path, fd)
        if not keep:
            empty(path, fd)
    except BaseException:
        os.close(fd)
        raise
    return fd


def empty(path: str | None, fd: int) -> None:
    """Take away what was in the file that was opened as `path`; from standard output nothing is taken."""
    if path not in (None, "-") and stat.S_ISREG(os.fstat(fd).st_mode):
        os.ftruncate(fd, 0)


@contextmanager
def opened(path: str | None, keep: bool = False) -> Iterator[int]:
    """Descriptor of `path`, of standard output for None and "-"; closed at the end where we opened it.
    keep: as open_file()."""
    if path is None or path == "-":
        try:
            sys.stdout.flush()
            fd = os.dup(1)
        except (OSError, AttributeError) as e:
            why = getattr(e, "strerror", None) or "not open"
            raise TracerError(f"cannot write to standard output: {why}", hint="name a file with -o") from None
    else:
        fd = open_file(path, keep)
    try:
        yield fd
    finally:
        os.close(fd)


def wants_color(choice: str, fd: int) -> bool:
    """--color auto|always|never for a descriptor. auto: a terminal that can, and NO_COLOR is not set."""
    if choice != "auto":
        return choice == "always"
    if os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb":
        return False
    return os.isatty(fd)
