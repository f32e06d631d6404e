"""The first page of every folder of the server says where things are: it names each module."""

import ast
import re
from pathlib import Path

import pytest

import wsframework.server

SERVER = Path(wsframework.server.__file__).parent


FOLDERS = sorted(page.parent for page in SERVER.rglob("__init__.py"))
MODULES = {path.stem for path in SERVER.rglob("*.py")} - {"__init__"}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_first_page_names_every_module(folder: Path) -> None:
    """Nothing is missing on it, and nothing is on it that went away."""
    page = ast.get_docstring(ast.parse((folder / "__init__.py").read_text("utf-8"))) or ""
    named = set(re.findall(r"(?<!`)`([a-z0-9]+)(?:\.[A-Za-z0-9_.]+)?`(?!`)", page))
    here = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert here | {inner.name for inner in FOLDERS if inner.parent == folder} <= named
    assert named <= MODULES | {folder.name for folder in FOLDERS}
