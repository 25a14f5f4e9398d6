# SPDX-License-Identifier: Apache-2.0
"""Change arguments and results of a running program."""

from __future__ import annotations

import sys

from tracer.cli import options
from tracer.cli.parser import Namespace, Parser
from tracer.errors import EXIT_OK, UsageError, printable

EXAMPLES = """
# what would be written, where; needs no root
gopherscope rewrite -b ./tracee --func main.ebpfDemo --set a1=2021 --dry-run
# the next ten calls of one process get other arguments
sudo gopherscope rewrite -p 1234 --func main.ebpfDemo --set a1=2021,a2=false --max-changes 10
# what a function returns; what is behind a pointer
sudo gopherscope rewrite -p 1234 --func main.limit --set-result 'r1=7'
sudo gopherscope rewrite -p 1234 --func main.handle --set 'req.Retries=0'
# the function returns at once, its body does not run
sudo gopherscope rewrite -p 1234 --func main.save --skip r1=0,err=nil
# only the calls that a condition is true of
sudo gopherscope rewrite -p 1234 --func main.handle --set 'req.Retries=0' --where 'req.Method == "PUT"'
# one call of ten fails with an error that the program has
sudo gopherscope rewrite -p 1234 --func main.read --fail err=io.ErrUnexpectedEOF --rate 1/10
gopherscope rewrite -b ./server --list-errors
"""

TAKES_COMMAND = True


def prepare_parser(parser: Parser) -> None:
    parser.examples = EXAMPLES
    parser.usage = "gopherscope rewrite [-b FILE | -p PID] --func NAME --set … [options] [-- COMMAND …]"
    parser.description = (
        "Change arguments and results of a running program. Nothing is changed without --yes or a yes at the\n"
        "terminal, and nothing any more when this ends, however it ends. It makes no call slower on purpose."
    )
    what = parser.add_argument_group("what", options.COMMAND_HELP)
    options.add_binary(what)
    what.add_argument(
        "--func", action="append", default=[], metavar="NAME", help="the function; `list` shows the names"
    )
    options.add_targets(what)
    what.add_argument(
        "--all-processes", action="store_true", help="every process of the file, also those that start later"
    )
    what.add_argument("--list-errors", action="store_true", help="the variables that --fail can use, and end")
    how = parser.add_argument_group(
        "changes",
        "Numbers, true, false, strings, nil; checked against the Go type. A place is an argument or what it leads\n"
        "to: a1, req.Method, p.Items[2], *p. An error is set to nil or to a variable of the program.",
    )
    how.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PLACE=VALUE[, …]",
        help="an argument, at the call; again for more",
    )
    how.add_argument(
        "--set-result",
        action="append",
        default=[],
        metavar="PLACE=VALUE[, …]",
        help="a result, at the return; again for more",
    )
    how.add_argument(
        "--skip",
        nargs="?",
        const="",
        metavar="RESULT=VALUE[, …]",
        help="return at once with these results, the others being zero; the body does not run",
    )
    how.add_argument(
        "--fail", metavar="RESULT=VARIABLE", help="an error among the results, like err=io.ErrUnexpectedEOF"
    )
    options.add_where(how)
    how.add_argument("--rate", type=options.one_of, metavar="1/N", help="one call of N, the first of them")
    how.add_argument(
        "-M",
        "--max-changes",
        type=options.integer(1, options.EVENTS_MAX),
        metavar="N",
        help="end after N changes: of a call whose arguments and results are set, each is one",
    )
    parser.add_argument_group("when it ends (else Ctrl-C)").add_argument(
        "-d", "--duration", type=options.duration, metavar="TIME", help="end after this time: 5 (seconds), 500ms, 2m"
    )
    output = parser.add_argument_group("output")
    output.add_argument("-f", "--format", choices=("text", "jsonl"), default="text", help="of the events")
    output.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="write events there instead of standard output; made readable by you only",
    )
    output.add_argument(
        "--color", choices=("auto", "always", "never"), default="auto", help="colours in text (auto: on a terminal)"
    )
    options.add_messages(output)
    output.add_argument("--yes", action="store_true", help="do not ask")
    output.add_argument("--dry-run", action="store_true", help="show place and bytes of each change, and end")
    output.add_argument("--ebpf", action="store_true", help="show the BPF program's source, and end")
    options.add_kernel(parser.add_argument_group("kernel"))


def _check(args: Namespace) -> None:
    if not (args.binary or args.pid or args.command):
        raise UsageError("which program? give -b FILE, -p PID or -- COMMAND")
    if args.pid and args.command:
        raise UsageError("-p and -- COMMAND exclude each other")
    if any("\0" in x for x in [*args.func, *args.set, *args.set_result, args.skip or "", args.fail or ""]):
        raise UsageError("an assignment holds no NUL byte")
    options.check_where(args)
    if args.list_errors:
        return
    if len(args.func) != 1 or not args.func[0]:
        raise UsageError("which function? --func NAME, once", hint="`gopherscope list -b FILE` shows the names")
    if args.rate and args.set and (args.set_result or args.fail):
        raise UsageError("--rate chooses calls or returns: with --set it goes with no --set-result or --fail")
    if args.all_processes and (args.pid or (args.command and not args.binary)):
        raise UsageError("--all-processes excludes what names one: -p and -- COMMAND")
    if not (args.pid or args.command or args.all_processes or args.dry_run or args.ebpf):
        raise UsageError(
            "which processes? -p PID, -- COMMAND, or --all-processes for each one of the file",
            hint="--dry-run shows what would be written",
        )


def run(args: Namespace) -> int:
    from tracer import session
    from tracer.binary import open_binary
    from tracer.command import Command
    from tracer.options import TraceOptions
    from tracer.rewriting import RewriteRequest, error_variables

    _check(args)
    path = Command.find(list(args.command)).path if args.command else None
    with open_binary(args.binary, args.pid, path, args.debug_file) as binary:
        if args.list_errors:
            for name in error_variables(binary):
                sys.stdout.write(printable(name) + "\n")
            return EXIT_OK
        if path is not None and args.all_processes and binary.is_file(path):
            raise UsageError("--all-processes excludes what names one: -p and -- COMMAND")
        if path is not None and not args.all_processes and not binary.is_file(path):
            raise UsageError(
                "the command is not the binary: which of its processes are changed is not known beforehand",
                hint="--all-processes changes each process of the binary while the command runs",
            )
    request = RewriteRequest(
        function=args.func[0],
        set=tuple(args.set),
        set_results=tuple(args.set_result),
        skip=args.skip,
        fail=args.fail,
        yes=args.yes,
    )
    return session.trace(
        TraceOptions(
            mode="rewrite",
            binary=args.binary,
            debug_file=args.debug_file,
            functions=(request.function,),
            pids=tuple(dict.fromkeys(args.pid)),
            command=tuple(args.command),
            duration=args.duration,
            max_calls=args.max_changes,
            sample_each=args.rate,
            where=args.where,
            rewrite=request,
            format=args.format,
            output=args.output,
            color=args.color,
            buffer_size=args.buffer,
            buffer=options.choice("TRACER_BUFFER", options.BUFFERS),
            attach=options.choice("TRACER_ATTACH", options.ATTACHMENTS),
            quiet=args.quiet,
            verbose=args.verbose,
            force=args.force,
            dry_run=args.dry_run,
            show_program=args.ebpf,
        )
    )
