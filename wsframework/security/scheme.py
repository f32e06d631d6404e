"""What all ways to authenticate share: they find something in the handshake, or answer that it is not there."""

from __future__ import annotations

import hmac
from typing import Generic, NoReturn, TypeVar

from starlette.requests import HTTPConnection

from ..close import CloseCode
from ..errors import HTTPException, WebSocketException
from ..websocket import WebSocket

Found = TypeVar("Found", covariant=True)


class Scheme(Generic[Found]):
    """A dependency that finds credentials, and refuses a handshake without them, unless ``auto_error`` is unset."""

    def __init__(self, challenge: str, auto_error: bool) -> None:
        self._challenge = challenge
        self._auto_error = auto_error

    def _missing(self, connection: HTTPConnection) -> None:
        """The handshake has no credentials of this kind."""
        if self._auto_error:
            self._refuse(connection, "Not authenticated")

    def _refuse(self, connection: HTTPConnection, detail: str) -> NoReturn:
        """Refuse with 401 and the challenge that RFC 9110 section 11.6.1 asks for; after accept, close with 1008."""
        if isinstance(connection, WebSocket) and connection.transport.accepted:
            raise WebSocketException(CloseCode.POLICY_VIOLATION, detail)
        raise HTTPException(401, detail, {"www-authenticate": self._challenge})


def same_secret(given: str | bytes | None, expected: str | bytes) -> bool:
    """Compare a secret that a client gave with the right one, in a time that does not tell how much of it was right.

    Text is compared as UTF-8, and None is not the same as anything. How long a wrong secret takes depends on its
    length, so compare hashes if the length of the right one is a secret too.

    Args:
        given: what the client sent.
        expected: the right one. An empty one is a mistake of the configuration.

    Raises:
        ValueError: ``expected`` is empty, as when an environment variable is not set: everybody could guess it.
    """
    if not expected:
        raise ValueError("the expected secret is empty; is the setting that it comes from missing?")
    if given is None:
        return False
    # compare_digest takes text too, but no text beyond ASCII.
    return hmac.compare_digest(_to_bytes(given), _to_bytes(expected))


def _to_bytes(secret: str | bytes) -> bytes:
    return secret.encode("utf-8", "surrogatepass") if isinstance(secret, str) else secret
