"""Credentials in a handshake: found, refused when they are not there, and shown nowhere."""

import base64
import logging
from typing import Annotated, Any

import pytest
from starlette.requests import HTTPConnection, Request
from trio.testing import MockClock

from wsframework import App, Depends, HTTPException, Security, WebSocket, WebSocketEndpoint
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
from wsframework.testing import HandshakeRefused, connect

TOKEN = "s3cret-t0ken"


def basic(text: str | bytes) -> dict[str, str]:
    data = text.encode() if isinstance(text, str) else text
    return {"authorization": "Basic " + base64.b64encode(data).decode()}


async def found_by(scheme: Any, path: str = "/", **handshake: Any) -> Any:
    """What an endpoint gets from the scheme."""
    got: list[Any] = []
    app = App()

    @app.websocket("/")
    async def endpoint(websocket: WebSocket, credentials: Annotated[Any, Security(scheme)]) -> None:
        got.append(credentials)
        offered = websocket["subprotocols"]
        await websocket.accept(offered[0] if offered else None)

    async with connect(app, path, **handshake):
        pass
    return got[0]


async def refusal(scheme: Any, path: str = "/", **handshake: Any) -> tuple[int, bytes, str]:
    with pytest.raises(HandshakeRefused) as refused:
        await found_by(scheme, path, **handshake)
    headers = dict(refused.value.headers)
    return refused.value.status, refused.value.body, headers[b"www-authenticate"].decode()


