"""`TestClient`: the test client for tests without Trio, with the names that Starlette's has."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import urlencode, urlsplit

import trio
from starlette.datastructures import Headers

from ..close import CloseCode
from ..errors import WebSocketDisconnect, WebSocketStateError
from ..limits import Limits
from ..transport import Message
from .client import Client, HandshakeRefused
from .connect import connect
from .host import Host, hosted
from .portal import Portal

if TYPE_CHECKING:
    import httpx


class WebSocketDenialResponse(WebSocketDisconnect):
    """The application refused the handshake, with this HTTP response.

    Attributes:
        status_code: 403 for a plain refusal.
        headers: the header fields.
        content: the body.
    """

    def __init__(self, status_code: int, headers: Headers, content: bytes) -> None:
        super().__init__(CloseCode.ABNORMAL_CLOSURE, f"the handshake was refused with {status_code}")
        self.status_code = status_code
        self.headers = headers
        self.content = content

    @property
    def text(self) -> str:
        """The body as text."""
        return self.content.decode(errors="replace")

    def json(self) -> Any:
        """The body, decoded from JSON."""
        return json.loads(self.content)


class TestClient:
    """Connects to an application in memory, from blocking code: ``client = TestClient(app)``.

    The application and its lifespan run in a thread with Trio in it: for as long as the block with ``with client:``,
    or without one for as long as a WebSocket of this client is open or a request of it runs.

    Args:
        app: an `App`, an endpoint class, or any ASGI application for Trio.
        base_url: what relative URLs are relative to.
        headers: header fields of every handshake and request.
        cookies: cookies of every handshake and request.
        deadline: seconds that a receive may take.
        raise_server_exceptions: raise what the application raised.
        limits: the server's.

    HTTP requests need httpx: ``pip install httpx``.
    """

    __test__ = False  # pytest takes a class of this name for a test

    def __init__(
        self,
        app: Any,
        base_url: str = "http://testserver",
        *,
        headers: Mapping[str, str] | None = None,
        cookies: Mapping[str, str] | None = None,
        deadline: float = 1.0,
        raise_server_exceptions: bool = True,
        limits: Limits | None = None,
    ) -> None:
        self.app = app
        self.base_url = base_url
        self.headers: dict[str, str] = dict(headers or {})
        self.cookies: dict[str, str] = dict(cookies or {})
        self.deadline = deadline
        self.raise_server_exceptions = raise_server_exceptions
        self._limits = limits
        self._portal = Portal()
        self._stack = ExitStack()

    # The lifespan

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self._portal)
            stack.enter_context(_Held(self._portal, self._host))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    async def _host(self, stack: AsyncExitStack) -> Host:
        return await stack.enter_async_context(hosted(self.app, self._limits))

    # WebSockets

    def websocket_connect(
        self,
        url: str,
        subprotocols: Iterable[str] = (),
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        cookies: Mapping[str, str] | None = None,
    ) -> WebSocketTestSession:
        """Connect when the result is entered: ``with client.websocket_connect("/ws") as websocket:``.

        Raises, on entering:
            WebSocketDenialResponse: the application did not accept; it is a `WebSocketDisconnect`.
        """
        parts = urlsplit(url)
        path = parts.path or "/"
        query = "&".join(filter(None, (parts.query, urlencode(params or {}))))
        fields = {**self.headers, **(headers or {})}
        jar = {**self.cookies, **(cookies or {})}
        if jar:
            fields["cookie"] = "; ".join(f"{name}={value}" for name, value in jar.items())

        async def open_client(stack: AsyncExitStack) -> Client:
            return await stack.enter_async_context(
                connect(
                    self.app,
                    f"{path}?{query}" if query else path,
                    headers=fields,
                    subprotocols=subprotocols,
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
                headers=self.headers,
                cookies=self.cookies,
                follow_redirects=True,
            ) as client:
                response = await client.request(method, url, **options)
                # What the application has set has a domain, and wins over what it was given.
                for cookie in sorted(client.cookies.jar, key=lambda cookie: bool(cookie.domain)):
                    self.cookies[cookie.name] = cookie.value or ""
            return response

        with self._portal, _Held(self._portal, self._host) as host:
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


class WebSocketTestSession:
    """A client's WebSocket in blocking code. Every receive fails when nothing comes within the client's deadline.

    Attributes:
        accepted_subprotocol: the one that the application chose, or None.
        extra_headers: the header fields of its answer, as pairs of bytes.
    """

    __test__ = False

    def __init__(self, portal: Portal, open_client: Callable[[AsyncExitStack], Awaitable[Client]]) -> None:
        self._portal = portal
        self._open = open_client
        self._stack = ExitStack()
        self._entered: Client | None = None
        self.accepted_subprotocol: str | None = None
        self.extra_headers: list[tuple[bytes, bytes]] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self._portal)
            try:
                client = self._entered = stack.enter_context(_Held(self._portal, self._open))
            except HandshakeRefused as refusal:
                headers = Headers(raw=refusal.headers)
                raise WebSocketDenialResponse(refusal.status, headers, refusal.body) from None
            self._stack = stack.pop_all()
        self.accepted_subprotocol = client.subprotocol
        self.extra_headers = client.headers
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    @property
    def _client(self) -> Client:
        if self._entered is None:
            raise WebSocketStateError(
                "it connects when it is entered: `with client.websocket_connect(...) as websocket:`"
            )
        return self._entered

    # Out

    def send_text(self, data: str) -> None:
        """Send a text message."""
        self._portal.call(self._client.send_text, data)

    def send_bytes(self, data: bytes) -> None:
        """Send a binary message."""
        self._portal.call(self._client.send_bytes, data)

    def send_json(self, data: Any, mode: Literal["text", "binary"] = "text") -> None:
        """Send a value as JSON, in a text or a binary message."""
        _check_mode(mode)
        if mode == "text":
            self._portal.call(self._client.send_json, data)
        else:
            self.send_bytes(json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode())

    def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str | None = None) -> None:
        """Close the connection, and wait for the answer."""
        self._portal.call(self._client.close, code, reason or "")

    # In

    def receive(self) -> Message:
        """Return the next message: a string for text, bytes for binary.

        Raises:
            NothingReceived: it did not come within the deadline.
            WebSocketDisconnect: the application closed the connection.
        """
        return self._portal.call(self._client.receive)

    def receive_text(self) -> str:
        """Return the next message, which must be text."""
        return self._portal.call(self._client.receive_text)

    def receive_bytes(self) -> bytes:
        """Return the next message, which must be binary."""
        return self._portal.call(self._client.receive_bytes)

    def receive_json(self, mode: Literal["text", "binary"] = "text") -> Any:
        """Return the next message, decoded from JSON. It must be a text message, or a binary one."""
        _check_mode(mode)
        return json.loads(self.receive_text() if mode == "text" else self.receive_bytes())


def _check_mode(mode: str) -> None:
    if mode not in ("text", "binary"):
        raise ValueError(f'mode is "text" or "binary", not {mode!r}')


class _Held:
    """An async context that a task of the portal holds open for a blocking block."""

    def __init__(self, portal: Portal, enter: Callable[[AsyncExitStack], Awaitable[Any]]) -> None:
        self._portal = portal
        self._enter = enter
        self._failure: BaseException | None = None
        self._outcome: BaseException | None = None
        self._leaving: trio.Event
        self._left: trio.Event

    def __enter__(self) -> Any:
        return self._portal.start(self._hold)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._portal.call(self._leave, error)
        if self._outcome is not None and self._outcome is not error:
            raise self._outcome

    async def _leave(self, failure: BaseException | None) -> None:
        self._failure = failure
        self._leaving.set()
        await self._left.wait()

    async def _hold(self, *, task_status: trio.TaskStatus[Any]) -> None:
        self._leaving, self._left = trio.Event(), trio.Event()
        entered = False
        try:
            async with AsyncExitStack() as stack:
                value = await self._enter(stack)
                entered = True
                task_status.started(value)
                await self._leaving.wait()
                if self._failure is not None:
                    raise self._failure
        except trio.Cancelled:
            raise
        except BaseException as error:
            if not entered:
                raise
            self._outcome = error
        finally:
            self._left.set()
