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


def no_such_name(app: object, name: str) -> AttributeError:
    """Make the error for a name that an `App` does not have, with what to write in its place if others have it."""
    kind = type(app).__name__
    if name in _WRITE:
        return AttributeError(f"{kind} has no {name!r} here: write {_WRITE[name]}")
    # With these two Python adds "Did you mean" where a name is nearly right.
    return AttributeError(f"{kind!r} object has no attribute {name!r}", name=name, obj=app)
