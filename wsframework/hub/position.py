"""Where somebody is in the stream of a topic."""

from __future__ import annotations

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
