"""What things take in memory while they live."""

import ctypes
import gc
import os
import ssl
import tracemalloc
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import trio
import trustme

from wsframework import Deflate
from wsframework.server.deflate import Deflater, Inflater, deflate_message, deflated_frames

from ..processes import memory_bytes
from .timing import Cost, Table

MANY = 500
RECORD = 16 * 1024  # the largest record of TLS


def _traced(make: Callable[[], object]) -> float:
    """Return the bytes that Python allocates for one."""
    make()
    gc.collect()
    tracemalloc.start()
    try:
        kept = [make() for _ in range(MANY)]
        size = tracemalloc.get_traced_memory()[0]
        del kept
    finally:
        tracemalloc.stop()
    return size / MANY


def _resident(make: Callable[[], object]) -> float:
    """Return how much resident memory one takes, with what a library in C allocates."""
    warm = [make() for _ in range(20)]
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # else what was freed before is used again, and nothing seems to grow
    before = memory_bytes(os.getpid())
    kept = [make() for _ in range(MANY)]
    size = memory_bytes(os.getpid()) - before
    del kept, warm
    gc.collect()
    return size / MANY


def queues() -> Table:
    sizes = {
        "an empty deque": _traced(deque),
        "a memory channel of 256": _traced(lambda: trio.open_memory_channel[bytes](256)),
    }
    return Table("Memory of queues", [Cost(name, size / 1024, "KiB") for name, size in sizes.items()])


def compressors() -> Table:
    """Both directions of a connection that has sent and received a message, with context takeover."""
    message = "abc" * 500

    def make(deflate: Deflate) -> Callable[[], object]:
        def connection() -> object:
            deflater = Deflater(deflated_frames(deflate.window_bits, deflate.level, deflate.memory_level, 0))
            inflater = Inflater(deflate.window_bits, takeover=True)
            compressor = deflated_frames(deflate.window_bits, deflate.level, deflate.memory_level, 0).start()
            deflater.encode(message)
            list(inflater.inflate(deflate_message(compressor, message.encode()), True))
            return deflater, inflater

        return connection

    choices = {
        "default options": Deflate(context_takeover=True),
        "window_bits=15, memory_level=8": Deflate(context_takeover=True, window_bits=15, memory_level=8),
    }
    costs = [Cost(name, _resident(make(deflate)) / 1024, "KiB") for name, deflate in choices.items()]
    return Table("Memory of a connection's compression with context takeover", costs)


def tls() -> Table:
    """OpenSSL's part of a connection on the server's side, when what goes through it is a record at a time."""
    authority = trustme.CA()
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server_context)
    client_context = ssl.create_default_context()
    authority.configure_trust(client_context)

    def connect(records: int) -> object:
        to_server, to_client, client_in, client_out = (ssl.MemoryBIO() for _ in range(4))
        server = server_context.wrap_bio(to_server, to_client, server_side=True)
        client = client_context.wrap_bio(client_in, client_out, server_hostname="localhost")

        def carry() -> None:
            to_server.write(client_out.read())
            client_in.write(to_client.read())

        for side in (client, server, client, server):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
            carry()
        for _ in range(records):
            client.write(bytes(RECORD))
            carry()
            server.read(RECORD)
            server.write(bytes(RECORD))
            carry()
            client.read(RECORD)
        return server, to_server, to_client

    costs = [
        Cost("after the handshake", _resident(partial(connect, 0)) / 1024, "KiB"),
        Cost("after records of 16 KiB in both directions", _resident(partial(connect, 4)) / 1024, "KiB"),
    ]
    return Table("Memory of a connection's TLS", costs)
