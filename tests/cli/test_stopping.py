"""How a single process stops when something does not end by itself."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest
import trio

from tests.cli.command import PATIENCE, serve
from tests.net.servers import ServedOverSockets
from wsframework import CloseCode

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has other ways to end a process")

# An endpoint that goes on after its client has gone, until it is cancelled.
TENACIOUS = """
import trio
from wsframework import App, WebSocketDisconnect
app = App()

@app.websocket("/")
async def tenacious(websocket):
    await websocket.accept()
    await websocket.send_text("welcome")
    try:
        await websocket.receive_text()
    except WebSocketDisconnect:
        await trio.sleep_forever()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(TENACIOUS)
    return tmp_path


async def test_drain_timeout(folder: Path) -> None:
    """What still runs when it is over is cancelled, which is a good end too."""
    options = ["--access-log", "off", "--drain-timeout", "0.5"]
    with serve("app.py", *options, folder=folder) as served, trio.fail_after(PATIENCE):
        async with ServedOverSockets(served.url).connect() as client:
            assert await client.receive() == "welcome"
            served.signal(signal.SIGTERM)
            assert (await client.wait_closed()).code == CloseCode.SERVICE_RESTART
            result = await trio.to_thread.run_sync(served.wait)
    assert (result.code, result.out) == (0, "stopping\n")
    assert "handlers still run after 0.5 s; they are cancelled" in result.err


async def test_a_second_signal_forces(folder: Path) -> None:
    """It does not wait for the drain timeout, and the exit code says so."""
    options = ["--access-log", "off", "--drain-timeout", "100"]
    with serve("app.py", *options, folder=folder) as served, trio.fail_after(PATIENCE):
        async with ServedOverSockets(served.url).connect() as client:
            assert await client.receive() == "welcome"
            served.signal(signal.SIGINT)
            assert (await client.wait_closed()).code == CloseCode.GOING_AWAY
            await trio.sleep(0.4)  # sooner, it would count as the same wish
            served.signal(signal.SIGINT)
            result = await trio.to_thread.run_sync(served.wait)
    assert (result.code, result.out) == (1, "stopping\nstopping at once\n")
    assert "Traceback" not in result.err


async def test_a_signal_that_comes_twice(folder: Path) -> None:
    """A terminal and a program between may both pass on one Ctrl+C: that is one wish."""
    with serve("app.py", "--access-log", "off", folder=folder) as served, trio.fail_after(PATIENCE):
        async with ServedOverSockets(served.url).connect() as client:
            assert await client.receive() == "welcome"
            for number in (signal.SIGSTOP, signal.SIGINT, signal.SIGTERM, signal.SIGCONT):  # it finds both at once
                served.signal(number)
            assert (await client.wait_closed()).code in (CloseCode.GOING_AWAY, CloseCode.SERVICE_RESTART)
        result = await trio.to_thread.run_sync(served.wait)
    assert (result.code, result.out) == (0, "stopping\n")


@pytest.mark.parametrize("options", [[], ["--workers", "1", "--access-log", "off"]], ids=["alone", "worker"])
async def test_nobody_reads_what_it_says(folder: Path, options: list[str]) -> None:
    """A standard output that is closed keeps nobody from being told, and is no failure."""
    with serve("app.py", "--drain-timeout", "0.5", *options, folder=folder) as served, trio.fail_after(PATIENCE):
        async with ServedOverSockets(served.url).connect() as client:
            assert await client.receive() == "welcome"
            served.close_output()
            served.signal(signal.SIGTERM)
            assert (await client.wait_closed()).code == CloseCode.SERVICE_RESTART
            result = await trio.to_thread.run_sync(served.wait)
    assert result.code == 0
    assert "Traceback" not in result.err
    assert "BrokenPipeError" not in result.err
