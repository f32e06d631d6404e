"""The first bytes of a connection: read the request head, within its limit and its deadline, and say what it wants."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs
import trio

from ...errors import RequestError
from ...limits import Limits
from .handshake import Handshake, check_upgrade
from .request import Request, asks_for_no_path, check_line_feeds, find_end, find_path, parse_request

# With prior knowledge a client begins HTTP/2 like this (RFC 9113 section 3.4).
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\n"

ReceiveSome = Callable[[], Awaitable[bytes]]


@attrs.frozen
class Arrival:
    """What came first: an upgrade to WebSocket, or bytes for the HTTP side.

    Attributes:
        handshake: the upgrade, if it is one.
        data: all bytes if it is none, with its path as the target; those behind the request head if it is.
    """

    handshake: Handshake | None
    data: bytes


class HeadReader:
    """Collects bytes until they are a whole request head. It does no I/O and knows no time.

    Args:
        limits: the bounds of the head.
        first: nothing came on this connection before. Only then may it be the beginning of HTTP/2.
    """

    __slots__ = ("_first", "_head", "_limits")

    def __init__(self, limits: Limits, *, first: bool = True) -> None:
        self._limits = limits
        self._first = first
        self._head = bytearray()

    @property
    def begun(self) -> bool:
        """Something has come."""
        return bool(self._head)

    def feed(self, data: bytes) -> Arrival | None:
        """Take what the client sent; None while the head is not whole.

        Raises:
            RequestError: what it wants cannot be served.
        """
        head, limit = self._head, self._limits.request_head
        seen = len(head)
        head += data
        if not _may_begin_a_request(head[0]):
            raise RequestError(400, "This is no HTTP request.")
        end = find_end(head, seen)
        if end > limit or (end < 0 and len(head) > limit):
            raise RequestError(431, f"A request head has at most {limit} bytes.")
        if end >= 0:
            if self._first and head.startswith(HTTP2_PREFACE):
                return Arrival(None, bytes(head))
            return _judge(bytes(head), end, self._limits)
        check_line_feeds(head, seen)
        return None

    def give_up(self) -> RequestError | None:
        """Say how to answer a client whose time is over: not at all if it has sent nothing."""
        return RequestError(408, "The request did not arrive in time.") if self.begun else None


async def read_arrival(
    receive_some: ReceiveSome, limits: Limits, *, first: bool = True, deadline: float | None = None
) -> Arrival | None:
    """Read until it is clear what the client wants. It is its ``first`` request, or was handed back.

    Its time is over at the ``deadline``, as the clock of Trio has it; without one, `Limits.handshake_timeout` from now.

    Returns:
        None when the client left, or said nothing in time.

    Raises:
        RequestError: what it wants cannot be served.
    """
    reader = HeadReader(limits, first=first)
    with trio.move_on_at(trio.current_time() + limits.handshake_timeout if deadline is None else deadline):
        while data := await receive_some():
            arrival = reader.feed(data)
            if arrival is not None:
                return arrival
        return None
    late = reader.give_up()
    if late is not None:
        raise late
    return None


def no_proxy() -> RequestError:
    """Say that nobody is connected to elsewhere; a new one each time, since a raised error collects where it was."""
    return RequestError(405, "This server is no proxy.", ((b"allow", b"GET, HEAD, POST"),))


def _may_begin_a_request(byte: int) -> bool:
    """Tell HTTP from TLS and from noise: a method is letters."""
    return 65 <= byte <= 90 or 97 <= byte <= 122


def _judge(data: bytes, end: int, limits: Limits) -> Arrival:
    request = parse_request(data[:end], limits)
    if request.method == "CONNECT":
        raise no_proxy()
    if request.wants_websocket:
        return Arrival(check_upgrade(request), data[end:])
    return Arrival(None, _with_path(data, request))


def _with_path(data: bytes, request: Request) -> bytes:
    """Put the path in the place of a target that is a whole URL, which applications do not expect."""
    if request.target.startswith(b"/") or asks_for_no_path(request.method, request.target):
        return data
    begin = len(request.method) + 1
    return data[:begin] + find_path(request) + data[begin + len(request.target) :]
