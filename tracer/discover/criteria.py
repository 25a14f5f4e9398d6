# SPDX-License-Identifier: Apache-2.0
"""What a process must be like to be traced: by its ports, its executable's name, its id, or being in a container.

All that a criterion names must hold; of several criteria the first that fits wins, and gives the service its name.
Criteria come from options, from a file (sections, see parse_file), or from the environment by the names that users of
Beyla know.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tracer.discover.ports import Ports, parse_ports
from tracer.discover.procfs import Process
from tracer.errors import UsageError

CRITERIA_MAX = 256
FILE_MAX = 1 << 20  # bytes of a criteria file
PIDS_MAX = 1024
PID_MAX = 1 << 22  # the kernel's own limit (PID_MAX_LIMIT)

_FILE_KEYS = ("open_port", "exe_name", "pid", "containers", "name")
_TRUTH = {"true": True, "yes": True, "1": True, "on": True, "false": False, "no": False, "0": False, "off": False}


@dataclass(frozen=True)
class Criterion:
    """None and empty: not asked."""

    ports: Ports | None = None
    executable: re.Pattern[str] | None = None
    pids: frozenset[int] = frozenset()
    containers: bool = False  # only processes in containers
    name: str = ""  # of the service; "": by its executable

    @property
    def asks(self) -> bool:
        return bool(self.ports or self.executable or self.pids or self.containers)

    def matches(self, process: Process) -> bool:
        if self.pids and process.pid not in self.pids:
            return False
        if self.containers and not process.container:
            return False
        if self.executable and not self.executable.search(process.exe_path):
            return False
        return not self.ports or any(port in self.ports for port in process.ports)

    def __str__(self) -> str:
        asked = []
        if self.pids:
            asked.append("process " + ",".join(map(str, sorted(self.pids))))
        if self.ports:
            asked.append(f"port {self.ports}")
        if self.executable:
            asked.append(f"executable {self.executable.pattern!r}")
        if self.containers:
            asked.append("in a container")
        return " and ".join(asked) or "nothing"


def first_match(criteria: Iterable[Criterion], process: Process) -> Criterion | None:
    return next((c for c in criteria if c.matches(process)), None)


def name_pattern(text: str) -> re.Pattern[str]:
    """A regular expression, found anywhere in the executable's path."""
    if len(text) > 1000:
        raise UsageError("a pattern of more than 1000 characters")
    try:
        return re.compile(text)
    except (re.error, RecursionError, OverflowError) as e:
        raise UsageError(f"the regular expression {text!r} does not compile: {e}") from None


def parse_pids(text: str) -> frozenset[int]:
    pids = set()
    for part in text.split(","):
        word = part.strip()
        if not re.fullmatch(r"\d{1,9}", word, re.ASCII) or not 1 <= int(word) <= PID_MAX:
            raise UsageError(f"{word!r} is no process id")
        pids.add(int(word))
    if len(pids) > PIDS_MAX:
        raise UsageError(f"more than {PIDS_MAX} process ids")
    return frozenset(pids)


def from_environment(environment: Mapping[str, str]) -> Criterion | None:
    """BEYLA_OPEN_PORT, BEYLA_EXECUTABLE_NAME, BEYLA_SERVICE_NAME (or OTEL_SERVICE_NAME); None where none is set."""
    ports = environment.get("BEYLA_OPEN_PORT", "")
    executable = environment.get("BEYLA_EXECUTABLE_NAME", "")
    if not ports and not executable:
        return None
    return Criterion(
        ports=parse_ports(ports) if ports else None,
        executable=name_pattern(executable) if executable else None,
        name=environment.get("BEYLA_SERVICE_NAME", "") or environment.get("OTEL_SERVICE_NAME", ""),
    )


def parse_file(path: str) -> list[Criterion]:
    """One criterion for each section, in order:

    [shop]
    open_port = 8080,8443
    exe_name = /shop-.*
    containers = true

    The section's name is the service's, unless `name =` gives one. UsageError says what is wrong.
    """
    try:
        with Path(path).open("rb") as f:
            data = f.read(FILE_MAX + 1)
    except (OSError, ValueError) as e:
        raise UsageError(f"cannot read {path!r}: {getattr(e, 'strerror', None) or e}") from None
    if len(data) > FILE_MAX:
        raise UsageError(f"{path!r} has more than {FILE_MAX >> 20} MB")
    parser = configparser.ConfigParser(interpolation=None, default_section="\0")
    try:
        parser.read_string(data.decode("utf-8"), source=path)
    except UnicodeDecodeError:
        raise UsageError(f"{path!r} is no UTF-8 text") from None
    except configparser.Error as e:
        raise UsageError(" ".join(str(e).split())) from None
    if len(parser.sections()) > CRITERIA_MAX:
        raise UsageError(f"{path!r}: more than {CRITERIA_MAX} sections")
    return [_section(path, name, parser[name]) for name in parser.sections()]


def _section(path: str, name: str, section: Mapping[str, str]) -> Criterion:
    where = f"{path!r}, section [{name}]"
    for key in section:
        if key not in _FILE_KEYS:
            raise UsageError(f"{where}: unknown key {key!r}", hint="known are " + ", ".join(_FILE_KEYS))
    try:
        truth = section.get("containers", "no").lower()
        if truth not in _TRUTH:
            raise UsageError(f"containers = {truth!r}: yes or no")
        criterion = Criterion(
            ports=parse_ports(section["open_port"]) if "open_port" in section else None,
            executable=name_pattern(section["exe_name"]) if "exe_name" in section else None,
            pids=parse_pids(section["pid"]) if "pid" in section else frozenset(),
            containers=_TRUTH[truth],
            name=section.get("name", name),
        )
    except UsageError as e:
        raise UsageError(f"{where}: {e.message}", e.hint) from None
    if not criterion.asks:
        raise UsageError(f"{where}: asks for nothing", hint="one of " + ", ".join(_FILE_KEYS[:-1]))
    return criterion
