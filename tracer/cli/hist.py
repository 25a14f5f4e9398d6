# SPDX-License-Identifier: Apache-2.0
"""How long calls take, from entry to return: a histogram of each function and its percentiles, summed in the kernel."""

from __future__ import annotations

from tracer.cli import options, sums
from tracer.cli.parser import Namespace, Parser
from tracer.errors import UsageError

TAKES_COMMAND = True
EXAMPLES = """
sudo gopherscope hist -b ./server --func main.handle
# apart for each method
sudo gopherscope hist -b ./server --func net/http.serverHandler.ServeHTTP --by req.Method
# ten seconds of one process, for a script
sudo gopherscope hist -p 1234 --func 'main.*' -d 10 -f jsonl
# is it slow because it works, or because it waits?
sudo gopherscope hist -b ./server --func main.handle --split
"""


def prepare_parser(parser: Parser) -> None:
    parser.examples = EXAMPLES
    sums.prepare_parser(parser, "hist", ("text", "jsonl"))
    group = parser.add_argument_group("hist")
    group.add_argument(
        "--by",
        metavar="EXPR",
        help="split by the value of an expression: an integer, a bool (also a condition: err != nil) or a string, by "
        "its first 32 bytes and its length. At most 256 values; the rest is summed as one",
    )
    group.add_argument(
        "--split",
        action="store_true",
        help="also how much of that time calls were on a CPU, waited for one, and were blocked. Costs a probe at each "
        "change of a goroutine's state and a look at each switch of threads on the machine; the end says how many",
    )
    group.add_argument("--top", type=options.integer(1, 1 << 20), metavar="N", help="only the N longest in all")
    parser.description = (
        "How long calls take, from entry to return: a histogram of each function, summed in the kernel.\n"
        "Durations are kept in classes that are at most 1/8 wide, so percentiles are that exact; the longest\n"
        "is exact. Calls left by a panic have no duration."
    )


def run(args: Namespace) -> int:
    from tracer.sums import HistShown

    if args.by is not None and "\0" in args.by:
        raise UsageError("an expression holds no NUL byte")
    return sums.run(
        args,
        "hist",
        True,
        lambda out: HistShown(out, args.format == "jsonl", args.quiet, args.by, args.top, args.split),
    )
