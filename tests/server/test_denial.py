"""The bytes of a response that refuses a handshake."""

import pytest

from tests.server.builders import DATE
from wsframework.server.denial import Denial

END = b"Connection: close\r\n\r\n"
DATED = b"Date: " + DATE.encode() + b"\r\n"


def test_a_body_with_a_length() -> None:
    """It is sent as it is, and ends where it says."""
    denial = Denial(402, [(b"content-length", b"5")], "1.1")
    assert denial.head == b"HTTP/1.1 402 Payment Required\r\ncontent-length: 5\r\n" + DATED + END
    assert denial.encode(b"later") == b"later"
    assert denial.end == b""


def test_a_body_without_a_length() -> None:
    """It is chunked, and an empty part does not end it."""
    denial = Denial(403, [], "1.1")
    assert denial.head == b"HTTP/1.1 403 Forbidden\r\n" + DATED + b"Transfer-Encoding: chunked\r\n" + END
    assert denial.encode(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"
    assert denial.encode(b"") == b""
    assert denial.end == b"0\r\n\r\n"


@pytest.mark.parametrize(("status", "version"), [(204, "1.1"), (304, "1.1"), (403, "2"), (403, None)])
def test_what_ends_by_itself(status: int, version: str | None) -> None:
    """Responses that have no body are not chunked, nor are those over HTTP/2, which has ends of its own."""
    denial = Denial(status, [], version)
    assert b"chunked" not in denial.head
    assert denial.encode(b"x") == b"x"
    assert denial.end == b""


@pytest.mark.parametrize("name", [b"Connection", b"transfer-encoding", b"TRANSFER-ENCODING"])
def test_how_it_ends_is_ours_to_say(name: bytes) -> None:
    """The application's own word for it is left out."""
    head = Denial(403, [(name, b"gzip")], "1.1").head
    assert b"gzip" not in head
    assert head.count(b"onnection") == 1


def test_a_header_that_must_not_travel() -> None:
    """It is the programmer's ValueError."""
    with pytest.raises(ValueError, match="must not travel"):
        Denial(403, [(b"x", b"a\r\nb: c")], "1.1")


def test_a_date_of_its_own() -> None:
    """Every answer has one (RFC 9110 section 6.6.1), and the application's holds."""
    assert Denial(403, [(b"DATE", b"today")], "1.1").head.lower().count(b"date") == 1
