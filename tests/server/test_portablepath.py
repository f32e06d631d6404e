"""The portable path: a whole connection over a stream of Trio, from its first byte to its last."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.server.builders import server_close, upgrade
from tests.server.lines import Lines
from tests.server.served import read, read_answer
from tests.server.site import running
from wsframework import Limits

LIMITS = Limits(close_timeout=5)


async def brief(scope: Any, receive: Any, send: Any) -> None:
    """Closes at once."""
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": 4000})


async def test_a_cancelled_server_waits_for_an_answer_for_a_second(autojump_clock: MockClock) -> None:
    """Also where the application had closed before, and the client had more time."""
    async with running(brief, LIMITS) as site:
        await site.theirs.send_all(upgrade())
        rest = await read_answer(site.theirs)
        assert rest + await read(site.theirs, 4 - len(rest)) == server_close(4000)
        await wait_all_tasks_blocked()
        site.stop()
        stopped = trio.current_time()
        await site.ended.wait()
        assert trio.current_time() == pytest.approx(stopped + 1)


async def test_a_websocket_that_is_refused_while_the_server_drains(lines: Lines) -> None:
    """Its request was read, and is in the line."""
    async with running(brief, LIMITS) as site:
        await site.reception.drain(1012, "")
        await site.theirs.send_all(upgrade(target=b"/chat?token=secret"))
        assert (await site.theirs.receive_some()).startswith(b"HTTP/1.1 503 ")
    assert lines.text == ['192.0.2.7:5000 "GET /chat" 503 "The server is stopping."']
