"""Values from the handshake: where they come from, what they become, and how those that do not fit are refused."""

import logging
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal, NewType
from uuid import UUID

import pytest
import trio
from msgspec import Meta
from trio.testing import MockClock

from wsframework import App, Cookie, Header, Hub, Path, Query, WebSocket, WebSocketEndpoint
from wsframework.testing import HandshakeRefused, connect


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Size(IntEnum):
    SMALL = 1
    LARGE = 2


UserId = NewType("UserId", int)


async def value_of(annotation: Any, query: str, default: Any = ...) -> Any:
    """What a function endpoint gets for the query parameter ``x``."""
    got: list[Any] = []
    app = App()

    if default is ...:

        async def endpoint(websocket: WebSocket, x: annotation) -> None:
            got.append(x)
            await websocket.accept()
    else:

        async def endpoint(websocket: WebSocket, x: annotation = default) -> None:
            got.append(x)
            await websocket.accept()

    app.websocket("/")(endpoint)
    async with connect(app, f"/?{query}"):
        pass
    [value] = got
    return value


async def refusal(app: App, path: str = "/", **handshake: Any) -> tuple[int, str]:
    with pytest.raises(HandshakeRefused) as refused:
        async with connect(app, path, **handshake):
            pass
    return refused.value.status, refused.value.body.decode()


