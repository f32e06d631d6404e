"""How a connection ends: who closes, with which code, what still arrives, and what happens to calls after the end."""

from math import inf

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from tests.server.builders import (
    Client,
    client_close,
    client_frame,
    client_header,
    client_text,
    connected,
    server_close,
    server_frame,
    server_text,
)
from wsframework import CloseCode, Limits, WebSocketDisconnect
from wsframework.errors import WebSocketStateError
from wsframework.server.frames import Opcode
from wsframework.server.upkeep import Upkeep

LIMITS = Limits()


def end_of(client: Client) -> tuple[int | None, str]:
    return client.connection.close_code, client.connection.close_reason


async def receive_end(client: Client) -> tuple[int, str]:
    """Code and reason of the disconnect that receive raises."""
    with assert_checkpoints(), pytest.raises(WebSocketDisconnect) as caught:
        await client.connection.receive()
    return caught.value.code, caught.value.reason


def listen_for_end(client: Client) -> list[bool]:
    """What the session is told of the end, call by call."""
    told: list[bool] = []
    client.connection.on_end = told.append
    return told


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


async def test_f30_the_client_is_gone_behind_messages_and_a_close_frame() -> None:
    """The messages are handed out, the code is the one it has sent, and nobody is answered."""
    client = await connected()
    client.sends(client_text("one"), client_close(4000))
    client.leaves()
    assert await client.connection.receive() == "one"
    assert await receive_end(client) == (4000, "")
    assert client.gets() == b""
    assert client.wire.closed == 1


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


async def test_what_comes_behind_our_close_frame() -> None:
    """Messages are thrown away and pings not answered, and the inbox cannot fill; a violation ends the wait."""
    client = await connected()
    await client.connection.close(4000)
    client.gets()
    for _ in range(10):
        client.sends(client_text("late") * 100, client_frame(Opcode.PING))
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
    """A client that has said its last and keeps the socket open is cut off too."""
    client = await connected(upkeep)
    client.sends(client_close(4000))
    await trio.sleep(LIMITS.close_timeout + 0.1)
    assert client.wire.closed == 1
    assert end_of(client) == (4000, "")


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


# The connection breaks


async def test_the_client_leaves_without_a_word() -> None:
    """That is 1006, behind the messages that came before."""
    client = await connected()
    told = listen_for_end(client)
    client.sends(client_text("one"))
    client.leaves()
    assert told == [False]
    assert client.wire.closed == 1
    assert client.gone == [client.connection]
    assert await client.connection.receive() == "one"
    assert (await receive_end(client))[0] == CloseCode.ABNORMAL_CLOSURE
    assert client.gets() == b""


async def test_the_socket_breaks_under_a_send() -> None:
    """The send that meets it returns, since that could be a moment later as well; the next one raises."""
    client = await connected()
    client.wire.broken = True
    await client.connection.send("one")
    assert client.connection.gone
    with pytest.raises(WebSocketDisconnect, match="1006"):
        await client.connection.send("two")
    assert client.gone == [client.connection]


@pytest.mark.parametrize("by", ["writable", "leaving"])
async def test_a_sender_that_waits_is_told(by: str, nursery: trio.Nursery) -> None:
    """When the client is lost, what waited is gone, and every send that waited for it raises."""
    client = await connected()
    client.stops_reading()
    ends: list[str] = []

    async def send() -> None:
        with pytest.raises(WebSocketDisconnect) as caught:
            await client.connection.send("never")
        ends.append(str(caught.value))

    for _ in range(3):
        nursery.start_soon(send)
    await wait_all_tasks_blocked()
    if by == "writable":
        client.wire.broken = True
        client.takes()
    else:
        client.leaves()
    await wait_all_tasks_blocked()
    assert len(ends) == 3
    assert ends[0].startswith("1006")
    assert not client.connection.behind
    assert client.gone == [client.connection]


async def test_abandon() -> None:
    """The server can let go of the socket without a word."""
    client = await connected()
    client.connection.abandon()
    client.connection.abandon()
    assert client.gets() == b""
    assert client.wire.closed == 1
    assert client.gone == [client.connection]
    assert (await receive_end(client))[0] == 1006


# After the end


@pytest.mark.parametrize("how", ["leaves", "closes", "is closed"])
async def test_every_call_after_the_end(how: str, upkeep: Upkeep, autojump_clock: MockClock) -> None:
    """Methods of the endpoint raise or do nothing, those of the wire, the hub and the upkeep do nothing."""
    client = await connected(upkeep)
    connection = client.connection
    match how:
        case "leaves":
            client.leaves()
        case "closes":
            client.sends(client_close(4000))
            client.leaves()
        case _:
            await connection.close(4000)
            client.leaves()
    client.gets()
    end = end_of(client)
    told = listen_for_end(client)

    for _ in range(2):
        assert await receive_end(client) == end
        with pytest.raises(WebSocketDisconnect):
            await connection.send("x")
        await connection.close(4001)
        with pytest.raises(WebSocketStateError):
            await connection.accept()
        with pytest.raises(WebSocketStateError):
            await connection.start_response(401, [])
        with pytest.raises(WebSocketStateError):
            await connection.send_body(b"", False)
        assert connection.offer(server_text("x"))
        assert not connection.behind
        connection.cut_off(4001)
        connection.finish(4001)
        connection.abandon()
        connection.flush()
        client.sends(client_text("x"), client_frame(Opcode.PING), client_close(4001))
        client.leaves()
        connection.hung_up()
        connection.writable()
        assert connection.sweep(trio.current_time()) == inf
    await trio.sleep(1000)

    assert client.gets() == b""
    assert end_of(client) == end
    assert told == []
    assert client.wire.closed == 1
    assert client.wire.shut <= 1
    assert client.gone == [connection]


async def test_nothing_goes_out_behind_our_close_frame() -> None:
    """A publication that comes too late, a reply that had gathered, and a ping: none overtakes or follows it."""
    client = await connected()
    client.sends(client_text("one"), client_text("two"))
    await client.connection.receive()
    await client.connection.send("gathered")
    await client.connection.close(4000)
    assert client.gets() == server_text("gathered") + server_close(4000)
    assert client.connection.offer(server_text("late"))
    client.sends(client_frame(Opcode.PING))
    client.connection.flush()
    client.connection.writable()
    assert client.gets() == b""


async def test_a_pong_that_waits_does_not_follow_our_close_frame() -> None:
    """It is dropped: the close frame is our last."""
    client = await connected()
    client.falls_behind(server_text("one"))
    client.sends(client_frame(Opcode.PING, b"?"))
    await client.connection.close(4000)
    client.takes()
    assert client.gets() == server_text("one") + server_close(4000)
    assert server_frame(Opcode.PONG, b"?") not in client.wire.sent
