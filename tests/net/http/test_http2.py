"""Plain requests over HTTP/2, with a client that is nothing but h2."""

from pathlib import Path

import h2.config
import h2.connection
import h2.events
import pytest
import trio
import trustme

from tests.net.http.site import serving
from tests.net.servers import (
    Stream,
    client_context,
    open_stream,
    receive_all,
)
from wsframework import App


class HTTP2:
    """A client that speaks HTTP/2 over a stream."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._state = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self._state.initiate_connection()

    async def request(self, scheme: str, *paths: str) -> dict[str, tuple[str, bytes]]:
        """Ask for all of these at once; return status and body of each."""
        pending: dict[int, str] = {}
        answers: dict[str, tuple[str, bytes]] = {}
        for path in paths:
            number = self._state.get_next_available_stream_id()
            pending[number] = path
            answers[path] = ("", b"")
            fields = [(":method", "GET"), (":authority", "localhost"), (":scheme", scheme), (":path", path)]
            self._state.send_headers(number, fields, end_stream=True)
        while pending:
            await self._stream.send_all(self._state.data_to_send())
            for event in self._state.receive_data(await self._stream.receive_some()):
                if isinstance(event, h2.events.ResponseReceived):
                    path = pending[event.stream_id]
                    answers[path] = (dict(event.headers)[":status"], b"")
                elif isinstance(event, h2.events.DataReceived):
                    path = pending[event.stream_id]
                    answers[path] = (answers[path][0], answers[path][1] + event.data)
                elif isinstance(event, h2.events.StreamEnded):
                    del pending[event.stream_id]
                assert not isinstance(event, h2.events.ConnectionTerminated)
        return answers


async def test_http2_over_tls(app: App, authority: trustme.CA, tmp_path: Path) -> None:
    """A client that offers h2 gets it, several requests at once, beside a WebSocket over HTTP/1.1."""
    async with serving("tls", app, authority, tmp_path) as here, here.websocket() as other:
        async with await open_stream(here.url, client_context(authority, "h2", "http/1.1")) as stream:
            assert isinstance(stream, trio.SSLStream)
            assert stream.selected_alpn_protocol() == "h2"
            answers = await HTTP2(stream).request("https", "/", "/files/page.html", "/elsewhere", "/state")
        assert answers == {
            "/": ("200", b"a front page"),
            "/files/page.html": ("200", b"<p>a page</p>"),
            "/elsewhere": ("404", b"Not Found"),
            "/state": ("200", b'{"state":"state","scheme":"https","host":"127.0.0.1"}'),
        }
        await other.send("still here")
        assert await other.receive() == "still here"


async def test_http2_with_prior_knowledge(app: App, authority: trustme.CA, tmp_path: Path) -> None:
    """A client that knows that we speak HTTP/2 can do so without TLS, and may send its first bytes one by one."""
    async with serving("reactor", app, authority, tmp_path) as here, await here.open() as stream:
        assert (await HTTP2(stream).request("http", "/"))["/"] == ("200", b"a front page")
    async with serving("reactor", app, authority, tmp_path) as here, await here.open() as stream:
        for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":
            await stream.send_all(bytes([byte]))
        await stream.send_all(bytes(3) + b"\x04" + bytes(5))  # an empty frame of settings
        assert (await stream.receive_some())[3] == 4  # and here are theirs


async def test_http2_that_is_none(
    app: App, authority: trustme.CA, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Noise where HTTP/2 was agreed on ends that connection and no other."""
    async with serving("tls", app, authority, tmp_path) as here, here.websocket() as other:
        async with await open_stream(here.url, client_context(authority, "h2")) as stream:
            await stream.send_all(b"\0" * 1000)
            await receive_all(stream)
        await other.send("still here")
        assert await other.receive() == "still here"
