"""Starts uvicorn on uvloop with the Starlette application and one of uvicorn's WebSocket implementations."""

from typing import Literal

import uvicorn

from ._port import port
from ._starlette_app import app


def run(ws: Literal["websockets", "websockets-sansio"]) -> None:
    """Serve until we are killed."""
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=port(),
        loop="uvloop",
        ws=ws,
        ws_per_message_deflate=False,
        access_log=False,
        log_level="warning",
    )
