"""The quick reader of request heads reads what h11 reads, or leaves it to h11."""

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wsframework.server.head.plain import FIELDS, NAMES, parse_plain

PLAIN = (
    b"GET /chat/a%20room?token=abc HTTP/1.1\r\nHost: localhost:8000\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n"
    b"Sec-WebSocket-Version: 13\r\nOrigin: http://localhost:8000\r\nX-Empty:\r\nX-Tight:value\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n"
)


def parse_with_h11(head: bytes) -> tuple[bytes, list[tuple[bytes, bytes]]] | None:
    parser = h11.Connection(h11.SERVER)
    try:
        parser.receive_data(head)
        event = parser.next_event()
    except h11.RemoteProtocolError:
        return None
    if not isinstance(event, h11.Request) or event.method != b"GET" or event.http_version != b"1.1":
        return None
    return event.target, [(name.lower(), value) for name, value in event.headers.raw_items()]


def test_a_head_as_browsers_send_it() -> None:
    """It is read, and as h11 reads it."""
    assert parse_plain(PLAIN) is not None
    assert parse_plain(PLAIN) == parse_with_h11(PLAIN)


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(PLAIN.replace(b"GET", b"POST"), id="method"),
        pytest.param(PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0"), id="version"),
        pytest.param(PLAIN.replace(b"\r\n", b"\n"), id="line-ends"),
        pytest.param(PLAIN.replace(b"X-Tight:value", b"X-Tight:\r\n value"), id="fold"),
        pytest.param(PLAIN.replace(b"X-Tight:", b"X-Tight :"), id="space-before-colon"),
        pytest.param(PLAIN.replace(b"X-Empty:", b"X-Empty:  "), id="two-spaces"),
        pytest.param(PLAIN.replace(b"X-Empty:", b"X-Empty:\t1"), id="tab"),
        pytest.param(PLAIN.replace(b"value", b"v\xe4lue"), id="not-ASCII"),
        pytest.param(PLAIN.replace(b"value", b"v\0lue"), id="NUL"),
        pytest.param(PLAIN.replace(b"X-Empty:", b"Host: evil.com"), id="two-hosts"),
        pytest.param(PLAIN.replace(b"Host:", b"Guest:"), id="no-host"),
        pytest.param(PLAIN.replace(b"X-Empty:", b"Content-Length: 5"), id="content-length"),
        pytest.param(PLAIN.replace(b"X-Empty:", b"TRANSFER-ENCODING: chunked"), id="transfer-encoding"),
        pytest.param(PLAIN + b"?", id="bytes-behind"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="no-field"),
    ],
)
def test_what_is_left_to_h11(head: bytes) -> None:
    """Whatever could be read in two ways, and whatever announces a body."""
    assert parse_plain(head) is None


BENT = st.lists(
    st.tuples(
        st.integers(0, len(PLAIN)), st.integers(0, 3), st.binary(max_size=3) | st.sampled_from(PLAIN.split(b" "))
    ),
    max_size=4,
)


@given(BENT)
@example([(len(PLAIN) - 2, 0, b"Host: other\r\n")])
@example([(len(PLAIN) - 2, 0, b"a:  b\r\n")])
def test_whatever_is_read_is_what_h11_reads(bends: list[tuple[int, int, bytes]]) -> None:
    """Heads that are cut and filled at random: there is none that the two read differently."""
    head = PLAIN
    for at, removed, added in bends:
        head = head[:at] + added + head[at + removed :]
    found = parse_plain(head)
    if found is not None:
        assert found == parse_with_h11(head)


def test_time_does_not_grow_faster_than_the_head() -> None:
    """A head that nearly fits does not make the pattern try again and again: this ends before the year does."""
    for evil in (b"a: " + b"b " * 8000, b"a:" + b" " * 16000, b"a" * 16000, b"a: b\r\n" * 3000 + b"\0"):
        assert parse_plain(b"GET / HTTP/1.1\r\nHost: a\r\n" + evil) is None


@pytest.mark.parametrize("line", FIELDS)
def test_fields_that_are_known(line: bytes) -> None:
    """What clients send word for word is shared by their connections, and is what h11 reads."""
    head = b"GET / HTTP/1.1\r\nhost: a\r\n%b\r\n\r\n" % line
    assert parse_plain(head) == parse_with_h11(head)
    (_, fields), (_, again) = parse_plain(head) or (b"", []), parse_plain(head) or (b"", [])
    assert fields[1] is again[1]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_are_known(name: bytes) -> None:
    """Common names are shared, and are in lower case as all names."""
    head = b"GET / HTTP/1.1\r\n%b%b: a\r\n\r\n" % (b"" if name.lower() == b"host" else b"Host: b\r\n", name)
    assert parse_plain(head) == parse_with_h11(head)
    (_, fields), (_, again) = parse_plain(head) or (b"", []), parse_plain(head) or (b"", [])
    assert fields[-1][0] is again[-1][0]
