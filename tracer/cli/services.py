# SPDX-License-Identifier: Apache-2.0
"""Requests of the Go services on this machine as spans and metrics; found by port, name or process."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from tracer.cli import options
from tracer.cli.parser import Namespace, Parser
from tracer.discover.criteria import Criterion, from_environment, name_pattern, parse_file
from tracer.discover.ports import parse_ports
from tracer.errors import EXIT_NOTHING, EXIT_OK, UsageError, printable

EXAMPLES = """
# each request of the Go service that listens on port 8080
sudo gopherscope services --port 8080
# metrics for Prometheus of all services on these ports, and a live table
sudo gopherscope services --port 80,443,8000-8999 --prometheus 9400
# by the executable's name; spans to an OpenTelemetry collector
sudo gopherscope services --executable '/shop-' --otlp http://127.0.0.1:4318
# where the environment has BEYLA_OPEN_PORT=8080 and BEYLA_PROMETHEUS_PORT=9400, in a unit file for instance
gopherscope services
# header fields of requests and gRPC calls
sudo gopherscope services --port 50051 --headers
# which rules fit a program, and why the others do not; needs no root
gopherscope services --explain -b ./server
"""


def prepare_parser(parser: Parser) -> None:
    parser.examples = EXAMPLES
    parser.usage = "gopherscope services [--port PORTS] [--executable REGEX] [-p PID] [options]"
    what = parser.add_argument_group("which services (all that is given must hold)")
    what.add_argument("--port", metavar="PORTS", help="listens on one of these TCP ports: 80,443,8000-8999")
    what.add_argument("--executable", metavar="REGEX", help="the path of its executable, found anywhere in it")
    options.add_targets(what)
    what.add_argument("--containers", action="store_true", help="only what runs in a container")
    what.add_argument("--name", metavar="NAME", help="name of the service (else by its OTEL_SERVICE_NAME, or its file)")
    what.add_argument(
        "--config",
        metavar="FILE",
        help="criteria in sections (docs/services.md); the first that fits wins. Read again on SIGHUP",
    )
    what.add_argument(
        "--poll", type=options.duration, default=5.0, metavar="TIME", help="look at all processes so often (5s)"
    )
    what.add_argument("--no-events", action="store_true", help="only poll: no events of the kernel")
    read = parser.add_argument_group("what is read (each costs)")
    read.add_argument(
        "--headers", action="store_true", help="header fields of requests; of gRPC calls in both directions"
    )
    read.add_argument(
        "--connection", action="store_true", help="descriptor, local address and stream of the connection"
    )
    read.add_argument(
        "--queue", action="store_true", help="goroutines: time in queue, parents (probes at each start and end)"
    )
    read.add_argument("--show-queries", action="store_true", help="values of query strings, which are masked else")
    read.add_argument(
        "--show-secrets", action="store_true", help="values of Authorization, Cookie and the like, masked else"
    )
    out = parser.add_argument_group("output")
    out.add_argument(
        "-f",
        "--format",
        choices=("text", "jsonl", "otlp", "table", "none"),
        help="text, jsonl: a line for each request; table: live; otlp, none: no lines (on a terminal table, else text)",
    )
    out.add_argument(
        "--prometheus", type=options.integer(0, 65535), metavar="PORT", help="serve metrics there (0: any port)"
    )
    out.add_argument("--prometheus-address", default="127.0.0.1", metavar="ADDRESS", help="on this address (127.0.0.1)")
    out.add_argument("--otlp", metavar="URL", help="send spans and metrics there: http://127.0.0.1:4318")
    options.add_messages(out)
    end = parser.add_argument_group("when it ends (else Ctrl-C)")
    end.add_argument(
        "-d", "--duration", type=options.duration, metavar="TIME", help="after this time: 5 (seconds), 500ms, 2m"
    )
    explain = parser.add_argument_group("without tracing")
    explain.add_argument(
        "--explain", action="store_true", help="say which rules fit the program that -b names, and end"
    )
    options.add_binary(explain)
    kernel = parser.add_argument_group("kernel")
    kernel.add_argument(
        "--buffer",
        type=options.size,
        default=options.size("32M"),
        metavar="SIZE",
        help="room for events of one executable (32M)",
    )
    parser.description = (
        "Requests of the Go services on this machine as spans and metrics.\n"
        "Environment: BEYLA_OPEN_PORT, BEYLA_EXECUTABLE_NAME, BEYLA_SERVICE_NAME, BEYLA_PROMETHEUS_PORT,\n"
        "OTEL_SERVICE_NAME and OTEL_EXPORTER_OTLP_ENDPOINT say what the options do, which count for more."
    )


def criteria_of(args: Namespace, environment: Mapping[str, str]) -> list[Criterion]:
    """From the options; without any from the environment. Those of the file come behind."""
    criteria = []
    own = Criterion(
        ports=parse_ports(args.port) if args.port is not None else None,
        executable=name_pattern(args.executable) if args.executable is not None else None,
        pids=frozenset(args.pid),
        containers=args.containers,
        name=args.name or environment.get("BEYLA_SERVICE_NAME", "") or environment.get("OTEL_SERVICE_NAME", ""),
    )
    if own.asks:
        criteria.append(own)
    else:
        by_environment = from_environment(environment)
        if by_environment is not None:
            criteria.append(by_environment)
    if args.config:
        criteria += parse_file(args.config)
    if not criteria:
        raise UsageError(
            "which services? give --port, --executable, -p or --config", hint="gopherscope services --help"
        )
    return criteria


def prometheus_port(args: Namespace, environment: Mapping[str, str]) -> int | None:
    if args.prometheus is not None:
        return int(args.prometheus)
    text = environment.get("BEYLA_PROMETHEUS_PORT", "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise UsageError(f"BEYLA_PROMETHEUS_PORT={text!r}: a port is a number up to 65535")
    return int(text) or None


def run(args: Namespace) -> int:
    if args.explain:
        return _explain(args)
    if args.binary:
        raise UsageError("-b is for --explain", hint="--executable finds services by their file's name")
    from tracer.services.privacy import Privacy
    from tracer.services.probes import ProbeOptions
    from tracer.services.run import Service, ServiceOptions

    environment = os.environ
    criteria_of(args, environment)  # what is wrong with them is said before anything else
    otlp = args.otlp or environment.get("OTEL_EXPORTER_OTLP_ENDPOINT") or None
    if args.format == "otlp" and not otlp:
        raise UsageError("-f otlp needs --otlp URL, or OTEL_EXPORTER_OTLP_ENDPOINT")
    if otlp:
        from tracer.services.otlp import endpoints

        endpoints(otlp)
    format = args.format or ("table" if sys.stdout.isatty() else "text")
    groups = frozenset(name for name in ("headers", "connection", "queue") if getattr(args, name))
    return Service(
        ServiceOptions(
            criteria=lambda: criteria_of(args, environment),
            probes=ProbeOptions(
                groups,
                args.buffer,
                options.choice("TRACER_BUFFER", options.BUFFERS),
                options.choice("TRACER_ATTACH", options.ATTACHMENTS),
                service_name=args.name or "",
            ),
            privacy=Privacy(args.show_queries, args.show_secrets),
            poll_s=args.poll,
            format="none" if format == "otlp" else format,
            prometheus_port=prometheus_port(args, environment),
            prometheus_address=args.prometheus_address,
            otlp_url=otlp,
            duration=args.duration,
            quiet=args.quiet,
            verbose=args.verbose,
            kernel_events=not args.no_events,
        )
    ).run()


def _explain(args: Namespace) -> int:
    from tracer.plan import Program
    from tracer.services.probes import check_program

    if not args.binary:
        raise UsageError("--explain needs -b FILE")
    groups = frozenset({"headers", "connection", "queue"})
    with Program(args.binary, debug_file=args.debug_file) as program:
        verdicts = check_program(program, groups)
        print(printable(f"{args.binary}: {program.go_version or 'a Go program of unknown version'}"))
    for verdict in verdicts:
        if not verdict.fits:
            print(printable(f"  {verdict.rule.name}: no: {verdict.why}"))
            continue
        print(printable(f"  {verdict.rule.name}: fits"))
        for fitted in verdict.hooks:
            where = "return" if fitted.hook.at_return else "entry"
            print(printable(f"    {fitted.hook.role} at the {where} of {fitted.function}"))
            for name, expression in fitted.fields:
                print(printable(f"      {name} = {expression}"))
            for name, why in fitted.missing:
                print(printable(f"      {name}: cannot be had: {why}"))
        for function, why in verdict.missing:
            print(printable(f"    without {function}: {why}"))
    return EXIT_OK if any(v.fits and v.rule.kind != "none" for v in verdicts) else EXIT_NOTHING
