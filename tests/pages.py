"""The pages of docs/, and the files of examples/ that they show.

A page that shows a file has the file in it, so that it can be read where it is not built. A comment above the block
says which file it is:

    <!-- examples/echo/app.py -->
    ```python
    ...
    ```

Lines at the top of a block that begin with ``$`` are commands, and stay. ``python -m tests.pages`` writes the files
into the pages anew, after an example has changed.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))

_SHOWN = re.compile(r"<!-- examples/(?P<name>\S+) -->\n```(?P<language>\w+)\n(?P<commands>(?:\$ .*\n)*)(?:.*\n)*?```\n")


def shown(text: str) -> list[str]:
    """Return the names of the files of examples/ that a page shows."""
    return [found["name"] for found in _SHOWN.finditer(text)]


def fill(text: str) -> str:
    """Return a page with the files that it shows as they are now."""

    def show(found: re.Match[str]) -> str:
        content = (ROOT / "examples" / found["name"]).read_text("utf-8").rstrip("\n")
        return f"<!-- examples/{found['name']} -->\n```{found['language']}\n{found['commands']}{content}\n```\n"

    return _SHOWN.sub(show, text)


def main() -> None:
    for page in PAGES:
        before = page.read_text("utf-8")
        after = fill(before)
        if after != before:
            page.write_text(after, "utf-8")
            print(page.relative_to(ROOT))


if __name__ == "__main__":
    main()
