"""Finds the application that a person names on the command line."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from ..app import App

_HOW_TO_NAME_IT = "write module:app or path/to/file.py"


def load_app(target: str) -> Any:
    """Import ``module:name`` or run the file ``path.py`` (or ``path.py:name``) and return its application.

    The name is ``app`` if none is given; a dotted one leads through attributes.

    Raises:
        click.ClickException: with one sentence that says what is wrong; for an error in the program's own code with
            the traceback of that.
    """
    place, name = _split(target)
    module = _run_file(Path(place)) if _is_path(place) else _import(place)
    app: Any = module
    for part in name.split("."):
        if not hasattr(app, part):
            raise click.ClickException(f"there is no {name!r} in {place}; {_suggest(module, place)}")
        app = getattr(app, part)
    if not callable(app):
        raise click.ClickException(f"{name!r} in {place} is no application, but of type {type(app).__name__}")
    if not _takes(app, 3):
        made = f". If it makes one, write `app = {name}()` in {place}, and name that" if _takes(app, 0) else ""
        raise click.ClickException(
            f"{name!r} in {place} is no ASGI application: it does not take scope, receive, send{made}"
        )
    return app


def _split(target: str) -> tuple[str, str]:
    # A colon may also be a Windows drive, as in C:\\chat\\app.py.
    place, colon, name = target.rpartition(":")
    if not colon or "/" in name or "\\" in name:
        place, name = target, "app"
    if not place or not name:
        raise click.ClickException(f"{target!r} does not name an application; {_HOW_TO_NAME_IT}")
    return place, name


def _is_path(place: str) -> bool:
    if place.endswith(".py") or "/" in place or "\\" in place:
        return True
    path = Path(place)
    return path.is_file() or (path.is_dir() and not (path / "__init__.py").exists())


def _run_file(path: Path) -> ModuleType:
    if path.is_dir():
        raise click.ClickException(f"{path} is a folder; name the file in it, such as {path / 'app.py'}")
    if not path.exists():
        raise click.ClickException(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise click.ClickException(f"{path} is no Python file, which ends in .py")
    # Like `python path/to/file.py`: the file finds its neighbours.
    sys.path.insert(0, str(path.resolve().parent))
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    with _errors_of_the_program(str(path)):
        spec.loader.exec_module(module)
    return module


def _import(name: str) -> ModuleType:
    sys.path.insert(0, "")
    with _errors_of_the_program(name):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            # Only when it is the named module that is missing; what that module imports is the program's own matter.
            if error.name is None or not (name == error.name or name.startswith(error.name + ".")):
                raise
            raise click.ClickException(f"there is no module {error.name!r} here; {_HOW_TO_NAME_IT}") from error


@contextmanager
def _errors_of_the_program(place: str) -> Iterator[None]:
    """Show an error in the program's own code with the traceback of that code, and not of ours around it."""
    try:
        yield
    except click.ClickException:
        raise
    except Exception as error:
        trace = error.__traceback__
        while trace is not None and _is_machinery(trace.tb_frame.f_code.co_filename):
            trace = trace.tb_next
        told = "".join(traceback.format_exception(error.with_traceback(trace))).rstrip()
        raise click.ClickException(f"{place} cannot be loaded:\n{told}") from error


def _is_machinery(filename: str) -> bool:
    return filename in (__file__, importlib.__file__) or filename.startswith("<frozen importlib")


def _suggest(module: ModuleType, place: str) -> str:
    names = [name for name, value in vars(module).items() if isinstance(value, App)]
    return f"write {place}:{names[0]}" if names else f"name the application as in {place}:name"


def _takes(function: Any, count: int) -> bool:
    """Say whether it can be called with so many arguments."""
    try:
        inspect.signature(function).bind(*[None] * count)
    except ValueError:  # something built in, which does not say
        return True
    except TypeError:
        return False
    return True
