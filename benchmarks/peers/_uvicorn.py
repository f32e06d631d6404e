"""Starts uvicorn on uvloop with an application and one of uvicorn's WebSocket implementations."""

from typing import Any, Literal

import uvicorn
import uvloop  # noqa: F401 - so that it shows at once when it is not installed

from ._port import port
from ._tls import tls_files


def run(app: Any, ws: Literal["websockets", "websockets-sansio"]) -> None:
    """Serve until we are killed."""
    certificate, key = tls_files()
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=port(),
        loop="uvloop",
        ws=ws,
        ws_max_size=1024 * 1024,
        ws_per_message_deflate=False,
        access_log=False,
        log_level="warning",
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
