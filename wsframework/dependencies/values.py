"""Values from a handshake: found by their names, converted and validated by msgspec, and never shown when wrong."""

from __future__ import annotations

import re
import types
from collections.abc import Callable
from typing import Annotated, Any, Union, get_args, get_origin

import attrs
import msgspec
from msgspec import inspect as kinds
from starlette.requests import HTTPConnection

from ..close import CloseCode
from ..encoding import cut_reason
from ..errors import InvalidParameter, WebSocketStateError
from .markers import Parameter, Place
from .signature import find_unknown

_NOTHING: Any = object()

# What a string can become. Everything else would refuse whatever a client sends.
_FROM_TEXT = (
    kinds.AnyType,
    kinds.BoolType,
    kinds.DateTimeType,
    kinds.DateType,
    kinds.DecimalType,
    kinds.EnumType,
    kinds.FloatType,
    kinds.IntType,
    kinds.LiteralType,
    kinds.StrType,
    kinds.TimeDeltaType,
    kinds.TimeType,
    kinds.UUIDType,
)
_MANY = (kinds.ListType, kinds.SetType, kinds.FrozenSetType, kinds.VarTupleType, kinds.TupleType)

# The sentences of msgspec that hold nothing of the value. Some others do, such as "Invalid enum value 'secret'".
_SAYS_NO_VALUE = re.compile(
    r"Expected (?P<expected>`.+?)(?:, got (?:`[\w | ]+`|\d+))?"
    r"|Invalid (?P<invalid>UUID|RFC3339 encoded \w+|ISO8601 duration|decimal string)"
)


@attrs.frozen
class Value:
    """A parameter that comes from the handshake. Calling it with the connection gives its value.

    Attributes:
        place: where it is looked for.
        key: its name there.
        many: take all values of that name, not the one that Starlette takes: a header's first, a query's last.
    """

    place: Place
    key: str
    many: bool
    _type: Any  # None: the text as it is
    _default: Any
    _default_factory: Callable[[], Any] | None
    _expected: str  # what a value must be, for types of which msgspec would show the value

    def __call__(self, connection: HTTPConnection[Any]) -> Any:
        """Find and convert it.

        Raises:
            InvalidParameter: it is missing, or does not fit its type.
            WebSocketStateError: the path of the route does not have it.
        """
        place, found = self._find(connection)
        if found is _NOTHING:
            return self._without(place)
        if self._type is None:
            return found
        try:
            return msgspec.convert(found, self._type, strict=False)
        except msgspec.ValidationError as error:
            reason = self._explain(str(error))
        # Outside the clause, so that no traceback in a log has msgspec's sentence, which may show the value.
        raise _refuse(place, self.key, reason)

    def _find(self, connection: HTTPConnection[Any]) -> tuple[Place, Any]:
        match self.place:
            case Place.PATH:
                return Place.PATH, connection.path_params.get(self.key, _NOTHING)
            case Place.HEADER:
                values = connection.headers.getlist(self.key)
                return Place.HEADER, values if self.many and values else connection.headers.get(self.key, _NOTHING)
            case Place.COOKIE:
                return Place.COOKIE, connection.cookies.get(self.key, _NOTHING)
            case Place.PATH_OR_QUERY if self.key in connection.path_params:
                return Place.PATH, connection.path_params[self.key]
        values = connection.query_params.getlist(self.key)
        return Place.QUERY, values if self.many and values else connection.query_params.get(self.key, _NOTHING)

    def _without(self, place: Place) -> Any:
        if self._default_factory is not None:
            return self._default_factory()
        if self._default is not ...:
            return self._default
        if place is Place.PATH:
            raise WebSocketStateError(
                f"the route has no {self.key!r} in its path: name it there, as in '/items/{{{self.key}}}'"
            )
        raise _refuse(place, self.key, "is missing")

    def _explain(self, sentence: str) -> str:
        known = _SAYS_NO_VALUE.fullmatch(re.sub(r" - at `\$.*`$", "", sentence))
        if known is None:
            return f"is not {self._expected}"
        return (
            f"is not {known['expected'].replace('`', '')}" if known["expected"] else f"is no valid {known['invalid']}"
        )


