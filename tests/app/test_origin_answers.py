"""What a refused page is answered, and what the log says of it."""

import logging
from typing import Any

import pytest
from trio.testing import MockClock

from tests.app.origins import EVIL, guarded, infos, refusal, scope
from tests.asgi.server import ASGIServer
from wsframework import App, WebSocketEndpoint, WebSocketRoute
from wsframework.origin import OriginPolicy, explain


@pytest.mark.parametrize(
    "app", [App(), WebSocketEndpoint, App(routes=[WebSocketRoute("/", guarded, allowed_origins=[])])]
)
async def test_a_server_that_cannot_respond(app: Any) -> None:
    """Without the denial response the handshake is closed, which servers answer with 403."""
    server = ASGIServer()
    server.scope["headers"] = [(b"origin", b"https://evil.example")]
    await app(server.scope, server.receive, server.send)
    assert [event["type"] for event in server.sent] == ["websocket.close"]


@pytest.mark.parametrize(
    "app", [App(), WebSocketEndpoint, App(routes=[WebSocketRoute("/", guarded, allowed_origins=[])])]
)
async def test_a_server_that_can_respond(app: Any) -> None:
    """With it the answer is a whole response."""
    server = ASGIServer(can_respond=True)
    server.scope["headers"] = [(b"origin", b"https://evil.example")]
    await app(server.scope, server.receive, server.send)
    start, body = server.sent
    assert start["status"] == 403
    assert (b"content-type", b"text/plain; charset=utf-8") in start["headers"]
    assert body["body"] == b"This Origin is not allowed.\n"


async def test_a_client_that_is_gone(caplog: pytest.LogCaptureFixture) -> None:
    """A client that did not wait for its 403 is no error."""
    caplog.set_level(logging.INFO)
    server = ASGIServer(can_respond=True)
    server.scope["headers"] = [(b"origin", b"https://evil.example")]
    server.vanish()
    await App()(server.scope, server.receive, server.send)
    assert server.sent == []
    assert len(caplog.records) == 1


async def test_the_log_line(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """It says which Origin, which Host and scheme, and which setting would allow it."""
    caplog.set_level(logging.INFO)
    await refusal(App(), "/chat", EVIL)
    [line] = infos(caplog)
    assert line == (
        "refused a WebSocket at '/chat' for 127.0.0.1:50000 with 403: its Origin is 'https://evil.example', its Host "
        "'testserver' on a ws connection. To allow it: allowed_origins=['https://evil.example'] on the App or the "
        "WebSocketRoute. If it is your own page, and a proxy in front ends TLS or rewrites Host: run with "
        "--proxy-headers, and have the proxy pass Host on"
    )


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (scope("null"), "allowed_origins=['null'] on the App or the WebSocketRoute, which lets in sandboxed frames"),
        (scope("a", "b"), "it has 2 Origin headers ('a', 'b'), and a browser sends one"),
        (scope("https://good.com/"), "no browser sends such an Origin"),
        (scope("https://good.com", host=None), "its Host missing on a wss connection"),
        (scope("https://x\r\n2026 INFO all is well\x1b[2J\x85\u2028"), r"'https://x\r\n2026 INFO all is well\x1b[2J"),
        (scope(EVIL, host="a\r\nb\0"), r"its Host 'a\r\nb\x00' on"),
        (scope("x" * 200), "'" + "x" * 200 + "', its Host"),
        (scope("x" * 201), "'" + "x" * 200 + "'..., its Host"),
        (scope("x" * 16_000), "'" + "x" * 200 + "'..., its Host"),
    ],
)
def test_other_log_lines(asked: dict[str, Any], said: str) -> None:
    """Each says what is wrong, shortens what is long, and escapes what could pass for a line of its own."""
    line = explain(asked)
    assert said in line
    assert line.isprintable()
    assert line.isascii()


def test_what_the_line_says_to_write_is_right() -> None:
    """The setting of the line allows what was refused."""
    asked = scope("HTTPS://Partner.example:8443")
    suggested = explain(asked).split("allowed_origins=['")[1].split("']")[0]
    assert OriginPolicy([suggested]).allows(asked)
