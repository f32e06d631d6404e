"""The pages of the documentation: what they show is there, is Python, is run by a test, and can be found."""

from __future__ import annotations

import ast
import importlib
import re
import textwrap
from pathlib import Path

import pytest

from tests.pages import DOCS, PAGES, ROOT, fill, shown
from tests.programs import SHOWN


def test_every_file_that_a_page_shows_is_run_by_a_test() -> None:
    """A page shows no program that no test runs."""
    for module in ("test_examples", "test_page_examples"):
        importlib.import_module(f"tests.{module}")
    assert {name for page in PAGES for name in shown(page.read_text("utf-8"))} - SHOWN == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_page(page: Path) -> None:
    """Short pieces of Python on a page are Python, files that it names exist, and so do the pages it links to."""
    text = page.read_text("utf-8")
    for piece in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        ast.parse("async def piece():\n" + textwrap.indent(piece, "    "))
    for name in re.findall(r"examples/[\w./]*\w", text):
        assert (ROOT / name).exists(), name
    for target, anchor in re.findall(r"\]\((?!http)([^)#]*)#?([^)]*)\)", text):
        linked = (page.parent / target).resolve() if target else page
        assert linked.is_file(), target
        assert not anchor or anchor in anchors(linked.read_text("utf-8")), f"{target}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_a_page_shows_files_as_they_are(page: Path) -> None:
    """What a page shows of examples/ is what is there now."""
    text = page.read_text("utf-8")
    assert "--8<--" not in text, "a file is shown below a comment that names it, see tests/pages.py"
    assert text.count("<!-- examples/") == len(shown(text)), "a comment that names a file stands right above a block"
    assert text == fill(text), "write the files into the pages anew: python -m tests.pages"


def anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w]+", "-", heading.lower()).strip("-") for heading in headings}


@pytest.mark.parametrize(
    "path", sorted((ROOT / "examples").rglob("*.py")), ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_every_example_says_what_to_run(path: Path) -> None:
    """An example begins with a docstring that has a command, and the command names a file that is there."""
    docstring = ast.get_docstring(ast.parse(path.read_text("utf-8")))
    assert docstring is not None
    named = re.findall(r"(?:wsframework run|python|pytest) (examples/[\w./]*\w)", docstring)
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_page_is_in_the_navigation() -> None:
    """Whoever reads the pages in a browser finds each of them."""
    navigation = (ROOT / "zensical.toml").read_text("utf-8")
    pages = [str(page.relative_to(ROOT / "docs")) for page in sorted((ROOT / "docs").rglob("*.md"))]
    assert [page for page in pages if f'"{page}"' not in navigation] == []
