# SPDX-License-Identifier: Apache-2.0
"""`hist --split`: where runtime.casgstatus can be probed, and where its parameters stand there (bpf_c/split.h)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tracer.errors import NothingToTraceError, printable
from tracer.plan import ReadOptions

if TYPE_CHECKING:
    from tracer.binary import OpenedBinary
    from tracer.plan import Plan

FUNCTION = "runtime.casgstatus"  # (gp *g, oldval, newval uint32), in all versions
STATUS_ON_STACK = 12  # bytes from gp to newval, where arguments are on the stack


class Place(NamedTuple):
    """A register (its index in struct record.regs), or bytes from the stack pointer."""

    in_register: bool
    number: int


class StatusSite(NamedTuple):
    file_offset: int
    g: Place
    status: Place


def find_status_site(binary: OpenedBinary) -> StatusSite:
    """Raises NothingToTraceError where a program has no such place."""
    options = ReadOptions(results=False, returns=False, raw_words=True, depth=0)
    with binary.planned([FUNCTION], [], options) as plan:
        site = _site(plan)
    if site is None:
        raise NothingToTraceError(
            f"durations cannot be split: {FUNCTION} of {printable(binary.name)} is unlike that of any known Go version",
            hint="hist without --split works",
        )
    return site


def _site(plan: Plan) -> StatusSite | None:
    p = plan.pointer
    if p.n_funcs != 1 or not p.funcs[0].n_sites:
        return None
    site = p.sites[p.funcs[0].first_site]
    places = [_place(plan, site, n) for n in range(site.n_values)]
    if not places or (g := places[0]) is None:
        return None
    if not g.in_register:
        return StatusSite(site.file_off, g, Place(False, g.number + STATUS_ON_STACK))
    status = places[2] if len(places) > 2 else None
    return StatusSite(site.file_off, g, status) if status is not None and status.in_register else None


def _place(plan: Plan, site: Any, number: int) -> Place | None:
    """Of the first piece of the site's value of that number."""
    lib, p = plan.lib, plan.pointer
    value = p.values[site.first_value + number]
    if not value.n_pieces:
        return None
    at = p.pieces[value.first_piece].at
    if at.kind == lib.LOC_REGISTER:
        return Place(True, at.index)
    if at.kind == lib.LOC_CHUNK and at.index < site.n_steps:
        step = p.steps[site.first_step + at.index]
        if step.op == lib.STEP_READ and step.src.ptr.kind == lib.LOC_SP:
            return Place(False, step.src.ptr.offset + step.off + at.offset)
    return None
