"""We end the connection: the endpoint closes it, somebody else does, or the application is done."""

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from tests.server.builders import (
    client_close,
    client_frame,
    client_text,
    connected,
    end_of,
    listen_for_end,
    receive_end,
    server_close,
    server_text,
)
from wsframework import CloseCode, Limits
from wsframework.server.frames import Opcode
from wsframework.server.upkeep import Upkeep

LIMITS = Limits()


# We close


@pytest.mark.parametrize("by_us", [True, False], ids=["close", "cut_off"])
async def test_we_close(by_us: bool) -> None:
    """Our close frame goes out; when the client's answer comes, our direction is ended."""
    client = await connected()
    told = listen_for_end(client)
    if by_us:
        await client.connection.close(4000, "enough")
    else:
        client.connection.cut_off(4000, "enough")
    assert client.gets() == server_close(4000, "enough")
    assert end_of(client) == (4000, "enough")
    assert told == [by_us]
    assert client.wire.shut == 0
    client.sends(client_close(4000))
    assert client.wire.shut == 1
    assert client.gets() == b""
    client.leaves()
    assert client.wire.closed == 1
    assert client.gone == [client.connection]
    assert end_of(client) == (4000, "enough")


async def test_close_is_a_checkpoint() -> None:
    """And when it is cancelled there, the close frame has left."""
    client = await connected()
    with assert_checkpoints():
        await client.connection.close()
    client = await connected()
    with trio.CancelScope() as scope:
        scope.cancel()
        await client.connection.close(4000)
    assert scope.cancelled_caught
    assert client.gets() == server_close(4000)


async def test_both_close_at_once() -> None:
    """Each side's frame is the answer to the other; the code is ours, which was first here."""
    client = await connected()
    await client.connection.close(4000)
    client.sends(client_close(4001, "me too"))
    assert client.gets() == server_close(4000)
    assert end_of(client) == (4000, "")
    assert client.wire.shut == 1


async def test_what_comes_behind_our_close_frame(upkeep: Upkeep) -> None:
    """Messages are thrown away and pings not answered, and the inbox cannot fill; a violation ends the wait."""
    client = await connected(upkeep)
    await client.connection.close(4000)
    client.gets()
    for _ in range(10):
        client.sends(client_text("late") * 100, client_frame(Opcode.PING))
        await wait_all_tasks_blocked()
        assert not client.wire.held
    assert client.gets() == b""
    assert await receive_end(client) == (4000, "")
    client.sends(client_frame(3))
    assert client.gets() == b""
    assert client.wire.shut == 1
    assert end_of(client) == (4000, "")


async def test_our_close_throws_unread_messages_away() -> None:
    """An endpoint that closes has heard enough; reading goes on for the answer."""
    client = await connected(limits=Limits(inbox_messages=2))
    client.sends(client_text("unread") * 2)
    assert client.wire.held
    await client.connection.close(4000)
    assert not client.wire.held
    assert await receive_end(client) == (4000, "")


async def test_to_be_cut_off_loses_no_messages() -> None:
    """Whoever cuts a client off from outside leaves the endpoint what had come before."""
    client = await connected(limits=Limits(inbox_messages=2))
    client.sends(client_text("one"), client_text("two"))
    client.connection.cut_off(CloseCode.TRY_AGAIN_LATER)
    assert not client.wire.held
    assert [await client.connection.receive() for _ in range(2)] == ["one", "two"]
    assert await receive_end(client) == (1013, "")


async def test_our_close_frame_stays_behind_what_waits() -> None:
    """A client that is behind gets everything in order, and our direction ends behind the last byte."""
    client = await connected()
    client.falls_behind(server_text("one"))
    await client.connection.close(4000)
    client.sends(client_close(4000))
    assert client.wire.shut == 0
    client.takes(3)
    assert client.wire.shut == 0
    client.takes()
    assert client.gets() == server_text("one") + server_close(4000)
    assert client.wire.shut == 1


async def test_an_answer_that_is_never_taken_ends_in_order() -> None:
    """The client closes while it is behind: the answer waits in line, and so does the end of our direction."""
    client = await connected()
    client.falls_behind(server_text("one"))
    client.sends(client_close(4000))
    assert client.wire.shut == 0
    client.takes()
    assert client.gets() == server_text("one") + server_close(4000)
    assert client.wire.shut == 1


