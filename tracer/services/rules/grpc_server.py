# SPDX-License-Identifier: Apache-2.0
"""grpc-go's server, unary and streaming (server.go, internal/transport/http2_server.go)."""

from tracer.services.rules import END, PANIC, SERVER, START, Field, Hook, Rule
from tracer.services.rules.connection import TLS, connection

TRANSPORT = "google.golang.org/grpc/internal/transport"
CONN = f"t.(*{TRANSPORT}.http2Server).conn"
WRAPPED = "google.golang.org/grpc/internal/credentials.syscallConn"  # around a TLS connection
PEER = (
    f"t.(*{TRANSPORT}.http2Server).peer.Addr.(*net.TCPAddr)",
    f"t.(*{TRANSPORT}.http2Server).remoteAddr.(*net.TCPAddr)",
)

GRPC_ATTRIBUTES = (
    "rpc.system.name",
    "rpc.method",
    "rpc.response.status_code",
    "server.address",
    "server.port",
    "network.peer.address",
    "network.peer.port",
    "error.type",
)

RULES = [
    Rule(
        name="gRPC server",
        title="calls that a grpc-go server answers, unary and streaming",
        kind=SERVER,
        system="grpc",
        module="google.golang.org/grpc",
        since=(1, 40),
        notes="From the call's goroutine until its status is written. A call whose client has gone before has no "
        "status, and ends when its goroutine begins the next or is not heard of any more.",
        attributes=GRPC_ATTRIBUTES,
        hooks=(
            Hook(
                START,
                ("google.golang.org/grpc.(*Server).handleStream",),
                (
                    Field("method", ("stream.Stream.method", "stream.method"), required=True),
                    Field("peer_ip", tuple(f"{address}.IP" for address in PEER)),
                    Field("peer_port", tuple(f"{address}.Port" for address in PEER)),
                    Field("stream", ("stream.Stream.id", "stream.id"), group="connection"),
                    *connection(CONN, f"{CONN}.(*{WRAPPED}).Conn{TLS}"),
                ),
            ),
            Hook(
                END,
                (f"{TRANSPORT}.(*http2Server).writeStatus", f"{TRANSPORT}.(*http2Server).WriteStatus"),
                (
                    Field("status", ("st.s.Code",), required=True),
                    Field("message", ("st.s.Message",)),
                ),
            ),
            Hook(PANIC, ("runtime.gopanic",), required=False),
        ),
    ),
]
