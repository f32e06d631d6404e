"""WebSockets over HTTP/2 as a browser opens them: beside the page that it has loaded over the same connection."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import trio
import trustme
from starlette.requests import Request
from starlette.responses import HTMLResponse

from tests.browser.chromium import CHROMIUM_FLAGS, PATIENCE
from tests.net.servers import RunningServer, run_server, write_certificate
from wsframework import App, WebSocket, WebSocketEndpoint

try:
    from playwright.sync_api import Page, sync_playwright
except ImportError:
    if os.environ.get("WSFRAMEWORK_REQUIRE_ALL") == "1":
        raise
    pytest.skip("playwright is not installed", allow_module_level=True)

OpenPage = Callable[..., AbstractContextManager[Page]]

TALK = """async ({size, close}) => {
    const socket = new WebSocket(location.origin.replace("http", "ws") + "/echo");
    socket.binaryType = "arraybuffer";
    await new Promise((resolve, reject) => { socket.onopen = resolve; socket.onerror = reject; });
    const echo = async message => {
        const answer = new Promise(resolve => { socket.onmessage = event => resolve(event.data); });
        socket.send(message);
        return await answer;
    };
    const text = await echo("hello");
    const large = (await echo("x".repeat(size))).length;
    const bytes = new Uint8Array(await echo(new Uint8Array([0, 255])))[1];
    const closed = new Promise(resolve => { socket.onclose = resolve; });
    close ? socket.close(4001, "see you") : socket.send("close");
    const {code, reason, wasClean} = await closed;
    return [text, large, bytes, code, reason, wasClean];
}"""


class Server:
    """Runs in a thread of its own, because Playwright blocks."""

    def __init__(self, app: App, folder: Path, protocols: list[str]) -> None:
        self._app = app
        self._folder = folder
        self._protocols = protocols
        self._ready = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._run,))

    async def _run(self) -> None:
        certificate, key = write_certificate(trustme.CA(), self._folder)
        options = {"certfile": certificate, "keyfile": key, "alpn_protocols": self._protocols}
        self._token = trio.lowlevel.current_trio_token()
        async with run_server(self._app, **options) as server:
            self._server: RunningServer = server
            self.url = server.url
            self._ready.set()
            await server.stopped.wait()

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(PATIENCE), "the server did not start"

    def stop(self) -> None:
        trio.from_thread.run_sync(self._server.stop, trio_token=self._token)
        self._thread.join(PATIENCE)


class Echo(WebSocketEndpoint):
    """Echoes, closes when it is asked to, and notes how clients came and went."""

    seen: list[object]

    async def on_connect(self, websocket: WebSocket) -> None:
        self.seen.append(websocket.scope["http_version"])
        await websocket.accept()

    async def on_receive(self, websocket: WebSocket, data: str | bytes) -> None:
        if data == "close":
            await websocket.close(4002, "that was all")
        else:
            await (websocket.send_text(data) if isinstance(data, str) else websocket.send_bytes(data))

    async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
        self.seen.append((close_code, websocket.close_reason))


@pytest.fixture
def open_page(require: Callable[..., str], tmp_path: Path) -> OpenPage:
    """A function that opens a page of an application in Chromium, over what the server offers in TLS."""

    @contextmanager
    def open_page(app: App, *protocols: str) -> Iterator[Page]:
        chromium = require("chromium", "chromium-browser", "google-chrome")
        server = Server(app, tmp_path, list(protocols))
        with sync_playwright() as playwright:
            flags = [*CHROMIUM_FLAGS, "--ignore-certificate-errors"]
            browser = playwright.chromium.launch(executable_path=chromium, args=flags)
            server.start()
            try:
                page = browser.new_context(ignore_https_errors=True).new_page()
                page.goto(server.url)
                yield page
            finally:
                server.stop()
                browser.close()

    return open_page


@pytest.mark.parametrize("close", [True, False], ids=["client closes", "server closes"])
@pytest.mark.parametrize("protocol", ["h2", "http/1.1"])
def test_a_page_and_its_websocket(open_page: OpenPage, protocol: str, close: bool) -> None:
    """The browser loads the page and opens the WebSocket with the same version of HTTP, and closes it cleanly."""
    seen: list[object] = []
    app = App()
    app.websocket("/echo")(type("Noted", (Echo,), {"seen": seen}))

    @app.route("/")
    async def index(request: Request) -> HTMLResponse:
        return HTMLResponse("<title>a page</title>")

    end = (4001, "see you") if close else (4002, "that was all")
    with open_page(app, protocol) as page:
        hop = page.evaluate("performance.getEntriesByType('navigation')[0].nextHopProtocol")
        assert hop == protocol
        for _ in range(2):
            assert page.evaluate(TALK, {"size": 500_000, "close": close}) == ["hello", 500_000, 255, *end, True]
    assert seen == ["2" if protocol == "h2" else "1.1", end] * 2
