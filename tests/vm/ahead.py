# SPDX-License-Identifier: Apache-2.0
"""BPF programs, compiled ahead on the host: an emulated processor takes ten seconds for what takes it a third of one.

On the host `compile_all` asks the tracer for the flags of each trace of the tests, without what only some kernels
allow, adds each of that, and keeps what the tracer's own compiler makes of it. In the guest `put_in_place` gives them
to the tracer's cache as if it had compiled them there. What is not among them is compiled in the guest as ever, and
test_programs.py compares.
"""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import go_versions
import guest
import zoo
from tracing import ROOT

# What only some kernels allow (collector/cflags.c), in the order of the collector; by buffer.
FEATURES = {
    "ring": (
        "",
        "-DPERFORM_RET",
        "-DSLEEPABLE",
        "-DPERFORM_RET -DSLEEPABLE",
        "-DPERFORM_RET -DSLEEPABLE -DGUARD_SLEEPABLE",
    ),
    "perf": ("", "-DPERFORM_RET"),
}
UNUSED_S = 30 * 86400  # then it is taken away
FILTERS = re.compile(r'^#line 1 "filters\.h"\n(.*?\n)#line \d+ "where\.h"$', re.DOTALL | re.MULTILINE)
REWRITING = ("-DSLEEPABLE", "-DPERFORM_RET -DSLEEPABLE -DGUARD_SLEEPABLE")
SUMS = {"count": ("",), "hist": ("", "-DPERFORM_RET"), "stack": ("",)}


def traces() -> Iterator[tuple[tuple[str, ...], str]]:
    """Arguments and the buffer of the traces that the tests make: one for each set of flags."""
    for version in guest.DEMO_VERSIONS:
        for buffer in ("ring", "perf"):
            yield ("-b", str(guest.demo(version)), "--func", "main.ebpfDemo"), buffer
    for buffer in ("ring", "perf"):
        yield ("-b", str(guest.counts()), "--func", "main.target"), buffer
    for version in guest.DEMO_VERSIONS:
        for buffer in ("ring", "perf"):
            stacks = ("--func", "main.here", "--func", "main.outer", "-s", "99")
            yield ("-b", str(guest.inlining(version)), *stacks), buffer
    yield ("-b", str(guest.untouched()), "--func", "main.show"), "ring"
    for function, size, buffer in guest.SHAPES:
        yield (*guest.shape_options(function, size), "-b", str(guest.shapes())), buffer
    yield ("-b", str(guest.shapes()), "--func", "main.one", "--no-results"), "ring"
    for function in guest.RETURNING:
        yield ("-b", str(guest.returns()), "--func", function), "ring"
    for version, build in guest.ZOO:
        yield ("-b", str(zoo.program(version, build)), *zoo.FUNCTIONS), "ring"


def rewrites() -> Iterator[tuple[str, ...]]:
    """Arguments of those that change a program."""
    for version in guest.DEMO_VERSIONS:
        for function, options in guest.REWRITES:
            yield ("-b", str(guest.rewritten(version)), "--func", f"main.{function}", *options)


@dataclass(frozen=True)
class Wanted:
    """A program that a guest may want."""

    name: str
    flags: list[str]
    filters: str | None = None  # what a condition became


def rewriting_programs(wanted: Iterable[tuple[str, ...]]) -> Iterator[Wanted]:
    """`n=2021` alone also without sleeping, as test_pages_on_the_move has it."""
    seen = set()
    for arguments in wanted:
        source = shown("rewrite", *arguments, buffer="ring")
        filters = FILTERS.search(source) if "--where" in arguments else None
        base = plain_flags(source)
        if (base, filters and filters[1]) in seen:
            continue
        seen.add((base, filters and filters[1]))
        plain = FEATURES["ring"][:2] if arguments[-1] == "n=2021" else ()
        for extra in (*plain, *REWRITING):
            yield Wanted("rewrite.bpf.c", with_features(base, extra).split(), filters[1] if filters else None)


def conditioned_programs() -> Iterator[Wanted]:
    """Of the traces and sums that have a condition."""
    wanted = [
        (verb, ("-b", str(guest.returns()), "--func", function, *options))
        for verb, function, options in guest.CONDITIONED.values()
    ]
    for function, where in guest.SHAPES_WHERE:
        wanted.append(("trace", (*guest.shape_options(function, 256), "-b", str(guest.shapes()), "--where", where)))
    for verb, arguments in wanted:
        source = shown(verb, *arguments, buffer="ring")
        filters, flags = FILTERS.search(source), plain_flags(source)
        text = filters[1] if filters else None
        if verb == "trace":
            for extra in FEATURES["ring"]:
                yield Wanted("call.bpf.c", with_features(flags, extra).split(), text)
        else:
            for extra in SUMS["hist"]:
                yield Wanted("aggregate.bpf.c", flags.replace(" ", f" {extra} ", 1).split(), text)


