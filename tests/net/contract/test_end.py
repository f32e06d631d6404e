"""The end of a connection, whoever causes it, and what it does to hooks and children."""

import pytest
import trio

from tests.net.contract.diary import Diary, seen, serving
from tests.net.echo import Echo
from tests.net.observing import errors_in
from tests.net.servers import Kind
from wsframework import CloseCode, WebSocket, WebSocketDisconnect, WebSocketEndpoint


async def test_client_closes(kind: Kind, diary: Diary, caplog: pytest.LogCaptureFixture) -> None:
    """on_disconnect runs once, with the client's code and reason, and nothing is logged as an error."""

    class Watched(Echo):
        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            diary.write("gone", close_code, websocket.close_reason)

    async with kind.running(serving(Watched)) as served:
        async with served.connect() as client:
            await client.send("a")
            await client.receive()
            await client.close(4321, "so long")
        assert (await diary.wait_for("gone"))[1:] == seen(kind, 4321, "so long")
    assert len(diary.entries) == 1
    assert not errors_in(caplog)


async def test_endpoint_closes(kind: Kind, diary: Diary) -> None:
    """The client gets the code and the reason that close was called with, and on_disconnect gets the same, once."""

    class Bouncer(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            await websocket.send_text("enough")
            await websocket.close(4000, "we are full")

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            diary.write("gone", close_code, websocket.close_reason)

    async with kind.running(serving(Bouncer)) as served, served.connect() as client:
        await client.send("let me in")
        assert await client.receive() == "enough"
        end = await client.wait_closed()
        assert (end.code, end.reason) == (4000, "we are full")
        await diary.wait_for("gone")
    assert diary.entries == [("gone", 4000, "we are full")]


async def test_client_vanishes(kind: Kind, diary: Diary, caplog: pytest.LogCaptureFixture) -> None:
    """A connection that breaks ends with 1006, once, and is no error of ours."""

    class Watched(Echo):
        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            diary.write("gone", close_code)

    async with kind.running(serving(Watched)) as served, served.connect() as client:
        await client.send("a")
        await client.receive()
        client.vanish()
        await diary.wait_for("gone")
    assert diary.entries == [("gone", CloseCode.ABNORMAL_CLOSURE)]
    assert not errors_in(caplog)


async def test_what_was_sent_before_the_goodbye_arrives(kind: Kind, diary: Diary) -> None:
    """A client that sends and leaves at once is still heard, in order, before on_disconnect."""

    class Slow(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            await trio.lowlevel.checkpoint()
            diary.write("message", data)

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            diary.write("gone", close_code)

    async with kind.running(serving(Slow)) as served:
        async with served.connect() as client:
            for number in range(20):
                await client.send(str(number))
            await client.close()
        await diary.wait_for("gone")
    assert diary.entries[:-1] == [("message", str(number)) for number in range(20)]


async def test_children_end_with_the_client(kind: Kind, diary: Diary) -> None:
    """A task of the connection is cancelled when the client leaves, before on_disconnect."""

    class Parent(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            self.start_soon(self.tick, websocket)

        async def tick(self, websocket: WebSocket) -> None:
            try:
                await websocket.send_text("tick")
                await trio.sleep_forever()
            finally:
                diary.write("child ended")

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            diary.write("gone")

    async with kind.running(serving(Parent)) as served:
        async with served.connect() as client:
            assert await client.receive() == "tick"
        await diary.wait_for("gone")
    assert diary.entries == [("child ended",), ("gone",)]


async def test_child_that_only_sends_ends(kind: Kind, diary: Diary) -> None:
    """Where nobody receives and a child only sends, a client that breaks off still ends everything."""

    class Ticker(WebSocketEndpoint):
        disconnect_grace = 0.05

        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            self.start_soon(self.tick, websocket)
            await trio.sleep_forever()

        async def tick(self, websocket: WebSocket) -> None:
            while True:
                await websocket.send_text("tick")
                await trio.sleep(0.001)

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            diary.write("gone", close_code)

    async with kind.running(serving(Ticker)) as served:
        async with served.connect() as client:
            assert await client.receive() == "tick"
            client.vanish()
            await diary.wait_for("gone")
    assert diary.entries == [("gone", CloseCode.ABNORMAL_CLOSURE)]


async def test_busy_hook_gets_a_grace(kind: Kind, diary: Diary) -> None:
    """A hook that is running when the client leaves may finish within the grace; one that takes longer is cancelled."""

    class Busy(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            diary.write("begun")
            try:
                await trio.sleep(3600 if data == "for ever" else 0.01)
                diary.write("finished")
            except trio.Cancelled:
                diary.write("cancelled")
                raise

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            diary.write("gone")

    for work, grace, outcome in (("for a while", 60, "finished"), ("for ever", 0.05, "cancelled")):
        diary.entries.clear()
        Busy.disconnect_grace = grace
        async with kind.running(serving(Busy)) as served:
            async with served.connect() as client:
                await client.send(work)
                await diary.wait_for("begun")
                client.vanish()
                await diary.wait_for("gone")
        assert diary.entries == [("begun",), (outcome,), ("gone",)]


async def test_send_after_the_client_left(kind: Kind, diary: Diary) -> None:
    """A hook that goes on sending to a client that has left gets WebSocketDisconnect with its code."""

    class Stubborn(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            try:
                while True:
                    await websocket.send_text(data)
            except WebSocketDisconnect as end:
                diary.write("told", end.code)
                raise

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            diary.write("gone", close_code)

    async with kind.running(serving(Stubborn)) as served:
        async with served.connect() as client:
            await client.send("a")
            await client.receive()
            client.vanish()
            await diary.wait_for("gone")
    assert diary.entries == [("told", CloseCode.ABNORMAL_CLOSURE), ("gone", CloseCode.ABNORMAL_CLOSURE)]
