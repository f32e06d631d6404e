"""What type checkers make of dependencies. This file is checked by mypy and pyright, and never run."""

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from typing import Annotated, Any, assert_type

from wsframework import (
    App,
    Cookie,
    Depends,
    Header,
    HTTPException,
    Path,
    Query,
    Security,
    SecurityScopes,
    WebSocket,
    WebSocketEndpoint,
    WebSocketException,
    WebSocketRoute,
)
from wsframework.security import (
    APIKeyCookie,
    APIKeyHeader,
    APIKeyQuery,
    BearerSubprotocol,
    HTTPAuthorizationCredentials,
    HTTPBasic,
    HTTPBasicCredentials,
    HTTPBearer,
    same_secret,
)


class User:
    def __init__(self, name: str) -> None:
        self.name = name


class Check:
    async def __call__(self, websocket: WebSocket) -> bool:
        return True


async def asynchronous() -> User:
    return User("ada")


def plain() -> User:
    return User("ada")


async def async_iterator() -> AsyncIterator[User]:
    yield User("ada")


async def async_generator() -> AsyncGenerator[User, None]:
    yield User("ada")


def iterator() -> Iterator[User]:
    yield User("ada")


def generator() -> Generator[User, None, None]:
    yield User("ada")


# What stands as a default has the type of the value.
assert_type(Depends(asynchronous), User)
assert_type(Depends(plain), User)
assert_type(Depends(async_iterator), User)
assert_type(Depends(async_generator), User)
assert_type(Depends(iterator), User)
assert_type(Depends(generator), User)
assert_type(Depends(User), User)
assert_type(Depends(Check()), bool)
assert_type(Depends(asynchronous, scope="message", use_cache=False), User)
assert_type(Security(asynchronous, scopes=["read"]), User)
assert_type(Security(async_iterator, scope="handshake"), User)
assert_type(Security(iterator, use_cache=False), User)
assert_type(Security(plain), User)
assert_type(Depends(), Any)
assert_type(Security(scopes=["read"]), Any)

# Schemes say whether there may be nothing.
assert_type(Depends(APIKeyHeader(name="x")), str)
assert_type(Depends(APIKeyQuery(name="x")), str)
assert_type(Depends(APIKeyCookie(name="x", auto_error=False)), str | None)
assert_type(Depends(BearerSubprotocol()), str)
assert_type(Depends(BearerSubprotocol(auto_error=False)), str | None)
assert_type(Depends(HTTPBasic()), HTTPBasicCredentials)
assert_type(Depends(HTTPBasic(auto_error=False)), HTTPBasicCredentials | None)
assert_type(Depends(HTTPBearer()), HTTPAuthorizationCredentials)
assert_type(same_secret("a", b"a"), bool)

app = App()
app.dependency_overrides[asynchronous] = plain


@app.websocket("/{room}")
async def function(
    websocket: WebSocket,
    room: Annotated[str, Path()],
    user: Annotated[User, Depends(asynchronous)],
    scopes: SecurityScopes,
    session: Annotated[str | None, Cookie()] = None,
    token: Annotated[str, Header(alias="x-token", min_length=3)] = "none",
    page: int = Query(1, ge=1),
    tags: list[str] = Query(default_factory=list),
    other: User = Depends(plain),
    reader: User = Security(asynchronous, scopes=["read"]),
) -> None:
    assert_type(user, User)
    assert_type(other, User)
    assert_type(session, str | None)
    assert_type(scopes.scopes, tuple[str, ...])
    assert_type(scopes.scope_str, str)
    if page > 9:
        raise WebSocketException(1008, "too far")
    raise HTTPException(403, "no")


class Endpoint(WebSocketEndpoint):
    async def on_connect(self, websocket: WebSocket, user: User = Depends(async_iterator)) -> None:
        assert_type(user, User)

    async def on_receive(
        self, websocket: WebSocket, data: Any, user: Annotated[User | None, Depends(plain)] = None
    ) -> None:
        assert_type(user, User | None)


WebSocketRoute("/", Endpoint)
WebSocketRoute("/function/{room}", function)
