"""One line for each connection that has ended, for whoever wants to know who came and what became of it.

The server makes an `AccessRecord` and logs it at INFO as ``wsframework.access``, with standard `logging`. The record is
the message, so any formatter prints it as a line of text; it is also the attribute ``access`` of the log record, for
formatters that want its fields, as `JSONFormatter` does.

Nothing a client has sent can forge a line or move a terminal's cursor: in a record every string is printable ASCII.
Query strings are left out, because that is where clients put tokens.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import attrs
import msgspec

logger: logging.Logger = logging.getLogger("wsframework.access")

# The key in the scope under which an application may leave another level for this line than INFO, such as
# `logging.DEBUG` for what a load balancer asks every second.
ACCESS_LEVEL = "wsframework.access_level"

# And under which it may leave why it refuses a request, where nothing but the response says it.
ACCESS_REASON = "wsframework.access_reason"

# Longer strings are cut. A line of less than 4 KiB is written to a pipe in one piece (PIPE_BUF of Linux), so the lines
# of several processes do not mix.
_LONGEST = 1024

_SIZES = ((1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB"))


def escape(text: str) -> str:
    r"""Return this as printable ASCII: control characters, backslashes and what is not ASCII as ``\n`` or ``\xe9``."""
    short = text[:_LONGEST]
    if not short.isascii() or not short.isprintable() or "\\" in short:
        short = short.encode("unicode_escape").decode("ascii")
    return short if len(text) <= _LONGEST and len(short) <= _LONGEST else f"{short[:_LONGEST]}..."


def _escape_optional(text: str | None) -> str | None:
    return None if text is None else escape(text)


@attrs.frozen(kw_only=True)
class AccessRecord:
    """What became of a WebSocket connection, or of an HTTP request. ``str()`` makes the line of text.

    Attributes:
        type: ``"websocket"`` or ``"http"``.
        client: the address and port as the application saw them, so forwarded headers count; None on a Unix socket.
        method: of the request: GET for a WebSocket, CONNECT for one over HTTP/2.
        path: as it came, without the query; None if the request could not be read.
        http_version: ``"1.1"`` or ``"2"``.
        status: of the answer to the request; 101 (200 over HTTP/2) is a WebSocket. None if there was none.
        subprotocol: the one that was agreed on.
        close_code: how a WebSocket ended; 1006 is an end without a close frame.
        close_reason: the reason beside it, ours or the client's; why a request was refused.
        duration: seconds from the whole request head to the end; None if the request could not be read.
        messages_in, messages_out: of a WebSocket, received and sent.
        bytes_in, bytes_out: frames of a WebSocket, as they were on the wire; bodies of an HTTP request and its answer.
    """

    type: str
    client: str | None = attrs.field(default=None, converter=_escape_optional)
    method: str | None = attrs.field(default=None, converter=_escape_optional)
    path: str | None = attrs.field(default=None, converter=_escape_optional)
    http_version: str | None = attrs.field(default=None, converter=_escape_optional)
    status: int | None = None
    subprotocol: str | None = attrs.field(default=None, converter=_escape_optional)
    close_code: int | None = None
    close_reason: str = attrs.field(default="", converter=escape)
    duration: float | None = None
    messages_in: int | None = None
    bytes_in: int | None = None
    messages_out: int | None = None
    bytes_out: int | None = None

    def __str__(self) -> str:
        request = f"{_or_dash(self.method)} {_or_dash(self.path)}" if self.path is not None else "-"
        words = [_or_dash(self.client), _quote(request), _or_dash(self.status)]
        if self.close_code is not None:
            words.append(f"-> {self.close_code}")
        if self.duration is not None:
            words.append(f"{self.duration:.3f}s" if self.duration < 10 else f"{self.duration:.1f}s")
        if self.bytes_in is not None and self.bytes_out is not None:
            words.append(f"in {_traffic(self.messages_in, self.bytes_in)}")
            words.append(f"out {_traffic(self.messages_out, self.bytes_out)}")
        if self.close_reason:
            words.append(_quote(self.close_reason))
        return " ".join(words)


def log_access(record: AccessRecord, scope: Mapping[str, Any] | None = None) -> None:
    """Log a record, at INFO unless the application has left another level in the scope."""
    level = logging.INFO if scope is None else scope.get(ACCESS_LEVEL, logging.INFO)
    logger.log(level, record, extra={"access": record})


class JSONFormatter(logging.Formatter):
    """Makes one line of JSON of a log record: its time, level and logger, and the fields of the `AccessRecord` in it.

    Times are UTC (RFC 3339). What has no `AccessRecord` gets its message, and the traceback if there is one, so the
    same handler may serve other loggers.
    """

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields: dict[str, Any] = {
            "time": moment.replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "pid": record.process,
        }
        access = getattr(record, "access", None)
        if isinstance(access, AccessRecord):
            fields |= attrs.asdict(access, recurse=False)
            if access.duration is not None:
                fields["duration"] = round(access.duration, 6)
        else:
            fields["message"] = record.getMessage()
            if record.exc_info:
                fields["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(fields).decode()


def _or_dash(value: object) -> str:
    return "-" if value is None else str(value)


def _quote(text: str) -> str:
    quoted = text.replace('"', '\\"')
    return f'"{quoted}"'


def _traffic(messages: int | None, size: int) -> str:
    return _size(size) if messages is None else f"{messages}/{_size(size)}"


def _size(size: int) -> str:
    for unit, name in _SIZES:
        if size >= unit:
            amount = size / unit
            return f"{amount:.1f}{name}" if amount < 10 else f"{amount:.0f}{name}"
    return f"{size}B"
