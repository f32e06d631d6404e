"""What a test can see of a server from outside: conditions that come true, errors in its log, open descriptors."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable

import pytest
import trio


async def wait_until(condition: Callable[[], object]) -> None:
    """Wait for something that nobody announces; the test's own deadline bounds it."""
    while not condition():  # noqa: ASYNC110 - there is no event to wait for
        await trio.sleep(0.005)


def errors_in(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """The errors that were logged so far."""
    return [record for record in caplog.records if record.levelno >= logging.ERROR]


def descriptors() -> int:
    """How many descriptors this process has open; only Linux says it like this."""
    return len(os.listdir("/proc/self/fd"))
