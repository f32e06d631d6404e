"""The programs of examples/, which the pages of the documentation include: each does what it says."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
from typing import Any

import httpx
import pytest
import trio
import trio_websocket
from hypercorn.config import Config
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from trio.testing import MockClock

from tests.cli import command
from tests.programs import PATIENCE, ROOT, load, read, run, shows
from wsframework import CloseCode, WebSocketStateError, serve
from wsframework.testing import HandshakeRefused, connect

# Tutorial


@shows("echo/app.py", "echo/function.py")
@pytest.mark.parametrize("name", ["echo/app.py", "echo/function.py"])
async def test_echo(name: str, autojump_clock: MockClock) -> None:
    """What is sent comes back."""
    async with connect(load(name).app) as client:
        await client.send("hello")
        assert await client.receive() == "hello"


async def test_echo_from_the_command_line() -> None:
    """The tutorial's first command serves, and its client is answered."""
    with command.serve("examples/echo/app.py", "--bind", "127.0.0.1:0") as served, trio.fail_after(PATIENCE):
        assert served.line.startswith("wsframework serves examples/echo/app.py on http://127.0.0.1:")
        async with trio_websocket.open_websocket_url(served.websocket_url) as client:
            await client.send_message("hello")
            assert await client.get_message() == "hello"


@shows("room/loop.py", "room/room.py", "room/frozen.py", "room/loop.txt", "room/room.txt")
@pytest.mark.parametrize("name", ["loop", "room"])
def test_the_frozen_client(name: str) -> None:
    """The program prints what the page shows. Within a second, tasks run in an order that Trio chooses."""
    printed = run("examples/room/frozen.py", name)
    assert sorted(printed.splitlines()) == sorted(read(f"room/{name}.txt").splitlines())


@shows("room/rooms.py", "room/test_rooms.py", "room/pytest.ini")
def test_the_tests_of_the_tutorial() -> None:
    """They pass when they are run as the page says."""
    assert "4 passed" in run("-m", "pytest", "-p", "no:cacheprovider", "examples/room")


# How to


@shows("kit/test_kit.py", "kit/test_socket.py")
def test_the_tests_of_the_test_kit() -> None:
    """They pass when they are run as the page says."""
    assert "13 passed" in run("-m", "pytest", "-p", "no:cacheprovider", "examples/kit")


@shows("typed/app.py")
async def test_typed_messages(capsys: pytest.CaptureFixture[str], autojump_clock: MockClock) -> None:
    """Each endpoint takes its type, and closes with 1007 for what is not of it."""
    app = load("typed/app.py").app
    async with connect(app, "/board") as ada, connect(app, "/board") as bob:
        await ada.send_json({"type": "line", "to": [3, 4]})
        assert await bob.receive_json() == await ada.receive_json() == {"type": "line", "to": [3, 4], "width": 1}
        await ada.send_json({"type": "clear"})
        assert await bob.receive_json() == {"type": "clear"}
    assert capsys.readouterr().out == "a line to (3, 4), 1 wide\nan empty board\n"
    async with connect(app, "/orders") as client:
        await client.send_json({"item": "tea"})
        assert await client.receive_json() == {"ordered": "tea", "count": 1}
    async with connect(app, "/positions") as client:
        await client.send_json([{"latitude": 1, "longitude": 2}, {"latitude": 3, "longitude": 4}])
        assert await client.receive_json() == {"latitude": 3.0, "longitude": 4.0}
    for path, wrong, reason in [
        ("/board", {"type": "line"}, "Object missing required field `to`"),
        ("/board", {"type": "line", "to": [3, 4], "width": 99}, "Expected `int` <= 20 - at `$.width`"),
        ("/orders", {"item": 3}, "Expected `str`, got `int` - at `$.item`"),
        ("/positions", [{"latitude": 91, "longitude": 0}], ""),
    ]:
        async with connect(app, path) as client:
            await client.send_json(wrong)
            end = await client.wait_closed()
            assert end.code == CloseCode.INVALID_PAYLOAD
            assert reason in (end.reason or "")


@shows("background/app.py")
async def test_background_tasks(autojump_clock: MockClock) -> None:
    """The stopwatch ticks and starts anew; the countdown ends its connection."""
    app = load("background/app.py").app
    async with connect(app, "/stopwatch", deadline=2) as client:
        assert [await client.receive() for _ in range(3)] == ["0", "1", "2"]
        await client.send("anew")
        assert await client.receive() == "1"
    async with connect(app, "/countdown?from=2", deadline=5) as client:
        assert await client.receive() == "2"
        await client.send("wait!")
        assert await client.receive() == "Not now: wait!"
        end = await client.wait_closed()
        assert (end.code, end.reason) == (CloseCode.NORMAL_CLOSURE, "lift-off")


