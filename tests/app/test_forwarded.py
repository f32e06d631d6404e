"""What proxies say about the client: who is believed, and what becomes of the address, the scheme and the host."""

from typing import Any

import pytest
from starlette.requests import HTTPConnection
from trio.testing import MockClock

from tests.app.proxies import CLIENT, PEER, SPOOFED, client_of, host_of, rewritten, unused
from wsframework import App, ForwardedHeaders, WebSocket, WebSocketEndpoint
from wsframework.server.connection import Connection
from wsframework.testing import HandshakeRefused, connect

# X-Forwarded-*


async def test_all_three() -> None:
    """Address, scheme and host are those of the client's request, and url_for and url see them."""
    scope = await rewritten(
        ("x-forwarded-for", CLIENT), ("x-forwarded-proto", "https"), ("x-forwarded-host", "chat.example.com")
    )
    assert scope["client"] == (CLIENT, 0)
    assert scope["scheme"] == "wss"
    assert host_of(scope) == "chat.example.com"
    assert str(HTTPConnection(scope).url) == "wss://chat.example.com/"
    assert scope["server"] == ("127.0.0.1", 8000)


async def test_the_host_is_believed_only_if_that_was_asked_for(autojump_clock: MockClock) -> None:
    """A proxy that sets the other two may pass on the client's own: no page gets in with it, and no URL has it."""
    headers = [("x-forwarded-for", CLIENT), ("x-forwarded-proto", "https"), ("x-forwarded-host", "evil.example")]
    scope = await rewritten(*headers, host=False)
    assert (client_of(scope), scope["scheme"], host_of(scope)) == (CLIENT, "wss", "internal:8000")
    app = App()
    page = {"origin": "https://evil.example"}
    with pytest.raises(HandshakeRefused):
        async with connect(ForwardedHeaders(app), headers=dict(headers) | page):
            pass


async def test_nothing_said() -> None:
    """Without such headers everything stays as it is."""
    scope = await rewritten()
    assert (scope["client"], scope["scheme"], host_of(scope)) == (PEER, "ws", "internal:8000")


@pytest.mark.parametrize(
    ("before", "said", "after"),
    [
        ("ws", "https", "wss"),
        ("ws", "HTTPS", "wss"),
        ("ws", "wss", "wss"),
        ("wss", "http", "ws"),
        ("http", "https", "https"),
        ("http", "wss", "https"),
        ("https", "http", "http"),
        ("ws", "javascript", "ws"),
        ("ws", "", "ws"),
        ("ws", "http, https", "wss"),
        ("ws", "https, http", "ws"),
    ],
)
async def test_scheme(before: str, said: str, after: str) -> None:
    """A WebSocket has ws and wss, HTTP has http and https; of a list the nearest proxy's entry counts."""
    assert (await rewritten(("x-forwarded-proto", said), scheme=before))["scheme"] == after


@pytest.mark.parametrize(
    ("node", "client"),
    [
        ("203.0.113.7", ("203.0.113.7", 0)),
        ("203.0.113.7:4711", ("203.0.113.7", 4711)),
        ("2001:DB8::7", ("2001:db8::7", 0)),
        ("[2001:db8::7]", ("2001:db8::7", 0)),
        ("[2001:db8::7]:4711", ("2001:db8::7", 4711)),
        (" 203.0.113.7 ", ("203.0.113.7", 0)),
        ("203.0.113.7,", ("203.0.113.7", 0)),
    ],
)
async def test_forms_of_an_address(node: str, client: tuple[str, int]) -> None:
    """With and without a port, and IPv6 with and without brackets."""
    assert (await rewritten(("x-forwarded-for", node)))["client"] == client


@pytest.mark.parametrize(
    "node",
    [
        "unknown",
        "_hidden",
        "localhost",
        "999.1.1.1",
        "1.2.3",
        "203.0.113.7:65536",
        "[2001:db8::7",
        "::1%\x1b",
        "\xff",
        "",
    ],
)
async def test_what_is_no_address(node: str) -> None:
    """It is ignored, and what stands left of it is not believed."""
    assert (await rewritten(("x-forwarded-for", node)))["client"] == PEER
    if node:
        assert (await rewritten(("x-forwarded-for", f"{SPOOFED}, {node}")))["client"] == PEER
        assert client_of(await rewritten(("x-forwarded-for", f"{SPOOFED}, {node}, 10.0.0.1"))) == "10.0.0.1"


@pytest.mark.parametrize("host", ["", "evil.com/path", "u@evil.com", "a b", "a\r\nb", "evil.com:", "\xff", "a:99999"])
async def test_what_is_no_host(host: str) -> None:
    """It is ignored."""
    assert host_of(await rewritten(("x-forwarded-host", host))) == "internal:8000"


async def test_lists_over_several_lines() -> None:
    """A header that comes twice is one list, in order."""
    scope = await rewritten(("x-forwarded-for", SPOOFED), ("x-forwarded-for", f"{CLIENT}, 10.0.0.1"))
    assert client_of(scope) == CLIENT


async def test_the_scope_of_the_server_keeps_its_headers() -> None:
    """The list of headers is not changed, a new one takes its place: the server may still need its own."""
    headers = [(b"host", b"internal"), (b"x-forwarded-host", b"public")]
    scope: dict[str, Any] = {"type": "http", "scheme": "http", "client": PEER, "headers": headers}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert host_of(scope) == "public"

    await ForwardedHeaders(app, host=True)(scope, unused, unused)
    assert headers == [(b"host", b"internal"), (b"x-forwarded-host", b"public")]


