"""Finds the application that a person names on the command line."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import click


def load_app(target: str) -> Any:
    """Import ``module:name`` or run the file ``path.py`` (or ``path.py:name``) and return its application.

    The name is ``app`` if none is given; a dotted one leads through attributes.

    Raises:
        click.ClickException: with one sentence that says what is wrong. An error inside the program's own code is
            not caught: its traceback is what helps.
    """
    place, name = _split(target)
    module = _run_file(Path(place)) if _is_path(place) else _import(place)
    app: Any = module
    for part in name.split("."):
        if not hasattr(app, part):
            raise click.ClickException(f"there is no {name!r} in {place}; name the application as {place}:name")
        app = getattr(app, part)
    if not callable(app):
        raise click.ClickException(f"{name!r} in {place} is no ASGI application, but {type(app).__name__}")
    return app


def _split(target: str) -> tuple[str, str]:
    # A colon may also be a Windows drive, as in C:\\chat\\app.py.
    place, colon, name = target.rpartition(":")
    if not colon or "/" in name or "\\" in name:
        return target, "app"
    if not place or not name:
        raise click.ClickException(f"{target!r} does not name an application; write module:app or path/to/file.py")
    return place, name


def _is_path(place: str) -> bool:
    return place.endswith(".py") or "/" in place or "\\" in place


def _run_file(path: Path) -> ModuleType:
    if path.is_dir():
        raise click.ClickException(f"{path} is a folder; name the file in it, such as {path / 'app.py'}")
    if not path.is_file():
        raise click.ClickException(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise click.ClickException(f"{path} is no Python file")
    # Like `python path/to/file.py`: the file finds its neighbours.
    sys.path.insert(0, str(path.resolve().parent))
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _import(name: str) -> ModuleType:
    sys.path.insert(0, "")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # Only when it is the named module that is missing; what that module imports is the program's own matter.
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise click.ClickException(f"there is no module {error.name!r} to import from here") from error
        raise
    except ValueError as error:
        raise click.ClickException(f"{name!r} is no module name") from error