@shows("background/several.py")
async def test_several_messages_at_once() -> None:
    """Addresses, which need no network to be found, and a name that nothing has."""
    async with connect(load("background/several.py").app, deadline=10) as client:
        await client.send("127.0.0.1")
        assert await client.receive_json() == {"name": "127.0.0.1", "address": "127.0.0.1"}
        await client.send("a name with spaces")
        assert await client.receive_json() == {"name": "a name with spaces", "address": None}


@shows("market/app.py")
async def test_market(autojump_clock: MockClock) -> None:
    """Prices come from the application's task; an unknown metal is refused."""
    app = load("market/app.py").app
    async with connect(app, "/prices/gold", deadline=2) as client:
        for _ in range(4):
            price = await client.receive_json()
            assert price["metal"] == "gold"
            assert price["price"] > 0
    with pytest.raises(HandshakeRefused):
        async with connect(app, "/prices/lead"):
            pass


@shows("market/overflow.py", "market/overflow.txt")
def test_overflow() -> None:
    """The program prints what the page shows."""
    assert run("examples/market/overflow.py") == read("market/overflow.txt")


@shows("web/app.py")
async def test_web(capsys: pytest.CaptureFixture[str]) -> None:
    """Every route, the static files, the lifespan and its state, over a real port."""
    config = Config()
    config.bind = ["127.0.0.1:0"]
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            [url] = await nursery.start(serve, load("web/app.py").app, config)
            assert "This page was opened" in await fetch(url)
            assert "new WebSocket" in await fetch(f"{url}/static/visits.js")
            assert await fetch(f"{url}/hello/Ada") == f"Hello, Ada! The status is at {url}/status."
            async with trio_websocket.open_websocket_url(url.replace("http", "ws") + "/visits") as client:
                assert await client.get_message() == '{"visits":1}'
                assert await fetch(f"{url}/status") == '{"visits":1,"watching":1}'
            nursery.cancel_scope.cancel()
    assert capsys.readouterr().out == "the application starts\nthe application stops\n"


async def fetch(url: str) -> str:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(url)
    assert answer.status_code == 200
    return answer.text


@shows("door/app.py")
async def test_door(autojump_clock: MockClock) -> None:
    """Who may pass does, and who may not gets the answer that the docstring names."""
    app = load("door/app.py").app

    async def refusal(path: str, **handshake: Any) -> tuple[int, bytes]:
        with pytest.raises(HandshakeRefused) as refused:
            async with connect(app, path, **handshake):
                pass
        return refused.value.status, refused.value.body

    assert await refusal("/closed") == (403, b"The handshake was refused.\n")
    assert await refusal("/secret") == (401, b"Say the password.\n")
    async with connect(app, "/secret", headers={"authorization": "Bearer open-sesame"}):
        pass
    for path in ("/partner", "/late", "/nowhere"):
        assert (await refusal(path, headers={"origin": "https://evil.example"}))[0] == 403
    assert (await refusal("/late", headers={"origin": "https://partner.example"}))[0] == 403
    async with connect(app, "/partner") as client:
        assert await client.receive() == "welcome"
    for origin in ("http://testserver", "https://partner.example"):
        async with connect(app, "/partner", headers={"origin": origin}) as client:
            assert await client.receive() == "welcome"
    async with connect(app, "/late") as client:
        await client.send("open-sesame")
        assert await client.receive() == "welcome"
    async with connect(app, "/late", deadline=11) as client:
        assert (await client.wait_closed()).code == CloseCode.POLICY_VIOLATION
    assert await refusal("/versions") == (400, b'{"error":"offer the subprotocol v1 or v2"}')
    async with connect(app, "/versions", subprotocols=["v1", "v2"]) as client:
        assert client.subprotocol == "v2"
        assert (b"x-served-by", b"door") in client.headers


@shows("items/app.py")
async def test_items(autojump_clock: MockClock) -> None:
    """With a token or a cookie the server answers, and without them it refuses."""
    app = load("items/app.py").app
    async with connect(app, "/items/teapot/ws?token=abc&q=3") as client:
        await client.send("hello")
        assert [await client.receive() for _ in range(3)] == [
            "Your session or token is: abc",
            "The query parameter q is: 3",
            "You said about item teapot: hello",
        ]
    async with connect(app, "/items/teapot/ws", headers={"cookie": "session=xyz"}) as client:
        await client.send("hello")
        assert await client.receive() == "Your session or token is: xyz"
        assert await client.receive() == "You said about item teapot: hello"
    for query in ("", "?token=", "?token=abc&q=many"):
        with pytest.raises(HandshakeRefused) as refused:
            async with connect(app, f"/items/teapot/ws{query}"):
                pass
        assert refused.value.status == 403


