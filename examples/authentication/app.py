"""Who is there: four ways in which a client can say so, and one endpoint behind them.

Run `wsframework run examples/authentication/app.py` and open the address that it
prints. The page logs in, gets a token, and connects with it as a subprotocol.

Ada's token is `ada-token` and may read and write; Grace's is `grace-token` and
may read. Connect a client:

- /bearer with the header `Authorization: Bearer ada-token`;
- /cookie with the cookie `session=ada-token`, as a browser that is logged in;
- /subprotocol with the subprotocols `notes` and `bearer.ada-token`, as the page;
- /basic with a user name and a password, which are `ada` and `lovelace`.

Each answers with the notes; a text is a new note, if its sender may write. Who is
nobody is refused with 401, and who may not write is told so and stays connected.
"""

from pathlib import Path
from typing import Annotated

import attrs
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from wsframework import App, Depends, HTTPException, Security, SecurityScopes, WebSocket, WebSocketEndpoint
from wsframework.security import (
    APIKeyCookie,
    BearerSubprotocol,
    HTTPAuthorizationCredentials,
    HTTPBasic,
    HTTPBasicCredentials,
    HTTPBearer,
    same_secret,
)

PAGE = Path(__file__).parent / "static" / "index.html"

app = App()
notes: list[str] = []


@attrs.frozen
class User:
    name: str
    permissions: tuple[str, ...]


# Stands for your database; that would have hashes in place of tokens and passwords.
USERS = {
    "ada-token": User("ada", ("read", "write")),
    "grace-token": User("grace", ("read",)),
}
PASSWORDS = {"ada": "lovelace", "grace": "hopper"}


def find_user(given: str) -> User:
    # All of them are compared, so that the time does not tell which one was nearly right.
    found = [user for token, user in USERS.items() if same_secret(given, token)]
    if not found:
        raise HTTPException(401, "Unknown token", {"www-authenticate": "Bearer"})
    return found[0]


# Where the token is from


async def bearer_user(credentials: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]) -> User:
    return find_user(credentials.credentials)


async def cookie_user(session: Annotated[str, Depends(APIKeyCookie(name="session"))]) -> User:
    return find_user(session)


async def subprotocol_user(token: Annotated[str, Depends(BearerSubprotocol())]) -> User:
    return find_user(token)


async def basic_user(credentials: Annotated[HTTPBasicCredentials, Depends(HTTPBasic(realm="notes"))]) -> User:
    expected = PASSWORDS.get(credentials.username, "no such user")
    right = same_secret(credentials.password, expected)
    if not right or credentials.username not in PASSWORDS:
        raise HTTPException(401, "Wrong name or password", {"www-authenticate": 'Basic realm="notes"'})
    return USERS[f"{credentials.username}-token"]


# What they may do


class Notes(WebSocketEndpoint):
    encoding = "text"
    subprotocol: str | None = None

    async def welcome(self, websocket: WebSocket, user: User) -> None:
        await websocket.accept(self.subprotocol)
        await self.hub.subscribe(websocket, "notes")
        await websocket.send_json({"user": user.name, "notes": notes})

    async def add(self, websocket: WebSocket, user: User, text: str) -> None:
        if "write" not in user.permissions:
            await websocket.send_json({"error": "you may read, and not write"})
            return
        notes.append(text)
        await self.hub.broadcast("notes", {"from": user.name, "note": text})


@app.websocket("/bearer")
class BearerNotes(Notes):
    async def on_connect(self, websocket: WebSocket, user: Annotated[User, Depends(bearer_user)]) -> None:
        await self.welcome(websocket, user)

    async def on_receive(self, websocket: WebSocket, data: str, user: Annotated[User, Depends(bearer_user)]) -> None:
        await self.add(websocket, user, data)


@app.websocket("/cookie")
class CookieNotes(Notes):
    async def on_connect(self, websocket: WebSocket, user: Annotated[User, Depends(cookie_user)]) -> None:
        await self.welcome(websocket, user)

    async def on_receive(self, websocket: WebSocket, data: str, user: Annotated[User, Depends(cookie_user)]) -> None:
        await self.add(websocket, user, data)


@app.websocket("/subprotocol")
class SubprotocolNotes(Notes):
    subprotocol = "notes"  # never the entry with the token: that one is not in the offer any more

    async def on_connect(self, websocket: WebSocket, user: Annotated[User, Depends(subprotocol_user)]) -> None:
        await self.welcome(websocket, user)

    async def on_receive(
        self, websocket: WebSocket, data: str, user: Annotated[User, Depends(subprotocol_user)]
    ) -> None:
        await self.add(websocket, user, data)


# With permissions that are asked for by name


async def permitted_user(user: Annotated[User, Depends(basic_user)], scopes: SecurityScopes) -> User:
    missing = set(scopes.scopes) - set(user.permissions)
    if missing:
        raise HTTPException(403, f"{user.name} may not {' and '.join(sorted(missing))}")
    return user


@app.websocket("/basic")
async def write_only(websocket: WebSocket, user: Annotated[User, Security(permitted_user, scopes=["write"])]) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        notes.append(text)
        await app.hub.broadcast("notes", {"from": user.name, "note": text})
        await websocket.send_json({"note": text})


# The page


@app.route("/")
async def page(request: Request) -> Response:
    return FileResponse(PAGE)


@app.route("/login", methods=["POST"])
async def login(request: Request) -> dict[str, str]:
    form = await request.json()
    name, password = str(form["name"]), str(form["password"])
    if name not in PASSWORDS or not same_secret(password, PASSWORDS[name]):
        raise HTTPException(401, "Wrong name or password")
    return {"token": f"{name}-token"}
