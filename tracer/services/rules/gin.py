# SPDX-License-Identifier: Apache-2.0
"""gin: the route of a request that net/http serves (gin.go, context.go)."""

from tracer.services.rules import ANNOTATE, NONE, Field, Hook, Rule

RULES = [
    Rule(
        name="gin",
        title="the route of requests that gin handles",
        kind=NONE,
        system="http",
        module="github.com/gin-gonic/gin",
        since=(1, 5),  # Context.fullPath
        notes="The span is net/http's. Next runs once for each middleware that calls it, with the same route.",
        attributes=("http.route",),
        hooks=(
            Hook(
                ANNOTATE,
                ("github.com/gin-gonic/gin.(*Context).Next",),
                (Field("route", ("c.fullPath",), required=True),),
                since=(1, 11),
            ),
            # up to 1.10 the compiler copies Next into its callers
            Hook(
                ANNOTATE,
                ("github.com/gin-gonic/gin.(*node).getValue",),
                (Field("route", ("value.fullPath",), required=True),),
                at_return=True,
                before=(1, 11),
            ),
        ),
    ),
]
