"""How fast a client may send: bursts are fine, then it is read more slowly, then it is closed."""

from __future__ import annotations

from math import inf

import pytest
import trio
from trio.testing import MockClock

from tests.server.builders import Client, client_close, client_frame, client_text, connected, end_of, server_close
from wsframework import CloseCode, Limits
from wsframework.server.frames import Opcode
from wsframework.server.throttle import Debt, Throttle, longest_message
from wsframework.server.upkeep import Upkeep

# The account


def account(messages: float = inf, size: float = inf, patience: float = 10.0) -> Throttle:
    return Throttle(messages, size, patience, now=0.0)


@pytest.mark.parametrize(
    ("limits", "exists"),
    [
        (Limits(), False),
        (Limits(messages_per_second=1), True),
        (Limits(bytes_per_second=1), True),
        (Limits(throttle_timeout=1), False),
    ],
)
def test_only_where_a_rate_was_chosen(limits: Limits, exists: bool) -> None:
    """Without a rate there is no account."""
    assert (Throttle.of(limits, 0.0) is not None) is exists


def test_a_burst_of_a_second() -> None:
    """As much as a second allows may come at once; one message more is debt, for as long as it is worth."""
    throttle = account(messages=10)
    assert not throttle.spend(10, 1000, 0.0)
    assert throttle.spend(1, 100, 0.0)
    assert throttle.next_look == pytest.approx(0.1)
    assert throttle.look(0.05) is Debt.OPEN
    assert throttle.look(throttle.next_look) is Debt.PAID
    assert throttle.next_look == inf


def test_bytes_count_by_themselves() -> None:
    """Few messages that are large are debt too, and so are many that are small."""
    throttle = account(messages=10, size=1000)
    assert throttle.spend(1, 1500, 0.0)
    assert throttle.next_look == pytest.approx(0.5)
    assert throttle.look(0.5) is Debt.PAID
    assert throttle.spend(20, 0, 10.0)
    assert throttle.look(11.0) is Debt.PAID


def test_a_bucket_holds_no_more_than_a_second() -> None:
    """Who was silent for an hour may not send an hour's worth."""
    throttle = account(messages=10)
    assert throttle.spend(11, 0, 3600.0)


def test_at_the_rate_for_ever() -> None:
    """A client that keeps to its rate is never in debt."""
    throttle = account(messages=10)
    assert not any(throttle.spend(1, 0, tick / 10) for tick in range(10_000))


def test_above_the_rate_for_too_long() -> None:
    """A client whose next message is always waiting is closed when its patience is used up."""
    throttle = account(messages=10, patience=3.0)
    now = 0.0
    throttle.spend(10, 0, now)
    while throttle.spend(5, 0, now):
        now = throttle.next_look
        verdict = throttle.look(now)
        if verdict is Debt.TOO_LONG:
            break
        assert verdict is Debt.PAID
    assert now == 3.0


def test_one_debt_that_takes_too_long() -> None:
    """A debt that cannot be paid within the patience is not waited for any longer than that."""
    throttle = account(messages=1, patience=5.0)
    assert throttle.spend(1000, 0, 0.0)
    assert throttle.next_look == 5.0
    assert throttle.look(4.9) is Debt.OPEN
    assert throttle.look(5.0) is Debt.TOO_LONG


def test_a_breather_makes_good() -> None:
    """A client that rests until half a second's worth is there begins anew: bursts now and then are its right."""
    throttle = account(messages=10, patience=3.0)
    now = 0.0
    for _ in range(20):
        assert throttle.spend(15, 0, now)
        now = throttle.next_look
        assert throttle.look(now) is Debt.PAID
        now += 1.0


# The connection


async def limited(upkeep: Upkeep, **limits: float) -> Client:
    return await connected(upkeep, Limits(ping_interval=None, **limits))  # type: ignore[arg-type]  # floats they are


async def test_a_client_in_debt_is_not_read(upkeep: Upkeep, autojump_clock: MockClock) -> None:
    """Its messages so far are delivered; then it is read again when the debt is paid, not when they are handled."""
    client = await limited(upkeep, messages_per_second=10)
    client.sends(*[client_text("x")] * 10)
    assert not client.wire.held
    client.sends(*[client_text("x")] * 5)
    assert client.wire.held
    for _ in range(15):
        await client.connection.receive()
    assert client.wire.held
    await trio.sleep(0.49)
    assert client.wire.held
    await trio.sleep(0.02)
    assert not client.wire.held
    assert client.connection.close_code is None


async def test_a_full_inbox_outlasts_the_debt(upkeep: Upkeep, autojump_clock: MockClock) -> None:
    """When the debt is paid and the endpoint has not caught up, the client is still not read."""
    client = await limited(upkeep, messages_per_second=10, inbox_messages=4)
    client.sends(*[client_text("x")] * 12)
    await trio.sleep(1)
    assert client.wire.held
    for _ in range(12):
        await client.connection.receive()
    assert not client.wire.held


