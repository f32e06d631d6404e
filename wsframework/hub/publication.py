"""A message on its way to subscribers."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ..transport import Message, WireFormat
from .receipt import Receipt


class Publication:
    """A message on its way to the subscribers of a topic, encoded once per wire format."""

    __slots__ = ("_encoded", "exclude", "message", "receipt", "size")

    def __init__(self, message: Message, receipt: Receipt, exclude: Collection[object]) -> None:
        self.message: Message = message
        self.size: int = len(message) if isinstance(message, bytes) or message.isascii() else len(message.encode())
        self.receipt: Receipt = receipt
        self.exclude: Collection[object] = exclude
        self._encoded: dict[WireFormat, Any] = {}

    def encoded(self, wire_format: WireFormat) -> Any:
        encoded = self._encoded.get(wire_format)
        if encoded is None:
            encoded = self._encoded[wire_format] = wire_format.encode(self.message)
        return encoded


def join(publications: list[Publication], wire_format: WireFormat) -> Any:
    """Put publications into one buffer of this format."""
    if len(publications) == 1:
        return publications[0].encoded(wire_format)
    return wire_format.join([publication.encoded(wire_format) for publication in publications])
