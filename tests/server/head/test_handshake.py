"""The request head and its answer: who is upgraded, who is refused and how, and what never gets onto the wire."""

import base64

import attrs
import h11
import pytest

from tests.server.builders import ACCEPT, DATE, KEY, handshake, upgrade
from wsframework import Limits
from wsframework.errors import RequestError
from wsframework.headers import check_header
from wsframework.server.head.handshake import Handshake, accept_key, check_upgrade, encode_accept
from wsframework.server.head.request import find_end, parse_request
from wsframework.server.head.response import encode_head, encode_refusal

LIMITS = Limits()


def judge(head: bytes) -> Handshake:
    return check_upgrade(parse_request(head, LIMITS))


def refusal_of(head: bytes) -> RequestError:
    with pytest.raises(RequestError) as caught:
        judge(head)
    return caught.value


# Where the head ends


def test_the_end_of_the_head() -> None:
    """It is behind the empty line, wherever the reads were cut."""
    head = upgrade()
    for seen in range(len(head)):
        assert find_end(head + b"frames", seen) == len(head)
        assert find_end(head[:seen], 0) == -1


def test_h25_the_end_is_looked_for_only_in_what_is_new() -> None:
    """What was looked at before is not looked at again, or a head in single bytes would cost the square of its size."""
    assert find_end(b"\r\n\r\n" + b"x" * 10, 10) == -1


# Who is upgraded


def test_an_upgrade() -> None:
    """Method, target, fields and subprotocols are there to be read."""
    found = judge(
        upgrade(b"Sec-WebSocket-Protocol: chat, superchat", b"X-Room: 7", target=b"/caf%C3%A9/a%2Fb?q=1&q=%32")
    )
    assert found.key == KEY
    assert found.path == "/café/a/b"
    assert found.raw_path == b"/caf%C3%A9/a%2Fb"
    assert found.query_string == b"q=1&q=%32"
    assert found.subprotocols == ["chat", "superchat"]
    assert found.request.method == "GET"
    assert found.request.http_version == "1.1"
    assert found.request.values(b"x-room") == [b"7"]
    assert found.request.values(b"x-none") == []


@pytest.mark.parametrize("connection", [b"upgrade", b"UPGRADE", b"keep-alive, Upgrade", b",, Upgrade ,"])
@pytest.mark.parametrize("protocol", [b"websocket", b"WebSocket", b" websocket "])
def test_words_are_compared_without_case(connection: bytes, protocol: bytes) -> None:
    """Tokens are found in lists and in any case (section 4.2.1)."""
    judge(upgrade(connection=connection, upgrade=protocol))


def test_connection_tokens_in_two_fields() -> None:
    """A list may be spread over several fields."""
    judge(upgrade(b"Connection: Upgrade", connection=b"keep-alive"))


def test_subprotocols_in_two_fields() -> None:
    """Their order is the client's preference, over all fields."""
    extra = (b"Sec-WebSocket-Protocol: b, a", b"Sec-WebSocket-Protocol: c")
    assert judge(upgrade(*extra)).subprotocols == ["b", "a", "c"]


def test_an_empty_body_is_no_body() -> None:
    """A proxy may add a length of zero."""
    judge(upgrade(b"Content-Length: 0"))


@pytest.mark.parametrize(
    "offer",
    [
        pytest.param(b"permessage-deflate; client_max_window_bits=abc", id="H4"),
        pytest.param(b"permessage-deflate; server_max_window_bits=8", id="H5-8-bits"),
        pytest.param(b"permessage-deflate; server_max_window_bits=99", id="H5-99-bits"),
        pytest.param(b"permessage-deflate; a; a; a", id="H5-duplicates"),
        pytest.param(b";;=,", id="H5-garbage"),
        pytest.param(b"constructor, __proto__; __proto__=1", id="H5-names"),
    ],
)
def test_extensions_are_declined(offer: bytes) -> None:
    """An offer that we cannot take, or read, is no reason to refuse the client: the answer names no extension."""
    answer = encode_accept(judge(upgrade(b"Sec-WebSocket-Extensions: " + offer)))
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b"extensions" not in answer.lower()


