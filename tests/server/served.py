"""A connection that is served over a trio stream, and the client's end of it."""

from collections.abc import Awaitable, Callable

import trio

from tests.server.builders import handshake
from wsframework import Limits
from wsframework.server.connection import Connection
from wsframework.server.streams import StreamWire
from wsframework.server.upkeep import Upkeep
from wsframework.testing.streams import MemoryStream, memory_connection

LIMITS = Limits(ping_interval=None)
KIB = 1024


class Server:
    """Our end of a stream, accepted."""

    def __init__(
        self,
        stream: trio.abc.Stream,
        upkeep: Upkeep,
        limits: Limits = LIMITS,
        kind: type[Connection] = Connection,
    ) -> None:
        self.wire = StreamWire(stream, buffer=0)
        self.gone = 0
        self.ended = trio.Event()
        self.connection = kind(self.wire, handshake(), limits, upkeep, on_gone=self._count)

    def _count(self, connection: Connection) -> None:
        self.gone += 1

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        await self.connection.accept()
        task_status.started()
        await self.wire.run(self.connection)
        self.ended.set()


async def read_answer(stream: trio.abc.ReceiveStream) -> bytes:
    """Read the answer to the handshake; return what came behind it."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += await stream.receive_some()
    return data.partition(b"\r\n\r\n")[2]


async def read(stream: trio.abc.ReceiveStream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = await stream.receive_some(size - len(data))
        assert more, "the stream has ended"
        data += more
    return data


Serve = Callable[..., Awaitable[Server]]


async def start(
    serve: Serve, limits: Limits = LIMITS, window: int = 64 * KIB, kind: type[Connection] = Connection
) -> tuple[Server, MemoryStream]:
    """Both ends of a connection in memory, the answer to the handshake read."""
    theirs, ours = memory_connection(window)
    server = await serve(ours, limits, kind)
    assert await read_answer(theirs) == b""
    return server, theirs
