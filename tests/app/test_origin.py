"""Which pages may open a WebSocket: the check of Origin and its setting."""

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import example, given

from tests.app.origins import EVIL, PARTNER, scope
from wsframework import App, WebSocketEndpoint, WebSocketRoute
from wsframework.origin import OriginPolicy, explain, parse_origin

# The check


@pytest.mark.parametrize(
    ("origin", "host", "scheme"),
    [
        ("https://good.com", "good.com", "wss"),
        ("http://good.com", "good.com", "ws"),
        ("https://good.com", "good.com", "https"),
        ("HTTPS://GOOD.COM", "good.com", "wss"),
        ("https://good.com", "Good.Com", "wss"),
        ("https://good.com:443", "good.com", "wss"),
        ("https://good.com", "good.com:443", "wss"),
        ("http://good.com", "good.com:80", "ws"),
        ("https://good.com:8443", "good.com:8443", "wss"),
        ("http://localhost:8000", "localhost:8000", "ws"),
        ("http://chat_web:8000", "chat_web:8000", "ws"),
        ("http://[::1]:8000", "[::1]:8000", "ws"),
        ("http://[0:0:0:0:0:0:0:1]", "[::1]", "ws"),
        ("https://xn--mnchen-3ya.example", "xn--mnchen-3ya.example", "wss"),
    ],
)
def test_a_page_of_the_same_origin_may(origin: str, host: str, scheme: str) -> None:
    """Scheme, host and port are the same, however they are written."""
    assert OriginPolicy().allows(scope(origin, host=host, scheme=scheme))


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.com",
        "null",
        "https://good.com.evil.com",
        "https://evilgood.com",
        "https://good.co",
        "https://www.good.com",
        "https://good.com.",
        "https://good.com:444",
        "https://good.com:80",
        "https://good.com:0443",
        "https://good.com:",
        "https://good.com:443443",
        "https://good.com:x",
        "http://good.com",
        "http://good.com:443",
        "wss://good.com",
        "ftp://good.com",
        "//good.com",
        "good.com",
        "https:good.com",
        "https:///good.com",
        "https://",
        "",
        " ",
        "https://good.com/",
        "https://good.com/path",
        "https://good.com?",
        "https://good.com#",
        "https://good.com\\",
        "https://user@good.com",
        "https://good.com@evil.com",
        "https://good.com:443@evil.com",
        "https://evil.com https://good.com",
        "https://good.com, https://good.com",
        " https://good.com",
        "https://good.com\t",
        "https://good.com\n",
        "https://good.com\0",
        "https://good%2ecom",
        "https://g\u00f6\u00f6d.com",
        "https://[good.com]",
        "https://[::1]",
        b"https://good.com\xff",
        b"\xff\xfe",
        "*",
    ],
)
def test_any_other_page_may_not(origin: str | bytes) -> None:
    """What differs, and what no browser sends, is refused."""
    assert not OriginPolicy().allows(scope(origin))


def test_letters_that_only_look_the_same() -> None:
    """Only ASCII letters have two cases: the Kelvin sign is no k, and no comparison folds it into one."""
    assert not OriginPolicy().allows(scope("https://\u212aey.com", host="key.com"))
    with pytest.raises(ValueError, match="is no origin"):
        OriginPolicy(["https://\u212aey.com"])


def test_two_origins() -> None:
    """A browser sends one Origin header; two are refused, though they say the same."""
    assert not OriginPolicy().allows(scope("https://good.com", "https://good.com"))
    assert not OriginPolicy([PARTNER]).allows(scope(PARTNER, PARTNER))


def test_names_of_headers_in_any_case() -> None:
    """A server that passes names on as they came does not open the door."""
    headers = [(b"Host", b"good.com"), (b"ORIGIN", b"https://evil.com")]
    assert not OriginPolicy().allows({"scheme": "wss", "headers": headers})


@pytest.mark.parametrize("host", ["good.com/", "good.com:", "good.com:0", "u@good.com", "", "good com", "[::1", "*"])
def test_a_host_that_is_garbled(host: str) -> None:
    """With a Host that is no host nothing is of the same origin, whatever the Origin says."""
    assert not OriginPolicy().allows(scope(f"https://{host}", host=host))
    assert not OriginPolicy().allows(scope("https://good.com", host=host))


def test_no_host_or_two() -> None:
    """Without one Host header nothing is of the same origin; a list does not need it."""
    assert not OriginPolicy().allows(scope("https://good.com", host=None))
    assert not OriginPolicy().allows(scope("https://good.com", hosts=["good.com"]))
    assert OriginPolicy([PARTNER]).allows(scope(PARTNER, host=None))


@pytest.mark.parametrize("scheme", ["", None])
def test_a_scope_without_a_scheme(scheme: str | None) -> None:
    """ASGI's scheme is optional, and ws by default."""
    assert OriginPolicy().allows({**scope("http://good.com"), "scheme": scheme})
    assert not OriginPolicy().allows({**scope("https://good.com"), "scheme": scheme})


def test_a_scheme_that_nobody_knows() -> None:
    """A server with a scheme of its own has no pages of the same origin."""
    assert not OriginPolicy().allows(scope("https://good.com", scheme="gopher"))


def test_no_origin() -> None:
    """Whatever sends no Origin is no browser, and the check is for browsers."""
    assert OriginPolicy().allows(scope())
    assert OriginPolicy([PARTNER]).allows(scope(host=None))


