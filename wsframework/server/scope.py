"""The ASGI scope of a WebSocket connection."""

from __future__ import annotations

import socket
from typing import Any

import attrs

from ..compression import COMPRESSION
from .head.handshake import Handshake

Address = tuple[str, int]
AF_UNIX: int | None = getattr(socket, "AF_UNIX", None)  # Windows may have none


@attrs.frozen
class Peers:
    """Who talks to whom, and how: both addresses are None on a Unix socket."""

    client: Address | None = None
    server: Address | None = None
    secure: bool = False


def make_scope(handshake: Handshake, peers: Peers, state: dict[str, Any], root_path: str = "") -> dict[str, Any]:
    """Describe the connection to an ASGI application (ASGI 3.0, the WebSocket part 2.4)."""
    return {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": handshake.request.http_version,
        "scheme": "wss" if peers.secure else "ws",
        "path": handshake.path,
        "raw_path": handshake.raw_path,
        "query_string": handshake.query_string,
        "root_path": root_path,
        "headers": handshake.request.headers,
        "client": peers.client,
        "server": peers.server,
        "subprotocols": handshake.subprotocols,
        "state": dict(state),
        "extensions": {"websocket.http.response": {}, COMPRESSION: {}},
    }
