# SPDX-License-Identifier: Apache-2.0
"""Events → spans: what began, what is known of it, when it ended.

One engine for each executable; one thread feeds it. It holds what is open, and nothing else: at most OPEN_MAX
requests and GOROUTINES_MAX goroutines, of more the oldest are let go and counted.
"""

from __future__ import annotations

import random
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Union

from tracer.services.check import FittedHook
from tracer.services.rules import (
    ANNOTATE,
    CHILD,
    CLIENT,
    END,
    FAILED,
    GONE,
    GOROUTINE,
    HEADERS,
    NONE,
    PANIC,
    SERVER,
    START,
    Rule,
)

OPEN_MAX = 65536
GOROUTINES_MAX = 65536
PANIC_WAIT_NS = 1_000_000_000  # a panic that was recovered lets its request end; one that was not has no end
PARENTS_MAX = 8  # goroutines that are gone up for a parent

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")

IN_QUEUE, PROCESSING = "in queue", "processing"  # the parts of a server span

Key = tuple[int, str, Union[int, str]]
Fields = dict[str, Any]


@dataclass
class Span:
    """One request, complete. Times are CLOCK_MONOTONIC in ns."""

    rule: Rule
    pid: int
    goid: int | None
    start: int
    end: int
    fields: Fields
    outcome: str  # "": ended · "panic" · "aborted": its end was not seen · "hijacked" · "detached": tracing ended
    trace_id: int
    span_id: int
    parent_id: int  # 0: none
    queued: int | None = None  # when the goroutine was made that does nothing before this request
    child_ids: tuple[int, int] = (0, 0)  # span ids of its parts
    service: str = ""

    @property
    def duration_ns(self) -> int:
        """Of the work itself; what metrics count, so that --queue does not change them."""
        return self.end - self.start

    @property
    def began(self) -> int:
        return self.start if self.queued is None else self.queued

    @property
    def parts(self) -> list[Part]:
        """Its child spans."""
        if self.queued is None:
            return []
        return [
            Part(IN_QUEUE, self.queued, self.start, self.child_ids[0]),
            Part(PROCESSING, self.start, self.end, self.child_ids[1]),
        ]


@dataclass(frozen=True)
class Part:
    name: str
    start: int
    end: int
    span_id: int


@dataclass
class HeaderBlock:
    """The header fields of one request or response, on the wire."""

    rule: Rule
    pid: int
    time: int
    direction: str
    side: str  # "client", "server"
    stream: int
    fields: list[tuple[str, str]]
    service: str = ""


@dataclass
class _Open:
    rule: Rule
    function: str  # that it began in
    goid: int | None
    start: int
    fields: Fields
    trace_id: int
    span_id: int
    parent_id: int
    panicked: int = 0
    queued: int | None = None


@dataclass
class Counters:
    """What did not become a span as it should have."""

    evicted: int = 0  # open requests, for want of room
    unfinished: int = 0  # requests that had not ended when tracing did
    unmatched: int = 0  # ends without a beginning (begun before tracing)
    nested: int = 0  # beginnings within a request: a server inside a server is one request
    no_goroutine: int = 0  # events whose goroutine is not known
    goroutines_evicted: int = 0
    lost: int = 0  # events that the kernel had no room for
    malformed: int = 0  # lines that are no event
    failed: int = 0  # events at which the tracer failed: defects, and want of memory
    spans: int = 0

    def as_dict(self) -> dict[str, int]:
        return dict(vars(self))


@dataclass
class Target:
    """What a function's event means to the rules."""

    hooks: list[tuple[Rule, FittedHook]] = field(default_factory=list)


