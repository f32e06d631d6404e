"""HTTP functions: what they are called with, and responses out of what they return."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from .encoding import encode_json

Function = TypeVar("Function", bound=Callable[..., Any])


def check_http_function(function: Function, for_websockets: str) -> Function:
    """Return it, if it can be called with a request alone.

    Args:
        function: what a decorator stands above.
        for_websockets: the decorator for those who meant a WebSocket.

    Raises:
        TypeError: it is no function, or has other parameters.
    """
    name = getattr(function, "__name__", repr(function))
    if inspect.isclass(function):
        raise TypeError(
            f"{name} is a class: for HTTP, write `app.add_route(Route(path, {name}))`, with Route of Starlette"
        )
    try:
        parameters = inspect.signature(function).parameters
        inspect.signature(function).bind(None)
    except ValueError:  # something built in, which does not say
        return function
    except TypeError:
        raise TypeError(
            f"{name} is called with the request and nothing else, in which path_params and query_params are: write "
            f"`async def {name}(request)`, or {for_websockets} if it is for WebSockets"
        ) from None
    if next(iter(parameters)) == "websocket":
        raise TypeError(
            f"{name} is called with an HTTP request: write {for_websockets} above it if it is for WebSockets"
        )
    return function


def is_async(function: Callable[..., Any]) -> bool:
    """Say whether calling this gives an awaitable. It may be an object with an async ``__call__``, as in Starlette."""
    while isinstance(function, partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def respond_with(function: Callable[..., Any]) -> Callable[[Request], Any]:
    """Make a response out of what an HTTP function returns."""
    if is_async(function):

        async def respond(request: Request) -> Response:
            return to_response(await function(request))

        return respond

    def respond_in_thread(request: Request) -> Response:
        return to_response(function(request))

    return respond_in_thread


def to_response(result: Any) -> Response:
    """Return it as a response: a string is plain text, bytes are a download, the rest is JSON."""
    if isinstance(result, Response):
        return result
    if isinstance(result, str):
        return PlainTextResponse(result)
    if isinstance(result, bytes):
        return Response(result, media_type="application/octet-stream")
    return Response(encode_json(result), media_type="application/json")
