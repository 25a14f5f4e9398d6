# SPDX-License-Identifier: Apache-2.0
"""Where functions would be probed, at what cost, what can be read there, and what not and why. Needs no root."""

from __future__ import annotations

import sys

from tracer.cli import options
from tracer.cli.parser import Namespace, Parser
from tracer.errors import EXIT_NOTHING, EXIT_OK, UsageError

EXAMPLES = """
gopherscope explain -b ./server main.handle
# what of a request could be read
gopherscope explain -b ./server net/http.serverHandler.ServeHTTP --args req.Method,req.URL.Path
# where the copies of a function that is inlined are
gopherscope explain -b ./server 'strings.HasPrefix' --copies 100
# for a script
gopherscope explain -b ./server 'main.*' -f jsonl
"""


def prepare_parser(parser: Parser) -> None:
    parser.examples = EXAMPLES
    parser.usage = "gopherscope explain (-b FILE | -p PID) [options] PATTERN …"
    options.add_file(parser)
    parser.add_argument("--exclude", action="append", default=[], metavar="PATTERN", help="but not these")
    options.add_values(parser.add_argument_group("what would be read"))
    parser.add_argument(
        "--copies",
        type=options.integer(0, 1 << 22),
        default=10,
        metavar="N",
        help="inlined copies of a function that are shown with their place, in text (10)",
    )
    parser.add_argument(
        "-f", "--format", choices=("text", "jsonl"), default="text", help="text, or one JSON object a line"
    )
    parser.add_argument("pattern", nargs="+", metavar="PATTERN", help=options.PATTERN_HELP)


def run(args: Namespace) -> int:
    from tracer.explain import explanations, show_json, show_text
    from tracer.plan import Program, ReadOptions

    options.check_values(args)
    if args.no_returns and args.durations:
        raise UsageError("--durations needs the returns that --no-returns leaves out")
    reading = ReadOptions(
        args=not args.no_args,
        results=not (args.no_results or args.no_returns),
        returns=not args.no_returns and (args.durations or not args.no_results),
        string_size=args.string_size,
        depth=args.depth,
        elements=args.elements,
        raw_words=args.raw_words,
        expressions=tuple(args.expressions),
    )
    with Program(options.opened_by(args), debug_file=args.debug_file) as program:
        found, why_no_values = explanations(program, args.pattern, args.exclude, reading)
        if args.format == "jsonl":
            show_json(found, sys.stdout)
        else:
            show_text(found, why_no_values, args.copies, sys.stdout)
    sys.stdout.flush()
    return EXIT_OK if any(not e.refused for e in found) else EXIT_NOTHING
