"""`Depends` and its kin: what stands in a signature, in `Annotated` or as a default, and says where a value is from."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from enum import Enum
from typing import Any, Literal, TypeAlias, TypedDict, TypeVar, Unpack, overload

import attrs
import msgspec

T = TypeVar("T")

ScopeName: TypeAlias = Literal["handshake", "connection", "message"]


class Scope(Enum):
    """How long the value of a dependency lives."""

    HANDSHAKE = "handshake"
    CONNECTION = "connection"
    MESSAGE = "message"


class Place(Enum):
    """The part of a handshake that a value is taken from."""

    PATH = "path"
    QUERY = "query"
    HEADER = "header"
    COOKIE = "cookie"
    PATH_OR_QUERY = "path or query"  # a plain parameter: from the path if it has the name, else from the query


@attrs.frozen
class Dependency:
    """The marker that `Depends` and `Security` make. No function: the type of the parameter is what is called."""

    function: Callable[..., Any] | None
    scope: Scope
    use_cache: bool = True
    scopes: tuple[str, ...] = ()


@attrs.frozen
class Parameter:
    """The marker that `Path`, `Query`, `Header` and `Cookie` make."""

    place: Place
    default: Any = ...  # Ellipsis: there is none
    default_factory: Callable[[], Any] | None = None
    alias: str | None = None
    convert_underscores: bool = True
    meta: msgspec.Meta | None = None


@attrs.frozen
class SecurityScopes:
    """What the `Security` markers on the way to a dependency ask for. A parameter of this type gets it.

    Attributes:
        scopes: the scopes of all of them, the outermost first, each once.
    """

    scopes: tuple[str, ...] = ()

    @property
    def scope_str(self) -> str:
        """The scopes with spaces between them, as in a ``WWW-Authenticate`` header."""
        return " ".join(self.scopes)


class _Options(TypedDict, total=False):
    """What `Depends` and `Security` take by name, for their overloads."""

    use_cache: bool
    scope: ScopeName


class _SecurityOptions(_Options, total=False):
    scopes: Sequence[str]


# The overloads see through what the resolver does with the result: it waits for it, or takes what is yielded.


@overload
def Depends(dependency: Callable[..., AsyncIterator[T]], **options: Unpack[_Options]) -> T: ...
@overload
def Depends(dependency: Callable[..., Coroutine[Any, Any, T]], **options: Unpack[_Options]) -> T: ...
@overload
def Depends(dependency: Callable[..., Iterator[T]], **options: Unpack[_Options]) -> T: ...
@overload
def Depends(dependency: Callable[..., T], **options: Unpack[_Options]) -> T: ...
@overload
def Depends(dependency: None = None, **options: Unpack[_Options]) -> Any: ...
def Depends(  # noqa: N802 - it reads as a type does, and that is its name elsewhere
    dependency: Callable[..., Any] | None = None, *, use_cache: bool = True, scope: ScopeName = "connection"
) -> Any:
    """Have a parameter filled by calling ``dependency``, whose own parameters are filled in the same way.

    Write it as ``user: Annotated[User, Depends(get_user)]`` or as ``user: User = Depends(get_user)``.

    Args:
        dependency: an async function, a plain function (it runs in a worker thread), a class, or a generator function
            of either kind: what it yields is the value, and what stands behind the ``yield`` runs when the scope
            ends. Without it the type of the parameter is called.
        use_cache: give everybody on this connection who depends on it in this scope the same value.
        scope: ``"connection"``: from before ``on_connect`` until after ``on_disconnect``. ``"handshake"``: until
            ``accept`` has been sent, or the handshake was refused. ``"message"``: for one call of ``on_receive``.

    Raises:
        TypeError: ``dependency`` cannot be called, such as when it was called already.
        ValueError: there is no such scope.
    """
    return Dependency(_check_callable("Depends", dependency), _check_scope(scope), use_cache)


@overload
def Security(dependency: Callable[..., AsyncIterator[T]], **options: Unpack[_SecurityOptions]) -> T: ...
@overload
def Security(dependency: Callable[..., Coroutine[Any, Any, T]], **options: Unpack[_SecurityOptions]) -> T: ...
@overload
def Security(dependency: Callable[..., Iterator[T]], **options: Unpack[_SecurityOptions]) -> T: ...
@overload
def Security(dependency: Callable[..., T], **options: Unpack[_SecurityOptions]) -> T: ...
@overload
def Security(dependency: None = None, **options: Unpack[_SecurityOptions]) -> Any: ...
def Security(  # noqa: N802
    dependency: Callable[..., Any] | None = None,
    *,
    scopes: Sequence[str] = (),
    use_cache: bool = True,
    scope: ScopeName = "connection",
) -> Any:
    """`Depends`, with names of what it must permit, which `SecurityScopes` tells to everything below.

    Args:
        dependency: as for `Depends`.
        scopes: OAuth2's word for permissions, such as ``["items:read"]``. Not the ``scope`` of the value's life.
        use_cache: as for `Depends`. Who gets other `SecurityScopes` gets another value.
        scope: as for `Depends`.
    """
    if isinstance(scopes, str):
        raise TypeError(f"scopes is a list: write scopes=[{scopes!r}], not scopes={scopes!r}")
    return Dependency(_check_callable("Security", dependency), _check_scope(scope), use_cache, tuple(scopes))


def Path(  # noqa: N802
    default: Any = ...,
    *,
    alias: str | None = None,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    multiple_of: float | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
    pattern: str | None = None,
    title: str | None = None,
    description: str | None = None,
) -> Any:
    """Take a parameter from the path of the route. It always has a value there, so it takes no default.

    Args:
        default: none, or ``...``, which means none.
        alias: its name in the path, if not the parameter's own.
        ge: greater than or equal to this; ``gt``, ``le``, ``lt``, ``multiple_of`` likewise.
        gt: greater than this.
        le: less than or equal to this.
        lt: less than this.
        multiple_of: a multiple of this.
        min_length: at least as many characters.
        max_length: at most as many characters.
        pattern: a regular expression that is found in it.
        title: for people.
        description: for people.
    """
    if default is not ...:
        raise TypeError("Path takes no default, since a path that lacks the value is another path: write Path()")
    bounds = _gather(ge, gt, le, lt, multiple_of, min_length, max_length, pattern, title, description)
    return Parameter(Place.PATH, alias=alias, meta=bounds)


def Query(  # noqa: N802
    default: Any = ...,
    *,
    default_factory: Callable[[], Any] | None = None,
    alias: str | None = None,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    multiple_of: float | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
    pattern: str | None = None,
    title: str | None = None,
    description: str | None = None,
) -> Any:
    """Take a parameter from the query string; one that is a list takes all values of that name.

    Args:
        default: its value when the query has none; without a default the handshake is refused.
        default_factory: makes the default, each time.
        alias: its name in the query, if not the parameter's own.
        ge: greater than or equal to this; ``gt``, ``le``, ``lt``, ``multiple_of`` likewise.
        gt: greater than this.
        le: less than or equal to this.
        lt: less than this.
        multiple_of: a multiple of this.
        min_length: at least as many characters, or items.
        max_length: at most as many characters, or items.
        pattern: a regular expression that is found in it.
        title: for people.
        description: for people.
    """
    bounds = _gather(ge, gt, le, lt, multiple_of, min_length, max_length, pattern, title, description)
    return Parameter(Place.QUERY, *_check_default("Query", default, default_factory), alias=alias, meta=bounds)


def Header(  # noqa: N802
    default: Any = ...,
    *,
    default_factory: Callable[[], Any] | None = None,
    alias: str | None = None,
    convert_underscores: bool = True,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    multiple_of: float | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
    pattern: str | None = None,
    title: str | None = None,
    description: str | None = None,
) -> Any:
    """Take a parameter from a header of the handshake; one that is a list takes all headers of that name.

    Takes what `Query` takes, and:

    Args:
        convert_underscores: ``x_token`` is ``x-token``. Without effect on an alias, which is taken as it is.
    """
    bounds = _gather(ge, gt, le, lt, multiple_of, min_length, max_length, pattern, title, description)
    made = _check_default("Header", default, default_factory)
    return Parameter(Place.HEADER, *made, alias=alias, convert_underscores=convert_underscores, meta=bounds)


def Cookie(  # noqa: N802
    default: Any = ...,
    *,
    default_factory: Callable[[], Any] | None = None,
    alias: str | None = None,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    multiple_of: float | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
    pattern: str | None = None,
    title: str | None = None,
    description: str | None = None,
) -> Any:
    """Take a parameter from a cookie. Takes what `Query` takes; browsers send cookies to WebSockets of any page."""
    bounds = _gather(ge, gt, le, lt, multiple_of, min_length, max_length, pattern, title, description)
    return Parameter(Place.COOKIE, *_check_default("Cookie", default, default_factory), alias=alias, meta=bounds)


_BOUNDS = ("ge", "gt", "le", "lt", "multiple_of", "min_length", "max_length", "pattern", "title", "description")


def _gather(*bounds: Any) -> msgspec.Meta | None:
    given = {name: bound for name, bound in zip(_BOUNDS, bounds, strict=True) if bound is not None}
    return msgspec.Meta(**given) if given else None


def _check_default(
    marker: str, default: Any, factory: Callable[[], Any] | None
) -> tuple[Any, Callable[[], Any] | None]:
    if factory is not None and default is not ...:
        raise TypeError(f"{marker} takes a default or a default_factory, not both")
    return default, factory


def _check_scope(scope: str) -> Scope:
    try:
        return Scope(scope)
    except ValueError:
        known = ", ".join(repr(each.value) for each in Scope)
        raise ValueError(f"there is no scope {scope!r}; it is one of {known}") from None


def _check_callable(marker: str, dependency: Any) -> Callable[..., Any] | None:
    if dependency is None or callable(dependency):
        return dependency  # type: ignore[no-any-return]
    if inspect.iscoroutine(dependency) or inspect.isgenerator(dependency) or inspect.isasyncgen(dependency):
        name = dependency.__name__
        if inspect.iscoroutine(dependency):
            dependency.close()
        raise TypeError(f"{marker} takes the function, and calls it: write {marker}({name}), not {marker}({name}())")
    raise TypeError(f"{marker} takes a function or another callable, not {dependency!r}")
