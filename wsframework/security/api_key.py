"""Keys in a header, in the query or in a cookie."""

from __future__ import annotations

from typing import Literal, overload

from starlette.requests import HTTPConnection

from .scheme import Found, Scheme


class _APIKey(Scheme[Found]):
    def __init__(self, name: str, auto_error: bool) -> None:
        super().__init__("APIKey", auto_error)
        self._name = name

    async def __call__(self, connection: HTTPConnection) -> Found:
        key = self._find(connection)
        if not key:
            self._missing(connection)
        return key or None  # type: ignore[return-value]  # None only without auto_error, as the overloads say

    def _find(self, connection: HTTPConnection) -> str | None:
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self._name!r})"


class APIKeyHeader(_APIKey[Found]):
    """Gives the key in a header of the handshake. Browsers cannot send one.

    Args:
        name: of the header, such as ``"x-api-key"``.
        auto_error: refuse a handshake without the key with 401; else give None.
    """

    @overload
    def __init__(self: APIKeyHeader[str], *, name: str, auto_error: Literal[True] = True) -> None: ...
    @overload
    def __init__(self: APIKeyHeader[str | None], *, name: str, auto_error: bool) -> None: ...
    def __init__(self, *, name: str, auto_error: bool = True) -> None:
        super().__init__(name, auto_error)

    def _find(self, connection: HTTPConnection) -> str | None:
        return connection.headers.get(self._name)


class APIKeyQuery(_APIKey[Found]):
    """Gives the key in the query of the URL. URLs end up in the logs of servers and proxies: give it a short life.

    Args:
        name: of the query parameter.
        auto_error: refuse a handshake without the key with 401; else give None.
    """

    @overload
    def __init__(self: APIKeyQuery[str], *, name: str, auto_error: Literal[True] = True) -> None: ...
    @overload
    def __init__(self: APIKeyQuery[str | None], *, name: str, auto_error: bool) -> None: ...
    def __init__(self, *, name: str, auto_error: bool = True) -> None:
        super().__init__(name, auto_error)

    def _find(self, connection: HTTPConnection) -> str | None:
        return connection.query_params.get(self._name)


class APIKeyCookie(_APIKey[Found]):
    """Gives the key in a cookie. Browsers send it whichever site's page asks, so check the ``Origin`` as well.

    Args:
        name: of the cookie.
        auto_error: refuse a handshake without the key with 401; else give None.
    """

    @overload
    def __init__(self: APIKeyCookie[str], *, name: str, auto_error: Literal[True] = True) -> None: ...
    @overload
    def __init__(self: APIKeyCookie[str | None], *, name: str, auto_error: bool) -> None: ...
    def __init__(self, *, name: str, auto_error: bool = True) -> None:
        super().__init__(name, auto_error)

    def _find(self, connection: HTTPConnection) -> str | None:
        return connection.cookies.get(self._name)
