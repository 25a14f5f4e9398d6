# SPDX-License-Identifier: Apache-2.0
"""Makes docs/services.md: its tables are the rules themselves. `--check` only says whether it is what it should be."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import go_modules  # noqa: E402

from tracer.cli.services import EXAMPLES  # noqa: E402
from tracer.discover import attacher, kernel_events  # noqa: E402
from tracer.services import engine, metrics, otlp, prometheus, table  # noqa: E402
from tracer.services.check import shown  # noqa: E402
from tracer.services.rules import STANDARD_LIBRARY, Hook, Rule, all_rules  # noqa: E402
from tracer.services.semconv import BUCKETS, METRICS  # noqa: E402

TEMPLATE = ROOT / "scripts" / "services_doc.md"
TARGET = ROOT / "docs" / "services.md"


def rule_text(rule: Rule) -> str:
    module = "the standard library, Go" if rule.module == STANDARD_LIBRARY else f"`{rule.module}`"
    asked = f" Used only with `--{rule.group}`." if rule.group else ""
    lines = [f"### {rule.name}", "", f"{rule.title[0].upper()}{rule.title[1:]}. {rule.notes}{asked}", ""]
    lines += [
        f"From {module} {shown(rule.since)} on. Attributes: " + ", ".join(f"`{a}`" for a in rule.attributes) + ".",
        "",
    ]
    lines += ["| at | function | what is read | |", "|---|---|---|---|"]
    lines += [hook_row(hook) for hook in rule.hooks]
    return "\n".join(lines)


def hook_row(hook: Hook) -> str:
    functions = " or ".join(f"`{f}`" for f in hook.functions)
    if hook.since:
        functions += f" (from {shown(hook.since)} on)"
    if hook.before:
        functions += f" (before {shown(hook.before)})"
    if hook.beside:
        functions += f" (in programs with `{hook.beside}`)"
    expressions: dict[tuple[str, str], list[str]] = {}
    for field in hook.fields:
        remark = f" (`--{field.group}`)" if field.group else "" if field.required else " (if it is there)"
        expressions.setdefault((field.name, remark), []).extend(field.expressions)
    fields = [f"{name}: " + " or ".join(f"`{e}`" for e in es) + remark for (name, remark), es in expressions.items()]
    where = "return" if hook.at_return else "entry"
    needed = "required" if hook.required else "if it is there"
    return f"| {hook.role}, {where} | {functions} | {'; '.join(fields) or '–'} | {needed} |"


def tried() -> str:
    """The libraries that the tests run with."""
    rows = [
        ("`net/http` server and client, HTTP/1 and HTTP/2", [("", go) for go in go_modules.NET_HTTP], []),
        ("`golang.org/x/net` (h2c)", go_modules.X_NET, go_modules.X_NET_MORE),
        ("`github.com/gin-gonic/gin`", go_modules.GIN, go_modules.GIN_MORE),
        ("`google.golang.org/grpc`: its health service", go_modules.GRPC, go_modules.GRPC_MORE),
        ("`google.golang.org/grpc`: helloworld, route_guide", go_modules.EXAMPLES, go_modules.EXAMPLES_MORE),
    ]
    return "\n".join(f"| {name} | {pairs(every_day)} | {pairs(more)} |" for name, every_day, more in rows)


def pairs(found: Sequence[tuple[str, str]]) -> str:
    """ "1.85.0 (Go 1.26, 1.27), …" """
    by_library: dict[str, list[str]] = {}
    for library, go in found:
        by_library.setdefault(library, []).append(go)
    return ", ".join(
        f"{library} (Go {', '.join(go)})" if library else f"Go {', '.join(go)}" for library, go in by_library.items()
    )


def document() -> str:
    values = {
        "EXAMPLES": EXAMPLES.strip(),
        "RULES": "\n\n".join(rule_text(rule) for rule in all_rules()),
        "METRICS": "\n".join(
            f"| `{name}` | `{name.replace('.', '_')}_seconds` | {text} |" for name, text in METRICS.items()
        ),
        "TRIED": tried(),
        "BUCKETS": ", ".join(f"{b:g}" for b in BUCKETS),
        "OPEN_MAX": f"{engine.OPEN_MAX:,}",
        "GOROUTINES_MAX": f"{engine.GOROUTINES_MAX:,}",
        "SERIES_MAX": f"{metrics.SERIES_MAX:,}",
        "QUEUE_MAX": f"{otlp.QUEUE_MAX:,}",
        "CONNECTIONS_MAX": f"{prometheus.CONNECTIONS_MAX:,}",
        "TIMEOUT_S": f"{prometheus.TIMEOUT_S:g}",
        "ROWS_MAX": f"{table.ROWS_MAX:,}",
        "EXECUTABLES_MAX": f"{attacher.EXECUTABLES_MAX:,}",
        "SOURCES": ", ".join(kernel_events.KernelEvents.SOURCES),
    }
    text = TEMPLATE.read_text(encoding="utf-8")
    for name, value in values.items():
        text = text.replace("{{" + name + "}}", value)
    return text


def main() -> int:
    made = document()
    if "--check" in sys.argv[1:]:
        return 0 if TARGET.read_text(encoding="utf-8") == made else 1
    TARGET.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
