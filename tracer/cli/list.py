# SPDX-License-Identifier: Apache-2.0
"""The functions of a Go program, one name a line; also of a stripped one. Needs no root."""

from __future__ import annotations

import json
import sys

from tracer.cli import options
from tracer.cli.parser import Namespace, Parser
from tracer.errors import UsageError, printable
from tracer.plan import Program
from tracer.processes import binary_of

EXAMPLES = """
gopherscope list -b ./server
# only some: * and ? are wild
gopherscope list -b ./server 'main.*' '*.ServeHTTP'
# what a running process can be asked
sudo gopherscope list -p 1234 'main.*'
# with addresses, for a script
gopherscope list -b ./server -f jsonl
"""


def prepare_parser(parser: Parser) -> None:
    parser.examples = EXAMPLES
    parser.usage = "gopherscope list (-b FILE | -p PID) [PATTERN …]"
    options.add_binary(parser)
    parser.add_argument(
        "-p", "--pid", type=options.integer(1, 1 << 22), metavar="PID", help="the file that this process runs"
    )
    parser.add_argument(
        "-f",
        "--format",
        choices=("text", "jsonl"),
        default="text",
        help="names, or one JSON object a line: name, address (link address), size (bytes)",
    )
    parser.add_argument("pattern", nargs="*", metavar="PATTERN", help="a name, or a pattern with * and ?")


def run(args: Namespace) -> int:
    if (args.binary is None) == (args.pid is None):
        raise UsageError("which program? give either -b FILE or -p PID")
    path = args.binary if args.pid is None else binary_of(args.pid)
    with Program(path, debug_file=args.debug_file) as program:
        found = sorted(program.functions(args.pattern), key=lambda f: (f.name, f.entry))
        if not found and args.pattern:
            raise program.nothing_matches(args.pattern)
        if args.format == "text":
            names = dict.fromkeys(f.name for f in found)
            sys.stdout.writelines(f"{printable(name)}\n" for name in names)
        else:
            for f in found:
                row = {"name": f.name, "address": f"{f.entry:#x}", "size": f.size}
                sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")
    sys.stdout.flush()
    return 0
