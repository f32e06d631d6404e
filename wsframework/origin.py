"""Which web pages may open a WebSocket here: the check of the Origin header, without I/O (RFC 6455 section 10.2).

A browser sends a site's cookies with a WebSocket handshake, whichever site's page asks for it, and no CORS rule stops
the page from reading what comes. So the server has to look where the page is from. A browser says it in the Origin
header, and a page cannot change that. A client that is no browser sends none, or what it likes: the check protects the
users of browsers, it does not say who a client is.

A page is of the same origin if its scheme, host and port are those of the request: the scheme of the connection, and
the Host header. A browser's page cannot change the Host header either.

Where the check is made: an `App` makes it for everything below it, whatever serves it, and also for paths that nothing
serves. A `WebSocketRoute` with a list of its own makes it with that list. A session makes it for an endpoint outside
any `App`. Who has made it, with a list that holds for everything below, says so in the scope, under `CHECKED`. A client
that only the list of a route lets in is not checked before that route, so a session elsewhere refuses it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv6Address
from typing import Any

CHECKED = "wsframework.origin_checked"  # True in the scope: an App or a route has looked, and lets this client in

# A scheme, a host and a port, as a browser writes them: never a user, a path or a trailing slash, and a name beyond
# ASCII is in its xn-- form (RFC 6454 section 6.2). Underscores are in no domain name, but in those of containers.
_HOST = r"(?P<host>[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::(?P<port>[1-9][0-9]{0,4}))?"
_AUTHORITY = re.compile(_HOST.encode())
_ORIGIN = re.compile(rf"(?P<scheme>[a-z][a-z0-9+.-]*)://{_HOST}".encode())
_DEFAULT_PORTS = {b"http": 80, b"https": 443}
_PAGE_SCHEMES = {"ws": b"http", "wss": b"https", "http": b"http", "https": b"https"}

_LONGEST_SHOWN = 200  # characters of a header in a log line; a name has at most 253, a request head 16 KiB

Origin = tuple[bytes, bytes, int | None]
Headers = Iterable[tuple[bytes, bytes]]


class OriginPolicy:
    """Who may connect: pages of the same origin, those of a list, and whatever sends no Origin.

    Args:
        allowed_origins: such as ``"https://chat.example.com"`` or ``"https://chat.example.com:8443"``; ``"*"`` for
            every page, ``"null"`` for pages without an origin, such as local files and sandboxed frames.

    Raises:
        TypeError: it is no list of strings.
        ValueError: an entry is no origin; the message shows how it is written.
    """

    def __init__(self, allowed_origins: Iterable[str] = ()) -> None:
        if isinstance(allowed_origins, (str, bytes)):
            raise TypeError(f"allowed_origins is a list: write allowed_origins=[{allowed_origins!r}]")
        try:
            entries = list(allowed_origins)
        except TypeError:
            raise TypeError(f"allowed_origins is a list of strings, not {allowed_origins!r}") from None
        self._anyone = "*" in entries
        self._null = "null" in entries
        self._origins: set[Origin] = {_check_entry(entry) for entry in entries if entry not in ("*", "null")}

    def allows(self, scope: Mapping[str, Any]) -> bool:
        """Say whether the client of this scope may connect."""
        if self._anyone:
            return True
        origins, hosts = _find_headers(scope["headers"])
        if not origins:
            return True
        if len(origins) > 1:
            return False
        if origins[0] == b"null":
            return self._null
        origin = parse_origin(origins[0])
        if origin is None:
            return False
        return origin in self._origins or (len(hosts) == 1 and origin == _own_origin(scope, hosts[0]))


SAME_ORIGIN = OriginPolicy()


def parse_origin(value: bytes) -> Origin | None:
    """Split an Origin header into scheme, host and port, in the form to compare. None: it is no origin."""
    found = _ORIGIN.fullmatch(value.lower())
    return None if found is None else _normalize(found["scheme"], found["host"], found["port"])


def parse_authority(scheme: bytes, value: bytes) -> Origin | None:
    """Make an origin of a scheme and a Host header. None: it is no host with or without a port."""
    found = _AUTHORITY.fullmatch(value.lower())
    return None if found is None else _normalize(scheme, found["host"], found["port"])


def explain(scope: Mapping[str, Any]) -> str:
    """Say why the origin was refused and which setting would allow it. What the client sent is escaped."""
    origins, hosts = _find_headers(scope["headers"])
    if len(origins) != 1:
        return f"it has {len(origins)} Origin headers ({_show(origins)}), and a browser sends one"
    origin = origins[0]
    scheme = scope.get("scheme", "ws")
    said = f"its Origin is {_show(origins)}, its Host {_show(hosts) or 'missing'} on a {scheme} connection"
    if origin != b"null" and parse_origin(origin) is None:
        return f"{said}; no browser sends such an Origin"
    advice = f"{said}. To allow it: allowed_origins=[{_show(origins)}] on the App or the WebSocketRoute"
    if origin == b"null":
        return f"{advice}, which lets in sandboxed frames of every site"
    return (
        f"{advice}. If it is your own page, and a proxy in front ends TLS or rewrites Host: "
        "run with --proxy-headers, and have the proxy pass Host on"
    )


def _own_origin(scope: Mapping[str, Any], host: bytes) -> Origin | None:
    scheme = _PAGE_SCHEMES.get(scope.get("scheme") or "ws")
    return None if scheme is None else parse_authority(scheme, host)


def _find_headers(headers: Headers) -> tuple[list[bytes], list[bytes]]:
    origins, hosts = [], []
    for name, value in headers:
        # Names should be in lower case (ASGI), but hypercorn has an option that passes them on as they came.
        if len(name) == 6 and name.lower() == b"origin":
            origins.append(value)
        elif len(name) == 4 and name.lower() == b"host":
            hosts.append(value)
    return origins, hosts


def _normalize(scheme: bytes, host: bytes, port: bytes | None) -> Origin | None:
    number = _DEFAULT_PORTS.get(scheme) if port is None else int(port)
    if number is not None and number > 65535:
        return None
    if host.startswith(b"["):
        try:
            host = b"[%s]" % IPv6Address(host[1:-1].decode()).compressed.encode()
        except ValueError:
            return None
    return scheme, host, number


def _check_entry(entry: Any) -> Origin:
    if not isinstance(entry, str):
        raise TypeError(f"allowed_origins is a list of strings, and {entry!r} is none")
    origin = parse_origin(entry.encode())
    if origin is None or origin[0] in (b"ws", b"wss"):
        raise ValueError(f"{entry!r} in allowed_origins is no origin: write {_correct(entry)!r}")
    return origin


def _correct(entry: str) -> str:
    """Guess what was meant, for the error message."""
    scheme, _, rest = entry.strip().rpartition("://")
    scheme = {"": "https", "ws": "http", "wss": "https"}.get(scheme.lower(), scheme.lower())
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2]
    try:
        meant = f"{scheme}://{authority.encode('idna').decode()}"
    except UnicodeError:
        meant = ""
    return meant if parse_origin(meant.encode()) is not None else "https://chat.example.com"


def _show(values: list[bytes]) -> str:
    return ", ".join(
        ascii(value.decode("latin-1")[:_LONGEST_SHOWN]) + ("..." if len(value) > _LONGEST_SHOWN else "")
        for value in values
    )