@pytest.mark.parametrize(
    ("request_line", "wants"),
    [(upgrade(), True), (upgrade(upgrade=b"h2c"), False), (upgrade(upgrade=None), False)],
    ids=["websocket", "H21-h2c", "none"],
)
def test_who_wants_a_websocket(request_line: bytes, wants: bool) -> None:
    """The Upgrade field says so; what does not say so is for the HTTP side."""
    assert parse_request(request_line, LIMITS).wants_websocket is wants


# Who is not

REFUSALS = [
    pytest.param(upgrade(b"Sec-WebSocket-Protocol: \x80\xff"), 400, "ASCII", id="H1"),
    pytest.param(upgrade(b"Sec-WebSocket-Extensions: \x80"), 400, "ASCII", id="H2"),
    pytest.param(upgrade(connection=b"Upgrade, \xff"), 400, "ASCII", id="H3"),
    pytest.param(upgrade(upgrade=b"websocket\xff"), 400, "ASCII", id="H3-upgrade"),
    pytest.param(upgrade(connection=b"Upgrade;"), 400, "cannot be read", id="connection-garbage"),
    pytest.param(upgrade(upgrade=b"websocket/"), 400, "cannot be read", id="upgrade-garbage"),
    pytest.param(upgrade(b"Sec-WebSocket-Protocol: b" + b" " * 15_000 + b"x"), 400, "Protocol", id="H6"),
    pytest.param(upgrade(b"Content-Length: 5"), 400, "no body", id="H9-length"),
    pytest.param(upgrade(b"Transfer-Encoding: chunked"), 400, "no body", id="H9-chunked"),
    pytest.param(upgrade(b"Content-Length: 00"), 400, "no body", id="H9-odd-zero"),
    pytest.param(upgrade(b"Transfer-Encoding: gzip"), 501, "cannot be read", id="H12-encoding"),
    pytest.param(upgrade().replace(b"\r\n", b"\n", 2), 400, "CR and LF", id="H12-bare-LF"),
    pytest.param(upgrade(b"X-A: b\rX-B: c"), 400, "CR and LF", id="H12-bare-CR"),
    pytest.param(upgrade(b"X-A: b\r\n c"), 400, "folded", id="H12-fold-by-space"),
    pytest.param(upgrade(b"X-A: b\r\n\tc"), 400, "folded", id="H12-fold-by-tab"),
    pytest.param(upgrade(b"X A: b"), 400, "cannot be read", id="H12-space-in-name"),
    pytest.param(upgrade(b"X-A : b"), 400, "cannot be read", id="H12-space-behind-name"),
    pytest.param(upgrade(b"X-A: b\0c"), 400, "control characters", id="H12-NUL"),
    pytest.param(upgrade(b"X-A: b\x1bc"), 400, "control characters", id="escape-in-value"),
    pytest.param(upgrade(b"X-A: b\x7f"), 400, "control characters", id="delete-in-value"),
    pytest.param(upgrade(b"Content-Length: 0", b"Content-Length: 5"), 400, "cannot be read", id="H13"),
    pytest.param(upgrade(b"Content-Length: 5", b"Transfer-Encoding: chunked"), 400, "not both", id="H13-and-chunked"),
    pytest.param(upgrade(host=None), 400, "cannot be read", id="H15-no-host"),
    pytest.param(upgrade(b"Host: evil.com"), 400, "cannot be read", id="H15-two-hosts"),
    pytest.param(upgrade(target=b"@evil.com/"), 400, "slash", id="H17-at"),
    pytest.param(upgrade(target=b"http://evil.com/"), 400, "same host", id="H17-absolute"),
    pytest.param(upgrade(target=b"http://example.com:81/"), 400, "same host", id="H17-absolute-port"),
    pytest.param(upgrade(target=b"http://example.com@evil.com/"), 400, "slash", id="H17-absolute-user"),
    pytest.param(upgrade(target=b"http:///", host=b""), 400, "slash", id="H17-absolute-no-host"),
    pytest.param(upgrade(target=b"ftp://example.com/"), 400, "slash", id="H17-absolute-scheme"),
    pytest.param(upgrade(target=b"http://example.com#/"), 400, "slash", id="H17-absolute-fragment"),
    pytest.param(upgrade(target=b"*"), 400, "slash", id="H17-star"),
    pytest.param(upgrade(target=b"?q"), 400, "slash", id="H17-query-only"),
    pytest.param(upgrade(target=b"/%ff"), 400, "UTF-8", id="path-no-UTF-8"),
    pytest.param(upgrade(sec_websocket_key=None), 400, "one Sec-WebSocket-Key", id="H18-missing"),
    pytest.param(upgrade(b"Sec-WebSocket-Key: " + KEY), 400, "one Sec-WebSocket-Key", id="H18-twice"),
    pytest.param(upgrade(sec_websocket_key=b"AAAA"), 400, "16 bytes", id="H18-3-bytes"),
    pytest.param(upgrade(sec_websocket_key=b""), 400, "16 bytes", id="H18-empty"),
    pytest.param(upgrade(sec_websocket_key=b"?" * 24), 400, "base64", id="H18-no-base64"),
    pytest.param(upgrade(sec_websocket_key=b"\xff" * 24), 400, "base64", id="H18-no-ASCII"),
    pytest.param(upgrade(sec_websocket_key=KEY[:-1]), 400, "base64", id="H18-cut"),
    pytest.param(upgrade(sec_websocket_version=b"8"), 426, "version 13", id="H19-8"),
    pytest.param(upgrade(sec_websocket_version=None), 426, "version 13", id="H19-none"),
    pytest.param(upgrade(b"Sec-WebSocket-Version: 8"), 426, "version 13", id="H19-two"),
    pytest.param(upgrade(method=b"POST"), 405, "GET", id="H20-POST"),
    pytest.param(upgrade(version=b"1.0"), 426, "HTTP/1.1", id="H20-HTTP/1.0"),
    pytest.param(upgrade(version=b"1.2"), 505, "HTTP/1.1", id="H20-HTTP/1.2"),
    pytest.param(b"GET / HTTP/7.3\r\n\r\n", 505, "HTTP/1.1", id="HTTP/7.3"),
    pytest.param(b"GET / HTTP/2.0\r\n\r\n", 505, "HTTP/1.1", id="HTTP/2.0-in-words"),
    pytest.param(upgrade(upgrade=b"h2c, websocket"), 400, "nothing else", id="H21-and-h2c"),
    pytest.param(upgrade(method=b"CONNECT", target=b"victim.com:443"), 405, "GET", id="H22"),
    pytest.param(upgrade(*[b"X-A: b"] * 1000), 431, "128 header fields", id="H26-one-name-1000-times"),
    pytest.param(upgrade(connection=b"keep-alive"), 400, "must say Upgrade", id="no-upgrade-in-connection"),
    pytest.param(upgrade(connection=None), 400, "must say Upgrade", id="no-connection"),
    pytest.param(upgrade(upgrade=None), 400, "must say websocket", id="no-upgrade"),
    pytest.param(b"\r\n\r\n", 400, "cannot be read", id="H40-empty-lines"),
    pytest.param(b"GET / HTTP/1.1 \r\n\r\n", 400, "cannot be read", id="H40-request-line"),
    pytest.param(b"HELO example.com\r\n\r\n", 400, "cannot be read", id="H40-SMTP"),
    pytest.param(upgrade()[:-2], 400, "cannot be read", id="half-a-head"),
]


