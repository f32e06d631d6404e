"""Who shares a value with whom: caches, and the scopes of `Security`."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import attrs
from trio.testing import MockClock

from wsframework import (
    App,
    Depends,
    Header,
    Query,
    Security,
    SecurityScopes,
    WebSocket,
    WebSocketEndpoint,
)
from wsframework.testing import connect


class Counter:
    """A dependency that gives 1, then 2, then 3."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self) -> int:
        self.calls += 1
        return self.calls


async def test_one_value_for_a_connection(autojump_clock: MockClock) -> None:
    """Everybody on a connection who depends on the same function gets the same value; another connection another."""
    count = Counter()

    async def double(number: Annotated[int, Depends(count)]) -> int:
        return number * 2

    app = App()

    @app.websocket("/")
    class Endpoint(WebSocketEndpoint):
        async def on_connect(
            self, websocket: WebSocket, one: Annotated[int, Depends(count)], two: Annotated[int, Depends(double)]
        ) -> None:
            await websocket.accept()
            await websocket.send_json([one, two])

        async def on_receive(self, websocket: WebSocket, data: str, one: Annotated[int, Depends(count)]) -> None:
            await websocket.send_json(one)

    for number in (1, 2):
        async with connect(app) as client:
            assert await client.receive_json() == [number, 2 * number]
            await client.send("?")
            assert await client.receive_json() == number


async def test_without_a_cache(autojump_clock: MockClock) -> None:
    """use_cache=False makes a value for each place where it stands, and still none for each message."""
    count = Counter()
    app = App()

    @app.websocket("/")
    class Endpoint(WebSocketEndpoint):
        async def on_connect(
            self,
            websocket: WebSocket,
            one: Annotated[int, Depends(count)],
            two: Annotated[int, Depends(count, use_cache=False)],
            three: Annotated[int, Depends(count, use_cache=False)],
            same: Annotated[int, Depends(count)],
        ) -> None:
            await websocket.accept()
            await websocket.send_json([one, two, three, same])

        async def on_receive(
            self, websocket: WebSocket, data: str, four: Annotated[int, Depends(count, use_cache=False)]
        ) -> None:
            await websocket.send_json(four)

    async with connect(app) as client:
        assert await client.receive_json() == [1, 2, 3, 1]
        for _ in range(2):
            await client.send("?")
            assert await client.receive_json() == 4


async def test_each_scope_has_its_own(autojump_clock: MockClock) -> None:
    """A function that is used in two scopes is called for each; within a message it is called once."""
    count = Counter()

    async def below(number: Annotated[int, Depends(count, scope="message")]) -> int:
        return number

    app = App()

    @app.websocket("/")
    class Endpoint(WebSocketEndpoint):
        async def on_receive(
            self,
            websocket: WebSocket,
            data: str,
            whole: Annotated[int, Depends(count)],
            message: Annotated[int, Depends(count, scope="message")],
            nested: Annotated[int, Depends(below, scope="message")],
            own: Annotated[int, Depends(count, scope="message", use_cache=False)],
        ) -> None:
            await websocket.send_json([whole, message, nested, own])

    async with connect(app) as client:
        await client.send("?")
        assert await client.receive_json() == [1, 2, 2, 3]
        await client.send("?")
        assert await client.receive_json() == [1, 4, 4, 5]


async def test_a_message_uses_what_the_connection_has(autojump_clock: MockClock) -> None:
    """A message-scoped dependency may need a connection-scoped one, and values of the handshake."""
    log: list[str] = []

    async def pool() -> AsyncIterator[str]:
        log.append("open pool")
        yield "pool"
        log.append("close pool")

    async def transaction(
        pool: Annotated[str, Depends(pool)], level: Annotated[int, Query()], websocket: WebSocket
    ) -> AsyncIterator[str]:
        log.append("begin")
        yield f"{pool} {level} {websocket.url.path}"
        log.append("commit")

    app = App()

    @app.websocket("/")
    class Endpoint(WebSocketEndpoint):
        async def on_receive(
            self, websocket: WebSocket, data: str, tx: Annotated[str, Depends(transaction, scope="message")]
        ) -> None:
            await websocket.send_text(tx)

    async with connect(app, "/?level=3") as client:
        for _ in range(2):
            await client.send("?")
            assert await client.receive() == "pool 3 /"
    assert log == ["open pool", "begin", "commit", "begin", "commit", "close pool"]


async def test_parameters_of_one_name_do_not_meet(autojump_clock: MockClock) -> None:
    """Each function has its own parameters, whatever they are called in another one."""

    async def from_header(token: Annotated[str, Header()]) -> str:
        return token

    async def from_query(token: Annotated[str, Query()], header: Annotated[str, Depends(from_header)]) -> str:
        return f"{token} {header}"

    app = App()

    @app.websocket("/{token}")
    async def endpoint(websocket: WebSocket, token: str, both: Annotated[str, Depends(from_query)]) -> None:
        await websocket.accept()
        await websocket.send_text(f"{token} {both}")

    async with connect(app, "/path?token=query", headers={"token": "header"}) as client:
        assert await client.receive() == "path query header"


