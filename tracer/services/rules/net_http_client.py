# SPDX-License-Identifier: Apache-2.0
"""net/http's client: one round trip of its Transport (net/http/transport.go)."""

from tracer.services.rules import CLIENT, END, PANIC, STANDARD_LIBRARY, START, Field, Hook, Rule

RULES = [
    Rule(
        name="net/http client",
        title="requests that net/http's Transport sends, HTTP/1 and HTTP/2",
        kind=CLIENT,
        system="http",
        module=STANDARD_LIBRARY,
        since=(1, 13),
        notes="From the Transport's call until the response's headers are there; a redirect is a request of its own.",
        attributes=(
            "http.request.method",
            "http.response.status_code",
            "url.full",
            "server.address",
            "server.port",
            "network.protocol.version",
            "error.type",
        ),
        hooks=(
            Hook(
                START,
                ("net/http.(*Transport).roundTrip",),
                (
                    Field("method", ("req.Method",), required=True),
                    Field("host", ("req.URL.Host",), required=True),
                    Field("scheme", ("req.URL.Scheme",)),
                    Field("path", ("req.URL.Path",)),
                    Field("query", ("req.URL.RawQuery",)),
                    Field("headers", ("req.Header",), group="headers"),
                ),
            ),
            Hook(
                END,
                ("net/http.(*Transport).roundTrip",),
                (
                    Field("status", ("~r0.StatusCode", "_0.StatusCode", "resp.StatusCode"), required=True),
                    Field("protocol", ("~r0.Proto", "_0.Proto", "resp.Proto")),
                ),
                at_return=True,
            ),
            Hook(PANIC, ("runtime.gopanic",), required=False),
        ),
    ),
]
