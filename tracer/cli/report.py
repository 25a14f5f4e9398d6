# SPDX-License-Identifier: Apache-2.0
"""A recording (trace -o FILE.gscope) in any format. Needs no root, and not the program that was traced."""

from __future__ import annotations

import os

from tracer import output
from tracer.cli import options
from tracer.cli.parser import Namespace, Parser

EXAMPLES = """
sudo gopherscope -b ./server --func 'main.*' -o run.gscope
gopherscope report run.gscope
# a timeline for Perfetto
gopherscope report run.gscope -f chrome -o run.json
# where time went, by traced callers
gopherscope report run.gscope -f pprof -o run.pb.gz
"""


def prepare_parser(parser: Parser) -> None:
    from tracer.writers import FORMATS

    parser.examples = EXAMPLES
    parser.usage = "gopherscope report FILE [-f FORMAT] [-o FILE]"
    made = "; ".join(f"{name}: {what}" for name, what in FORMATS.items())
    parser.add_argument("file", metavar="FILE", help="the recording")
    parser.add_argument(
        "-f",
        "--format",
        choices=("text", "jsonl", "tree", *FORMATS),
        default="text",
        metavar="FORMAT",
        help=f"text; jsonl: one JSON object a line; tree: calls by goroutine, indented; {made}",
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="write there instead of standard output")
    parser.add_argument(
        "--color", choices=("auto", "always", "never"), default="auto", help="colours in text (auto: on a terminal)"
    )
    options.add_messages(parser)


def run(args: Namespace) -> int:
    from tracer.convert import convert
    from tracer.recording import Recording
    from tracer.report import Messages

    with Recording(args.file) as recording:
        if args.format in ("text", "jsonl"):
            with output.opened(args.output) as fd:
                recording.write(args.format, fd, args.color)
        elif args.format == "tree":
            from tracer.writers import tree

            with (
                output.opened(args.output) as fd,
                os.fdopen(os.dup(fd), "w", encoding="utf-8", errors="replace") as out,
            ):
                tree.write_text(recording.events(), out)
        else:
            convert(recording, args.format, args.output, args.quiet)
        if recording.summary:
            Messages(quiet=args.quiet, verbose=args.verbose).summary(recording.summary)
    return 0