@given(
    st.sampled_from(["http", "https"]),
    st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?(\.[a-z]{2,5}){0,2}", fullmatch=True),
    st.none() | st.integers(1, 65535),
)
def test_every_page_is_of_its_own_origin(scheme: str, host: str, port: int | None) -> None:
    """The origin that a browser makes of a page's address is allowed by the Host that it makes of it."""
    authority = host if port is None else f"{host}:{port}"
    page = scope(f"{scheme}://{authority}", host=authority.upper(), scheme={"http": "ws", "https": "wss"}[scheme])
    assert OriginPolicy().allows(page)
    assert not OriginPolicy().allows({**page, "scheme": {"http": "wss", "https": "ws"}[scheme]})


@given(st.binary(max_size=60) | st.from_regex(rb"https?://[^/]{0,20}", fullmatch=True), st.binary(max_size=30))
@example(b"https://good.com", b"good.com")
@example(b"https://[::%1]", b"[::%1]")
@example(b"https://[6578:616d:706c:6565:7861:6d70:6c65:2e63]", b"exampleexample.c")
def test_bytes_of_any_kind(origin: bytes, host: bytes) -> None:
    """Nothing raises, and what is allowed says the same on both sides."""
    asked = {"type": "websocket", "scheme": "wss", "headers": [(b"host", host), (b"origin", origin)]}
    if OriginPolicy().allows(asked):
        # The host that is left when the parts that may differ are taken away.
        assert origin.lower().removeprefix(b"https://").removesuffix(b":443") == host.lower().removesuffix(b":443")
    assert explain(asked).isascii()
    assert explain(asked).isprintable()


# The setting


def test_a_list_adds() -> None:
    """The pages of a list may connect, exactly those, and pages of the same origin still may."""
    policy = OriginPolicy([PARTNER, "http://localhost:5173", "chrome-extension://abc"])
    assert policy.allows(scope(PARTNER))
    assert policy.allows(scope("HTTPS://PARTNER.EXAMPLE:443"))
    assert policy.allows(scope("http://localhost:5173"))
    assert policy.allows(scope("chrome-extension://abc"))
    assert policy.allows(scope("https://good.com"))
    for other in ("http://partner.example", f"{PARTNER}:444", "http://localhost", EVIL, "null"):
        assert not policy.allows(scope(other))


def test_everyone() -> None:
    """A star lets in every page of every site."""
    for origin in (EVIL, "null", "garbage"):
        assert OriginPolicy(["*"]).allows(scope(origin, host=None))


def test_null() -> None:
    """Pages without an origin are let in by name, and only they."""
    assert OriginPolicy(["null"]).allows(scope("null"))
    assert not OriginPolicy(["null"]).allows(scope(EVIL))


@pytest.mark.parametrize(
    ("entry", "right"),
    [
        ("https://talk.example.com/", "https://talk.example.com"),
        ("https://talk.example.com/room?x", "https://talk.example.com"),
        ("https://user:word@talk.example.com", "https://talk.example.com"),
        ("talk.example.com", "https://talk.example.com"),
        ("talk.example.com:8443", "https://talk.example.com:8443"),
        ("wss://talk.example.com", "https://talk.example.com"),
        ("ws://localhost:8000", "http://localhost:8000"),
        (" http://localhost ", "http://localhost"),
        ("https://m\u00fcnchen.example", "https://xn--mnchen-3ya.example"),
        ("https://*.example.com", "https://chat.example.com"),
        ("https://chat.example.com:65536", "https://chat.example.com"),
        ("https://[::1", "https://chat.example.com"),
        ("https://" + "x" * 64 + "\u00fc.example", "https://chat.example.com"),
        ("*.example.com", "https://chat.example.com"),
        ("", "https://chat.example.com"),
    ],
)
def test_an_entry_that_is_no_origin(entry: str, right: str) -> None:
    """The message shows the wrong spelling and the right one, which is taken."""
    with pytest.raises(ValueError, match="is no origin") as refused:
        OriginPolicy([PARTNER, entry])
    assert str(refused.value) == f"{entry!r} in allowed_origins is no origin: write {right!r}"
    OriginPolicy([right])


@pytest.mark.parametrize("allowed", [PARTNER, PARTNER.encode()])
def test_a_string_for_a_list(allowed: Any) -> None:
    """A bare string would be a list of letters; it is refused where it is written, on the app and on a route."""
    with pytest.raises(TypeError, match=r"write allowed_origins=\[b?'https://partner.example'\]"):
        App(allowed_origins=allowed)
    with pytest.raises(TypeError, match="allowed_origins is a list"):
        WebSocketRoute("/", WebSocketEndpoint, allowed_origins=allowed)


@pytest.mark.parametrize("allowed", [3, [3], [None], [PARTNER.encode()], [["https://partner.example"]]])
def test_other_things_for_a_list_of_strings(allowed: Any) -> None:
    """So is what is no list of strings."""
    with pytest.raises(TypeError, match="list of strings"):
        App(allowed_origins=allowed)


def test_an_ipv6_address_is_not_the_name_with_the_same_bytes() -> None:
    """An address and a name are never equal."""
    assert parse_origin(b"http://[6578:616d:706c:6565:7861:6d70:6c65:2e63]") != parse_origin(b"http://exampleexample.c")
