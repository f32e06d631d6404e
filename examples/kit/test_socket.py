"""A test over a real socket. Run `pytest examples/kit`, with pytest-trio installed."""

import trio
import trio_websocket
from hypercorn.config import Config
from test_kit import app

from wsframework import serve


async def test_over_a_socket() -> None:
    config = Config()
    config.bind = ["127.0.0.1:0"]
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            [url] = await nursery.start(serve, app, config)
            async with trio_websocket.open_websocket_url(url.replace("http", "ws") + "/echo") as client:
                await client.send_message("hello")
                assert await client.get_message() == "hello"
            nursery.cancel_scope.cancel()
