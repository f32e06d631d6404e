"""The client ends the connection: by a close frame, or by breaking a rule."""

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from tests.server.builders import (
    client_close,
    client_frame,
    client_header,
    client_text,
    connected,
    end_of,
    listen_for_end,
    receive_end,
    server_close,
    server_text,
)
from wsframework import Limits, WebSocketDisconnect
from wsframework.server.frames import Opcode
from wsframework.server.upkeep import Upkeep

LIMITS = Limits()


# The client closes


@pytest.mark.parametrize(
    ("frame", "code", "reason", "answer"),
    [
        (client_close(1000), 1000, "", server_close(1000)),
        (client_close(4000, "see you"), 4000, "see you", server_close(4000, "see you")),
        (client_close(), 1005, "", server_close()),
    ],
)
async def test_the_client_closes(frame: bytes, code: int, reason: str, answer: bytes) -> None:
    """It is answered with its code and reason at once; our direction is ended; the socket is let go with the client."""
    client = await connected()
    told = listen_for_end(client)
    client.sends(frame)
    assert client.gets() == answer
    assert client.wire.shut == 1
    assert end_of(client) == (code, reason)
    assert told == [False]
    assert await receive_end(client) == (code, reason)
    with assert_checkpoints(), pytest.raises(WebSocketDisconnect, match=str(code)):
        await client.connection.send("late")
    assert client.wire.closed == 0
    client.leaves()
    assert client.wire.closed == 1
    assert client.gone == [client.connection]
    assert end_of(client) == (code, reason)
    assert client.gets() == b""


async def test_a_receiver_that_waits_is_told(nursery: trio.Nursery) -> None:
    """The close frame wakes it."""
    client = await connected()
    ends: list[tuple[int, str]] = []

    async def receive() -> None:
        ends.append(await receive_end(client))

    nursery.start_soon(receive)
    await wait_all_tasks_blocked()
    client.sends(client_close(4000, "bye"))
    await wait_all_tasks_blocked()
    assert ends == [(4000, "bye")]


async def test_the_client_closes_behind_messages() -> None:
    """They are handed out first and replies to them go out; the answer follows when receive is called again."""
    client = await connected()
    told = listen_for_end(client)
    client.sends(client_text("one"), client_text("two"), client_close(4000, "bye"))
    assert end_of(client) == (4000, "bye")
    assert told == [False]
    for word in ("one", "two"):
        assert await client.connection.receive() == word
        await client.connection.send(word)
    assert client.gets() == server_text("one") + server_text("two")
    assert client.wire.shut == 0
    assert await receive_end(client) == (4000, "bye")
    assert client.gets() == server_close(4000, "bye")
    assert client.wire.shut == 1
    assert await receive_end(client) == (4000, "bye")
    assert client.gets() == b""


async def test_our_direction_stays_open_for_replies() -> None:
    """A client that closes behind messages and then takes our bytes still gets the replies and the answer."""
    client = await connected()
    client.falls_behind(server_text("before"))
    client.sends(client_text("one"), client_close(4000))
    client.takes()
    assert client.gets() == server_text("before")
    assert client.wire.shut == 0
    assert await client.connection.receive() == "one"
    await client.connection.send("reply")
    await receive_end(client)
    assert client.gets() == server_text("reply") + server_close(4000)
    assert client.wire.shut == 1


@pytest.mark.parametrize("how", ["close", "cut_off", "finish"])
async def test_an_endpoint_that_does_not_wait_for_the_end(how: str) -> None:
    """If it closes instead of receiving the rest, the client gets the answer to its own close frame."""
    client = await connected()
    client.sends(client_text("unread"), client_close(4000, "bye"))
    match how:
        case "close":
            await client.connection.close(4001)
        case "cut_off":
            client.connection.cut_off(4001)
        case _:
            client.connection.finish(4001)
    assert client.gets() == server_close(4000, "bye")
    assert client.wire.shut == 1
    assert end_of(client) == (4000, "bye")


@pytest.mark.parametrize("late", [client_text("late"), client_frame(Opcode.PING), client_close(1001), b"\xff\xff"])
async def test_f11_what_follows_a_close_frame(late: bytes) -> None:
    """It is ignored, in the same read and in later ones, and there is one answer."""
    client = await connected()
    client.sends(client_close(4000), late)
    client.sends(late)
    assert client.gets() == server_close(4000)
    assert end_of(client) == (4000, "")
    assert await receive_end(client) == (4000, "")
    assert client.wire.shut == 1


async def test_f30_the_client_is_gone_right_behind_its_close_frame() -> None:
    """The code is the one it has sent, also if our answer finds nobody."""
    client = await connected()
    told = listen_for_end(client)
    client.wire.broken = True
    client.sends(client_close(4000, "bye"))
    assert end_of(client) == (4000, "bye")
    assert client.connection.gone
    assert client.gone == [client.connection]
    assert told == [False]
    assert client.wire.shut == 0


