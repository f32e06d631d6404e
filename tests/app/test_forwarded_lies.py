"""Clients that say what only proxies may say, and the header of RFC 7239, in which they can say the most."""

from typing import Any

import hypothesis.strategies as st
import pytest
import trio
from hypothesis import example, given

from tests.app.proxies import CLIENT, PEER, SPOOFED, client_of, host_of, rewritten, unused
from wsframework import ForwardedHeaders, forwarded

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


async def test_a_chain_of_proxies_only() -> None:
    """The address at its beginning is the client, as it is written."""
    assert client_of(await rewritten(("forwarded", "for=10.0.0.12"), kind="forwarded")) == "10.0.0.12"


async def test_a_long_entry_of_ours() -> None:
    """It may have a thousand bytes, whatever stands left of it."""
    line = f'for={SPOOFED};{"," * 3000}, for={CLIENT};by="{"x" * 900}"'
    assert client_of(await rewritten(("forwarded", line), kind="forwarded")) == CLIENT


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
