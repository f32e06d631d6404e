"""Agreeing on permessage-deflate: which offers are taken, what is answered, and what is declined."""

import time

import pytest
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.headers import build_extension, parse_extension

from wsframework import Deflate
from wsframework.server.deflate import NAME, negotiate

USUAL = Deflate()
TAKEOVER = Deflate(context_takeover=True)
BOTH_FRESH = "server_no_context_takeover; client_no_context_takeover"


def answer(offer: bytes, deflate: Deflate = USUAL) -> str | None:
    """What is answered to this offer, without the name of the extension."""
    agreement = negotiate([offer], deflate)
    return None if agreement is None else agreement.extension.removeprefix(NAME).removeprefix("; ")


@pytest.mark.parametrize(
    ("offer", "expected"),
    [
        (b"permessage-deflate", f"{BOTH_FRESH}; server_max_window_bits=12"),
        (
            b"permessage-deflate; client_max_window_bits",
            f"{BOTH_FRESH}; server_max_window_bits=12; client_max_window_bits=12",
        ),
        (
            b"permessage-deflate; client_max_window_bits=10; server_max_window_bits=11",
            f"{BOTH_FRESH}; server_max_window_bits=9; client_max_window_bits=10",
        ),
        (
            b'permessage-deflate; client_max_window_bits=15; server_max_window_bits="15"',
            f"{BOTH_FRESH}; server_max_window_bits=12; client_max_window_bits=12",
        ),
        (
            b"permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            f"{BOTH_FRESH}; server_max_window_bits=12",
        ),
    ],
)
def test_the_usual_answers(offer: bytes, expected: str) -> None:
    """No window is larger than one side wants it, and nobody refers back to earlier messages."""
    assert answer(offer) == expected


@pytest.mark.parametrize(
    ("offer", "expected"),
    [
        (
            b"permessage-deflate; client_max_window_bits",
            "server_max_window_bits=12; client_max_window_bits=12",
        ),
        (
            b"permessage-deflate; client_max_window_bits; server_no_context_takeover",
            "server_no_context_takeover; server_max_window_bits=12; client_max_window_bits=12",
        ),
        (
            b"permessage-deflate; client_max_window_bits; client_no_context_takeover",
            "client_no_context_takeover; server_max_window_bits=12; client_max_window_bits=12",
        ),
    ],
)
def test_context_takeover(offer: bytes, expected: str) -> None:
    """Messages may refer back where both sides want that."""
    assert answer(offer, TAKEOVER) == expected


def test_a_client_that_cannot_limit_its_window_must_not_refer_back() -> None:
    """Its window would be ours to keep, and larger than we chose."""
    agreement = negotiate([b"permessage-deflate"], TAKEOVER)
    assert agreement is not None
    assert agreement.takeover
    assert not agreement.client_takeover
    assert agreement.client_window_bits == 15
    wide = negotiate([b"permessage-deflate"], Deflate(context_takeover=True, window_bits=15))
    assert wide is not None
    assert wide.client_takeover
    assert wide.extension == NAME


@pytest.mark.parametrize(
    "parameters",
    [
        b"client_max_window_bits=abc",
        b"client_max_window_bits=8",
        b"client_max_window_bits=99",
        b"client_max_window_bits=012",
        b"server_max_window_bits=8",
        b"server_max_window_bits=16",
        b"server_max_window_bits",
        b"server_max_window_bits=-12",
        b"server_no_context_takeover=true",
        b"client_no_context_takeover=1",
        b"server_no_context_takeover; server_no_context_takeover",
        b"client_max_window_bits; client_max_window_bits=10",
        b"constructor",
        b"__proto__",
        b"__class__=x",
        b"Server_Max_Window_Bits=10",
        b"mem_level=9",
    ],
)
def test_offers_that_are_declined(parameters: bytes) -> None:
    """What is unknown, stands twice or has a value that it cannot have makes that offer void (RFC 7692 section 7)."""
    assert answer(b"permessage-deflate; " + parameters) is None
    # The next offer is taken all the same.
    assert answer(b"permessage-deflate; " + parameters + b", permessage-deflate") is not None