def programs() -> Iterator[Wanted]:
    """Of nearly all tests."""
    seen = set()
    for arguments, buffer in traces():
        base = plain_flags(shown("trace", *arguments, buffer=buffer))
        for extra in FEATURES[buffer]:
            flags = with_features(base, extra)
            if flags not in seen:
                seen.add(flags)
                yield Wanted("call.bpf.c", flags.split())
    for verb, features in SUMS.items():
        base = plain_flags(shown(verb, "-b", str(guest.counts()), "--func", "main.target", buffer="ring"))
        for extra in features:
            yield Wanted("aggregate.bpf.c", with_features(base, extra).split())
    split = plain_flags(shown("hist", "-b", str(guest.offcpu()), "--func", "main.sleeps", "--split", buffer="ring"))
    for extra in SUMS["hist"]:
        yield Wanted("aggregate.bpf.c", split.replace(" ", f" {extra} ", 1).split())
    yield from conditioned_programs()
    yield from rewriting_programs(rewrites())
    yield Wanted("watch.bpf.c", [])
    base = services_flags(guest.web())
    for extra in FEATURES["ring"]:
        yield Wanted("call.bpf.c", base.replace("-DCOMPACT", f"-DCOMPACT {extra}").split())


def shown(verb: str, *arguments: str, buffer: str) -> str:
    """The program and its flags, on a kernel that allows nothing beyond the common ground."""
    return subprocess.run(
        [sys.executable, "-m", "tracer", verb, *arguments, "--ebpf"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "TRACER_BUFFER": buffer, "TRACER_SLEEPABLE": "0", "TRACER_PERFORM_RET": "0"},
    ).stdout


def plain_flags(source: str) -> str:
    found = re.match(r"/\* compiled with: (.*) \*/", source)
    return found[1] if found else ""


# What `services` compiles for a program, which has no --ebpf.
SERVICES_FLAGS = """
import os, sys
from tracer.plan import Program
from tracer.services.probes import ProbeOptions, check_program, grouped, reading, trace_options
from tracer.collector import Collector
with Program(sys.argv[1]) as program:
    functions = grouped(check_program(program, frozenset()))
    plans = [program.plan([f.name], [], reading(f.expressions, f.at_return)) for f in functions]
collector = Collector(trace_options(ProbeOptions(buffer="ring")), os.open(os.devnull, os.O_WRONLY), filter_pids=True)
fd = os.open(sys.argv[1], os.O_RDONLY)
for plan in plans:
    collector.add_plan(plan, fd)
print(" ".join(collector.cflags()))
"""


def services_flags(program: Path) -> str:
    environment = {**os.environ, "TRACER_SLEEPABLE": "0", "TRACER_PERFORM_RET": "0"}
    done = subprocess.run(
        [sys.executable, "-c", SERVICES_FLAGS, program], capture_output=True, text=True, cwd=ROOT, env=environment
    )
    return done.stdout.strip()


def with_features(flags: str, extra: str) -> str:
    """`extra` where the collector puts it: before what is left out."""
    before, without, after = flags.partition(" -DWITHOUT_")
    return f"{before} {extra}".rstrip() + without + after


def folder() -> Path:
    path = go_versions.cache_dir() / "bpf"
    path.mkdir(exist_ok=True)
    return path


def compile_all(wanted: Iterable[Wanted] | None = None) -> None:
    """On the host. Needs BCC and root, as compiling does; without them the guests compile for themselves."""
    from tracer import cache
    from tracer.program import Compiler, assemble

    def keep(w: Wanted) -> tuple[str, Wanted]:
        source = assemble(w.name, filters=w.filters)
        name = cache.key(source, w.flags)
        blob = folder() / f"{name}.program"
        if blob.exists():
            os.utime(blob)
        else:
            made = blob.with_suffix(f".{os.getpid()}-{threading.get_ident()}.new")
            made.write_bytes(Compiler().compile(source, w.flags))
            made.replace(blob)
        return name, w

    if os.geteuid() != 0:
        return
    with ThreadPoolExecutor(2) as pool:
        found = dict(pool.map(keep, programs() if wanted is None else wanted))
    listing = index()
    known = {path.stem: w for path, w in kept()}
    made = listing.with_suffix(f".{os.getpid()}.new")
    made.write_text(json.dumps({name: asdict(w) for name, w in (known | found).items()}))
    made.replace(listing)
    for path in folder().iterdir():
        with suppress(OSError):  # another run was quicker
            if path.stat().st_mtime < time.time() - UNUSED_S:
                path.unlink()


def index() -> Path:
    """The list of what was compiled of the sources as they are: what is left of others is not looked at."""
    from tracer import cache
    from tracer.program import assemble

    sources = [assemble(name) for name in ("aggregate.bpf.c", "call.bpf.c", "rewrite.bpf.c", "watch.bpf.c")]
    return folder() / f"{cache.key(*sources)}.list"


def kept() -> list[tuple[Path, Wanted]]:
    """What was compiled ahead."""
    try:
        listed = json.loads(index().read_text())
    except (OSError, ValueError):
        return []
    return [(folder() / f"{name}.program", Wanted(**about)) for name, about in sorted(listed.items())]


def put_in_place() -> None:
    """In the guest: what was compiled of the sources as they are goes into the tracer's cache."""
    from tracer import cache, program_cache
    from tracer.program import assemble

    surroundings = program_cache._surroundings()
    assembled = functools.cache(assemble)
    for blob, about in kept():
        source, flags = assembled(about.name, filters=about.filters), about.flags
        with suppress(OSError):
            cache.put("program", cache.key(source, flags, *surroundings), blob.read_bytes())
