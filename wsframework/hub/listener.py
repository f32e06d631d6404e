"""A consumer of a topic that is no WebSocket: a task that takes one publication after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import trio
from trio.lowlevel import ParkingLot, checkpoint

from ..close import CloseCode, describe
from ..messages import Mailbox, WireFormat
from ..waking import BURST, Burst
from .position import Gap
from .publication import Published
from .replay import Replay
from .subscription import Subscription

T = TypeVar("T", Published, Published | Gap)


class _AsItIs:
    """Messages as lists of the very objects."""

    def encode(self, message: Any) -> list[Any]:
        return [message]

    def join(self, encoded: Sequence[list[Any]]) -> list[Any]:
        return [item for items in encoded for item in items]


AS_IT_IS: WireFormat = _AsItIs()


class Listener(Burst):
    """A recipient whose items a task takes out of it. It is behind while there are any."""

    def __init__(self) -> None:
        super().__init__()
        self.wire_format: WireFormat = AS_IT_IS
        self.close_code: int | None = None
        self.close_reason: str = ""
        self.mailbox: Mailbox | None = None
        self._items: deque[Any] = deque()
        self._news = ParkingLot()
        self._replay: Replay | None = None

    # What the hub calls

    def offer(self, encoded: list[Any], messages: int = 1) -> bool:
        self._items.extend(encoded)
        self._news.unpark_all()
        return not self._items

    def cut_off(self, code: int, reason: str = "") -> None:
        if self.close_code is None:
            self.close_code, self.close_reason = int(code), reason
            self._news.unpark_all()

    # What the task calls

    async def take(self) -> Any:
        """Return the next item, or None when the hub has stopped and there is nothing any more."""
        await self._checkpoint()  # before it takes anything, so that a cancellation loses nothing
        while not self._items:
            if self.close_code is not None:
                await checkpoint()
                if self.close_code == CloseCode.GOING_AWAY:
                    return None
                raise trio.BrokenResourceError(describe(self.close_code, self.close_reason))
            self._burst = BURST  # waiting lets other tasks run
            await self._news.park()
        item = self._items.popleft()
        if not self._items:
            if self.mailbox is not None and self.close_code is None:
                self.mailbox.drained()
            self._catch_up_more()
        return item

    def catch_up(self, replay: Replay | None) -> None:
        """Begin with this. There is no task that waits until something has been taken: taking it makes it go on."""
        self._replay = replay
        self._catch_up_more()

    def finish_catching_up(self) -> None:
        """Take all that is still missing at once: it is about to be forgotten."""
        self._catch_up_more(to_the_end=True)

    def _catch_up_more(self, *, to_the_end: bool = False) -> None:
        while self._replay is not None and (to_the_end or not self._items):
            self._replay.step()
            if not self._replay.goes_on:
                self._replay = None


class Publications(Generic[T]):
    """What is published to a topic, one by one: ``async for publication in publications``.

    It ends when the hub stops, after everything that was published before.

    Attributes:
        subscription: tells how far behind this is, and whether it has recovered.

    Raises:
        trio.BrokenResourceError: it was too slow, and the policy is to disconnect. Everything that was taken by then is
            in order and whole.

    If it is cancelled: nothing is lost, the next one is the one that this would have been.
    """

    def __init__(self, listener: Listener, subscription: Subscription) -> None:
        self._listener = listener
        self.subscription = subscription

    def __aiter__(self) -> Publications[T]:
        return self

    async def __anext__(self) -> T:
        item: T | None = await self._listener.take()
        if item is None:
            raise StopAsyncIteration
        return item
