# SPDX-License-Identifier: Apache-2.0
"""What of a request is not shown unless asked for: values in query strings, and header fields that hold secrets."""

from __future__ import annotations

import re
from dataclasses import dataclass

MASK = "REDACTED"  # the word of OpenTelemetry's conventions for url.query and url.full
QUERY_PARTS_MAX = 32

# Names of header fields whose values let someone in, or tell who somebody is.
_SECRET_HEADER = re.compile(
    r"authorization|authentication|cookie|token|secret|password|passwd|api-?key|credential|session|signature|"
    r"x-amz-security|client-cert|(?:^|-)auth(?:$|-)",
    re.IGNORECASE,
)
_PLAIN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}", re.ASCII)


@dataclass(frozen=True)
class Privacy:
    """queries: show values of query strings. headers: show values of secret header fields."""

    queries: bool = False
    headers: bool = False

    def query(self, text: str) -> str:
        """Names stay where they look like names, since what is no name may be the secret."""
        if self.queries or not text:
            return text
        parts = re.split("[&;]", text)
        shown = []
        for part in parts[:QUERY_PARTS_MAX]:
            name, equals, value = part.partition("=")
            plain = name if _PLAIN_NAME.fullmatch(name) and (equals or len(name) <= 16) else MASK
            shown.append(plain + equals + (MASK if value else ""))
        return "&".join(shown) + ("&…" if len(parts) > QUERY_PARTS_MAX else "")

    def header(self, name: str, value: str) -> str:
        if name.lower() == ":path" and "?" in value:
            path, _, query = value.partition("?")
            return f"{path}?{self.query(query)}"
        return MASK if not self.headers and _SECRET_HEADER.search(name) else value