async def test_f30_the_client_ends_its_side_behind_messages_and_a_close_frame() -> None:
    """It may still read: the messages are handed out, replies go out, and the answer; then the connection is over."""
    client = await connected()
    client.sends(client_text("one"), client_text("two"), client_close(4000))
    client.leaves()
    assert client.wire.held  # or it would tell the same again and again
    for word in ("one", "two"):
        assert await client.connection.receive() == word
        await client.connection.send(word)
        client.leaves()  # which it does when it is asked to read on
    assert await receive_end(client) == (4000, "")
    assert client.gets() == server_text("one") + server_text("two") + server_close(4000)
    assert client.wire.shut == 1
    assert not client.wire.held
    client.leaves()
    assert client.wire.closed == 1


async def test_f30_the_client_is_gone_behind_messages_and_a_close_frame() -> None:
    """The messages are handed out, the code is the one it has sent, and the first reply finds that nobody is there."""
    client = await connected()
    client.sends(client_text("one"), client_text("two"), client_close(4000))
    client.leaves()
    client.wire.broken = True
    assert await client.connection.receive() == "one"
    assert not client.connection.gone
    await client.connection.send("reply")
    client.connection.flush()
    assert client.wire.closed == 1
    assert await client.connection.receive() == "two"
    assert await receive_end(client) == (4000, "")
    assert client.gets() == b""


@pytest.mark.parametrize("ping_interval", [None, 3])
async def test_a_client_that_has_ended_its_side_is_not_kept_for_long(
    ping_interval: float | None, upkeep: Upkeep, autojump_clock: MockClock
) -> None:
    """Most often it is gone, which nobody can see: an endpoint that says nothing keeps it for the close timeout."""
    client = await connected(upkeep, Limits(ping_interval=ping_interval))
    client.sends(client_text("one"), client_close(4000))
    client.leaves()
    await trio.sleep(1)
    client.leaves()  # more than once: this is no news
    await trio.sleep(LIMITS.close_timeout - 1.1)
    assert not client.connection.gone
    await trio.sleep(0.2)
    assert client.wire.closed == 1
    assert await client.connection.receive() == "one"
    assert await receive_end(client) == (4000, "")


async def test_a_client_ends_its_side_before_all_was_read(upkeep: Upkeep) -> None:
    """A close frame behind more messages than the inbox takes is found, and answered behind all of them."""
    client = await connected(upkeep)
    count = 3 * LIMITS.inbox_messages
    client.sends(*[client_text("x")] * count, client_close(4000))
    client.leaves()
    replies = b""
    for _ in range(count):
        assert await client.connection.receive() == "x"
        await client.connection.send("y")
        await wait_all_tasks_blocked()
        replies += client.gets()
    assert await receive_end(client) == (4000, "")
    assert replies + client.gets() == server_text("y") * count + server_close(4000)
    assert client.wire.shut == 1


# The client breaks a rule
VIOLATIONS = [
    pytest.param(client_frame(3), 1002, id="F6-1002"),
    pytest.param(client_frame(Opcode.TEXT, b"\xff"), 1007, id="F9-1007"),
    pytest.param(client_header(Opcode.BINARY, LIMITS.message + 1), 1009, id="F12-1009"),
]


@pytest.mark.parametrize(("data", "code"), VIOLATIONS)
async def test_a_violation(data: bytes, code: int) -> None:
    """It is answered with its code and a reason, and nothing more is read or expected."""
    client = await connected()
    told = listen_for_end(client)
    client.sends(data)
    reason = client.connection.close_reason
    assert reason
    assert client.gets() == server_close(code, reason)
    assert client.wire.shut == 1
    assert told == [False]
    assert await receive_end(client) == (code, reason)
    client.sends(client_text("late"))
    client.sends(client_close(1000))
    assert client.gets() == b""
    assert client.connection.close_code == code
    client.leaves()
    assert client.wire.closed == 1


@pytest.mark.parametrize(("data", "code"), VIOLATIONS)
async def test_a_violation_behind_messages(data: bytes, code: int) -> None:
    """What came before it is handled first, replies go out, then comes the answer."""
    client = await connected()
    client.sends(client_text("one"), data)
    assert client.connection.close_code == code
    assert await client.connection.receive() == "one"
    await client.connection.send("reply")
    assert client.gets() == server_text("reply")
    assert (await receive_end(client))[0] == code
    assert client.gets() == server_close(code, client.connection.close_reason)
    assert client.wire.shut == 1


async def test_f13_a_client_that_goes_on_sending(upkeep: Upkeep, autojump_clock: MockClock) -> None:
    """After the violation its bytes are thrown away until the close timeout; then it is cut off."""
    client = await connected(upkeep)
    client.sends(client_header(Opcode.BINARY, LIMITS.message + 1))
    for _ in range(9):
        await trio.sleep(LIMITS.close_timeout / 10)
        client.sends(b"x" * 64 * 1024)
    assert not client.connection.gone
    assert not client.wire.held
    await trio.sleep(LIMITS.close_timeout / 5)
    assert client.wire.closed == 1
