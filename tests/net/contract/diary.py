"""What endpoints of the contract write down, and what they may have seen."""

from typing import Any

import trio

from tests.net.servers import Kind
from wsframework import App, CloseCode, WebSocketRoute


class Diary:
    """What endpoints went through. Tests wait for an entry instead of sleeping."""

    def __init__(self) -> None:
        self.entries: list[Any] = []
        self._written = trio.Event()

    def write(self, *entry: Any) -> None:
        self.entries.append(entry)
        self._written.set()
        self._written = trio.Event()

    def count(self, *entry: Any) -> int:
        return self.entries.count(entry)

    async def wait_for(self, name: str) -> tuple[Any, ...]:
        """The first entry of this name."""
        while True:
            for entry in self.entries:
                if entry[0] == name:
                    found: tuple[Any, ...] = entry
                    return found
            await self._written.wait()


def serving(endpoint: Any) -> App:
    return App(routes=[WebSocketRoute("/", endpoint)])


def seen(kind: Kind, code: int, reason: str = "") -> tuple[int, str]:
    """What an endpoint learns of a client that closes like this."""
    # hypercorn tells its applications 1006 however the client left.
    return (CloseCode.ABNORMAL_CLOSURE, "") if kind.stock else (code, reason)
