"""Applications that raise, and what their clients and their logs get of it."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from wsframework import (
    App,
    WebSocket,
)
from wsframework.testing import HandshakeRefused, connect


class OutOfTeaError(Exception):
    """The program's own."""


class OutOfGreenTeaError(OutOfTeaError):
    """A kind of it."""


SECRET = "the text of an exception"


def app_that_raises(error: Exception, *, accept: bool, **options: Any) -> App:
    app = App(**options)

    @app.websocket("/")
    async def endpoint(websocket: WebSocket) -> None:
        if accept:
            await websocket.accept()
        raise error

    return app


async def refusal(app: Any) -> HandshakeRefused:
    with pytest.raises(HandshakeRefused) as refused:
        async with connect(app, raise_app_errors=False):
            pass
    return refused.value


async def goodbye(app: Any) -> tuple[int, str]:
    async with connect(app, raise_app_errors=False) as client:
        end = await client.wait_closed()
    return end.code, end.reason


def errors_in(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.levelno >= logging.ERROR]
