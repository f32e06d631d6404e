"""HTTP/2 of hypercorn, in which a stream that asks for a WebSocket is a wire of ours.

hypercorn speaks HTTP/2: frames, header compression, flow control, priorities, and requests of HTTP in it. Its own
WebSockets, which have not our limits and deadlines, are never used.

This module knows hypercorn's inner classes: `H2Protocol` and what it is made of.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import trio
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.events import Body, StreamClosed
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.http_stream import ASGIHTTPState
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.typing import ConnectionState
from priority.priority import DeadlockError, TooManyStreamsError
from trio.lowlevel import ParkingLot, checkpoint

from ....errors import RequestError
from ....limits import Limits
from ...access import ServerAnswer, log_refused_stream
from ...head.handshake import Handshake
from ...head.request import Headers, asks_for_no_path, check_number, check_path
from ...scope import Peers
from ..floods import BodyGauge, FloodGauge
from .body import RequestBody
from .carrier import Signal, WebSocketCarrier
from .connect import read_connect
from .gate import FrameGate, RefusedFrameError
from .stream import WebSocketStream
from .tasks import Tasks

# The window of the whole connection is this many times that of a stream: for all streams that hypercorn allows.
_WINDOW = 65_535

# How long the ends of streams that are over may take to leave, when nothing else keeps the connection.
_LAST_WORDS = 1.0


class HTTP2Protocol(H2Protocol):
    """hypercorn's HTTP/2, with our WebSockets, and without what one stream could do to the others.

    Args:
        server: hypercorn's side of the socket.
        tasks: where it starts things.
        peers: who it is.
        limits: those of a request's fields, and of the time that its body may take.
        serve_websocket: serves a WebSocket until its stream is closed.
        on_last: called when the connection was stopped, and has no WebSocket any more.
    """

    def __init__(
        self,
        server: TCPServer,
        tasks: Tasks,
        peers: Peers,
        limits: Limits,
        serve_websocket: Callable[[WebSocketStream, Handshake], Awaitable[None]],
        on_last: Callable[[], None],
    ) -> None:
        super().__init__(
            server.app,
            server.config,
            server.context,
            tasks,
            ConnectionState(dict(server.state)),
            peers.secure,
            peers.client,
            peers.server,
            server.protocol_send,
        )
        self._tasks = tasks
        self._limits = limits
        self._serve_websocket = serve_websocket
        self._on_last = on_last
        self._signal = Signal()
        self.has_data: Signal = self._signal
        self._websockets = WebSocketCarrier(self, self._signal)
        self._unread: dict[int, int] = {}  # bytes of bodies that applications have not taken yet
        self._stopping = False
        self._turned_away = False
        self._all_sent = ParkingLot()
        self._gauge = FloodGauge()
        self._pieces = BodyGauge()
        self._gate = FrameGate(self.connection.max_inbound_frame_size, self.config.h2_max_header_list_size)

    async def initiate(self, headers: Any = None, settings: bytes | None = None) -> None:
        self.connection.initiate_connection()
        self.connection.increment_flow_control_window(_WINDOW * self.config.h2_max_concurrent_streams)
        await self._flush()
        self.task_group.spawn(self.send_task)

    async def receive(self, data: bytes) -> None:
        """Take in what was read before hypercorn came to it."""
        await self.handle(RawData(data))

    # Reading

    async def handle(self, event: Event) -> None:
        if isinstance(event, RawData) and event.data:
            await self._receive(event.data)
        else:
            await super().handle(event)
        if self.closed:
            # Or an application that sends behind the end would wait for ever until that has left.
            for buffer in list(self.stream_buffers.values()):
                await buffer.close()

    async def _receive(self, data: bytes) -> None:
        try:
            for portion in self._gate.portions(data):
                await super().handle(RawData(portion))
                if self.closed:
                    return
                if len(portion) < len(data):
                    await checkpoint()  # others have their turn
        except RefusedFrameError as error:
            await self._turn_off(error.code)

    async def _turn_off(self, code: h2.errors.ErrorCodes) -> None:
        """End the connection, and say why."""
        with suppress(h2.exceptions.ProtocolError):
            self.connection.close_connection(code)
        await self._flush()
        await self.send(Closed())

    async def _handle_events(self, events: list[h2.events.Event]) -> None:
        for event in events:
            if self.closed:  # by an event before; a stream that was opened now would never end
                return
            if self._gauge.overflows(event) or not await self._handle_event(event):
                await self._turn_off(h2.errors.ErrorCodes.ENHANCE_YOUR_CALM)
                return
        await self._flush()

    async def _handle_event(self, event: h2.events.Event) -> bool:
        """Do what it says; False if this was too much."""
        try:
            match event:
                case h2.events.RequestReceived():
                    await self._create_stream(event)
                    await self._flush()  # an idle connection may be closed at once
                    await self.send(Updated(idle=self.idle))
                case h2.events.DataReceived():
                    return await self._take_data(event)
                case _:
                    await super()._handle_events([event])
        except TooManyStreamsError:  # 1,000 that PRIORITY frames speak of, and that are never opened
            return False
        return True

    async def _take_data(self, event: h2.events.DataReceived) -> bool:
        stream = self.streams.get(event.stream_id)
        free = event.flow_controlled_length
        if isinstance(stream, WebSocketStream):
            free = stream.take(event.data, free)
        elif self._pieces.overflows(len(event.data)):
            return False
        elif stream is not None:
            self._unread[event.stream_id] = self._unread.get(event.stream_id, 0) + len(event.data)
            await stream.handle(Body(stream_id=event.stream_id, data=event.data))
            free -= len(event.data)
        # Else it was answered before all of it had come, and hypercorn has forgotten it.
        self._websockets.acknowledge(event.stream_id, free)
        return True

    def _taken(self, stream_id: int, size: int) -> None:
        if stream_id in self._unread:  # or the stream is over, and all was given back
            self._unread[stream_id] -= size
            self._websockets.acknowledge(stream_id, size)

    async def _close_stream(self, stream_id: int) -> None:
        self._websockets.acknowledge(stream_id, self._unread.pop(stream_id, 0))
        await super()._close_stream(stream_id)

    async def _create_stream(self, request: h2.events.RequestReceived) -> None:
        fields: Headers = [(bytes(name), bytes(value)) for name, value in request.headers]
        pseudo = {name: value for name, value in fields if name.startswith(b":")}
        try:
            check_number(len(fields) - len(pseudo), self._limits)
            if pseudo.get(b":method") == b"CONNECT":
                handshake = read_connect(fields)
                stream = self._websockets.open(request.stream_id)
                self._tasks.spawn_in_apps(self._run_websocket, stream, handshake)
            elif self.context.terminated.is_set() and self.keep_alive_requests:
                self._turn_away(request.stream_id)
            else:
                _check_target(pseudo.get(b":method", b""), pseudo.get(b":path", b""))
                number = request.stream_id
                answer = ServerAnswer()
                taken, late = partial(self._taken, number), partial(self._give_up, number, answer)
                self._tasks.next_body = RequestBody(taken, late, self._limits.body_timeout)
                self._tasks.next_answer = answer
                await super()._create_stream(request)
        except RequestError as error:
            log_refused_stream(self.client, error, fields)
            self._refuse(request.stream_id, error)

    def _refuse(self, stream_id: int, error: RequestError) -> None:
        body = error.detail.encode() + b"\n"
        length = (b"content-length", b"%d" % len(body))
        headers = [(b"content-type", b"text/plain; charset=utf-8"), length, *error.headers]  # h2 drops an Upgrade
        with suppress(h2.exceptions.ProtocolError):
            self._websockets.send_head(stream_id, error.status, headers)
            self.connection.send_data(stream_id, body, end_stream=True)

    async def _give_up(self, stream_id: int, answer: ServerAnswer) -> None:
        """A body has stopped coming: say so unless an answer has begun, and end the stream, which tells who waits."""
        stream = self.streams.get(stream_id)
        if stream is None:
            return
        code = h2.errors.ErrorCodes.CANCEL
        if stream.state is ASGIHTTPState.REQUEST:
            answer.error = RequestError(408, "The body of the request did not arrive in time.")
            self._refuse(stream_id, answer.error)
            code = h2.errors.ErrorCodes.NO_ERROR  # what was answered holds (RFC 9113 section 8.1)
        with suppress(h2.exceptions.ProtocolError):
            self.connection.reset_stream(stream_id, code)
        await self._flush()
        await self._close_stream(stream_id)
        await self._window_updated(stream_id)  # who sends finds it closed, and forgets it
        await self.send(Updated(idle=self.idle))

    def _turn_away(self, stream_id: int) -> None:
        """Say that a request was not looked at, so that the client may make it elsewhere (RFC 9113 section 8.7).

        While the server drains, the first request of a connection is answered, as it is with HTTP/1.1. A GOAWAY would
        say best that there will be no second, but clients made of h2 then forget those that are being answered.
        """
        with suppress(h2.exceptions.ProtocolError):
            self.connection.reset_stream(stream_id, h2.errors.ErrorCodes.REFUSED_STREAM)
            if not self._turned_away:
                self._turned_away = True
                self.connection.update_settings({h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 0})

    async def _run_websocket(self, stream: WebSocketStream, handshake: Handshake) -> None:
        try:
            await self._serve_websocket(stream, handshake)
        finally:
            stream.close()
            if not self.closed:
                with trio.CancelScope(shield=True):
                    await self.stream_send(StreamClosed(stream_id=stream.stream_id))

    # Writing

    async def stream_send(self, event: StreamEvent) -> None:
        if isinstance(event, StreamClosed):
            # hypercorn's says goodbye here, when the end of the stream may not have left, and then it never does.
            await self._close_stream(event.stream_id)
            # Starlette cancels who sends a stream once it is told that nobody listens, which has just happened. Then
            # the idle timer would never start, and the connection stay for as long as its client likes.
            with trio.CancelScope(shield=True):
                await self.send(Updated(idle=self.idle))
        else:
            await super().stream_send(event)

    async def send_task(self) -> None:
        # hypercorn's, and it also sends what the calls above have left with h2.
        while not self.closed:
            await self._flush()
            try:
                stream_id = next(self.priority)
            except DeadlockError:
                if self._stopping and self._websockets.idle:
                    self._on_last()
                self._all_sent.unpark_all()
                await self.has_data.wait()
                await self.has_data.clear()
            else:
                if stream_id in self.stream_buffers:
                    # A client may reset a stream while its data leaves. It is forgotten then, and hypercorn, which
                    # still looks at it behind that, does not find it.
                    with suppress(KeyError):
                        await self._send_data(stream_id)
                    self._gauge.sent()
                else:
                    self.priority.remove_stream(stream_id)

    # The end

    def stop(self) -> None:
        """The applications have been cancelled: end with the last WebSocket."""
        self._stopping = True
        self._signal.set_nowait()

    async def say_goodbye(self) -> None:
        """Tell the client which was the last request that we have seen, so that it may make others elsewhere."""
        with trio.move_on_after(_LAST_WORDS):
            while self.stream_buffers and not self.closed:
                await self._all_sent.park()
        with suppress(h2.exceptions.ProtocolError):
            self.connection.close_connection()
        await self._flush()

    def end_websockets(self) -> None:
        """The client is gone."""
        self._websockets.end()


def _check_target(method: bytes, path: bytes) -> None:
    """Refuse what hypercorn and applications do not expect.

    Raises:
        RequestError: one of them is not ASCII, or the path does not begin with a slash.
    """
    if not (method.isascii() and path.isascii()):
        raise RequestError(400, "The request cannot be read.")
    if not asks_for_no_path(method.decode(), path):
        check_path(path)