async def test_kinds_of_dependencies(autojump_clock: MockClock) -> None:
    """Classes, their instances, methods and partials are dependencies as functions are."""
    from functools import partial

    @attrs.define
    class Page:
        number: int = 1
        size: int = 10

    @attrs.define  # it compares by value, and so has no hash
    class Checker:
        allowed: list[str]

        async def __call__(self, name: str) -> bool:
            return name in self.allowed

        async def names(self, suffix: str = "") -> str:
            return ",".join(self.allowed) + suffix

    checker = Checker(["ada"])

    async def add(left: int, right: int) -> int:
        return left + right

    app = App()

    @app.websocket("/")
    async def endpoint(
        websocket: WebSocket,
        page: Annotated[Page, Depends()],
        same_page: Annotated[Page, Depends(Page)],
        allowed: Annotated[bool, Depends(checker)],
        names: Annotated[str, Depends(checker.names)],
        total: Annotated[int, Depends(partial(add, right=5))],
    ) -> None:
        assert page is same_page
        await websocket.accept()
        await websocket.send_json([page.number, page.size, allowed, names, total])

    async with connect(app, "/?number=3&name=ada&left=2&right=900&suffix=.") as client:
        assert await client.receive_json() == [3, 10, True, "ada.", 7]


# Security


async def test_scopes_on_the_way(autojump_clock: MockClock) -> None:
    """SecurityScopes has what every Security on the way asks for, the outermost first, and each once."""
    seen: list[tuple[str, ...]] = []

    async def check(scopes: SecurityScopes) -> str:
        seen.append(scopes.scopes)
        return scopes.scope_str

    async def reader(checked: Annotated[str, Security(check, scopes=["items:read", "me"])]) -> str:
        return checked

    app = App()

    @app.websocket("/")
    async def endpoint(
        websocket: WebSocket,
        both: Annotated[str, Security(reader, scopes=["items", "me"])],
        plain: str = Security(check),
        again: str = Depends(check),
    ) -> None:
        await websocket.accept()
        await websocket.send_json([both, plain, again])

    async with connect(app) as client:
        assert await client.receive_json() == ["items me items:read", "", ""]
    assert seen == [("items", "me", "items:read"), ()]


async def test_scopes_divide_what_needs_somebody_who_looks_at_them(autojump_clock: MockClock) -> None:
    """Who asks for other permissions gets another value, however deep the dependency is that looks at them."""

    async def check(scopes: SecurityScopes) -> str:
        return scopes.scope_str

    async def user(checked: Annotated[str, Depends(check)]) -> str:
        return f"may {checked}"

    app = App()

    @app.websocket("/")
    async def endpoint(
        websocket: WebSocket,
        reader: Annotated[str, Security(user, scopes=["read"])],
        writer: Annotated[str, Security(user, scopes=["write"])],
    ) -> None:
        await websocket.accept()
        await websocket.send_json([reader, writer])

    async with connect(app) as client:
        assert await client.receive_json() == ["may read", "may write"]


async def test_scopes_do_not_divide_what_does_not_look_at_them(autojump_clock: MockClock) -> None:
    """A dependency without SecurityScopes is called once, whoever asks for it."""
    count = Counter()

    async def checked(number: Annotated[int, Depends(count)], scopes: SecurityScopes) -> list[Any]:
        return [number, *scopes.scopes]

    app = App()

    @app.websocket("/")
    async def endpoint(
        websocket: WebSocket,
        a: Annotated[list[Any], Security(checked, scopes=["a"])],
        b: Annotated[list[Any], Security(checked, scopes=["b"])],
    ) -> None:
        await websocket.accept()
        await websocket.send_json([a, b])

    async with connect(app) as client:
        assert await client.receive_json() == [[1, "a"], [1, "b"]]


async def test_a_function_that_is_no_endpoint(autojump_clock: MockClock) -> None:
    """A resolver can call any planned function, and shares its values with the others."""
    from wsframework.dependencies import Resolver, Scope, plan_hook

    count = Counter()

    async def hook(websocket: WebSocket, number: Annotated[int, Depends(count)], name: str) -> list[Any]:
        return [websocket.url.path, number, name]

    plan = plan_hook(hook, "hook", 1, Scope.HANDSHAKE)
    assert plan is not None
    app = App()

    @app.websocket("/path")
    async def endpoint(websocket: WebSocket) -> None:
        resolver = Resolver(websocket, "endpoint")
        async with resolver.running():
            await websocket.accept()
            for _ in range(2):
                await websocket.send_json(await resolver.call(plan, websocket))

    async with connect(app, "/path?name=ada") as client:
        for _ in range(2):
            assert await client.receive_json() == ["/path", 1, "ada"]
