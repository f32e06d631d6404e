"""Imports go downhill: a module of the package knows only what lies on floors below its own."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import wsframework

PACKAGE = Path(wsframework.__file__).parent

# From the roof to the ground. A name is a module or a folder of the package; folders are free inside.
FLOORS: list[set[str]] = [
    {"cli", "testing"},
    {"app"},
    {"router", "routing"},
    {"endpoint", "eventstream"},
    {"hooks"},
    {"dependencies", "security"},
    {"hub"},
    {"session"},
    {"settling"},
    {"handlers"},
    {"lifespan", "refusal", "responses"},
    {"websocket"},
    {"asgi"},
    {"transport"},
    {"encoding", "waking"},
    {"errors", "health", "forwarded"},
    {"access_log", "close", "compression", "elsewhere", "groups"}
    | {"headers", "limits", "messages", "origin", "_version"},
]

# The server stands beside the house: it sees an ASGI callable, never App, and only the roof sees it.
SERVER_KNOWS = {"transport", "waking", "errors", "health"}
SERVER_KNOWS |= {"access_log", "close", "compression", "headers", "limits", "messages"}
KNOW_SERVER = {"cli", "testing"}

# The entries: they lead to everything, and nothing inside goes through them.
ENTRIES = {"__init__", "__main__"}


def allowed(name: str) -> set[str] | None:
    """What that part of the package may import of the rest, or None if it has no floor."""
    if name == "server":
        return SERVER_KNOWS
    for number, floor in enumerate(FLOORS):
        if name in floor:
            return set().union(*FLOORS[number + 1 :], {"server"} if name in KNOW_SERVER else ())
    return None


def imported_parts(source: str, package: str, parts: set[str]) -> Iterator[tuple[int, str]]:
    """The line and the name of each part of the package that a module in ``package`` imports, wherever it does it."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names):
                modules = [alias.name for alias in names]
            case ast.ImportFrom(module, names, level):
                base = package.split(".")[: len(package.split(".")) - level + 1] if level else []
                origin = ".".join([*base, *([module] if module else [])])
                # `from . import close` names a module, `from . import App` something that __init__ has.
                modules = [f"{origin}.{alias.name}" if origin == "wsframework" else origin for alias in names]
            case _:
                continue
        for module in modules:
            top, _, rest = module.partition(".")
            if top == "wsframework":
                part = rest.split(".")[0]
                yield node.lineno, part if part in parts else "__init__"


def complaints(source: str, module: str, parts: set[str], *, is_package: bool = False) -> list[str]:
    """What is wrong with the imports of that module, in sentences."""
    package = module if is_package else module.rpartition(".")[0]
    own = module.split(".")[1] if "." in module else "__init__"
    may_import = parts | ENTRIES if own in ENTRIES else allowed(own)
    if may_import is None:
        return [f"{own!r} has no floor: say in FLOORS of tests/test_layers.py where it belongs"]
    return [
        f"{module}, line {line}: {own!r} must not import {part!r}, which is not below it; let what it needs from there "
        "be passed in, or be a protocol on a lower floor"
        for line, part in imported_parts(source, package, parts)
        if part != own and part not in may_import
    ]


MODULES = {
    ".".join(["wsframework", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
PARTS = {path.relative_to(PACKAGE).with_suffix("").parts[0] for path in MODULES.values()} - ENTRIES


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_downhill(module: str) -> None:
    """Every module of the package imports only from floors below its own."""
    path = MODULES[module]
    assert not complaints(path.read_text("utf-8"), module, PARTS, is_package=path.name == "__init__.py")


def test_every_floor_has_somebody_on_it() -> None:
    """A floor that nobody lives on is a line that was forgotten when a module went away."""
    assert set().union(*FLOORS) <= PARTS
    assert SERVER_KNOWS | KNOW_SERVER <= PARTS


def plans(page: str) -> Iterator[list[set[str]]]:
    """The indented plans of a page: the names on each line, up to two spaces or the end."""
    for plan in re.findall(r"(?:^    .*\n)+", page, re.MULTILINE):
        yield [set(re.split(r"  +", line.strip())[0].split(", ")) for line in plan.splitlines()]


def test_the_page_shows_these_floors() -> None:
    """The page on how it is built has the same floors, and the same that the server knows, each on its own line."""
    [floors, server_knows] = plans((Path(__file__).parents[1] / "docs/design/index.md").read_text("utf-8"))
    assert floors == FLOORS
    assert server_knows == [floor & SERVER_KNOWS for floor in FLOORS if floor & SERVER_KNOWS]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("wsframework.hub.topic", "from ..app import App"),
        ("wsframework.hub.topic", "from .. import app"),
        ("wsframework.hub.topic", "from .. import App"),
        ("wsframework.hub.topic", "import wsframework"),
        ("wsframework.hub.topic", "import wsframework.app"),
        ("wsframework.hub.topic", "from wsframework import app"),
        ("wsframework.hub.topic", "from wsframework.app import App"),
        ("wsframework.hub.topic", "def f():\n    from ..app import App"),
        ("wsframework.hub.topic", "if TYPE_CHECKING:\n    from ..endpoint import WebSocketEndpoint"),
        ("wsframework.hub.topic", "from ..server.frames import Frame"),
        ("wsframework.server.reactor", "from ..app import App"),
        ("wsframework.server.reactor", "from ..hub import Hub"),
        ("wsframework.app", "from .server import serve"),
        ("wsframework.app", "from .testing import connect"),
        ("wsframework.close", "from .limits import Limits"),
    ],
)
def test_an_import_that_goes_up_is_found(module: str, source: str) -> None:
    """However an import is written, it is seen."""
    [sentence] = complaints(source, module, PARTS)
    assert "must not import" in sentence


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "wsframework.hub.topic",
            "from ..transport import Message\nfrom .receipt import Receipt\nfrom . import overflow",
        ),
        ("wsframework.app", "import trio\nfrom .hub import Hub\nfrom .hub.topic import Topic\nfrom . import limits"),
        ("wsframework.testing.client", "from ..server.connection import Connection\nfrom ..app import App"),
        ("wsframework.server.reactor", "from ..close import CloseCode\nfrom .wire import Wire"),
    ],
)
def test_an_import_that_goes_down_is_fine(module: str, source: str) -> None:
    """Lower floors, one's own folder and other packages may be imported."""
    assert complaints(source, module, PARTS) == []


def test_a_module_without_a_floor_is_told_where_to_get_one() -> None:
    """A new module does not slip through: it fails until it has a floor."""
    [sentence] = complaints("", "wsframework.presence", PARTS | {"presence"})
    assert sentence == "'presence' has no floor: say in FLOORS of tests/test_layers.py where it belongs"
