# SPDX-License-Identifier: Apache-2.0
"""Who calls the functions: stacks, counted in the kernel, the most frequent first."""

from __future__ import annotations

from tracer.cli import options, sums
from tracer.cli.parser import Namespace, Parser

TAKES_COMMAND = True
FRAMES_MAX = 128
EXAMPLES = """
sudo gopherscope stack -b ./server --func main.query
# the five most frequent, three frames of each
sudo gopherscope stack -p 1234 --func runtime.mallocgc -d 5 --top 5 -s 3
# for a flame graph
sudo gopherscope stack -b ./server --func main.query -d 10 -f folded -o query.folded
"""


def prepare_parser(parser: Parser) -> None:
    parser.examples = EXAMPLES
    sums.prepare_parser(parser, "stack", ("text", "jsonl", "folded"))
    group = parser.add_argument_group("stack")
    group.add_argument("--top", type=options.integer(1, 1 << 20), metavar="N", help="only the N most frequent")
    group.add_argument(
        "-s", "--frames", type=options.integer(1, FRAMES_MAX), default=FRAMES_MAX, metavar="N", help="frames of each"
    )


def run(args: Namespace) -> int:
    from tracer.sums import StackShown

    return sums.run(args, "stack", False, lambda out: StackShown(out, args.format, args.quiet, args.top, args.frames))
