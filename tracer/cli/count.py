# SPDX-License-Identifier: Apache-2.0
"""How often each function is called. The kernel counts; nothing else is read, so it is as cheap as a probe can be."""

from __future__ import annotations

from tracer.cli import options, sums
from tracer.cli.parser import Namespace, Parser

TAKES_COMMAND = True
EXAMPLES = """
# every function of the package main, until Ctrl-C
sudo gopherscope count -b ./server --func 'main.*'
# what came in each second, the ten busiest
sudo gopherscope count -p 1234 --func 'net/http.*' -i 1 --top 10
# a whole run of a program
sudo gopherscope count --func 'main.*' -- ./job input.txt
"""


def prepare_parser(parser: Parser) -> None:
    parser.examples = EXAMPLES
    sums.prepare_parser(parser, "count", ("text", "jsonl"))
    group = parser.add_argument_group("count")
    group.add_argument(
        "-i", "--interval", type=options.duration, metavar="TIME", help="show this often what came since"
    )
    group.add_argument("--top", type=options.integer(1, 1 << 20), metavar="N", help="only the N busiest")
    group.add_argument("--zeros", action="store_true", help="functions without a call too")


def run(args: Namespace) -> int:
    from tracer.sums import CountShown

    return sums.run(
        args,
        "count",
        False,
        lambda out: CountShown(out, args.format == "jsonl", args.quiet, args.interval, args.top, args.zeros),
    )
