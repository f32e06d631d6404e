"""Health checks over the wire: what a load balancer sees of a server that serves, and of one that stops."""

from __future__ import annotations

import logging
from functools import partial

import httpx
import pytest
import trio

from tests.net.servers import PATIENCE, make_config, open_stream, run_server, upgrade
from wsframework import App, WebSocket, serve
from wsframework.access_log import logger as access_logger
from wsframework.server import Server

app = App()


@app.route("/hello")
async def hello(request: object) -> str:
    return "hello"


@app.websocket("/")
async def wait(websocket: WebSocket) -> None:
    await websocket.accept()
    async for _ in websocket.iter_text():
        pass
    await trio.sleep_forever()


async def ask(url: str, method: str = "GET", **options: bool) -> httpx.Response:
    async with httpx.AsyncClient(**options) as client:
        return await client.request(method, url)


versions = pytest.mark.parametrize("version", [{"http1": True}, {"http1": False, "http2": True}], ids=["1.1", "2"])


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@versions
async def test_a_server_that_serves(path: str, version: dict[str, bool]) -> None:
    """Both answers are 200, must not be cached, and come over HTTP/1.1 and HTTP/2."""
    async with run_server(app, health=True) as server:
        response = await ask(server.url + path, **version)
        assert (response.status_code, response.text) == (200, "ok\n")
        assert response.headers["cache-control"] == "no-store"
        head = await ask(server.url + path, "HEAD", **version)
        assert (head.status_code, head.text, head.headers["content-length"]) == (200, "", "3")


async def test_the_rest_is_the_applications() -> None:
    """Other paths and other methods reach the application, and so do WebSockets."""
    async with run_server(app, health=True) as server:
        assert (await ask(server.url + "/hello")).text == "hello"
        assert (await ask(server.url + "/healthz/more")).status_code == 404
        assert (await ask(server.url + "/healthz", "POST")).status_code == 404
        async with await open_stream(server.url) as stream:
            await upgrade(stream)


async def test_they_are_off_by_default() -> None:
    """Nothing is answered in the application's place unless somebody asks for it."""
    async with run_server(app) as server:
        assert (await ask(server.url + "/healthz")).status_code == 404


@versions
async def test_a_server_that_drains_is_alive_and_not_ready(version: dict[str, bool]) -> None:
    """While it waits for its last client the load balancer learns that it should send no more."""
    async with run_server(app, health=True) as server, await open_stream(server.url) as stream:
        await upgrade(stream)
        server.itself.drain()
        assert (await ask(server.url + "/healthz", **version)).status_code == 200
        response = await ask(server.url + "/readyz", **version)
        assert (response.status_code, response.text) == (503, "not ready\n")


async def test_they_do_not_fill_the_access_log(caplog: pytest.LogCaptureFixture) -> None:
    """They are logged at DEBUG, and requests of people at INFO."""
    with caplog.at_level(logging.DEBUG, access_logger.name):
        async with run_server(app, health=True) as server:
            for path in ("/healthz", "/readyz", "/hello"):
                await ask(server.url + path)
    lines = [record for record in caplog.records if record.name == access_logger.name]
    assert [(record.levelname, '"GET /' in record.getMessage()) for record in lines] == [
        ("DEBUG", True),
        ("DEBUG", True),
        ("INFO", True),
    ]


async def test_serve_takes_the_same() -> None:
    """`serve` has the option too, and a server is not ready before it runs."""
    assert not Server(app, health=True).ready
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            urls = await nursery.start(partial(serve, app, make_config(), health=True, watchdog=None))
            assert (await ask(urls[0] + "/readyz")).status_code == 200
            nursery.cancel_scope.cancel()