@pytest.mark.parametrize(("head", "status", "words"), REFUSALS)
def test_a_refusal(head: bytes, status: int, words: str) -> None:
    """Every mistake has its status, and the detail says in words what it was."""
    error = refusal_of(head)
    assert error.status == status
    assert words in error.detail


@pytest.mark.parametrize(("head", "status", "words"), REFUSALS)
def test_a_refusal_is_a_whole_response(head: bytes, status: int, words: str) -> None:
    """An HTTP client reads the status, the detail, and that the connection ends."""
    error = refusal_of(head)
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "example.com")]))
    client.receive_data(encode_refusal(error))
    response = client.next_event()
    assert isinstance(response, h11.Response)
    assert response.status_code == status
    fields = dict(response.headers)
    assert fields[b"connection"].split(b", ")[0] == b"close"
    assert fields[b"date"] == DATE.encode()
    body = client.next_event()
    assert isinstance(body, h11.Data)
    assert bytes(body.data).decode() == error.detail + "\n"
    assert isinstance(client.next_event(), h11.EndOfMessage)


@pytest.mark.parametrize(
    ("head", "field"),
    [
        (upgrade(sec_websocket_version=b"8"), b"\r\nsec-websocket-version: 13\r\n"),
        (upgrade(method=b"POST"), b"\r\nallow: GET\r\n"),
        (upgrade(version=b"1.0"), b"\r\nupgrade: websocket\r\n"),
        (upgrade(version=b"1.0"), b"\r\nConnection: close, Upgrade\r\n"),
        (upgrade(sec_websocket_version=b"8"), b"\r\nupgrade: websocket\r\n"),
        (upgrade(sec_websocket_version=b"8"), b"\r\nConnection: close, Upgrade\r\n"),
    ],
    ids=["H19", "H20-POST", "H20-HTTP/1.0", "H20-option", "H19-protocol", "H19-option"],
)
def test_a_refusal_says_what_would_be_right(head: bytes, field: bytes) -> None:
    """The header fields that go with 405 and 426 are there."""
    assert field in encode_refusal(refusal_of(head))