@pytest.mark.parametrize(
    "offer",
    [
        b"",
        b";;=,",
        b"permessage-deflate;",
        b"permessage-deflate; =10",
        b"a b",
        b'permessage-deflate; x="',
        b"\x00",
        b"=",
    ],
)
def test_offers_that_cannot_be_read(offer: bytes) -> None:
    """Garbage is declined."""
    assert answer(offer) is None


@pytest.mark.parametrize("offer", [b"x-webkit-deflate-frame", b"permessage-bzip2; x=1", b"PERMESSAGE-DEFLATE2"])
def test_other_extensions(offer: bytes) -> None:
    """What we do not have is declined."""
    assert answer(offer) is None
    assert answer(offer + b", permessage-deflate") is not None


@pytest.mark.parametrize("ours", range(9, 16))
def test_windows_are_shared(ours: int) -> None:
    """Clients choose between two windows of ours at most, so that few formats of a broadcast are made for them."""
    windows = []
    for theirs in range(9, 16):
        agreement = negotiate([b"permessage-deflate; server_max_window_bits=%d" % theirs], Deflate(window_bits=ours))
        assert agreement is not None
        assert agreement.window_bits <= theirs
        assert f"server_max_window_bits={agreement.window_bits}" in agreement.extension or theirs == 15
        windows.append(agreement.window_bits)
    assert windows == [9 if theirs < ours else ours for theirs in range(9, 16)]


def test_several_headers() -> None:
    """Offers in several headers are one list, and the first that can be accepted is taken."""
    agreement = negotiate(
        [
            b"permessage-deflate; server_max_window_bits=8, foo",
            b"permessage-deflate; server_max_window_bits=10, permessage-deflate; server_max_window_bits=9",
        ],
        USUAL,
    )
    assert agreement is not None
    assert agreement.window_bits == 9
    assert agreement.extension.endswith("; server_max_window_bits=9")


def test_nothing_offered() -> None:
    """Without an offer there is no compression."""
    assert negotiate([], USUAL) is None


@pytest.mark.parametrize("deflate", [USUAL, TAKEOVER, Deflate(window_bits=15), Deflate(window_bits=9)])
@pytest.mark.parametrize(
    "factory",
    [
        ClientPerMessageDeflateFactory(),
        ClientPerMessageDeflateFactory(client_max_window_bits=True),
        ClientPerMessageDeflateFactory(server_max_window_bits=10, client_max_window_bits=11),
        ClientPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True),
    ],
)
def test_a_real_client_takes_the_answer(deflate: Deflate, factory: ClientPerMessageDeflateFactory) -> None:
    """The `websockets` library, as a client, reads the same agreement out of our answer."""
    offer = build_extension([(factory.name, factory.get_request_params())])
    agreement = negotiate([offer.encode()], deflate)
    assert agreement is not None
    [(_, parameters)] = parse_extension(agreement.extension)
    theirs = factory.process_response_params(parameters, [])
    assert theirs.remote_max_window_bits == agreement.window_bits  # type: ignore[attr-defined]
    assert theirs.local_max_window_bits == agreement.client_window_bits  # type: ignore[attr-defined]
    assert theirs.remote_no_context_takeover is not agreement.takeover  # type: ignore[attr-defined]
    assert theirs.local_no_context_takeover is not agreement.client_takeover  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("begin", "piece", "end"),
    [
        (b"", b"permessage-deflate; a,", b""),
        (b"permessage-deflate", b"; a", b""),
        (b"permessage-deflate;", b" ", b"x"),
        (b"permessage-deflate; ", b"x", b""),
        (b'permessage-deflate; x="', b"\\a", b""),
        (b"", b",", b""),
    ],
)
def test_a_long_offer_is_read_in_linear_time(begin: bytes, piece: bytes, end: bytes) -> None:
    """What fits into a request head takes about four times as long as a quarter of it, not sixteen times."""

    def seconds(size: int) -> float:
        offer = begin + piece * (size // len(piece)) + end
        times = []
        for _ in range(10):
            began = time.process_time()
            negotiate([offer], USUAL)
            times.append(time.process_time() - began)
        return min(times)

    assert seconds(15_000) < 8 * seconds(3_750)
