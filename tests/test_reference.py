"""The reference is complete: each public name, method, parameter, option and number is on its page."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
from enum import Enum
from pathlib import Path
from typing import Any

import attrs
import click
import pytest
import trio

import wsframework.testing
from tests.test_exports import PUBLIC
from wsframework import CloseCode, Limits, Overflow
from wsframework.cli import main

ROOT = Path(__file__).parents[1]

# Where each public name is described.
REFERENCE = {
    "wsframework.WebSocketEndpoint": "endpoint",
    "wsframework.WebSocket": "websocket",
    "wsframework.App": "app",
    "wsframework.WebSocketRoute": "app",
    "wsframework.ForwardedHeaders": "server",
    "wsframework.server.AccessRecord": "server",
    "wsframework.server.JSONFormatter": "server",
    "wsframework.Envelope": "hub",
    "wsframework.EventStream": "app",
    "wsframework.Gap": "hub",
    "wsframework.History": "hub",
    "wsframework.Hub": "hub",
    "wsframework.HubStatistics": "hub",
    "wsframework.Lag": "hub",
    "wsframework.Member": "hub",
    "wsframework.Overflow": "hub",
    "wsframework.Position": "hub",
    "wsframework.PresenceEvent": "hub",
    "wsframework.Publications": "hub",
    "wsframework.Published": "hub",
    "wsframework.Receipt": "hub",
    "wsframework.Cookie": "dependencies",
    "wsframework.Depends": "dependencies",
    "wsframework.Header": "dependencies",
    "wsframework.Path": "dependencies",
    "wsframework.Query": "dependencies",
    "wsframework.Security": "dependencies",
    "wsframework.SecurityScopes": "dependencies",
    "wsframework.security.APIKeyCookie": "dependencies",
    "wsframework.security.APIKeyHeader": "dependencies",
    "wsframework.security.APIKeyQuery": "dependencies",
    "wsframework.security.BearerSubprotocol": "dependencies",
    "wsframework.security.HTTPAuthorizationCredentials": "dependencies",
    "wsframework.security.HTTPBasic": "dependencies",
    "wsframework.security.HTTPBasicCredentials": "dependencies",
    "wsframework.security.HTTPBearer": "dependencies",
    "wsframework.security.same_secret": "dependencies",
    "wsframework.StandardEnvelope": "hub",
    "wsframework.Subscription": "hub",
    "wsframework.TopicStatistics": "hub",
    "wsframework.Limits": "limits",
    "wsframework.ClientError": "errors",
    "wsframework.CloseCode": "errors",
    "wsframework.HTTPException": "errors",
    "wsframework.InvalidData": "errors",
    "wsframework.InvalidParameter": "errors",
    "wsframework.ProtocolError": "errors",
    "wsframework.StartupError": "errors",
    "wsframework.Deflate": "app",
    "wsframework.SubscriptionRefused": "errors",
    "wsframework.WebSocketDisconnect": "errors",
    "wsframework.WebSocketException": "errors",
    "wsframework.WebSocketStateError": "errors",
    "wsframework.serve": "server",
    "wsframework.server.Server": "server",
    "wsframework.server.ServerStatistics": "server",
    "wsframework.server.serve": "server",
    "wsframework.testing.Client": "testing",
    "wsframework.testing.HandshakeRefused": "testing",
    "wsframework.testing.NothingReceived": "testing",
    "wsframework.testing.TestClient": "testing",
    "wsframework.testing.WebSocketDenialResponse": "testing",
    "wsframework.testing.WebSocketTestSession": "testing",
    "wsframework.testing.connect": "testing",
}

# Public attributes that are for the package itself.
INTERNAL = {
    "WebSocket": {"passes_over", "starter", "transport"},
    "WebSocketRoute": {"matches", "handle", "url_path_for"},  # Starlette's
    "Receipt": {"add", "settle", "saw_behind"},
}


def reference(page: str) -> str:
    return (ROOT / "docs" / "reference" / f"{page}.md").read_text("utf-8")


def test_the_reference_has_every_public_name() -> None:
    """The list above is the list of public names, and each is on its page."""
    public = {f"{module}.{name}" for module, names in PUBLIC.items() for name in names}
    assert public == set(REFERENCE)
    missing = [name for name, page in REFERENCE.items() if f"`{name.rpartition('.')[2]}" not in reference(page)]
    assert [name for name in missing if f"# {name.rpartition('.')[2]}\n" not in reference(REFERENCE[name])] == []


@pytest.mark.parametrize("name", REFERENCE)
def test_the_reference_has_every_method_and_parameter(name: str) -> None:
    """Each public method is on its page as it is called, with its defaults; each attribute is named."""
    module, _, own_name = name.rpartition(".")
    thing = getattr(importlib.import_module(module), own_name)
    text = reference(REFERENCE[name])
    expected = []
    if inspect.isfunction(thing):
        expected.append(own_name + parameters(thing))
    elif own_name in ("App", "EventStream", "ForwardedHeaders", "Hub", "WebSocketRoute"):
        expected.append(own_name + parameters(thing))
    if inspect.isclass(thing) and not issubclass(thing, BaseException):
        for attribute, value in vars(thing).items():
            if attribute.startswith("_") or attribute in INTERNAL.get(own_name, ()) or attribute == "dispatch":
                continue
            if not hasattr(thing, attribute):  # a name that other frameworks have
                continue
            expected.append(attribute + (parameters(value, method=True) if inspect.isfunction(value) else "`"))
    assert [each for each in expected if f"`{each}" not in text and f"{own_name}.{each}" not in text] == []


def parameters(function: Any, method: bool = False) -> str:
    """Write the parameters of a function without their types, as the reference has them."""
    signature = inspect.signature(function)
    chosen = list(signature.parameters.values())[1 if method else 0 :]
    plain = [each.replace(annotation=inspect.Parameter.empty, default=_written(each.default)) for each in chosen]
    return str(signature.replace(parameters=plain, return_annotation=inspect.Signature.empty))


class _Verbatim:
    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _written(default: Any) -> Any:
    if isinstance(default, Enum):
        return _Verbatim(f"{type(default).__name__}.{default.name}")
    if default is trio.TASK_STATUS_IGNORED:
        return _Verbatim("TASK_STATUS_IGNORED")
    return default


def test_the_table_of_limits() -> None:
    """It has every limit with its default."""
    rows = dict(re.findall(r"^\| `(\w+)` \| ([\d.]+|None) \|", reference("limits"), re.MULTILINE))
    assert rows == {field.name: str(getattr(Limits(), field.name)) for field in attrs.fields(Limits)}


def test_the_table_of_close_codes() -> None:
    """It has every code, and says which may be sent."""
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (yes|no)", reference("errors"), re.MULTILINE)
    never = {CloseCode.NO_STATUS_RECEIVED, CloseCode.ABNORMAL_CLOSURE, CloseCode.TLS_HANDSHAKE}
    assert rows == [(code.name, str(int(code)), "no" if code in never else "yes") for code in CloseCode]


def test_the_table_of_policies() -> None:
    """It has every policy."""
    assert set(re.findall(r"^\| `Overflow\.(\w+)` \|", reference("hub"), re.MULTILINE)) == set(Overflow.__members__)


@pytest.mark.parametrize("statistics", [wsframework.HubStatistics, wsframework.TopicStatistics])
def test_the_table_of_statistics(statistics: type) -> None:
    """It has every number."""
    table = reference("hub").partition(f"## {statistics.__name__}\n")[2].partition("\n## ")[0]
    fields = [field.name for field in attrs.fields(statistics)]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == fields


def test_the_command_line() -> None:
    """The page has every option of `run` with its default."""
    text = reference("server")
    run_command = main.commands["run"]
    for parameter in run_command.params:
        if isinstance(parameter, click.Option):
            assert ", ".join(f"`{option}`" for option in parameter.opts) in text
            if isinstance(parameter.default, str):
                assert f"`{parameter.default}`" in text
    assert [command for command in main.commands if f"wsframework {command}" not in text] == []
