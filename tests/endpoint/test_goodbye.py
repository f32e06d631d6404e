"""on_disconnect: once, last, with the real code and reason, whatever happened, and never for ever."""

import logging
import math
from typing import ClassVar

import pytest
import trio
from trio.testing import MockClock

from wsframework import App, CloseCode, Hub, InvalidData, WebSocket, WebSocketEndpoint
from wsframework.testing import HandshakeRefused, connect


class Noting(WebSocketEndpoint):
    """Notes how it ends, for each class by itself."""

    notes: ClassVar[list[tuple[int, str]]]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.notes = []

    async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
        assert websocket.close_code == close_code
        self.notes.append((close_code, websocket.close_reason))


@pytest.mark.parametrize(
    ("code", "reason"), [(1000, ""), (1001, "page left"), (1011, ""), (3000, "zürück"), (4999, "x" * 123)]
)
async def test_the_clients_own_words(code: int, reason: str, autojump_clock: MockClock) -> None:
    """on_disconnect gets the code of the client's close frame, and close_reason its reason."""

    class Endpoint(Noting):
        pass

    async with connect(Endpoint) as client:
        await client.close(code, reason)
    assert Endpoint.notes == [(code, reason)]


async def test_a_client_that_vanishes(autojump_clock: MockClock) -> None:
    """Without a close frame the code is 1006, and the reason says what was seen."""

    class Endpoint(Noting):
        pass

    async with connect(Endpoint) as client:
        client.vanish()
    assert Endpoint.notes == [(1006, "the client left without a close frame")]


async def test_a_cancelled_server(autojump_clock: MockClock) -> None:
    """When the server is cancelled the client is told 1001, and on_disconnect still runs, with that, and may await."""
    codes: list[int] = []

    class Endpoint(WebSocketEndpoint):
        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            await trio.sleep(0.5)
            codes.append(close_code)

    async def application(scope, receive, send):  # type: ignore[no-untyped-def]
        if scope["type"] == "websocket":
            with server:
                await Endpoint(scope, receive, send)

    server = trio.CancelScope()
    async with connect(application) as client:
        server.cancel()
        assert (await client.wait_closed()).code == CloseCode.GOING_AWAY
    assert codes == [CloseCode.GOING_AWAY]


