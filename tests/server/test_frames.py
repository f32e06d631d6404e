"""Frames in and out: what is legal arrives as it was meant, what is not ends the connection with the right code."""

import pytest

from tests.server.builders import client_close, client_frame, client_header, client_text, mask_payload
from wsframework import CloseCode
from wsframework.errors import ProtocolError
from wsframework.server.framereader import FrameReader
from wsframework.server.frames import Close, Event, Opcode, Ping, Pong, encode_close, encode_frame, encode_message

MIB = 1024 * 1024
SIZES = [0, 1, 3, 4, 125, 126, 127, 0xFFFF, 0x10000, 0x10001]


def read(data: bytes, max_message: int = MIB) -> list[Event]:
    return FrameReader(max_message).feed(data)


def read_byte_by_byte(data: bytes, max_message: int = MIB) -> list[Event]:
    reader = FrameReader(max_message)
    return [event for at in range(len(data)) for event in reader.feed(data[at : at + 1])]


def violation_in(events: list[Event]) -> ProtocolError:
    """The violation that these events consist of."""
    [event] = events
    assert isinstance(event, ProtocolError)
    return event


# What is legal


@pytest.mark.parametrize("size", SIZES)
def test_a_message_in_one_frame(size: int) -> None:
    """A message arrives whole, text as a string and binary as bytes, whichever way its length is written."""
    assert read(client_frame(Opcode.TEXT, b"x" * size)) == ["x" * size]
    assert read(client_frame(Opcode.BINARY, b"\xff" * size)) == [b"\xff" * size]


@pytest.mark.parametrize("size", SIZES)
def test_a_message_in_single_bytes(size: int) -> None:
    """The same messages arrive byte by byte."""
    payload = (bytes(range(128)) * (size // 128 + 1))[:size]
    assert read_byte_by_byte(client_frame(Opcode.TEXT, payload)) == [payload.decode()]
    assert read_byte_by_byte(client_frame(Opcode.BINARY, payload)) == [payload]


def test_a_mask_of_zeros() -> None:
    """A mask that changes nothing is a mask too."""
    assert read(client_frame(Opcode.TEXT, b"plain", mask=bytes(4))) == ["plain"]


LOOKS_LIKE_A_FRAME = client_frame(Opcode.TEXT, b"no", mask=bytes(4))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(client_frame(Opcode.BINARY, LOOKS_LIKE_A_FRAME, mask=bytes(4)), id="payload"),
        pytest.param(client_frame(Opcode.PING, LOOKS_LIKE_A_FRAME, mask=bytes(4)), id="control-payload"),
        pytest.param(client_frame(Opcode.TEXT, b"x", mask=b"\x80abc"), id="header"),
    ],
)
def test_a_read_that_looks_like_a_frame(data: bytes) -> None:
    """What continues a frame is no frame of its own, though byte for byte it could be one."""
    for cut in range(1, len(data)):
        reader = FrameReader(MIB)
        assert reader.feed(data[:cut]) + reader.feed(data[cut:]) == read(data)


def test_several_frames_in_one_read() -> None:
    """Frames that come together are told apart, in order."""
    data = client_text("one") + client_frame(Opcode.PING, b"p") + client_frame(Opcode.BINARY, b"two") + client_text("")
    assert read(data) == ["one", Ping(b"p"), b"two", ""]


def test_a_fragmented_message() -> None:
    """Fragments are joined, empty ones too, and a character may be cut in two by them."""
    euro = "€".encode()
    data = client_frame(Opcode.TEXT, b"", fin=False)
    data += client_frame(Opcode.CONTINUATION, b"5 " + euro[:1], fin=False)
    data += client_frame(Opcode.CONTINUATION, b"", fin=False)
    data += client_frame(Opcode.CONTINUATION, euro[1:])
    assert read(data) == ["5 €"]
    assert read_byte_by_byte(data) == ["5 €"]


def test_an_empty_message_in_fragments() -> None:
    """A message of nothing but empty fragments is an empty message."""
    data = client_frame(Opcode.BINARY, fin=False) + client_frame(Opcode.CONTINUATION)
    assert read(data) == [b""]


def test_control_frames_inside_a_fragmented_message() -> None:
    """Pings and pongs between fragments are reported at once and do not disturb the message (section 5.4)."""
    reader = FrameReader(MIB)
    assert reader.feed(client_frame(Opcode.TEXT, b"he", fin=False)) == []
    assert reader.feed(client_frame(Opcode.PING, b"?")) == [Ping(b"?")]
    assert reader.feed(client_frame(Opcode.PONG)) == [Pong(b"")]
    assert reader.feed(client_frame(Opcode.CONTINUATION, b"llo")) == ["hello"]


