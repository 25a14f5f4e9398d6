# SPDX-License-Identifier: Apache-2.0
"""The manual page, made of the parsers: `python -m tracer.manual` writes gopherscope.1 to standard output."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

from tracer import __version__, cli, errors
from tracer.cli.parser import Parser

ABOUT = """\
gopherscope shows what a running Go program does, from outside: each call of the functions that are named, with its
arguments and results, its goroutine and its duration. The program is not changed, not restarted, and needs no agent
in it. Probes are put on its file with BCC (eBPF), which takes root; verbs that only read files do not."""

EXITS = (
    (errors.EXIT_OK, "traced, and ended normally: Ctrl-C, -d, -M, the target's end, a closed pipe"),
    (
        errors.EXIT_FAILED,
        "no privilege; the kernel refuses; output failed; loss with --fail-on-loss; a rewrite that was refused, not "
        "confirmed, not written, or not told of, also because of a closed pipe",
    ),
    (errors.EXIT_USAGE, "usage: a wrong flag or expression, a file that is missing or unreadable"),
    (
        errors.EXIT_NOTHING,
        "nothing to trace: not ELF, not Go, another architecture, no function matches, only inlined, the pid is not "
        "that binary",
    ),
    (errors.EXIT_INTERRUPTED, "second Ctrl-C"),
)

ENVIRONMENT = (
    ("TRACER_ATTACH", "multi or perf: how probes are attached, instead of what this kernel does best."),
    ("TRACER_BUFFER", "ring or perf: how events arrive."),
    ("GOPHERSCOPE_CACHE", "off: keep nothing of what was compiled and planned, and use nothing that was kept."),
    ("GOPHERSCOPE_DEBUG_FOLDER", "where debug information of stripped programs is kept, instead of /usr/lib/debug."),
)

FILES = (("/var/cache/gopherscope", "what was compiled and planned for root; others have it in ~/.cache/gopherscope."),)


def escaped(text: str) -> str:
    """Text for a roff line: nothing in it is a request, an escape or a hyphen where a line may break."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    text = "".join(c if c.isascii() else f"\\[u{ord(c):04X}]" for c in text)
    return "\n".join("\\&" + line if line[:1] in (".", "'") else line for line in text.split("\n"))


def _paragraph(text: str) -> Iterator[str]:
    yield ".PP"
    yield escaped(" ".join(text.split()))


def _literal(lines: list[str]) -> Iterator[str]:
    yield ".PP"
    yield ".nf"
    yield ".RS 4"
    yield from (escaped(line) for line in lines)
    yield ".RE"
    yield ".fi"


def _terms(rows: tuple[tuple[object, str], ...]) -> Iterator[str]:
    for term, text in rows:
        yield ".TP"
        yield f".B {escaped(str(term))}"
        yield escaped(" ".join(text.split()))


def value_of(action: argparse.Action) -> str:
    """How an option's value is called in its help: "FILE", "{text,json}", "[N]"; "" where it takes none."""
    if action.nargs == 0:
        return ""
    name = action.metavar if isinstance(action.metavar, str) else None
    if name is None:
        name = "{" + ",".join(map(str, action.choices)) + "}" if action.choices else action.dest.upper()
    return f"[{name}]" if action.nargs == "?" else f"{name} …" if action.nargs in ("*", "+") else name


def _action(action: argparse.Action) -> Iterator[str]:
    yield ".TP"
    value = value_of(action)
    names = ", ".join(f"\\fB{escaped(name)}\\fR" for name in action.option_strings)
    yield f"{names} \\fI{escaped(value)}\\fR".strip() if names and value else names or f"\\fI{escaped(value)}\\fR"
    yield escaped(" ".join((action.help or "").replace("%%", "%").split()))


def _verb(verb: str, parser: Parser) -> Iterator[str]:
    yield f".SS {escaped(verb)}"
    yield escaped((parser.usage or parser.format_usage().removeprefix("usage: ")).strip())
    yield from _paragraph(parser.description or "")
    yield from _literal(parser.examples.strip().splitlines())
    for group in parser._action_groups:
        actions = [a for a in group._group_actions if a.help != argparse.SUPPRESS]
        if not actions:
            continue
        if group.title not in ("positional arguments", "options", "optional arguments"):
            yield ".PP"
            yield f"\\fI{escaped(group.title or '')}\\fR"
        if group.description:
            yield from _literal(group.description.splitlines())
        for action in actions:
            yield from _action(action)


def page() -> str:
    """gopherscope.1, as roff with the man macros."""
    lines = [
        '.\\" Made of the parser by tracer/manual.py.',
        f'.TH GOPHERSCOPE 1 "" "gopherscope {__version__}" "User Commands"',
        ".SH NAME",
        "gopherscope \\- trace the functions of running Go programs",
        ".SH SYNOPSIS",
    ]
    for verb in cli.VERBS:
        usage = cli.make_parser(verb).usage or f"gopherscope {verb} [options]"
        lines += [".br", escaped(usage)] if verb != cli.DEFAULT_VERB else [escaped(usage)]
    lines += [".SH DESCRIPTION", escaped(" ".join(ABOUT.split()))]
    lines += [*_terms(tuple(cli.VERBS.items()))]
    lines += [".SH VERBS"]
    for verb in cli.VERBS:
        lines += _verb(verb, cli.make_parser(verb))
    lines += [".SH EXIT STATUS", *_terms(EXITS)]
    lines += [*_paragraph("The status of a COMMAND is told on standard error, not returned.")]
    lines += [".SH ENVIRONMENT", *_terms(ENVIRONMENT)]
    lines += [".SH FILES", *_terms(FILES)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
