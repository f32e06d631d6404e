"""Whatever a client, an endpoint, the hub and the clock do, in whatever order: what must hold for every connection."""

from __future__ import annotations

from collections.abc import Callable

import hypothesis
import hypothesis.strategies as st
import trio
from hypothesis import HealthCheck, given
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.server.builders import arrive, client_close, client_frame, client_text, read_frames
from wsframework import CloseCode, Limits, WebSocketDisconnect
from wsframework.errors import WebSocketStateError
from wsframework.server.frames import Opcode
from wsframework.server.upkeep import Upkeep

LIMITS = Limits(inbox_messages=3, message=100, request_head=200)

# What the client does.
wire_steps: list[st.SearchStrategy[tuple[str, object]]] = [
    st.tuples(
        st.just("sends"),
        st.lists(
            st.sampled_from(
                [
                    client_text("x"),
                    client_text("y" * 90),
                    client_frame(Opcode.TEXT, b"fragment", fin=False),
                    client_frame(Opcode.CONTINUATION, b"end"),
                    client_frame(Opcode.PING, b"?"),
                    client_frame(Opcode.PONG),
                    client_close(4000, "bye"),
                    client_close(),
                    client_frame(Opcode.TEXT, b"\xff"),
                    b"\x81",
                ]
            ),
            min_size=1,
            max_size=6,
        ).map(b"".join),
    ),
    st.tuples(st.just("takes"), st.none() | st.integers(0, 30)),
    st.tuples(st.just("stops reading"), st.none()),
    st.tuples(st.just("breaks"), st.none()),
    st.tuples(st.just("hangs up"), st.none()),
    st.tuples(st.just("leaves"), st.none()),
]
# What our side does.
our_steps: list[st.SearchStrategy[tuple[str, object]]] = [
    st.tuples(st.just("send"), st.booleans()),
    st.tuples(st.just("receive"), st.booleans()),
    st.tuples(st.just("offer"), st.none()),
    st.tuples(st.just("close"), st.none()),
    st.tuples(st.just("cut off"), st.none()),
    st.tuples(st.just("finish"), st.none()),
    st.tuples(st.just("ticks"), st.none()),
    st.tuples(st.just("time passes"), st.sampled_from([1.0, 6.0, 21.0])),
]
steps = st.lists(st.one_of(wire_steps * 2 + our_steps), max_size=25)


class Story:
    """Plays one example, and keeps what there is to be checked."""

    def __init__(self, accepted_after: int) -> None:
        self.accepted_after = accepted_after
        self.offered = 0
        self.told: list[bool] = []

    async def play(self, script: list[tuple[str, object]]) -> None:
        upkeep = Upkeep()
        async with trio.open_nursery() as background:
            background.start_soon(upkeep.run)
            self.client = arrive(upkeep, LIMITS)
            self.client.connection.on_end = self.told.append
            async with trio.open_nursery() as self.nursery:
                for number, (what, how) in enumerate(script):
                    if number == self.accepted_after:
                        await self._accept()
                    await self._step(what, how)
                    self._check()
                self.client.takes()
                await wait_all_tasks_blocked()
                if not self.client.connection.gone:
                    assert not self.client.connection.behind, "the client takes everything, and something stays"
                    self.client.leaves()
                    # Which is not the end at once where a close frame of its own has not been answered.
                    await trio.sleep(LIMITS.close_timeout + 0.1)
                # And now every task that waits for the client ends, or the example does not.
            self._check()
            assert self.client.connection.gone
            background.cancel_scope.cancel()

    async def _accept(self) -> None:
        try:
            await self.client.connection.accept()
        except (WebSocketDisconnect, WebSocketStateError):
            pass

    async def _step(self, what: str, how: object) -> None:
        client, connection = self.client, self.client.connection
        match what:
            case "sends":
                assert isinstance(how, bytes)
                client.sends(how)
            case "takes":
                assert how is None or isinstance(how, int)
                client.takes(how)
            case "stops reading":
                client.stops_reading()
            case "breaks":
                client.wire.broken = True
            case "hangs up":
                if client.wire.held:
                    connection.hung_up()
            case "leaves":
                client.leaves()
            case "send":
                self.nursery.start_soon(self._call, lambda: connection.send("reply"), how)
            case "receive":
                self.nursery.start_soon(self._call, connection.receive, how)
            case "offer":
                if connection.accepted:
                    connection.offer(b"\x82\x04news")
            case "close":
                self.nursery.start_soon(self._call, connection.close, False)
            case "cut off":
                connection.cut_off(CloseCode.TRY_AGAIN_LATER)
            case "finish":
                connection.finish(CloseCode.NORMAL_CLOSURE)
            case "ticks":
                await wait_all_tasks_blocked()
            case "time passes":
                assert isinstance(how, float)
                await trio.sleep(how)

    async def _call(self, method: Callable[[], object], cancelled: object) -> None:
        with trio.CancelScope() as scope:
            if cancelled:
                scope.deadline = trio.current_time() + 0.5
            try:
                await method()  # type: ignore[misc]
            except (WebSocketDisconnect, WebSocketStateError, trio.BusyResourceError):
                pass

    def _check(self) -> None:
        """What holds between any two steps."""
        client, connection = self.client, self.client.connection
        assert len(self.told) <= 1
        assert client.gone == ([connection] if connection.gone else [])
        assert client.wire.closed == int(connection.gone)
        assert client.wire.shut <= 1
        assert not connection.gone or not connection.behind
        assert not connection.gone or connection.close_code is not None
        if connection.behind:
            assert client.wire.wanted, "something waits, and nobody will be told when there is room"
        if client.wire.shut:
            assert not connection.behind, "our direction was ended before our last byte"
            assert connection.close_code is not None


settings = hypothesis.settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@settings
@given(steps, st.sampled_from([0, 0, 0, 2]))
def test_what_holds_for_every_connection(script: list[tuple[str, object]], accepted_after: int) -> None:
    """No call raises what it must not, no task is forgotten, and what was sent is whole frames with one close, last."""
    story = Story(accepted_after)
    trio.run(story.play, script, clock=MockClock(autojump_threshold=0))
    head, _, sent = story.client.wire.sent.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 101"):
        return
    for behind, frame in enumerate(reversed(read_frames(sent))):
        if frame.opcode == Opcode.CLOSE:
            assert behind == 0, "something follows our close frame"
        else:
            assert bytes(frame.data) in (b"reply", b"news", b"?", b"")
