"""`TestClient`: the test client for tests without Trio, with the names that Starlette's has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack, ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import urlencode, urlsplit

from starlette.datastructures import MutableHeaders

from ..limits import Limits
from .client import Client
from .connect import connect
from .held import Held
from .host import Host, hosted
from .placed import Placed
from .portal import Portal
from .session import WebSocketTestSession

if TYPE_CHECKING:
    import httpx

Pairs = Mapping[str, str] | Iterable[tuple[str, str]]


class Cookies(dict[str, str]):
    """Cookies by their names: a dict with two calls that those of httpx have."""

    def set(self, name: str, value: str, domain: str = "", path: str = "/") -> None:
        """Have this cookie sent, wherever to: a test has one server."""
        self[name] = value

    def delete(self, name: str, domain: str | None = None, path: str | None = None) -> None:
        """Have it sent no more. Raises ``KeyError`` if it is not there."""
        del self[name]


class TestClient:
    """Connects to an application in memory, from blocking code: ``client = TestClient(app)``.

    The application and its lifespan run in a thread with Trio in it: for as long as the block with ``with client:``,
    or without one for as long as a WebSocket of this client is open or a request of it runs.

    Args:
        app: an `App`, an endpoint class, or any ASGI application for Trio.
        base_url: what relative URLs of requests are relative to.
        raise_server_exceptions: raise what the application raised.
        root_path: the path below which the application finds itself.
        backend: ``"trio"``. Starlette's default is ``"asyncio"``, on which these applications do not run.
        backend_options: options of ``trio.run``.
        cookies: cookies of every handshake and request.
        headers: header fields of every handshake and request.
        follow_redirects: whether requests follow them.
        client: the address that the application sees.
        deadline: seconds that a receive may take.
        limits: the server's.

    Raises:
        TypeError: it is no application.
        ValueError: the backend is not Trio.

    HTTP requests need httpx: ``pip install httpx``.
    """

    __test__ = False  # pytest takes a class of this name for a test

    def __init__(
        self,
        app: Any,
        base_url: str = "http://testserver",
        raise_server_exceptions: bool = True,
        root_path: str = "",
        backend: Literal["asyncio", "trio"] = "trio",
        backend_options: Mapping[str, Any] | None = None,
        cookies: Pairs | None = None,
        headers: Mapping[str, str] | None = None,
        follow_redirects: bool = True,
        client: tuple[str, int] = ("testclient", 50000),
        *,
        deadline: float = 1.0,
        limits: Limits | None = None,
    ) -> None:
        if backend != "trio":
            raise ValueError(
                f'applications of wsframework run on Trio: leave out backend, or write "trio", not {backend!r}'
            )
        self.app = app
        self.base_url = base_url
        self.headers: MutableHeaders = MutableHeaders({"user-agent": "testclient"})
        self.headers.update(headers or {})
        self.cookies: Cookies = Cookies(cookies or {})
        self.follow_redirects = follow_redirects
        self.deadline = deadline
        self.raise_server_exceptions = raise_server_exceptions
        self._placed = Placed(app, root_path, client)
        self._limits = limits
        self._portal = Portal(backend_options or {})
        self._stack = ExitStack()

    # The lifespan

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self._portal)
            stack.enter_context(Held(self._portal, self._host))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    async def _host(self, stack: AsyncExitStack) -> Host:
        return await stack.enter_async_context(hosted(self._placed, self._limits))

    # WebSockets

    def websocket_connect(
        self,
        url: str,
        subprotocols: Iterable[str] | None = None,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        cookies: Pairs | None = None,
    ) -> WebSocketTestSession:
        """Connect when the result is entered: ``with client.websocket_connect("/ws") as websocket:``.

        Raises, on entering:
            WebSocketDenialResponse: the application did not accept; it is a `WebSocketDisconnect`.
        """
        parts = urlsplit(url)
        path = parts.path or "/"
        query = "&".join(filter(None, (parts.query, urlencode(params or {}))))
        fields = self.headers.mutablecopy()
        fields.update(headers or {})
        jar = {**self.cookies, **dict(cookies or {})}
        if jar:
            fields["cookie"] = "; ".join(f"{name}={value}" for name, value in jar.items())

        async def open_client(stack: AsyncExitStack) -> Client:
            return await stack.enter_async_context(
                connect(
                    self._placed,
                    f"{path}?{query}" if query else path,
                    headers=fields.items(),
                    subprotocols=subprotocols or (),
                    limits=self._limits,
                    deadline=self.deadline,
                    raise_app_errors=self.raise_server_exceptions,
                )
            )

        return WebSocketTestSession(self._portal, open_client)

    # HTTP

    def request(self, method: str, url: str, **options: Any) -> httpx.Response:
        """Send a request, with the options of ``httpx.request``, and return the whole response."""
        try:
            import httpx
        except ImportError as error:
            raise ImportError("HTTP requests of the test client need httpx: pip install httpx") from error

        async def send(host: Host) -> httpx.Response:
            transport = httpx.ASGITransport(host.serve_http, self.raise_server_exceptions)
            async with httpx.AsyncClient(
                transport=transport,
                base_url=self.base_url,
                headers=dict(self.headers),
                cookies=self.cookies,
                follow_redirects=self.follow_redirects,
            ) as client:
                response = await client.request(method, url, **options)
                # What the application has set has a domain, and wins over what it was given.
                for cookie in sorted(client.cookies.jar, key=lambda cookie: bool(cookie.domain)):
                    self.cookies[cookie.name] = cookie.value or ""
            return response

        with self._portal, Held(self._portal, self._host) as host:
            return self._portal.call(send, host)

    def get(self, url: str, **options: Any) -> httpx.Response:
        """Send a GET request."""
        return self.request("GET", url, **options)

    def options(self, url: str, **options: Any) -> httpx.Response:
        """Send an OPTIONS request."""
        return self.request("OPTIONS", url, **options)

    def head(self, url: str, **options: Any) -> httpx.Response:
        """Send a HEAD request."""
        return self.request("HEAD", url, **options)

    def post(self, url: str, **options: Any) -> httpx.Response:
        """Send a POST request."""
        return self.request("POST", url, **options)

    def put(self, url: str, **options: Any) -> httpx.Response:
        """Send a PUT request."""
        return self.request("PUT", url, **options)

    def patch(self, url: str, **options: Any) -> httpx.Response:
        """Send a PATCH request."""
        return self.request("PATCH", url, **options)

    def delete(self, url: str, **options: Any) -> httpx.Response:
        """Send a DELETE request."""
        return self.request("DELETE", url, **options)
