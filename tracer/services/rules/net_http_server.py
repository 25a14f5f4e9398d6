# SPDX-License-Identifier: Apache-2.0
"""net/http's server: HTTP/1 and the HTTP/2 inside it (server.go, h2_bundle.go; from Go 1.27 internal/http2)."""

from tracer.services.rules import ANNOTATE, END, PANIC, SERVER, STANDARD_LIBRARY, START, Field, Hook, Rule
from tracer.services.rules.connection import TLS, connection

HTTP_ATTRIBUTES = (
    "http.request.method",
    "http.response.status_code",
    "http.route",
    "url.path",
    "url.query",
    "url.scheme",
    "server.address",
    "server.port",
    "network.peer.address",
    "network.peer.port",
    "network.protocol.version",
    "error.type",
)

# Of a request whose headers have been read.
REQUEST = (
    Field("method", ("req.Method",), required=True),
    Field("path", ("req.URL.Path",), required=True),
    Field("query", ("req.URL.RawQuery",)),
    Field("host", ("req.Host",)),
    Field("peer", ("req.RemoteAddr",)),
    Field("protocol", ("req.Proto",)),
    Field("tls", ("req.TLS",)),
    Field("traceparent", ('req.Header["Traceparent"]',)),
    Field("headers", ("req.Header",), group="headers"),
)

RULES = [
    Rule(
        name="net/http server",
        title="requests that a net/http server answers, HTTP/1 and HTTP/2",
        kind=SERVER,
        system="http",
        module=STANDARD_LIBRARY,
        since=(1, 13),
        notes="A request begins when its headers have been read and ends when its handler has returned. A handler "
        "that panics ends it with error.type panic; a connection that is taken over (websocket) ends it then.",
        attributes=HTTP_ATTRIBUTES,
        ignore=(("method", "PRI"),),  # how HTTP/2 begins, where it is handed to a handler
        hooks=(
            Hook(
                START,
                ("net/http.serverHandler.ServeHTTP",),
                REQUEST,
            ),
            # With golang.org/x/net from Go 1.27 on, its servers are net/http's, without the handler above.
            Hook(
                START,
                ("net/http.http2Handler.ServeHTTP",),
                REQUEST,
                required=False,
                since=(1, 27),
                beside="golang.org/x/net",
            ),
            # HTTP/1: when the handler has returned, before what is buffered is written
            Hook(
                END,
                ("net/http.(*response).finishRequest",),
                (
                    Field("status", ("w.status",), required=True),
                    Field("response_size", ("w.written",)),
                    Field("route", ("w.req.Pattern",)),
                    *connection("w.conn.rwc", f"w.conn.rwc{TLS}"),
                ),
            ),
            Hook(
                END,
                (
                    "net/http/internal/http2.(*responseWriter).handlerDone",
                    "net/http.(*http2responseWriter).handlerDone",
                ),
                (
                    Field("status", ("w.rws.status",), required=True),
                    Field("response_size", ("w.rws.wroteBytes",)),
                    Field("route", ("w.rws.req.Pattern",)),
                    Field("stream", ("w.rws.stream.id",), group="connection"),
                    *connection("w.rws.conn.conn", f"w.rws.conn.conn{TLS}"),
                ),
                required=False,
            ),
            # From Go 1.27 on the request that HTTP/2 keeps is not the one that the ServeMux writes its pattern to.
            Hook(
                ANNOTATE,
                ("net/http.HandlerFunc.ServeHTTP",),
                (Field("route", ("r.Pattern",)),),
                required=False,
                since=(1, 27),
            ),
            Hook(END, ("net/http.(*conn).hijackLocked",), (Field("hijacked", ("c.server",)),), required=False),
            Hook(PANIC, ("runtime.gopanic",), required=False),
        ),
    ),
]
