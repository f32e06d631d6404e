"""Plans: for each function, where each of its arguments is from. Made once, when a class or a route is defined."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Hashable
from enum import Enum
from typing import Annotated, Any, ForwardRef, TypeAlias, get_args, get_origin

import attrs
import msgspec
from starlette.requests import HTTPConnection

from .markers import Dependency, Parameter, Place, Scope, SecurityScopes
from .provided import provider
from .signature import Argument, read_signature
from .values import plan_value

Getter: TypeAlias = Callable[[HTTPConnection[Any]], Any]


class Kind(Enum):
    """How a dependency is called."""

    ASYNC = "an async function"
    ASYNC_GENERATOR = "an async generator function"
    FUNCTION = "a plain function, in a worker thread"
    GENERATOR = "a generator function, in a worker thread"
    AT_ONCE = "a class, which is called in the loop"
    GENERATOR_AT_ONCE = "a generator function in the loop"


# What stands in for a dependency in a test does not block, and Trio's virtual clock does not wait for threads.
_IN_TESTS = {Kind.FUNCTION: Kind.AT_ONCE, Kind.GENERATOR: Kind.GENERATOR_AT_ONCE}

_GENERATORS = (Kind.ASYNC_GENERATOR, Kind.GENERATOR)


@attrs.frozen(eq=False)
class Call:
    """A function, and where the arguments are from that it is called with by name."""

    function: Callable[..., Any]
    name: str
    kind: Kind
    getters: dict[str, Getter]
    needs: dict[str, Need]
    order: tuple[str, ...]  # getters and needs together, as they are written
    asks_for_scopes: bool  # it, or something that it needs, has a parameter for SecurityScopes

    @property
    def identity(self) -> Hashable:
        """What values and overrides are found by: the function, or what tells it from others if it has no hash."""
        return identify(self.function)


@attrs.frozen(eq=False)
class Need:
    """One ``Depends`` at one place in a signature.

    Attributes:
        call: what makes the value.
        scope: how long the value lives.
        key: what the value is kept under; the need itself if it is shared with nobody.
        scopes: the names that all ``Security`` on the way here have given.
    """

    call: Call
    scope: Scope
    scopes: tuple[str, ...]
    use_cache: bool

    @property
    def key(self) -> Hashable:
        # Who asks for other permissions must not get the value that was made for these, if it looks at them at all.
        scopes = self.scopes if self.call.asks_for_scopes else ()
        return (self.call.identity, self.scope, scopes) if self.use_cache else self


@attrs.frozen
class _Scopes:
    """Gives the same scopes to every connection."""

    scopes: SecurityScopes

    def __call__(self, _connection: HTTPConnection[Any]) -> SecurityScopes:
        return self.scopes


@attrs.frozen
class _Place:
    """Where in the tree of functions a plan is being made."""

    name: str
    functions: tuple[Callable[..., Any], ...] = ()
    scopes: tuple[str, ...] = ()


def plan_hook(function: Callable[..., Any], name: str, given: int, allowed: Scope) -> Call | None:
    """Plan an endpoint's function or hook. None: it has no parameters besides those that it is given by position.

    Args:
        function: the function, async.
        name: what it is called in errors.
        given: how many parameters are filled by position.
        allowed: ``Scope.MESSAGE`` for what is called with a message, ``Scope.HANDSHAKE`` for the others.

    Raises:
        TypeError: a parameter cannot be filled. The message shows what to write.
    """
    call = _plan(function, given, _Place(name))
    for argument, need in call.needs.items():
        _check_hook_scope(name, argument, need, allowed)
    return call if call.order else None


def plan_function_endpoint(function: Callable[..., Any], name: str) -> tuple[int, Call | None]:
    """Plan a function endpoint: how many parameters it is given by position, 0 or 1, and the rest.

    The first parameter is the WebSocket if it has no annotation, or that of a WebSocket.
    """
    first = next(iter(inspect.signature(function).parameters.values()), None)
    given = 0
    if first is not None and first.kind in (first.POSITIONAL_ONLY, first.POSITIONAL_OR_KEYWORD, first.VAR_POSITIONAL):
        marked = isinstance(first.default, (Dependency, Parameter))
        annotation = first.annotation if first.kind is first.VAR_POSITIONAL else _annotation_of_first(function, name)
        unknown = annotation in (first.empty, Any) or isinstance(annotation, ForwardRef)
        given = int(not marked and (unknown or provider(annotation) is not None))
    return given, plan_hook(function, name, given, Scope.HANDSHAKE)


def plan_dependency(function: Callable[..., Any], need: Need) -> Need:
    """Plan a function that stands in for another one, as ``dependency_overrides`` says. It runs in no thread."""
    place = _Place(f"the override of {_name(need.call.function)}", scopes=need.scopes)
    planned = _plan_need(Dependency(function, need.scope, need.use_cache), place)
    kind = _IN_TESTS.get(planned.call.kind, planned.call.kind)
    return attrs.evolve(planned, call=attrs.evolve(planned.call, kind=kind))


def _annotation_of_first(function: Callable[..., Any], name: str) -> Any:
    try:
        arguments = read_signature(function, 0, name)
    except (
        TypeError
    ):  # an annotation that is for type checkers only; if it is that of another parameter, it is seen later
        return Any
    return arguments[0].annotation if arguments else Any


def _plan(function: Callable[..., Any], given: int, place: _Place) -> Call:
    getters: dict[str, Getter] = {}
    needs: dict[str, Need] = {}
    arguments = read_signature(function, given, place.name)
    for argument in arguments:
        source = _find_source(argument, place)
        if isinstance(source, Need):
            needs[argument.name] = source
        else:
            getters[argument.name] = source
    order = tuple(each.name for each in arguments)
    asks_for_scopes = any(isinstance(each, _Scopes) for each in getters.values())
    asks_for_scopes |= any(need.call.asks_for_scopes for need in needs.values())
    return Call(function, place.name, _kind(function), getters, needs, order, asks_for_scopes)


def _find_source(argument: Argument, place: _Place) -> Getter | Need:
    marker, annotation, default = _read_marker(argument, place)
    if isinstance(marker, Dependency):
        if marker.function is None:
            if annotation is Any or not inspect.isclass(get_origin(annotation) or annotation):
                raise TypeError(
                    f"{place.name}: parameter {argument.name!r} has Depends() without a function, and "
                    f"its type is nothing to call: write Depends(get_{argument.name})"
                )
            marker = attrs.evolve(marker, function=annotation)
        return _plan_need(marker, place)
    if annotation is inspect.Parameter.empty:
        annotation = Any
    if marker is not None:
        return plan_value(argument.name, annotation, marker, default, place.name)
    if annotation is SecurityScopes:
        return _Scopes(SecurityScopes(place.scopes))
    getter = provider(annotation)
    if getter is not None:
        return getter
    return plan_value(argument.name, annotation, Parameter(Place.PATH_OR_QUERY), default, place.name)


def _read_marker(argument: Argument, place: _Place) -> tuple[Dependency | Parameter | None, Any, Any]:
    """Tell the marker, the type and the default of a parameter apart, however they are written."""
    what = f"{place.name}: parameter {argument.name!r}"
    annotation, default = argument.annotation, ... if argument.default is inspect.Parameter.empty else argument.default
    found: list[Dependency | Parameter] = []
    if get_origin(annotation) is Annotated:
        base, *metadata = get_args(annotation)
        found = [each for each in metadata if isinstance(each, (Dependency, Parameter))]
        # msgspec reads Meta and passes over what else may be there, but it must be hashable.
        rest = [each for each in metadata if isinstance(each, msgspec.Meta)]
        annotation = Annotated[(base, *rest)] if rest else base
        _refuse_foreign(metadata, what)
    _refuse_foreign([argument.default], what)
    if len(found) > 1:
        raise TypeError(f"{what} has {len(found)} markers, and it can come from one place only: leave one of them")
    if isinstance(default, (Dependency, Parameter)):
        if found:
            raise TypeError(f"{what} has a marker in Annotated and another one as its default: leave one of them")
        marker = default
        return marker, annotation, marker.default if isinstance(marker, Parameter) else ...
    if not found:
        return None, annotation, default
    if isinstance(found[0], Parameter):
        kind = found[0].place.value.capitalize()
        if found[0].default is not ...:
            raise TypeError(
                f"{what}: in Annotated the default stands behind the annotation: "
                f"write `{argument.name}: Annotated[..., {kind}()] = {found[0].default!r}`"
            )
        if found[0].place is Place.PATH and default is not ...:
            raise TypeError(f"{what} is taken from the path, where it always is: leave out its default")
    return found[0], annotation, default


def _refuse_foreign(things: list[Any], what: str) -> None:
    for thing in things:
        module, name = type(thing).__module__.partition(".")[0], type(thing).__name__
        if module not in ("fastapi", "fast_depends"):
            continue
        if name in _OURS:
            raise TypeError(f"{what} has {name} of {module}: write `from wsframework import {_OURS[name]}`")
        if name in _OF_A_BODY:
            raise TypeError(f"{what} has {name} of {module}, and the handshake of a WebSocket has no body: receive it")


# What the markers of other frameworks are called here.
_OURS = {name: name for name in ("Depends", "Security", "Cookie", "Header", "Query", "Path")} | {"Dependant": "Depends"}
_OF_A_BODY = ("Body", "Form", "File")


def _plan_need(marker: Dependency, place: _Place) -> Need:
    function = marker.function
    assert function is not None
    name = _name(function)
    if function in place.functions:
        circle = [*place.functions[place.functions.index(function) :], function]
        raise TypeError(f"dependencies in a circle: {' needs '.join(map(_name, circle))}")
    scopes = tuple(dict.fromkeys((*place.scopes, *marker.scopes)))
    below = _Place(f"{place.name} > {name}", (*place.functions, function), scopes)
    call = _plan(function, 0, below)
    for inner_argument, inner in call.needs.items():
        _check_scope(name, call.kind, marker.scope, inner_argument, inner, place.name)
    return Need(call, marker.scope, scopes, marker.use_cache)


def _check_hook_scope(hook: str, argument: str, need: Need, allowed: Scope) -> None:
    name = _name(need.call.function)
    if need.scope is Scope.MESSAGE and allowed is not Scope.MESSAGE:
        raise TypeError(
            f"{hook}: parameter {argument!r}: a message-scoped dependency lives for one on_receive, and this is none: "
            f'write Depends({name}), or Depends({name}, scope="handshake")'
        )
    if need.scope is Scope.HANDSHAKE and allowed is Scope.MESSAGE:
        raise TypeError(
            f"{hook}: parameter {argument!r}: a handshake-scoped dependency has ended when a message comes: "
            f'write Depends({name}, scope="message"), or Depends({name})'
        )


def _check_scope(name: str, kind: Kind, scope: Scope, argument: str, inner: Need, where: str) -> None:
    needed = _name(inner.call.function)
    if inner.scope is Scope.MESSAGE and scope is not Scope.MESSAGE:
        raise TypeError(
            f"{where}: {name} is {scope.value}-scoped and needs {needed} ({argument!r}), which lives for one message "
            f'only: write Depends({name}, scope="message")'
        )
    if inner.scope is Scope.HANDSHAKE and scope is Scope.MESSAGE:
        raise TypeError(
            f"{where}: {name} is message-scoped and needs {needed} ({argument!r}), which has ended with the handshake: "
            f'write Depends({needed}, scope="message")'
        )
    # A function is done when it has returned. What yields still holds on to what it was given.
    if inner.scope is Scope.HANDSHAKE and scope is Scope.CONNECTION and kind in _GENERATORS:
        raise TypeError(
            f"{where}: {name} lives as long as the connection and needs {needed} ({argument!r}), which ends with the "
            f'handshake: write Depends({name}, scope="handshake"), or Depends({needed})'
        )


def _kind(function: Callable[..., Any]) -> Kind:
    name = _name(function)
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isclass(function):
        return Kind.AT_ONCE
    if not inspect.isroutine(function):
        function = type(function).__call__
    for each in (function, inspect.unwrap(function)):
        if inspect.iscoroutinefunction(each):
            return Kind.ASYNC
        if inspect.isasyncgenfunction(each) or inspect.isgeneratorfunction(each):
            if getattr(getattr(function, "__code__", None), "co_filename", None) == contextlib.__file__:
                raise TypeError(
                    f"{name} is decorated with @contextmanager or @asynccontextmanager. Depends does that itself: "
                    "leave out the decorator"
                )
            return Kind.ASYNC_GENERATOR if inspect.isasyncgenfunction(each) else Kind.GENERATOR
    return Kind.FUNCTION


def identify(function: Callable[..., Any]) -> Hashable:
    """Return what a function is known by: itself, unless it is an object without a hash."""
    try:
        hash(function)
    except TypeError:
        return id(function)
    return function


def _name(function: Callable[..., Any]) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__name__", None) or type(function).__name__
