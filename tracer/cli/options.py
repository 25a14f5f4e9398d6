# SPDX-License-Identifier: Apache-2.0
"""Options that more than one verb has, declared once, and the types of their values."""

from __future__ import annotations

import argparse
import math
import os
import re
from typing import Callable, Union

from tracer.errors import UsageError

# What a plan and a record can hold (offsets/plan.h, bpf_c/record.h); more is refused here, with the bound.
STRING_SIZE_MAX = 4096
DEPTH_MAX = 16
ELEMENTS_MAX = 4096
BUFFER_MIN, BUFFER_MAX = 4096, 1 << 31  # a ring buffer's length is a 32-bit power of two
DURATION_MAX = 10 * 365 * 86400.0
EVENTS_MAX = (1 << 63) - 1

# The command is not an argument to argparse: it is cut off before (tracer.cli.run), whatever it looks like.
COMMAND_HELP = """\
-- COMMAND …    run it and trace it from its first instruction; the trace ends with it. Without -b its
                file is the binary. Where -b is another file (the command is a script, say), every
                process of that file is traced while the command runs."""

BUFFERS = ("ring", "perf")
ATTACHMENTS = ("multi", "perf")

_SIZE = re.compile(r"(\d+)\s*([kKmMgG]?)(?:i?[bB])?", re.ASCII)
_SIZE_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(ms|s|m|h)?", re.ASCII)
_DURATION_UNITS = {None: 1.0, "s": 1.0, "ms": 0.001, "m": 60.0, "h": 3600.0}

Container = Union[argparse.ArgumentParser, argparse._ArgumentGroup]


def size(text: str) -> int:
    """Bytes: 4096, 64k, 256M, 1G (powers of 1024)."""
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is no size: a number with k, M or G, like 256M")
    value = int(match[1]) * _SIZE_UNITS[match[2].lower()]
    if not BUFFER_MIN <= value <= BUFFER_MAX:
        raise argparse.ArgumentTypeError(f"{text!r}: between 4k and 2G")
    return value


def duration(text: str) -> float:
    """Seconds: 5, 0.5, 500ms, 2m, 1h."""
    match = _DURATION.fullmatch(text.strip())
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration: seconds, or a number with ms, s, m or h")
    value = float(match[1]) * _DURATION_UNITS[match[2]]
    if not 0 < value <= DURATION_MAX or not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r}: longer than nothing and at most ten years")
    return value


