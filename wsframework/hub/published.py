"""A publication as the program sees it."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import attrs

from ..encoding import decode_json
from ..transport import Message
from .position import Position


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