async def test_control_frames_count(upkeep: Upkeep, autojump_clock: MockClock) -> None:
    """A flood of pings is a flood."""
    client = await limited(upkeep, messages_per_second=10)
    client.sends(*[client_frame(Opcode.PING)] * 11)
    assert client.wire.held


async def test_fragments_count_by_their_bytes(upkeep: Upkeep, autojump_clock: MockClock) -> None:
    """A message that never ends is no way around it."""
    client = await limited(upkeep, bytes_per_second=1000)
    client.sends(client_frame(Opcode.BINARY, bytes(1100), fin=False))
    assert client.wire.held


@pytest.mark.parametrize(("part", "arrives"), [(0.95, True), (1.1, False)])
async def test_the_longest_message_that_arrives(
    part: float, arrives: bool, upkeep: Upkeep, autojump_clock: MockClock
) -> None:
    """A message that takes longer than the patience, as fast as it is read, ends in the middle of it."""
    limits = Limits(bytes_per_second=1000, throttle_timeout=3)
    client = await limited(upkeep, bytes_per_second=1000, throttle_timeout=3)
    data = client_text("x" * int(part * longest_message(limits)))
    at = 0
    while client.connection.close_code is None and at < len(data):
        if not client.wire.held:
            client.sends(data[at : at + 10])
            at += 10
        await trio.sleep(0.001)
    await trio.sleep(5)
    assert client.connection.close_code == (None if arrives else CloseCode.POLICY_VIOLATION)
    if arrives:
        assert await client.connection.receive() == "x" * int(part * longest_message(limits))


def test_without_a_rate_any_message_arrives() -> None:
    """There is nothing that it could exceed."""
    assert longest_message(Limits()) == longest_message(Limits(messages_per_second=1)) == inf


async def test_a_client_that_never_rests_is_closed(upkeep: Upkeep, autojump_clock: MockClock) -> None:
    """After the time that it had to slow down it is closed with 1008 and told why."""
    client = await limited(upkeep, messages_per_second=10, throttle_timeout=3)
    began = trio.current_time()
    while client.connection.close_code is None:
        if not client.wire.held:
            client.sends(*[client_text("x")] * 15)
        await trio.sleep(0.01)
    assert 2.9 < trio.current_time() - began < 3.3
    code, reason = end_of(client)
    assert code == CloseCode.POLICY_VIOLATION
    assert client.gets() == server_close(code, reason)
    assert not client.wire.held, "what it still sends is thrown away, so that it sees our close frame"
    client.sends(client_close(1008))
    assert client.wire.shut == 1


async def test_a_debt_that_nobody_can_pay(upkeep: Upkeep, autojump_clock: MockClock) -> None:
    """One read can bring more than the whole patience is worth: it is closed by then, and swept no more for it."""
    client = await limited(upkeep, messages_per_second=1, throttle_timeout=3)
    client.sends(*[client_text("x")] * 60)
    await trio.sleep(2.9)
    assert client.connection.close_code is None
    await trio.sleep(0.2)
    assert client.connection.close_code == CloseCode.POLICY_VIOLATION
    await trio.sleep(10)
    assert client.wire.closed == 1


async def test_a_client_in_debt_says_goodbye(upkeep: Upkeep, autojump_clock: MockClock) -> None:
    """Who has closed owes nothing any more: its messages are handled and its close is answered."""
    client = await limited(upkeep, messages_per_second=1, throttle_timeout=3)
    client.sends(*[client_text("x")] * 5, client_close(1000))
    assert not client.wire.held
    for _ in range(5):
        assert await client.connection.receive() == "x"
    await trio.sleep(4)
    assert end_of(client) == (1000, "")


async def test_our_close_ends_the_debt(upkeep: Upkeep, autojump_clock: MockClock) -> None:
    """When we close a client that is in debt, its answer is read at once."""
    client = await limited(upkeep, messages_per_second=1)
    client.sends(*[client_text("x")] * 5)
    assert client.wire.held
    await client.connection.close(1000)
    assert not client.wire.held


async def test_a_client_in_debt_is_alive(upkeep: Upkeep, autojump_clock: MockClock) -> None:
    """Its pong may be among what we do not read, so silence is not held against it."""
    limits = Limits(messages_per_second=1, throttle_timeout=1000, ping_interval=5, ping_timeout=5)
    client = await connected(upkeep, limits)
    client.sends(*[client_text("x")] * 60)
    await trio.sleep(50)
    assert client.connection.close_code is None
    assert client.gets() == b""