async def test_the_client_does_not_answer(upkeep: Upkeep, autojump_clock: MockClock) -> None:
    """It has the close timeout for it, however it delays; then it is cut off, and the code stays ours."""
    client = await connected(upkeep)
    await client.connection.close(4000)
    await trio.sleep(LIMITS.close_timeout - 1)
    client.sends(client_text("not yet"))
    assert not client.connection.gone
    await trio.sleep(1.1)
    assert client.connection.gone
    assert client.wire.closed == 1
    assert client.gone == [client.connection]
    assert end_of(client) == (4000, "")


async def test_the_client_does_not_go(upkeep: Upkeep, autojump_clock: MockClock) -> None:
    """A client that has said its last and keeps the socket open is cut off a second later."""
    client = await connected(upkeep)
    client.sends(client_close(4000))
    await trio.sleep(0.9)
    assert client.wire.closed == 0
    await trio.sleep(0.2)
    assert client.wire.closed == 1
    assert end_of(client) == (4000, "")


async def test_the_client_answers_late_and_does_not_go(upkeep: Upkeep, autojump_clock: MockClock) -> None:
    """It has all of the close timeout for its answer, and a second from then on to hang up."""
    client = await connected(upkeep)
    await client.connection.close(4000)
    await trio.sleep(3)
    client.sends(client_close(4000))
    await trio.sleep(0.9)
    assert client.wire.closed == 0
    await trio.sleep(0.2)
    assert client.wire.closed == 1


async def test_the_second_begins_when_our_last_byte_is_taken(upkeep: Upkeep, autojump_clock: MockClock) -> None:
    """What waits before our answer to the client's close frame keeps its time."""
    client = await connected(upkeep)
    client.falls_behind(server_text("before"))
    client.sends(client_close(4000))
    await trio.sleep(3)
    client.takes()
    await trio.sleep(0.9)
    assert client.wire.closed == 0
    await trio.sleep(0.2)
    assert client.wire.closed == 1


async def test_a_client_that_broke_a_rule_has_the_close_timeout(upkeep: Upkeep, autojump_clock: MockClock) -> None:
    """It may still be sending, and a socket closed before that is read would lose our close frame."""
    client = await connected(upkeep)
    client.sends(client_frame(3))
    await trio.sleep(LIMITS.close_timeout - 0.1)
    assert client.wire.closed == 0
    await trio.sleep(0.2)
    assert client.wire.closed == 1


@pytest.mark.parametrize(
    ("code", "reason", "error"),
    [(1005, "", ValueError), (1000, "x" * 200, ValueError), ("1000", "", TypeError), (1000, b"x", TypeError)],
)
async def test_f32_a_close_that_must_not_be(code: int, reason: str, error: type[Exception]) -> None:
    """The application is told, nothing has been sent, and the connection is as it was."""
    client = await connected()
    with pytest.raises(error):
        await client.connection.close(code, reason)
    assert client.gets() == b""
    assert end_of(client) == (None, "")
    await client.connection.send("still here")
    assert client.gets() == server_text("still here")


# The application is done


async def test_finish() -> None:
    """What the application left open is closed, and what it did not read is thrown away."""
    client = await connected(limits=Limits(inbox_messages=2))
    client.sends(client_text("unread") * 2)
    client.connection.finish(CloseCode.GOING_AWAY, "restart")
    assert client.gets() == server_close(1001, "restart")
    assert not client.wire.held
    assert await receive_end(client) == (1001, "restart")


async def test_finish_behind_the_clients_close_frame() -> None:
    """What the client had sent before is not kept for anybody either."""
    client = await connected()
    client.sends(client_text("unread"), client_close(4000))
    client.connection.finish(CloseCode.NORMAL_CLOSURE)
    assert client.gets() == server_close(4000)
    assert await receive_end(client) == (4000, "")


async def test_finish_after_the_end() -> None:
    """There is nothing to do."""
    client = await connected()
    client.sends(client_close(4000))
    client.gets()
    client.connection.finish(CloseCode.GOING_AWAY)
    assert client.gets() == b""
    assert end_of(client) == (4000, "")