def test_a_close_frame_inside_a_fragmented_message() -> None:
    """A client that gives up in the middle of a message may say so."""
    assert read(client_frame(Opcode.TEXT, b"he", fin=False) + client_close(1001)) == [Close(1001, "")]


@pytest.mark.parametrize("size", [0, 1, 125])
def test_control_frames_in_pieces(size: int) -> None:
    """A control frame that comes byte by byte is reported when it is whole."""
    payload = bytes(range(size))
    assert read_byte_by_byte(client_frame(Opcode.PING, payload)) == [Ping(payload)]
    assert read_byte_by_byte(client_frame(Opcode.PONG, payload)) == [Pong(payload)]


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 3999, 4000, 4999])
def test_a_close_frame(code: int) -> None:
    """Registered codes and private ones are reported as they are, with their reason."""
    assert read(client_close(code, "see you, Zoë")) == [Close(code, "see you, Zoë")]


def test_an_empty_close_frame() -> None:
    """A close frame without a code reads as 1005 (section 7.1.5)."""
    assert read(client_close()) == [Close(CloseCode.NO_STATUS_RECEIVED, "")]


@pytest.mark.parametrize("late", [client_text("late"), client_frame(Opcode.PING), client_close(1000), b"\xff\xff"])
def test_f11_nothing_counts_after_a_close_frame(late: bytes) -> None:
    """Whatever follows a close frame is dropped, in the same read and in later ones."""
    reader = FrameReader(MIB)
    assert reader.feed(client_close(4000) + late) == [Close(4000, "")]
    assert reader.feed(late) == []
    assert reader.feed(late * 100) == []


# What is not

CLOSE_CODES_THAT_MUST_NOT_TRAVEL = [0, 999, 1004, 1005, 1006, *range(1015, 1018), 2000, 2999, 5000, 65535]

PROTOCOL_ERRORS = [
    pytest.param(client_header(Opcode.BINARY, 2**63), "highest bit", id="F1-length-2^63"),
    pytest.param(client_header(Opcode.TEXT, 2**64 - 1), "highest bit", id="F1-length-2^64-1"),
    pytest.param(b"\x82\xfe" + (125).to_bytes(2, "big"), "as few bytes", id="F1-16-bit-length-of-125"),
    pytest.param(b"\x82\xff" + (0xFFFF).to_bytes(8, "big"), "as few bytes", id="F1-64-bit-length-of-65535"),
    pytest.param(client_header(Opcode.TEXT, 5, masked=False) + b"hello", "mask", id="F4-unmasked-text"),
    pytest.param(client_header(Opcode.PING, 0, masked=False), "mask", id="F4-unmasked-ping"),
    pytest.param(client_frame(Opcode.TEXT, b"x", reserved=4), "reserved bits", id="F5-RSV1"),
    pytest.param(client_frame(Opcode.TEXT, b"x", reserved=2), "reserved bits", id="F5-RSV2"),
    pytest.param(client_frame(Opcode.TEXT, b"x", reserved=1), "reserved bits", id="F5-RSV3"),
    pytest.param(client_frame(Opcode.PING, b"x", reserved=4), "reserved bits", id="F5-RSV1-on-control"),
    pytest.param(
        client_frame(Opcode.TEXT, b"x", fin=False) + client_frame(Opcode.CONTINUATION, b"x", reserved=4),
        "reserved bits",
        id="F5-RSV1-on-continuation",
    ),
    *(
        pytest.param(client_frame(opcode, b"x"), f"opcode {opcode} is not defined", id=f"F6-opcode-{opcode}")
        for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
    ),
    pytest.param(client_frame(Opcode.PING, b"x" * 126), "at most 125 bytes", id="F7-ping-of-126"),
    pytest.param(client_frame(Opcode.PONG, b"x" * 0x10000), "at most 125 bytes", id="F7-pong-of-65536"),
    pytest.param(client_frame(Opcode.CLOSE, b"\x03\xe8" + b"x" * 124), "at most 125 bytes", id="F7-close-of-126"),
    pytest.param(client_frame(Opcode.PING, b"x", fin=False), "must not be fragmented", id="F7-fragmented-ping"),
    pytest.param(client_frame(Opcode.CLOSE, fin=False), "must not be fragmented", id="F7-fragmented-close"),
    pytest.param(client_frame(Opcode.CONTINUATION, b"x"), "without a message", id="F8-continuation-first"),
    pytest.param(client_frame(Opcode.CONTINUATION, fin=False), "without a message", id="F8-open-continuation-first"),
    *(
        pytest.param(
            client_frame(Opcode.TEXT, b"x", fin=False) + client_frame(opcode, b"x", fin=fin),
            "inside a fragmented one",
            id=f"F8-{name}-inside-a-message",
        )
        for opcode, fin, name in [
            (Opcode.TEXT, True, "text"),
            (Opcode.BINARY, True, "binary"),
            (Opcode.TEXT, False, "open-text"),
        ]
    ),
    pytest.param(client_frame(Opcode.CLOSE, b"\x03"), "has no code or all of it", id="F10-close-of-1-byte"),
    *(
        pytest.param(client_close(code), f"close code {code} must not be sent", id=f"F10-close-code-{code}")
        for code in CLOSE_CODES_THAT_MUST_NOT_TRAVEL
    ),
]


