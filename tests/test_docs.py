"""What the documentation shows is what happens: its programs run, its output is theirs, its reference is complete."""

from __future__ import annotations

import ast
import base64
import importlib
import importlib.util
import inspect
import itertools
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import attrs
import click
import httpx
import pytest
import trio
import trio_websocket
from hypercorn.config import Config
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from trio.testing import MockClock

import wsframework.testing
from tests.cli import command
from tests.test_exports import PUBLIC
from wsframework import CloseCode, Limits, Overflow, WebSocketStateError, serve
from wsframework.cli import main
from wsframework.testing import HandshakeRefused, connect

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
PATIENCE = 30.0  # seconds until a process is given up

T = TypeVar("T")
_shown: set[str] = set()  # files of examples/ that a test below runs


def shows(*names: str) -> Callable[[T], T]:
    """Note that a test runs these files of examples/."""
    _shown.update(names)
    return lambda test: test


def load(name: str) -> ModuleType:
    """Run a file of examples/ as a fresh module."""
    path = ROOT / "examples" / name
    spec = importlib.util.spec_from_file_location(f"example_{path.parent.name}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # where annotations are looked up
    spec.loader.exec_module(module)
    return module


def run(*arguments: str) -> str:
    """Run a program of examples/ to its end and return what it printed."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def read(*parts: str) -> str:
    return ROOT.joinpath(*parts).read_text("utf-8")


# Pages


def test_every_included_file_is_run_by_a_test() -> None:
    """A page includes no program that no test here runs."""
    included = {name for page in PAGES for name in re.findall(r'--8<-- "examples/(.+?)"', page.read_text("utf-8"))}
    assert included - _shown == set()
    assert [name for name in included if not (ROOT / "examples" / name).is_file()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_page(page: Path) -> None:
    """Short pieces of Python on a page are Python, files that it names exist, and so do the pages it links to."""
    text = page.read_text("utf-8")
    for piece in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        if "--8<--" not in piece:
            ast.parse("async def piece():\n" + textwrap.indent(piece, "    "))
    for name in re.findall(r"examples/[\w./]*\w", text):
        assert (ROOT / name).exists(), name
    for target, anchor in re.findall(r"\]\((?!http)([^)#]*)#?([^)]*)\)", text):
        linked = (page.parent / target).resolve() if target else page
        assert linked.is_file(), target
        assert not anchor or anchor in anchors(linked.read_text("utf-8")), f"{target}#{anchor}"


def anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w]+", "-", heading.lower()).strip("-") for heading in headings}


@pytest.mark.parametrize(
    "path", sorted((ROOT / "examples").rglob("*.py")), ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_every_example_says_what_to_run(path: Path) -> None:
    """An example begins with a docstring that has a command, and the command names a file that is there."""
    docstring = ast.get_docstring(ast.parse(path.read_text("utf-8")))
    assert docstring is not None
    named = re.findall(r"(?:wsframework run|python|pytest) (examples/[\w./]*\w)", docstring)
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


# Tutorial


@shows("echo/app.py", "echo/function.py")
@pytest.mark.parametrize("name", ["echo/app.py", "echo/function.py"])
async def test_echo(name: str) -> None:
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
    assert sorted(printed.splitlines()) == sorted(read("examples", "room", f"{name}.txt").splitlines())


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
async def test_typed_messages(capsys: pytest.CaptureFixture[str]) -> None:
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


@shows("chat/app.py")
async def test_chat(autojump_clock: MockClock) -> None:
    """Who was away gets what was said meanwhile; a newcomer gets what is remembered; a name is somebody's alone."""
    app = load("chat/app.py").app
    talk, people = {"type": "subscribe", "topic": "talk:tea"}, {"type": "subscribe", "topic": "people:tea"}
    async with connect(app, "/chat/elsewhere"):  # so that the application goes on
        async with connect(app, "/chat/tea?name=Ada&key=a", deadline=2) as ada:
            await ada.send_json(people)
            assert [(await ada.receive_json())["presence"] for _ in range(2)] == ["here", "join"]
            assert (await ada.receive_json())["name"] == "Ada"
            await ada.send_json(talk)
            assert (await ada.receive_json())["recovered"] is False
            async with connect(app, "/chat/tea?name=Ada&key=b", deadline=2) as other:
                await other.send_json(people)
                names = [member["data"]["name"] for member in (await other.receive_json())["members"]]
                assert names == ["Ada"]
                assert (await other.receive_json())["members"][0]["data"] == {"name": "Ada (2)"}
                assert (await other.receive_json())["name"] == "Ada (2)"
                for text in ("one", "two"):
                    await other.send_json({"type": "say", "text": text})
            assert (await ada.receive_json())["presence"] == "join"
            first = await ada.receive_json()
            assert first["data"]["text"] == "one"
        since = {"epoch": first["epoch"], "offset": first["offset"]}
        for asked, texts in (({**talk, "since": since}, ["two"]), (talk, ["one", "two"])):
            async with connect(app, "/chat/tea?name=Ada&key=a", deadline=2) as ada:
                await ada.send_json(asked)
                assert [(await ada.receive_json())["data"]["text"] for _ in texts] == texts
                assert (await ada.receive_json())["recovered"]
                await ada.send_json({"type": "say", "text": "nameless"})
                assert (await ada.wait_closed()).code == CloseCode.POLICY_VIOLATION


@shows("ticker/app.py")
async def test_ticker(autojump_clock: MockClock) -> None:
    """A newcomer begins with the newest price of each name; one that stalls goes on with the newest, and skips."""
    app = load("ticker/app.py").app
    async with connect(app, "/live", window=20_000, deadline=5) as client:
        prices = [(await client.receive_json())["data"] for _ in range(12)]
        assert len({price["name"] for price in prices}) == 6
        client.stall()
        await trio.sleep(9)
        assert app.hub.statistics("prices").waiting == 6
        client.resume()
        numbers = [(await client.receive_json())["data"]["number"] for _ in range(1_000)]
        assert max(after - before for before, after in itertools.pairwise(numbers)) > 100


@shows("collaboration/app.py")
async def test_collaboration(autojump_clock: MockClock) -> None:
    """Notes reach everybody, as a state or as changes; two connections with one cookie are one person."""
    app = load("collaboration/app.py").app
    board = {"type": "subscribe", "topic": "board"}
    note = {"type": "put", "id": "n", "by": "p", "x": 10, "y": 20, "text": "tea"}

    async def enter(client: wsframework.testing.Client) -> list[dict[str, Any]]:
        await client.send_json(board)
        messages = [await client.receive_json()]
        while "recovered" not in messages[-1]:
            messages.append(await client.receive_json())
        return messages

    async with connect(app, "/live", headers={"cookie": "board=a; name=Ada"}, deadline=20) as ada:
        messages = await enter(ada)
        assert messages[0]["type"] == "welcome"
        assert messages[1:3] == [
            {"topic": "board", "presence": "here", "members": []},
            {
                "topic": "board",
                "presence": "join",
                "members": [{"identity": messages[0]["identity"], "data": messages[2]["members"][0]["data"]}],
            },
        ]
        assert messages[2]["members"][0]["data"]["name"] == "Ada"
        assert messages[3] == {"type": "state", "notes": []}
        await ada.send_json(note)
        assert (await ada.receive_json())["data"] == note
        async with connect(app, "/live", headers={"cookie": "board=b; name=Grace"}, deadline=5) as grace:
            assert (await enter(grace))[-2] == {"type": "state", "notes": [note]}
            assert (await ada.receive_json())["presence"] == "join"
            await grace.send_json({"type": "subscribe", "topic": "cursors"})
            await ada.send_json({"type": "point", "x": 1, "y": 2})
            assert (await grace.receive_json())["data"] == {"identity": messages[0]["identity"], "x": 1, "y": 2}
            async with connect(app, "/live", headers={"cookie": "board=a; name=Ada"}, deadline=5) as tab:
                await enter(tab)
                assert len(await app.hub.presence("board")) == 2
        assert (await ada.receive_json())["presence"] == "leave"  # after the grace period
    with pytest.raises(HandshakeRefused):
        async with connect(app, "/live"):
            pass


@shows("browser/topics.js", "ticker/slow.py")
@pytest.mark.parametrize("name", ["chat", "ticker", "collaboration"])
async def test_pages_of_examples(name: str) -> None:
    """Whatever a page loads is there. What it does is tested in a browser."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(load(f"{name}/app.py").app)) as client:
        seen: set[str] = set()
        left = ["http://testserver/"]
        while left:
            url = httpx.URL(left.pop())
            answer = await client.get(url)
            assert answer.status_code == 200, url
            seen.add(url.path)
            found = re.findall(r'(?:src|href|from) ?=? ?"([\w./]+)"', answer.text)
            left += [str(url.join(each)) for each in found if url.join(each).path not in seen]
    assert {"/browser/topics.js", "/browser/status.js", "/browser/page.css"} < seen


@shows("market/overflow.py", "market/overflow.txt")
def test_overflow() -> None:
    """The program prints what the page shows."""
    assert run("examples/market/overflow.py") == read("examples", "market", "overflow.txt")


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
    assert run("examples/items/database.py") == read("examples", "items", "database.txt")


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


async def test_an_endpoint_class_in_another_application() -> None:
    """Starlette can route to it, and it has no hub there."""
    echo = load("echo/app.py").Echo
    async with connect(Starlette(routes=[WebSocketRoute("/echo", echo)]), "/echo") as client:
        await client.send("hello")
        assert await client.receive() == "hello"
    with pytest.raises(WebSocketStateError, match="has no hub"):
        _ = echo({"type": "websocket"}, None, None).hub


# Reference

# Where each public name is described.
REFERENCE = {
    "wsframework.WebSocketEndpoint": "endpoint",
    "wsframework.WebSocket": "websocket",
    "wsframework.App": "app",
    "wsframework.WebSocketRoute": "app",
    "wsframework.ForwardedHeaders": "server",
    "wsframework.server.AccessRecord": "server",
    "wsframework.server.JSONFormatter": "server",
    "wsframework.Envelope": "hub",
    "wsframework.EventStream": "app",
    "wsframework.Gap": "hub",
    "wsframework.History": "hub",
    "wsframework.Hub": "hub",
    "wsframework.HubStatistics": "hub",
    "wsframework.Lag": "hub",
    "wsframework.Member": "hub",
    "wsframework.Overflow": "hub",
    "wsframework.Position": "hub",
    "wsframework.PresenceEvent": "hub",
    "wsframework.Publications": "hub",
    "wsframework.Published": "hub",
    "wsframework.Receipt": "hub",
    "wsframework.Cookie": "dependencies",
    "wsframework.Depends": "dependencies",
    "wsframework.Header": "dependencies",
    "wsframework.Path": "dependencies",
    "wsframework.Query": "dependencies",
    "wsframework.Security": "dependencies",
    "wsframework.SecurityScopes": "dependencies",
    "wsframework.security.APIKeyCookie": "dependencies",
    "wsframework.security.APIKeyHeader": "dependencies",
    "wsframework.security.APIKeyQuery": "dependencies",
    "wsframework.security.BearerSubprotocol": "dependencies",
    "wsframework.security.HTTPAuthorizationCredentials": "dependencies",
    "wsframework.security.HTTPBasic": "dependencies",
    "wsframework.security.HTTPBasicCredentials": "dependencies",
    "wsframework.security.HTTPBearer": "dependencies",
    "wsframework.security.same_secret": "dependencies",
    "wsframework.StandardEnvelope": "hub",
    "wsframework.Subscription": "hub",
    "wsframework.TopicStatistics": "hub",
    "wsframework.Limits": "limits",
    "wsframework.ClientError": "errors",
    "wsframework.CloseCode": "errors",
    "wsframework.HTTPException": "errors",
    "wsframework.InvalidData": "errors",
    "wsframework.InvalidParameter": "errors",
    "wsframework.ProtocolError": "errors",
    "wsframework.StartupError": "errors",
    "wsframework.Deflate": "app",
    "wsframework.SubscriptionRefused": "errors",
    "wsframework.WebSocketDisconnect": "errors",
    "wsframework.WebSocketException": "errors",
    "wsframework.WebSocketStateError": "errors",
    "wsframework.serve": "server",
    "wsframework.server.Server": "server",
    "wsframework.server.ServerStatistics": "server",
    "wsframework.server.serve": "server",
    "wsframework.testing.Client": "testing",
    "wsframework.testing.HandshakeRefused": "testing",
    "wsframework.testing.NothingReceived": "testing",
    "wsframework.testing.TestClient": "testing",
    "wsframework.testing.WebSocketDenialResponse": "testing",
    "wsframework.testing.WebSocketTestSession": "testing",
    "wsframework.testing.connect": "testing",
}

# Public attributes that are for the package itself.
INTERNAL = {
    "WebSocket": {"passes_over", "starter", "transport"},
    "WebSocketRoute": {"matches", "handle", "url_path_for"},  # Starlette's
    "Receipt": {"add", "settle", "saw_behind"},
}


def reference(page: str) -> str:
    return read("docs", "reference", f"{page}.md")


def test_the_reference_has_every_public_name() -> None:
    """The list above is the list of public names, and each is on its page."""
    public = {f"{module}.{name}" for module, names in PUBLIC.items() for name in names}
    assert public == set(REFERENCE)
    missing = [name for name, page in REFERENCE.items() if f"`{name.rpartition('.')[2]}" not in reference(page)]
    assert [name for name in missing if f"# {name.rpartition('.')[2]}\n" not in reference(REFERENCE[name])] == []


@pytest.mark.parametrize("name", REFERENCE)
def test_the_reference_has_every_method_and_parameter(name: str) -> None:
    """Each public method is on its page as it is called, with its defaults; each attribute is named."""
    module, _, own_name = name.rpartition(".")
    thing = getattr(importlib.import_module(module), own_name)
    text = reference(REFERENCE[name])
    expected = []
    if inspect.isfunction(thing):
        expected.append(own_name + parameters(thing))
    elif own_name in ("App", "EventStream", "ForwardedHeaders", "Hub", "WebSocketRoute"):
        expected.append(own_name + parameters(thing))
    if inspect.isclass(thing) and not issubclass(thing, BaseException):
        for attribute, value in vars(thing).items():
            if attribute.startswith("_") or attribute in INTERNAL.get(own_name, ()) or attribute == "dispatch":
                continue
            expected.append(attribute + (parameters(value, method=True) if inspect.isfunction(value) else "`"))
    assert [each for each in expected if f"`{each}" not in text and f"{own_name}.{each}" not in text] == []


def parameters(function: Any, method: bool = False) -> str:
    """Write the parameters of a function without their types, as the reference has them."""
    signature = inspect.signature(function)
    chosen = list(signature.parameters.values())[1 if method else 0 :]
    plain = [each.replace(annotation=inspect.Parameter.empty, default=_written(each.default)) for each in chosen]
    return str(signature.replace(parameters=plain, return_annotation=inspect.Signature.empty))


class _Verbatim:
    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _written(default: Any) -> Any:
    if isinstance(default, Enum):
        return _Verbatim(f"{type(default).__name__}.{default.name}")
    if default is trio.TASK_STATUS_IGNORED:
        return _Verbatim("TASK_STATUS_IGNORED")
    return default


def test_the_table_of_limits() -> None:
    """It has every limit with its default."""
    rows = dict(re.findall(r"^\| `(\w+)` \| ([\d.]+|None) \|", reference("limits"), re.MULTILINE))
    assert rows == {field.name: str(getattr(Limits(), field.name)) for field in attrs.fields(Limits)}


def test_the_table_of_close_codes() -> None:
    """It has every code, and says which may be sent."""
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (yes|no)", reference("errors"), re.MULTILINE)
    never = {CloseCode.NO_STATUS_RECEIVED, CloseCode.ABNORMAL_CLOSURE, CloseCode.TLS_HANDSHAKE}
    assert rows == [(code.name, str(int(code)), "no" if code in never else "yes") for code in CloseCode]


def test_the_table_of_policies() -> None:
    """It has every policy."""
    assert set(re.findall(r"^\| `Overflow\.(\w+)` \|", reference("hub"), re.MULTILINE)) == set(Overflow.__members__)


@pytest.mark.parametrize("statistics", [wsframework.HubStatistics, wsframework.TopicStatistics])
def test_the_table_of_statistics(statistics: type) -> None:
    """It has every number."""
    table = reference("hub").partition(f"## {statistics.__name__}\n")[2].partition("\n## ")[0]
    fields = [field.name for field in attrs.fields(statistics)]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == fields


def test_the_command_line() -> None:
    """The page has every option of `run` with its default."""
    text = reference("server")
    run_command = main.commands["run"]
    for parameter in run_command.params:
        if isinstance(parameter, click.Option):
            assert ", ".join(f"`{option}`" for option in parameter.opts) in text
            if isinstance(parameter.default, str):
                assert f"`{parameter.default}`" in text
    assert [command for command in main.commands if f"wsframework {command}" not in text] == []


def test_every_page_is_in_the_navigation() -> None:
    """Whoever reads the pages in a browser finds each of them."""
    navigation = (ROOT / "zensical.toml").read_text("utf-8")
    pages = [str(page.relative_to(ROOT / "docs")) for page in sorted((ROOT / "docs").rglob("*.md"))]
    assert [page for page in pages if f'"{page}"' not in navigation] == []
