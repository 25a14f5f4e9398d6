# SPDX-License-Identifier: Apache-2.0
"""What `count`, `hist` and `stack` have in common on the command line."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Callable, TextIO

from tracer import output
from tracer.cli import options
from tracer.cli.parser import Namespace, Parser

if TYPE_CHECKING:
    from tracer.session import Sums


def prepare_parser(parser: Parser, verb: str, formats: tuple[str, ...]) -> None:
    parser.usage = f"gopherscope {verb} [-b FILE | -p PID] --func PATTERN [options] [-- COMMAND …]"
    what = parser.add_argument_group("what", options.COMMAND_HELP)
    options.add_binary(what)
    options.add_functions(what)
    options.add_targets(what)
    options.add_end(parser.add_argument_group("when it ends (else Ctrl-C)"))
    options.add_where(parser.add_argument_group("fewer calls"))
    out = parser.add_argument_group("output")
    out.add_argument("-f", "--format", choices=formats, default="text", help="text, or one JSON object a line")
    out.add_argument("-o", "--output", metavar="FILE", help="write there instead of standard output")
    options.add_messages(out)
    out.add_argument("--fail-on-loss", action="store_true", help="exit with 1 if something was not counted")
    out.add_argument("--ebpf", action="store_true", help="show the BPF program's source, and end")
    parser.add_argument_group("kernel").add_argument(
        "--force",
        action="store_true",
        help="probe more than 200 places also where the kernel takes probes away one by one (0.1 s each)",
    )


def run(args: Namespace, mode: str, returns: bool, make: Callable[[TextIO], Sums]) -> int:
    from tracer.options import TraceOptions
    from tracer.session import trace

    options.check_targets(args)
    options.check_where(args)
    with ExitStack() as stack:
        fd = stack.enter_context(output.opened(args.output))
        out = stack.enter_context(os.fdopen(os.dup(fd), "w", encoding="utf-8", errors="backslashreplace"))
        return trace(
            TraceOptions(
                mode=mode,
                binary=args.binary,
                debug_file=args.debug_file,
                functions=tuple(args.func),
                excludes=tuple(args.exclude),
                pids=tuple(dict.fromkeys(args.pid)),
                command=tuple(args.command),
                duration=args.duration,
                max_calls=args.max_events,
                args=False,
                results=False,
                returns=returns,
                where=args.where,
                by=getattr(args, "by", None),
                split=getattr(args, "split", False),
                attach=options.choice("TRACER_ATTACH", options.ATTACHMENTS),
                quiet=args.quiet,
                verbose=args.verbose,
                fail_on_loss=args.fail_on_loss,
                force=args.force,
                show_program=args.ebpf,
            ),
            make(out),
        )
