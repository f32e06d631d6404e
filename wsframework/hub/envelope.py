"""What a publication looks like on the wire: by itself, or in an envelope that says where it belongs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from base64 import b64encode
from typing import Any

import attrs
import msgspec

from ..encoding import to_message
from .member import PresenceEvent
from .position import Gap
from .publication import Payload, Published


class Envelope(ABC):
    """Shapes what a subscription sends to its client.

    It is asked once for each publication, whatever the number of subscribers, as long as their envelopes are equal. So
    an envelope has no state, and two that do the same are equal: make it a frozen attrs class, or use one object.

    What the methods return becomes a message as in `Hub.broadcast`. They must not wait. If one raises, the connection
    that the message was for is closed with 1011.
    """

    @abstractmethod
    def publication(self, published: Published) -> Any:
        """Return what is sent for this publication."""

    def gap(self, topic: str, gap: Gap) -> Any:
        """Return what is sent where publications are missing, unless the subscription has an ``on_gap``.

        None sends nothing.
        """
        return None

    def presence(self, event: PresenceEvent) -> Any:
        """Return what is sent to those who watch who is present."""
        return event.standard()

    # What the hub asks

    def _wrap(self, published: Published, size: int) -> Payload:
        return Payload(to_message(self.publication(published)))

    def _wrap_gap(self, topic: str, gap: Gap) -> Payload | None:
        message = self.gap(topic, gap)
        return None if message is None else Payload(to_message(message))


@attrs.frozen
class NoEnvelope(Envelope):
    """For listeners: publications as the very objects, and gaps too if they are wanted."""

    gaps: bool

    def publication(self, published: Published) -> Any:
        return published

    def _wrap(self, published: Published, size: int) -> Payload:
        return Payload(self.publication(published), size)

    def _wrap_gap(self, topic: str, gap: Gap) -> Payload | None:
        return Payload(gap, 0) if self.gaps else None


@attrs.frozen
class StandardEnvelope(Envelope):
    """JSON that says of each publication where it belongs, and of each gap how large it is.

    ::

        {"topic": "news", "epoch": "5f3a09c1", "offset": 18, "data": {"any": "JSON"}}
        {"topic": "news", "epoch": "5f3a09c1", "offset": 19, "data": "text"}
        {"topic": "news", "epoch": "5f3a09c1", "offset": 20, "base64": "AP8="}
        {"topic": "news", "epoch": "5f3a09c1", "offset": 20, "gap": 7}

        {"topic": "news", "presence": "join", "members": [{"identity": "ada", "data": {"any": "JSON"}}]}

    The fourth one says that seven publications are missing behind offset 20; ``null`` in the place of a number says
    that nobody knows how many. For the last one see `PresenceEvent`. A client that keeps the newest epoch and offset
    can resume with them; see `Hub.subscribe`.
    """

    def publication(self, published: Published) -> Any:
        message = _head(published.topic, published.position.epoch, published.position.offset)
        data = published.data
        if isinstance(data, bytes):
            message["base64"] = b64encode(data).decode()
        else:
            message["data"] = msgspec.Raw(data.encode()) if published.is_json else data
        return message

    def gap(self, topic: str, gap: Gap) -> Any:
        return {**_head(topic, gap.since.epoch, gap.since.offset), "gap": gap.count}


def _head(topic: str, epoch: str, offset: int) -> dict[str, Any]:
    return {"topic": topic, "epoch": epoch, "offset": offset}
