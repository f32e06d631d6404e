"""HTTP responses out of what HTTP functions return."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from .encoding import encode_json


def respond_with(function: Callable[..., Any]) -> Callable[[Request], Any]:
    """Make a response out of what an HTTP function returns."""
    if inspect.iscoroutinefunction(function):

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
