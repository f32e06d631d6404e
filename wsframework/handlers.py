"""What an application does about exceptions: the functions that ``@app.exception_handler`` adds.

Starlette's rules say which one is chosen: one for the status of an ``HTTPException``, else that of the nearest base
class. A handler for ``Exception``, or for the status 500, gets what nobody expected; that is logged all the same.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, TypeAlias

import attrs
import trio
from starlette.exceptions import HTTPException, WebSocketException

from .errors import ClientError
from .responses import is_async

# Where an App leaves its own, and those of the Apps around it, in the scope.
HANDLERS = "wsframework.exception_handlers"

Key: TypeAlias = int | type[Exception]
Function: TypeAlias = Callable[[Any, Any], Any]

# What has an answer of its own. A handler for `Exception` does not take it away.
EXPECTED = (ClientError, HTTPException, WebSocketException)


@attrs.frozen
class Handler:
    """A function that takes the connection and the exception, and whether the error is one to log as well."""

    function: Function
    unexpected: bool = False

    async def call(self, connection: Any, error: Exception) -> Any:
        """Call it, in a worker thread if it is not async."""
        call = partial(self.function, connection, error)
        if is_async(self.function):
            return await call()
        return await trio.to_thread.run_sync(call)


class ExceptionHandlers:
    """The handlers of one application.

    Attributes:
        debug: clients may see what went wrong.
    """

    def __init__(self, debug: bool = False) -> None:
        self.debug = debug
        self._functions: dict[Key, Function] = {}

    @property
    def needed(self) -> bool:
        """An error may be something that they have a word in."""
        return self.debug or bool(self._functions)

    def add(self, key: Key, function: Function) -> None:
        """Have this function called for that class of exceptions, or that status of an ``HTTPException``."""
        self._functions[key] = function

    def find(self, error: Exception) -> Handler | None:
        """Find the handler for an exception."""
        functions = self._functions
        if isinstance(error, HTTPException) and error.status_code in functions:
            return Handler(functions[error.status_code])
        for base in type(error).__mro__:
            if base is Exception:
                break
            if base in functions:
                return Handler(functions[base])
        if isinstance(error, EXPECTED):
            return None
        function = functions.get(Exception) or functions.get(500)
        return None if function is None else Handler(function, unexpected=True)


def check_key(key: Any) -> None:
    """See that it is a status or a class of exceptions.

    Raises:
        TypeError: it is neither.
    """
    is_status = isinstance(key, int) and not isinstance(key, bool)
    if not is_status and not (inspect.isclass(key) and issubclass(key, Exception)):
        raise TypeError(
            "an exception handler is for a class of exceptions or for a status: write "
            f"@app.exception_handler(KeyError), or @app.exception_handler(404), above a function; not {key!r}"
        )


def find_handler(scope: Mapping[str, Any], error: Exception) -> Handler | None:
    """Find the handler for an exception of this connection: the nearest application's that has one."""
    for functions in _around(scope):
        handler = functions.find(error)
        if handler is not None:
            return handler
    return None


def debugging(scope: Mapping[str, Any]) -> bool:
    """Say whether the client of this connection may see what went wrong."""
    return any(handlers.debug for handlers in scope.get(HANDLERS) or ())


def _around(scope: Mapping[str, Any]) -> Iterator[ExceptionHandlers]:
    yield from scope.get(HANDLERS) or ()
    # An endpoint that is mounted in Starlette or FastAPI has their handlers, but not those that they came with.
    by_class, by_status = scope.get("starlette.exception_handlers") or ({}, {})
    if len(by_class) + len(by_status) > 2:
        foreign = ExceptionHandlers()
        for key, function in {**by_class, **by_status}.items():
            if not (getattr(function, "__module__", None) or "").startswith(("starlette.", "fastapi.")):
                foreign.add(key, function)
        yield foreign
