"""What ForwardedHeaders makes of a request."""

from collections.abc import MutableMapping
from typing import Any

from wsframework import ForwardedHeaders

PEER = ("127.0.0.1", 50000)


CLIENT = "203.0.113.7"


SPOOFED = "6.6.6.6"


async def rewritten(
    *headers: tuple[str, str],
    trusted: Any = ("127.0.0.1", "10.0.0.0/8"),
    kind: Any = "x-forwarded",
    peer: Any = PEER,
    scheme: str = "ws",
    host: bool = True,
) -> dict[str, Any]:
    """The scope that the application gets for a request with these headers."""
    seen: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(dict(scope))

    scope = {
        "type": "websocket" if scheme.startswith("ws") else "http",
        "path": "/",
        "scheme": scheme,
        "client": peer,
        "server": ("127.0.0.1", 8000),
        "headers": [(b"host", b"internal:8000"), *((name.encode(), value.encode()) for name, value in headers)],
    }
    await ForwardedHeaders(app, trusted, kind, host=host)(scope, unused, unused)
    [found] = seen
    return found


async def unused(*args: Any) -> Any:
    raise AssertionError("the middleware does not receive or send")


def client_of(scope: MutableMapping[str, Any]) -> str:
    host: str = scope["client"][0]
    return host


def host_of(scope: MutableMapping[str, Any]) -> str:
    [host] = [value.decode() for name, value in scope["headers"] if name == b"host"]
    return host
