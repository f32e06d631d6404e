"""What the tests of connections share."""

import pytest
import trio

from wsframework.server.upkeep import Upkeep


@pytest.fixture
async def upkeep(nursery: trio.Nursery) -> Upkeep:
    """An upkeep that runs for as long as the test."""
    upkeep = Upkeep()
    nursery.start_soon(upkeep.run)
    return upkeep
