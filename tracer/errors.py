# SPDX-License-Identifier: Apache-2.0
"""Errors that people read, and the exit code that each of them means.

Only `tracer.cli.main` turns an error into an exit code and prints it:

    error: what failed, and why
      the expression, where one is wrong
          ^
    hint: what to do
"""

from __future__ import annotations

from typing import Any

EXIT_OK = 0
EXIT_FAILED = 1  # no privilege, the kernel refuses, output failed, loss with --fail-on-loss
EXIT_USAGE = 2  # a wrong flag, a binary that is missing or unreadable
EXIT_NOTHING = 3  # nothing to trace
EXIT_INTERRUPTED = 130  # second Ctrl-C


class TracerError(Exception):
    """An expected failure: one line, an exit code, and where possible what to do about it."""

    def __init__(
        self,
        message: str,
        exit_code: int = EXIT_FAILED,
        hint: str | None = None,
        *,
        code: str = "",
        place: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code
        self.hint = hint
        self.place = place
        """Lines that point at the place, with a ^ below it: where an expression is wrong."""
        self.code = code
        """The C core's name of the failure ("not_found", "no_dwarf" …), "" where it came from Python."""


class UsageError(TracerError):
    """The command line, or a call of the API, asks for something that makes no sense."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message, EXIT_USAGE, hint, code="usage")


class NothingToTraceError(TracerError):
    """What was asked for is not there: no such process, no such function, not a Go program."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message, EXIT_NOTHING, hint)


# Exit code by kind of failure in the C core (offsets/error.h). What is not here is EXIT_FAILED.
_EXIT_BY_CODE = {
    "ERR_NOTFOUND": EXIT_NOTHING,
    "ERR_NOLOC": EXIT_NOTHING,
    "ERR_MALFORMED": EXIT_NOTHING,
    "ERR_UNSUPPORTED": EXIT_NOTHING,
    "ERR_NOT_ELF": EXIT_NOTHING,
    "ERR_ARCH": EXIT_NOTHING,
    "ERR_NOT_GO": EXIT_NOTHING,
    "ERR_NO_DWARF": EXIT_NOTHING,
    "ERR_INLINED": EXIT_NOTHING,
    "ERR_CHANGED": EXIT_NOTHING,
    "ERR_USAGE": EXIT_USAGE,
}

_HINT_MARK = "; hint: "  # COMMAND_HINT_MARK of offsets/commands.h

_HINT_BY_CODE = {
    "ERR_NO_DWARF": "arguments need the debug information that -ldflags='-s -w' and strip remove; "
    "--debug-file names the file it was kept in",
    "ERR_NOT_GO": "only programs built by Go can be traced",
    "ERR_ARCH": "programs for amd64 (x86-64) can be traced",
    "ERR_CHANGED": "the file was replaced or written to while it was read: run the command again",
    "ERR_INLINED": "the compiler copied the body into its callers: put //go:noinline before the function, "
    "or build with -gcflags=all=-l",
    "ERR_PRIVILEGE": "run as root (sudo)",
    "ERR_KERNEL": "`doctor` tells what this kernel allows",
}


def take(ffi: Any, lib: Any, err: Any, hint: str | None = None, exit_code: int | None = None) -> None:
    """Raise what a C function returned as `struct err *`, if it is one. Releases it.

    ffi, lib: of the extension module that was called. hint, exit_code: instead of those of its kind.
    """
    if not err:
        return
    name = ffi.string(ffi.cast("enum err_code", err.code))
    code_name = ffi.string(lib.err_code_name(err.code)).decode()
    message, _, own_hint = (text(ffi, err.msg) or code_name).partition(_HINT_MARK)
    place = f"  {text(ffi, err.line)}\n  {' ' * err.column}^" if err.line else ""
    lib.err_destroy(err)
    if name == "ERR_NOMEM":
        raise MemoryError(message)
    raise TracerError(
        message,
        _EXIT_BY_CODE.get(name, EXIT_FAILED) if exit_code is None else exit_code,
        hint or own_hint or _HINT_BY_CODE.get(name),
        code=code_name,
        place=place,
    )


def text(ffi: Any, pointer: Any) -> str:
    """A C string as text, "" for NULL. Bytes that are not UTF-8 become \\xNN."""
    if not pointer:
        return ""
    value: bytes = ffi.string(pointer)
    return value.decode("utf-8", "backslashreplace")


def printable(s: str) -> str:
    """Text from a traced program or a file, safe for a terminal: what cannot be printed is escaped."""
    if s.isprintable():
        return s
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in s)


def printable_lines(s: str) -> str:
    """The same for text of several lines, which stay lines."""
    return "\n".join(map(printable, s.split("\n")))
