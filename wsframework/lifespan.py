"""The life of an app, as a server follows it: it may begin, it lasts, it shall end (ASGI's lifespan protocol)."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

import trio

from .errors import StartupError, WebSocketStateError
from .groups import alone
from .websocket import Receive, Scope, Send

Function = TypeVar("Function", bound=Callable[..., Any])

NEEDS_TRIO = (
    "this application needs Trio, and the server runs asyncio. "
    "Start it with `wsframework run module:app`, or with `hypercorn -k trio module:app`."
)


def check_lifespan(function: Function) -> Function:
    """Return it, if it can be called for a context manager.

    Raises:
        TypeError: it needs its decorator, or a ``yield``, or is no function.
    """
    name = getattr(function, "__name__", repr(function))
    if not callable(function):
        raise TypeError(f"lifespan is a function that takes the app, decorated with @asynccontextmanager, not {name}")
    if inspect.isasyncgenfunction(function):
        raise TypeError(f"decorate {name} with @asynccontextmanager, from contextlib")
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise TypeError(
            f"{name} is the app's whole life: write `async def {name}(app)` with a `yield` between what begins it and "
            "what ends it, and decorate it with @asynccontextmanager, from contextlib"
        )
    return function


async def serve_lifespan(
    life: AbstractAsyncContextManager[Mapping[str, Any] | None], scope: Scope, receive: Receive, send: Send
) -> None:
    """Enter a context manager when the server starts, and leave it when the server stops.

    What it yields, if anything, is the state that the server gives to every connection. The server is told of an error
    with its traceback, since it may have no other way to show one; the error is raised as well.
    """
    await receive()
    phase = "startup"
    try:
        async with life as state:
            if state is not None:
                if "state" not in scope:
                    raise WebSocketStateError("this server has no place for the state that the lifespan yields")
                scope["state"].update(state)
            await send({"type": "lifespan.startup.complete"})
            phase = "shutdown"
            await receive()
    except Exception as error:
        told = "".join(traceback.format_exception(alone(error)))
        await send({"type": f"lifespan.{phase}.failed", "message": told})  # noqa: ASYNC120 - raised below
        raise
    await send({"type": "lifespan.shutdown.complete"})


def on_trio() -> bool:
    """Say whether the server runs Trio."""
    return trio.lowlevel.in_trio_task()


async def refuse_asyncio(scope: Scope, receive: Receive, send: Send) -> None:
    """Tell a server without Trio what to start instead: when it starts, or at the first connection.

    Raises:
        StartupError: the server has not asked, and has sent a connection.
    """
    if scope["type"] != "lifespan":
        raise StartupError(NEEDS_TRIO)
    await receive()
    await send({"type": "lifespan.startup.failed", "message": NEEDS_TRIO})
