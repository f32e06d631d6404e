"""What can go wrong, told apart by whose fault it is.

::

    Exception
    ├── WebSocketDisconnect       the connection has ended: not an error, but the end of the story
    ├── ClientGone                the same, for a foreign ASGI application that sends (also an OSError)
    ├── ClientError               the client broke a rule; carries the close code that answers it
    │   ├── ProtocolError         it broke RFC 6455
    │   ├── InvalidData           its message does not fit the endpoint's encoding
    │   ├── InvalidParameter      a value in its handshake is missing or does not fit
    │   └── SubscriptionRefused   it may not have the topic that it asked for
    ├── RequestError              a request head that cannot be served; carries the HTTP status that answers it
    ├── StartupError              the server cannot start: a port that is taken, a file that is missing
    ├── WebSocketException        the program refuses or closes with this code; Starlette's, with a check
    ├── HTTPException             the program answers the handshake with this status; Starlette's too
    └── WebSocketStateError       the program called something at the wrong time (also a RuntimeError)

A mistake of the programmer is a ``TypeError`` or a ``ValueError``, as anywhere in Python.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.exceptions import HTTPException as _StarletteHTTPException
from starlette.exceptions import WebSocketException as _StarletteException
from starlette.websockets import WebSocketDisconnect as _StarletteDisconnect

from .close import CloseCode, check_close, describe

# The key in the scope under which a server, such as that of a test, asks to be told of an endpoint's errors.
REPORT_ERRORS_TO = "wsframework.errors"
ReportError = Callable[[Exception], None]


class WebSocketDisconnect(_StarletteDisconnect):
    """The connection has ended, with this close code and reason.

    It is Starlette's exception too, so an ``except`` clause that was written for Starlette keeps working.
    """

    def __init__(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str | None = None) -> None:
        super().__init__(int(code), reason)

    def __str__(self) -> str:
        return describe(self.code, self.reason)


class ClientGone(BrokenPipeError):  # noqa: N818 - says what happened
    """What ``send`` of the ASGI triple raises after the end: the ASGI specification asks for an ``OSError``."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(describe(code, reason))
        self.code = code
        self.reason = reason


class ClientError(Exception):
    """The client did what it must not. ``code`` and ``reason`` are the close that answers it.

    Raises:
        TypeError, ValueError: a close frame cannot carry them, see `check_close`.
    """

    def __init__(self, code: int, reason: str) -> None:
        check_close(code, reason)
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        return describe(self.code, self.reason)


class ProtocolError(ClientError):
    """The client's bytes break RFC 6455, or one of our limits."""


class InvalidData(ClientError):  # noqa: N818 - says what the data is
    """A message that is fine as a message and does not fit the encoding of its endpoint."""


class InvalidParameter(ClientError):  # noqa: N818 - says what the parameter is
    """A value in the handshake is missing or does not fit its type. The reason names it and never shows it."""


class WebSocketException(_StarletteException):
    """Raise it anywhere in an endpoint to end the connection with this close code; before accept, to refuse with 403.

    It is Starlette's exception too, and the other way round: Starlette's own works as well.

    Args:
        code: a close code that may be sent, such as ``CloseCode.POLICY_VIOLATION``.
        reason: for the client, at most 123 bytes; before accept it is the body of the refusal.

    Raises:
        TypeError, ValueError: a close frame cannot carry them, see `check_close`.
    """

    def __init__(self, code: int, reason: str | None = None) -> None:
        check_close(code, reason or "")
        super().__init__(int(code), reason)


class HTTPException(_StarletteHTTPException):
    """Raise it before accept to answer the handshake with this status; in HTTP routes it is what Starlette's is.

    After accept no response can carry it, and it is an error of the program. Starlette's own works as well.

    Args:
        status_code: the status, such as 401.
        detail: the body, as plain text; the standard words for the status if not given.
        headers: more header fields.
    """


class SubscriptionRefused(ClientError):  # noqa: N818 - says what happened
    """The client does not get a subscription: it has too many, or may not have this one, or there is no such name."""


class RequestError(Exception):
    """A request head that cannot be served. ``status`` is the HTTP answer, ``headers`` what goes with it."""

    def __init__(self, status: int, detail: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        super().__init__(status, detail)
        self.status = status
        self.detail = detail
        self.headers = headers

    def __str__(self) -> str:
        return f"{self.status}: {self.detail}"


class StartupError(Exception):
    """The server cannot start. The message is one sentence for the person who started it."""


class WebSocketStateError(RuntimeError):
    """A method was called at a time when it cannot work, such as ``send_text`` before ``accept``.

    A ``RuntimeError`` because that is what Starlette raises and what moved code catches.
    """
