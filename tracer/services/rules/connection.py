# SPDX-License-Identifier: Apache-2.0
"""The connection behind a request, through the interfaces that hold it: its descriptor and its local address."""

from __future__ import annotations

from tracer.services.rules import Field

TCP = ".(*net.TCPConn).conn.fd"
TLS = ".(*crypto/tls.Conn).conn"


def connection(*holders: str) -> tuple[Field, ...]:
    """Read only with --connection. holders: expressions of an interface net.Conn; what it holds decides which of the
    fields of one name is there."""
    return tuple(
        Field(name, (f"{holder}{TCP}{rest}",), group="connection")
        for holder in holders
        for name, rest in (
            ("fd", ".pfd.Sysfd"),
            ("local_ip", ".laddr.(*net.TCPAddr).IP"),
            ("local_port", ".laddr.(*net.TCPAddr).Port"),
        )
    )
