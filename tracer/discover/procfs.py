# SPDX-License-Identifier: Apache-2.0
"""What runs on this machine, by /proc: each process with its executable, the ports it listens on, its container."""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path

from tracer.processes import FileIdentity, identity

FDS_MAX = 65536  # descriptors of one process that are looked at for its sockets
TABLE_MAX = 64 << 20  # bytes of one table of sockets (400,000 of them)
TCP_LISTEN = "0A"  # include/net/tcp_states.h

# Of the tracer or the machine, not of the process: it was not looked at, and is not gone.
_WANT = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)

# The id that container engines give their cgroups: 64 hexadecimal digits.
_CONTAINER_ID = re.compile(r"(?:^|[/:.-])([0-9a-f]{64})(?:\.scope)?(?:$|/)", re.MULTILINE)


@dataclass(frozen=True)
class Process:
    """One process as it was when it was looked at."""

    pid: int
    start: int  # clock ticks since boot: tells processes of the same id apart
    exe: FileIdentity
    exe_path: str  # as the process's own file system has it
    ports: frozenset[int]  # TCP ports it listens on
    container: str  # its container's id, "" outside (or where the cgroup does not tell: its pid namespace's number)

    @property
    def key(self) -> tuple[int, int, FileIdentity]:
        """Changes when the process executes another file."""
        return self.pid, self.start, self.exe


class Look:
    """One look at all processes: tables of sockets are read once for each network namespace.

    OSError where no descriptor or memory was left to look: nothing is known then, also not that a process is gone.
    """

    def __init__(self, proc: str = "/proc", with_ports: bool = True) -> None:
        self._proc = proc
        self._with_ports = with_ports
        self._listening: dict[int, dict[int, int]] = {}
        self._own_pid_ns = self._namespace("self", "pid")

    def processes(self) -> dict[int, Process]:
        """By id. Kernel threads, zombies and what we may not look into are left out."""
        found = {}
        for entry in os.listdir(self._proc):  # noqa: PTH208 - thousands of entries, only names are needed
            if entry.isascii() and entry.isdigit():
                process = self.process(int(entry))
                if process is not None:
                    found[process.pid] = process
        return found

    def process(self, pid: int) -> Process | None:
        base = f"{self._proc}/{pid}"
        try:
            exe = identity(f"{base}/exe")
            path = os.readlink(f"{base}/exe")  # noqa: PTH115
            start = self._start(base)
        except (OSError, ValueError) as e:
            _raise_want(e)
            return None
        return Process(
            pid=pid,
            start=start,
            exe=exe,
            exe_path=path.removesuffix(" (deleted)"),
            ports=self._ports(base) if self._with_ports else frozenset(),
            container=self._container(base, str(pid)),
        )

    @staticmethod
    def _start(base: str) -> int:
        """Field 22 of /proc/PID/stat (proc(5)); the name in field 2 may hold blanks and brackets."""
        stat = Path(f"{base}/stat").read_bytes()
        return int(stat[stat.rindex(b")") + 2 :].split()[19])

    def _namespace(self, pid: str, kind: str) -> int:
        try:
            return os.stat(f"{self._proc}/{pid}/ns/{kind}").st_ino  # noqa: PTH116
        except OSError as e:
            _raise_want(e)
            return 0

    def _container(self, base: str, pid: str) -> str:
        try:
            cgroup = Path(f"{base}/cgroup").read_text(encoding="utf-8", errors="replace")[:8192]
        except OSError as e:
            _raise_want(e)
            cgroup = ""
        match = _CONTAINER_ID.search(cgroup)
        if match:
            return match[1]
        namespace = self._namespace(pid, "pid")
        return f"pid:[{namespace}]" if namespace and self._own_pid_ns and namespace != self._own_pid_ns else ""

    def _ports(self, base: str) -> frozenset[int]:
        """Ports of the listening sockets among the process's descriptors."""
        try:
            namespace = os.stat(f"{base}/ns/net").st_ino  # noqa: PTH116
            if namespace not in self._listening:
                self._listening[namespace] = listening_sockets(base)
            sockets = self._listening[namespace]
            if not sockets:
                return frozenset()
            names = os.listdir(f"{base}/fd")  # noqa: PTH208
        except OSError as e:
            _raise_want(e)
            return frozenset()
        ports = set()
        for name in names[:FDS_MAX]:
            try:
                target = os.readlink(f"{base}/fd/{name}")  # noqa: PTH115
            except OSError:
                continue
            if target.startswith("socket:["):
                port = sockets.get(int(target[8:-1]))
                if port:
                    ports.add(port)
        return frozenset(ports)


def _raise_want(e: Exception) -> None:
    if isinstance(e, OSError) and e.errno in _WANT:
        raise e


def listening_sockets(base: str) -> dict[int, int]:
    """Inode → port of the TCP sockets that listen in the network namespace of /proc/PID."""
    sockets = {}
    for table in ("tcp", "tcp6"):
        try:
            with Path(f"{base}/net/{table}").open("rb") as f:
                text = f.read(TABLE_MAX).decode("ascii", "replace")
        except OSError as e:
            _raise_want(e)
            continue
        for line in text.splitlines()[1:]:
            fields = line.split()
            if len(fields) >= 10 and fields[3] == TCP_LISTEN:
                try:
                    sockets[int(fields[9])] = int(fields[1].rpartition(":")[2], 16)
                except ValueError:
                    continue
    return sockets


def environment_of(pid: int, names: tuple[str, ...], proc: str = "/proc") -> dict[str, str]:
    """Of the variables that a process was started with, these."""
    try:
        with Path(f"{proc}/{pid}/environ").open("rb") as f:
            data = f.read(1 << 20)
    except OSError:
        return {}
    found = {}
    for entry in data.split(b"\0"):
        name, _, value = entry.partition(b"=")
        text = name.decode("ascii", "replace")
        if text in names:
            found[text] = value.decode("utf-8", "replace")
    return found


def in_container_root(pid: int, path: str, proc: str = "/proc") -> str:
    """A path as the process sees it, as we can open it."""
    return f"{proc}/{pid}/root{path}"
