"""What a topic remembers of what was published to it, so that a client that was away can catch up."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from itertools import islice

import attrs
import trio

from ..limits import MIB
from .publication import Publication


@attrs.frozen(kw_only=True)
class History:
    """How much a topic remembers: the newest publications, as far as all three bounds allow.

    Attributes:
        size: how many.
        ttl: for how many seconds.
        max_bytes: how large they are together, as payload. What is encoded for clients comes on top of it.

    The defaults are those that Centrifugo's documentation recommends for recovery: a hundred messages, five minutes.
    """

    size: int = 100
    ttl: float = 300.0
    max_bytes: int = 1 * MIB

    def __attrs_post_init__(self) -> None:
        for name, value in (("size", self.size), ("ttl", self.ttl), ("max_bytes", self.max_bytes)):
            if not value > 0:
                raise ValueError(f"History({name}={value!r}): a bound is above zero")


class Histories:
    """Which topics remember how much.

    Args:
        chosen: for all topics; or for those whose names match a pattern (``*``, ``?`` and ``[...]``), where the first
            pattern that matches counts; or none.

    Raises:
        TypeError: it is none of these.
    """

    def __init__(self, chosen: History | Mapping[str, History | None] | None) -> None:
        self._patterns = chosen if isinstance(chosen, Mapping) else {"*": chosen}
        for history in self._patterns.values():
            if history is not None and not isinstance(history, History):
                raise TypeError(f"history is a History, such as History(size=100), or a dict of them, not {chosen!r}")
        self.any: bool = any(history is not None for history in self._patterns.values())

    def find(self, topic: str) -> History | None:
        """Return what this topic remembers, or None."""
        if not self.any:
            return None
        return next((history for pattern, history in self._patterns.items() if fnmatchcase(topic, pattern)), None)


class Memory:
    """What one topic remembers, in the order of its numbers and without a hole.

    Attributes:
        first: the number of the oldest publication that is there, or of the next one when none is.
    """

    def __init__(self, bounds: History, first: int) -> None:
        self._bounds = bounds
        self._publications: deque[tuple[float, Publication]] = deque()
        self._bytes = 0
        self.first: int = first

    def __len__(self) -> int:
        self._trim()
        return len(self._publications)

    @property
    def expiry(self) -> float:
        """When, on Trio's clock, the newest one is forgotten. One must be there."""
        return self._publications[-1][0] + self._bounds.ttl

    def append(self, publication: Publication) -> None:
        """Remember it, and forget what goes beyond the bounds."""
        self._publications.append((trio.current_time(), publication))
        self._bytes += publication.size
        self._trim()

    def read(self, first: int, limit: int | None = None) -> list[Publication]:
        """Return those from this number on, which must be remembered; at most so many."""
        start = first - self.first
        stop = None if limit is None else start + limit
        return [publication for _, publication in islice(self._publications, start, stop)]

    def newest(self, concerns: Callable[[Publication], bool]) -> list[Publication]:
        """Return the newest one of each key, in their order, among those that concern somebody."""
        self._trim()
        found = {publication.key: publication for _, publication in self._publications if concerns(publication)}
        return sorted(found.values(), key=lambda publication: publication.offset)

    def clear(self) -> None:
        """Forget everything."""
        while self._publications:
            self._forget()

    def _trim(self) -> None:
        bounds, publications = self._bounds, self._publications
        while publications and (
            len(publications) > bounds.size
            or self._bytes > bounds.max_bytes
            or publications[0][0] + bounds.ttl <= trio.current_time()
        ):
            self._forget()

    def _forget(self) -> None:
        _, publication = self._publications.popleft()
        self._bytes -= publication.size
        self.first = publication.offset + 1
