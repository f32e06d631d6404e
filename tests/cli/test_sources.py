"""Which files count, and that their changes are seen."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from wsframework.cli import sources
from wsframework.cli.sources import Sources

PATIENCE = 30.0


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("app.py", True),
        ("package/inside.py", True),
        ("app.pyc", False),
        ("notes.txt", False),
        ("page.html", True),
        ("templates/page.html", True),
        (".venv/lib/python3.11/thing.py", False),
        ("venv/lib/python3.11/site-packages/thing.py", False),
        ("__pycache__/app.py", False),
        (".git/hooks/check.py", False),
        ("node_modules/tool/build.py", False),
        (".#app.py", False),
        ("app.py~", False),
        ("../elsewhere.py", False),
    ],
)
def test_what_counts(tmp_path: Path, name: str, counts: bool) -> None:
    """Python files and those that are asked for do, except in folders that hold no source of the application."""
    folder = tmp_path / "project"
    assert Sources([folder], ["*.html"]).matches((folder / name).resolve()) is counts


def test_folders_above_do_not_matter(tmp_path: Path) -> None:
    """A project that lies below a hidden folder is watched as any other."""
    folder = tmp_path / ".work" / "site-packages" / "chat"
    assert Sources([folder]).matches(folder / "app.py")


def test_one_of_several_folders(tmp_path: Path) -> None:
    """What one folder hides, another may name."""
    sources = Sources([tmp_path, tmp_path / ".hidden"])
    assert sources.matches(tmp_path / ".hidden" / "app.py")
    assert not sources.matches(tmp_path / ".other" / "app.py")


async def test_changes_are_seen(tmp_path: Path) -> None:
    """New, changed, renamed and removed files below the folder are told, and nothing else is."""
    (tmp_path / "package").mkdir()
    file = tmp_path / "package" / "app.py"
    send, receive = trio.open_memory_channel[list[Path]](100)

    async def seen(change: Callable[[], object]) -> list[Path]:
        # The watch begins in a thread, and says nothing when it has: so the change is repeated until it is seen.
        while True:
            change()
            with trio.move_on_after(1):
                return await receive.receive()

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Sources([tmp_path]).watch, send.send_nowait)
            assert await seen(lambda: file.write_text("1")) == [file]
            (tmp_path / "notes.txt").write_text("1")
            assert await seen(lambda: file.write_text("2")) == [file]
            assert file in await seen(lambda: file.touch() or file.rename(file.with_name("chat.py")))
            nursery.cancel_scope.cancel()


async def test_a_cancelled_watch_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that waits for changes is told to stop, since it cannot be cancelled, and it is waited for."""
    seen: list[bool] = []

    async def awatch(*folders: Path, stop_event: threading.Event, **options: Any) -> AsyncIterator[set[Any]]:
        def wait() -> None:
            trio.from_thread.run_sync(nursery.cancel_scope.cancel)
            seen.append(stop_event.wait(PATIENCE))

        await trio.to_thread.run_sync(wait)
        yield set()

    monkeypatch.setattr(sources, "awatch", awatch)
    async with trio.open_nursery() as nursery:
        await Sources([Path.cwd()]).watch(lambda files: None)
    assert seen == [True]