@pytest.mark.parametrize(
    ("annotation", "query", "expected"),
    [
        (str, "x=5", "5"),
        (Any, "x=5", "5"),
        (int, "x=5", 5),
        (int | None, "x=5", 5),
        (float, "x=2.5", 2.5),
        (bool, "x=true", True),
        (bool, "x=0", False),
        (Colour, "x=blue", Colour.BLUE),
        (Size, "x=2", Size.LARGE),
        (Literal["a", "b"], "x=b", "b"),
        (Literal[1, 2], "x=2", 2),
        (UserId, "x=7", 7),
        (Decimal, "x=1.10", Decimal("1.10")),
        (date, "x=2031-05-04", date(2031, 5, 4)),
        (datetime, "x=2031-05-04T10:00:00Z", datetime(2031, 5, 4, 10, tzinfo=UTC)),
        (timedelta, "x=PT90S", timedelta(seconds=90)),
        (UUID, "x=12345678-1234-5678-1234-567812345678", UUID("12345678-1234-5678-1234-567812345678")),
        (list[int], "x=1&x=2", [1, 2]),
        (list[Colour] | None, "x=red&x=blue", [Colour.RED, Colour.BLUE]),
        pytest.param(set[str], "x=a&x=a&x=b", {"a", "b"}, id="set"),  # str would name it in any order
        (tuple[int, str], "x=1&x=b", (1, "b")),
        (list, "x=1&x=b", ["1", "b"]),
        (Annotated[int, Meta(ge=1)], "x=1", 1),
        (Annotated[int, Meta(ge=1), Query(le=3), "a remark"], "x=3", 3),
        (Annotated[int | None, Query(ge=3)], "x=3", 3),
        (Annotated[int, Query(title="a number", le=9)], "x=3", 3),
        (Annotated[list[int], Query(description="some numbers")], "x=3", [3]),
        (Annotated[list[Annotated[int, Meta(le=9, title="one")]], Meta(max_length=2)], "x=3", [3]),
        (int | bool, "x=true", True),
        (Literal["a"] | int, "x=4", 4),
        (str, "x=", ""),
        (str | None, "x=null", "null"),
        (str, "x=%C3%A4%20b", "ä b"),
        (str, "x=first&x=last", "last"),
    ],
    ids=str,
)
async def test_a_text_becomes_a_value(annotation: Any, query: str, expected: Any, autojump_clock: MockClock) -> None:
    """msgspec makes what the annotation says out of the text."""
    value = await value_of(annotation, query)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("annotation", "query", "reason"),
    [
        (int, "x=s3cret", "is not int"),
        (int | None, "x=null", "is not int"),
        (int | None, "x=", "is not int"),
        (bool, "x=s3cret", "is not bool"),
        (Colour, "x=s3cret", "is not one of 'red', 'blue'"),
        (list[Colour], "x=red&x=s3cret", "is not one of 'red', 'blue'"),
        (Literal[1, 2], "x=33333", "is not one of 1, 2"),
        (UUID, "x=s3cret", "is no valid UUID"),
        (datetime, "x=s3cret", "is no valid RFC3339 encoded datetime"),
        (Decimal, "x=s3cret", "is no valid decimal string"),
        (Annotated[str, Query(min_length=9)], "x=s3cret", "is not str of length >= 9"),
        (Annotated[str, Query(pattern="^a")], "x=s3cret", "is not str matching regex '^a'"),
        (Annotated[int, Meta(ge=5)], "x=3", "is not int >= 5"),
        (Annotated[int | None, Query(gt=5)], "x=3", "is not int >= 6"),
        (list[int], "x=1&x=s3cret", "is not int"),
        (Literal["a"] | int, "x=s3cret", "is not one of 'a'"),
        (Annotated[Colour, Query(title="a colour")], "x=s3cret", "is not one of 'red', 'blue'"),
        (Annotated[list[int], Query(max_length=1)], "x=1&x=2", "is not array of length <= 1"),
        (tuple[int, str], "x=1", "is not array of length 2"),
        (int, "y=1", "is missing"),
        (list[int], "y=1", "is missing"),
    ],
    ids=str,
)
async def test_a_value_that_does_not_fit(
    annotation: Any, query: str, reason: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The handshake is refused with 403; the body names the parameter and the reason and never shows the value."""
    caplog.set_level(logging.DEBUG)
    with pytest.raises(HandshakeRefused) as refused:
        await value_of(annotation, query)
    assert (refused.value.status, refused.value.body.decode()) == (403, f"query parameter 'x' {reason}\n")
    assert "s3cret" not in caplog.text


async def test_default(autojump_clock: MockClock) -> None:
    """What the query does not have is what the signature says, as it is written there."""
    assert await value_of(int, "", 7) == 7
    assert await value_of(int | None, "", None) is None
    assert await value_of(int, "", None) is None
    assert await value_of(int, "", Query(7)) == 7
    assert await value_of(int, "x=8", Query(7)) == 8
    assert await value_of(list[int], "", Query(default_factory=list)) == []
    assert await value_of(int, "x=1", Query(...)) == 1


async def test_every_place(autojump_clock: MockClock) -> None:
    """Path, query, header and cookie, as Annotated and as defaults, with their names and with others."""
    app = App()

    @app.websocket("/{room}/{number:int}")
    async def endpoint(
        websocket: WebSocket,
        room: str,
        plain: str,
        number: Annotated[int, Path(ge=1)],
        same_number: Annotated[int, Path(alias="number")],
        page: Annotated[int, Query()] = 1,
        tags: list[str] = Query(alias="tag"),
        user_agent: Annotated[str | None, Header()] = None,
        x_list: list[int] = Header(),
        x_single: str = Header(),
        odd: str = Header(alias="X_Odd"),
        under_score: str = Header(convert_underscores=False),
        session: Annotated[str | None, Cookie()] = None,
        theme: str = Cookie("light", alias="site-theme"),
    ) -> None:
        await websocket.accept()
        await websocket.send_json(
            [room, plain, number, same_number, page, tags, user_agent, x_list, x_single, odd, under_score]
        )
        await websocket.send_json([session, theme])

    headers = [
        ("user-agent", "test"),
        ("x-list", "1"),
        ("x-list", "2"),
        ("x-single", "one"),
        ("x-single", "two"),
        ("x_odd", "odd"),
        ("under_score", "us"),
        ("cookie", "session=abc; site-theme=dark"),
    ]
    async with connect(app, "/den/3?plain=p&page=4&tag=a&tag=b&room=not-this", headers=headers) as client:
        assert await client.receive_json() == ["den", "p", 3, 3, 4, ["a", "b"], "test", [1, 2], "one", "odd", "us"]
        assert await client.receive_json() == ["abc", "dark"]


@pytest.mark.parametrize(
    ("marker", "sentence"),
    [
        (Query(), "query parameter 'x_token' is missing"),
        (Header(), "header 'x-token' is missing"),
        (Cookie(), "cookie 'x_token' is missing"),
        (Header(alias="authorization"), "header 'authorization' is missing"),
    ],
)
async def test_the_refusal_names_the_place(marker: Any, sentence: str, autojump_clock: MockClock) -> None:
    """Who reads the answer knows what to send, and where."""
    app = App()

    @app.websocket("/")
    async def endpoint(websocket: WebSocket, x_token: str = marker) -> None: ...

    assert await refusal(app) == (403, sentence + "\n")


async def test_a_path_that_does_not_fit(autojump_clock: MockClock) -> None:
    """A value from the path is refused like others."""
    app = App()

    @app.websocket("/{number}")
    async def endpoint(websocket: WebSocket, number: int) -> None: ...

    assert await refusal(app, "/s3cret") == (403, "path parameter 'number' is not int\n")


async def test_an_endpoint_is_not_entered(autojump_clock: MockClock) -> None:
    """With a value that does not fit, no hook of a class runs: not on_connect, and so not on_disconnect."""
    app = App()
    entered = []

    @app.websocket("/")
    class Endpoint(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            entered.append("connect")

        async def on_receive(self, websocket: WebSocket, data: str, limit: int) -> None: ...

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            entered.append("disconnect")

    assert await refusal(app, "/?limit=many") == (403, "query parameter 'limit' is not int\n")
    assert entered == []


async def test_hooks_of_a_class(autojump_clock: MockClock) -> None:
    """on_connect and on_receive each get what they ask for; on_receive gets the same with every message."""
    app = App()

    @app.websocket("/{room}")
    class Endpoint(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket, room: str, *, subject: str = "none") -> None:
            await websocket.accept()
            await websocket.send_text(f"{room} {subject}")

        async def on_receive(self, websocket: WebSocket, data: str, times: int, *, room: str) -> None:
            await websocket.send_text(f"{room} {data * times}")

    async with connect(app, "/den?times=2&subject=tea") as client:
        assert await client.receive() == "den tea"
        for text in ("a", "b"):
            await client.send(text)
            assert await client.receive() == f"den {text * 2}"


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_several_at_once(concurrency: int, autojump_clock: MockClock) -> None:
    """With concurrency, each on_receive gets its arguments too."""
    app = App()
    how_many = concurrency

    class Endpoint(WebSocketEndpoint):
        concurrency = how_many

        async def on_receive(self, websocket: WebSocket, data: str, prefix: str) -> None:
            await trio.sleep(0.1)
            await websocket.send_text(prefix + data)

    app.websocket("/")(Endpoint)
    async with connect(app, "/?prefix=-") as client:
        for text in "abc":
            await client.send(text)
        assert {await client.receive() for _ in range(3)} == {"-a", "-b", "-c"}


async def test_by_type(autojump_clock: MockClock) -> None:
    """The connection, the hub and the application are given by their types, under any name and in any order."""
    from starlette.requests import HTTPConnection
    from starlette.websockets import WebSocket as StarletteWebSocket

    class OwnApp(App):
        pass

    app = OwnApp()
    got: list[Any] = []

    @app.websocket("/")
    async def endpoint(
        *, hub: Hub, socket: WebSocket, application: App, own: OwnApp, http: HTTPConnection, other: StarletteWebSocket
    ) -> None:
        got.extend([hub, application, own, http, other, socket])
        await socket.accept()

    async with connect(app):
        pass
    assert got[:3] == [app.hub, app, app]
    assert got[3] is got[4] is got[5]
    assert isinstance(got[5], WebSocket)


async def test_without_annotations(autojump_clock: MockClock) -> None:
    """A parameter without a type gets the text; a default says nothing about the type."""
    app = App()

    @app.websocket("/")
    async def endpoint(websocket, one, two=2, three=Query(alias="drei")):  # type: ignore[no-untyped-def]
        await websocket.accept()
        await websocket.send_json([one, two, three])

    async with connect(app, "/?one=1&drei=3") as client:
        assert await client.receive_json() == ["1", 2, "3"]


@pytest.mark.parametrize("spelling", ["plain", "var", "annotated later"])
async def test_the_first_parameter(spelling: str, autojump_clock: MockClock) -> None:
    """A function that takes nothing but the WebSocket needs no annotation."""

    async def plain(ws):  # type: ignore[no-untyped-def]
        await ws.accept()

    async def var(*args: Any) -> None:
        await args[0].accept()

    async def later(number: int, ws: WebSocket) -> None:
        assert number == 1
        await ws.accept()

    functions: dict[str, Callable[..., Any]] = {"plain": plain, "var": var, "annotated later": later}
    app = App()
    app.websocket("/")(functions[spelling])
    async with connect(app, "/?number=1"):
        pass


async def test_what_a_partial_has_bound_is_not_the_clients(autojump_clock: MockClock) -> None:
    """A keyword of functools.partial looks like a default in the signature, and no query may replace it."""
    from functools import partial

    async def endpoint(websocket: WebSocket, name: str, is_admin: bool) -> None:
        await websocket.accept()
        await websocket.send_json([name, is_admin])

    app = App()
    app.websocket("/", name="partial")(partial(endpoint, is_admin=False))
    async with connect(app, "/?name=eve&is_admin=true") as client:
        assert await client.receive_json() == ["eve", False]
