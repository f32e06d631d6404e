"""The request head that nearly every client sends, read in a fraction of the time that h11 takes.

How much that is: ``python -m benchmarks.costs heads``.

It knows only heads that cannot be read in two ways: a GET of HTTP/1.1, lines that end with CR and LF, one header field
in each, values of visible ASCII with single spaces inside, one Host, and nothing that could announce a body. For any
other head it says so, and h11 judges. That both read the same is tested with many heads, bent ones above all.
"""

from __future__ import annotations

import re

# No two parts of this can match the same character, so it takes linear time whatever is in the head.
_PLAIN = re.compile(
    rb"GET ([!-~]+) HTTP/1\.1\r\n"
    rb"((?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+: ?(?:[!-~]+(?: [!-~]+)*)?\r\n)+)"
    rb"\r\n"
)
_BODY = frozenset((b"content-length", b"transfer-encoding"))

# What clients send word for word. A connection keeps its header fields, and shares these with all others.
FIELDS = {
    line: (name.lower(), value)
    for line in (
        b"Connection: Upgrade",
        b"Connection: keep-alive, Upgrade",
        b"Upgrade: websocket",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
        b"Sec-WebSocket-Extensions: permessage-deflate",
        b"Accept-Encoding: gzip, deflate, br, zstd",
        b"Accept-Encoding: gzip, deflate, br",
        b"Accept-Encoding: gzip, deflate",
        b"Pragma: no-cache",
        b"Cache-Control: no-cache",
    )
    for name, _, value in (line.partition(b": "),)
}
NAMES = {
    spelling: name.lower()
    for name in (
        b"Host Origin User-Agent Cookie Authorization Accept Accept-Language Accept-Encoding Pragma Cache-Control "
        b"Connection Upgrade Sec-WebSocket-Key Sec-WebSocket-Version Sec-WebSocket-Protocol Sec-WebSocket-Extensions "
        b"Sec-Fetch-Dest Sec-Fetch-Mode Sec-Fetch-Site Forwarded X-Forwarded-For X-Forwarded-Proto X-Real-IP"
    ).split()
    for spelling in (name, name.lower())
}


def parse_plain(head: bytes) -> tuple[bytes, list[tuple[bytes, bytes]]] | None:
    """Return the request target and the header fields, names in lower case; None if h11 has to judge."""
    match = _PLAIN.fullmatch(head)
    if match is None:
        return None
    fields = []
    hosts = 0
    for line in match[2][:-2].split(b"\r\n"):
        shared = FIELDS.get(line)
        if shared is not None:
            fields.append(shared)
            continue
        name, _, value = line.partition(b":")
        name = NAMES.get(name) or name.lower()
        if name in _BODY:
            return None
        if name == b"host":
            hosts += 1
        fields.append((name, value[1:] if value[:1] == b" " else value))
    return (match[1], fields) if hosts == 1 else None
