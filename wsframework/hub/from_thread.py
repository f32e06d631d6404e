"""Publishing from threads that are not Trio's own."""

from __future__ import annotations

from collections.abc import Collection, Hashable
from typing import TYPE_CHECKING, Any

import trio

from ..websocket import WebSocket
from .receipt import Receipt

if TYPE_CHECKING:
    from .publisher import Publisher


class FromThread:
    """What another thread may do with a hub: ``hub.from_thread``."""

    __slots__ = ("_publisher", "_token")

    def __init__(self, publisher: Publisher, token: trio.lowlevel.TrioToken) -> None:
        self._publisher = publisher
        self._token = token

    def broadcast(
        self,
        topic: str,
        data: Any,
        *,
        exclude: WebSocket | Collection[WebSocket] | None = None,
        to: str | Collection[str] | None = None,
        key: Hashable = None,
    ) -> Receipt:
        """Publish like `Hub.broadcast`, and block this thread until that is done. The receipt's numbers are final.

        Works in threads of ``trio.to_thread.run_sync``, where it is cancelled with them, and in any other.

        Raises:
            trio.RunFinishedError: the program around the hub has ended.
            Otherwise as `Hub.broadcast`.
        """

        async def publish() -> Receipt:
            receipt = await self._publisher.broadcast(topic, data, exclude=exclude, to=to, key=key)
            _ = receipt.delivered  # to be read in this thread, which may deliver; the other must not
            return receipt

        try:
            trio.from_thread.check_cancelled()
        except RuntimeError:  # no thread of Trio's, so nobody there could cancel it
            return trio.from_thread.run(publish, trio_token=self._token)
        return trio.from_thread.run(publish)
