# SPDX-License-Identifier: Apache-2.0
"""grpc-go's client, unary and streaming (stream.go)."""

from tracer.services.rules import CLIENT, END, FAILED, START, Field, Hook, Rule

STATUS_ERROR = "google.golang.org/grpc/internal/status.Error"

RULES = [
    Rule(
        name="gRPC client",
        title="calls that a grpc-go client makes, unary and streaming",
        kind=CLIENT,
        system="grpc",
        module="google.golang.org/grpc",
        since=(1, 40),
        notes="From the first attempt until the call is finished, or no stream came about (nothing listens there, the "
        "context ended while it waited); attempts that are repeated belong to one call. "
        "An end with no error, or one that is no status (io.EOF), is OK: grpc-go makes statuses of all others.",
        attributes=(
            "rpc.system.name",
            "rpc.method",
            "rpc.response.status_code",
            "server.address",
            "server.port",
            "error.type",
        ),
        hooks=(
            Hook(
                START,
                ("google.golang.org/grpc.(*clientStream).newAttemptLocked",),
                (
                    Field("stream_key", ("cs",), required=True),
                    Field("method", ("cs.callHdr.Method",), required=True),
                    Field("host", ("cs.cc.target",)),
                    Field("first_attempt", ("cs.firstAttempt",)),
                ),
                key="stream_key",
            ),
            Hook(
                END,
                ("google.golang.org/grpc.(*clientStream).finish",),
                (
                    Field("stream_key", ("cs",), required=True),
                    Field("status", (f"err.(*{STATUS_ERROR}).s.s.Code",), required=True),
                    Field("message", (f"err.(*{STATUS_ERROR}).s.s.Message",)),
                ),
                key="stream_key",
            ),
            # No stream came about (nothing listens there, the context ended while it waited): finish is not called.
            Hook(
                FAILED,
                ("google.golang.org/grpc.newClientStreamWithParams",),
                (
                    Field("failed", ("err",), required=True),
                    Field("status", (f"err.(*{STATUS_ERROR}).s.s.Code",), required=True),
                    Field("message", (f"err.(*{STATUS_ERROR}).s.s.Message",)),
                ),
                at_return=True,
                required=False,
            ),
        ),
    ),
]
