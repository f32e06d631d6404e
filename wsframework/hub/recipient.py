"""What a subscriber needs of whoever it delivers to: a WebSocket's transport is one, a listener another."""

from __future__ import annotations

from typing import Any, Protocol

from ..transport import Mailbox, WireFormat


class Recipient(Protocol):
    """Takes what is published. See `wsframework.transport.Transport`, which has more than this."""

    wire_format: WireFormat
    close_code: int | None
    mailbox: Mailbox | None

    def offer(self, encoded: Any, messages: int = 1) -> bool: ...

    def cut_off(self, code: int, reason: str = "") -> None: ...
