"""What clients of HTTP/2 can try (H42), and what may look like it."""

from typing import Any

import h2.errors
import pytest

from tests.net.http2.client import HTTP2Client
from tests.net.http2.site import Site, Watched
from tests.net.observing import errors_in

ENHANCE_YOUR_CALM = h2.errors.ErrorCodes.ENHANCE_YOUR_CALM


async def survive(client: HTTP2Client, site: Site) -> None:
    """The connection is closed, and another client is answered."""
    await client.ended.wait()
    async with site.other() as other:
        await other.send("are you there?")
        assert await other.receive() == "are you there?"


async def test_h42_rapid_reset(serve: Any, endpoint: type[Watched], caplog: pytest.LogCaptureFixture) -> None:
    """Streams that are opened and reset all the time end the connection with ENHANCE_YOUR_CALM (CVE-2023-44487)."""
    async with serve() as site, site.connect() as client:
        await client.settings.wait()
        for _ in range(1000):
            number = client.state.get_next_available_stream_id()
            fields = [(":method", "GET"), (":authority", "localhost"), (":scheme", "https"), (":path", "/")]
            client.state.send_headers(number, fields)
            client.state.reset_stream(number)
        await client.flush()
        await survive(client, site)
        assert client.goodbye == ENHANCE_YOUR_CALM
    assert not errors_in(caplog)


async def test_h42_empty_data(serve: Any, caplog: pytest.LogCaptureFixture) -> None:
    """So do frames of DATA without any."""
    async with serve() as site, site.connect() as client:
        websocket = await client.open_websocket()
        await client.send_raw((b"\0\0\0\0\0" + websocket.number.to_bytes(4, "big")) * 5000)
        await survive(client, site)
        assert client.goodbye == ENHANCE_YOUR_CALM
    assert not errors_in(caplog)


@pytest.mark.parametrize(
    "data",
    [b"\0\0\x08\x06\0\0\0\0\0whatever", b"\0\0\0\x04\0\0\0\0\0", b"\0\0\x04\x08\0\0\0\0\0\0\0\0\x01"],
    ids=["ping", "settings", "window"],
)
async def test_h42_empty_frames(serve: Any, data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """So do other frames that carry nothing for anybody, thousands in a second."""
    async with serve() as site, site.connect() as client:
        await client.settings.wait()
        await client.send_raw(data * 5000)
        await survive(client, site)
        assert client.goodbye == ENHANCE_YOUR_CALM
    assert not errors_in(caplog)


async def test_many_small_messages(serve: Any) -> None:
    """A client that opens its windows again for every message it gets is no flood."""
    async with serve() as site, site.connect() as client:
        websocket = await client.open_websocket()
        for number in range(1200):
            client.state.increment_flow_control_window(1)
            client.state.increment_flow_control_window(1, websocket.number)
            await websocket.send_message(b"%d" % number)
            assert await websocket.receive_message() == (1, b"%d" % number)


async def test_h42_continuation(serve: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A header that goes on and on ends the connection before it is large (CVE-2024-27919)."""
    async with serve() as site, site.connect() as client:
        await client.settings.wait()
        head = (1).to_bytes(4, "big")
        flood = b"\0\0\x01\x01\0" + head + b"\x82" + (b"\0\x40\0\x09\0" + head + bytes(16384)) * 1000
        await client.send_raw(flood)
        await survive(client, site)
    assert not errors_in(caplog)


@pytest.mark.parametrize(
    "field",
    [("x", "a\r\nset-cookie: b"), ("x\r\ny", "a"), ("x", "a\0b"), ("connection", "upgrade"), ("X-Upper", "a")],
    ids=["line in value", "line in name", "nul", "connection", "upper case"],
)
async def test_h42_header_fields(serve: Any, field: tuple[str, str], caplog: pytest.LogCaptureFixture) -> None:
    """Header fields that HTTP/2 does not know, and line breaks in them, never reach an application."""
    async with serve() as site, site.connect(validate=False) as client:
        await client.websocket("/", field)
        await survive(client, site)
    assert not errors_in(caplog)


@pytest.mark.parametrize("path", ["@evil.com/", "https://evil.com/", "*"])
async def test_h17_a_path_without_a_slash(serve: Any, path: str) -> None:
    """It is refused before an application can put it behind a host, and the connection goes on."""
    async with serve() as site, site.connect(validate=False) as client:
        status, body = await client.get(path)
        assert (status, body) == ("400", b"The request target must begin with a slash.\n")
        fields = [(":method", "OPTIONS"), (":authority", "localhost"), (":scheme", "https"), (":path", "*")]
        assert await (await client.request(fields)).receive_status() == "404"  # it may be asked, and no route answers
        websocket = await client.open_websocket()
        await websocket.send_message(b"still here")
        assert await websocket.receive_message() == (1, b"still here")


@pytest.mark.parametrize("field", [(":path", "/caf\u00e9"), (":method", "G\u00cbT")])
async def test_bytes_beyond_ascii(serve: Any, field: tuple[str, str], caplog: pytest.LogCaptureFixture) -> None:
    """A path or a method with bytes beyond ASCII is answered with 400, or not at all; nothing fails."""
    fields = {":method": "GET", ":authority": "localhost", ":scheme": "https", ":path": "/"} | dict([field])
    async with serve() as site, site.connect(validate=False) as client:
        stream = await client.request(list(fields.items()))
        async with site.other() as other:
            await other.send("are you there?")
            assert await other.receive() == "are you there?"
        if not client.ended.is_set():
            assert await stream.receive_status() == "400"
    assert not errors_in(caplog)
