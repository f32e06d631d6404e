"""What a proxy says about the client: its address, its scheme, and the host that it asked for.

Each proxy adds what it saw to the right end of a list. What stands left of the entries of our own proxies was written
by whoever sent the request to them, so it proves nothing. The list is therefore read from the right: the peer is a
proxy that we trust, so its entry is true; if that names another proxy that we trust, the entry left of it is true as
well; and so on until the first address that we do not trust. That is the client.

There are two kinds of such headers, ``X-Forwarded-For``, ``-Proto`` and ``-Host``, and ``Forwarded`` (RFC 7239). Most
proxies write one kind and pass the other on as it came, from the client. So only one kind is believed, and which one
has to be said: to take whichever is there would be to believe the client. ``X-Forwarded-Host`` has a switch of its own
for the same reason: proxies are often told to set the other two, and then pass a client's on.

What cannot be read is ignored, and ends the list: what stands left of it is not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Literal

import attrs

from .origin import parse_authority

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
Address = IPv4Address | IPv6Address
Kind = Literal["x-forwarded", "forwarded"]

UNIX = "unix"
# Whoever reaches us over a Unix socket is on this machine, as a peer at 127.0.0.1 is, and has passed its permissions.
TRUSTED = ("127.0.0.1", "::1", UNIX)

_WEBSOCKET_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_HTTP_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}

# A node is an address, perhaps with a port: 192.0.2.1, 192.0.2.1:80, [2001:db8::1]:80, and in X-Forwarded-For
# 2001:db8::1 too. Some proxies write a port, such as that of Azure.
_NODE = re.compile(r"(?:(?P<v4>[0-9.]+)|\[(?P<v6>[0-9A-Fa-f:.]+)\])(?::(?P<port>[0-9]{1,5}))?|(?P<bare>[0-9A-Fa-f:.]+)")

# The parameters of one entry of Forwarded (RFC 7239 section 4), without backtracking: clients choose the bytes.
_LONGEST_ENTRY = 1024  # characters; a host has at most 253, and what cannot be read is tried from every comma
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_PAIR = re.compile(rf"[ \t]*+({_TOKEN})=(?:({_TOKEN})|\"((?:[^\"\\]|\\.)*+)\")[ \t]*+(;|\Z)")


@attrs.frozen
class Outside:
    """The request as the outermost of our proxies saw it; None for what it did not say."""

    client: tuple[str, int] | None = None
    scheme: str | None = None
    host: str | None = None


class Proxies:
    """The proxies that are trusted.

    Args:
        trusted: addresses (``"192.0.2.1"``), networks (``"10.0.0.0/8"``), ``"unix"`` for peers on a Unix socket, and
            ``"*"`` for every peer; a list, or a string with commas.

    Raises:
        ValueError: an entry is none of these.
    """

    def __init__(self, trusted: str | Iterable[str] = TRUSTED) -> None:
        entries = trusted.split(",") if isinstance(trusted, str) else trusted
        entries = [entry.strip() for entry in entries]
        self._any_peer = "*" in entries
        self._unix = UNIX in entries
        self._networks = [_parse_network(entry) for entry in entries if entry not in ("", "*", UNIX)]

    def trust_peer(self, client: Any) -> bool:
        """Say whether the other end of a connection, as the scope's ``client`` has it, is one of them."""
        if self._any_peer:
            return True
        if client is None:  # a server that knows no address: the connection came over a Unix socket
            return self._unix
        try:
            return self.trust(ip_address(client[0]))
        except ValueError:
            return False

    def trust(self, address: Address) -> bool:
        """Say whether an address is one of theirs. ``"*"`` counts for peers only: a client can write any address."""
        # A socket for both families shows 192.0.2.1 as ::ffff:192.0.2.1.
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in self._networks)


