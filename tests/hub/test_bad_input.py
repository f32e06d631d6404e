"""What must be survived, as far as it is about the hub: rows of `tests.bad_input.rows`, under their numbers.

The endpoint is one that believes its clients: it subscribes them to whatever they name, and publishes what they say.
"""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.hub.fakes import stage
from tests.hub.rooms import NARROW, assert_empty
from wsframework import App, CloseCode, Hub, Limits, Overflow, SubscriptionRefused, WebSocket, WebSocketDisconnect
from wsframework.limits import MIB
from wsframework.testing import Client, connect


async def own_topics(websocket: WebSocket, topic: str) -> bool:
    return topic in ("news", "user:ada")


def make_app(**options: Any) -> App:
    app = App(hub=Hub(authorize=own_topics, **options))

    @app.websocket("/")
    async def credulous(websocket: WebSocket) -> None:
        await websocket.accept()
        async for command in websocket.iter_json():
            match command:
                case {"subscribe": topic}:
                    await app.hub.subscribe(websocket, topic, authorize=True)
                    await websocket.send_text("subscribed")
                case {"echo": text}:
                    await websocket.send_text(text)

    return app


async def assert_served(client: Client) -> None:
    """Somebody else's echo answers."""
    await client.send_json({"echo": "still here"})
    assert await client.receive() == "still here"


STRANGE = [
    "user:bob",
    "*",
    "news*",
    "new?",
    "[n]ews",
    "user:1\r\n",
    "news\x00",
    "__keyspace@0__:*",
    "news ",
    "NEWS",
    "../news",
    "x" * 1_000_000,
    "",
    None,
    7,
    ["news"],
    {"$ne": ""},
]


@pytest.mark.parametrize("topic", STRANGE, ids=[f"F34 {str(topic)[:20]!a}" for topic in STRANGE])
async def test_subscriptions_to_other_peoples_topics(
    topic: Any, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    """F34: only the very names that it may have; a refusal costs that client its connection, with no traceback."""
    app = make_app()
    async with connect(app) as other, connect(app) as client:
        await client.send_json({"subscribe": topic})
        assert (await client.wait_closed()).code == CloseCode.POLICY_VIOLATION
        await assert_served(other)
        assert app.hub.statistics().topics == 0
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
    assert_empty(app.hub)


async def test_a_name_with_glob_characters_is_a_name(autojump_clock: MockClock) -> None:
    """F34: where an application allows them, they stand for themselves; nobody gets another topic through them."""
    async with stage() as here:
        everything, one = await here.enter("*"), await here.enter("a?")
        here.publish("news", "for nobody here")
        here.publish("ab", "nor this")
        here.publish("*", "a topic as any other")
        assert (everything.got, one.got) == (["a topic as any other"], [])


async def test_more_subscriptions_than_there_may_be() -> None:
    """F27: an error for each that comes behind the limit, however many come, and memory does not grow with them."""
    async with stage(max_topics=128) as here:
        ada, bob = await here.enter(*map(str, range(128))), await here.enter("0")
        tracemalloc.start()
        try:
            for number in range(2000):
                with pytest.raises(SubscriptionRefused) as caught:
                    await here.hub.subscribe(ada.websocket, f"more {number}")
            grown, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert caught.value.code == CloseCode.POLICY_VIOLATION
        assert grown < MIB
        assert here.hub.statistics().subscriptions == 129
        here.publish("0", "still here")
        assert ada.got == bob.got == ["still here"]


@pytest.mark.parametrize("name", ["x" * 256, "x" * MIB, "\U0001f40e" * 64], ids=["256", "1 MiB", "256 as UTF-8"])
async def test_an_enormous_name(name: str) -> None:
    """F27: 255 bytes and no more; the error does not repeat the whole name, and nothing is kept of it."""
    async with stage() as here:
        ada = await here.enter()
        with pytest.raises(ValueError, match="at most 255 bytes") as caught:
            await here.hub.subscribe(ada.websocket, name)
        assert len(str(caught.value)) < 500
        with pytest.raises(ValueError, match="at most 255 bytes"):
            here.hub.broadcast_nowait(name, "hello")
        assert here.hub.statistics().topics == 0


@pytest.mark.parametrize("overflow", Overflow)
async def test_a_subscriber_that_stops_reading(overflow: Overflow, autojump_clock: MockClock) -> None:
    """F24: what waits is bounded in messages and in bytes, the policy decides, one counter moves, others get it all."""
    async with stage(capacity=8, max_bytes=1000, overflow=overflow, block_timeout=1) as here:
        frozen, other = await here.enter("news"), await here.enter("news")
        frozen.stall()
        for number in range(100):
            repr(await here.hub.broadcast("news", f"{number}".ljust(200), key=number))  # as if a tick had passed
            statistics = here.hub.statistics()
            assert statistics.waiting <= 5
            assert statistics.waiting_bytes <= 1000
        await wait_all_tasks_blocked()
        assert [message.strip() for message in other.got] == [str(number) for number in range(100)]
        statistics = here.hub.statistics()
        assert list(statistics.dropped_by) == [overflow]
        cuts_off = overflow in (Overflow.DISCONNECT, Overflow.BLOCK)
        assert frozen.close_code == (CloseCode.TRY_AGAIN_LATER if cuts_off else None)
        assert statistics.disconnected == cuts_off


async def test_a_subscriber_that_stops_reading_is_cut_off_in_the_end(autojump_clock: MockClock) -> None:
    """F24: no policy keeps a frozen client for ever; the deadline of a write ends it, and nothing of it stays."""
    app = make_app(overflow=Overflow.DROP_OLDEST, capacity=8)
    limits = Limits(write_timeout=10)
    async with connect(app, limits=limits, window=NARROW) as frozen, connect(app, limits=limits) as other:
        for client in (frozen, other):
            await client.send_json({"subscribe": "news"})
            assert await client.receive() == "subscribed"
        frozen.stall()
        for number in range(30):
            await app.hub.broadcast("news", str(number).ljust(100))
            assert (await other.receive()) == str(number).ljust(100)
            await trio.sleep(1)
        assert app.hub.statistics().subscribers == 1
        await assert_served(other)
        frozen.resume()
        with pytest.raises(WebSocketDisconnect):
            while True:
                await frozen.receive()
