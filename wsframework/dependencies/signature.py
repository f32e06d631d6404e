"""Signatures with their annotations evaluated, so far as that is needed and possible."""

from __future__ import annotations

import builtins
import functools
import inspect
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import FrameType
from typing import Annotated, Any, ForwardRef, Literal, Union, get_args, get_origin

import attrs

_PACKAGE = __name__.partition(".")[0]


@attrs.frozen
class Argument:
    """One parameter of a function. ``annotation`` is ``inspect.Parameter.empty`` if there is none."""

    name: str
    annotation: Any
    default: Any


def read_signature(function: Callable[..., Any], given: int, where: str) -> list[Argument]:
    """Return the parameters behind the first ``given`` ones, which the framework fills by position.

    ``*args`` and ``**kwargs`` are left out: they get nothing. So is what a ``functools.partial`` has bound by name,
    which looks like a default and which no client may replace.

    Raises:
        TypeError: an annotation cannot be evaluated, a parameter has no name, or the function has no signature.
    """
    try:
        signature = inspect.signature(function)
    except ValueError:
        raise TypeError(
            f"{where} has no signature that Python could tell; put a function of your own around it"
        ) from None
    names = _Names(function)
    bound = _bound(function)
    arguments = []
    for each in list(signature.parameters.values())[given:]:
        what = f"{where}: parameter {each.name!r}"
        if each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD) or each.name in bound:
            continue
        if each.kind is each.POSITIONAL_ONLY:
            raise TypeError(f"{what} is filled by its name, so it cannot be positional-only: leave out the `/`")
        arguments.append(Argument(each.name, _evaluate(each.annotation, names, what), each.default))
    return arguments


def find_unknown(annotation: Any) -> str | None:
    """Return a name in an annotation that nothing is known of, such as one imported under ``TYPE_CHECKING``."""
    if isinstance(annotation, ForwardRef):
        return annotation.__forward_arg__
    found = (find_unknown(each) for each in _inside(annotation))
    return next((name for name in found if name is not None), None)


def _inside(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) is Annotated:
        return (get_args(annotation)[0],)
    return () if get_origin(annotation) is Literal else get_args(annotation)


def _evaluate(annotation: Any, names: _Names, what: str) -> Any:
    if isinstance(annotation, ForwardRef):
        annotation = annotation.__forward_arg__
    if any(
        isinstance(each, (ForwardRef, str)) for each in _inside(annotation)
    ):  # a string within, as in list["Colour"]
        inside = tuple(_evaluate(each, names, what) for each in _inside(annotation))
        origin = get_origin(annotation)
        if origin is Annotated:
            return Annotated[(inside[0], *annotation.__metadata__)]
        return (Union if origin is types.UnionType else origin)[inside]
    if isinstance(annotation, str):
        try:
            annotation = eval(annotation, {}, names)
        except Exception as error:
            raise TypeError(
                f"{what} has the annotation {annotation!r}, which cannot be evaluated when the function is defined "
                f"({type(error).__name__}: {error}). Import what it names outside `if TYPE_CHECKING:`"
            ) from error
    while hasattr(annotation, "__value__"):  # `type Name = ...`, from Python 3.12 on
        annotation = annotation.__value__
    return annotation


class _Names(dict[str, Any]):
    """What the names in the annotations of a function stand for.

    Besides the module's names and builtins it knows those of the functions around it that are running, so that types
    and dependencies may be local. For other names it gives a ``ForwardRef``: many annotations need not be known, such
    as the first half of ``Annotated[User, Depends(get_user)]``.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        inner = _innermost(function)
        module = sys.modules.get(getattr(inner, "__module__", None) or "")
        self._module: dict[str, Any] = getattr(inner, "__globals__", None) or vars(module or builtins)
        if "<locals>" in getattr(inner, "__qualname__", ""):
            for frame in reversed(list(_frames())):
                if frame.f_globals is self._module:
                    self.update(frame.f_locals)
            if inspect.isfunction(inner):
                for name, cell in zip(inner.__code__.co_freevars, inner.__closure__ or (), strict=True):
                    with suppress(ValueError):  # the cell is empty, such as that of a class that is being made
                        self[name] = cell.cell_contents

    def __missing__(self, name: str) -> Any:
        for known in (self._module, vars(builtins)):
            if name in known:
                return known[name]
        return ForwardRef(name)


def _bound(function: Any) -> set[str]:
    bound: set[str] = set()
    while isinstance(function, functools.partial):
        bound.update(function.keywords)
        function = function.func
    return bound


def _innermost(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(function)
    if inspect.isclass(function):
        return function
    if inspect.ismethod(function):
        return function.__func__
    return function if inspect.isfunction(function) else type(function).__call__


def _frames() -> Iterator[FrameType]:
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] != _PACKAGE:
            yield frame
        frame = frame.f_back