class Engine:
    """hooks: for each function id of the collector, by entry (call events) and return."""

    def __init__(
        self,
        calls: dict[int, Target],
        returns: dict[int, Target],
        out: Callable[[Span], None],
        out_headers: Callable[[HeaderBlock], None] = lambda block: None,
    ) -> None:
        self._targets = {"call": calls, "return": returns}
        self._out = out
        self._out_headers = out_headers
        self._open: OrderedDict[Key, _Open] = OrderedDict()
        self._by_goroutine: dict[tuple[int, int], list[Key]] = {}
        # goroutine → (parent, when it was made; None: a request has had that)
        self._made: OrderedDict[tuple[int, int], tuple[int, int | None]] = OrderedDict()
        self._panicked: dict[Key, int] = {}
        self._passed: OrderedDict[Key, None] = OrderedDict()
        self._random = random.Random()
        self.counters = Counters()

    def feed(self, event: dict[str, Any]) -> None:
        """One line of the collector's JSON."""
        kind = event.get("type")
        if kind == "call" or kind == "return":
            target = self._targets[kind].get(event["fid"])
            if target is not None and "unwound" not in event:
                for rule, fitted in target.hooks:
                    self._hit(rule, fitted, event, event["args"] if kind == "call" else event["results"] or {})
        elif kind == "lost":
            self.counters.lost += event["count"]
        elif kind == "process" and event["event"] == "end":
            self.end_process(event["pid"], event.get("ts") or time.monotonic_ns())
        if self._panicked:
            self._sweep_panics(event.get("ts") or 0)

    def _hit(self, rule: Rule, fitted: FittedHook, event: dict[str, Any], values: Fields) -> None:
        hook = fitted.hook
        fields: Fields = {}
        for name, expression in fitted.fields:
            value = values.get(expression)
            if value is not None:
                fields[name] = value
        role, pid, goid, ts = hook.role, event["pid"], event["goid"], event["ts"]
        if role == HEADERS:
            self._headers(rule, fitted, pid, ts, fields)
            return
        if role == CHILD:
            self._child(pid, goid, fields.get("child"), ts)
            return
        if role == FAILED:
            if fields and goid is not None:
                self._failed(rule, pid, goid, ts, event.get("duration_ns") or 0, fields)
            return
        if hook.key == GOROUTINE:
            if goid is None:
                self.counters.no_goroutine += 1
                return
            ident: int | str = goid
        else:
            ident = pointer(fields.pop(hook.key, None))
            if not ident:
                self.counters.no_goroutine += 1
                return
        if role == GONE:
            self._goroutine_ended(pid, goid, ts)
        elif role == START:
            self._start(rule, fitted.function, (pid, rule.name, ident), goid, ts, fields)
        elif role == END:
            if fitted.missing and not fields:
                return
            self._end((pid, rule.name, ident), ts, fields)
        elif role == ANNOTATE:
            self._annotate(rule, pid, goid, fields)
        elif role == PANIC:
            key = (pid, rule.name, ident)
            if key in self._open:
                self._open[key].panicked = ts
                self._panicked[key] = ts

    # ---- beginnings and ends ------------------------------------------------------------------------------------

    def _start(self, rule: Rule, function: str, key: Key, goid: int | None, ts: int, fields: Fields) -> None:
        pid = key[0]
        first_attempt = fields.pop("first_attempt", False)
        before = self._open.get(key)
        if before is not None:
            if (key[2] != goid or before.function != function) and not first_attempt:
                return  # another attempt of the same call; the next function that the same request comes through
            # its end was not seen, and the goroutine (or the memory that its key points to) is used anew
            self._close(key, before.panicked or ts, "panic" if before.panicked else "aborted")
        # what a server answers is no part of a call that it makes: that one is a stream which stays open
        around = self._around(pid, goid, but="" if rule.kind != SERVER else CLIENT)
        if around is not None and around.rule.kind == SERVER and rule.kind == SERVER and around.goid == goid:
            self.counters.nested += 1
            self._pass(key)
            return
        if any(fields.get(name) == value for name, value in rule.ignore):
            self._pass(key)
            return
        self._passed.pop(key, None)
        trace_id, parent = remote_parent(fields.pop("traceparent", None))
        if not trace_id:
            trace_id, parent = (
                (around.trace_id, around.span_id) if around is not None else (self._random.getrandbits(128) or 1, 0)
            )
        opened = _Open(rule, function, goid, ts, fields, trace_id, self._random.getrandbits(64) or 1, parent)
        if goid is not None:
            made = self._made.get((pid, goid))
            if made is not None and made[1] is not None and rule.kind == SERVER:
                opened.queued = min(made[1], ts)
                self._made[(pid, goid)] = (made[0], None)
            self._by_goroutine.setdefault((pid, goid), []).append(key)
        self._open[key] = opened
        if len(self._open) > OPEN_MAX:
            oldest, lost = next(iter(self._open.items()))
            self._forget(oldest, lost)
            self.counters.evicted += 1

    def _pass(self, key: Key) -> None:
        """What begins here is no span of its own, and its end is no surprise."""
        self._passed[key] = None
        if len(self._passed) > OPEN_MAX:
            self._passed.popitem(last=False)

    def _end(self, key: Key, ts: int, fields: Fields) -> None:
        opened = self._open.get(key)
        if opened is None:
            if key not in self._passed:
                self.counters.unmatched += 1
            self._passed.pop(key, None)
            return
        outcome = "hijacked" if "hijacked" in fields else ""
        fields.pop("hijacked", None)
        for name, value in fields.items():
            if not (name in opened.fields and value in ("", 0)):
                opened.fields[name] = value
        self._close(key, ts, outcome)

    def _failed(self, rule: Rule, pid: int, goid: int, ts: int, duration_ns: int, fields: Fields) -> None:
        """A function returned an error: what it had begun ends with it, unless it has ended already."""
        for key in reversed(self._by_goroutine.get((pid, goid), ())):
            if key[1] == rule.name and self._open[key].start >= ts - duration_ns:
                self._end(key, ts, fields)
                return

    def _annotate(self, rule: Rule, pid: int, goid: int | None, fields: Fields) -> None:
        around = self._around(pid, goid) if rule.kind == NONE else None
        if around is None:
            around = self._open.get((pid, rule.name, goid if goid is not None else ""))
        if around is not None:
            around.fields.update({name: value for name, value in fields.items() if value not in ("", 0)})

    def _around(self, pid: int, goid: int | None, but: str = "") -> _Open | None:
        """The innermost open span of a goroutine, or of one that made it. but: a kind that it shall not be of."""
        for _ in range(PARENTS_MAX):
            if goid is None:
                return None
            for key in reversed(self._by_goroutine.get((pid, goid), ())):
                if self._open[key].rule.kind != but:
                    return self._open[key]
            made = self._made.get((pid, goid))
            goid = made[0] if made else None
        return None

    def _forget(self, key: Key, opened: _Open) -> None:
        del self._open[key]
        self._panicked.pop(key, None)
        if opened.goid is not None:
            of_goroutine = self._by_goroutine.get((key[0], opened.goid), [])
            if key in of_goroutine:
                of_goroutine.remove(key)
            if not of_goroutine:
                self._by_goroutine.pop((key[0], opened.goid), None)

    def _close(self, key: Key, ts: int, outcome: str) -> None:
        opened = self._open[key]
        self._forget(key, opened)
        self.counters.spans += 1
        new_id = self._random.getrandbits
        self._out(
            Span(
                rule=opened.rule,
                pid=key[0],
                goid=opened.goid,
                start=opened.start,
                end=max(ts, opened.start),
                fields=opened.fields,
                outcome=outcome,
                trace_id=opened.trace_id,
                span_id=opened.span_id,
                parent_id=opened.parent_id,
                queued=opened.queued,
                child_ids=(0, 0) if opened.queued is None else (new_id(64) or 1, new_id(64) or 1),
            )
        )

    def _sweep_panics(self, now: int) -> None:
        for key, ts in list(self._panicked.items()):
            if now - ts < PANIC_WAIT_NS:
                break  # in order of time
            self._close(key, ts, "panic")

    # ---- goroutines and processes -------------------------------------------------------------------------------

    def _child(self, pid: int, parent: int | None, child: Any, ts: int) -> None:
        if parent is None or not isinstance(child, int):
            return
        self._made[(pid, child)] = (parent, ts)
        self._made.move_to_end((pid, child))
        if len(self._made) > GOROUTINES_MAX:
            self._made.popitem(last=False)
            self.counters.goroutines_evicted += 1

    def _goroutine_ended(self, pid: int, goid: int | None, ts: int) -> None:
        if goid is None:
            return
        self._made.pop((pid, goid), None)
        for key in list(self._by_goroutine.get((pid, goid), ())):
            if key[2] == goid:
                opened = self._open[key]
                self._close(key, opened.panicked or ts, "panic" if opened.panicked else "aborted")

    def end_process(self, pid: int, ts: int) -> None:
        for key in [key for key in self._open if key[0] == pid]:
            opened = self._open[key]
            self._close(key, opened.panicked or ts, "panic" if opened.panicked else "aborted")
        for goroutine in [g for g in self._made if g[0] == pid]:
            del self._made[goroutine]

    def tick(self, now: int) -> None:
        """From time to time, also when no event comes."""
        self._sweep_panics(now)

    def finish(self) -> None:
        """Tracing has ended."""
        for key, ts in list(self._panicked.items()):
            self._close(key, ts, "panic")
        self.counters.unfinished += len(self._open)

    @property
    def open_spans(self) -> int:
        return len(self._open)

    # ---- headers ------------------------------------------------------------------------------------------------

    def _headers(self, rule: Rule, fitted: FittedHook, pid: int, ts: int, fields: Fields) -> None:
        names, values = fields.get("names"), fields.get("values")
        if not isinstance(names, list) or not isinstance(values, list):
            return
        if "side" in fields:
            side = "client" if fields["side"] == 0 else "server"
        else:
            side = "client" if "client_side" in fields else "server"
        pairs = [(str(n), "" if v is None else str(v)) for n, v in zip(names, values) if n is not None]
        self._out_headers(HeaderBlock(rule, pid, ts, fitted.hook.direction, side, fields.get("stream") or 0, pairs))


def pointer(value: Any) -> str:
    """The address in a pointer's JSON; "" for nil."""
    return str(value.get("ptr", "")) if isinstance(value, dict) else ""


def remote_parent(value: Any) -> tuple[int, int]:
    """(trace id, span id) of a traceparent header (W3C Trace Context, version 00); (0, 0) where there is none."""
    if isinstance(value, list):
        value = value[0] if len(value) == 1 else None
    match = _TRACEPARENT.fullmatch(value) if isinstance(value, str) else None
    if match is None or match[1] == "ff" or (match[1] == "00" and match[4]):
        return 0, 0
    trace_id, span_id = int(match[2], 16), int(match[3], 16)
    return (trace_id, span_id) if trace_id and span_id else (0, 0)


def targets(functions: Sequence[tuple[list[int], list[tuple[Rule, FittedHook]]]]) -> dict[int, Target]:
    """Function ids → what their events mean."""
    found: dict[int, Target] = {}
    for fids, hooks in functions:
        for fid in fids:
            found.setdefault(fid, Target()).hooks.extend(hooks)
    return found
