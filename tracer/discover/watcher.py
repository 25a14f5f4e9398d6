# SPDX-License-Identifier: Apache-2.0
"""What changed since the last look: processes that came, went, or began to listen; and which of them fit a criterion.

It only compares looks: when to look (a poll, an event of the kernel) is the pipeline's affair.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tracer.discover.criteria import Criterion, first_match
from tracer.discover.procfs import Process

CREATED, CHANGED, DELETED = "created", "changed", "deleted"


@dataclass(frozen=True)
class Event:
    kind: str  # CREATED · CHANGED (its ports) · DELETED
    process: Process


class Watcher:
    def __init__(self) -> None:
        self._known: dict[int, Process] = {}

    def see_all(self, now: dict[int, Process]) -> list[Event]:
        """After a look at every process. What ended comes first: an id may have been given again."""
        events = [Event(DELETED, old) for pid, old in self._known.items() if pid not in now]
        for pid in [e.process.pid for e in events]:
            del self._known[pid]
        for process in now.values():
            events += self.see(process.pid, process)
        return events

    def see(self, pid: int, now: Process | None) -> list[Event]:
        """After a look at one process; None: it is not there."""
        old = self._known.get(pid)
        if now is None:
            return [Event(DELETED, self._known.pop(pid))] if old else []
        self._known[pid] = now
        if old is None:
            return [Event(CREATED, now)]
        if old.key != now.key:
            return [Event(DELETED, old), Event(CREATED, now)]
        return [Event(CHANGED, now)] if old.ports != now.ports else []


@dataclass(frozen=True)
class Match:
    """A process that is to be traced from now on; `criterion` None: no more."""

    process: Process
    criterion: Criterion | None


class Matcher:
    """Keeps which processes fit. One that fits stays until it ends: a server may close its port and go on answering."""

    def __init__(self, criteria: Sequence[Criterion]) -> None:
        self._criteria = list(criteria)
        self._matched: dict[int, Match] = {}
        self._seen: dict[int, Process] = {}

    @property
    def wants_ports(self) -> bool:
        return any(c.ports for c in self._criteria)

    def feed(self, events: Iterable[Event]) -> list[Match]:
        changes = []
        for event in events:
            pid = event.process.pid
            if event.kind == DELETED:
                self._seen.pop(pid, None)
                if self._matched.pop(pid, None):
                    changes.append(Match(event.process, None))
                continue
            self._seen[pid] = event.process
            if pid not in self._matched:
                changes += self._try(event.process)
        return changes

    def replace(self, criteria: Sequence[Criterion]) -> list[Match]:
        """Other criteria (a file that was read again): what fits no more, and what fits now."""
        self._criteria = list(criteria)
        changes = []
        for pid, match in list(self._matched.items()):
            if first_match(criteria, self._seen[pid]) != match.criterion:
                del self._matched[pid]
                changes.append(Match(match.process, None))
        for pid, process in self._seen.items():
            if pid not in self._matched:
                changes += self._try(process)
        return changes

    def _try(self, process: Process) -> list[Match]:
        criterion = first_match(self._criteria, process)
        if criterion is None:
            return []
        self._matched[process.pid] = Match(process, criterion)
        return [self._matched[process.pid]]
