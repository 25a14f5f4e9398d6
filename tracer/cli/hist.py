# SPDX-License-Identifier: Apache-2.0
"""How long calls take, from entry to return: a histogram of each function and its percentiles, summed in the kernel."""

from __future__ import annotations

from tracer.cli import sums
from tracer.cli.parser import Namespace, Parser

TAKES_COMMAND = True
EXAMPLES = """
sudo gopherscope hist -b ./server --func main.handle
# ten seconds of one process, for a script
sudo gopherscope hist -p 1234 --func 'main.*' -d 10 -f jsonl
"""


def prepare_parser(parser: Parser) -> None:
    parser.examples = EXAMPLES
    sums.prepare_parser(parser, "hist", ("text", "jsonl"))
    parser.description = (
        "How long calls take, from entry to return: a histogram of each function, summed in the kernel.\n"
        "Durations are kept in classes that are at most 1/8 wide, so percentiles are that exact; the longest\n"
        "is exact. Calls left by a panic have no duration."
    )


def run(args: Namespace) -> int:
    from tracer.sums import HistShown

    return sums.run(args, "hist", True, lambda out: HistShown(out, args.format == "jsonl", args.quiet))
