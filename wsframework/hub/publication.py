"""A message on its way to subscribers."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from typing import Any

from ..transport import Message, WireFormat
from .receipt import Receipt


class Payload:
    """What goes out, encoded once per wire format."""

    __slots__ = ("_encoded", "message", "size")

    def __init__(self, message: Message) -> None:
        self.message: Message = message
        self.size: int = len(message) if isinstance(message, bytes) or message.isascii() else len(message.encode())
        self._encoded: dict[WireFormat, Any] = {}

    def encoded(self, wire_format: WireFormat) -> Any:
        encoded = self._encoded.get(wire_format)
        if encoded is None:
            encoded = self._encoded[wire_format] = wire_format.encode(self.message)
        return encoded


class Publication(Payload):
    """A message on its way to the subscribers of a topic.

    Attributes:
        offset: its number in its topic, from 1; the topic gives it.
        exclude: the numbers of the subscribers that do not get it. Numbers, since a message may be remembered for
            longer than its subscribers live.
        to: the identities that get it; None for everybody.
        key: what it is the newest message of, for subscriptions with ``Overflow.LATEST``.
    """

    __slots__ = ("exclude", "key", "offset", "receipt", "to")

    def __init__(
        self,
        message: Message,
        receipt: Receipt,
        exclude: Collection[int] = (),
        to: Collection[str] | None = None,
        key: Hashable = None,
    ) -> None:
        super().__init__(message)
        self.receipt: Receipt = receipt
        self.exclude: Collection[int] = exclude
        self.to: Collection[str] | None = to
        self.key: Hashable = key
        self.offset: int = 0


def join(payloads: Sequence[Payload], wire_format: WireFormat) -> Any:
    """Put payloads into one buffer of this format."""
    if len(payloads) == 1:
        return payloads[0].encoded(wire_format)
    return wire_format.join([payload.encoded(wire_format) for payload in payloads])
