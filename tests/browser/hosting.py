"""An example served in this process, so that a test can reach into it while pages are looking at it."""

from __future__ import annotations

import importlib.util
import math
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import outcome
import trio

from tests.browser.chromium import PATIENCE
from tests.net.servers import make_config
from wsframework import Hub, Limits
from wsframework.server import Server

EXAMPLES = Path(__file__).parents[2] / "examples"

T = TypeVar("T")


def load(name: str) -> ModuleType:
    """Run a file of examples/ as a fresh module."""
    path = EXAMPLES / name
    spec = importlib.util.spec_from_file_location(f"hosted_{path.parent.name}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # where annotations are looked up
    spec.loader.exec_module(module)
    return module


class Hosted:
    """An example that is being served, in a thread of its own, because Playwright blocks.

    Attributes:
        module: the example.
        url: where its page is.
    """

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        self._ready = threading.Event()
        self._outcome: outcome.Outcome[None] | None = None
        self._thread = threading.Thread(target=self._work)

    @property
    def hub(self) -> Hub:
        hub: Hub = self.module.app.hub
        return hub

    def call(self, function: Callable[..., Awaitable[T]], *args: Any, **kwargs: Any) -> T:
        """Run an async function on the server's side."""
        return trio.from_thread.run(partial(function, *args, **kwargs), trio_token=self._token)

    def call_sync(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Run a function on the server's side."""
        return trio.from_thread.run_sync(partial(function, *args, **kwargs), trio_token=self._token)

    def set_grace(self, topic: str, seconds: float) -> None:
        """Say how long those who are gone stay present: for longer than a slow machine takes, or not at all."""

        def change() -> None:
            presence = self.hub._registry.topics[topic].presence
            assert presence is not None
            presence._grace = seconds

        self.call_sync(change)

    @contextmanager
    def network(self, pass_on: Callable[[int, trio.SocketStream], Awaitable[None]] | None = None) -> Iterator[Network]:
        """Another way to the server, which can be cut."""
        with socket.socket() as reserved:  # bound all the time, so that nobody else gets the port while it is cut
            reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            reserved.bind(("127.0.0.1", 0))
            network = Network(self, reserved.getsockname()[1], pass_on or _pass_on)
            network.mend()
            try:
                yield network
            finally:
                network.cut()

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(PATIENCE), "the server did not start"
        if self._outcome is not None:
            self._outcome.unwrap()

    def stop(self) -> None:
        if self._outcome is None:
            self.call_sync(self._nursery.cancel_scope.cancel)
        self._thread.join(PATIENCE)
        assert self._outcome is not None, "the server did not stop"
        self._outcome.unwrap()

    def _work(self) -> None:
        self._outcome = outcome.capture(trio.run, self._run)
        self._ready.set()

    async def _run(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        async with trio.open_nursery() as self._nursery:
            # The machine may be busy for a while with other things than this test: nobody is cut off for that.
            server = Server(self.module.app, make_config(), limits=Limits(write_timeout=math.inf))
            [self.url] = await self._nursery.start(server.run)
            self._ready.set()

    def _start(self, function: Callable[..., Awaitable[None]], *args: Any) -> trio.CancelScope:
        scope = trio.CancelScope()

        async def run() -> None:
            with scope:
                await function(*args)

        self.call_sync(self._nursery.start_soon, run)
        return scope


class Network:
    """What lies between pages and server. Its port stays the same.

    Attributes:
        url: where the example's page is, through here.
    """

    def __init__(self, hosted: Hosted, port: int, pass_on: Callable[[int, trio.SocketStream], Awaitable[None]]) -> None:
        self._hosted = hosted
        self._port = port
        self._pass_on = pass_on
        self._scope: trio.CancelScope | None = None
        self.url = f"http://127.0.0.1:{port}"

    def mend(self) -> None:
        """Let connections through."""
        listeners = self._hosted.call(trio.open_tcp_listeners, self._port, host="127.0.0.1")
        port = int(self._hosted.url.rpartition(":")[2])
        self._scope = self._hosted._start(trio.serve_listeners, partial(self._pass_on, port), listeners)

    def cut(self) -> None:
        """Break all connections, and let no others through."""
        if self._scope is not None:
            self._hosted.call_sync(self._scope.cancel)
            self._scope = None


async def _pass_on(port: int, client: trio.SocketStream) -> None:
    async with await trio.open_tcp_stream("127.0.0.1", port) as server, trio.open_nursery() as nursery:
        nursery.start_soon(_copy, server, client)
        await _copy(client, server)
        nursery.cancel_scope.cancel()


async def _copy(source: trio.SocketStream, sink: trio.SocketStream) -> None:
    try:
        async for data in source:
            await sink.send_all(data)
        await sink.send_eof()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass


@contextmanager
def host(name: str, **variables: Any) -> Iterator[Hosted]:
    """Have an example served inside the block, with other values for some variables of its module."""
    module = load(name)
    vars(module).update(variables)
    hosted = Hosted(module)
    hosted.start()
    try:
        yield hosted
    finally:
        hosted.stop()