def integer(low: int, high: int) -> Callable[[str], int]:
    """A decimal number within bounds."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"\d{1,20}", text, re.ASCII):
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number")
        value = int(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text}: between {low} and {high}")
        return value

    return parse


def choice(variable: str, values: tuple[str, ...]) -> str:
    """What an environment variable chooses; "" where it is not set."""
    value = os.environ.get(variable, "")
    if value and value not in values:
        raise UsageError(f"{variable}={value!r}: one of {', '.join(values)}")
    return value


def check_targets(args: argparse.Namespace) -> None:
    """--func, and one of -b, -p and COMMAND, that fit together."""
    if not args.func:
        raise UsageError("which function? --func PATTERN is missing", hint="`gopherscope list -b FILE` shows them")
    if not (args.binary or args.pid or args.command):
        raise UsageError("which program? give -b FILE, -p PID or -- COMMAND")
    if args.pid and args.command:
        raise UsageError("-p and -- COMMAND exclude each other", hint="-b FILE alone traces every process of it")
    for pattern in [*args.func, *args.exclude]:
        if not pattern or "\0" in pattern:
            raise UsageError("an empty pattern matches nothing")


def add_binary(parser: Container, required: bool = False) -> None:
    parser.add_argument(
        "-b",
        "--binary",
        metavar="FILE",
        required=required,
        help="the Go program's file; not changed, not run",
    )
    parser.add_argument(
        "--debug-file",
        metavar="FILE",
        help="where the debug information of a stripped program was kept; found by itself in the places where gdb "
        "looks (its .gnu_debuglink, /usr/lib/debug/.build-id)",
    )


PATTERN_HELP = "a name, a pattern with * and ?, or /REGEX/ (POSIX extended, found anywhere in the name)"


def opened_by(args: argparse.Namespace) -> str:
    """The file that -b names, or that the process of -p runs."""
    from tracer.processes import binary_of

    if (args.binary is None) == (args.pid is None):
        raise UsageError("which program? give either -b FILE or -p PID")
    return str(args.binary) if args.pid is None else binary_of(args.pid)


def add_file(parser: Container) -> None:
    """-b or -p, for verbs that only read the file."""
    add_binary(parser)
    parser.add_argument("-p", "--pid", type=integer(1, 1 << 22), metavar="PID", help="the file that this process runs")


def add_functions(parser: Container) -> None:
    parser.add_argument(
        "--func",
        action="append",
        default=[],
        metavar="PATTERN",
        help="function to trace: its name, a pattern with * and ?, or /REGEX/; again for more. `list` shows the names",
    )
    parser.add_argument(
        "--exclude", action="append", default=[], metavar="PATTERN", help="but not these; again for more"
    )


def add_targets(parser: Container) -> None:
    parser.add_argument(
        "-p",
        "--pid",
        action="append",
        default=[],
        type=integer(1, (1 << 22)),
        metavar="PID",
        help="only this process; again for more. Without -b its own file is the binary",
    )


def add_end(parser: Container) -> None:
    parser.add_argument(
        "-d", "--duration", type=duration, metavar="TIME", help="end after this time: 5 (seconds), 500ms, 2m"
    )
    parser.add_argument(
        "-M",
        "--max-events",
        type=integer(1, EVENTS_MAX),
        metavar="N",
        help="end after N calls and their returns",
    )


def one_of(text: str) -> int:
    """1/N: N."""
    match = re.fullmatch(r"1/(\d{1,9})", text.strip(), re.ASCII)
    if not match or int(match[1]) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: one call of how many? like 1/100")
    return int(match[1])


def add_thinning(parser: Container) -> None:
    parser.add_argument(
        "--sample", type=one_of, metavar="1/N", help="one call of N, with its return; the others are counted"
    )
    parser.add_argument(
        "--max-rate", type=integer(1, 1 << 32), metavar="N", help="at most N calls a second; the others are counted"
    )


def add_where(parser: Container) -> None:
    parser.add_argument(
        "--where",
        metavar="EXPR",
        help="only calls of which this is true: 'n > 10 && name == \"bob\" && !ok'. On arguments, results, fields, "
        "len(), nil, and pid, goid, duration (10ms); what it asks of arguments is decided in the kernel",
    )


def check_where(args: argparse.Namespace) -> None:
    if args.where is not None and "\0" in args.where:
        raise UsageError("a condition holds no NUL byte")


def add_values(parser: Container, returns: bool = True) -> None:
    """returns: they can be left out."""
    parser.add_argument(
        "--args",
        action="append",
        default=[],
        dest="expressions",
        metavar="EXPR[, …]",
        help="read only this of the arguments (or results): r.URL.Path, len(s), xs[:8].Name, *p; again for more",
    )
    parser.add_argument("--no-args", action="store_true", help="do not read arguments")
    if returns:
        parser.add_argument(
            "--no-results",
            action="store_true",
            help="do not read results; returns are not probed then, which makes a call several times cheaper",
        )
        parser.add_argument(
            "--durations",
            action="store_true",
            help="with --no-results: probe returns all the same, for durations",
        )
        parser.add_argument("--no-returns", action="store_true", help="calls only: no results, no durations")
    else:
        parser.add_argument("--no-results", action="store_true", help="do not read results")
    parser.add_argument(
        "--raw-words",
        action="store_true",
        help="of functions without debug information (stripped files), show the words that may be their arguments",
    )
    parser.add_argument(
        "-Z",
        "--string-size",
        type=integer(0, STRING_SIZE_MAX),
        default=256,
        metavar="BYTES",
        help="most that is read of a string (256)",
    )
    parser.add_argument(
        "--depth",
        type=integer(0, DEPTH_MAX),
        default=2,
        metavar="N",
        help="pointers followed one behind another (2)",
    )
    parser.add_argument(
        "--elements",
        type=integer(0, ELEMENTS_MAX),
        default=64,
        metavar="N",
        help="most elements read of an array, slice or map (64)",
    )
    parser.add_argument(
        "--mask",
        metavar="REGEX",
        help='show "***" instead of what has such a name (parameter, field, key), in any letter case: password|token',
    )


STACK_FRAMES_MAX = 127  # what the kernel follows
STACK_FRAMES = 32


def add_stack(parser: Container) -> None:
    parser.add_argument(
        "-s",
        "--stack",
        nargs="?",
        type=integer(1, STACK_FRAMES_MAX),
        const=STACK_FRAMES,
        default=0,
        metavar="N",
        help=f"with each call and return who called: at most N frames ({STACK_FRAMES}), inlined ones included",
    )


def check_values(args: argparse.Namespace) -> None:
    """Raise for options of add_values() that exclude each other."""
    if args.expressions and args.no_args:
        raise UsageError("--args and --no-args exclude each other")
    if any("\0" in text for text in [*args.expressions, args.mask or ""]):
        raise UsageError("an expression holds no NUL byte")


RECORDING_SUFFIX = ".gscope"


def add_output(parser: Container) -> None:
    from tracer.writers import FORMATS

    made = "; ".join(f"{name}: {what}" for name, what in FORMATS.items())
    parser.add_argument(
        "-f",
        "--format",
        choices=("text", "jsonl", "gscope", *FORMATS),
        metavar="FORMAT",
        help="text; jsonl: one JSON object a line; gscope: a recording, of which `report` makes any format (also by "
        f"-o NAME{RECORDING_SUFFIX}); {made}",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="write events there instead of standard output; made readable by you only. - is standard output",
    )
    parser.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        help="colours in text (auto: on a terminal)",
    )


def chosen_format(args: argparse.Namespace) -> str:
    """-f, else by the name of -o, else text. A recording is no text: not for a terminal."""
    name = args.format or ("gscope" if str(args.output or "").endswith(RECORDING_SUFFIX) else "text")
    if name in ("gscope", "pprof") and args.output in (None, "-") and os.isatty(1):
        raise UsageError(f"-f {name} is not for a terminal", hint="name a file with -o")
    return str(name)


def add_kernel(parser: Container) -> None:
    parser.add_argument(
        "--buffer",
        type=size,
        default=size("16M"),
        metavar="SIZE",
        help="room for events that are not yet printed: 64k, 256M (16M)",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="probe more than 200 places also where the kernel takes probes away one by one (0.1 s each)",
    )


def add_messages(parser: Container) -> None:
    parser.add_argument("-q", "--quiet", action="store_true", help="no start line, warnings, summary on stderr")
    parser.add_argument("-v", "--verbose", action="store_true", help="say more on stderr: times, every warning")
