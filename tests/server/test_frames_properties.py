"""Properties of frames: how bytes are cut does not matter, and the `websockets` library reads and writes the same."""

import hypothesis
import hypothesis.strategies as st
from hypothesis import HealthCheck, given
from websockets.frames import Close as ForeignClose
from websockets.frames import Frame
from websockets.frames import Opcode as ForeignOpcode

from tests.server.builders import client_frame, read_frames, splits
from wsframework.close import may_travel
from wsframework.errors import ProtocolError
from wsframework.server.framereader import FrameReader
from wsframework.server.frames import Close, Event, Opcode, Ping, Pong, encode_close, encode_frame, encode_message

LIMIT = 1000
# Time is not what these tests measure.
settings = hypothesis.settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

texts = st.text(max_size=80) | st.integers(0, 250).map(lambda size: "x" * size)
payloads = st.binary(max_size=150) | st.integers(120, 900).map(lambda size: b"\xfe" * size)
short_payloads = st.binary(max_size=125)
masks = st.binary(min_size=4, max_size=4)
codes = st.integers(1000, 4999).filter(may_travel)
reasons = st.text(max_size=30)
cuts = st.lists(st.integers(0, 2000), max_size=12)


@st.composite
def messages(draw: st.DrawFn) -> tuple[bytes, list[Event]]:
    """A message in one or more fragments, with control frames in between, and what it should be read as."""
    message = draw(texts | payloads)
    payload = message.encode() if isinstance(message, str) else message
    opcode = Opcode.TEXT if isinstance(message, str) else Opcode.BINARY
    pieces = splits(payload, [cut % (len(payload) + 1) for cut in draw(st.lists(st.integers(0, 900), max_size=3))])
    data = b""
    events: list[Event] = []
    for number, piece in enumerate(pieces or [b""]):
        last = number == len(pieces or [b""]) - 1
        data += client_frame(opcode if number == 0 else Opcode.CONTINUATION, piece, fin=last, mask=draw(masks))
        if not last and draw(st.booleans()):
            ping = draw(short_payloads)
            data += client_frame(Opcode.PING, ping, mask=draw(masks))
            events.append(Ping(ping))
    return data, [*events, message]


pings = st.builds(
    lambda payload, mask: (client_frame(Opcode.PING, payload, mask=mask), [Ping(payload)]), short_payloads, masks
)
pongs = st.builds(
    lambda payload, mask: (client_frame(Opcode.PONG, payload, mask=mask), [Pong(payload)]), short_payloads, masks
)


@st.composite
def sessions(draw: st.DrawFn) -> tuple[bytes, list[Event]]:
    """All that a well-behaved client sends, and what it should be read as."""
    parts: list[tuple[bytes, list[Event]]] = draw(st.lists(messages() | pings | pongs, max_size=6))
    if draw(st.booleans()):
        code, reason = draw(codes), draw(reasons)
        payload = code.to_bytes(2, "big") + reason.encode()
        parts.append((client_frame(Opcode.CLOSE, payload, mask=draw(masks)), [Close(code, reason)]))
    return b"".join(data for data, _ in parts), [event for _, events in parts for event in events]


@st.composite
def damaged_sessions(draw: st.DrawFn) -> bytes:
    """The same with some bytes changed, lost or added."""
    data = bytearray(draw(sessions())[0])
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
    return bytes(data)


def read(pieces: list[bytes]) -> list[Event | tuple[int, str]]:
    """The events of these reads; violations as what can be compared."""
    reader = FrameReader(LIMIT, max_fragments=5)
    events = [event for piece in pieces for event in reader.feed(piece)]
    return [(event.code, event.reason) if isinstance(event, ProtocolError) else event for event in events]


@settings
@given(sessions(), cuts)
def test_a_session_is_read_as_it_was_meant(session: tuple[bytes, list[Event]], cuts: list[int]) -> None:
    """Every legal sequence of frames, cut anywhere, gives the events that it was made from."""
    data, events = session
    assert read([data]) == events
    assert read(splits(data, [cut % (len(data) + 1) for cut in cuts])) == events
    assert read([bytes((byte,)) for byte in data]) == events


@settings
@given(damaged_sessions() | st.binary(max_size=300), cuts)
def test_damage_is_read_the_same_however_it_is_cut(data: bytes, cuts: list[int]) -> None:
    """Bytes that mean nothing give the same events and the same violation, cut anywhere, and never an exception."""
    events = read([data])
    assert read(splits(data, [cut % (len(data) + 1) for cut in cuts])) == events
    assert read([bytes((byte,)) for byte in data]) == events
    for event in events[:-1]:
        assert not isinstance(event, (tuple, Close)), "a violation or a close frame is the last event"


# The `websockets` library as an independent reader and writer


@settings
@given(st.sampled_from(list(Opcode)), payloads | st.sampled_from([bytes(0xFFFF), bytes(0x10000)]))
def test_we_write_frames_as_websockets_does(opcode: Opcode, payload: bytes) -> None:
    """Both encode a frame to the same bytes."""
    if opcode >= Opcode.CLOSE:
        payload = payload[:125]
    assert encode_frame(opcode, payload) == Frame(ForeignOpcode(opcode), payload).serialize(mask=False)


@settings
@given(st.lists(texts | payloads, max_size=5), codes, reasons)
def test_websockets_reads_what_we_write(sent: list[str | bytes], code: int, reason: str) -> None:
    """A stream of our messages and our close frame is read as what it says."""
    *received, last = read_frames(b"".join(map(encode_message, sent)) + encode_close(code, reason))
    assert [frame.data.decode() if frame.opcode == ForeignOpcode.TEXT else frame.data for frame in received] == sent
    assert last.opcode == ForeignOpcode.CLOSE
    assert ForeignClose.parse(bytes(last.data)) == ForeignClose(code, reason)


@settings
@given(st.lists(texts | payloads, max_size=5), codes, reasons, cuts)
def test_we_read_what_websockets_writes(sent: list[str | bytes], code: int, reason: str, cuts: list[int]) -> None:
    """Messages and the close frame of a `websockets` client are read as what they say."""
    data = b"".join(
        Frame(ForeignOpcode.TEXT, message.encode()).serialize(mask=True)
        if isinstance(message, str)
        else Frame(ForeignOpcode.BINARY, message).serialize(mask=True)
        for message in sent
    )
    data += Frame(ForeignOpcode.CLOSE, ForeignClose(code, reason).serialize()).serialize(mask=True)
    assert read(splits(data, [cut % (len(data) + 1) for cut in cuts])) == [*sent, Close(code, reason)]
