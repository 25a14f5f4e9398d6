# SPDX-License-Identifier: Apache-2.0
"""COMMAND after `--`: forked and held before its exec, so that its first instruction is traced already.

command = Command.find(["./server", "-v"])
command.fork()       # it has a pid, and waits
…                    # probes are attached
command.release()    # exec
command.wait()
"""

from __future__ import annotations

import errno
import os
import pwd
import shutil
import signal
from typing import NoReturn

from tracer.errors import TracerError, UsageError
from tracer.output import sudo_ids

EXEC_FAILED = 127  # what a shell gives for a command that cannot be run; seen by nobody: the error comes by the pipe

# Python ignores these for itself, and what is ignored stays so across exec.
_DEFAULT_SIGNALS = (signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGXFSZ)


class Command:
    """One command, from its name to its exit status."""

    def __init__(self, path: str, argv: list[str]) -> None:
        self.path = path
        self.argv = argv
        self.pid = 0
        self.status: int | None = None  # as os.waitpid gives it
        self._go = -1
        self._failed = -1

    @classmethod
    def find(cls, argv: list[str]) -> Command:
        """The command as a shell would find it: a name with a slash is a path, else PATH is searched."""
        if not argv or not argv[0]:
            raise UsageError("no command after `--`", hint="… -- ./server -v")
        name = argv[0]
        path = shutil.which(name)
        if path is None:
            if "/" not in name:
                raise UsageError(f"command {name!r} is not on PATH", hint="give its path: -- ./NAME")
            if os.path.isfile(name):  # noqa: PTH113
                raise UsageError(f"command {name!r} cannot be executed", hint="chmod +x?")
            raise UsageError(f"no such command: {name!r}")
        return cls(path, list(argv))

    def fork(self) -> int:
        """Make the process, waiting before its exec. Returns its pid."""
        go_read, self._go = os.pipe2(os.O_CLOEXEC)
        self._failed, failed_write = os.pipe2(os.O_CLOEXEC)
        pid = os.fork()
        if pid == 0:
            os.close(self._go)
            self._child(go_read, failed_write)
        os.close(go_read)
        os.close(failed_write)
        self.pid = pid
        return pid

    def release(self) -> None:
        """Let it exec. TracerError where the kernel refuses to."""
        try:
            os.write(self._go, b"g")
        except BrokenPipeError:
            pass  # killed while it waited; its status tells
        os.close(self._go)
        self._go = -1
        message = b""
        while chunk := os.read(self._failed, 256):
            message += chunk
        os.close(self._failed)
        self._failed = -1
        if message:
            self.wait()
            raise TracerError(f"cannot run {self.path!r}: {message.decode(errors='replace')}")

    def cancel(self) -> None:
        """End a process that was never released. Legal in every state, any number of times."""
        if self._go < 0:
            return
        os.close(self._go)  # end of file is its order to leave
        os.close(self._failed)
        self._go = self._failed = -1
        self.wait()

    def poll(self) -> bool:
        """Whether it has ended."""
        if self.status is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                pid, status = self.pid, 0
            if pid:
                self.status = status
        return self.status is not None

    def wait(self) -> None:
        while self.status is None:
            try:
                self.status = os.waitpid(self.pid, 0)[1]
            except ChildProcessError:
                self.status = 0

    def describe(self) -> str:
        """How it ended, for people: "exit status 3", "killed by SIGSEGV"."""
        if self.status is None:
            return f"goes on (process {self.pid})"
        code = os.waitstatus_to_exitcode(self.status)
        if code >= 0:
            return f"exit status {code}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return f"killed by {name}" + (" (core dumped)" if os.WCOREDUMP(self.status) else "")

    # ---- in the child -------------------------------------------------------------------------------------

    def _child(self, go: int, failed: int) -> NoReturn:
        """Never returns: whatever happens here must not run on as a second tracer."""
        try:
            for signum in _DEFAULT_SIGNALS:
                signal.signal(signum, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            if os.read(go, 1) != b"g":
                os._exit(0)
            environment = dict(os.environ)
            drop_privileges(environment)
            os.execve(self.path, self.argv, environment)
        except OSError as e:
            why = e.strerror or str(e)
            if e.errno == errno.ENOEXEC:
                why += " (a script needs #! and its interpreter on the first line)"
            os.write(failed, why.encode())
        except BaseException as e:
            os.write(failed, repr(e).encode())
        finally:
            os._exit(EXEC_FAILED)


def drop_privileges(environment: dict[str, str]) -> None:
    """Become the user who called sudo, if somebody did; the environment follows where sudo had changed it.

    HOME stays as it is unless it is root's, which that user could not use.
    """
    ids = sudo_ids()
    if ids is None:
        return
    uid, gid = ids
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        os.setgroups([gid])
    else:
        os.initgroups(user.pw_name, gid)
        if environment.get("HOME") == pwd.getpwuid(0).pw_dir:
            environment["HOME"] = user.pw_dir
        for name in ("USER", "LOGNAME"):
            if name in environment:
                environment[name] = user.pw_name
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
