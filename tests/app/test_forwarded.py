"""What proxies say about the client: who is believed, how far, and what becomes of the scope."""

from collections.abc import MutableMapping
from typing import Any

import hypothesis.strategies as st
import pytest
import trio
from hypothesis import example, given
from starlette.requests import HTTPConnection
from trio.testing import MockClock

from wsframework import App, ForwardedHeaders, WebSocket, WebSocketEndpoint, forwarded
from wsframework.server.connection import Connection
from wsframework.testing import HandshakeRefused, connect

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
        "203.0.113.7:99999",
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


# Clients that lie


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        (f"{CLIENT}", CLIENT),
        (f"{SPOOFED}, {CLIENT}", CLIENT),
        (f"127.0.0.1, {CLIENT}", CLIENT),
        (f"10.0.0.9, {CLIENT}", CLIENT),
        (f"{CLIENT}, 10.0.0.1", CLIENT),
        (f"{SPOOFED}, {CLIENT}, 10.0.0.1, 10.0.0.2", CLIENT),
        (f"10.0.0.9, {CLIENT}, ::ffff:10.0.0.1", CLIENT),
        (f"{SPOOFED}, garbage, {CLIENT}", CLIENT),
        ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
    ],
)
async def test_the_client_is_the_first_from_the_right_that_is_not_trusted(chain: str, client: str) -> None:
    """What a client writes stands left of what our proxies write, and is not looked at."""
    assert client_of(await rewritten(("x-forwarded-for", chain))) == client
    entries = ",".join(f'for="[{node}]"' if "::" in node else f"for={node}" for node in chain.split(", "))
    assert client_of(await rewritten(("forwarded", entries), kind="forwarded")) == client


async def test_everybody_is_a_proxy_but_only_the_nearest() -> None:
    """With a star the peer is believed, and its word about others is not: any client could write a list."""
    chain = ("x-forwarded-for", f"{SPOOFED}, {CLIENT}")
    assert client_of(await rewritten(chain, trusted="*")) == CLIENT
    both = ("x-forwarded-for", f"{SPOOFED}, {CLIENT}, 10.0.0.1")
    assert client_of(await rewritten(both, trusted="*")) == "10.0.0.1"
    assert client_of(await rewritten(both, trusted="*, 10.0.0.0/8")) == CLIENT


async def test_scheme_and_host_from_a_client() -> None:
    """Entries left of those of our proxies do not count, with one proxy and with two."""
    scope = await rewritten(
        ("x-forwarded-for", f"{SPOOFED}, {CLIENT}"),
        ("x-forwarded-proto", "https, http"),
        ("x-forwarded-host", "evil.example, chat.example.com"),
    )
    assert (scope["scheme"], host_of(scope)) == ("ws", "chat.example.com")
    scope = await rewritten(
        ("x-forwarded-for", f"{SPOOFED}, {CLIENT}, 10.0.0.1"),
        ("x-forwarded-proto", "http, https, http"),
        ("x-forwarded-host", "evil.example, chat.example.com, inside"),
    )
    assert (scope["scheme"], host_of(scope)) == ("wss", "chat.example.com")


async def test_the_other_kind_is_from_the_client() -> None:
    """A proxy that writes one kind passes the other on as it came: it is not believed, whichever it is."""
    x = [("x-forwarded-for", CLIENT), ("x-forwarded-proto", "http"), ("x-forwarded-host", "public")]
    rfc = [("forwarded", f"for={SPOOFED};proto=https;host=evil.example")]
    scope = await rewritten(*x, *rfc)
    assert (client_of(scope), scope["scheme"], host_of(scope)) == (CLIENT, "ws", "public")
    scope = await rewritten(*rfc)
    assert (scope["client"], scope["scheme"], host_of(scope)) == (PEER, "ws", "internal:8000")
    scope = await rewritten(*x, ("forwarded", f"for={CLIENT};proto=https;host=named"), kind="forwarded")
    assert (client_of(scope), scope["scheme"], host_of(scope)) == (CLIENT, "wss", "named")
    scope = await rewritten(*x, kind="forwarded")
    assert (scope["client"], scope["scheme"], host_of(scope)) == (PEER, "ws", "internal:8000")


@pytest.mark.parametrize(
    "junk",
    [
        '"',
        'for="',
        f'for="{SPOOFED}, a="',
        'for=";',
        'for=x, "',
        "=",
        ";;;",
        f"for={SPOOFED};",
        'a=",b="',
        "\\",
        'a="\\',
    ],
)
@pytest.mark.parametrize(
    "ours", ["for=203.0.113.7", 'for="203.0.113.7:80";proto=https', 'proto=https;for="203.0.113.7"']
)
async def test_junk_in_front_of_what_our_proxy_adds(junk: str, ours: str) -> None:
    """A quote that a client leaves open cannot swallow the entry that our proxy adds to the same line."""
    assert client_of(await rewritten(("forwarded", f"{junk}, {ours}"), kind="forwarded")) == CLIENT


