"""Envelopes: what is around a message, made once for all who have it."""

from __future__ import annotations

import gc
import json
from typing import Any

from trio.testing import MockClock

from tests.hub.fakes import stage
from wsframework import Envelope, Gap, History, Lag, Overflow, Position, Published, StandardEnvelope


async def test_the_standard_envelope(autojump_clock: MockClock) -> None:
    """Each kind of data is told apart, and gaps have their size."""
    async with stage(capacity=1, overflow=Overflow.DROP_OLDEST) as here:
        ada = await here.enter("news", envelope=StandardEnvelope())
        here.publish("news", {"any": "JSON"}, "text", b"\x00\xff", None)
        ada.stall()
        here.publish("news", "5", "6", "7")
        ada.resume()
        epoch = here.hub._registry.topics["news"].epoch
        head = {"topic": "news", "epoch": epoch}
        assert [json.loads(message) for message in ada.got] == [
            {**head, "offset": 1, "data": {"any": "JSON"}},
            {**head, "offset": 2, "data": "text"},
            {**head, "offset": 3, "base64": "AP8="},
            {**head, "offset": 4, "data": None},
            {**head, "offset": 5, "data": "5"},
            {**head, "offset": 5, "gap": 1},
            {**head, "offset": 7, "data": "7"},
        ]


class CountingEnvelope(Envelope):
    def __init__(self) -> None:
        self.asked = 0

    def publication(self, published: Published) -> Any:
        self.asked += 1
        return f"<{published.data!s}>"


async def test_an_envelope_is_made_once_for_all_who_have_it(autojump_clock: MockClock) -> None:
    """Encoding too, also with some behind and some left out; those without an envelope get the message itself."""
    async with stage(history=History()) as here:
        envelope = CountingEnvelope()
        plain = await here.enter("a")
        clients = [await here.enter("a", envelope=envelope) for _ in range(10)]
        clients[0].stall()
        for number in range(3):
            here.hub.broadcast_nowait("a", str(number), exclude=clients[5].websocket if number else None)
        here.publish("a", "3")
        clients[0].resume()
        late = await here.enter("a", envelope=envelope, latest=True)
        assert plain.got == ["0", "1", "2", "3"]
        assert clients[0].got == clients[9].got == ["<0>", "<1>", "<2>", "<3>"]
        assert clients[5].got == ["<0>", "<3>"]
        assert late.got == ["<3>"]
        assert envelope.asked == 4
        assert here.wire_format.encoded == 8


async def test_standard_envelopes_are_one() -> None:
    """An endpoint that makes one for each of its connections does not pay for each."""
    assert StandardEnvelope() == StandardEnvelope()
    assert len({StandardEnvelope(), StandardEnvelope()}) == 1
    assert CountingEnvelope().gap("a", Gap(1, Position("x", 1))) is None


async def test_envelopes_go_with_those_who_have_them() -> None:
    """Equal ones are one for as long as somebody uses it, and a topic that lives on keeps none of the past."""
    async with stage() as here:
        await here.enter("a")
        for _ in range(3):
            clients = [await here.enter("a", envelope=StandardEnvelope()) for _ in range(3)]
            clients.append(await here.enter("a", envelope=CountingEnvelope()))
            topic = here.hub._registry.topics["a"]
            assert len({id(place.envelope) for place in topic.places.values()}) == 3  # with none at all
            here.publish("a", "hello")
            for client in clients:
                client.leave()
            del here._clients[1:]
        del clients, client
        gc.collect()
        assert len(topic._envelopes or ()) == 0


async def test_an_envelope_counts_with_its_size() -> None:
    """The bounds of a mailbox are for what goes out."""
    async with stage() as here:
        ada = await here.enter("a", envelope=CountingEnvelope())
        subscription = await here.hub.subscribe(ada.websocket, "a")
        ada.stall()
        here.publish("a", "on its way", "abc")
        assert subscription.lag == Lag(1, 5)


async def test_an_envelope_that_looks_at_a_receipt() -> None:
    """In the middle of a delivery there is nothing to settle; the receipt has its numbers afterwards."""

    class Curious(CountingEnvelope):
        def publication(self, published: Published) -> Any:
            assert receipt.delivered == 0
            return super().publication(published)

    async with stage() as here:
        ada = await here.enter("a", envelope=Curious())
        receipt = here.hub.broadcast_nowait("a", "1")
        assert receipt.delivered == 1
        assert ada.got == ["<1>"]