@pytest.mark.parametrize(
    ("target", "raw_path", "query"),
    [
        (b"http://example.com/chat?x=1", b"/chat", b"x=1"),
        (b"HTTPS://EXAMPLE.com//a?b?/c", b"//a", b"b?/c"),
        (b"http://example.com", b"/", b""),
        (b"http://example.com?x=/1", b"/", b"x=/1"),
    ],
)
def test_h17_a_whole_url(target: bytes, raw_path: bytes, query: bytes) -> None:
    """It may be the target of a request (RFC 6455 section 4.2.1); its path and its query are those of the WebSocket."""
    made = judge(upgrade(target=target))
    assert (made.raw_path, made.query_string) == (raw_path, query)
    assert made.path == raw_path.decode()
    assert made.request.values(b"host") == [b"example.com"]


def test_h17_two_slashes_are_a_path() -> None:
    """What looks like a host behind two slashes is a path and nothing else."""
    found = judge(upgrade(target=b"//evil.com/x"))
    assert found.path == "//evil.com/x"
    assert found.raw_path == b"//evil.com/x"


def test_h26_a_cookie_full_of_quotes() -> None:
    """Fields that are not ours are passed on as they came."""
    cookie = b'"' + b'\\"' * 5000 + b'"'
    assert judge(upgrade(b"Cookie: " + cookie)).request.values(b"cookie") == [cookie]


def test_the_number_of_fields_is_a_limit() -> None:
    """As many as the limit are allowed."""
    limits = attrs.evolve(LIMITS, request_fields=5)
    parse_request(upgrade(), limits)
    with pytest.raises(RequestError, match="at most 5 header fields"):
        parse_request(upgrade(b"X-A: b"), limits)


# The answer


