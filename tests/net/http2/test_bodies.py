"""Bodies of requests over HTTP/2: what one of them does to the rest of its connection. See `server.http.http2.body`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from tests.net.echo import Echo
from tests.net.http2.client import HTTP2Client, HTTP2Stream, connected
from tests.net.servers import open_stream, run_server
from wsframework import App

MEBIBYTE = 1024 * 1024


@asynccontextmanager
async def serve(may_go_on: trio.Event) -> AsyncIterator[HTTP2Client]:
    app = App()
    app.websocket("/")(Echo)

    @app.route("/unread", methods=["POST"])
    async def unread(request: Request) -> str:
        await may_go_on.wait()
        return "never mind"

    @app.route("/size", methods=["POST"])
    async def size(request: Request) -> str:
        await may_go_on.wait()
        return str(len(await request.body()))

    async with run_server(app) as server, connected(await open_stream(server.url)) as client:
        yield client


async def post(client: HTTP2Client, path: str) -> HTTP2Stream:
    fields = [(":method", "POST"), (":authority", "localhost"), (":scheme", "https"), (":path", path)]
    return await client.request(fields, end=False)


async def check_echo(websocket: HTTP2Stream) -> None:
    await websocket.send_message(b"still here")
    assert await websocket.receive_message() == (1, b"still here")


@pytest.mark.parametrize("size", [1, 1000], ids=["frames of a byte", "frames of a kilobyte"])
async def test_a_body_that_is_not_read(size: int) -> None:
    """A route that answers without having read a body holds up nothing else on the connection, before and after."""
    may_go_on = trio.Event()
    async with serve(may_go_on) as client:
        websocket = await client.open_websocket()
        stream = await post(client, "/unread")
        for _ in range(60):
            await stream.send(b"x" * size)
        await check_echo(websocket)
        may_go_on.set()
        assert await stream.receive_status() == "200"
        assert await stream.receive_all() == b"never mind"
        await check_echo(websocket)


async def test_a_client_that_leaves_in_the_middle() -> None:
    """A route that answers when it is told so, or without noticing, keeps nothing open."""
    app = App()

    @app.route("/rude", methods=["POST"])
    async def rude(request: Request) -> Response:
        try:
            await request.body()
        except ClientDisconnect:
            pass
        return Response(b"x" * MEBIBYTE)

    async with run_server(app) as server:
        async with connected(await open_stream(server.url)) as client:
            stream = await post(client, "/rude")
            await stream.send(b"a part of it")
            await client.get("/nothing")  # all of that has come
        while server.itself.statistics().open:  # noqa: ASYNC110 - nobody announces it
            await trio.sleep(0.005)


async def test_a_body_that_is_read_late() -> None:
    """A client may send one window of it; then it waits, alone, and every byte arrives when the route reads."""
    may_go_on = trio.Event()
    async with serve(may_go_on) as client, trio.open_nursery() as nursery:
        websocket = await client.open_websocket()
        stream = await post(client, "/size")

        async def send() -> None:
            await stream.send(b"x" * MEBIBYTE, end=True)

        nursery.start_soon(send)
        while client.state.local_flow_control_window(stream.number):  # noqa: ASYNC110 - nobody announces it
            await trio.sleep(0.005)
        for _ in range(10):
            await check_echo(websocket)
        assert client.state.local_flow_control_window(stream.number) == 0
        may_go_on.set()
        assert await stream.receive_status() == "200"
        assert await stream.receive_all() == b"%d" % MEBIBYTE


async def test_the_window_of_the_connection_comes_back() -> None:
    """What routes have not read of bodies is given back: a client may send more of that than the whole window."""
    may_go_on = trio.Event()
    may_go_on.set()
    async with serve(may_go_on) as client:
        await client.settings.wait()
        await client.get("/")  # the window of the connection has been opened
        window, sent = client.state.outbound_flow_control_window, 0
        while sent <= window:
            stream = await post(client, "/unread")
            await stream.send(b"x" * 60_000, end=True)
            sent += 60_000
            assert await stream.receive_all() == b"never mind"