@pytest.mark.parametrize(("data", "words"), PROTOCOL_ERRORS)
def test_a_violation_of_the_protocol(data: bytes, words: str) -> None:
    """It is answered with 1002, is the last event, and comes after the messages before it."""
    reader = FrameReader(MIB)
    before, event = reader.feed(client_text("before") + data + client_text("behind"))
    assert before == "before"
    assert isinstance(event, ProtocolError)
    assert event.code == CloseCode.PROTOCOL_ERROR
    assert words in event.reason
    # And there it stays, whatever comes.
    assert reader.feed(client_text("late")) == []
    assert reader.feed(data) == []


@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY])
def test_f8_a_new_message_in_a_read_of_its_own(opcode: Opcode) -> None:
    """A whole frame is judged by what came before it in other reads."""
    reader = FrameReader(MIB)
    assert reader.feed(client_frame(Opcode.TEXT, b"x", fin=False)) == []
    assert violation_in(reader.feed(client_frame(opcode, b"y"))).code == CloseCode.PROTOCOL_ERROR


@pytest.mark.parametrize(("data", "words"), PROTOCOL_ERRORS)
def test_a_violation_byte_by_byte(data: bytes, words: str) -> None:
    """However it arrives, it is the same violation."""
    assert violation_in(read_byte_by_byte(data)).reason == violation_in(read(data)).reason


@pytest.mark.parametrize(("data", "words"), PROTOCOL_ERRORS)
def test_a_violation_has_a_reason_that_fits_its_close_frame(data: bytes, words: str) -> None:
    """The reason goes out in a close frame, and a control frame carries at most 125 bytes."""
    violation = violation_in(read(data))
    assert len(encode_close(violation.code, violation.reason)) <= 2 + 125


def test_the_first_two_bytes_are_enough_to_refuse() -> None:
    """A frame that must not be is refused before its length or its mask has come."""
    assert violation_in(read(b"\x83\x80")).reason == "opcode 3 is not defined"
    assert violation_in(read(b"\x81\x7f")).reason == "a client must mask its frames"


# F9: text that is no UTF-8. Each with the number of bytes after which it cannot become UTF-8 any more.

BAD_TEXT = [
    pytest.param(b"\xff", 1, id="F9-no-such-byte"),
    pytest.param(b"\x80", 1, id="F9-continuation-byte-first"),
    pytest.param(b"\xc0\xaf", 1, id="F9-overlong-slash"),
    pytest.param(b"\xf5\x80\x80\x80", 1, id="F9-above-10FFFF-by-its-first-byte"),
    pytest.param(b"\xf4\x90\x80\x80", 2, id="F9-above-10FFFF-by-its-second-byte"),
    pytest.param(b"\xe0\x9f\xbf", 2, id="F9-overlong-in-3"),
    pytest.param(b"\xf0\x8f\xbf\xbf", 2, id="F9-overlong-in-4"),
    # Python's decoder looks at all three bytes of a surrogate, where two would do.
    pytest.param(b"\xed\xa0\x80", 3, id="F9-lone-high-surrogate"),
    pytest.param(b"\xed\xbf\xbf", 3, id="F9-lone-low-surrogate"),
    pytest.param(b"\xc3(", 2, id="F9-cut-by-a-letter"),
    pytest.param(b"\xe2\x82(", 3, id="F9-cut-late-by-a-letter"),
    pytest.param(b"\xf0\x9f\x98(", 4, id="F9-cut-very-late-by-a-letter"),
]