async def test_cancelled_while_a_hook_is_busy(autojump_clock: MockClock) -> None:
    """Cancellation reaches hooks and children; what they have to clean up comes before on_disconnect."""
    events: list[object] = []

    class Endpoint(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            self.start_soon(self.sleep, "child")
            await self.sleep("hook")

        async def sleep(self, name: str) -> None:
            try:
                await trio.sleep_forever()
            finally:
                events.append(name)

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            events.append(close_code)

    async def application(scope, receive, send):  # type: ignore[no-untyped-def]
        if scope["type"] == "websocket":
            with trio.move_on_after(0.5):
                await Endpoint(scope, receive, send)

    async with connect(application) as client:
        assert (await client.wait_closed()).code == CloseCode.GOING_AWAY
    assert set(events[:2]) == {"child", "hook"}
    assert events[2:] == [CloseCode.GOING_AWAY]


async def test_after_a_hook_raised(autojump_clock: MockClock) -> None:
    """A hook that raised is followed by on_disconnect with 1011, the code that the client got."""

    class Endpoint(Noting):
        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            raise KeyError(data)

    async with connect(Endpoint, raise_app_errors=False) as client:
        await client.send("which")
        assert (await client.wait_closed()).code == CloseCode.INTERNAL_ERROR
    assert Endpoint.notes == [(1011, "")]


async def test_after_on_connect_raised_before_accept(autojump_clock: MockClock) -> None:
    """Before accept the client gets HTTP 500, without a word about why; on_disconnect runs with 1011."""

    class Endpoint(Noting):
        async def on_connect(self, websocket: WebSocket) -> None:
            raise KeyError("secret")

    with pytest.raises(HandshakeRefused) as refused:
        async with connect(Endpoint, raise_app_errors=False):
            pass
    assert refused.value.status == 500
    assert b"secret" not in refused.value.body
    assert Endpoint.notes == [(1011, "")]


async def test_after_on_connect_raised_behind_accept(autojump_clock: MockClock) -> None:
    """Behind accept it is a close frame with 1011."""

    class Endpoint(Noting):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            raise KeyError("secret")

    async with connect(Endpoint, raise_app_errors=False) as client:
        end = await client.wait_closed()
        assert (end.code, end.reason) == (1011, "")
    assert Endpoint.notes == [(1011, "")]


async def test_no_answer_to_the_handshake(autojump_clock: MockClock) -> None:
    """An on_connect that neither accepts nor refuses is a mistake: 500, and an error that says what to call."""

    class Endpoint(Noting):
        async def on_connect(self, websocket: WebSocket) -> None:
            """Forgot it."""

    with pytest.raises(
        RuntimeError, match=r"Endpoint returned without an answer.*`await websocket\.accept\(\)`"
    ) as told:
        async with connect(Endpoint):
            pass
    assert isinstance(told.value.__cause__, HandshakeRefused)
    assert told.value.__cause__.status == 500
    assert Endpoint.notes == [(1011, "")]


async def test_a_hook_that_raises_when_its_client_has_left(autojump_clock: MockClock) -> None:
    """The code stays the client's; the error is still told."""

    class Endpoint(Noting):
        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            await trio.sleep(0.5)
            raise KeyError(data)

    with pytest.raises(KeyError, match="too late"):
        async with connect(Endpoint) as client:
            await client.send("too late")
            await trio.testing.wait_all_tasks_blocked()
            await client.close(4000, "off")
    assert Endpoint.notes == [(4000, "off")]


async def test_on_disconnect_raises(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """An error of on_disconnect is logged like any other and changes nothing for the client."""
    calls = 0

    class Endpoint(WebSocketEndpoint):
        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            nonlocal calls
            calls += 1
            raise KeyError("lost")

    with pytest.raises(KeyError, match="lost"):
        async with connect(Endpoint) as client:
            await client.close(4000)
    assert calls == 1
    [record] = caplog.records
    assert "Endpoint at '/'" in record.message


async def test_both_a_hook_and_on_disconnect_raise(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """Each error is logged, once."""

    class Endpoint(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            raise KeyError("first")

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            raise KeyError("second")

    with pytest.raises(ExceptionGroup) as group:
        async with connect(Endpoint) as client:
            await client.send("")
            await client.wait_closed()
    assert [str(error) for error in group.value.exceptions] == ["'first'", "'second'"]
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["'first'", "'second'"]


async def test_on_disconnect_hangs(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """on_disconnect is cancelled after disconnect_timeout, with a warning that names the endpoint."""
    began: list[float] = []
    cancelled: list[float] = []

    class Endpoint(WebSocketEndpoint):
        disconnect_timeout = 3.0

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            began.append(trio.current_time())
            try:
                await trio.sleep_forever()
            finally:
                cancelled.append(trio.current_time())

    async with connect(Endpoint):
        pass
    assert cancelled == [began[0] + 3]
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert "Endpoint at '/'" in record.message
    assert "cancelled after 3 s" in record.message


async def test_on_disconnect_may_take_its_time(autojump_clock: MockClock) -> None:
    """The default leaves it five seconds, cancelled or not; ``inf`` leaves it as long as it likes."""
    ended = 0

    class Endpoint(WebSocketEndpoint):
        seconds = 4.9

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            nonlocal ended
            await trio.sleep(self.seconds)
            ended += 1

    class Patient(Endpoint):
        disconnect_timeout = math.inf
        seconds = 100.0

    for endpoint in (Endpoint, Patient):
        async with connect(endpoint):
            pass
    assert ended == 2


async def test_sending_is_over(autojump_clock: MockClock) -> None:
    """A send in on_disconnect raises WebSocketDisconnect, which is no error there either."""
    tried = 0

    class Endpoint(WebSocketEndpoint):
        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            nonlocal tried
            tried += 1
            await websocket.send_text("farewell")
            raise AssertionError("not reached")

    async with connect(Endpoint):
        pass
    assert tried == 1


async def test_no_child_starts_any_more(autojump_clock: MockClock) -> None:
    """on_disconnect cannot start tasks: nobody would wait for them."""

    class Endpoint(WebSocketEndpoint):
        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            self.start_soon(trio.sleep_forever)

    with pytest.raises(trio.ClosedResourceError, match="this connection is over"):
        async with connect(Endpoint):
            pass


@pytest.mark.parametrize("way", ["client", "endpoint", "error", "encoding"])
async def test_subscriptions_end_first(way: str, autojump_clock: MockClock) -> None:
    """When on_disconnect runs its client has no subscription left, so a broadcast there reaches the others only."""
    hub = Hub()
    seen: list[tuple[int, int]] = []

    class Room(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            await self.hub.subscribe(websocket, "room")

        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            match data:
                case "endpoint":
                    await websocket.close(4000)
                case "error":
                    raise KeyError
                case "encoding":
                    raise InvalidData(1003, "no")

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            receipt = await self.hub.broadcast("room", f"left with {close_code}")
            seen.append((hub.statistics().subscribers, receipt.delivered))

    app = App(hub=hub)
    app.websocket("/")(Room)
    async with connect(app) as stays, connect(app, raise_app_errors=False) as goes:
        if way == "client":
            await goes.close(4000)
        else:
            await goes.send(way)
            await goes.wait_closed()
        code = {"client": 4000, "endpoint": 4000, "error": 1011, "encoding": 1003}[way]
        assert await stays.receive() == f"left with {code}"
    assert seen == [(1, 1), (0, 0)]


@pytest.mark.parametrize("name", ["disconnect_grace", "disconnect_timeout"])
@pytest.mark.parametrize("wrong", [None, -1, "1", math.nan])
def test_wrong_seconds(name: str, wrong: object) -> None:
    """Seconds that cannot be are found where the class is written, not when the first client leaves."""
    with pytest.raises(ValueError, match=rf"Wrong\.{name} is a number of seconds, perhaps math\.inf, not"):
        type("Wrong", (WebSocketEndpoint,), {name: wrong})