@pytest.mark.parametrize(
    ("scheme", "handshake"),
    [
        (APIKeyHeader(name="X-Key"), {"headers": {"x-key": TOKEN}}),
        (APIKeyQuery(name="key"), {"path": f"/?key={TOKEN}"}),
        (APIKeyCookie(name="session"), {"headers": {"cookie": f"a=b; session={TOKEN}"}}),
        (BearerSubprotocol(), {"subprotocols": ["chat", f"bearer.{TOKEN}"]}),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_a_key(scheme: Any, handshake: dict[str, Any], autojump_clock: MockClock) -> None:
    """The key is what the dependency gives."""
    assert await found_by(scheme, **handshake) == TOKEN


@pytest.mark.parametrize("handshake", [{}, {"path": "/?key="}, {"headers": {"x-key": "", "cookie": "key="}}])
@pytest.mark.parametrize("kind", [APIKeyHeader, APIKeyQuery, APIKeyCookie])
async def test_no_key(kind: Any, handshake: dict[str, Any], autojump_clock: MockClock) -> None:
    """Without a key, and with an empty one, the handshake is refused with 401; or it is None, if that is asked for."""
    name = "x-key" if kind is APIKeyHeader else "key"
    assert await refusal(kind(name=name), **handshake) == (401, b"Not authenticated", "APIKey")
    assert await found_by(kind(name=name, auto_error=False), **handshake) is None


async def test_bearer(autojump_clock: MockClock) -> None:
    """The scheme may be written in any case; the credentials are as they came."""
    for scheme in ("Bearer", "bearer"):
        found = await found_by(HTTPBearer(), headers={"authorization": f"{scheme} {TOKEN}"})
        assert found == HTTPAuthorizationCredentials(scheme, TOKEN)


@pytest.mark.parametrize("value", ["", "Bearer", "Basic abc", "Bearerabc"])
async def test_no_bearer(value: str, autojump_clock: MockClock) -> None:
    """Anything else is refused with a challenge."""
    headers = {"authorization": value} if value else {}
    assert await refusal(HTTPBearer(), headers=headers) == (401, b"Not authenticated", "Bearer")
    assert await found_by(HTTPBearer(auto_error=False), headers=headers) is None


async def test_basic(autojump_clock: MockClock) -> None:
    """Names and passwords are UTF-8, and a password may have colons."""
    assert await found_by(HTTPBasic(), headers=basic("ada:pä:ss")) == HTTPBasicCredentials("ada", "pä:ss")
    assert await refusal(HTTPBasic(realm="the room")) == (401, b"Not authenticated", 'Basic realm="the room"')
    assert await found_by(HTTPBasic(auto_error=False)) is None
    for realm in ('a"b', "a\nb", "ä"):
        with pytest.raises(ValueError, match="without quotation marks"):
            HTTPBasic(realm=realm)


@pytest.mark.parametrize(
    "headers",
    [{"authorization": "Basic !"}, {"authorization": "Basic YWRh*OmE="}, basic("no colon"), basic(b"\xff:x")],
)
async def test_malformed_basic(headers: dict[str, str], autojump_clock: MockClock) -> None:
    """What is there and cannot be read is refused, also where nothing would do."""
    for scheme in (HTTPBasic(), HTTPBasic(auto_error=False)):
        assert await refusal(scheme, headers=headers) == (401, b"Invalid authentication credentials", "Basic")


async def test_after_accept(autojump_clock: MockClock) -> None:
    """A scheme that is asked with a message, when there is no response to send any more, closes with 1008."""
    app = App()

    @app.websocket("/")
    class Endpoint(WebSocketEndpoint):
        async def on_receive(
            self, websocket: WebSocket, data: str, key: str = Depends(APIKeyHeader(name="x"), scope="message")
        ) -> None: ...

    async with connect(app) as client:
        await client.send("x")
        end = await client.wait_closed()
    assert (end.code, end.reason) == (1008, "Not authenticated")


async def test_a_request() -> None:
    """A scheme may be asked by a route of HTTP too; a request has no accept, so it is always the response."""
    request = Request({"type": "http", "headers": []})
    with pytest.raises(HTTPException) as refused:
        await HTTPBearer()(request)
    assert (refused.value.status_code, refused.value.headers) == (401, {"www-authenticate": "Bearer"})


# The token as a subprotocol


async def test_the_token_is_not_echoed(autojump_clock: MockClock) -> None:
    """The entry is gone from the offer, so that the endpoint agrees on a real protocol; the request is as it was."""
    app = App()
    offers: list[list[str]] = []

    @app.websocket("/")
    async def endpoint(
        websocket: WebSocket,
        token: Annotated[str, Depends(BearerSubprotocol())],
        again: Annotated[str, Depends(BearerSubprotocol())],
    ) -> None:
        assert token == again == TOKEN
        offers.append(list(websocket["subprotocols"]))
        await websocket.accept("chat")

    async with connect(app, subprotocols=[f"bearer.{TOKEN}", "chat", "v2"]) as client:
        assert client.subprotocol == "chat"
        assert not any(TOKEN.encode() in value for _, value in client.headers)
    assert offers == [["chat", "v2"]]


async def test_the_token_cannot_be_accepted(autojump_clock: MockClock) -> None:
    """An endpoint that accepts it all the same is told that it was not offered."""
    app = App()

    @app.websocket("/")
    async def endpoint(websocket: WebSocket, token: Annotated[str, Depends(BearerSubprotocol())]) -> None:
        await websocket.accept("bearer." + token)

    with pytest.raises(ValueError, match=r"was not offered by the client \(it offered: chat\)"):
        async with connect(app, subprotocols=["chat", f"bearer.{TOKEN}"]):
            pass


@pytest.mark.parametrize(
    "offer", [[], ["chat"], ["bearer."], ["bearer.a", "bearer.b"], ["bearer"]], ids=lambda offer: ",".join(offer)
)
async def test_no_token(offer: list[str], autojump_clock: MockClock) -> None:
    """None, an empty one and two of them are refused alike."""
    assert await refusal(BearerSubprotocol(), subprotocols=offer) == (401, b"Not authenticated", "Bearer")
    assert await found_by(BearerSubprotocol(auto_error=False), subprotocols=offer) is None


async def test_a_scope_without_an_offer() -> None:
    """ASGI lets a server leave the list out, and that is no token either."""
    connection = HTTPConnection({"type": "websocket", "headers": []})
    assert await BearerSubprotocol(auto_error=False)(connection) is None


async def test_encoded_token(autojump_clock: MockClock) -> None:
    """A token with characters that a subprotocol cannot have travels as base64url."""
    token = "a/b+c== ä"
    encoded = base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")
    scheme = BearerSubprotocol(prefix="t.", base64url=True)
    assert await found_by(scheme, subprotocols=["chat", f"t.{encoded}"]) == token
    for wrong in ("a", "__8"):
        assert (await refusal(scheme, subprotocols=["chat", f"t.{wrong}"]))[0] == 401
    with pytest.raises(ValueError, match="without a prefix"):
        BearerSubprotocol(prefix="")


# Secrets


def test_same_secret() -> None:
    """Text and bytes are compared as UTF-8; nothing is not the same as anything; an empty secret is a mistake."""
    assert same_secret("pä", "pä")
    assert same_secret(b"p", "p")
    assert not same_secret("p", "P")
    assert not same_secret("p", "pp")
    assert not same_secret("", "p")
    assert not same_secret(None, "p")
    assert not same_secret("\ud800", "p")
    with pytest.raises(ValueError, match="the expected secret is empty"):
        same_secret("", "")


def test_no_repr_shows_a_secret() -> None:
    """A repr is what ends up in logs and tracebacks."""
    assert repr(HTTPBasicCredentials("ada", TOKEN)) == "HTTPBasicCredentials(username='ada')"
    assert repr(HTTPAuthorizationCredentials("Bearer", TOKEN)) == "HTTPAuthorizationCredentials(scheme='Bearer')"
    assert repr(APIKeyHeader(name="x-key")) == "APIKeyHeader(name='x-key')"


@pytest.mark.parametrize("works", [True, False])
async def test_no_log_shows_a_token(works: bool, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """Neither a connection that works nor one that fails has its token in a line of the package's."""
    caplog.set_level(logging.DEBUG, "wsframework")
    app = App()

    @app.websocket("/")
    async def endpoint(
        websocket: WebSocket,
        token: Annotated[str, Depends(BearerSubprotocol())],
        key: Annotated[str, Depends(APIKeyCookie(name="key"))],
        bearer: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())],
    ) -> None:
        await websocket.accept("chat")
        assert works, repr(bearer)

    headers = {"authorization": f"Bearer {TOKEN}", "cookie": f"key={TOKEN}"}
    subprotocols = ["chat", f"bearer.{TOKEN}"]
    async with connect(app, headers=headers, subprotocols=subprotocols, raise_app_errors=False) as client:
        await client.wait_closed()
    ours = [record for record in caplog.records if record.name.startswith("wsframework")]
    assert any(record.levelno >= logging.ERROR for record in ours) is not works
    formatter = logging.Formatter()
    assert not any(TOKEN in formatter.format(record) for record in ours)
