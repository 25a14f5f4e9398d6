# SPDX-License-Identifier: Apache-2.0
"""The headers of grpc-go's calls, both directions, on both sides (internal/transport)."""

from tracer.services.rules import HEADERS, NONE, Field, Hook, Rule

TRANSPORT = "google.golang.org/grpc/internal/transport"
FIELDS = 32  # headers of one block that are read; a call has about ten

RULES = [
    Rule(
        name="gRPC headers",
        title="header fields of every gRPC request and response, sent and received, by client and server",
        kind=NONE,
        system="grpc",
        module="google.golang.org/grpc",
        since=(1, 40),
        group="headers",
        notes=f"At most {FIELDS} fields of a block. Values of names that tell secrets are masked.",
        attributes=("direction", "side", "stream", "fields"),
        hooks=(
            Hook(
                HEADERS,
                (f"{TRANSPORT}.(*loopyWriter).writeHeader",),
                (
                    Field("stream", ("streamID",), required=True),
                    Field("side", ("l.side",)),
                    Field("names", (f"hf[:{FIELDS}].Name",), required=True),
                    Field("values", (f"hf[:{FIELDS}].Value",), required=True),
                ),
                direction="sent",
            ),
            Hook(
                HEADERS,
                (f"{TRANSPORT}.(*http2Client).operateHeaders",),
                (
                    Field("stream", ("frame.HeadersFrame.FrameHeader.StreamID",), required=True),
                    Field("names", (f"frame.Fields[:{FIELDS}].Name",), required=True),
                    Field("values", (f"frame.Fields[:{FIELDS}].Value",), required=True),
                    Field("client_side", ("t",)),
                ),
                direction="received",
                required=False,
            ),
            Hook(
                HEADERS,
                (f"{TRANSPORT}.(*http2Server).operateHeaders",),
                (
                    Field("stream", ("frame.HeadersFrame.FrameHeader.StreamID",), required=True),
                    Field("names", (f"frame.Fields[:{FIELDS}].Name",), required=True),
                    Field("values", (f"frame.Fields[:{FIELDS}].Value",), required=True),
                    Field("server_side", ("t",)),
                ),
                direction="received",
                required=False,
            ),
        ),
    ),
]
