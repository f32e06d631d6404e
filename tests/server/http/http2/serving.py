"""An application behind our HTTP/2, in memory and so on virtual time, and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs

from tests.net.http2.client import HTTP2Client, connected
from tests.server.site import Site, running
from wsframework import Limits


@attrs.define
class HTTP2Site:
    """A server, and a client that speaks HTTP/2 with it."""

    server: Site
    client: HTTP2Client


@asynccontextmanager
async def site(app: Any, limits: Limits | None = None, **options: Any) -> AsyncIterator[HTTP2Site]:
    """Serve one connection inside the block. ``options`` are those of `running`."""
    async with running(app, limits, **options) as server:
        theirs: Any = server.theirs  # no socket
        async with connected(theirs) as client:
            yield HTTP2Site(server, client)


@asynccontextmanager
async def serving(app: Any, limits: Limits | None = None) -> AsyncIterator[HTTP2Client]:
    """The same, for a test that needs only the client."""
    async with site(app, limits) as here:
        yield here.client