def plan_value(name: str, annotation: Any, marker: Parameter, default: Any, where: str) -> Value:
    """Prepare to take a parameter from the handshake.

    Raises:
        TypeError: no text can become a value of that type.
    """
    what = f"{where}: parameter {name!r}"
    type_ = _apply_meta(_without_none(annotation), marker.meta)
    unknown = find_unknown(type_)
    if unknown is not None:
        raise TypeError(
            f"{what}: {unknown!r} is not known when the function is defined; import it outside `if TYPE_CHECKING:`"
        )
    kind = _inspect(type_, what)
    many = isinstance(kind, _MANY)
    if many and marker.place in (Place.PATH, Place.COOKIE):
        raise TypeError(f"{what}: a {marker.place.value} has one value of a name, so it cannot be {_name(type_)}")
    items = _items(kind) if many else (kind,)
    if not all(_is_from_text(item) for item in items):
        raise TypeError(
            f"{what} is taken from the {marker.place.value}, and no text there can become {_name(type_)}. "
            f"If something makes it, write Annotated[{_name(type_)}, Depends(get_{name})]"
        )
    as_it_is = isinstance(kind, kinds.AnyType) or type_ is str
    return Value(
        marker.place,
        _key(name, marker),
        many,
        None if as_it_is and marker.place not in (Place.PATH, Place.PATH_OR_QUERY) else type_,
        default,
        marker.default_factory,
        _describe(items),
    )


def _refuse(place: Place, key: str, reason: str) -> InvalidParameter:
    thing = "query parameter" if place is Place.QUERY else "path parameter" if place is Place.PATH else place.value
    detail = f"{thing} {key!r} {reason}"
    return InvalidParameter(CloseCode.POLICY_VIOLATION, cut_reason(detail))


def _key(name: str, marker: Parameter) -> str:
    if marker.alias is not None:
        return marker.alias
    return name.replace("_", "-") if marker.place is Place.HEADER and marker.convert_underscores else name


def _without_none(annotation: Any) -> Any:
    """Take None out of a union: what is not there gets the default, and the text "null" is no None."""
    if get_origin(annotation) is Annotated:
        base, *metadata = get_args(annotation)
        return Annotated[(_without_none(base), *metadata)]
    if get_origin(annotation) in (Union, types.UnionType):
        rest = tuple(each for each in get_args(annotation) if each is not types.NoneType)
        return Union[rest] if rest else annotation  # noqa: UP007 - a union of as many as there are
    return annotation


def _apply_meta(type_: Any, meta: msgspec.Meta | None) -> Any:
    return type_ if meta is None else Annotated[type_, meta]


def _inspect(type_: Any, what: str) -> kinds.Type:
    try:
        msgspec.json.Decoder(type_)  # refuses some unions that the inspection lets pass
        return _bare(kinds.type_info(type_))
    except TypeError as error:
        raise TypeError(f"{what}: {error}") from error


def _items(kind: kinds.Type) -> tuple[kinds.Type, ...]:
    if isinstance(kind, kinds.TupleType):
        return kind.item_types
    assert isinstance(kind, (kinds.ListType, kinds.SetType, kinds.FrozenSetType, kinds.VarTupleType))
    return (kind.item_type,)


def _bare(kind: kinds.Type) -> kinds.Type:
    """Take off what is there for people, such as a title."""
    return _bare(kind.type) if isinstance(kind, kinds.Metadata) else kind


def _is_from_text(kind: kinds.Type) -> bool:
    kind = _bare(kind)
    if isinstance(kind, kinds.UnionType):
        return all(_is_from_text(each) for each in kind.types)
    return isinstance(kind, _FROM_TEXT)


def _describe(items: tuple[kinds.Type, ...]) -> str:
    """Say what a value must be, where msgspec would say what it is."""
    allowed: list[str] = []
    for item in items:
        bare = _bare(item)
        for each in bare.types if isinstance(bare, kinds.UnionType) else (bare,):
            if isinstance(each, kinds.EnumType):
                allowed += [repr(member.value) for member in each.cls]
            elif isinstance(each, kinds.LiteralType):
                allowed += [repr(value) for value in each.values]
    return f"one of {', '.join(allowed)}" if allowed else "of the right type"


def _name(type_: Any) -> str:
    return type_.__name__ if isinstance(type_, type) else str(type_).replace("typing.", "")
