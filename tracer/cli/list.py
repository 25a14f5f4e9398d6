# SPDX-License-Identifier: Apache-2.0
"""The functions of a Go program, one name a line; also of a stripped one. Needs no root."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from tracer.cli import options
from tracer.cli.parser import Namespace, Parser
from tracer.errors import TracerError, printable
from tracer.plan import FunctionName, PlannedFunction, Program, ReadOptions, Variables

EXAMPLES = """
gopherscope list -b ./server
# only some: * and ? are wild, between slashes stands a regular expression
gopherscope list -b ./server 'main.*' '*.ServeHTTP' '/^net/http\\.(Get|Post)/'
# with parameters and results, where they are declared, and how often the compiler has inlined them
gopherscope list -b ./server --long 'main.*'
# what a running process can be asked
sudo gopherscope list -p 1234 'main.*'
# with addresses, for a script
gopherscope list -b ./server -f jsonl
"""


def prepare_parser(parser: Parser) -> None:
    parser.examples = EXAMPLES
    parser.usage = "gopherscope list (-b FILE | -p PID) [--long] [PATTERN …]"
    options.add_file(parser)
    parser.add_argument(
        "-l",
        "--long",
        action="store_true",
        help="parameters and results, source file and line, inlined copies; also functions that only are inlined",
    )
    parser.add_argument(
        "-f",
        "--format",
        choices=("text", "jsonl"),
        default="text",
        help="names, or one JSON object a line: name, address (link address), size (bytes); with --long file, line, "
        "params, results, inlined_copies too",
    )
    parser.add_argument("pattern", nargs="*", metavar="PATTERN", help=options.PATTERN_HELP)


def run(args: Namespace) -> int:
    with Program(options.opened_by(args), debug_file=args.debug_file) as program:
        found = sorted(program.functions(args.pattern), key=lambda f: (f.name, f.entry))
        rows = _long(program, args.pattern, found) if args.long else _short(found)
        if args.format == "text":
            lines = (_text(row) for row in rows)
        else:
            lines = (json.dumps(row, ensure_ascii=False) for row in rows)
        empty = True
        for line in lines if args.format == "jsonl" else dict.fromkeys(lines):
            sys.stdout.write(line + "\n")
            empty = False
        if empty and args.pattern:
            raise program.nothing_matches(args.pattern)
    sys.stdout.flush()
    return 0


def _short(found: Sequence[FunctionName]) -> Iterator[dict[str, Any]]:
    for f in found:
        yield {"name": f.name, "address": f"{f.entry:#x}", "size": f.size}


def _long(program: Program, patterns: Sequence[str], found: Sequence[FunctionName]) -> Iterator[dict[str, Any]]:
    planned = _planned(program, patterns) if found else {}
    copies = _copies(program, patterns)
    for f in found:
        p = planned.get(f.entry)
        here = program.frames_at(f.entry)[-1:]
        file, line = (p.file, p.line) if p and p.file else (here[0].file, here[0].line) if here else ("", 0)
        yield {
            "name": f.name,
            "address": f"{f.entry:#x}",
            "size": f.size,
            "file": file or None,
            "line": line if file else None,
            "params": _variables(p.params) if p else None,
            "results": _variables(p.results) if p else None,
            "inlined_copies": None if copies is None else copies.pop(f.name, 0),
        }
    rest = {} if copies is None else dict(copies)
    for name in sorted(rest):
        row: dict[str, Any] = {"name": name, "address": None, "size": None, "file": None, "line": None}
        yield {**row, "params": None, "results": None, "inlined_copies": rest[name]}


def _planned(program: Program, patterns: Sequence[str]) -> dict[int, PlannedFunction]:
    """By address. Planning reads the debug information; its bound on the number of functions is the bound here."""
    matching = [p for p in patterns if any(True for _ in program.functions([p]))]
    with program.plan(matching or ["*"], [], ReadOptions(returns=False)) as plan:
        return {f.entry: f for f in plan.functions()}


def _copies(program: Program, patterns: Sequence[str]) -> Counter[str] | None:
    """Inlined copies by name; None where the file does not tell."""
    try:
        return Counter(copy.name for copy in program.inlined(patterns))
    except TracerError as e:
        if e.code != "not_found":
            raise
        return None


def _variables(v: Variables | None) -> list[dict[str, str]] | None:
    return None if v is None else [{"name": name, "type": type_} for name, type_ in v]


def _text(row: dict[str, Any]) -> str:
    if "file" not in row:
        return printable(row["name"])
    groups = [row["params"], row["results"]] if row["results"] else [row["params"]]
    signature = " ".join(
        "(…)" if group is None else "(" + ", ".join(f"{v['name']} {v['type']}" for v in group) + ")" for group in groups
    )
    line = printable(row["name"] + (signature if row["address"] else ""))
    if row["file"]:
        line += printable(f"  {row['file']}:{row['line']}")
    n = row["inlined_copies"]
    if n:
        line += f"  {'' if row['address'] else 'only '}{n} inlined"
    return line
