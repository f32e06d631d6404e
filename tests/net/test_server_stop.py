"""A server that is cancelled: who is told, who is waited for, and what is left."""

import gc
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme

from tests.net.echo import Watched, check_echo, connect
from tests.net.observing import descriptors, errors_in, wait_until
from tests.net.servers import (
    UPGRADE,
    ServedOverSockets,
    Stream,
    client_context,
    open_stream,
    receive_all,
    run_server,
    upgrade,
    write_certificate,
)
from wsframework import App, CloseCode, WebSocket, WebSocketRoute


async def test_stop_says_goodbye(
    wire: str, app: App, endpoint: type[Watched], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that is cancelled closes every client with 1001 and runs every on_disconnect."""
    authority = trustme.CA()
    certificate, key = write_certificate(authority, tmp_path)
    options = {"certfile": certificate, "keyfile": key, "insecure_bind": ["127.0.0.1:0"]}
    async with run_server(app, **options) as server, trio.open_nursery() as nursery:
        secure, plain = server.urls
        ends: list[int] = []

        async def stay(url: str, task_status: trio.TaskStatus[None]) -> None:
            async with ServedOverSockets(url, client_context(authority)).connect() as client:
                await check_echo(client)
                task_status.started()
                ends.append((await client.wait_closed()).code)

        async def stay_plain(task_status: trio.TaskStatus[None]) -> None:
            async with ServedOverSockets(plain).connect() as client:
                await check_echo(client)
                task_status.started()
                ends.append((await client.wait_closed()).code)

        for _ in range(3):
            await nursery.start(stay, secure)
            await nursery.start(stay_plain)
        server.stop()
    assert ends == [CloseCode.GOING_AWAY] * 6
    assert endpoint.gone == [(CloseCode.GOING_AWAY, "")] * 6
    assert not errors_in(caplog)


async def test_stop_while_a_hook_is_busy(wire: str, endpoint: type[Watched]) -> None:
    """A hook that runs when the server stops is cancelled; its client gets 1001 like everybody."""
    begun = trio.Event()

    class Busy(endpoint):  # type: ignore[misc, valid-type] # a class made by a fixture
        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            begun.set()
            await trio.sleep_forever()

    async with run_server(App(routes=[WebSocketRoute("/", Busy)])) as server, connect(server) as client:
        await client.send("work")
        await begun.wait()
        server.stop()
        assert (await client.wait_closed()).code == CloseCode.GOING_AWAY
    assert endpoint.gone == [(CloseCode.GOING_AWAY, "")]


async def test_application_that_fails_when_it_is_cancelled(wire: str, caplog: pytest.LogCaptureFixture) -> None:
    """An error that an application raises on its way out is logged, and the server stops in peace."""

    async def fail() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise LookupError("where is my towel")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            async with trio.open_nursery() as nursery:
                nursery.start_soon(fail)
                await trio.sleep_forever()

    async with run_server(app) as server, connect(server) as client:
        server.stop()
        assert (await client.wait_closed()).code == CloseCode.GOING_AWAY
    assert [record.exc_text for record in errors_in(caplog) if "my towel" in str(record.exc_text)]
    assert len(errors_in(caplog)) == 1


async def test_stop_does_not_wait_for_the_unwilling(wire: str, app: App, endpoint: type[Watched]) -> None:
    """A client that answers no close frame, and ones that have not even said what they want, hold nobody up."""
    async with run_server(app) as server:
        streams = [await open_stream(server.url) for _ in range(3)]
        await upgrade(streams[0])
        await streams[1].send_all(UPGRADE[:20])
        await wait_until(lambda: endpoint.came == 1)
        server.stop()
        with trio.fail_after(3):
            await server.stopped.wait()
        for stream in streams:
            await receive_all(stream)
            await stream.aclose()
    assert endpoint.gone == [(CloseCode.GOING_AWAY, "")]
    gc.collect()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to count descriptors")
async def test_stop_closes_every_socket(wire: str, app: App, tmp_path: Path) -> None:
    """Whatever the connections were at when the server stopped, no descriptor is left open."""
    authority = trustme.CA()
    certificate, key = write_certificate(authority, tmp_path)
    before = descriptors()
    options = {"certfile": certificate, "keyfile": key, "insecure_bind": ["127.0.0.1:0"]}
    async with run_server(app, **options) as server:
        secure, plain = server.urls
        context = client_context(authority)
        streams: list[Stream] = []
        for beginning in (b"", b"GET / HT", UPGRADE, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\0"):
            for url, tls in ((plain, None), (secure, context)):
                stream = await open_stream(url, tls)
                await stream.send_all(beginning)
                if b"\r\n\r\n" in beginning:
                    await stream.receive_some()
                streams.append(stream)
        streams.append(await open_stream(secure))  # says nothing, not even hello
        server.stop()
        await server.stopped.wait()
        gc.disable()  # nothing may be left for it to close
        try:
            for stream in streams:
                await trio.aclose_forcefully(stream)
            assert descriptors() == before
        finally:
            gc.enable()
