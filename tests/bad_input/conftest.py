"""The servers that the attacks share: one for each set of limits, started when it is first needed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.register_assert_rewrite("tests.bad_input.attack")

from tests.bad_input.attack import AttackedServer  # noqa: E402 - asserts are rewritten on import

ServerFor = Callable[[Mapping[str, Any]], AttackedServer]


@pytest.fixture(scope="session")
def static(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is served, beside a file that is not."""
    folder = tmp_path_factory.mktemp("bad_input") / "static"
    folder.mkdir()
    (folder / "page.txt").write_text("for everybody")
    secret = folder.parent / "secret.txt"
    secret.write_text("for nobody")
    (folder / "link.txt").symlink_to(secret)
    return folder


@pytest.fixture(scope="session")
def server_for(static: Path) -> Iterator[ServerFor]:
    """The server with these limits, in a process of its own."""
    if sys.platform != "linux":
        pytest.skip("memory and CPU time of the server are read from /proc, which only Linux has")
    servers: dict[str, AttackedServer] = {}

    def server_for(limits: Mapping[str, Any]) -> AttackedServer:
        name = json.dumps(limits, sort_keys=True)
        if name in servers and servers[name].spoiled:
            servers.pop(name).stop()
        if name not in servers:
            servers[name] = AttackedServer(limits, static)
        return servers[name]

    yield server_for
    for server in servers.values():
        server.stop()