@shows("items/database.py", "items/database.txt")
def test_database() -> None:
    """The program prints what the page shows."""
    assert run("examples/items/database.py") == read("items/database.txt")


@shows("fastapi/app.py")
async def test_fastapi() -> None:
    """What is posted to FastAPI reaches the WebSockets that are mounted in it; the class among its routes answers."""
    config = Config()
    config.bind = ["127.0.0.1:0"]
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            [url] = await nursery.start(serve, load("fastapi/app.py").api, config)
            async with trio_websocket.open_websocket_url(f"{url.replace('http', 'ws')}/live/news") as reader:
                async with httpx.AsyncClient(base_url=url) as client:
                    answer = await client.post("/headlines", json={"text": "tea is ready"})
                assert answer.json() == {"delivered": 1}
                assert await reader.get_message() == "tea is ready"
            async with trio_websocket.open_websocket_url(f"{url.replace('http', 'ws')}/live/echo") as other:
                await other.send_message("hello")
                assert await other.get_message() == "hello"
            nursery.cancel_scope.cancel()


@shows("authentication/app.py")
async def test_authentication(autojump_clock: MockClock) -> None:
    """Every way in works for those who have what it takes, and answers 401 to those who have not."""
    app = load("authentication/app.py").app

    def basic(text: str) -> dict[str, str]:
        return {"authorization": "Basic " + base64.b64encode(text.encode()).decode()}

    ways: list[tuple[str, dict[str, Any]]] = [
        ("/bearer", {"headers": {"authorization": "Bearer ada-token"}}),
        ("/cookie", {"headers": {"cookie": "session=ada-token"}}),
        ("/subprotocol", {"subprotocols": ["notes", "bearer.ada-token"]}),
    ]
    for path, handshake in ways:
        async with connect(app, path, **handshake) as client:
            assert client.subprotocol == ("notes" if path == "/subprotocol" else None)
            assert (await client.receive_json())["user"] == "ada"
            await client.send(f"from {path}")
            assert await client.receive_json() == {"from": "ada", "note": f"from {path}"}
    async with connect(app, "/basic", headers=basic("ada:lovelace")) as client:
        await client.send("basic")
        assert await client.receive_json() == {"note": "basic"}
    async with connect(app, "/bearer", headers={"authorization": "Bearer grace-token"}) as client:
        assert len((await client.receive_json())["notes"]) == 4
        await client.send("mine")
        assert await client.receive_json() == {"error": "you may read, and not write"}

    async def refusal(path: str, **handshake: Any) -> int:
        with pytest.raises(HandshakeRefused) as refused:
            async with connect(app, path, **handshake):
                pass
        return refused.value.status

    for path in ("/bearer", "/cookie", "/subprotocol", "/basic"):
        assert await refusal(path) == 401
    assert await refusal("/bearer", headers={"authorization": "Bearer wrong"}) == 401
    assert await refusal("/subprotocol", subprotocols=["notes", "bearer.wrong"]) == 401
    for wrong in ("ada:wrong", "nobody:no such user"):
        assert await refusal("/basic", headers=basic(wrong)) == 401
    assert await refusal("/basic", headers=basic("grace:hopper")) == 403


@shows("ownserver/main.py")
async def test_own_program() -> None:
    """It prints where it serves, and the time comes."""
    process = await trio.lowlevel.open_process(
        [sys.executable, str(ROOT / "examples/ownserver/main.py"), "127.0.0.1:0"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    async with process.stdout:
        try:
            with trio.fail_after(PATIENCE):
                line = b""
                while not line.endswith(b"\n"):
                    line += await process.stdout.receive_some()
                found = re.fullmatch(r"the time is served on (http://\S+)\n", line.decode())
                assert found is not None
                async with trio_websocket.open_websocket_url(found[1].replace("http", "ws")) as client:
                    assert re.fullmatch(r"\d\d:\d\d:\d\d", str(await client.get_message()))
        finally:
            process.terminate()
            with trio.CancelScope(shield=True):
                await process.wait()


async def test_an_endpoint_class_in_another_application(autojump_clock: MockClock) -> None:
    """Starlette can route to it, and it has no hub there."""
    echo = load("echo/app.py").Echo
    async with connect(Starlette(routes=[WebSocketRoute("/echo", echo)]), "/echo") as client:
        await client.send("hello")
        assert await client.receive() == "hello"
    with pytest.raises(WebSocketStateError, match="has no hub"):
        _ = echo({"type": "websocket"}, None, None).hub
