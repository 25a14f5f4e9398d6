# SPDX-License-Identifier: Apache-2.0
"""Print each call of the functions, with its arguments and results, until Ctrl-C."""

from __future__ import annotations

from tracer.cli import options
from tracer.cli.parser import Namespace, Parser
from tracer.errors import UsageError

EXAMPLES = """
# every process that runs this file, now or later
sudo gopherscope -b ./server --func main.handle
# one process; its file is found by itself
sudo gopherscope -p 1234 --func 'main.*' --exclude main.poll
# start a program and trace it from its first instruction (it runs as you, not as root)
sudo gopherscope --func main.work -- ./server -v
# of its arguments only what is named; an expression reaches through pointers as Go does
sudo gopherscope -b ./server --func net/http.serverHandler.ServeHTTP --args req.Method,req.URL.Path
# only calls that failed, or took long
sudo gopherscope -b ./server --func main.handle --where 'err != nil || duration > 100ms'
# ten calls as JSON lines, for a script
sudo gopherscope -b ./server --func main.handle -M 10 -f jsonl | jq .args
# with who called, five frames each
sudo gopherscope -b ./server --func main.query -s 5
# what would be probed and read; needs no root
gopherscope -b ./server --func main.handle --dry-run
# a stripped program: calls and returns, with the bare words where its integers and pointers stand
sudo gopherscope -b ./stripped --func main.handle --raw-words
"""

TAKES_COMMAND = True


def prepare_parser(parser: Parser) -> None:
    parser.examples = EXAMPLES
    parser.usage = "gopherscope [trace] [-b FILE | -p PID] --func PATTERN [options] [-- COMMAND …]"
    what = parser.add_argument_group("what", options.COMMAND_HELP)
    options.add_binary(what)
    options.add_functions(what)
    options.add_targets(what)
    options.add_end(parser.add_argument_group("when it ends (else Ctrl-C)"))
    fewer = parser.add_argument_group("fewer calls (what is left out costs less, and is counted)")
    options.add_where(fewer)
    options.add_thinning(fewer)
    options.add_values(parser.add_argument_group("what is read"))
    options.add_stack(parser.add_argument_group("who called"))
    output = parser.add_argument_group("output")
    options.add_output(output)
    options.add_messages(output)
    output.add_argument(
        "--fail-on-loss",
        action="store_true",
        help="exit with 1 if an event was lost, which the summary tells",
    )
    output.add_argument("--dry-run", action="store_true", help="show what would be probed and read, and end")
    output.add_argument("--ebpf", action="store_true", help="show the BPF program's source, and end")
    options.add_kernel(parser.add_argument_group("kernel"))
    parser.description = (
        "Print each call of the functions, with its arguments and results.\n"
        "Environment: TRACER_ATTACH=multi|perf and TRACER_BUFFER=ring|perf force how probes are attached and how\n"
        "events arrive, instead of what this kernel does best."
    )


def run(args: Namespace) -> int:
    from tracer import session
    from tracer.convert import traced_and_converted
    from tracer.options import TraceOptions
    from tracer.writers import FORMATS

    options.check_targets(args)
    if args.no_returns and args.durations:
        raise UsageError("--durations needs the returns that --no-returns leaves out")
    options.check_values(args)
    options.check_where(args)
    format = options.chosen_format(args)
    how = TraceOptions(
        binary=args.binary,
        debug_file=args.debug_file,
        functions=tuple(args.func),
        excludes=tuple(args.exclude),
        pids=tuple(dict.fromkeys(args.pid)),
        command=tuple(args.command),
        duration=args.duration,
        max_calls=args.max_events,
        max_rate=args.max_rate,
        sample_each=args.sample,
        args=not args.no_args,
        expressions=tuple(args.expressions),
        where=args.where,
        mask=args.mask,
        results=not (args.no_results or args.no_returns),
        returns=not args.no_returns and (args.durations or not args.no_results),
        string_size=args.string_size,
        depth=args.depth,
        elements=args.elements,
        raw_words=args.raw_words,
        stack=args.stack,
        format=format,
        output=args.output,
        color=args.color,
        buffer_size=args.buffer,
        buffer=options.choice("TRACER_BUFFER", options.BUFFERS),
        attach=options.choice("TRACER_ATTACH", options.ATTACHMENTS),
        quiet=args.quiet,
        verbose=args.verbose,
        fail_on_loss=args.fail_on_loss,
        force=args.force,
        dry_run=args.dry_run,
        show_program=args.ebpf,
    )
    return traced_and_converted(how) if format in FORMATS else session.trace(how)
