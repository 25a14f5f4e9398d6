# SPDX-License-Identifier: Apache-2.0
"""What is traced and how."""

from __future__ import annotations

from dataclasses import dataclass

from tracer.plan import ReadOptions
from tracer.rewriting import RewriteRequest


@dataclass(frozen=True)
class TraceOptions:
    """What is traced and how; the defaults are those of the command line."""

    mode: str = "trace"  # a key of tracer.session.PROGRAM_FILES; in the others the kernel sums and nothing is written
    binary: str | None = None
    debug_file: str | None = None
    functions: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    pids: tuple[int, ...] = ()
    command: tuple[str, ...] = ()
    duration: float | None = None  # seconds
    max_calls: int | None = None
    max_rate: int | None = None  # calls a second
    sample_each: int | None = None  # one call of so many
    args: bool = True
    results: bool = True
    returns: bool = True
    string_size: int = 256
    depth: int = 2
    elements: int = 64
    raw_words: bool = False
    expressions: tuple[str, ...] = ()  # "EXPR, EXPR …": read only this of the arguments
    stack: int = 0  # frames of the stack with each call and return
    where: str | None = None  # a condition: only calls of which it is true (docs/design.md, "Conditions")
    by: str | None = None  # hist: a value by which calls are split
    split: bool = False  # hist: also how long calls did not run, and why
    mask: str | None = None  # regular expression: names whose values are not shown
    format: str = "text"
    output: str | None = None
    out_fd: int | None = None  # where to write instead of `output`; not closed
    color: str = "auto"
    buffer_size: int = 16 << 20  # bytes
    compact: bool = False  # events take the room they need in the buffer; each costs a copy more
    read_goids: bool = False  # at each hit, without a probe where goroutines end
    buffer: str = ""  # "ring", "perf"; "" chooses
    attach: str = ""  # "multi", "perf"; "" chooses
    quiet: bool = False
    verbose: bool = False
    fail_on_loss: bool = False
    force: bool = False  # also what takes long to end
    dry_run: bool = False
    show_program: bool = False
    rewrite: RewriteRequest | None = None  # with mode "rewrite": what is changed

    @property
    def reading(self) -> ReadOptions:
        return ReadOptions(
            args=self.args,
            results=self.results,
            returns=self.returns,
            string_size=self.string_size,
            depth=self.depth,
            elements=self.elements,
            raw_words=self.raw_words,
            each_hit=self.mode == "hist" or bool(self.sample_each) or bool(self.max_rate),
            expressions=self.expressions,
            where=self.where,
            by=self.by,
        )
