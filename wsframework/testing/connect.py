"""`connect`: an application and its client in one Trio run, without a port and without a thread."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

import trio
import trio_websocket

from ..limits import Limits
from .client import Client, HandshakeRefused, NothingReceived
from .host import PATIENCE, hosted
from .streams import WINDOW, memory_connection

_HOST = "testserver"


@asynccontextmanager
async def connect(
    app: Any,
    path: str = "/",
    *,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    subprotocols: Iterable[str] = (),
    limits: Limits | None = None,
    deadline: float = 1.0,
    window: int = WINDOW,
    raise_app_errors: bool = True,
) -> AsyncIterator[Client]:
    """Connect a client to an application, in memory: ``async with connect(app, "/chat/1") as client``.

    Real frames pass through the real connection code, and all timeouts follow Trio's clock, so a test can use
    ``autojump_clock``. The first client of an application starts its lifespan, the last one ends it.

    Args:
        app: an `App`, an endpoint class, or any ASGI application for Trio.
        path: with a query string if needed.
        headers: more header fields for the handshake.
        subprotocols: those that the client offers.
        limits: the server's; those of the application's first client count.
        deadline: seconds that each receive may take.
        window: bytes that may be on their way in each direction.
        raise_app_errors: raise what the endpoint raised when the block ends. An error in the block then is its cause.

    Raises:
        HandshakeRefused: the application did not accept.
    """
    failure: BaseException | None = None
    leaving = False
    async with hosted(app, limits) as host:
        client_end, server_end = memory_connection(window)
        service = host.serve(server_end)
        try:
            async with trio.open_nursery() as nursery:
                try:
                    connection = await _open(nursery, client_end, path, headers, subprotocols, deadline)
                    client = Client(connection, client_end, path, deadline)
                    yield client
                    leaving = True
                    await _leave(client, connection)
                except (trio.Cancelled, GeneratorExit):
                    raise
                except BaseException as error:  # also pytest's, which are no Exceptions; raised below, in no group
                    failure = error
                nursery.cancel_scope.cancel()
        except* trio_websocket.ConnectionRejected as group:
            failure = _refused(group)
        except* Exception:
            if not leaving:
                raise
            # trio-websocket fails when a ping crosses its close frame, and that is not the test's business.
        finally:
            client_end.vanish()
            # The endpoint's grace and its goodbye are bounded; wait for them, so that their errors are this test's.
            if not await service.end() and failure is None:  # noqa: ASYNC102 - shielded and bounded inside
                failure = NothingReceived(f"{path}: waited {PATIENCE:g} s for the endpoint to end; its client had left")
    if host.error is not None:
        raise host.error from failure
    errors = service.errors
    if errors and raise_app_errors:
        raise (errors[0] if len(errors) == 1 else BaseExceptionGroup("the application failed", errors)) from failure
    if failure is not None:
        raise failure


async def _open(
    nursery: trio.Nursery,
    stream: trio.abc.Stream,
    path: str,
    headers: Mapping[str, str] | Iterable[tuple[str, str]],
    subprotocols: Iterable[str],
    deadline: float,
) -> trio_websocket.WebSocketConnection:
    fields = headers.items() if isinstance(headers, Mapping) else headers
    try:
        with trio.fail_after(deadline):
            return await trio_websocket.wrap_client_stream(
                nursery,
                cast(trio.SocketStream, stream),  # trio-websocket asks for a socket and needs no more than a stream
                _HOST,
                path,
                subprotocols=list(subprotocols),
                extra_headers=[(name.encode(), value.encode()) for name, value in fields],
                message_queue_size=1_000_000,  # this client reads on; `Client.stall` is for one that does not
                max_message_size=1 << 30,
            )
    except trio.TooSlowError:
        raise NothingReceived(f"{path}: waited {deadline:g} s for an answer to the handshake") from None


def _refused(group: BaseExceptionGroup[trio_websocket.ConnectionRejected]) -> HandshakeRefused:
    refusal = group.exceptions[0]
    assert isinstance(refusal, trio_websocket.ConnectionRejected)
    return HandshakeRefused(refusal.status_code, list(refusal.headers or ()), refusal.body or b"")


async def _leave(client: Client, connection: trio_websocket.WebSocketConnection) -> None:
    client.resume()
    if connection.closed is None:
        with trio.move_on_after(client.deadline):
            await connection.aclose()
