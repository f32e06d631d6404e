"""A token offered as a subprotocol: the one field of a handshake that a script in a browser can set.

A page opens ``new WebSocket(url, ["chat", "bearer." + token])``. ``chat`` is what will be spoken; the second entry is
not a protocol but the token with a prefix to know it by. Two rules make this safe:

* The answer must not name the token: answers are logged in places where requests are not, and whoever names it agrees
  to speak it. So the entry is taken out of ``websocket["subprotocols"]``, and accepting it is refused as accepting
  something that was not offered.
* The answer must name another one of the offer, or browsers close the connection at once. So a client offers a
  protocol beside the token, and the endpoint accepts that: ``await websocket.accept("chat")``.

A subprotocol is a token of RFC 9110 section 5.6.2: letters, digits and ``!#$%&'*+-.^_`|~``. A JSON Web Token fits; for
others, such as padded base64, there is ``base64url``. It is the way of Kubernetes' API server.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Literal, overload

from starlette.requests import HTTPConnection

from .scheme import Found, Scheme

_TAKEN = "wsframework.security.subprotocol"  # where the entries are that were taken out of the offer


class BearerSubprotocol(Scheme[Found]):
    """Gives the token that a client offers as a subprotocol, such as ``bearer.<token>``.

    Args:
        prefix: what stands before the token.
        base64url: the token is encoded so, without padding.
        auto_error: refuse a handshake without such an entry with 401; else give None. Two of them are refused as none.

    After it, ``websocket["subprotocols"]`` has the protocols that are meant to be spoken.
    """

    @overload
    def __init__(
        self: BearerSubprotocol[str],
        *,
        prefix: str = "bearer.",
        base64url: bool = False,
        auto_error: Literal[True] = True,
    ) -> None: ...
    @overload
    def __init__(
        self: BearerSubprotocol[str | None], *, prefix: str = "bearer.", base64url: bool = False, auto_error: bool
    ) -> None: ...
    def __init__(self, *, prefix: str = "bearer.", base64url: bool = False, auto_error: bool = True) -> None:
        if not prefix:
            raise ValueError("without a prefix nothing tells a token from a subprotocol: use one such as 'bearer.'")
        super().__init__("Bearer", auto_error)
        self._prefix = prefix
        self._base64url = base64url

    async def __call__(self, connection: HTTPConnection) -> Found:
        entries = self._take(connection.scope)
        token = entries[0].removeprefix(self._prefix) if len(entries) == 1 else ""
        if token and self._base64url:
            token = _decode(token)
        if not token:
            self._missing(connection)
        return token or None  # type: ignore[return-value]  # None only without auto_error, as the overloads say

    def _take(self, scope: Any) -> list[str]:
        """Take our entries out of the offer; give those that were taken before, if they were."""
        taken: dict[str, list[str]] = scope.setdefault(_TAKEN, {})
        if self._prefix not in taken:
            offered: list[str] = scope.get("subprotocols") or []
            taken[self._prefix] = [each for each in offered if each.startswith(self._prefix)]
            # In place: the transport checks what is accepted against this list.
            offered[:] = [each for each in offered if not each.startswith(self._prefix)]
        return taken[self._prefix]


def _decode(token: str) -> str:
    try:
        return base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
