"""Starlette on hypercorn's Trio worker."""

import trio
from hypercorn.config import Config
from hypercorn.trio import serve

from ._port import port
from ._starlette_app import app
from ._tls import tls_files


async def main() -> None:
    config = Config()
    config.bind = [f"127.0.0.1:{port()}"]
    config.accesslog = None
    config.errorlog = None
    config.certfile, config.keyfile = tls_files()
    config.websocket_max_message_size = 1024 * 1024
    config.websocket_ping_interval = 20
    # permessage-deflate cannot be switched off here; it stays off because the load generator does not offer it.
    await serve(app, config, mode="asgi")  # type: ignore[arg-type]  # Starlette's scope is a wider type


if __name__ == "__main__":
    trio.run(main)
