"""Tests of the chat room in `rooms.py`. Run `pytest examples/room`, with
pytest-trio installed: all of them pass.
"""

import pytest
from rooms import app
from trio.testing import MockClock

from wsframework import Limits
from wsframework.testing import NothingReceived, connect


async def test_everybody_in_a_room_reads_everybody() -> None:
    async with connect(app, "/kitchen?name=Ada") as ada:
        assert await ada.receive() == "Ada is here."
        async with connect(app, "/kitchen?name=Bob") as bob:
            assert await bob.receive() == "Bob is here."
            assert await ada.receive() == "Bob is here."
            await ada.send("Hello!")
            assert await ada.receive() == "Ada: Hello!"
            assert await bob.receive() == "Ada: Hello!"
        assert await ada.receive() == "Bob has left."


async def test_rooms_do_not_hear_each_other(autojump_clock: MockClock) -> None:
    async with connect(app, "/kitchen?name=Ada") as ada, connect(app, "/garden?name=Eve") as eve:
        assert await ada.receive() == "Ada is here."
        assert await eve.receive() == "Eve is here."
        await ada.send("Hello!")
        await eve.receive_nothing(seconds=30)


async def test_a_wait_that_is_in_vain_says_what_it_waited_for(autojump_clock: MockClock) -> None:
    async with connect(app, "/kitchen?name=Ada") as ada:
        await ada.receive()
        with pytest.raises(NothingReceived, match="waited 1 s for a message; 1 messages came before"):
            await ada.receive()


async def test_a_frozen_client_is_cut_off_and_the_room_is_told(autojump_clock: MockClock) -> None:
    limits = Limits(write_timeout=5)
    async with connect(app, "/kitchen?name=Ada", limits=limits) as ada, connect(app, "/kitchen?name=Eve") as eve:
        ada.deadline = 10
        eve.stall()
        for _ in range(5):
            await ada.send("x" * 30_000)
        while await ada.receive() != "Eve has left.":
            pass
        eve.resume()
        assert (await eve.wait_closed()).code == 1006
