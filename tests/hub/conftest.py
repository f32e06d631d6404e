"""What the tests of the hub share: rooms to join, and the check that everybody has left."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.hub.rooms import Room, assert_empty
from wsframework import Hub


@pytest.fixture
def make_room() -> Iterator[Callable[..., Room]]:
    """Make rooms, with a hub of these options; after the test each hub must be empty."""
    rooms: list[Room] = []

    def make(**options: Any) -> Room:
        rooms.append(Room(Hub(**options)))
        return rooms[-1]

    yield make
    for room in rooms:
        assert_empty(room.hub)


@pytest.fixture
def room(make_room: Callable[..., Room]) -> Room:
    """A room with a hub that has the default bounds."""
    return make_room()
