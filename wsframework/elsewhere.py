"""Names that other frameworks have for what is in an `App`, a `Hub` or a `WebSocket`, and what to write here."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import getattr_static
from typing import Any

_METHODS = ("get", "post", "put", "patch", "delete", "head", "options")

OF_APPS = {
    **{name: f'@app.route("/path", methods=["{name.upper()}"])' for name in _METHODS},
    "get": '@app.route("/path")',
    "api_route": '@app.route("/path", methods=["GET", "POST"])',
    "add_api_route": 'app.add_route(Route("/path", function)), with Route from starlette.routing',
    "websocket_route": '@app.websocket("/path")',
    "add_websocket_route": 'app.add_route(WebSocketRoute("/path", Endpoint))',
    "add_api_websocket_route": 'app.add_route(WebSocketRoute("/path", Endpoint))',
    "include_router": 'app.mount("/path", other_app), or app.add_route(...) for each of its routes',
    "host": 'app.add_route(Host("api.example.com", other_app)), with Host from starlette.routing',
    "router": "app.routes for its routes, and app.add_route(...) to add one",
    "middleware": "app.add_middleware(SomeMiddleware), or @app.before_request",
    "state": "a lifespan that yields a dict, which is websocket.state in endpoints",
    "on_event": "App(lifespan=...), a function that yields once, between the start and the end",
    "add_event_handler": "App(lifespan=...), a function that yields once, between the start and the end",
    "run": "`wsframework run file.py` in a shell, or trio.run(wsframework.serve, app) in a program",
    "broadcast": 'await app.hub.broadcast("topic", data)',
    "publish": 'await app.hub.broadcast("topic", data)',
    "subscribe": 'await app.hub.subscribe(websocket, "topic")',
}

OF_HUBS = {
    **dict.fromkeys(("publish", "send", "emit", "publish_json"), 'await hub.broadcast("topic", data)'),
    "join": 'await hub.subscribe(websocket, "topic")',
    "leave": 'await hub.unsubscribe(websocket, "topic")',
}

OF_WEBSOCKETS = {
    "hub": "websocket.app.hub, or take it as a parameter: `hub: Hub`",
    "recv": "await websocket.receive_text(), or `async for message in websocket:`",
    "receive_str": "await websocket.receive_text()",
    "send_str": "await websocket.send_text(data)",
    "broadcast": 'await websocket.app.hub.broadcast("topic", data)',
    "subscribe": 'await websocket.app.hub.subscribe(websocket, "topic")',
}


class _StandIn:
    """Stands in a class for a name that it does not have: reading it is an ``AttributeError`` that says what to write.

    It is no ``__getattr__``, which would make reading every other attribute of the class slower.
    """

    def __init__(self, name: str, write: str) -> None:
        self._name = name
        self._write = write
        self.__doc__ = f"Not here: write {write}"  # what `help` shows

    def __get__(self, instance: object, owner: type) -> None:
        raise AttributeError(f"{owner.__name__} has no {self._name!r} here: write {self._write}")


class CalledOtherwise:
    """A base for a class that answers for names which others have for what is in it: ``elsewhere=`` has these names.

    For ``hasattr``, ``dir`` and type checkers they are no attributes, and a subclass may have some of these names.
    """

    def __init_subclass__(cls, *, elsewhere: Mapping[str, str] | None = None, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name, write in (elsewhere or {}).items():
            setattr(cls, name, _StandIn(name, write))

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if not isinstance(getattr_static(self, name, None), _StandIn)]
