"""The ``Authorization`` header: Basic (RFC 7617) and Bearer (RFC 6750)."""

from __future__ import annotations

import base64
import binascii
from typing import Literal, overload

import attrs
from starlette.requests import HTTPConnection

from .scheme import Found, Scheme


@attrs.frozen
class HTTPBasicCredentials:
    """A user name and a password. Only the name shows in a repr. Compare the password with `same_secret`."""

    username: str
    password: str = attrs.field(repr=False)


@attrs.frozen
class HTTPAuthorizationCredentials:
    """What an ``Authorization`` header has: a scheme such as ``Bearer``, and credentials, which no repr shows."""

    scheme: str
    credentials: str = attrs.field(repr=False)


class HTTPBasic(Scheme[Found]):
    """Gives `HTTPBasicCredentials` of a handshake.

    Args:
        realm: what the password is for, for people.
        auto_error: refuse a handshake without the header with 401; else give None. One that is malformed is refused
            in any case.
    """

    @overload
    def __init__(
        self: HTTPBasic[HTTPBasicCredentials], *, realm: str | None = None, auto_error: Literal[True] = True
    ) -> None: ...
    @overload
    def __init__(
        self: HTTPBasic[HTTPBasicCredentials | None], *, realm: str | None = None, auto_error: bool
    ) -> None: ...
    def __init__(self, *, realm: str | None = None, auto_error: bool = True) -> None:
        if realm is not None and not (realm.isprintable() and realm.isascii() and '"' not in realm):
            raise ValueError(f"a realm is printable ASCII without quotation marks, not {realm!r}")
        super().__init__("Basic" if realm is None else f'Basic realm="{realm}"', auto_error)

    async def __call__(self, connection: HTTPConnection) -> Found:
        scheme, credentials = _read_authorization(connection)
        if scheme.lower() != "basic":
            self._missing(connection)
            return None  # type: ignore[return-value]  # only without auto_error, as the overloads say
        found = _decode_basic(credentials)
        if found is None:
            self._refuse(connection, "Invalid authentication credentials")
        return found  # type: ignore[return-value]


class HTTPBearer(Scheme[Found]):
    """Gives the `HTTPAuthorizationCredentials` of a handshake with a bearer token. Browsers cannot send one.

    Args:
        auto_error: refuse a handshake without such a header with 401; else give None.
    """

    @overload
    def __init__(self: HTTPBearer[HTTPAuthorizationCredentials], *, auto_error: Literal[True] = True) -> None: ...
    @overload
    def __init__(self: HTTPBearer[HTTPAuthorizationCredentials | None], *, auto_error: bool) -> None: ...
    def __init__(self, *, auto_error: bool = True) -> None:
        super().__init__("Bearer", auto_error)

    async def __call__(self, connection: HTTPConnection) -> Found:
        scheme, credentials = _read_authorization(connection)
        if scheme.lower() != "bearer" or not credentials:
            self._missing(connection)
            return None  # type: ignore[return-value]  # only without auto_error, as the overloads say
        return HTTPAuthorizationCredentials(scheme, credentials)  # type: ignore[return-value]


def _read_authorization(connection: HTTPConnection) -> tuple[str, str]:
    scheme, _, credentials = connection.headers.get("authorization", "").partition(" ")
    return scheme, credentials.strip()


def _decode_basic(credentials: str) -> HTTPBasicCredentials | None:
    try:
        text = base64.b64decode(credentials, validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    username, colon, password = text.partition(":")
    return HTTPBasicCredentials(username, password) if colon else None
