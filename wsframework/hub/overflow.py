"""What happens to a client whose mailbox is full, and when it is full."""

from __future__ import annotations

from enum import Enum

import attrs


class Overflow(Enum):
    """The choice for a message that does not fit any more into the mailbox of a client that is behind."""

    DISCONNECT = "disconnect"
    """Close that client with 1013 (try again later): it reconnects and starts afresh. What waited is discarded."""
    DROP_OLDEST = "drop_oldest"
    """Make room by dropping what has waited longest: for state where the newest counts."""
    DROP_NEWEST = "drop_newest"
    """Drop the message itself: for streams where a gap matters less than what came first."""
    LATEST = "latest"
    """Keep only the newest message for each ``key`` that it is published with: for prices, positions, cursors. It takes
    the place of the older one in the line, full or not, so keys have no order between each other. More keys than fit:
    as with DROP_OLDEST."""
    BLOCK = "block"
    """Have ``broadcast`` wait until there is room, but not for ever: then as with DISCONNECT."""


@attrs.frozen
class Bounds:
    """How much may wait, and what happens to more.

    Raises:
        TypeError, ValueError: it is no policy, or there is no room at all.
    """

    capacity: int
    max_bytes: int
    overflow: Overflow

    def __attrs_post_init__(self) -> None:
        if self.capacity < 1 or self.max_bytes < 1:
            raise ValueError(f"capacity={self.capacity}, max_bytes={self.max_bytes}: both must be at least 1")
        if not isinstance(self.overflow, Overflow):
            raise TypeError(f"overflow is one of {', '.join(map(str, Overflow))}, not {self.overflow!r}")

    def changed(self, capacity: int | None, max_bytes: int | None, overflow: Overflow | None) -> Bounds:
        """Take these instead of ours, where they are given. The same object when none is."""
        if capacity is None and max_bytes is None and overflow is None:
            return self
        return Bounds(
            self.capacity if capacity is None else capacity,
            self.max_bytes if max_bytes is None else max_bytes,
            self.overflow if overflow is None else overflow,
        )
