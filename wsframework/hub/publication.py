"""A message on its way to subscribers, and what the program sees of it."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from ..encoding import decode_json
from ..messages import Message, WireFormat
from .position import Position
from .receipt import Receipt

if TYPE_CHECKING:
    from .envelope import Envelope
    from .place import Place

# What one client is offered in one write, in bytes: more would go past its bounds if it is about to fall behind.
WRITE_SIZE = 64 * 1024


@attrs.frozen
class Published:
    """What was published to a topic.

    Attributes:
        topic: its name.
        position: its place there.
        data: a string for text, bytes for binary. A value that was published has become JSON text.
        is_json: that is what it has become.
        key: what it was published with, if anything.
    """

    topic: str
    position: Position
    data: Message
    is_json: bool = False
    key: Hashable = None

    def json(self) -> Any:
        """Decode ``data`` as JSON. Raises `InvalidData` for what is none."""
        return decode_json(self.data)


class Payload:
    """What goes out, encoded once per wire format.

    Args:
        message: a message; or, for listeners, which take any object, that.
        size: of the message, which counts against the bounds; measured if it is not given.
    """

    __slots__ = ("_encoded", "message", "size")

    def __init__(self, message: Any, size: int | None = None) -> None:
        if size is None:
            size = len(message) if isinstance(message, bytes) or message.isascii() else len(message.encode())
        self.message: Any = message
        self.size: int = size
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
        is_json: the message was a value, and is JSON text now.
    """

    __slots__ = ("_wrapped", "exclude", "is_json", "key", "offset", "receipt", "to")

    def __init__(self, message: Message, receipt: Receipt) -> None:
        super().__init__(message)
        self.receipt: Receipt = receipt
        self.exclude: Collection[int] = ()
        self.to: Collection[str] | None = None
        self.key: Hashable = None
        self.is_json: bool = False
        self.offset: int = 0
        self._wrapped: dict[Envelope, Payload] | None = None

    def number(self, offset: int) -> None:
        """Give it its place in its topic. What was wrapped with another number is wrapped anew."""
        if offset != self.offset:
            self.offset = offset
            self._wrapped = None

    def wrapped(self, place: Place) -> Payload:
        """Return what goes out to this subscriber: made once for all that have an equal envelope."""
        envelope = place.envelope
        if envelope is None:
            return self
        if self._wrapped is None:
            self._wrapped = {}
        payload = self._wrapped.get(envelope)
        if payload is None:
            payload = self._wrapped[envelope] = self.wrap(envelope, place)
        return payload

    def wrap(self, envelope: Envelope, place: Place) -> Payload:
        """Put it into an envelope, on its way to this subscriber and all others that have an equal one."""
        return envelope._wrap(self.published(place.topic.name, place.topic.epoch), self.size)

    def published(self, topic: str, epoch: str) -> Published:
        """Return what the program sees of it."""
        return Published(topic, Position(epoch, self.offset), self.message, self.is_json, self.key)


def join(payloads: Sequence[Payload], wire_format: WireFormat) -> Any:
    """Put payloads into one buffer of this format."""
    if len(payloads) == 1:
        return payloads[0].encoded(wire_format)
    return wire_format.join([payload.encoded(wire_format) for payload in payloads])


def split_write(publications: list[Publication]) -> tuple[list[Publication], list[Publication]]:
    """Take as many as make one write, at least one if there is one; return them and the rest."""
    size = 0
    for number, publication in enumerate(publications, 1):
        size += publication.size
        if size >= WRITE_SIZE:
            return publications[:number], publications[number:]
    return publications, []
