# SPDX-License-Identifier: Apache-2.0
"""What of a request is not shown unless asked for: values in query strings, and header fields that hold secrets."""

from __future__ import annotations

import re
from dataclasses import dataclass

MASK = "REDACTED"  # the word of OpenTelemetry's conventions for url.query and url.full
QUERY_PARTS_MAX = 32

# Names of header fields whose values let someone in, or tell who somebody is. "_" counts as "-".
_SECRET_HEADER = re.compile(
    r"authorization|authentication|cookie|token|secret|password|passwd|passphrase|(?:api|access|private)-?key|"
    r"credential|session|signature|jwt|assertion|otp|bearer|x-amz-security|client-cert|"
    r"sec-websocket-protocol|"  # the way of browsers to send a token with a WebSocket
    r"(?:^|-)(?:auth|pin)(?:$|-)",
    re.IGNORECASE,
)
_PLAIN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}", re.ASCII)
# A name without a value may be a secret that ends in "=" (base64): it is shown only if it looks like a word.
_PLAIN_WORD = re.compile(r"[a-z][a-z_.-]{0,15}", re.ASCII)

# Of addresses in the values of header fields (Referer, Location, X-Original-Uri, Link).
_USER = re.compile(r"(?<=://)[^\s/]*(?=@)")
_QUERY = re.compile(r"(?<=\?)[^\s>\"#]+")
_FRAGMENT = re.compile(r"(?<=#)[^\s>\"]+")
_BOOLEAN = re.compile(r"\?[01]")  # RFC 9651: Sec-CH-UA-Mobile: ?0


@dataclass(frozen=True)
class Privacy:
    """queries: show values of query strings. headers: show values of secret header fields."""

    queries: bool = False
    headers: bool = False

    def query(self, text: str) -> str:
        """Names stay where they look like names, since what is no name may be the secret. Only "&" parts them: to Go
        a ";" belongs to a value."""
        if self.queries or not text:
            return text
        parts = text.split("&")
        shown = []
        for part in parts[:QUERY_PARTS_MAX]:
            name, equals, value = part.partition("=")
            if not part:
                shown.append("")
            elif value.strip("=") and _PLAIN_NAME.fullmatch(name):
                shown.append(f"{name}={MASK}")
            elif equals and not value and _PLAIN_WORD.fullmatch(name):
                shown.append(part)
            else:
                shown.append(f"{MASK}={MASK}" if value.strip("=") else MASK)
        return "&".join(shown) + ("&…" if len(parts) > QUERY_PARTS_MAX else "")

    def header(self, name: str, value: str) -> str:
        if not self.headers and _SECRET_HEADER.search(name.replace("_", "-")):
            return MASK
        return value if _BOOLEAN.fullmatch(value) else self._addresses(value)

    def _addresses(self, value: str) -> str:
        """A value with what its addresses hold masked: who asks, the query, and what stands behind it."""
        if "?" not in value and "://" not in value:
            return value
        if not self.headers:
            value = _USER.sub(MASK, value)
        if not self.queries:
            value = _FRAGMENT.sub(MASK, _QUERY.sub(lambda found: self.query(found[0]), value))
        return value