def test_the_proof() -> None:
    """It is the one of the example in section 1.3."""
    assert accept_key(KEY) == ACCEPT
    assert len(base64.b64decode(accept_key(b"anything"))) == 20


def test_the_answer() -> None:
    """101, the proof, and nothing that nobody asked for."""
    assert encode_accept(handshake()) == (
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\n\r\n"
    )


def test_the_answer_with_a_subprotocol_and_headers() -> None:
    """They come behind ours, in order."""
    found = handshake(b"Sec-WebSocket-Protocol: chat, superchat")
    answer = encode_accept(found, "superchat", iter([(b"Set-Cookie", b"a=1"), (b"set-cookie", b"b=\xe9")]))
    assert answer.endswith(b"\r\nSec-WebSocket-Protocol: superchat\r\nSet-Cookie: a=1\r\nset-cookie: b=\xe9\r\n\r\n")


@pytest.mark.parametrize(("offer", "words"), [((b"Sec-WebSocket-Protocol: a, b",), "a, b"), ((), "none")])
@pytest.mark.parametrize("choice", ["c", "A", "", "a\r\nX-Evil: 1", "é"])
def test_h36_a_subprotocol_that_was_not_offered(offer: tuple[bytes, ...], words: str, choice: str) -> None:
    """It is the application's mistake, and the message says what was offered."""
    with pytest.raises(ValueError, match=f"was not offered by the client .it offered: {words}"):
        encode_accept(handshake(*offer), choice)


@pytest.mark.parametrize("value", [b"a\r\nX-Evil: 1", b"a\n", b"\ra", b"\0"])
@pytest.mark.parametrize(
    "encode", [lambda pair: encode_accept(handshake(), None, [pair]), lambda pair: check_header(*pair)]
)
def test_h35_a_value_that_would_break_out(value: bytes, encode: object) -> None:
    """CR, LF and NUL in a header value are a ValueError, before a byte is built."""
    with pytest.raises(ValueError, match="header X-A holds CR, LF or NUL"):
        encode((b"X-A", value))  # type: ignore[operator]


@pytest.mark.parametrize("name", [b"", b"X A", b"X-A:", b"X-A\r\n", b"X-A\n", b"\xe9", b"X-\0"])
def test_h35_a_name_that_is_none(name: bytes) -> None:
    """A header name is a token."""
    with pytest.raises(ValueError, match="is no header name"):
        check_header(name, b"b")


@pytest.mark.parametrize("pair", [("X-A", b"b"), (b"X-A", "b"), (None, b"b"), (b"X-A", 1)])
def test_headers_are_bytes(pair: tuple[object, object]) -> None:
    """Strings would need an encoding, and which one nobody has said."""
    with pytest.raises(TypeError, match="headers are pairs of bytes such as"):
        check_header(*pair)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name",
    [b"Upgrade", b"connection", b"Sec-WebSocket-Accept", b"sec-websocket-protocol", b"Sec-WebSocket-Extensions"],
)
def test_headers_that_are_the_servers(name: bytes) -> None:
    """An application cannot send a second proof, or agree on what was not agreed on."""
    with pytest.raises(ValueError, match="is the server's to send"):
        encode_accept(handshake(), None, [(name, b"x")])


@pytest.mark.parametrize("name", [b"Content-Length", b"transfer-encoding"])
def test_headers_of_a_body(name: bytes) -> None:
    """An answer that accepts has none, and clients that believe these would wait for one."""
    with pytest.raises(ValueError, match="has no body; leave it out"):
        encode_accept(handshake(), None, [(name, b"0")])


@pytest.mark.parametrize(("status", "line"), [(403, b"HTTP/1.1 403 Forbidden"), (299, b"HTTP/1.1 299 ")])
def test_the_status_line(status: int, line: bytes) -> None:
    """A status without a name of its own has an empty one."""
    assert encode_head(status, [(b"X-A", b"b")]) == line + b"\r\nX-A: b\r\n\r\n"
