"""Admission control: connections are counted when they come, in all and by address, and once more when they go."""

from __future__ import annotations

import ipaddress
import sys
from collections import Counter
from math import inf

from ..errors import RequestError
from ..limits import Limits
from .scope import Peers

if sys.platform != "win32":
    import resource

_RESERVE = 64  # descriptors left to the application and to us, at least
_RESERVED_PART = 16  # and at least this part of all of them


def full() -> RequestError:
    """Say that there is no room; a new one each time, since an error that is raised collects where it was."""
    return RequestError(503, "The server has no room for more connections.", ((b"Retry-After", b"5"),))


class Admission:
    """Decides for one server whether there is room for a connection, and has the numbers of all of them.

    Attributes:
        open: visits that have not ended.
        accepted, http, lost, refused, closed: as in `ServerStatistics`.
    """

    def __init__(self, limits: Limits) -> None:
        self._most: float = limits.connections or _most_connections()
        self._most_per_address = limits.connections_per_address
        self._by_address: Counter[str] = Counter()
        self.open: int = 0
        self.accepted: int = 0
        self.http: int = 0
        self.lost: int = 0
        self.refused: Counter[int] = Counter()
        self.closed: Counter[int] = Counter()

    def admit(self, peers: Peers) -> Visit | None:
        """Let a connection in; None if there is no room for it, which counts as a refusal with 503."""
        self.accepted += 1
        if self._most_per_address is None:
            network = None
        else:
            network = _network(peers)
            if self._by_address[network] >= self._most_per_address:
                self.refused[503] += 1
                return None
        if self.open >= self._most:
            self.refused[503] += 1
            return None
        self.open += 1
        if network is not None:
            self._by_address[network] += 1
        return Visit(self, peers, network)

    def leave(self, network: str | None) -> None:
        """A visit has ended."""
        self.open -= 1
        if network is not None:
            self._by_address[network] -= 1
            if not self._by_address[network]:
                del self._by_address[network]


class Visit:
    """One connection from being accepted to its end. It has one outcome, and leaves once; the first word counts.

    Attributes:
        peers: who talks to whom.
    """

    __slots__ = ("_admission", "_decided", "_left", "_network", "peers")

    def __init__(self, admission: Admission, peers: Peers, network: str | None) -> None:
        self._admission = admission
        self._network = network
        self._decided = self._left = False
        self.peers: Peers = peers

    def handed_over(self) -> None:
        """It is the HTTP side's."""
        if self._decide():
            self._admission.http += 1

    def lost(self) -> None:
        """There is nobody to answer."""
        if self._decide():
            self._admission.lost += 1

    def refused(self, status: int) -> None:
        """It was answered with this status, which is not 101."""
        if self._decide():
            self._admission.refused[status] += 1

    def closed(self, code: int) -> None:
        """A WebSocket has ended with this code."""
        if self._decide():
            self._admission.closed[code] += 1

    def leave(self) -> None:
        """Its socket is closed."""
        if not self._left:
            self._left = True
            self._admission.leave(self._network)

    def _decide(self) -> bool:
        first, self._decided = not self._decided, True
        return first


def _network(peers: Peers) -> str:
    """Return what counts as one address: a whole /64 of IPv6, since that is what one customer has (RFC 6177)."""
    if peers.client is None:
        return "unix"
    host = peers.client[0]
    if ":" not in host:
        return host
    address = ipaddress.IPv6Address(host.partition("%")[0])
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((address, 64), strict=False))


def _most_connections() -> float:
    """Read off the system how many descriptors connections may take, so that the application still has some."""
    if sys.platform == "win32":
        return inf
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return inf
    return max(1, limit - max(_RESERVE, limit // _RESERVED_PART))
