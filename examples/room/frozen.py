"""Three people chat, and Carol's computer freezes. What do the other two notice?

Run `python examples/room/frozen.py loop`, then the same with `room`, which are the
two programs beside this file. Each prints what Ada and Bob see, second by second.
The clients are in memory and the seconds are those of a virtual clock, so it takes
no time.
"""

import sys
from importlib import import_module

import trio
from trio.testing import MockClock

from wsframework import App, WebSocketDisconnect
from wsframework.testing import Client, connect

PAGE = "x" * 30_000  # a long message, so that few of them fill what is on its way to a client


async def main(app: App) -> None:
    async with connect(app) as ada, connect(app) as bob, connect(app) as carol:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch, "Ada", ada)
            nursery.start_soon(watch, "Bob", bob)
            await ada.send("Hello!")
            await trio.sleep(1)
            tell("Carol's computer freezes.")
            carol.stall()
            for number in range(1, 6):
                await trio.sleep(1)
                tell(f"Ada sends page {number}.")
                await ada.send(f"page {number} {PAGE}")
            await trio.sleep(20)
            nursery.cancel_scope.cancel()
        tell("Carol's computer is back.")
        carol.resume()
        tell(f"Carol was disconnected with {await carol.wait_closed()}")


async def watch(name: str, client: Client) -> None:
    client.deadline = 60
    try:
        while True:
            tell(f"  {name} reads {str(await client.receive())[:6]}")
    except WebSocketDisconnect as end:
        tell(f"  {name} is disconnected with {end}")


def tell(what: str) -> None:
    print(f"{trio.current_time() - start:4.0f} s  {what}")


if __name__ == "__main__":
    clock = MockClock(autojump_threshold=0)
    start = clock.current_time()
    trio.run(main, import_module(sys.argv[1]).app, clock=clock)
