# SPDX-License-Identifier: Apache-2.0
"""The command line: one module per verb, each with prepare_parser(parser) and run(args) -> int.

`trace` is the verb where the first argument names none. Errors become exit codes here, in main(), and nowhere
else. (No list() in this file: once the verb of that name is imported, the word means its module here.)
"""

from __future__ import annotations

import difflib
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import Protocol, cast

from tracer import __version__
from tracer.cli.parser import Namespace, Parser
from tracer.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, TracerError, UsageError, printable_lines

PROGRAM = "gopherscope"
DEFAULT_VERB = "trace"

# Verb → what it does in one line. The module of the same name is imported only when it is asked for.
VERBS = {
    "trace": "print each call of the functions, with arguments and results (the verb where none is given)",
    "count": "how often each function is called, summed in the kernel",
    "hist": "how long calls take: a histogram and percentiles of each function, summed in the kernel",
    "stack": "who calls the functions: stacks, counted in the kernel",
    "tree": "calls of a set of functions as a tree, with durations",
    "services": "requests of the Go services on this machine as spans and metrics",
    "rewrite": "change arguments and results of a running program",
    "report": "a recording in any format",
    "list": "the functions of a Go program",
    "explain": "where functions would be probed, at what cost, what can be read, and what not and why",
    "doctor": "what this kernel allows, each by trying it, and what follows",
}


class Verb(Protocol):
    """What a module in this package offers."""

    def prepare_parser(self, parser: Parser) -> None: ...

    def run(self, args: Namespace) -> int: ...


def verb_module(name: str) -> Verb:
    return cast(Verb, importlib.import_module(f"tracer.cli.{name}"))


def make_parser(verb: str) -> Parser:
    """The parser of one verb, its options declared. Its help starts with examples."""
    module = verb_module(verb)
    shown = f"[{verb}]" if verb == DEFAULT_VERB else verb
    parser = Parser(prog=f"{PROGRAM} {shown}", description=VERBS[verb].capitalize() + ".")
    parser.add_argument("-V", "--version", action="version", version=f"{PROGRAM} {__version__}")
    module.prepare_parser(parser)
    if verb == DEFAULT_VERB:
        verbs = "\n".join(f"  {name:<8} {what}" for name, what in VERBS.items())
        parser.epilog = f"verbs:\n{verbs}\n`{PROGRAM} VERB --help` shows the options of one."
    return parser


def split_verb(argv: Sequence[str]) -> tuple[str, list[str]]:
    """(verb, its arguments)."""
    if not argv or argv[0].startswith("-"):
        return DEFAULT_VERB, [*argv]
    if argv[0] in VERBS:
        return argv[0], [*argv[1:]]
    near = [] if "/" in argv[0] else difflib.get_close_matches(argv[0], VERBS, n=1)
    hint = f"did you mean `{near[0]}`?" if near else "a program to trace is given with -b FILE, or after --"
    raise UsageError(f"unknown verb {argv[0]!r}", hint)


def split_command(argv: Sequence[str]) -> tuple[list[str], list[str] | None]:
    """What stands before and after the first `--`; None without one."""
    if "--" not in argv:
        return [*argv], None
    at = argv.index("--")
    return [*argv[:at]], [*argv[at + 1 :]]


def run(argv: Sequence[str]) -> int:
    """Parse and run. Raises what goes wrong."""
    verb, rest = split_verb(argv)
    parser = make_parser(verb)
    if verb == DEFAULT_VERB and not rest:
        parser.print_help(sys.stderr)
        return 2
    if getattr(verb_module(verb), "TAKES_COMMAND", False):
        rest, command = split_command(rest)
        if command == []:
            raise UsageError("no command after `--`")
        args = parser.parse_args(rest)
        args.command = command or []
    else:
        args = parser.parse_args(rest)
    return verb_module(verb).run(args)


def complain(message: str, hint: str | None = None, place: str = "") -> None:
    """An error for people, on stderr, which may be closed as well."""
    parts = [f"error: {message}", *([place] if place else []), *([f"hint: {hint}"] if hint else [])]
    try:
        sys.stderr.write(printable_lines("\n".join(parts)) + "\n")
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        pass


def _silence_stdout() -> None:
    """After the reader went away, the interpreter's own flush at the end must not complain."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)
    os.close(devnull)


def _take_every_character() -> None:
    """Where the terminal's encoding lacks one, it is escaped: names in Go are UTF-8, and our own words have arrows."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code of one command line; the only place where errors turn into one."""
    _take_every_character()
    try:
        status = run(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
        return status
    except TracerError as e:
        complain(e.message, e.hint, e.place)
        return e.exit_code
    except BrokenPipeError:
        _silence_stdout()
        return EXIT_OK
    except OSError as e:
        # an output that cannot take more; what reads and opens files has said so in its own words
        complain(e.strerror or str(e))
        _silence_stdout()
        return EXIT_FAILED
    except MemoryError as e:
        complain(str(e) or "out of memory")
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
