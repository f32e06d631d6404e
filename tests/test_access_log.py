"""A record of the access log as a line of text and of JSON, with nothing in it that is not printable ASCII."""

from __future__ import annotations

import io
import json
import logging

import pytest

from wsframework.access_log import AccessRecord, JSONFormatter, escape


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("/plain path", "/plain path"),
        ("a\r\nb", "a\\r\\nb"),
        ("é", "\\xe9"),
        ("\u2028", "\\u2028"),
        ("\\x41", "\\\\x41"),
        ("\x00\x7f\x9b", "\\x00\\x7f\\x9b"),
        ("a" * 1024, "a" * 1024),
        ("a" * 1025, "a" * 1024 + "..."),
        ("é" * 1025, "\\xe9" * 256 + "..."),
    ],
)
def test_escape(text: str, escaped: str) -> None:
    """Backslashes tell what was escaped, so nothing that a client sends looks escaped; what is too long is cut."""
    assert escape(text) == escaped


@pytest.mark.parametrize(
    ("record", "line"),
    [
        (
            AccessRecord(type="http", status=400, close_reason="This is no HTTP request."),
            '- "-" 400 "This is no HTTP r',
        ),
        (
            AccessRecord(type="websocket", client="a:1", method="GET", path="/x", duration=0.0123),
            'a:1 "GET /x" - 0.012s',
        ),
        (
            AccessRecord(
                type="http", client="a:1", method="GET", path='/"', status=200, duration=75.26, bytes_in=0, bytes_out=0
            ),
            'a:1 "GET /\\"" 200 75.3s in 0B out 0B',
        ),
        (
            AccessRecord(
                type="websocket",
                client="127.0.0.1:52114",
                method="GET",
                path="/chat",
                status=101,
                close_code=1000,
                duration=3.2,
                messages_in=12,
                bytes_in=1126,
                messages_out=340,
                bytes_out=90_112,
            ),
            '127.0.0.1:52114 "GET /chat" 101 -> 1000 3.200s in 12/1.1KiB out 340/88KiB',
        ),
        (
            AccessRecord(
                type="websocket",
                method="GET",
                path="/",
                messages_in=1,
                bytes_in=5 << 20,
                messages_out=2,
                bytes_out=7 << 30,
            ),
            '- "GET /" - in 1/5.0MiB out 2/7.0GiB',
        ),
    ],
)
def test_a_line_of_text(record: AccessRecord, line: str) -> None:
    """What is not known is a dash or is left out."""
    assert str(record).startswith(line)


def test_json_has_the_fields() -> None:
    """A line of JSON has the time in UTC and every field of the record, also the empty ones."""
    record = logging.LogRecord("wsframework.access", logging.INFO, __file__, 1, "", None, None)
    record.created = 1_700_000_000.25
    record.access = AccessRecord(type="websocket", path="/", status=101, close_code=1006, duration=1 / 3)
    made = json.loads(JSONFormatter().format(record))
    assert made.pop("pid") == record.process
    assert made == {
        "time": "2023-11-14T22:13:20.250Z",
        "level": "INFO",
        "logger": "wsframework.access",
        "type": "websocket",
        "client": None,
        "method": None,
        "path": "/",
        "http_version": None,
        "status": 101,
        "subprotocol": None,
        "close_code": 1006,
        "close_reason": "",
        "duration": 0.333333,
        "messages_in": None,
        "bytes_in": None,
        "messages_out": None,
        "bytes_out": None,
    }


def test_json_for_other_loggers() -> None:
    """What has no access record gets its message and its traceback, still in one line."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JSONFormatter())
    other = logging.Logger("shop")
    other.addHandler(handler)
    try:
        raise LookupError("where is my towel")
    except LookupError:
        other.exception("no %s", "towel")
    [line] = stream.getvalue().splitlines()
    made = json.loads(line)
    assert (made["level"], made["logger"], made["message"]) == ("ERROR", "shop", "no towel")
    assert made["exception"].endswith("LookupError: where is my towel")
