"""What each overflow policy does to a client that freezes, in the publisher's
receipts and in the hub's statistics.

Run `python examples/market/overflow.py`. For every policy that decides at once, it
prints the receipts of ten broadcasts, the statistics while the client is behind, and
what the client reads when it is back. Time is virtual, so it takes none.
"""

import trio
from trio.testing import MockClock

from wsframework import App, Hub, Overflow, WebSocket, WebSocketDisconnect, WebSocketEndpoint
from wsframework.testing import NothingReceived, connect

PAGE = "x" * 30_000  # long messages, so that two of them fill what is on its way to a client


class Reader(WebSocketEndpoint):
    async def on_connect(self, websocket: WebSocket) -> None:
        await websocket.accept()
        await self.hub.subscribe(websocket, "pages")
        await websocket.send_text("subscribed")


async def main(overflow: Overflow) -> None:
    app = App(hub=Hub(capacity=3, overflow=overflow))
    app.websocket("/")(Reader)
    async with connect(app, window=60_000) as client:
        await client.receive()
        client.stall()
        print(overflow)
        for number in range(1, 11):
            receipt = await app.hub.broadcast("pages", f"{number} {PAGE}")
            print(f"  {number:2} {receipt}")
            await trio.sleep(0.1)
        statistics = app.hub.statistics()
        print(f"  {statistics.behind=} {statistics.waiting=} {statistics.waiting_bytes=}")
        print(f"  {statistics.published=} {statistics.dropped=} {statistics.disconnected=}")
        client.resume()
        read = []
        try:
            while True:
                read.append(str(await client.receive()).split()[0])
        except NothingReceived:
            print("  the client reads", ", ".join(read))
        except WebSocketDisconnect as end:
            print("  the client reads", ", ".join(read), "and", end)


if __name__ == "__main__":
    for overflow in Overflow:
        if overflow is Overflow.BLOCK:
            continue  # the publisher would wait for the client, which is no sight
        trio.run(main, overflow, clock=MockClock(autojump_threshold=0))