class ForwardedHeaders:
    """ASGI middleware that believes trusted proxies about the client's address, the scheme and the host.

    It rewrites ``client``, ``scheme`` and the ``Host`` header in the scope, and leaves ``receive`` and ``send`` alone.
    The proxy must set, or remove, each of the headers that are believed.

    Args:
        app: any ASGI application.
        trusted: whose headers are believed: addresses, networks, ``"unix"`` and ``"*"``, in a list, or in a string
            with commas. By default proxies on this machine. With ``"*"`` everybody who connects counts as one proxy,
            so nobody but proxies must be able to connect.
        headers: the kind that the proxies write: ``"x-forwarded"`` for ``X-Forwarded-For`` and ``X-Forwarded-Proto``,
            or ``"forwarded"`` for ``Forwarded`` (RFC 7239), which may name the host too. The other kind is ignored.
        host: believe ``X-Forwarded-Host`` too. Where the proxy does not set it, it is the client's own, and so is the
            host in URLs and in the check of Origin.

    Raises:
        ValueError: an entry of ``trusted`` is no address and no network, or ``headers`` is neither of the two.
    """

    def __init__(
        self,
        app: Any,
        trusted: str | Iterable[str] = TRUSTED,
        headers: Kind = "x-forwarded",
        *,
        host: bool = False,
    ) -> None:
        if headers not in ("x-forwarded", "forwarded"):
            raise ValueError(f'headers is "x-forwarded" or "forwarded", not {headers!r}')
        self._app = app
        self._proxies = Proxies(trusted)
        self._read = _read_forwarded if headers == "forwarded" else partial(_read_x_forwarded, believe_host=host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and self._proxies.trust_peer(scope.get("client")):
            _rewrite(scope, self._read(scope["headers"], self._proxies))
        # As they came: where our server's own are untouched, messages take the direct way to the connection.
        await self._app(scope, receive, send)


def _rewrite(scope: Scope, outside: Outside) -> None:
    # In place, so that an access log that the server writes at the end names the client too.
    schemes = _WEBSOCKET_SCHEMES if scope["type"] == "websocket" else _HTTP_SCHEMES
    if outside.client is not None:
        scope["client"] = outside.client
    if outside.scheme is not None and outside.scheme.lower() in schemes:
        scope["scheme"] = schemes[outside.scheme.lower()]
    if outside.host is not None:
        host = outside.host.encode("latin-1")
        if parse_authority(b"http", host) is not None:
            rest = [(name, value) for name, value in scope["headers"] if name.lower() != b"host"]
            scope["headers"] = [(b"host", host), *rest]


def _read_x_forwarded(headers: Headers, proxies: Proxies, believe_host: bool) -> Outside:
    hops, client = _follow(reversed(_split(headers, b"x-forwarded-for")), proxies)
    return Outside(
        client,
        _seen_from_outside(_split(headers, b"x-forwarded-proto"), hops),
        _seen_from_outside(_split(headers, b"x-forwarded-host"), hops) if believe_host else None,
    )


def _seen_from_outside(values: list[str], hops: int) -> str | None:
    """Take the entry of the outermost of our proxies. Not every one of them needs to have added its own."""
    return values[-min(hops, len(values))] if values else None


def _read_forwarded(headers: Headers, proxies: Proxies) -> Outside:
    entries: list[dict[str, str]] = []
    _, client = _follow(_nodes(headers, entries), proxies)
    # The outermost of our proxies is the last that was read. If it does not say more than "for", one inside may.
    scheme = next((entry["proto"] for entry in reversed(entries) if "proto" in entry), None)
    host = next((entry["host"] for entry in reversed(entries) if "host" in entry), None)
    return Outside(client, scheme, host)


def _nodes(headers: Headers, read: list[dict[str, str]]) -> Iterator[str]:
    """Give the nodes of Forwarded from the right, and note the entries that were asked for in ``read``."""
    for line in reversed(_lines(headers, b"forwarded")):
        for entry in _entries(line):
            if entry is None:
                return
            read.append(entry)
            yield entry.get("for", "")


def _follow(nodes: Iterable[str], proxies: Proxies) -> tuple[int, tuple[str, int] | None]:
    """Go outwards from node to node while they are our own proxies.

    Returns:
        How many of our proxies have written something, and the address that is furthest out of those that they wrote.
    """
    hops, client = 0, None
    for node in nodes:
        hops += 1
        found = _parse_node(node)
        if found is None:  # "unknown", a name that hides the client (RFC 7239 section 6), or garbage
            break
        address, port = found
        client = (str(address), port)
        if not proxies.trust(address):
            break
    return max(hops, 1), client


def _parse_node(node: str) -> tuple[Address, int] | None:
    found = _NODE.fullmatch(node)
    if found is None:
        return None
    try:
        address = ip_address(found["v4"] or found["v6"] or found["bare"])
    except ValueError:
        return None
    port = int(found["port"] or 0)
    return (address, port) if port < 65536 else None


def _entries(line: str) -> Iterator[dict[str, str] | None]:
    """Split a line of Forwarded into its entries, from the right; None for one that cannot be read, and ends it.

    An entry begins behind the nearest comma from which it can be read to its end. A quote that a client left open on
    the left cannot swallow what our proxy has added on the right.
    """
    while line := line.rstrip(" \t,"):
        comma = len(line)
        entry = None
        while entry is None and comma >= 0 and len(line) - comma <= _LONGEST_ENTRY:
            comma = line.rfind(",", 0, comma)
            entry = _parse_entry(line[comma + 1 :])
        yield entry
        if entry is None or comma < 0:
            return
        line = line[:comma]


def _parse_entry(text: str) -> dict[str, str] | None:
    parameters: dict[str, str] = {}
    at = 0
    while at < len(text):
        found = _PAIR.match(text, at)
        if found is None:
            return None
        name, token, quoted, _ = found.groups()
        parameters[name.lower()] = token if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        at = found.end()
    return parameters or None


def _lines(headers: Headers, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in headers if key.lower() == name]


def _split(headers: Headers, name: bytes) -> list[str]:
    values = [value.strip(" \t") for line in _lines(headers, name) for value in line.split(",")]
    return [value for value in values if value]


def _parse_network(entry: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(entry)
    except ValueError as error:
        raise ValueError(
            f'{entry!r} is no trusted proxy ({error}); write an address, a network such as 10.0.0.0/8, "{UNIX}" or "*"'
        ) from None
