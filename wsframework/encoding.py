"""Between messages and Python values: what ``encoding`` on an endpoint means, and how values become messages."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from .close import MAX_REASON_BYTES, CloseCode
from .errors import InvalidData
from .messages import Message

Decoder: TypeAlias = Callable[[Message], Any]


def make_decoder(encoding: Any) -> Decoder:
    """Return the function that turns a client's message into what ``on_receive`` gets.

    Args:
        encoding: ``"text"``, ``"bytes"``, ``"json"``, None for the message as it came, or a type: an attrs class, a
            dataclass, a ``msgspec.Struct``, a union of tagged Structs, or anything else that msgspec decodes.

    Raises:
        TypeError: it is none of these.

    The decoder raises `InvalidData`: with 1003 when the endpoint takes text and got binary or the other way round,
    with 1007 when the message is no JSON or does not fit the type (RFC 6455 section 7.4.1).
    """
    match encoding:
        case None:
            return lambda message: message
        case "text":
            return expect_text
        case "bytes":
            return expect_bytes
        case "json":
            return _make_json_decoder(Any)
        case str():
            raise TypeError(f"encoding {encoding!r} is not known; use 'text', 'bytes', 'json', None or a type")
    return _make_json_decoder(encoding)


def expect_text(message: Message) -> str:
    """Return a text message as it is; raise `InvalidData` (1003) for a binary one."""
    if not isinstance(message, str):
        raise InvalidData(CloseCode.UNSUPPORTED_DATA, "this endpoint takes text messages")
    return message


def expect_bytes(message: Message) -> bytes:
    """Return a binary message as it is; raise `InvalidData` (1003) for text."""
    if isinstance(message, str):
        raise InvalidData(CloseCode.UNSUPPORTED_DATA, "this endpoint takes binary messages")
    return message


def check_mode(mode: str) -> None:
    """Raise ValueError unless it is one that ``send_json`` and ``receive_json`` know."""
    if mode not in ("text", "binary"):
        raise ValueError(f'mode is "text" or "binary", not {mode!r}')


def _make_json_decoder(type_: Any) -> Decoder:
    try:
        decode = msgspec.json.Decoder(type_).decode
        if isinstance(msgspec.inspect.type_info(type_), msgspec.inspect.CustomType):
            raise TypeError("msgspec does not know this kind of class; use a Struct, a dataclass or an attrs class")
    except TypeError as error:
        raise TypeError(
            f"encoding = {type_!r} cannot be decoded: {error}. "
            "For a union of messages use msgspec Structs with tag=True."
        ) from error

    def decode_json(message: Message) -> Any:
        try:
            return decode(message)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidData(CloseCode.INVALID_PAYLOAD, cut_reason(str(error))) from error

    return decode_json


def decode_json(message: Message) -> Any:
    """Decode JSON into plain values. Raises `InvalidData` (1007) for what is no JSON."""
    return _decode_any(message)


_decode_any = _make_json_decoder(Any)


def encode_json(value: Any) -> bytes:
    """Encode plain values, attrs classes, dataclasses and Structs as compact JSON.

    Raises:
        TypeError: JSON cannot hold it.
    """
    try:
        return msgspec.json.encode(value)
    except TypeError as error:
        raise explain_wrong_type(f"this cannot be sent as JSON: {error}", value) from error


def explain_wrong_type(told: str, value: object) -> TypeError:
    """Make the error for a value that cannot be sent. A coroutine is what somebody has forgotten to await."""
    if inspect.iscoroutine(value):
        value.close()  # so that Python does not say on top of this that it was never awaited
        told = f"{value.__qualname__}(...) is a coroutine, which is no message: write `await` before it"
    return TypeError(told)


def to_message(value: Any) -> Message:
    """Make a message out of anything: strings are text, bytes are binary, the rest is JSON text."""
    if isinstance(value, (str, bytes)):
        return value
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    return encode_json(value).decode()


def cut_reason(reason: str) -> str:
    """Shorten a text so that it fits a close frame, at a character's boundary."""
    return reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
