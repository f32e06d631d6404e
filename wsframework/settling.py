"""What becomes of an endpoint's errors: what its application says, or else what is usual.

An error of the program closes the connection with 1011 (before accept: HTTP 500) and is logged once. A client's error
closes it with the code that fits and is no error of ours. ``WebSocketException`` closes with its code, and
``HTTPException`` answers the handshake. A handler of the application's may do otherwise.
"""

from __future__ import annotations

import logging
import traceback
from abc import ABC, abstractmethod
from typing import Any

import trio
from starlette.exceptions import HTTPException, WebSocketException
from starlette.responses import PlainTextResponse, Response

from .access_log import ACCESS_REASON
from .close import MAX_REASON_BYTES, REFUSED, CloseCode, check_close, describe
from .errors import REPORT_ERRORS_TO, ClientError, WebSocketDisconnect
from .groups import alone
from .handlers import EXPECTED, debugging, find_handler
from .websocket import WebSocket

logger: logging.Logger = logging.getLogger("wsframework.endpoint")

# What asyncio says where it does not run: the likeliest mistake of somebody who comes from there. The last one is that
# of what waits for a future, such as a Queue.
_ASYNCIO = ("no running event loop", "There is no current event loop", "no attribute 'create_future'")


class Settling(ABC):
    """The half of a `Session` that settles errors.

    Args:
        websocket: the connection.
        name: what the endpoint is called in log lines.
        timeout: seconds that an answer to an error has, and a handler of the application's.
    """

    __slots__ = ("_failures", "_handled", "_timeout", "_transport", "name", "websocket")

    def __init__(self, websocket: WebSocket, name: str, timeout: float) -> None:
        self.websocket: WebSocket = websocket
        self.name: str = name
        self._timeout = timeout
        self._transport = websocket.transport
        self._failures: list[Exception] | None = None
        self._handled: list[Exception] | None = None  # by a handler of the application's

    @abstractmethod
    def _give_up(self) -> None:
        """Close with 1011, and let no hook go on."""

    async def _settle(self, error: Exception) -> None:
        """Do about an error what the application says, or else what is usual."""
        whole, error = error, alone(error)
        if self._handled is not None and any(error is known for known in self._handled):
            return  # it has passed here before, on its way out of the dependencies
        handler = find_handler(self.websocket.scope, error)
        if handler is None:
            await self._do_the_usual(whole)
            return
        self._handled = [*(self._handled or ()), error]
        if handler.unexpected:
            self._failures = [*(self._failures or ()), error]
        try:
            # Cancelled or not, it gets to run, but not to hang.
            with trio.move_on_after(self._timeout, shield=True) as scope:
                await self._answer_with(await handler.call(self.websocket, error), error)
            if scope.cancelled_caught:
                logger.warning(
                    "%s: the handler for %s was cancelled after %g s, it must be quicker",
                    self._where(),
                    type(error).__name__,
                    self._timeout,
                )
        except WebSocketDisconnect:
            pass
        except Exception as failure:
            await self._do_the_usual(failure)
        if isinstance(error, EXPECTED):
            await self._do_the_usual(error)  # which does nothing when the handler has closed or refused
        else:
            self._give_up()

    async def _answer_with(self, response: Any, error: Exception) -> None:
        """Send the response that a handler has returned, which can be done before accept only."""
        if response is None:
            return
        if self._transport.accepted or self._transport.close_code is not None:
            self._fail(error)  # nobody has told the client what the handler had to say
        elif "websocket.http.response" in (self.websocket.scope.get("extensions") or {}):
            await self.websocket.send_denial_response(response)
        else:
            self._transport.cut_off(CloseCode.POLICY_VIOLATION, REFUSED)

    async def _do_the_usual(self, error: Exception) -> None:
        match error:
            case ClientError() | WebSocketException():
                await self._turn_away(error.code, error.reason)
            case HTTPException():
                await self._answer(error)
            case _:
                if debugging(self.websocket.scope):
                    await self._show(error)
                self._fail(error)

    async def _show(self, error: Exception) -> None:
        """Tell the client what went wrong, as far as it can be told."""
        if self._transport.close_code is not None:
            return
        if self._transport.accepted:
            told = "".join(traceback.format_exception_only(error)).strip().encode()
            self._transport.cut_off(CloseCode.INTERNAL_ERROR, told[:MAX_REASON_BYTES].decode(errors="ignore"))
        else:
            await self._refuse(PlainTextResponse("".join(traceback.format_exception(error)), 500))

    async def _turn_away(self, code: int, reason: str) -> None:
        """Close with what an exception says; before accept, refuse with 403 and the reason as the body."""
        if reason and not self._transport.accepted and self._transport.close_code is None:
            await self._refuse(PlainTextResponse(f"{reason}\n", 403))
        try:
            check_close(code, reason)
        except (TypeError, ValueError) as error:  # Starlette's exceptions take anything
            self._fail(error)
        else:
            self._transport.cut_off(code, reason)

    async def _answer(self, error: HTTPException) -> None:
        """Answer the handshake with what the exception says. Later there is no response that could carry it."""
        if self._handled is not None and self._transport.close_code is not None:
            return
        if self._transport.accepted or self._transport.close_code is not None:
            self._fail(error)
            return
        if error.status_code in (204, 304):
            response = Response(status_code=error.status_code, headers=error.headers)
        else:
            response = PlainTextResponse(error.detail, error.status_code, error.headers)
        self.websocket.scope[ACCESS_REASON] = error.detail
        await self._refuse(response)
        self._transport.cut_off(CloseCode.POLICY_VIOLATION, REFUSED)

    async def _refuse(self, response: Response) -> None:
        """Send a response, if this server can; the caller closes behind it."""
        if "websocket.http.response" not in (self.websocket.scope.get("extensions") or {}):
            return
        try:
            with trio.move_on_after(self._timeout, shield=True):
                await self._transport.start_response(response.status_code, response.raw_headers)
                await self._transport.send_body(bytes(response.body), True)
        except WebSocketDisconnect:
            pass
        except Exception as error:  # a header that must not travel, or another response that has begun
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        if isinstance(error, (RuntimeError, AttributeError)) and any(words in str(error) for words in _ASYNCIO):
            error.add_note(
                "This runs on Trio, and asyncio does not work here: use trio.sleep for asyncio.sleep, and "
                "websocket.start_soon for asyncio.create_task"
            )
        if any(error is known for known in self._failures or ()):
            return  # it has passed here before, on its way out of the dependencies
        self._failures = [*(self._failures or ()), error]
        self._give_up()

    def _report(self) -> None:
        for error in self._failures or ():
            logger.error("%s failed; %s", self._where(), self._how_it_ended(), exc_info=error)
            report = self.websocket.scope.get(REPORT_ERRORS_TO)
            if report is not None:
                report(error)

    def _where(self) -> str:
        client = self.websocket.client
        who = f"{client.host}:{client.port}" if client is not None else "a client"
        return f"{self.name} at {self.websocket.scope.get('path', '')!a} for {who}"

    def _how_it_ended(self) -> str:
        code = self._transport.close_code
        if not self._transport.accepted:
            return "its handshake was refused"
        return "its connection is open" if code is None else f"its connection ended with {describe(code)}"
