"""``wsframework run --proxy-headers``: off by default, and whom it believes."""

from pathlib import Path

import pytest
import trio
from click.testing import CliRunner

from tests.cli.command import PATIENCE, serve
from tests.net.servers import ServedOverSockets
from wsframework.cli import main

TELLS = """
from wsframework import App

app = App()

@app.websocket("/")
async def tell(websocket):
    await websocket.accept()
    await websocket.send_text(f"{websocket.client.host} {websocket.url}")
"""
X = {"x-forwarded-for": "203.0.113.7", "x-forwarded-proto": "https", "x-forwarded-host": "chat.example"}
RFC = {"forwarded": "for=198.51.100.8;proto=https;host=named.example"}


@pytest.fixture
def program(tmp_path: Path) -> str:
    path = tmp_path / "tells.py"
    path.write_text(TELLS)
    return str(path)


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        ([], "127.0.0.1 ws://localhost/"),
        (["--proxy-headers"], "203.0.113.7 wss://localhost/"),
        (["--proxy-headers", "--forwarded-host"], "203.0.113.7 wss://chat.example/"),
        (["--proxy-headers", "--forwarded-header"], "198.51.100.8 wss://named.example/"),
        (["--proxy-headers", "--forwarded-allow-ips", "10.0.0.0/8, unix"], "127.0.0.1 ws://localhost/"),
        (["--proxy-headers", "--workers", "1"], "203.0.113.7 wss://localhost/"),
    ],
)
async def test_whom_it_believes(program: str, options: list[str], seen: str) -> None:
    """A proxy on this machine is believed if that was asked for, and about the headers that were asked for."""
    with trio.fail_after(PATIENCE), serve(program, *options) as served:
        async with ServedOverSockets(served.url).connect(headers=X | RFC) as client:
            assert await client.receive() == seen


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--forwarded-allow-ips", "*"], "add --proxy-headers"),
        (["--forwarded-header"], "add --proxy-headers"),
        (["--forwarded-host"], "add --proxy-headers"),
        (["--proxy-headers", "--forwarded-header", "--forwarded-host"], "leave one of them out"),
        (["--proxy-headers", "--forwarded-allow-ips", "localhost"], "'localhost' is no trusted proxy"),
    ],
)
def test_mistakes(program: str, options: list[str], said: str) -> None:
    """Options that do nothing, and addresses that are none, are refused before anything starts."""
    result = CliRunner().invoke(main, ["run", program, *options])
    assert result.exit_code == 2
    assert said in " ".join(result.output.split())
