# SPDX-License-Identifier: Apache-2.0
"""Go's run-time system: which goroutine made which, and when (runtime/proc.go)."""

from tracer.services.rules import CHILD, GONE, NONE, STANDARD_LIBRARY, Field, Hook, Rule

RULES = [
    Rule(
        name="runtime",
        title="parents of goroutines, and the time that a request waits for its goroutine to run",
        kind=NONE,
        system="go",
        module=STANDARD_LIBRARY,
        since=(1, 17),
        group="queue",
        notes="Costs a probe at each start and end of a goroutine, so it is used only with --queue.",
        attributes=("in queue", "processing"),
        hooks=(
            Hook(
                CHILD,
                ("runtime.newproc1",),
                (Field("child", ("~r0.goid",), required=True),),
                at_return=True,
            ),
            Hook(GONE, ("runtime.goexit1",), required=False),
        ),
    ),
]
