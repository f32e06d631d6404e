"""What happens to a client whose mailbox is full."""

from __future__ import annotations

from enum import Enum


class Overflow(Enum):
    """The choice for a message that does not fit any more into the mailbox of a client that is behind."""

    DISCONNECT = "disconnect"
    """Close that client with 1013 (try again later): it reconnects and starts afresh. What waited is discarded."""
    DROP_OLDEST = "drop_oldest"
    """Make room by dropping what has waited longest: for state where the newest counts."""
    DROP_NEWEST = "drop_newest"
    """Drop the message itself: for streams where a gap matters less than what came first."""
