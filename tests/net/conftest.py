"""Fixtures of tests with real sockets."""

import pytest

from tests.net.echo import Watched
from tests.net.servers import KINDS, served_by
from wsframework import App, WebSocketRoute
from wsframework.server import reactor


@pytest.fixture(params=["reactor", "portable"])
def wire(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test on both ways to handle connections: one task for all, and tasks for each."""
    if request.param == "reactor" and not reactor.AVAILABLE:
        pytest.skip("there is no epoll on this system")
    monkeypatch.setattr(reactor, "AVAILABLE", request.param == "reactor")
    return str(request.param)


kind = served_by(*KINDS)


@pytest.fixture
def endpoint() -> type[Watched]:
    """An endpoint that nobody has come to."""
    return Watched.fresh()


@pytest.fixture
def app(endpoint: type[Watched]) -> App:
    """An application with this endpoint at its root."""
    return App(routes=[WebSocketRoute("/", endpoint)])
