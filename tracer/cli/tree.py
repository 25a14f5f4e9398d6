# SPDX-License-Identifier: Apache-2.0
"""Calls of a set of functions as a tree by goroutine, with durations; each tree when its root has returned."""

from __future__ import annotations

from tracer.cli import options
from tracer.cli.parser import Namespace, Parser

TAKES_COMMAND = True
EXAMPLES = """
# what a request does, as far as these functions tell
sudo gopherscope tree -b ./server --func 'main.*' --func 'database/sql.(*DB).*'
# shape and times only
sudo gopherscope tree -p 1234 --func 'main.*' --no-args --no-results
"""


def prepare_parser(parser: Parser) -> None:
    parser.examples = EXAMPLES
    parser.usage = "gopherscope tree [-b FILE | -p PID] --func PATTERN [options] [-- COMMAND …]"
    what = parser.add_argument_group("what", options.COMMAND_HELP)
    options.add_binary(what)
    options.add_functions(what)
    options.add_targets(what)
    options.add_end(parser.add_argument_group("when it ends (else Ctrl-C)"))
    options.add_where(parser.add_argument_group("fewer calls"))
    options.add_values(parser.add_argument_group("what is read"), returns=False)
    out = parser.add_argument_group("output")
    out.add_argument("-o", "--output", metavar="FILE", help="write there instead of standard output")
    options.add_messages(out)
    options.add_kernel(parser.add_argument_group("kernel"))


def run(args: Namespace) -> int:
    from tracer.convert import traced_as_tree
    from tracer.options import TraceOptions

    options.check_targets(args)
    options.check_values(args)
    options.check_where(args)
    return traced_as_tree(
        TraceOptions(
            binary=args.binary,
            debug_file=args.debug_file,
            functions=tuple(args.func),
            excludes=tuple(args.exclude),
            pids=tuple(dict.fromkeys(args.pid)),
            command=tuple(args.command),
            duration=args.duration,
            max_calls=args.max_events,
            args=not args.no_args,
            expressions=tuple(args.expressions),
            where=args.where,
            mask=args.mask,
            results=not args.no_results,
            returns=True,
            string_size=args.string_size,
            depth=args.depth,
            elements=args.elements,
            raw_words=args.raw_words,
            output=args.output,
            buffer_size=args.buffer,
            buffer=options.choice("TRACER_BUFFER", options.BUFFERS),
            attach=options.choice("TRACER_ATTACH", options.ATTACHMENTS),
            quiet=args.quiet,
            verbose=args.verbose,
            force=args.force,
        )
    )
