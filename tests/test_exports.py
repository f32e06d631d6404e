"""The public names. Who adds one promises to keep it, so it is written down here."""

import importlib
import types

import pytest

PUBLIC = {
    "wsframework": {
        "App",
        "ClientError",
        "CloseCode",
        "Cookie",
        "Deflate",
        "Depends",
        "ForwardedHeaders",
        "HTTPException",
        "Header",
        "Hub",
        "HubStatistics",
        "InvalidData",
        "InvalidParameter",
        "Envelope",
        "EventStream",
        "Gap",
        "History",
        "Lag",
        "Limits",
        "Member",
        "Overflow",
        "Path",
        "ProtocolError",
        "Query",
        "Receipt",
        "Security",
        "SecurityScopes",
        "Position",
        "PresenceEvent",
        "Publications",
        "Published",
        "StandardEnvelope",
        "StartupError",
        "Subscription",
        "SubscriptionRefused",
        "TopicStatistics",
        "WebSocket",
        "WebSocketDisconnect",
        "WebSocketEndpoint",
        "WebSocketException",
        "WebSocketRoute",
        "WebSocketStateError",
        "serve",
    },
    "wsframework.server": {"AccessRecord", "JSONFormatter", "Server", "ServerStatistics", "serve"},
    "wsframework.testing": {
        "Client",
        "HandshakeRefused",
        "NothingReceived",
        "TestClient",
        "WebSocketDenialResponse",
        "WebSocketTestSession",
        "connect",
    },
    "wsframework.security": {
        "APIKeyCookie",
        "APIKeyHeader",
        "APIKeyQuery",
        "BearerSubprotocol",
        "HTTPAuthorizationCredentials",
        "HTTPBasic",
        "HTTPBasicCredentials",
        "HTTPBearer",
        "same_secret",
    },
}


@pytest.mark.parametrize("name", PUBLIC)
def test_the_public_names_are_these(name: str) -> None:
    """A public module has the names of the list, and no other that one could take for public."""
    module = importlib.import_module(name)
    found = {
        attribute
        for attribute, value in vars(module).items()
        if not attribute.startswith("_") and not isinstance(value, types.ModuleType) and attribute != "annotations"
    }
    assert found == PUBLIC[name]


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_says_what_it_is(name: str) -> None:
    """`help()` answers for each of them."""
    module = importlib.import_module(name)
    assert [attribute for attribute in PUBLIC[name] if not getattr(module, attribute).__doc__] == []
