"""A dependency that says what becomes of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import trio

Log = list[str]


def resource(name: str, log: Log) -> Callable[[], AsyncIterator[str]]:
    """A dependency that notes when it begins, how it is left, and when it has ended."""

    async def open_resource() -> AsyncIterator[str]:
        log.append(f"open {name}")
        try:
            yield name
        except BaseException as error:
            log.append(f"{name} sees {type(error).__name__}")
            raise
        finally:
            await trio.sleep(0.1)
            log.append(f"close {name}")

    return open_resource
