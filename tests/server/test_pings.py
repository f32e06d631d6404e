"""Pings of an endpoint: which pong answers which, what it measures, and how the waiting ends."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from tests.server.builders import Client, arrive, client_close, client_frame, connected, read_frames
from wsframework import Limits, WebSocketDisconnect, WebSocketStateError
from wsframework.server.frames import Opcode
from wsframework.server.pings import Pings
from wsframework.server.upkeep import Upkeep


def payloads(client: Client) -> list[bytes]:
    """Those of the pings that the client has got."""
    return [bytes(frame.data) for frame in read_frames(client.gets()) if frame.opcode == Opcode.PING]


def pong(payload: bytes) -> bytes:
    return client_frame(Opcode.PONG, payload)


# Without a connection


def test_a_pong_answers_its_ping() -> None:
    """And says how long it took."""
    pings = Pings()
    ping = pings.send(10.0)
    assert ping.payload
    assert pings.answer(ping.payload, 10.5) == 0.5
    assert ping.latency == 0.5
    assert ping.settled.is_set()


def test_a_pong_answers_earlier_pings_too() -> None:
    """A client may answer the last of several pings only; those behind it still wait."""
    pings = Pings()
    one, two, three = (pings.send(now) for now in (1.0, 2.0, 3.0))
    assert pings.answer(two.payload, 4.0) == 2.0
    assert (one.latency, two.latency, three.latency) == (3.0, 2.0, None)
    assert not three.settled.is_set()


@pytest.mark.parametrize("payload", [b"", b"x", b"\0\0\0\0\0\0\0\x02"])
def test_a_pong_that_answers_nothing(payload: bytes) -> None:
    """It is ignored (RFC 6455 section 5.5.3)."""
    pings = Pings()
    ping = pings.send(0.0)
    assert pings.answer(payload, 1.0) is None
    assert not ping.settled.is_set()


def test_a_second_pong() -> None:
    """One ping has one answer; what was forgotten has none."""
    pings = Pings()
    answered, forgotten = pings.send(0.0), pings.send(0.0)
    pings.forget(forgotten)
    assert pings.answer(answered.payload, 1.0) == 1.0
    assert pings.answer(answered.payload, 2.0) is None
    assert pings.answer(forgotten.payload, 2.0) is None
    assert answered.latency == 1.0


# On a connection


async def test_ping(autojump_clock: MockClock) -> None:
    """It returns the seconds until the pong, which are the connection's latency from then on."""
    client = await connected()
    measured: list[float] = []

    async def ping() -> None:
        measured.append(await client.connection.ping())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ping)
        await wait_all_tasks_blocked()
        [payload] = payloads(client)
        assert client.connection.latency is None
        await trio.sleep(0.25)
        client.sends(pong(b"something else"))
        await trio.sleep(0.25)
        client.sends(pong(payload))
    assert measured == [0.5]
    assert client.connection.latency == 0.5
    client.sends(pong(payload))
    assert client.connection.latency == 0.5


async def test_two_tasks_ping(autojump_clock: MockClock) -> None:
    """Each gets its own answer."""
    client = await connected()
    measured: list[float] = []

    async def ping() -> None:
        measured.append(await client.connection.ping())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ping)
        await trio.sleep(1)
        nursery.start_soon(ping)
        await wait_all_tasks_blocked()
        one, two = payloads(client)
        assert one != two
        await trio.sleep(1)
        client.sends(pong(one), pong(two))
    assert sorted(measured) == [1, 2]


@pytest.mark.parametrize("how", ["leaves", "closes", "is closed"])
async def test_the_connection_ends(how: str) -> None:
    """A ping that nobody will answer raises WebSocketDisconnect, and so does one behind the end."""
    client = await connected()

    async def end() -> None:
        await wait_all_tasks_blocked()
        match how:
            case "leaves":
                client.leaves()
            case "closes":
                client.sends(client_close(4000))
            case _:
                await client.connection.close(4000)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(end)
        with pytest.raises(WebSocketDisconnect) as caught:
            await client.connection.ping()
    assert caught.value.code == (1006 if how == "leaves" else 4000)
    client.gets()
    with assert_checkpoints(), pytest.raises(WebSocketDisconnect):
        await client.connection.ping()
    assert client.gets() == b""


async def test_nobody_is_there_any_more() -> None:
    """A ping whose write shows that the client is gone raises WebSocketDisconnect."""
    client = await connected()
    client.wire.broken = True
    with pytest.raises(WebSocketDisconnect):
        await client.connection.ping()


async def test_before_accept() -> None:
    """There is no WebSocket yet that could have pings."""
    client = arrive()
    with pytest.raises(WebSocketStateError, match="ping before accept"):
        await client.connection.ping()
    assert client.gets() == b""


async def test_cancelled() -> None:
    """The ping has been sent, and its pong means nothing any more."""
    client = await connected()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.connection.ping)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    [payload] = payloads(client)
    client.sends(pong(payload))
    assert client.connection.latency is None


async def test_a_ping_keeps_its_place() -> None:
    """It goes out behind what was sent before it."""
    client = await connected()
    client.stops_reading()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.connection.send, "before")
        await wait_all_tasks_blocked()
        nursery.start_soon(client.connection.ping)
        await wait_all_tasks_blocked()
        client.takes()
        frames = read_frames(client.gets())
        assert [frame.opcode for frame in frames] == [Opcode.TEXT, Opcode.PING]
        client.sends(pong(bytes(frames[1].data)))


async def test_the_keep_alive_measures_too(upkeep: Upkeep, autojump_clock: MockClock) -> None:
    """A silent client is pinged by the server, and its pong says how far away it is."""
    client = await connected(upkeep, Limits(ping_interval=20, ping_timeout=15))
    client.sends(pong(b""))
    assert client.connection.latency is None
    await trio.sleep(45)
    assert payloads(client) == [b""]
    client.sends(pong(b""))
    assert client.connection.latency == pytest.approx(5)