@pytest.mark.parametrize("size", [0, 200])
@pytest.mark.parametrize(("bad", "known_after"), BAD_TEXT)
def test_bad_text_in_a_whole_frame(bad: bytes, known_after: int, size: int) -> None:
    """It is answered with 1007, in short frames and in long ones."""
    violation = violation_in(read(client_frame(Opcode.TEXT, b"ok " + bad + b"x" * size)))
    assert violation.code == CloseCode.INVALID_PAYLOAD


@pytest.mark.parametrize(("bad", "known_after"), BAD_TEXT)
def test_bad_text_is_refused_at_its_first_bad_byte(bad: bytes, known_after: int) -> None:
    """No more of the message is waited for (section 8.1)."""
    reader = FrameReader(MIB)
    payload = mask_payload(b"ok " + bad)
    assert reader.feed(client_header(Opcode.TEXT, 1000) + payload[:3]) == []
    for at in range(3, 3 + known_after - 1):
        assert reader.feed(payload[at : at + 1]) == []
    violation = violation_in(reader.feed(payload[3 + known_after - 1 : 3 + known_after]))
    assert violation.code == CloseCode.INVALID_PAYLOAD
    assert reader.feed(payload) == []


@pytest.mark.parametrize(("bad", "known_after"), BAD_TEXT)
@pytest.mark.parametrize("final", [True, False])
def test_bad_text_across_fragments(bad: bytes, known_after: int, final: bool) -> None:
    """A sequence that goes wrong only with the next fragment is found there, whether that is the last one or not."""
    data = client_frame(Opcode.TEXT, b"ok " + bad[: known_after - 1], fin=False)
    data += client_frame(Opcode.CONTINUATION, bad[known_after - 1 :], fin=final)
    assert violation_in(read(data)).code == CloseCode.INVALID_PAYLOAD


@pytest.mark.parametrize("cut", ["é".encode()[:1], "€".encode()[:2], "😀".encode()[:3]], ids=["F9-2", "F9-3", "F9-4"])
def test_text_that_ends_inside_a_character(cut: bytes) -> None:
    """Such text is fine until the message ends there."""
    for split in range(len(cut) + 1):
        reader = FrameReader(MIB)
        assert reader.feed(client_frame(Opcode.TEXT, cut[:split], fin=False)) == []
        [violation] = reader.feed(client_frame(Opcode.CONTINUATION, cut[split:]))
        assert isinstance(violation, ProtocolError)
        assert violation.code == CloseCode.INVALID_PAYLOAD
    assert violation_in(read_byte_by_byte(client_frame(Opcode.TEXT, cut))).code == CloseCode.INVALID_PAYLOAD


def test_binary_may_hold_anything() -> None:
    """Only text is checked."""
    data = client_frame(Opcode.BINARY, b"\xff", fin=False) + client_frame(Opcode.CONTINUATION, b"\xc0")
    assert read(data) == [b"\xff\xc0"]


def test_f9_a_close_reason_is_text() -> None:
    """A reason that is no UTF-8 is answered with 1007."""
    violation = violation_in(read(client_frame(Opcode.CLOSE, b"\x03\xe8\xff")))
    assert violation.code == CloseCode.INVALID_PAYLOAD


# What we send


@pytest.mark.parametrize(
    ("size", "header"),
    [
        (0, "8100"),
        (1, "8101"),
        (125, "817d"),
        (126, "817e007e"),
        (0xFFFF, "817effff"),
        (0x10000, "817f0000000000010000"),
    ],
)
def test_a_message_is_encoded(size: int, header: str) -> None:
    """Frames of a server are whole and unmasked, and their length takes as few bytes as it can."""
    assert encode_message("x" * size) == bytes.fromhex(header) + b"x" * size
    binary = encode_message(b"x" * size)
    assert binary == encode_frame(Opcode.BINARY, b"x" * size)
    assert binary[0] == 0x82
    assert binary[1:] == encode_message("x" * size)[1:]


def test_text_is_measured_in_bytes() -> None:
    """The length of a frame is that of its UTF-8."""
    assert encode_message("é" * 63) == b"\x81\x7e\x00\x7e" + "é".encode() * 63


def test_text_that_cannot_be_encoded() -> None:
    """Half a surrogate pair is the programmer's ValueError."""
    with pytest.raises(ValueError, match="surrogates not allowed"):
        encode_message("\ud800")


def test_a_close_frame_is_encoded() -> None:
    """With code and reason; 1005 stands for an empty one."""
    assert encode_close(1000, "bye") == b"\x88\x05\x03\xe8bye"
    assert encode_close(CloseCode.GOING_AWAY) == b"\x88\x02\x03\xe9"
    assert encode_close(CloseCode.NO_STATUS_RECEIVED) == b"\x88\x00"
