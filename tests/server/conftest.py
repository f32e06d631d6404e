"""What the tests of connections share."""

import logging
from collections.abc import AsyncIterator, Iterator

import pytest
import trio

from tests.server.builders import DATE
from tests.server.lines import Lines
from tests.server.served import LIMITS, Serve, Server
from wsframework import Limits
from wsframework.access_log import logger
from wsframework.server.connection import Connection
from wsframework.server.upkeep import Upkeep


@pytest.fixture(autouse=True)
def date(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every answer was made at one time, so that two can be compared."""
    monkeypatch.setattr("wsframework.server.head.response.formatdate", lambda usegmt: DATE)


@pytest.fixture
async def upkeep(nursery: trio.Nursery) -> Upkeep:
    """An upkeep that runs for as long as the test."""
    upkeep = Upkeep()
    nursery.start_soon(upkeep.run)
    return upkeep


@pytest.fixture
async def serve(nursery: trio.Nursery, upkeep: Upkeep) -> AsyncIterator[Serve]:
    """Serve a connection over our end of a stream; at the end of the test it is let go."""
    servers: list[Server] = []

    async def serve(stream: trio.abc.Stream, limits: Limits = LIMITS, kind: type[Connection] = Connection) -> Server:
        server = Server(stream, upkeep, limits, kind)
        servers.append(server)
        await nursery.start(server.run)
        return server

    try:
        yield serve
    finally:
        for server in servers:
            server.connection.abandon()


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    """The access log, listened to."""
    handler = Lines()
    logger.addHandler(handler)
    monkeypatch.setattr(logger, "level", logging.INFO)
    logger.manager._clear_cache()  # type: ignore[attr-defined] # what setLevel does
    yield handler
    logger.removeHandler(handler)
    monkeypatch.undo()
    logger.manager._clear_cache()  # type: ignore[attr-defined]
