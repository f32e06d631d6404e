"""The portable path: a whole connection over a stream of Trio, from its first byte to its last."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
import trio
import trustme
from hypercorn.config import Config
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.net.servers import client_context
from tests.server.builders import client_close, client_text, server_close, upgrade
from tests.server.lines import Lines
from tests.server.served import read, read_answer
from tests.server.site import running
from wsframework import Limits
from wsframework.server.admission import Admission
from wsframework.server.apprunner import AppRunner
from wsframework.server.frames import encode_message
from wsframework.server.portablepath import PortablePath
from wsframework.server.scope import Peers
from wsframework.server.upkeep import Upkeep
from wsframework.testing.streams import memory_connection

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


@pytest.mark.parametrize("waits", [0, 6])
async def test_tls_and_the_head_have_one_deadline(waits: float, autojump_clock: MockClock) -> None:
    """A client that takes its time for the handshake has less of it for its request."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    limits = Limits(handshake_timeout=10)
    portable = PortablePath(AppRunner(brief, Config(), limits, {}, Upkeep()), limits, context)
    visit = Admission(limits).admit(Peers(secure=True))
    assert visit is not None
    theirs, ours = memory_connection()
    client = trio.SSLStream(theirs, client_context(authority), server_hostname="localhost", https_compatible=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(portable.serve_secure, ours, visit)
        await trio.sleep(waits)
        await client.send_all(b"GET / HTTP/1.1\r\n")
        assert (await client.receive_some()).startswith(b"HTTP/1.1 408 ")
        assert trio.current_time() == limits.handshake_timeout
        nursery.cancel_scope.cancel()


async def test_last_words_to_a_client_that_has_ended_its_side() -> None:
    """Its end is read again when our close frame is queued, and does not cut off what is on its way."""
    reply = b"x" * 40 * 1024

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await wait_all_tasks_blocked()
        await receive()
        await send({"type": "websocket.send", "bytes": reply})
        await receive()

    async with running(app, Limits(inbox_messages=1), window=1024) as site:
        await site.theirs.send_all(upgrade())
        received = await read_answer(site.theirs)
        await site.theirs.send_all(client_text("one") + client_close(4000))
        await site.theirs.send_eof()
        while data := await site.theirs.receive_some():
            received += data
    assert received == encode_message(reply) + server_close(4000)
