# SPDX-License-Identifier: Apache-2.0
"""golang.org/x/net/http2 as a server of its own: HTTP/2 without TLS (h2c), ServeConn."""

from tracer.services.rules import END, PANIC, SERVER, START, Field, Hook, Rule
from tracer.services.rules.connection import TLS, connection
from tracer.services.rules.net_http_server import HTTP_ATTRIBUTES, REQUEST

RULES = [
    Rule(
        name="x/net/http2 server",
        title="requests that golang.org/x/net/http2 answers by itself (h2c, ServeConn)",
        kind=SERVER,
        system="http",
        module="golang.org/x/net",
        since=(0,),
        notes="A request that is handed on to net/http is its one span. Built with Go 1.27 or newer it serves by "
        "net/http, whose rule then is the one.",
        attributes=HTTP_ATTRIBUTES,
        hooks=(
            Hook(
                START,
                ("golang.org/x/net/http2.(*serverConn).runHandler",),
                REQUEST,
            ),
            Hook(
                END,
                ("golang.org/x/net/http2.(*responseWriter).handlerDone",),
                (
                    Field("status", ("w.rws.status",), required=True),
                    Field("response_size", ("w.rws.wroteBytes",)),
                    Field("route", ("w.rws.req.Pattern",)),
                    Field("stream", ("w.rws.stream.id",), group="connection"),
                    *connection("w.rws.conn.conn", f"w.rws.conn.conn{TLS}"),
                ),
            ),
            Hook(PANIC, ("runtime.gopanic",), required=False),
        ),
    ),
]
