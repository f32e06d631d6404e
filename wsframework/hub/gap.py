"""What a subscriber missed, told at the place in its stream where it is missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from .position import Position


@attrs.frozen
class Gap:
    """Publications that a subscriber does not get.

    Attributes:
        count: how many; None when nobody can know, because the topic does not remember ``since``.
        since: the last one before them. With a history, ``hub.history(topic, since=gap.since)`` may still have them.
    """

    count: int | None
    since: Position


OnGap = Callable[[Gap], Any]
"""Called with a gap; what it returns, unless that is None, is sent to the client in the place of what is missing."""
