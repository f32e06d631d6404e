"""WebSockets over HTTP/2, in memory: what one of them does to its connection, and how it ends."""

from __future__ import annotations

import logging

import pytest
import trio
from h2.errors import ErrorCodes
from starlette.requests import Request
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.net.servers import frame
from tests.server.http.http2.serving import site
from wsframework import App, Limits, WebSocket

KIB = 1024
LIMITS = Limits(close_timeout=5, ping_interval=None)
CLOSE_4000 = b"\x0f\xa0"


@pytest.fixture
def app() -> App:
    app = App()

    @app.route("/page")
    async def page(request: Request) -> str:
        return "a page"

    @app.websocket("/flood")
    async def flood(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            await websocket.send_bytes(b"x" * 5000)

    @app.websocket("/busy")
    async def busy(websocket: WebSocket) -> None:
        await websocket.accept()
        await trio.sleep_forever()

    @app.websocket("/brief")
    async def brief(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close(4000)

    @app.websocket("/slow-echo")
    async def slow_echo(websocket: WebSocket) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            await trio.sleep(0.1)
            await websocket.send_text(text)

    return app


def errors_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_reset_while_data_leaves(app: App, caplog: pytest.LogCaptureFixture) -> None:
    """A client that resets a WebSocket in the middle of a write to it keeps its connection and its other streams."""
    async with site(app, window=KIB) as here:
        websocket = await here.client.open_websocket("/flood")
        here.server.theirs.stall()
        await wait_all_tasks_blocked()
        await websocket.send_reset()
        await wait_all_tasks_blocked()
        here.server.theirs.stall(False)
        assert await here.client.get("/page") == ("200", b"a page")
    assert not errors_in(caplog)


async def test_the_window_of_the_connection_comes_back(app: App, autojump_clock: MockClock) -> None:
    """What WebSockets have left unread when they are reset may be sent again on other streams."""
    messages = frame(b"x") * 8000  # more than an inbox takes
    async with site(app, h2_max_concurrent_streams=2) as here:
        await here.client.settings.wait()
        with trio.fail_after(60):
            for _ in range(2 * here.client.state.outbound_flow_control_window // len(messages)):
                websocket = await here.client.open_websocket("/busy")
                await websocket.send(messages)
                await wait_all_tasks_blocked()
                await websocket.send_reset()
                await trio.sleep(2)  # its endpoint has a second to notice


async def test_the_client_has_its_time_to_answer(app: App, autojump_clock: MockClock) -> None:
    """When we close, it has the close timeout for its own close frame, as over HTTP/1.1; one in time ends in order."""
    async with site(app, LIMITS) as here:
        late = await here.client.open_websocket("/brief")
        assert await late.receive_message() == (8, CLOSE_4000)
        closed = trio.current_time()
        await late.receive_all()
        assert trio.current_time() == closed + LIMITS.close_timeout
        assert late.reset == ErrorCodes.CANCEL
        in_time = await here.client.open_websocket("/brief")
        assert await in_time.receive_message() == (8, CLOSE_4000)
        await trio.sleep(LIMITS.close_timeout - 0.1)
        await in_time.send(frame(CLOSE_4000, 8), end=True)
        await in_time.receive_all()
        assert in_time.finished


async def test_a_cancelled_server_waits_for_an_answer_for_a_second(app: App, autojump_clock: MockClock) -> None:
    """Also where the endpoint had closed before, and the client had more time."""
    async with site(app, LIMITS) as here:
        websocket = await here.client.open_websocket("/brief")
        assert await websocket.receive_message() == (8, CLOSE_4000)
        await wait_all_tasks_blocked()
        here.server.stop()
        stopped = trio.current_time()
        await here.server.ended.wait()
        assert trio.current_time() == pytest.approx(stopped + 1)


LAST_WORDS = frame(b"one", 1) + frame(b"two", 1) + frame(CLOSE_4000, 8)


async def test_a_client_ends_its_stream_behind_its_close_frame(app: App, autojump_clock: MockClock) -> None:
    """It gets the replies to what it sent before, and the answer; then the stream ends in order, and at once."""
    async with site(app, LIMITS) as here:
        websocket = await here.client.open_websocket("/slow-echo")
        await websocket.send(LAST_WORDS, end=True)
        assert await websocket.receive_message() == (1, b"one")
        assert await websocket.receive_message() == (1, b"two")
        told = trio.current_time()
        assert await websocket.receive_message() == (8, CLOSE_4000)
        await websocket.receive_all()
        assert websocket.finished
        await wait_all_tasks_blocked()
        assert here.server.reception.statistics().websockets == 0
        assert trio.current_time() == told


async def test_a_client_resets_its_stream_behind_its_end(app: App, autojump_clock: MockClock) -> None:
    """It is gone as soon as there is something to send to it."""
    async with site(app, LIMITS) as here:
        websocket = await here.client.open_websocket("/slow-echo")
        await websocket.send(LAST_WORDS, end=True)
        await websocket.send_reset()
        await wait_all_tasks_blocked()
        assert here.server.reception.statistics().websockets == 1
        await trio.sleep(0.15)
        assert here.server.reception.statistics().websockets == 0
        assert await here.client.get("/page") == ("200", b"a page")
