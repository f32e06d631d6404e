"""How many pieces of bodies are too many. What HTTP/2 adds to that is in `tests/net/http2`."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from wsframework.server.http.floods import BodyGauge


async def test_pieces_that_carry_little(autojump_clock: MockClock) -> None:
    """10,000 at once are allowed, and a thousand a second after that."""
    gauge = BodyGauge()
    assert not any(gauge.overflows(0) for _ in range(10_000))
    assert gauge.overflows(0)
    await trio.sleep(1)
    assert sum(not gauge.overflows(0) for _ in range(2000)) in (998, 999, 1000)


async def test_pieces_that_carry_something(autojump_clock: MockClock) -> None:
    """Pieces of 16 bytes on average are paid for by what they carry, however many there are."""
    gauge = BodyGauge()
    assert not any(gauge.overflows(size) for _ in range(50_000) for size in (1, 31))


async def test_much_at_once_is_no_credit_for_later(autojump_clock: MockClock) -> None:
    """Behind a large piece there may be no more small ones than without it."""
    gauge = BodyGauge()
    assert not gauge.overflows(1_000_000_000)
    assert sum(not gauge.overflows(0) for _ in range(20_000)) in (9_999, 10_000)
