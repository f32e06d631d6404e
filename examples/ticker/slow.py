"""A slow link: everything that the server sends through it arrives, at so many bytes a second for each connection.

Run it beside the ticker, and open the address it prints::

    python examples/ticker/slow.py

Its arguments are the bytes per second, the port of the server, and the port to listen on:
`python examples/ticker/slow.py 15000 8000 8001`.
"""

import sys
from functools import partial

import trio
from trio import SocketStream


async def pass_on(bytes_per_second: float, port: int, client: SocketStream) -> None:
    # The system would take in hundreds of kilobytes on our behalf, and the link would look quick for as long.
    socket = trio.socket.socket()
    socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 4096)
    await socket.connect(("127.0.0.1", port))
    async with client, SocketStream(socket) as server, trio.open_nursery() as nursery:
        try:
            nursery.start_soon(send, client, server)
            while data := await server.receive_some(1024):
                await client.send_all(data)
                await trio.sleep(len(data) / bytes_per_second)
        except trio.BrokenResourceError:
            pass  # one of them has gone, and so does the other
        nursery.cancel_scope.cancel()


async def send(client: SocketStream, server: SocketStream) -> None:
    try:
        async for data in client:
            await server.send_all(data)
        await server.send_eof()
    except trio.BrokenResourceError:
        pass


async def main(bytes_per_second: float = 15_000, port: int = 8000, own_port: int = 8001) -> None:
    print(f"http://127.0.0.1:{own_port} is http://127.0.0.1:{port} at {bytes_per_second:g} bytes a second")
    await trio.serve_tcp(partial(pass_on, bytes_per_second, port), own_port, host="127.0.0.1")


if __name__ == "__main__":
    trio.run(main, *map(int, sys.argv[1:]))
