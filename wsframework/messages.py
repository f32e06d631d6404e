"""Messages to clients: what they are, how they look on their way out, and where those are kept that have to wait."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

Message: TypeAlias = str | bytes
"""Text or binary."""


class WireFormat(Protocol):
    """How messages look on their way out. A broadcast encodes once for all clients whose transports share a format."""

    def encode(self, message: Message) -> Any: ...

    def join(self, encoded: Sequence[Any]) -> Any: ...


class Ticket:
    """A message that waits in line behind publications."""

    __slots__ = ("taken",)

    def __init__(self) -> None:
        self.taken: bool = False


class Mailbox(Protocol):
    """Where the hub keeps what a client has not taken yet. It writes through its transport's ``offer``."""

    def catch_up(self) -> bool:
        """Offer what was published so far. False: some of it waits, and a direct message must line up behind it."""

    def line_up(self, encoded: Any) -> Ticket | None:
        """Send this when everything that waits now has been offered. None: too many are in line already."""

    def empty(self) -> None:
        """Offer all that waits, whether the client keeps up or not: the connection is about to end."""

    def drained(self) -> None:
        """The client has taken everything that was offered."""

    def leave(self) -> None:
        """The connection has ended, and its subscriptions with it."""