@given(st.text(st.sampled_from('for=by;,"\\ 610.[]:_proto host'), max_size=40), st.booleans())
@example("for=6.6.6.6", True)
def test_whatever_a_client_sends(junk: str, same_line: bool) -> None:
    """The entry of the proxy at the right end wins over everything in front of it."""

    async def check() -> None:
        own = f"for={CLIENT};proto=https;host=chat.example.com"
        lines = [f"{junk},{own}"] if same_line else [junk, own]
        scope = await rewritten(*(("forwarded", line) for line in lines), kind="forwarded")
        assert (client_of(scope), scope["scheme"], host_of(scope)) == (CLIENT, "wss", "chat.example.com")
        lines = [f"{junk},{CLIENT}"] if same_line else [junk, CLIENT]
        assert client_of(await rewritten(*(("x-forwarded-for", line) for line in lines))) == CLIENT

    trio.run(check)


@given(st.dictionaries(st.sampled_from(["for", "proto", "host"]), st.binary(max_size=50)), st.binary(max_size=50))
def test_bytes_of_any_kind(values: dict[str, bytes], rest: bytes) -> None:
    """Nothing raises, whatever trusted proxies pass on."""

    async def check() -> None:
        headers = [(b"x-forwarded-" + name.encode(), value) for name, value in values.items()]
        for kind in ("x-forwarded", "forwarded"):
            scope: dict[str, Any] = {
                "type": "websocket",
                "scheme": "ws",
                "client": PEER,
                "headers": [(b"host", b"internal"), *headers, (b"forwarded", rest)],
            }

            async def app(scope: Any, receive: Any, send: Any) -> None:
                assert scope["scheme"] in ("ws", "wss")
                assert host_of(scope)
                assert isinstance(scope["client"][0], str)

            await ForwardedHeaders(app, "*", kind, host=True)(scope, unused, unused)  # type: ignore[arg-type]

    trio.run(check)


# Forwarded (RFC 7239)


@pytest.mark.parametrize(
    ("value", "client", "scheme", "host"),
    [
        ("for=203.0.113.7;proto=https;host=chat.example.com", "203.0.113.7", "wss", "chat.example.com"),
        ('For="203.0.113.7";Proto="https";Host="chat.example.com:8443"', "203.0.113.7", "wss", "chat.example.com:8443"),
        ('for="[2001:db8::7]:4711"', "2001:db8::7", "ws", "internal:8000"),
        ('for="203.0.113.7:80" ; by=203.0.113.43 ; proto=https', "203.0.113.7", "wss", "internal:8000"),
        ('for="203\\.0.113.7"', "203.0.113.7", "ws", "internal:8000"),
        ('for=203.0.113.7;ext="a, \\"b\\"; c"', "203.0.113.7", "ws", "internal:8000"),
        ("proto=https", None, "wss", "internal:8000"),
        ("for=unknown;proto=https", None, "wss", "internal:8000"),
        ('for="_gazonk:_p";proto=https', None, "wss", "internal:8000"),
        ("for=203.0.113.7;proto=https, for=10.0.0.1;proto=http", "203.0.113.7", "wss", "internal:8000"),
        ("for=203.0.113.7, for=10.0.0.1;host=inner;proto=https", "203.0.113.7", "wss", "inner"),
        ("for=6.6.6.6;host=evil, for=_hidden;host=good, for=10.0.0.1", "10.0.0.1", "ws", "good"),
        (" , for=203.0.113.7 , ", "203.0.113.7", "ws", "internal:8000"),
        ("for=203.0.113.7;", "203.0.113.7", "ws", "internal:8000"),
        ("for = 203.0.113.7", None, "ws", "internal:8000"),
        ("for=2001:db8::7", None, "ws", "internal:8000"),
        ('for="203.0.113.7', None, "ws", "internal:8000"),
        ("", None, "ws", "internal:8000"),
        (",,,", None, "ws", "internal:8000"),
    ],
)
async def test_forwarded(value: str, client: str | None, scheme: str, host: str) -> None:
    """Quoted strings, IPv6, hidden names, several proxies, and what cannot be read."""
    scope = await rewritten(("forwarded", value), kind="forwarded")
    assert client_of(scope) == (client or PEER[0])
    assert (scope["scheme"], host_of(scope)) == (scheme, host)


@pytest.mark.parametrize("junk", [",", '",', 'a="x,', "a=b;,", 'a=",";', "for=::1,", "a" * 9 + ",", '\\",', 'a="\\,'])
async def test_a_header_as_long_as_a_request_head_may_be(junk: str, attempts: Any) -> None:
    """The work that a client can cause grows with the length of what it sends, not with its square."""
    line = junk * (15_000 // len(junk))
    assert await attempts(line) < 2_500


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> Any:
    """How often an entry is tried to be read for this line."""
    parse, calls = forwarded._parse_entry, [0]

    def counting(text: str) -> Any:
        calls[0] += 1
        return parse(text)

    async def count(line: str) -> int:
        monkeypatch.setattr(forwarded, "_parse_entry", counting)
        await rewritten(("forwarded", line), kind="forwarded", trusted=["127.0.0.1", "::1"])
        return calls[0]

    return count


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
