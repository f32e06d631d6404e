"""Close codes: which may travel, which our side may send, how they read."""

import pytest

from wsframework import CloseCode
from wsframework.close import MAX_REASON_BYTES, check_close, describe, may_travel


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 3999, 4000, 4999])
def test_codes_that_travel(code: int) -> None:
    """Registered codes travel, and those of libraries and programs."""
    assert may_travel(code)
    check_close(code, "")


@pytest.mark.parametrize("code", [-1, 0, 1, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535])
def test_codes_that_do_not_travel(code: int) -> None:
    """Codes that stand for something that happened, and codes that nobody has registered, do not travel."""
    assert not may_travel(code)
    with pytest.raises(ValueError, match=f"close code {code} may not be sent"):
        check_close(code, "")


@pytest.mark.parametrize("code", ["1000", 1000.0, None, True])
def test_a_code_is_an_integer(code: object) -> None:
    """Anything but an integer is the programmer's mistake, a bool too."""
    with pytest.raises(TypeError, match="a close code is an integer such as 1000"):
        check_close(code, "")  # type: ignore[arg-type]


@pytest.mark.parametrize("reason", [b"bye", None, 7])
def test_f32_a_reason_is_a_string(reason: object) -> None:
    """Anything but a string is the programmer's mistake."""
    with pytest.raises(TypeError, match="a close reason is a string"):
        check_close(1000, reason)  # type: ignore[arg-type]


@pytest.mark.parametrize("letter", ["a", "é", "€"])
def test_f32_a_reason_is_measured_in_bytes(letter: str) -> None:
    """A reason fits a control frame or is refused, and its size is that of its UTF-8."""
    most = MAX_REASON_BYTES // len(letter.encode())
    check_close(1000, letter * most)
    with pytest.raises(ValueError, match="at most 123 bytes in UTF-8, this one has"):
        check_close(1000, letter * (most + 1))


def test_a_reason_that_is_no_unicode() -> None:
    """Half a surrogate pair cannot be encoded, which is a ValueError too."""
    with pytest.raises(ValueError, match="surrogates not allowed"):
        check_close(1000, "\ud800")


@pytest.mark.parametrize(
    ("code", "reason", "words"),
    [
        (CloseCode.GOING_AWAY, "", "1001 (going away)"),
        (1006, "", "1006 (abnormal closure)"),
        (3000, "", "3000 (registered)"),
        (4000, "see you", "4000 (private use): see you"),
        (2999, "", "2999 (unknown)"),
        (5000, "", "5000 (unknown)"),
    ],
)
def test_a_close_in_words(code: int, reason: str, words: str) -> None:
    """A log line has the number and what it is called."""
    assert describe(code, reason) == words