# Who is believed


@pytest.mark.parametrize(
    ("peer", "trusted", "believed"),
    [
        (("127.0.0.1", 1), None, True),
        (("::1", 1), None, True),
        (None, None, True),
        (("::ffff:127.0.0.1", 1), None, True),
        (("127.0.0.2", 1), None, False),
        (("10.1.2.3", 1), None, False),
        (("10.1.2.3", 1), "10.0.0.0/8", True),
        (("10.1.2.3", 1), ["192.0.2.1", "10.1.2.3"], True),
        (("10.1.2.3", 1), "192.0.2.1, 10.1.2.3", True),
        (("::ffff:10.1.2.3", 1), "10.0.0.0/8", True),
        (("2001:db8::9", 1), "2001:db8::/32", True),
        (("127.0.0.1", 1), "10.0.0.0/8", False),
        (("127.0.0.1", 1), "", False),
        (("127.0.0.1", 1), [], False),
        (("127.0.0.1", 1), "*", True),
        (("203.0.113.1", 1), ["*"], True),
        (None, "*", True),
        (None, "unix", True),
        (None, "127.0.0.1", False),
        (("testclient", 1), None, False),
        (("testclient", 1), "*", True),
        (("", 0), None, False),
    ],
)
async def test_peers(peer: Any, trusted: Any, believed: bool) -> None:
    """Only a peer that is trusted is believed: by default those on this machine, over TCP or a Unix socket."""
    options = {} if trusted is None else {"trusted": trusted}
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["client"], scope["scheme"], host_of(scope)))

    headers = [(b"host", b"internal"), (b"x-forwarded-for", CLIENT.encode())]
    headers += [(b"x-forwarded-proto", b"https"), (b"x-forwarded-host", b"public")]
    scope: dict[str, Any] = {"type": "http", "scheme": "http", "client": peer, "headers": headers}
    await ForwardedHeaders(app, host=True, **options)(scope, unused, unused)
    assert seen == [((CLIENT, 0), "https", "public") if believed else (peer, "http", "internal")]


async def test_a_server_that_says_nothing_of_the_client() -> None:
    """The key may be missing (ASGI); that is as None."""
    scope: dict[str, Any] = {"type": "http", "scheme": "http", "headers": [(b"x-forwarded-for", CLIENT.encode())]}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert client_of(scope) == CLIENT

    await ForwardedHeaders(app)(scope, unused, unused)


@pytest.mark.parametrize("entry", ["localhost", "10.0.0.1/8", "10.0.0.0/33", "1.2.3", "::1::", "proxy.example.com"])
def test_an_entry_that_is_no_address(entry: str) -> None:
    """It is refused where it is written, with what to write."""
    with pytest.raises(ValueError, match=r"is no trusted proxy .* write an address, a network"):
        ForwardedHeaders(App(), trusted=["127.0.0.1", entry])


def test_a_kind_of_headers_that_does_not_exist() -> None:
    """There are two kinds."""
    with pytest.raises(ValueError, match='headers is "x-forwarded" or "forwarded"'):
        ForwardedHeaders(App(), headers="x-real-ip")  # type: ignore[arg-type]


# Around an App


async def test_the_direct_way_is_kept(autojump_clock: MockClock) -> None:
    """receive and send pass untouched, so that a WebSocket still finds the connection of our server."""
    found: list[object] = []
    app = App()

    @app.websocket("/")
    async def look(websocket: WebSocket) -> None:
        found.append(type(websocket.transport))
        await websocket.accept()

    async with connect(ForwardedHeaders(app), headers={"x-forwarded-for": CLIENT}):
        pass
    assert found == [Connection]


async def test_the_lifespan_passes(autojump_clock: MockClock) -> None:
    """The middleware passes the lifespan on: the hub runs, and so do publications."""
    app = App()

    @app.websocket("/")
    class Room(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            await self.hub.subscribe(websocket, "room")
            await self.hub.broadcast("room", "hello")

    async with connect(ForwardedHeaders(app)) as client:
        assert await client.receive() == "hello"


async def test_the_origin_check_behind_a_proxy(autojump_clock: MockClock) -> None:
    """A page of the public name is of the same origin once the proxy is believed, and another is not."""
    app = App()

    @app.websocket("/")
    async def tell(websocket: WebSocket) -> None:
        await websocket.accept()
        assert websocket.client is not None
        await websocket.send_text(f"{websocket.client.host} {websocket.url_for('tell')}")

    said = {"x-forwarded-for": CLIENT, "x-forwarded-proto": "https", "x-forwarded-host": "chat.example.com"}
    page = {"origin": "https://chat.example.com"}
    with pytest.raises(HandshakeRefused):
        async with connect(app, headers=said | page):
            pass
    async with connect(ForwardedHeaders(app, host=True), headers=said | page) as client:
        assert await client.receive() == f"{CLIENT} wss://chat.example.com/"
    with pytest.raises(HandshakeRefused):
        async with connect(ForwardedHeaders(app, host=True), headers=said | {"origin": "https://evil.example"}):
            pass
