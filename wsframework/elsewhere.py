"""What Starlette, FastAPI and others call the things that an `App` has under another name, and what to write here."""

from __future__ import annotations

_METHODS = ("get", "post", "put", "patch", "delete", "head", "options")

_WRITE = {
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


class _CalledOtherwise:
    """Stands in a class for a name that it does not have: reading it is an ``AttributeError`` that says what to write.

    It is no ``__getattr__``, which would make every other attribute of the class three times as slow to read.
    """

    def __init__(self, name: str, write: str) -> None:
        self._name = name
        self._write = write
        self.__doc__ = f"Not here: write {write}"  # what `help` shows

    def __get__(self, instance: object, owner: type) -> None:
        raise AttributeError(f"{owner.__name__} has no {self._name!r} here: write {self._write}")


class NamesElsewhere:
    """A base for a class that answers for the names that others have for what is in it. They are not in ``dir()``."""

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if name not in _WRITE]


# Not in the body, so that type checkers go on to say that there are no such attributes.
for _name, _write in _WRITE.items():
    setattr(NamesElsewhere, _name, _CalledOtherwise(_name, _write))
