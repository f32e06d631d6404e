"""What a connection keeps is bounded in bytes too, while it lives and after it is gone."""

import pytest
import trio
from trio.testing import MockClock

from tests.server.builders import client_header, client_text, connected
from wsframework import ClientError, CloseCode, Limits
from wsframework.server.frames import Opcode


async def test_cancelled_large_sends_do_not_pile_up(autojump_clock: MockClock) -> None:
    """Behind a quarter of a megabyte a message waits before it is queued, so giving up leaves nothing."""
    client = await connected()
    client.stops_reading()
    for _ in range(20):
        with trio.move_on_after(0.1):
            await client.connection.send(bytes(300_000))
    client.takes()
    assert len(client.gets()) < 310_000


async def test_a_client_that_is_gone_leaves_no_half_message(autojump_clock: MockClock) -> None:
    """The sweeper remembers a connection until its next look, but not what its client had half sent."""
    client = await connected()
    client.sends(client_header(Opcode.BINARY, 1_000_000), bytes(900_000))
    client.leaves()
    assert client.connection._reader._message is None


async def test_taking_bytes_is_a_sign_of_life(autojump_clock: MockClock) -> None:
    """A client that works through a long backlog is not cut off for a ping that stands behind it."""
    client = await connected(limits=Limits(ping_interval=20, ping_timeout=20, write_timeout=15))
    client.stops_reading()
    client.connection.offer(bytes(1_000_000))
    for _ in range(8):
        await trio.sleep(10)
        client.takes(70_000)
    assert client.connection.close_code is None


async def test_a_client_that_left_behind_a_full_inbox_did_not_get_our_code(autojump_clock: MockClock) -> None:
    """Closing what is gone already is not our close: the code is 1006."""
    client = await connected(limits=Limits(inbox_messages=1))
    client.sends(client_text("one"), client_text("two"))
    client.connection.hung_up()
    client.connection.finish(CloseCode.GOING_AWAY)
    assert client.connection.close_code == CloseCode.ABNORMAL_CLOSURE


@pytest.mark.parametrize(("code", "reason"), [(1006, ""), (70000, ""), (4000, "x" * 124)])
def test_a_client_error_must_fit_a_close_frame(code: int, reason: str) -> None:
    """What a program raises ends up on the wire, so it is checked where it is made."""
    with pytest.raises(ValueError, match="close"):
        ClientError(code, reason)
