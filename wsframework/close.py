"""Close codes and reasons: what they are called, which may travel, and how they read in a log line."""

from __future__ import annotations

from enum import IntEnum

# RFC 6455 section 5.5: a control frame carries at most 125 bytes; two of them are the code.
MAX_REASON_BYTES = 123


class CloseCode(IntEnum):
    """The codes of RFC 6455 section 7.4.1 and of the IANA registry that followed it."""

    NORMAL_CLOSURE = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    NO_STATUS_RECEIVED = 1005
    ABNORMAL_CLOSURE = 1006
    INVALID_PAYLOAD = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    MANDATORY_EXTENSION = 1010
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014
    TLS_HANDSHAKE = 1015


REFUSED = "the handshake was refused"
"""What a connection has for a reason whose handshake was refused, when nobody gave one."""

# Codes that stand for something that happened and that no frame may carry (RFC 6455 section 7.4.1).
_NEVER_SENT = frozenset((CloseCode.NO_STATUS_RECEIVED, CloseCode.ABNORMAL_CLOSURE, CloseCode.TLS_HANDSHAKE))
_REGISTERED = frozenset(CloseCode) - _NEVER_SENT


def may_travel(code: int) -> bool:
    """Say whether a close frame may carry ``code``: a registered one, or 3000 to 4999 for libraries and programs."""
    return code in _REGISTERED or 3000 <= code <= 4999


def check_close(code: int, reason: str) -> None:
    """Refuse a close that our side must not send.

    Raises:
        TypeError: ``code`` is no integer or ``reason`` no string.
        ValueError: the code may not be sent, or the reason has more than 123 bytes in UTF-8.
    """
    if not isinstance(code, int) or isinstance(code, bool):
        raise TypeError(f"a close code is an integer such as 1000, not {code!r}")
    if not isinstance(reason, str):
        raise TypeError(f"a close reason is a string, not {type(reason).__name__}")
    if not may_travel(code):
        raise ValueError(f"close code {code} may not be sent; use 1000 to 1014 (not 1004 to 1006), or 3000 to 4999")
    size = len(reason.encode())
    if size > MAX_REASON_BYTES:
        raise ValueError(f"a close reason has at most {MAX_REASON_BYTES} bytes in UTF-8, this one has {size}")


def describe(code: int, reason: str = "") -> str:
    """Put a close into words: ``1001 (going away)``, or ``4000 (private use): see you``."""
    if code in CloseCode.__members__.values():
        words = CloseCode(code).name.lower().replace("_", " ")
    else:
        words = "private use" if 4000 <= code <= 4999 else "registered" if 3000 <= code <= 3999 else "unknown"
    return f"{int(code)} ({words})" + (f": {reason}" if reason else "")
