# SPDX-License-Identifier: Apache-2.0
"""What a rule is made of, and the list of rules.

A rule knows a library: a *selector* (its module and versions; the standard library by Go's version), *hooks* (functions
at whose entry or return something is read), and with them the *checker*: a hook or field that is required and not in
the program makes the rule unfit. Names that changed are alternatives; there is no table of offsets: types come from
the program.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field

# What a hook does to the span of its key.
START, END, ANNOTATE, PANIC, CHILD, GONE, HEADERS = "start", "end", "annotate", "panic", "child", "gone", "headers"
FAILED = "failed"  # at a return with an error: ends what began within this call of the function

# What a span of the rule is.
SERVER, CLIENT, NONE = "server", "client", "none"

STANDARD_LIBRARY = "std"
GOROUTINE = "goroutine"

Version = tuple[int, ...]


@dataclass(frozen=True)
class Field:
    """A value of a span: `name` in the engine, read by the first of the expressions that fits."""

    name: str
    expressions: tuple[str, ...]
    required: bool = False
    group: str = ""  # read only where this is asked for: "headers", "connection"


@dataclass(frozen=True)
class Hook:
    role: str
    functions: tuple[str, ...]  # the same function under its names, the newest first
    fields: tuple[Field, ...] = ()
    at_return: bool = False  # read results when it returns; dearer than an entry
    key: str = GOROUTINE  # or the name of a field that holds a pointer
    required: bool = True
    group: str = ""  # hooked only where this is asked for
    since: Version | None = None  # of the module (of Go for the standard library)
    before: Version | None = None
    beside: str = ""  # used only in programs that have this module too
    direction: str = ""  # HEADERS: "sent" or "received"


@dataclass(frozen=True)
class Rule:
    name: str
    title: str
    kind: str  # SERVER · CLIENT · NONE
    system: str  # "http", "grpc", "go"
    module: str  # path, or STANDARD_LIBRARY
    since: Version
    hooks: tuple[Hook, ...]
    before: Version | None = None  # not from this version on
    group: str = ""  # used only where this is asked for
    ignore: tuple[tuple[str, str], ...] = ()  # what begins with such a field is no request
    notes: str = ""
    attributes: tuple[str, ...] = field(default=())  # of its spans, for the documentation


MODULES = (
    "net_http_server",
    "net_http_client",
    "x_net_http2",
    "gin",
    "grpc_server",
    "grpc_client",
    "grpc_headers",
    "runtime",
)


def all_rules() -> list[Rule]:
    found: list[Rule] = []
    for name in MODULES:
        found += importlib.import_module(f"tracer.services.rules.{name}").RULES
    return found


def usable_functions() -> frozenset[str]:
    """Functions of all rules: a Go program that has none of them but those of runtime is no service that we know."""
    return frozenset(f for rule in all_rules() for hook in rule.hooks for f in hook.functions)
