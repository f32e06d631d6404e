"""Where somebody is in the stream of a topic, and what is missing there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs


@attrs.frozen
class Position:
    """A place in a topic: everything up to ``offset`` has been seen, in the life of the topic that ``epoch`` names.

    Offsets count the publications of a topic from 1. They begin anew with every life of a topic: a hub forgets a topic
    that nobody uses, and a process forgets everything when it ends. A new life has a new epoch, so that an old position
    is never taken for a place in it.

    It travels in JSON as an object, or as text: ``str(position)``, and back with `Position.parse`.
    """

    epoch: str
    offset: int

    def __str__(self) -> str:
        return f"{self.epoch}:{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Position:
        """Read what ``str`` has written.

        Raises:
            ValueError: the text is none of ours.
        """
        epoch, colon, offset = text.rpartition(":")
        if not (colon and epoch and offset.isascii() and offset.isdecimal() and len(offset) < 20):
            raise ValueError(f"a position reads epoch:offset, not {text[:80]!r}")
        return cls(epoch, int(offset))


def check_position(since: object) -> None:
    """Check that this is a place in a topic. Raises ``TypeError`` for what only reads like one."""
    if not isinstance(since, Position):
        raise TypeError(f"since is a Position, which Position.parse(...) reads from text, and not {since!r}")


@attrs.frozen
class Gap:
    """Publications that a subscriber does not get.

    Attributes:
        count: how many; None when nobody can know, because the topic does not remember ``since``. What a topic has
            forgotten while the subscriber caught up counts whomever it was for, which is forgotten with it.
        since: the last one before them. With a history, ``hub.history(topic, since=gap.since)`` may still have them.
    """

    count: int | None
    since: Position


OnGap = Callable[[Gap], Any]
"""Called with a gap; what it returns, unless that is None, is sent to the client in the place of what is missing."""
