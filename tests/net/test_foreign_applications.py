"""Our endpoints inside Starlette and FastAPI, and applications of FastAPI and Quart-Trio on our server."""

from typing import Annotated, Any

import fastapi
import httpx
import pytest
import quart
import quart_trio
from starlette.applications import Starlette
from starlette.routing import Mount, WebSocketRoute

import wsframework
from tests.net.servers import Kind, OnPortablePath, OverSockets, StockHypercorn, address_of, run_server, served_by
from wsframework import App, WebSocket, WebSocketEndpoint
from wsframework.testing import HandshakeRefused

kind = served_by(OverSockets(), OnPortablePath(), StockHypercorn())


class Chat(WebSocketEndpoint):
    """Answers, with a task of its own, and notes how it ends."""

    encoding = "text"
    ends: list[int]

    async def on_connect(self, websocket: WebSocket, name: str = "nobody") -> None:
        await websocket.accept()
        self.start_soon(websocket.send_text, f"hello {name}")

    async def on_receive(self, websocket: WebSocket, data: str) -> None:
        if data == "fail":
            raise ZeroDivisionError("a secret")
        await websocket.send_text(data.upper())

    async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
        self.ends.append(close_code)


async def function(websocket: WebSocket) -> None:
    """A function endpoint of ours."""
    await websocket.accept()
    await websocket.send_text(websocket.path_params["name"])


def in_starlette(chat: type[Chat]) -> Any:
    return Starlette(
        routes=[WebSocketRoute("/ws/{name}", chat), Mount("/below", routes=[WebSocketRoute("/ws/{name}", chat)])]
    )


def in_fastapi(chat: type[Chat]) -> Any:
    app, router = fastapi.FastAPI(), fastapi.APIRouter()
    app.router.routes.append(WebSocketRoute("/ws/{name}", chat))
    router.routes.append(WebSocketRoute("/ws/{name}", chat))
    app.mount("/below", router)
    return app


@pytest.mark.parametrize("mount", [in_starlette, in_fastapi])
@pytest.mark.parametrize("path", ["/ws/ada", "/below/ws/ada"])
async def test_a_class_in_another_framework(mount: Any, path: str, kind: Kind) -> None:
    """The class is an ASGI application: hooks, tasks, parameters and the end are what they are at home."""
    ends: list[int] = []
    app = mount(type("NotedChat", (Chat,), {"ends": ends}))
    async with kind.running(app) as served:
        async with served.connect(path) as client:
            assert await client.receive() == "hello ada"
            await client.send("hi")
            assert await client.receive() == "HI"
        async with served.connect(path) as client:
            assert await client.receive() == "hello ada"
            await client.send("fail")
            assert (await client.wait_closed()).code == 1011
    assert sorted(ends) == [1006 if kind.stock else 1000, 1011]


@pytest.mark.parametrize("mount", [in_starlette, in_fastapi])
async def test_origins_are_checked_there_too(mount: Any, kind: Kind) -> None:
    """A page of another site is refused, though no App is around."""
    app = mount(type("NotedChat", (Chat,), {"ends": []}))
    async with kind.running(app) as served:
        with pytest.raises(HandshakeRefused) as refused:
            async with served.connect("/ws/ada", headers={"origin": "https://evil.example"}):
                pass
    assert refused.value.status == 403


async def test_a_function_in_starlette(kind: Kind) -> None:
    """Our route stands among Starlette's."""
    app = Starlette(routes=[wsframework.WebSocketRoute("/{name}", function)])
    async with kind.running(app) as served, served.connect("/ada") as client:
        assert await client.receive() == "ada"


def fastapi_app() -> fastapi.FastAPI:
    """A FastAPI application as its users write it."""
    app = fastapi.FastAPI()

    async def token(token: Annotated[str | None, fastapi.Query()] = None) -> str:
        if token is None:
            raise fastapi.WebSocketException(code=fastapi.status.WS_1008_POLICY_VIOLATION)
        return token

    @app.get("/items/{item_id}")
    async def item(item_id: int) -> dict[str, int]:
        return {"item": item_id}

    @app.websocket("/items/{item_id}/ws")
    async def talk(websocket: fastapi.WebSocket, item_id: int, token: Annotated[str, fastapi.Depends(token)]) -> None:
        await websocket.accept()
        try:
            while True:
                await websocket.send_json([item_id, token, await websocket.receive_text()])
        except fastapi.WebSocketDisconnect as end:
            ends.append(end.code)

    ends: list[int] = []
    app.state.ends = ends
    return app


@pytest.mark.parametrize("mounted", [False, True])
@pytest.mark.parametrize("hooked", [False, True])
async def test_a_fastapi_application(mounted: bool, hooked: bool, kind: Kind) -> None:
    """Its WebSocket routes and dependencies work, alone and mounted in an App, behind a hook and without one."""
    foreign = fastapi_app()
    app: Any = foreign
    seen: list[str] = []
    if mounted:
        app = App()
        app.mount("/api", foreign)
        if hooked:

            @app.before_request(websocket=True)
            async def look(websocket: WebSocket) -> None:
                seen.append(websocket.url.path)

    prefix = "/api" if mounted else ""
    async with kind.running(app) as served:
        async with served.connect(f"{prefix}/items/3/ws?token=t") as client:
            for text in ("one", "two"):
                await client.send(text)
                assert await client.receive_json() == [3, "t", text]
            await client.close(4000)
        with pytest.raises(HandshakeRefused) as refused:
            async with served.connect(f"{prefix}/items/3/ws"):
                pass
        assert refused.value.status == 403
    assert foreign.state.ends == ([1006] if kind.stock else [4000])
    assert len(seen) == (2 if mounted and hooked else 0)


async def test_http_of_a_fastapi_application() -> None:
    """Its HTTP routes, their validation and its page of documentation are served as well."""
    async with run_server(fastapi_app()) as server:
        host, port = address_of(server.url)
        async with httpx.AsyncClient(base_url=f"http://{host}:{port}") as client:
            assert (await client.get("/items/3")).json() == {"item": 3}
            assert (await client.get("/items/x")).status_code == 422
            assert (await client.get("/openapi.json")).json()["openapi"].startswith("3.")


async def test_a_quart_trio_application(kind: Kind) -> None:
    """It runs on our server: messages of both kinds, closing, and a refusal."""
    app = quart_trio.QuartTrio(__name__)

    @app.websocket("/ws")
    async def echo() -> None:
        await quart.websocket.accept()
        while True:
            message = await quart.websocket.receive()
            if message == "bye":
                await quart.websocket.close(4000, "bye")
                return
            await quart.websocket.send(message)

    @app.websocket("/secret")
    async def secret() -> Any:
        return "who are you?", 401

    async with kind.running(app) as served:
        async with served.connect("/ws") as client:
            for message in ("text", b"bytes"):
                await client.send(message)
                assert await client.receive() == message
            await client.send("bye")
            end = await client.wait_closed()
            assert (end.code, end.reason) == (4000, "bye")
        for path, status in (("/secret", 401), ("/nowhere", 404)):
            with pytest.raises(HandshakeRefused) as refused:
                async with served.connect(path):
                    pass
            assert refused.value.status == status
